//! Never comes out of `init`; its hooks would be harmless.

use isthmus_plugin::{
    Access, Audit, Body, Call, Content, Decision, Event, Item, Judgement, Plugin, Severity, Treatment, export_plugin,
};

struct InitHangs;

impl Plugin for InitHangs {
    type Settings = serde::de::IgnoredAny;
    const SCHEMA: &'static str = "";

    fn init(_: serde::de::IgnoredAny) -> Result<Self, String> {
        let mut turns = 0u64;
        while std::hint::black_box(turns) < u64::MAX {
            turns += 1;
        }
        Ok(Self)
    }
}

impl Access for InitHangs {
    fn decide(&self, _: &Call) -> Decision {
        Decision::Abstain
    }
}

impl Content for InitHangs {
    fn judge(&self, _: &Call, _: &Item, _: Option<Body<'_>>) -> Judgement {
        Judgement::pass()
    }
}

impl Audit for InitHangs {
    fn treat(&self, _: &Event) -> Treatment<'_> {
        Severity::Info.into()
    }
}

export_plugin!(InitHangs: access, content, audit);
