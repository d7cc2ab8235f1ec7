//! Says which servers may do what here.

use isthmus_plugin::{Access, Call, Decision, Patterns, Plugin, Reason, export_plugin};
use serde::Deserialize;

/// `[plugin.settings]` of policy.toml; described for the server in schema.json.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// serverIds, with `*` for any number of characters.
    closed_to: Vec<String>,
}

/// What the settings become, once: each call starts from a snapshot of it.
pub struct Closed {
    to: Patterns,
}

impl Plugin for Closed {
    type Settings = Settings;
    const SCHEMA: &'static str = include_str!("schema.json");

    fn init(settings: Settings) -> Result<Self, String> {
        Ok(Self { to: settings.closed_to.into_iter().collect() })
    }
}

impl Access for Closed {
    fn decide(&self, call: &Call) -> Decision {
        match &call.peer {
            Some(peer) if self.to.matches(peer.id) => {
                Decision::Deny(Reason::new("closed", "this server is not admitted here"))
            }
            _ => Decision::Abstain,
        }
    }
}

export_plugin!(Closed: access);
