//! How events are recorded: which fields are left out, masked or hashed, how grave an event is,
//! and where else it goes.
//!
//! The first entry of `events` that fits an event decides. An event that none fits is recorded
//! whole, and as grave as its outcome.

use std::borrow::Cow;

use isthmus_plugin::{Audit, Diagnostic, Event, Patterns, Plugin, Redaction, Severity, Treatment, export_plugin};
use serde::Deserialize;

/// `[plugin.settings]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    events: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    operations: Option<Vec<String>>,
    outcomes: Option<Vec<String>>,
    #[serde(default)]
    fields: std::collections::BTreeMap<String, Change>,
    severity: Option<Grade>,
    #[serde(default = "whole")]
    detail: bool,
    #[serde(default)]
    sinks: Vec<String>,
}

fn whole() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Change {
    Drop,
    Mask,
    Hash,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Grade {
    Debug,
    Info,
    Notice,
    Warning,
    Critical,
}

/// The entries, ready to be asked.
pub struct AuditRedact {
    entries: Vec<Entry>,
}

struct Entry {
    /// `None`: any.
    operations: Option<Patterns>,
    outcomes: Option<Patterns>,
    redactions: Vec<(String, Redaction)>,
    severity: Option<Severity>,
    detail: bool,
    sinks: Vec<String>,
}

impl Plugin for AuditRedact {
    type Settings = Settings;
    const SCHEMA: &'static str = include_str!("schema.json");

    fn check(settings: &Settings) -> Vec<Diagnostic> {
        let for_all = |rule: &Rule| rule.operations.is_none() && rule.outcomes.is_none();
        let unreached = settings.events.iter().position(for_all).map_or(usize::MAX, |at| at + 1);
        let late = settings.events.iter().enumerate().skip(unreached);
        late.map(|(index, _)| {
            let message = "never reached: an entry before it fits every event";
            Diagnostic::warning(format!("/events/{index}"), message)
        })
        .collect()
    }

    fn init(settings: Settings) -> Result<Self, String> {
        Ok(Self { entries: settings.events.into_iter().map(Entry::from).collect() })
    }
}

impl Audit for AuditRedact {
    fn treat(&self, event: &Event) -> Treatment<'_> {
        let by_outcome = severity_of(event.outcome);
        match self.entries.iter().find(|entry| entry.fits(event)) {
            Some(entry) => Treatment {
                severity: entry.severity.unwrap_or(by_outcome),
                redactions: Cow::Borrowed(&entry.redactions),
                detail: entry.detail,
                sinks: Cow::Borrowed(&entry.sinks),
            },
            None => by_outcome.into(),
        }
    }
}

/// Outcomes are an open set: an unknown one deserves a look.
fn severity_of(outcome: &str) -> Severity {
    match outcome {
        "allowed" => Severity::Info,
        "rewritten" | "held" => Severity::Notice,
        _ => Severity::Warning,
    }
}

impl Entry {
    fn fits(&self, event: &Event) -> bool {
        let holds =
            |wanted: &Option<Patterns>, value: &str| wanted.as_ref().is_none_or(|patterns| patterns.matches(value));
        holds(&self.operations, event.call.operation) && holds(&self.outcomes, event.outcome)
    }
}

impl From<Rule> for Entry {
    fn from(rule: Rule) -> Self {
        let redactions = rule.fields.into_iter().map(|(field, change)| (field, change.into()));
        Self {
            operations: rule.operations.map(Patterns::from_iter),
            outcomes: rule.outcomes.map(Patterns::from_iter),
            redactions: redactions.collect(),
            severity: rule.severity.map(Severity::from),
            detail: rule.detail,
            sinks: rule.sinks,
        }
    }
}

impl From<Change> for Redaction {
    fn from(change: Change) -> Self {
        match change {
            Change::Drop => Self::Drop,
            Change::Mask => Self::Mask,
            Change::Hash => Self::Hash,
        }
    }
}

impl From<Grade> for Severity {
    fn from(grade: Grade) -> Self {
        match grade {
            Grade::Debug => Self::Debug,
            Grade::Info => Self::Info,
            Grade::Notice => Self::Notice,
            Grade::Warning => Self::Warning,
            Grade::Critical => Self::Critical,
        }
    }
}

export_plugin!(AuditRedact: audit);

#[cfg(test)]
mod tests;
