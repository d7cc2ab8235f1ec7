//! Calls the host for ever, each call cheap for the guest and dear for the host.

use isthmus_plugin::{
    Access, Audit, Body, Call, Content, Decision, Event, Item, Judgement, Level, Plugin, Treatment, export_plugin,
    lists, log,
};
use serde::Deserialize;

/// What is called: `log` (the default) or `lists`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    call: Capability,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Capability {
    #[default]
    Log,
    Lists,
}

struct CallsHost {
    call: Capability,
    noise: String,
}

impl Plugin for CallsHost {
    type Settings = Settings;
    const SCHEMA: &'static str = r#"{"type":"object","properties":{"call":{"enum":["log","lists"]}}}"#;

    fn init(settings: Settings) -> Result<Self, String> {
        Ok(Self { call: settings.call, noise: "noise ".repeat(10_000) })
    }
}

impl CallsHost {
    fn call(&self) -> ! {
        loop {
            match self.call {
                Capability::Log => log::write(Level::Info, &self.noise),
                Capability::Lists => {
                    std::hint::black_box(lists::contains("noise", &self.noise));
                }
            }
        }
    }
}

impl Access for CallsHost {
    fn decide(&self, _: &Call) -> Decision {
        self.call()
    }
}

impl Content for CallsHost {
    fn judge(&self, _: &Call, _: &Item, _: Option<Body<'_>>) -> Judgement {
        self.call()
    }
}

impl Audit for CallsHost {
    fn treat(&self, _: &Event) -> Treatment<'_> {
        self.call()
    }
}

export_plugin!(CallsHost: access, content, audit);
