//! The gate: what the operator's policy says of a call, before any rule sees it.
//!
//! `Cleared<T>` can only be made here, and the handlers that write take nothing else: to forget
//! the policy does not compile. One policy generation judges a request on all hooks; the session
//! is held until the request's outcome is on the disk, so that `activate` answers only when
//! nothing judged by the old generation is still to come.

use std::sync::Arc;
use std::time::Duration;

use isthmus_policy::{Call, Event, Item, Policy, Reason, Session, Verdict};
use isthmus_wire::code::{Code, Refusal};
use tokio::sync::Semaphore;

use super::trail::{Decision, Trail};
use crate::reply::Problem;

/// How long a request waits for a place among those judged by a slow plugin.
const SUSPECT_WAIT: Duration = Duration::from_secs(2);
/// Requests that a slow plugin may hold at once: the rest of the process keeps its threads.
const SUSPECT_PLACES: usize = 16;

/// A value that every plugin let through, with the session that judged it.
pub(crate) struct Cleared<T> {
    value: T,
    trail: Trail,
    session: Session,
}

impl<T> Cleared<T> {
    /// The value, the audit record of its decision, and the session to hold until the commit.
    pub(crate) fn into_parts(self) -> (T, Trail, Session) {
        (self.value, self.trail, self.session)
    }

    /// The plugin that had the last word.
    pub(crate) fn decided_by(&self) -> String {
        self.trail.decided_by()
    }
}

/// What the policy ruled.
pub(crate) enum Ruling<T> {
    /// Go on with this value.
    Cleared(Cleared<T>),
    /// Keep it in quarantine. The value is what the rewriting plugins before left of it.
    Held(Cleared<T>, Reason),
    /// Refuse it with these public words, and record that.
    Refused(Refusal, Trail),
}

/// One question to the policy.
pub(crate) struct Question {
    /// What is to be done.
    pub(crate) call: Call,
    /// What is to be said, if anything.
    pub(crate) item: Option<Item>,
    /// Further fields of the audit record.
    pub(crate) fields: Vec<(String, String)>,
}

/// The policy is too slow for what arrives.
#[derive(Debug, thiserror::Error)]
#[error("the policy is overloaded; retry")]
pub(crate) struct PolicyOverloaded;

impl From<PolicyOverloaded> for Problem {
    fn from(overloaded: PolicyOverloaded) -> Problem {
        Problem::refused(Code::OVERLOADED, overloaded.to_string())
    }
}

/// Asks the policy, on the calling thread where the plugins are quick and on a bounded pool where
/// one of them has been slow.
pub(crate) struct Gate {
    policy: Arc<Policy>,
    suspects: Arc<Semaphore>,
}

/// A ruling's parts, before the value is put in.
struct Judged {
    answer: Answer,
    rewritten: Option<String>,
    trail: Trail,
    session: Session,
}

enum Answer {
    Pass,
    Hold(Reason),
    Refuse(Refusal),
}

impl Gate {
    pub(crate) fn new(policy: Arc<Policy>) -> Gate {
        Gate { policy, suspects: Arc::new(Semaphore::new(SUSPECT_PLACES)) }
    }

    /// The generation that judges now.
    pub(crate) fn generation(&self) -> u64 {
        self.policy.begin().generation()
    }

    /// Rules on `value`; `rewrite` puts a rewritten text into it.
    pub(crate) async fn rule<T>(
        &self,
        question: Question,
        mut value: T,
        rewrite: impl FnOnce(&mut T, String),
    ) -> Result<Ruling<T>, PolicyOverloaded> {
        let Judged { answer, rewritten, trail, session } = self.judge(question).await?;
        if let Some(text) = rewritten {
            rewrite(&mut value, text);
        }
        Ok(match answer {
            Answer::Pass => Ruling::Cleared(Cleared { value, trail, session }),
            Answer::Hold(reason) => Ruling::Held(Cleared { value, trail, session }, reason),
            Answer::Refuse(refusal) => Ruling::Refused(refusal, trail),
        })
    }

    async fn judge(&self, question: Question) -> Result<Judged, PolicyOverloaded> {
        let session = self.policy.begin();
        if !session.suspect() {
            return Ok(judge_now(session, question));
        }
        let place = tokio::time::timeout(SUSPECT_WAIT, self.suspects.clone().acquire_owned())
            .await
            .map_err(|_| PolicyOverloaded)?
            .map_err(|_| PolicyOverloaded)?;
        tokio::task::spawn_blocking(move || {
            let _place = place;
            judge_now(session, question)
        })
        .await
        .map_err(|_| PolicyOverloaded)
    }
}

fn judge_now(session: Session, question: Question) -> Judged {
    let Question { call, item, mut fields } = question;
    let mut decision = Decision::new(call.time_ms, session.generation());
    let (answer, rewritten) = decide(&session, &call, item.as_ref(), &mut decision);
    let (outcome, code) = outcome(&answer, rewritten.is_some());
    metrics::counter!("isthmus_decisions_total", "outcome" => outcome).increment(1);
    if let Answer::Refuse(refusal) = &answer {
        fields.push(("reason".into(), refusal.message.clone()));
    }
    let event = Event { call, outcome: outcome.into(), code, fields };
    let recorded = session.audit(&event);
    Judged { answer, rewritten, trail: Trail::new(decision, event, recorded), session }
}

fn decide(session: &Session, call: &Call, item: Option<&Item>, decision: &mut Decision) -> (Answer, Option<String>) {
    let access = session.access(call);
    decision.steps(access.steps);
    if !access.allowed {
        return (Answer::Refuse(refusal(Code::DENIED_BY_ACCESS, access.reason, "access policy")), None);
    }
    let Some(item) = item else { return (Answer::Pass, None) };
    let content = session.content(call, item);
    decision.steps(content.steps);
    decision.labels = content.labels;
    match content.verdict {
        Verdict::Pass => (Answer::Pass, None),
        Verdict::Rewrite(text) => (Answer::Pass, Some(text)),
        Verdict::Hold(reason) => (Answer::Hold(reason), None),
        Verdict::Reject(reason) => {
            (Answer::Refuse(refusal(Code::DENIED_BY_CONTENT, Some(reason), "content policy")), None)
        }
    }
}

/// The plugin's public words, or ours: never the policy's content.
fn refusal(code: Code, reason: Option<Reason>, by: &str) -> Refusal {
    let text = reason.map(|r| r.text).filter(|t| !t.is_empty());
    Refusal { code, field: None, message: text.unwrap_or_else(|| format!("denied by {by}")) }
}

fn outcome(answer: &Answer, rewritten: bool) -> (&'static str, u32) {
    match answer {
        Answer::Pass if rewritten => ("rewritten", 0),
        Answer::Pass => ("allowed", 0),
        Answer::Hold(_) => ("held", 0),
        Answer::Refuse(r) if r.code == Code::DENIED_BY_ACCESS => ("denied", r.code.number().unsigned_abs()),
        Answer::Refuse(r) => ("rejected", r.code.number().unsigned_abs()),
    }
}
