//! Replay: recorded decisions before a candidate. What would have been decided otherwise?
//!
//! A record holds what the audit policy left of a request. Where a text was not kept, only the access plugins can be asked
//! whether it may be done; where names were redacted, nobody can. The audit plugins are asked about the event as it was: how
//! would it have been kept?

use std::sync::Arc;

use serde::Serialize;

use crate::bundle::diagnostic::{Diagnostic, Diagnostics};
use crate::call::{Call, Event, Item};
use crate::judge::{Answer, Judgement, Said};
use crate::options::BundleSource;
use crate::policy::Policy;
use crate::records::{Kept, RecordChange, Records};
use crate::rehearsal::{Candidate, Comparison, Decided};
use crate::report::PluginStats;
use crate::session::Session;

/// A decision as the audit log tells it.
#[derive(Clone)]
pub struct Recorded {
    /// The request, as far as it was kept.
    pub call: Call,
    /// What it said.
    pub items: Vec<Item>,
    /// Whether `items` is all that it said: if not, only access can be judged.
    pub whole: bool,
    /// Whether its names are as they were: if not, nothing can be judged.
    pub named: bool,
    /// What was decided.
    pub said: Said,
    /// Time of all plugins together, in microseconds.
    pub micros: u64,
    /// The message or decision, for `policy explain`.
    pub id: String,
    /// The code that its caller got (R5; 0 success).
    pub code: u32,
    /// How grave its record is: `debug` … `critical`.
    pub severity: String,
    /// What its record holds beside the call, by name.
    pub fields: Vec<(String, String)>,
}

/// What would have been otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct ReplayReport {
    /// The candidate's name.
    pub name: String,
    /// blake3 of its bundle, hex.
    pub digest: String,
    /// Records of decisions that were read.
    pub decisions: u64,
    /// Of these: names were redacted, so that nobody could be asked.
    pub not_named: u64,
    /// Of these: what was said was not kept, so that only access could be judged, and access did not decide then.
    pub access_only: u64,
    /// Of these: the candidate lets them in, and whether it would have let them pass depends on a text that was not kept.
    pub undecided: u64,
    /// What both said.
    pub comparison: Comparison,
    /// What would have been recorded otherwise, the most frequent first.
    pub records: Vec<RecordChange>,
    /// What the candidate's plugins said.
    pub plugins: Vec<PluginStats>,
    /// Warnings of its check.
    pub diagnostics: Vec<Diagnostic>,
}

/// A candidate that judges the past, in the order in which it happened: its clock and counters follow the records.
pub struct Replay {
    candidate: Candidate,
    session: Session,
    decisions: u64,
    not_named: u64,
    access_only: u64,
    undecided: u64,
    comparison: Comparison,
    records: Records,
}

impl Policy {
    /// Prepares a bundle for judging recorded decisions. Blocks: compiles.
    ///
    /// # Errors
    /// All [`Diagnostics`], if one of them is an error.
    pub fn replay(&self, source: impl Into<BundleSource>) -> Result<Replay, Diagnostics> {
        let candidate = self.candidate(&source.into(), Some(Arc::default()))?;
        Ok(Replay {
            session: candidate.session(),
            candidate,
            decisions: 0,
            not_named: 0,
            access_only: 0,
            undecided: 0,
            comparison: Comparison::default(),
            records: Records::default(),
        })
    }
}

impl Replay {
    /// Judges one decision anew.
    pub fn judge(&mut self, recorded: &Recorded) {
        self.decisions += 1;
        if !recorded.named {
            self.not_named += 1;
            return;
        }
        self.candidate.at(recorded.call.time_ms);
        self.treat(recorded);
        let items = if recorded.whole { recorded.items.as_slice() } else { &[] };
        let judgement = self.session.judge(&recorded.call, items);
        let mut said = recorded.said.clone();
        if !recorded.whole && matches!(judgement.answer, Answer::Pass) && said.outcome != "denied" {
            match said.outcome.as_str() {
                "allowed" | "rewritten" => {
                    self.access_only += 1;
                    "allowed".clone_into(&mut said.outcome);
                    (said.reason, said.plugin) = (None, None);
                }
                _ => {
                    self.undecided += 1;
                    return;
                }
            }
        }
        self.compare(recorded, said, &judgement);
    }

    fn compare(&mut self, recorded: &Recorded, said: Said, judgement: &Judgement) {
        let decided = Decided { said, rewritten: None, micros: recorded.micros, id: &recorded.id };
        self.comparison.add(&recorded.call, &decided, judgement);
    }

    /// Asks how the event would have been recorded.
    fn treat(&mut self, recorded: &Recorded) {
        let event = Event {
            call: recorded.call.clone(),
            outcome: recorded.said.outcome.clone().into(),
            code: recorded.code,
            fields: recorded.fields.clone(),
        };
        let kept = Kept { severity: &recorded.severity, outcome: None, id: &recorded.id };
        self.records.add(&event, &kept, &self.session.audit(&event));
    }

    /// What came of it so far.
    #[must_use]
    pub fn report(&self) -> ReplayReport {
        ReplayReport {
            name: self.candidate.name().to_owned(),
            digest: self.candidate.digest().to_owned(),
            decisions: self.decisions,
            not_named: self.not_named,
            access_only: self.access_only,
            undecided: self.undecided,
            comparison: self.comparison.finished(),
            records: self.records.changes(),
            plugins: self.candidate.figures(),
            diagnostics: self.candidate.diagnostics.clone(),
        }
    }
}

/// So that tests and tools need no `Arc` of their own.
impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").field("digest", &self.candidate.digest()).field("decisions", &self.decisions).finish()
    }
}
