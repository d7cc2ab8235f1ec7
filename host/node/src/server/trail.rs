//! The audit record of a request: what was asked, who decided it and why, how it ended.
//!
//! The audit plugin has its say when the policy has ruled; what the rules add afterwards (a code,
//! an identifier that they minted) goes into the same record before it is committed.

use std::borrow::Cow;

use isthmus_domain::TimeId;
use isthmus_domain::record::{AuditRecord, StepRecord};
use isthmus_policy::{AuditOutcome, Call, Direction, Event, Session, Step};
use isthmus_wire::code::Code;

use crate::clock::random;

/// A decision: which generation, which steps.
pub(crate) struct Decision {
    id: TimeId,
    generation: u64,
    lists: u64,
    steps: Vec<Step>,
    pub(crate) labels: Vec<String>,
}

impl Decision {
    pub(crate) fn new(now_ms: u64, session: &Session) -> Decision {
        Decision {
            id: TimeId::mint(now_ms, &mut random),
            generation: session.generation(),
            lists: session.lists_revision(),
            steps: Vec::new(),
            labels: Vec::new(),
        }
    }

    pub(crate) fn steps(&mut self, steps: Vec<Step>) {
        self.steps.extend(steps);
    }
}

/// A record in the making. [`Trail::record`] gives its bytes, for `tx.audit`.
pub(crate) struct Trail {
    decision: Decision,
    call: Call,
    outcome: Cow<'static, str>,
    code: i32,
    recorded: AuditOutcome,
}

impl Trail {
    pub(crate) fn new(mut decision: Decision, event: Event, mut recorded: AuditOutcome) -> Trail {
        decision.steps.append(&mut recorded.steps);
        let code = i32::try_from(event.code).unwrap_or(i32::MAX);
        Trail { decision, call: event.call, outcome: event.outcome, code, recorded }
    }

    /// An event that the access and content plugins were not asked about (a management act, a request refused before
    /// the policy); the audit plugins still say how it is recorded.
    pub(crate) fn of_event(session: &Session, event: Event) -> Trail {
        let recorded = session.audit(&event);
        Trail::new(Decision::new(event.call.time_ms, session), event, recorded)
    }

    /// The plugin that had the last word, for a held message.
    pub(crate) fn decided_by(&self) -> String {
        let last = self.decision.steps.iter().rev().find(|step| step.hook == "content");
        last.map(|step| step.plugin.to_string()).unwrap_or_default()
    }

    /// The rules refused what the policy had let through.
    pub(crate) fn failed(&mut self, code: Code, msg: &str) {
        self.outcome = "failed".into();
        self.code = code.number();
        self.add("reason", msg);
    }

    /// Adds a field that came to be after the plugins were asked. Identifiers and our own words only.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        if self.recorded.detail {
            self.recorded.fields.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The record's bytes.
    pub(crate) fn record(&self) -> Vec<u8> {
        let call = &self.call;
        let mut record = AuditRecord::new(self.decision.id, call.time_ms, &*call.operation, direction(call.direction))
            .outcome(&*self.outcome, self.code)
            .severity(self.recorded.severity.as_str())
            .generation(self.decision.generation);
        record.lists = self.decision.lists;
        record.peer = call.peer.as_ref().map_or("", |peer| peer.id.as_str()).into();
        record.steps = self.decision.steps.iter().map(step).collect();
        record.labels = self.decision.labels.iter().map(|label| label.as_str().into()).collect();
        if self.recorded.detail {
            record = record.actor(self.recorded.actor.as_str()).target(self.recorded.target.as_str());
            for (name, value) in &self.recorded.fields {
                record = record.field(name.as_str(), value.as_str());
            }
        }
        if self.recorded.whole {
            // The audit plugin failed: the event is here unredacted.
            record = record.field("unredacted", "true");
        }
        record.to_json()
    }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
        Direction::Internal => "internal",
    }
}

fn step(step: &Step) -> StepRecord<'_> {
    StepRecord {
        plugin: (&*step.plugin).into(),
        digest: (&*step.digest).into(),
        verdict: step.verdict.into(),
        reason: step.reason.as_ref().map(|reason| reason.code.as_str().into()),
        micros: step.micros,
        fault: step.fault.as_deref().map(Into::into),
    }
}
