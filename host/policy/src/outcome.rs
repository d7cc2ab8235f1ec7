//! What the plugins of a generation answered, and who of them said what.

use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Why something was refused or held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// For machines, stable: `blacklisted`, `keyword`, `policy-fault`, …
    pub code: String,
    /// For the people refused: says nothing about the policy's content (R5).
    pub text: String,
}

impl Reason {
    /// The code of every refusal whose cause is a plugin that failed.
    pub const FAULT: &'static str = "policy-fault";

    pub(crate) fn fault() -> Self {
        Self { code: Self::FAULT.to_owned(), text: "the policy could not be evaluated".to_owned() }
    }

    pub(crate) fn default_deny() -> Self {
        Self { code: "default".to_owned(), text: "denied by the access policy".to_owned() }
    }
}

/// One plugin's part in one decision.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Name of the plugin in its bundle.
    #[serde(serialize_with = "text")]
    pub plugin: Arc<str>,
    /// blake3 of its component, the first 16 hex digits.
    #[serde(serialize_with = "text")]
    pub digest: Arc<str>,
    /// `access`, `content` or `audit`.
    pub hook: &'static str,
    /// `allow`, `deny`, `abstain`; `pass`, `reject`, `rewrite`, `hold`; `treat`; `fault`.
    pub verdict: &'static str,
    /// The plugin's reason, if it gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Wall time of the plugin, in microseconds.
    pub micros: u32,
    /// What went wrong, for `fault`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

fn text<S: Serializer>(value: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value)
}

/// The answer of the access plugins: deny overrides, an explicit allow ends nothing, and where
/// all abstain the bundle's default decides.
#[derive(Clone, Debug)]
pub struct AccessOutcome {
    /// Whether the call may go on.
    pub allowed: bool,
    /// Why not.
    pub reason: Option<Reason>,
    /// Who said what, in order.
    pub steps: Vec<Step>,
}

/// What becomes of a text or file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Goes on as it is.
    Pass,
    /// Goes no further; the sender is told why.
    Reject(Reason),
    /// This text goes on instead.
    Rewrite(String),
    /// Quarantined until an administrator releases or drops it.
    Hold(Reason),
}

impl Verdict {
    /// Its name in records: `pass`, `reject`, `rewrite`, `hold`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Reject(_) => "reject",
            Self::Rewrite(_) => "rewrite",
            Self::Hold(_) => "hold",
        }
    }

    /// Why it was rejected or held.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Reject(reason) | Self::Hold(reason) => Some(reason),
            Self::Pass | Self::Rewrite(_) => None,
        }
    }
}

/// The answer of the content plugins: rewrites compose, the first reject or hold ends.
#[derive(Clone, Debug)]
pub struct ContentOutcome {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Labels for the audit record, each once.
    pub labels: Vec<String>,
    /// Who said what, in order.
    pub steps: Vec<Step>,
}

/// How grave an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Of interest to nobody but those who build the thing.
    Debug,
    /// Ordinary business.
    Info,
    /// Ordinary, and worth a look.
    Notice,
    /// Something was wrong.
    Warning,
    /// Somebody should be woken.
    Critical,
}

impl Severity {
    /// Its name in records: `debug` … `critical`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// How an event is recorded. The event itself is kept whatever the plugins say.
#[derive(Clone, Debug)]
pub struct AuditOutcome {
    /// The gravest that a plugin named; `info` if none did.
    pub severity: Severity,
    /// The event's fields after redaction.
    pub fields: Vec<(String, String)>,
    /// The call's actor after redaction.
    pub actor: String,
    /// The call's target after redaction.
    pub target: String,
    /// False: only time, operation, outcome and code are to be recorded.
    pub detail: bool,
    /// Further places, by name, each once.
    pub sinks: Vec<String>,
    /// A plugin failed: what it would have redacted is recorded whole, and marked as such.
    pub whole: bool,
    /// Who said what, in order.
    pub steps: Vec<Step>,
}
