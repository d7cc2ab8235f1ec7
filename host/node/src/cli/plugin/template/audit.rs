//! Says how events are recorded: which fields stay out of the log.

use isthmus_plugin::{Audit, Event, Plugin, Redaction, Severity, Treatment, export_plugin};
use serde::Deserialize;

/// `[plugin.settings]` of policy.toml; described for the server in schema.json.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Fields that are never recorded.
    hidden: Vec<String>,
}

/// What the settings become, once: each call starts from a snapshot of it.
pub struct Hide {
    redactions: Vec<(String, Redaction)>,
}

impl Plugin for Hide {
    type Settings = Settings;
    const SCHEMA: &'static str = include_str!("schema.json");

    fn init(settings: Settings) -> Result<Self, String> {
        Ok(Self { redactions: settings.hidden.into_iter().map(|field| (field, Redaction::Drop)).collect() })
    }
}

impl Audit for Hide {
    fn treat(&self, event: &Event) -> Treatment<'_> {
        let severity = if event.outcome == "allowed" { Severity::Info } else { Severity::Warning };
        Treatment { redactions: self.redactions.as_slice().into(), ..severity.into() }
    }
}

export_plugin!(Hide: audit);
