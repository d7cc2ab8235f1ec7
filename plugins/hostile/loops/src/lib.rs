//! Never answers: each hook loops for ever.

use isthmus_plugin::{
    Access, Audit, Body, Call, Content, Decision, Event, Item, Judgement, Plugin, Treatment, export_plugin,
};

struct Loops;

impl Plugin for Loops {
    type Settings = serde::de::IgnoredAny;
    const SCHEMA: &'static str = "";

    fn init(_: serde::de::IgnoredAny) -> Result<Self, String> {
        Ok(Self)
    }
}

fn for_ever() -> ! {
    let mut turns = 0u64;
    loop {
        // Seen by nobody, and yet no compiler may leave it out.
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

impl Access for Loops {
    fn decide(&self, _: &Call) -> Decision {
        for_ever()
    }
}

impl Content for Loops {
    fn judge(&self, _: &Call, _: &Item, _: Option<Body<'_>>) -> Judgement {
        for_ever()
    }
}

impl Audit for Loops {
    fn treat(&self, _: &Event) -> Treatment<'_> {
        for_ever()
    }
}

export_plugin!(Loops: access, content, audit);
