//! Says what may be said here: no links to places unknown.

use isthmus_plugin::{Body, Call, Content, Item, Judgement, Plugin, Reason, Verdict, export_plugin};
use serde::Deserialize;

/// `[plugin.settings]` of policy.toml; described for the server in schema.json.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Hosts that may be linked to.
    allowed_hosts: Vec<String>,
}

/// What the settings become, once: each call starts from a snapshot of it.
pub struct NoLinks {
    allowed: Vec<String>,
}

impl Plugin for NoLinks {
    type Settings = Settings;
    const SCHEMA: &'static str = include_str!("schema.json");

    fn init(settings: Settings) -> Result<Self, String> {
        Ok(Self { allowed: settings.allowed_hosts.iter().map(|host| host.to_lowercase()).collect() })
    }
}

impl Content for NoLinks {
    fn judge(&self, _call: &Call, item: &Item, _body: Option<Body<'_>>) -> Judgement {
        let text = item.text.to_lowercase();
        let links = text.split("://").skip(1);
        let mut hosts = links.map(|link| link.split(|c: char| !c.is_alphanumeric() && c != '.' && c != '-').next());
        if hosts.all(|host| host.is_some_and(|host| self.allowed.iter().any(|allowed| allowed == host))) {
            return Judgement::pass();
        }
        Judgement {
            verdict: Verdict::Reject(Reason::new("link", "links are not allowed here")),
            labels: vec!["link".into()],
        }
    }
}

export_plugin!(NoLinks: content);
