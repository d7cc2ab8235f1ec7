//! Takes memory, page after page, until it is stopped: by its limit or by its time.

use isthmus_plugin::{
    Access, Audit, Body, Call, Content, Decision, Event, Item, Judgement, Plugin, Treatment, export_plugin,
};

struct Grows;

impl Plugin for Grows {
    type Settings = serde::de::IgnoredAny;
    const SCHEMA: &'static str = "";

    fn init(_: serde::de::IgnoredAny) -> Result<Self, String> {
        Ok(Self)
    }
}

/// Zeroes alone would cost nothing: each MiB is written to.
fn grow() -> ! {
    let mut hoard = Vec::new();
    loop {
        hoard.push(vec![1u8; 1024 * 1024]);
        std::hint::black_box(&hoard);
    }
}

impl Access for Grows {
    fn decide(&self, _: &Call) -> Decision {
        grow()
    }
}

impl Content for Grows {
    fn judge(&self, _: &Call, _: &Item, _: Option<Body<'_>>) -> Judgement {
        grow()
    }
}

impl Audit for Grows {
    fn treat(&self, _: &Event) -> Treatment<'_> {
        grow()
    }
}

export_plugin!(Grows: access, content, audit);
