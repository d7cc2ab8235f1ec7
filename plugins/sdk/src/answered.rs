//! How events are recorded, and how the host is told.

use std::borrow::Cow;

use crate::bindings::audit::exports::isthmus::policy::packed_audit_hook::Marks;
use crate::{Event, Redaction, Severity};

/// How an event is recorded. What the plugin has ready it lends.
///
/// ```
/// use isthmus_plugin::{Redaction, Severity, Treatment};
/// let redactions = vec![("text".to_owned(), Redaction::Mask)].into();
/// let treatment = Treatment { redactions, ..Severity::Notice.into() };
/// assert!(treatment.detail && treatment.sinks.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Treatment<'a> {
    /// How grave it is.
    pub severity: Severity,
    /// By field name; `actor` and `target` name those of the call. A field that the event does not have changes nothing.
    pub redactions: Cow<'a, [(String, Redaction)]>,
    /// False: only the skeleton (time, operation, outcome, code) is recorded.
    pub detail: bool,
    /// Further places that the operator configured, by name.
    pub sinks: Cow<'a, [String]>,
}

/// Recorded whole, and nowhere else.
impl From<Severity> for Treatment<'_> {
    fn from(severity: Severity) -> Self {
        Self { severity, redactions: Cow::Borrowed(&[]), detail: true, sinks: Cow::Borrowed(&[]) }
    }
}

/// The bit of `actor`, of `target`, of the first field, and of all fields that have none of their own.
const ACTOR: u64 = 1 << 0;
const TARGET: u64 = 1 << 1;
const FIRST: usize = 2;
const LAST: usize = 63;

/// The treatment as the packed hook tells it: fields by their places in the event.
pub(crate) fn marks(treatment: &Treatment, event: &Event) -> Marks {
    let (mut drop, mut hash, mut mask) = (0, 0, 0);
    for (field, redaction) in treatment.redactions.iter() {
        let kind = match redaction {
            Redaction::Drop => &mut drop,
            Redaction::Hash => &mut hash,
            Redaction::Mask => &mut mask,
        };
        *kind |= places(field, event);
    }
    Marks {
        severity: treatment.severity,
        detail: treatment.detail,
        drop,
        hash,
        mask,
        sinks: !treatment.sinks.is_empty(),
    }
}

/// Where the event has this field. Two may have one name.
fn places(field: &str, event: &Event) -> u64 {
    let of_call = match field {
        "actor" => ACTOR,
        "target" => TARGET,
        _ => 0,
    };
    let fields = event.fields.iter().enumerate().filter(|(_, (name, _))| *name == field);
    fields.fold(of_call, |places, (at, _)| places | 1 << (FIRST + at).min(LAST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::call;

    fn told(redactions: &[(&str, Redaction)], fields: &[&'static str]) -> (u64, u64, u64) {
        let redactions = redactions.iter().map(|(field, redaction)| ((*field).to_owned(), *redaction)).collect();
        let treatment = Treatment { redactions, ..Severity::Info.into() };
        let fields = fields.iter().map(|name| (*name, "value")).collect();
        let event = Event { call: call("north"), outcome: "allowed", code: 0, fields };
        let Marks { drop, hash, mask, .. } = marks(&treatment, &event);
        (drop, hash, mask)
    }

    #[test]
    fn fields_are_told_by_their_places() {
        use Redaction::{Drop, Hash, Mask};
        let redactions = [("text", Drop), ("actor", Hash), ("target", Mask), ("reason", Mask), ("not there", Drop)];
        assert_eq!(told(&redactions, &["reason", "text", "reason"]), (0b01000, 0b00001, 0b10110));
    }

    #[test]
    fn the_last_place_stands_for_all_fields_that_have_none() {
        let names: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let names: Vec<&'static str> = names.iter().map(|name| &*name.clone().leak()).collect();
        let drop = |field| told(&[(field, Redaction::Drop)], &names).0;
        assert_eq!((drop("60"), drop("61"), drop("62"), drop("99")), (1 << 62, 1 << 63, 1 << 63, 1 << 63));
    }
}
