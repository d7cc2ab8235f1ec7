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
    fields: Vec<String>,
}

impl Plugin for Hide {
    type Settings = Settings;
    const SCHEMA: &'static str = include_str!("schema.json");

    fn init(settings: Settings) -> Result<Self, String> {
        Ok(Self { fields: settings.hidden })
    }
}

impl Audit for Hide {
    fn treat(&self, event: &Event) -> Treatment {
        Treatment {
            severity: if event.outcome == "allowed" { Severity::Info } else { Severity::Warning },
            redactions: self.fields.iter().map(|field| (field.clone(), Redaction::Drop)).collect(),
            detail: true,
            sinks: Vec::new(),
        }
    }
}

export_plugin!(Hide: audit);
