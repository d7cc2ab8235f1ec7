//! How a candidate's audit plugins would have events recorded, beside how they are recorded.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::call::Event;
use crate::judge::Said;
use crate::outcome::AuditOutcome;
use crate::redact::HASHED;
use crate::rehearsal::{EXAMPLES, Example};

/// Records that the candidate's audit plugins would have made otherwise, in one way.
#[derive(Clone, Debug, Serialize)]
pub struct RecordChange {
    /// A field's name, `actor` or `target`; `severity`; `sinks`; `detail` for all that a record may leave out.
    pub what: String,
    /// As it was recorded: `kept`, `left out`, `hashed`, `masked`, `failed` (whole, since a plugin failed), or how grave; names of
    /// sinks, or `none`.
    pub recorded: String,
    /// As the candidate would have it recorded, in the same words.
    pub candidate: String,
    /// How often.
    pub count: u64,
    /// Some of them; who and to whom as it was recorded.
    pub examples: Vec<Example>,
}

/// How an event was recorded.
pub(crate) struct Kept<'a> {
    pub(crate) severity: &'a str,
    /// None: the event is what was kept of it, and what was left out then cannot be missed.
    pub(crate) outcome: Option<&'a AuditOutcome>,
    /// The message or decision, for `policy explain`.
    pub(crate) id: &'a str,
}

/// What would have been recorded otherwise, as far as it is known.
#[derive(Default)]
pub(crate) struct Records {
    /// By what, as it was and as it would be: how often, and examples.
    changes: BTreeMap<[String; 3], (u64, Vec<Example>)>,
}

impl Records {
    pub(crate) fn add(&mut self, event: &Event, kept: &Kept<'_>, candidate: &AuditOutcome) {
        let mut change = |what: &str, recorded: &str, would: &str| {
            if recorded == would {
                return;
            }
            let known = self.changes.entry([what, recorded, would].map(str::to_owned)).or_default();
            known.0 += 1;
            if known.1.len() < EXAMPLES {
                known.1.push(example(event, kept, recorded, candidate, would));
            }
        };
        change("severity", kept.severity, candidate.severity.as_str());
        if let Some(outcome) = kept.outcome {
            change("sinks", &sinks(outcome), &sinks(candidate));
        }
        let (recorded, would) = (kept.outcome.map_or("kept", detail), detail(candidate));
        change("detail", recorded, would);
        if (recorded, would) != ("kept", "kept") {
            return;
        }
        for (name, value) in values(event) {
            let recorded = kept.outcome.map_or("kept", |outcome| treated(value, left(outcome, name)));
            change(name, recorded, treated(value, left(candidate, name)));
        }
    }

    /// The most frequent first.
    pub(crate) fn changes(&self) -> Vec<RecordChange> {
        let change =
            |([what, recorded, candidate], (count, examples)): (&[String; 3], &(u64, Vec<Example>))| RecordChange {
                what: what.clone(),
                recorded: recorded.clone(),
                candidate: candidate.clone(),
                count: *count,
                examples: examples.clone(),
            };
        let mut changes: Vec<_> = self.changes.iter().map(change).collect();
        changes.sort_by_key(|change| std::cmp::Reverse(change.count));
        changes
    }
}

fn detail(outcome: &AuditOutcome) -> &'static str {
    match outcome {
        AuditOutcome { whole: true, .. } => "failed",
        AuditOutcome { detail: false, .. } => "left out",
        AuditOutcome { .. } => "kept",
    }
}

/// Their names in an order that does not matter.
fn sinks(outcome: &AuditOutcome) -> String {
    let mut names: Vec<&str> = outcome.sinks.iter().map(String::as_str).collect();
    names.sort_unstable();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// What a record may leave out, by name.
fn values(event: &Event) -> impl Iterator<Item = (&str, &str)> {
    let names = [("actor", event.call.actor.as_str()), ("target", event.call.target.as_str())];
    names.into_iter().chain(event.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// What the plugins left of it.
fn left<'a>(outcome: &'a AuditOutcome, name: &str) -> Option<&'a str> {
    match name {
        "actor" => Some(&outcome.actor),
        "target" => Some(&outcome.target),
        _ => outcome.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()),
    }
}

fn treated(value: &str, left: Option<&str>) -> &'static str {
    match left.unwrap_or_default() {
        left if left == value => "kept",
        "" => "left out",
        left if left.starts_with(HASHED) => "hashed",
        _ => "masked",
    }
}

fn example(event: &Event, kept: &Kept<'_>, recorded: &str, candidate: &AuditOutcome, would: &str) -> Example {
    let call = &event.call;
    // The report shows no more of people than the log does.
    let shown = |name: &str, value: &str| match kept.outcome {
        None => value.to_owned(),
        Some(outcome) if outcome.detail => left(outcome, name).unwrap_or_default().to_owned(),
        Some(_) => String::new(),
    };
    let failed = candidate.steps.iter().find(|step| step.fault.is_some());
    let only = if let [only] = &candidate.steps[..] { Some(only) } else { None };
    let by = failed.or(only);
    Example {
        id: kept.id.to_owned(),
        at_ms: call.time_ms,
        operation: call.operation.to_string(),
        direction: call.direction,
        peer: call.peer.as_ref().map(|peer| peer.id.clone()).unwrap_or_default(),
        actor: shown("actor", &call.actor),
        target: shown("target", &call.target),
        active: Said { outcome: recorded.to_owned(), ..Said::default() },
        candidate: Said {
            outcome: would.to_owned(),
            reason: None,
            plugin: by.map(|step| step.plugin.to_string()),
            fault: by.and_then(|step| step.fault.clone()),
        },
    }
}
