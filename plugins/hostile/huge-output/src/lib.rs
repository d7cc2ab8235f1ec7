//! Answers with more than anybody asked for: 100 MB unless its settings say otherwise.
//!
//! `shared` is the meaner way: one text of 1 MiB is answered again and again, so that the
//! answer outgrows the memory that the guest ever had. A host that copies first and measures
//! afterwards has paid by then.

use isthmus_plugin::{
    Access, Audit, Body, Call, Content, Decision, Event, Item, Judgement, Plugin, Reason, Severity, Treatment, Verdict,
    export_plugin,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    bytes: usize,
    shared: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { bytes: 100_000_000, shared: false }
    }
}

struct HugeOutput(Settings);

impl Plugin for HugeOutput {
    type Settings = Settings;
    const SCHEMA: &'static str = r#"{"type":"object","properties":{
        "bytes":{"type":"integer"},"shared":{"type":"boolean"}}}"#;

    fn init(settings: Settings) -> Result<Self, String> {
        Ok(Self(settings))
    }
}

impl HugeOutput {
    fn text(&self) -> String {
        "x".repeat(self.0.bytes)
    }

    /// Texts that are `bytes` long together.
    fn texts(&self) -> Vec<String> {
        if !self.0.shared {
            return vec![self.text()];
        }
        let once = "x".repeat((1024 * 1024).min(self.0.bytes)).leak();
        let times = self.0.bytes / once.len().max(1);
        (0..times).map(|_| another(once)).collect()
    }
}

/// A text that says it owns what another one owns.
#[allow(unsafe_code, reason = "no honest guest can answer like this, a hostile one can")]
fn another(text: &mut str) -> String {
    // SAFETY: none. Freeing two of these breaks this guest's own heap, which is thrown away.
    unsafe { String::from_raw_parts(text.as_mut_ptr(), text.len(), text.len()) }
}

impl Access for HugeOutput {
    fn decide(&self, _: &Call) -> Decision {
        Decision::Deny(Reason::new("huge", self.text()))
    }
}

impl Content for HugeOutput {
    fn judge(&self, _: &Call, _: &Item, _: Option<Body<'_>>) -> Judgement {
        if self.0.shared {
            Judgement { verdict: Verdict::Pass, labels: self.texts() }
        } else {
            Verdict::Rewrite(self.text()).into()
        }
    }
}

impl Audit for HugeOutput {
    fn treat(&self, _: &Event) -> Treatment<'_> {
        Treatment { sinks: self.texts().into(), ..Severity::Info.into() }
    }
}

export_plugin!(HugeOutput: access, content, audit);
