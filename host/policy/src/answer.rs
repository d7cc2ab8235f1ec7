//! What plugins answer, as far as it is to be believed. A plugin that says what nobody may say has failed, as one that
//! traps has: its instance is thrown away and the breaker counts it.

use crate::bindings::exports::isthmus::policy::packed_audit_hook::Marks;
use crate::bindings::isthmus::policy::types;
use crate::call::Event;
use crate::fault::PluginFault;
use crate::outcome::{Reason, Verdict};
use crate::redact::Redactions;

/// Longer codes, public texts and labels are not believed.
const CODE_BYTES: usize = 64;
const TEXT_BYTES: usize = 1_024;
const LABELS: usize = 64;
const REDACTIONS: usize = 256;

/// What an access hook said.
pub(crate) enum Decision {
    Allow,
    Deny(Reason),
    Abstain,
}

/// # Errors
/// [`PluginFault::Invalid`]: what is not to be believed.
pub(crate) fn decision(said: types::Decision) -> Result<Decision, PluginFault> {
    Ok(match said {
        types::Decision::Allow => Decision::Allow,
        types::Decision::Deny(reason) => Decision::Deny(believe(reason)?),
        types::Decision::Abstain => Decision::Abstain,
    })
}

/// # Errors
/// [`PluginFault::Invalid`]: what is not to be believed.
pub(crate) fn judgement(said: types::Judgement) -> Result<(Verdict, Vec<String>), PluginFault> {
    if said.labels.len() > LABELS || said.labels.iter().any(|label| label.len() > CODE_BYTES) {
        return Err(PluginFault::Invalid(format!("more than {LABELS} labels, or one of more than {CODE_BYTES} bytes")));
    }
    let verdict = match said.verdict {
        types::Verdict::Pass => Verdict::Pass,
        types::Verdict::Reject(reason) => Verdict::Reject(believe(reason)?),
        types::Verdict::Rewrite(text) => Verdict::Rewrite(text),
        types::Verdict::Hold(reason) => Verdict::Hold(believe(reason)?),
    };
    Ok((verdict, said.labels))
}

/// What an audit hook said, in either form.
pub(crate) enum Treated {
    Plain(types::Treatment),
    /// With its sinks.
    Packed(Marks, Vec<String>),
}

/// How an audit hook wants an event recorded.
pub(crate) struct Treatment {
    pub(crate) severity: types::Severity,
    pub(crate) redactions: Redactions,
    pub(crate) detail: bool,
    pub(crate) sinks: Vec<String>,
}

/// # Errors
/// [`PluginFault::Invalid`]: what is not to be believed.
pub(crate) fn treatment(said: Treated, event: &Event) -> Result<Treatment, PluginFault> {
    let said = match said {
        Treated::Plain(said) if said.redactions.len() > REDACTIONS => {
            return Err(PluginFault::Invalid(format!("more than {REDACTIONS} redactions")));
        }
        Treated::Plain(types::Treatment { severity, redactions, detail, sinks }) => {
            Treatment { severity, redactions: Redactions::named(event, redactions), detail, sinks }
        }
        Treated::Packed(Marks { severity, detail, drop, hash, mask, .. }, sinks) => {
            Treatment { severity, redactions: Redactions { drop, hash, mask }, detail, sinks }
        }
    };
    if said.sinks.len() > LABELS || said.sinks.iter().any(|sink| sink.len() > CODE_BYTES) {
        return Err(PluginFault::Invalid(format!("more than {LABELS} sinks, or one of more than {CODE_BYTES} bytes")));
    }
    Ok(said)
}

/// A reason goes to other servers and into records: it must be short and plain.
fn believe(reason: types::Reason) -> Result<Reason, PluginFault> {
    let types::Reason { code, text } = reason;
    if code.is_empty() || code.len() > CODE_BYTES || code.contains(char::is_control) {
        return Err(PluginFault::Invalid(format!("a reason's code must be 1 to {CODE_BYTES} bytes of plain text")));
    }
    if text.len() > TEXT_BYTES || text.contains(char::is_control) {
        return Err(PluginFault::Invalid(format!("a reason's text must be at most {TEXT_BYTES} bytes in one line")));
    }
    Ok(Reason { code, text })
}
