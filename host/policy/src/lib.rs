//! The policy sandbox: load, verify, prepare, run and swap the operator's WebAssembly plugins.
//!
//! T/CIIA 003—2019 §6.2 b–d: access policy, content policy and audit policy are the operator's
//! own; this crate runs them and never trusts them.

#[allow(missing_docs, unreachable_pub, clippy::pedantic, reason = "generated code")]
mod bindings;
mod bundle;
mod call;
mod fault;
mod generation;
mod inspection;
mod kept;
mod load;
mod opening;
mod options;
mod outcome;
mod plugin;
mod policy;
mod prepare;
mod redact;
mod report;
mod sandbox;
mod schema;
mod services;
mod session;
mod stats;
mod trial;

pub use bundle::diagnostic::{Diagnostic, Diagnostics, Level};
pub use bundle::signature::{Signers, signed_plugin_text, signed_text, signers};
pub use call::{Body, Call, Direction, Event, Item, Peer};
pub use inspection::Inspection;
pub use options::{ActivateError, BundleSource, PolicyError, PolicyOptions, TrustedKey};
pub use outcome::{AccessOutcome, AuditOutcome, ContentOutcome, Reason, Severity, Step, Verdict};
pub use policy::Policy;
pub use report::{Activation, CheckReport, CheckedPlugin, HistoryEntry, PluginStats, Shown, ShownPlugin, TIME_BUCKETS};
pub use services::{NoServices, Services};
pub use session::Session;
pub use trial::Trial;
pub use trial::bench::BenchReport;
pub use trial::run::{CaseReport, Difference};
