//! The policy sandbox: load, verify, prepare, run and swap the operator's WebAssembly plugins.
//!
//! T/CIIA 003—2019 §6.2 b–d: access policy, content policy and audit policy are the operator's
//! own; this crate runs them and never trusts them.

#[allow(missing_docs, unreachable_pub, clippy::pedantic, reason = "generated code")]
mod answer;
mod bindings;
mod breaker;
mod bundle;
mod call;
mod cases;
#[cfg(test)]
mod clockless;
mod diff;
mod fault;
mod generation;
mod hooks;
mod inspection;
mod judge;
mod kept;
mod lanes;
mod lists;
mod load;
mod lower;
mod opening;
mod options;
mod outcome;
mod plugin;
mod policy;
mod prepare;
mod records;
mod redact;
mod rehearsal;
mod relist;
mod replay;
mod report;
mod sandbox;
mod schema;
mod services;
mod session;
mod shadow;
mod stats;
mod trial;
mod whatif;

pub use breaker::{Breaker, Trip};
pub use bundle::diagnostic::{Diagnostic, Diagnostics, Level};
pub use bundle::signature::{Signers, signed_plugin_text, signed_text, signers};
pub use call::{Body, Call, Direction, Event, Item, Peer};
pub use cases::CaseOutcome;
pub use diff::{BundleChange, Diff, Side};
pub use inspection::Inspection;
pub use judge::{Answer, Judgement, Said};
pub use lists::{ListChange, ListError};
pub use options::{ActivateError, BundleSource, PolicyError, PolicyOptions, TrustedKey};
pub use outcome::{AccessOutcome, AuditOutcome, ContentOutcome, Reason, Severity, Step, Verdict};
pub use policy::Policy;
pub use records::RecordChange;
pub use rehearsal::{Comparison, Disagreement, Example};
pub use replay::{Recorded, Replay, ReplayReport};
pub use report::{
    Activation, CanaryReport, CheckReport, CheckedPlugin, HistoryEntry, ListChanged, ListEdit, ListInfo, PluginStats,
    Shown, ShownPlugin, Staged, TIME_BUCKETS,
};
pub use sandbox::ticker::Clock;
pub use services::{NoServices, Services};
pub use session::Session;
pub use shadow::ShadowReport;
pub use trial::Trial;
pub use trial::bench::BenchReport;
pub use trial::run::{CaseReport, Difference};
pub use whatif::Origin;
