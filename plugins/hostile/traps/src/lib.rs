//! Panics in each hook, after one line in the operator's log that says so.

use isthmus_plugin::{
    Access, Audit, Body, Call, Content, Decision, Event, Item, Judgement, Plugin, Treatment, export_plugin, log,
};

struct Traps;

impl Plugin for Traps {
    type Settings = serde::de::IgnoredAny;
    const SCHEMA: &'static str = "";

    fn init(_: serde::de::IgnoredAny) -> Result<Self, String> {
        log::panics();
        Ok(Self)
    }
}

#[allow(clippy::panic, reason = "it is what this guest is for")]
fn fall(hook: &str) -> ! {
    panic!("the hostile plugin panicked on purpose in {hook}")
}

impl Access for Traps {
    fn decide(&self, _: &Call) -> Decision {
        fall("decide")
    }
}

impl Content for Traps {
    fn judge(&self, _: &Call, _: &Item, _: Option<Body<'_>>) -> Judgement {
        fall("judge")
    }
}

impl Audit for Traps {
    fn treat(&self, _: &Event) -> Treatment<'_> {
        fall("treat")
    }
}

export_plugin!(Traps: access, content, audit);
