//! What the exported functions call: no part of the interface for plugins.
#![allow(missing_docs, reason = "for the macro's use")]

use std::cell::Cell;
use std::sync::OnceLock;

use crate::answered::marks;
use crate::{Access, Audit, Content, Decision, Diagnostic, DiagnosticSeverity, Judgement, Plugin, Reason, Verdict};
use crate::{asked, settings};

pub use crate::bindings::access::export_access;
pub use crate::bindings::access::exports::isthmus::policy::{
    packed_access_hook as access, packed_access_reason as reason,
};
pub use crate::bindings::audit::export_audit;
pub use crate::bindings::audit::exports::isthmus::policy::{packed_audit_hook as audit, packed_audit_sinks as sinks};
pub use crate::bindings::content::export_content;
pub use crate::bindings::content::exports::isthmus::policy::{
    packed_content_hook as content, packed_content_judgement as judgement,
};
pub use crate::bindings::imports::isthmus::policy::message::Body as HostBody;
pub use crate::bindings::imports::isthmus::policy::types::Packed;
pub use crate::bindings::lifecycle::export_lifecycle;
pub use crate::bindings::lifecycle::exports::isthmus::policy::lifecycle;

// What has texts in it waits here until the host asks for it.
thread_local! {
    static REASON: Cell<Option<Reason>> = const { Cell::new(None) };
    static JUDGEMENT: Cell<Option<Judgement>> = const { Cell::new(None) };
    static SINKS: Cell<Vec<String>> = const { Cell::new(Vec::new()) };
}

/// Shape first, then the plugin's own check.
pub fn validate<P: Plugin>(json: &str) -> Vec<Diagnostic> {
    match settings::parse::<P::Settings>(json) {
        Ok(settings) => P::check(&settings),
        Err(diagnostic) => vec![diagnostic],
    }
}

/// Refuses what [`validate`] refuses, so that no host can forget to ask.
pub fn init<P: Plugin>(slot: &OnceLock<P>, json: &str) -> Result<(), String> {
    let settings = settings::parse::<P::Settings>(json).map_err(|wrong| wrong.to_string())?;
    let errors = P::check(&settings);
    if let Some(wrong) = errors.iter().find(|d| d.severity == DiagnosticSeverity::Error) {
        return Err(wrong.to_string());
    }
    let plugin = P::init(settings)?;
    let set = slot.set(plugin).map_err(|_| "init was called twice".to_owned());
    #[cfg(target_arch = "wasm32")]
    crate::HEAP.start_anew();
    set
}

/// The initialised plugin.
pub fn ready<P>(slot: &OnceLock<P>) -> &P {
    slot.get().expect("the host calls init before any hook")
}

pub fn decide(plugin: &impl Access, packed: &Packed) -> access::Ruling {
    match plugin.decide(&asked::call(packed)) {
        Decision::Allow => access::Ruling::Allow,
        Decision::Abstain => access::Ruling::Abstain,
        Decision::Deny(reason) => {
            REASON.set(Some(reason));
            access::Ruling::Deny
        }
    }
}

pub fn why() -> Reason {
    REASON.take().expect("the host asks for a reason after a denial")
}

pub fn passes(plugin: &impl Content, packed: &Packed, body: Option<&HostBody>) -> bool {
    let (call, item) = asked::item(packed);
    let judgement = plugin.judge(&call, &item, body.map(crate::Body::from));
    let passes = judgement.verdict == Verdict::Pass && judgement.labels.is_empty();
    if !passes {
        JUDGEMENT.set(Some(judgement));
    }
    passes
}

pub fn judged() -> Judgement {
    JUDGEMENT.take().expect("the host asks for a judgement after a text that does not pass")
}

pub fn treat(plugin: &impl Audit, packed: &Packed, code: u32) -> audit::Marks {
    let event = asked::event(packed, code);
    let treatment = plugin.treat(&event);
    let marks = marks(&treatment, &event);
    if marks.sinks {
        SINKS.set(treatment.sinks.into_owned());
    }
    marks
}

pub fn told_sinks() -> Vec<String> {
    SINKS.take()
}
