//! The gate: what the operator's policy says of a call, before any rule sees it.
//!
//! `Cleared<T>` can only be made here, and the handlers that write take nothing else: to forget
//! the policy does not compile. One policy generation judges a request on all hooks; the session
//! is held until the request's outcome is on the disk, so that `activate` answers only when
//! nothing judged by the old generation is still to come.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use isthmus_domain::{Error, Scene};
use isthmus_policy::{Call, Direction, Event, Item, Judgement, Peer, Policy, Reason, Session};
use isthmus_store::Tx;
use isthmus_wire::ServerId;
use isthmus_wire::code::{Code, Refusal};
use tokio::sync::Semaphore;

use super::Server;
use super::trail::{Decision, Trail};
use crate::clock;
use crate::reply::Problem;

/// How long a request waits for a place among those judged by a slow plugin.
const SUSPECT_WAIT: Duration = Duration::from_secs(2);
/// Texts of one call that are judged on the thread that serves others.
const TEXTS_AT_ONCE: usize = 200;
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

impl<T> Ruling<T> {
    /// The same ruling on what becomes of the value.
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Ruling<U> {
        let with = |Cleared { value, trail, session }| Cleared { value: f(value), trail, session };
        match self {
            Ruling::Cleared(cleared) => Ruling::Cleared(with(cleared)),
            Ruling::Held(cleared, reason) => Ruling::Held(with(cleared), reason),
            Ruling::Refused(refusal, trail) => Ruling::Refused(refusal, trail),
        }
    }
}

/// One question to the policy.
pub(crate) struct Question {
    /// What is to be done.
    pub(crate) call: Call,
    /// What is to be said, if anything: each text and file by itself.
    pub(crate) items: Vec<Item>,
    /// Further fields of the audit record.
    pub(crate) fields: Vec<(String, String)>,
}

/// A call between this server and another, or one of its own users.
pub(crate) fn call(
    direction: Direction,
    operation: impl Into<Cow<'static, str>>,
    peer: Option<Peer>,
    actor: &str,
    target: &str,
) -> Call {
    Call {
        operation: operation.into(),
        direction,
        peer,
        actor: actor.to_owned(),
        target: target.to_owned(),
        time_ms: clock::now_ms(),
        attributes: Vec::new(),
    }
}

/// A text to be judged; `kind` as `wit/1.0.0/policy.wit` names them: `friend.remark`, `profile.text`, `group.text`, …
pub(crate) fn text(kind: impl Into<Cow<'static, str>>, text: &str) -> Item {
    Item { kind: kind.into(), text: text.to_owned(), attributes: Vec::new(), body: None }
}

impl Server {
    /// The rule that carries out what `session` cleared. Rules run one after the other, and a swap is recorded among
    /// them before it is answered: after that answer none is committed that the old policy judged. The caller of one that
    /// comes too late is told 1302 and asks again.
    pub(crate) fn cleared<T>(
        &self,
        session: &Session,
        now_ms: u64,
        rule: impl FnOnce(&mut Tx<'_>, &mut Scene<'_>) -> Result<T, Error> + Send + 'static,
    ) -> impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static {
        carry_out(session.clone(), self.id.clone(), now_ms, rule)
    }
}

fn carry_out<T>(
    session: Session,
    home: ServerId,
    now_ms: u64,
    rule: impl FnOnce(&mut Tx<'_>, &mut Scene<'_>) -> Result<T, Error> + Send + 'static,
) -> impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static {
    move |tx| {
        if !session.stands() {
            return Err(Refusal::new(Code::OVERLOADED, "the policy changed meanwhile; retry").into());
        }
        Server::scene(&home, now_ms, |scene| rule(tx, scene))
    }
}

/// A question about a call that says nothing more.
impl From<Call> for Question {
    fn from(call: Call) -> Question {
        Question { call, items: Vec::new(), fields: Vec::new() }
    }
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
/// one of them has been slow or a file is to be looked at.
pub(crate) struct Gate {
    policy: Arc<Policy>,
    suspects: Arc<Semaphore>,
}

/// A ruling's parts, before the value is put in.
struct Judged {
    answer: Answer,
    rewritten: Vec<(usize, String)>,
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

    /// Counts what judges: other plugins or other lists, another number. What an older one let through is judged again
    /// before it leaves.
    pub(crate) fn epoch(&self) -> u64 {
        self.policy.begin().epoch()
    }

    /// Rules on `value`; `rewrite` puts the rewritten text of an item, by its place among the items, into it.
    pub(crate) async fn rule<T>(
        &self,
        question: Question,
        mut value: T,
        mut rewrite: impl FnMut(&mut T, usize, String),
    ) -> Result<Ruling<T>, PolicyOverloaded> {
        let Judged { answer, rewritten, trail, session } = self.judge(question).await?;
        for (index, text) in rewritten {
            rewrite(&mut value, index, text);
        }
        Ok(match answer {
            Answer::Pass => Ruling::Cleared(Cleared { value, trail, session }),
            Answer::Hold(reason) => Ruling::Held(Cleared { value, trail, session }, reason),
            Answer::Refuse(refusal) => Ruling::Refused(refusal, trail),
        })
    }

    /// Rules on texts each for itself, by their content alone: for names and the like in a call or an answer that the
    /// policy let through, where one that will not do can be left out or replaced.
    pub(crate) async fn texts(&self, call: Call, items: Vec<Item>) -> Result<Vec<Text>, PolicyOverloaded> {
        let session = self.policy.begin();
        if !session.suspect() && items.len() <= TEXTS_AT_ONCE {
            return Ok(judge_texts(&session, &call, items));
        }
        self.aside(move |_| judge_texts(&session, &call, items)).await
    }

    async fn judge(&self, question: Question) -> Result<Judged, PolicyOverloaded> {
        let session = self.policy.begin();
        // Files are read while they are judged.
        if !session.suspect() && question.items.iter().all(|item| item.body.is_none()) {
            return Ok(judge_now(&self.policy, session, question));
        }
        self.aside(move |policy| judge_now(policy, session, question)).await
    }

    /// Judges on the bounded pool.
    async fn aside<T: Send + 'static>(
        &self,
        judge: impl FnOnce(&Policy) -> T + Send + 'static,
    ) -> Result<T, PolicyOverloaded> {
        let place = tokio::time::timeout(SUSPECT_WAIT, self.suspects.clone().acquire_owned())
            .await
            .map_err(|_| PolicyOverloaded)?
            .map_err(|_| PolicyOverloaded)?;
        let policy = self.policy.clone();
        tokio::task::spawn_blocking(move || {
            let _place = place;
            judge(&policy)
        })
        .await
        .map_err(|_| PolicyOverloaded)
    }
}

/// What became of a text that is judged for itself: the text as it may be shown, or why it may not, with the record of that.
pub(crate) type Text = Result<String, (Refusal, Box<Trail>)>;

fn judge_texts(session: &Session, call: &Call, items: Vec<Item>) -> Vec<Text> {
    items.into_iter().map(|item| judge_text(session, call, item)).collect()
}

fn judge_text(session: &Session, call: &Call, item: Item) -> Text {
    let Judgement { answer, mut rewritten, labels, steps } = session.judge_content(call, std::slice::from_ref(&item));
    let refusal = match Answer::from(answer) {
        Answer::Pass => return Ok(rewritten.pop().map_or(item.text, |(_, text)| text)),
        Answer::Refuse(refusal) => refusal,
        // Nothing of a call or an answer can wait by itself.
        Answer::Hold(reason) => refusal(Code::DENIED_BY_CONTENT, Some(reason), "content policy"),
    };
    let mut decision = Decision::new(call.time_ms, session);
    decision.steps(steps);
    decision.labels = labels;
    let fields = vec![("reason".to_owned(), refusal.message.clone()), ("text".to_owned(), item.text)];
    let code = refusal.code.number().unsigned_abs();
    let event = Event { call: call.clone(), outcome: "rejected".into(), code, fields };
    let recorded = session.audit(&event);
    Err((refusal, Box::new(Trail::new(decision, event, recorded))))
}

fn judge_now(policy: &Policy, session: Session, question: Question) -> Judged {
    let Question { call, items, mut fields } = question;
    let judgement = session.judge(&call, &items);
    policy.overhear(&call, &items, &judgement);
    let outcome = judgement.outcome();
    metrics::counter!("isthmus_decisions_total", "outcome" => outcome).increment(1);
    let Judgement { answer, rewritten, labels, steps } = judgement;
    let answer = Answer::from(answer);
    let mut code = 0;
    if let Answer::Refuse(refusal) = &answer {
        fields.push(("reason".into(), refusal.message.clone()));
        code = refusal.code.number().unsigned_abs();
    }
    let mut decision = Decision::new(call.time_ms, &session);
    decision.steps(steps);
    decision.labels = labels;
    let event = Event { call, outcome: outcome.into(), code, fields };
    let recorded = session.audit(&event);
    Judged { answer, rewritten, trail: Trail::new(decision, event, recorded), session }
}

impl From<isthmus_policy::Answer> for Answer {
    fn from(answer: isthmus_policy::Answer) -> Answer {
        use isthmus_policy::Answer as Said;
        match answer {
            Said::Pass => Answer::Pass,
            Said::Hold(reason) => Answer::Hold(reason),
            Said::Deny(reason) => Answer::Refuse(refusal(Code::DENIED_BY_ACCESS, reason, "access policy")),
            Said::Reject(reason) => Answer::Refuse(refusal(Code::DENIED_BY_CONTENT, Some(reason), "content policy")),
        }
    }
}

/// The plugin's public words, or ours: never the policy's content.
fn refusal(code: Code, reason: Option<Reason>, by: &str) -> Refusal {
    let text = reason.map(|r| r.text).filter(|t| !t.is_empty());
    Refusal { code, field: None, message: text.unwrap_or_else(|| format!("denied by {by}")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use isthmus_policy::{BundleSource, NoServices, PolicyOptions};
    use isthmus_store::{Options, Store, WriteError};

    use super::*;

    fn bundle(access: &str) -> Vec<(String, Vec<u8>)> {
        let text = format!("name = \"{access}\"\n[defaults]\naccess = \"{access}\"\n");
        vec![("policy.toml".to_owned(), text.into_bytes())]
    }

    fn policy(dir: &std::path::Path) -> Policy {
        Policy::open(PolicyOptions {
            dir: dir.to_owned(),
            key: [7; 32],
            trusted_keys: Vec::new(),
            signatures_needed: 1,
            allow_unsigned: true,
            builtins: &[],
            default_bundle: BundleSource::Files(bundle("allow")),
            services: Arc::new(NoServices),
            redaction_key: [9; 32],
            breaker: isthmus_policy::Breaker::default(),
        })
        .unwrap()
    }

    #[test]
    fn what_an_old_policy_cleared_is_not_committed_once_activate_has_answered() {
        let dir = tempfile::tempdir().unwrap();
        let policy = policy(&dir.path().join("policy"));
        let store = Store::open(&Options::new(dir.path().join("data"), dir.path().join("keys"), "north", "north/t"));
        let (store, home) = (store.unwrap(), ServerId::parse("north").unwrap());
        let session = policy.begin();
        let rule = |session: &Session| carry_out(session.clone(), home.clone(), 0, |_, _| Ok(()));
        store.write_blocking(rule(&session)).unwrap();
        let next = dir.path().join("next");
        std::fs::create_dir(&next).unwrap();
        std::fs::write(next.join("policy.toml"), &bundle("deny")[0].1).unwrap();
        assert!(!policy.activate(&next, "test", "a request is held").unwrap().drained);
        match store.write_blocking(rule(&session)) {
            Err(WriteError::Refused(Error::Refused(refusal))) => assert_eq!(refusal.code, Code::OVERLOADED),
            other => unreachable!("{other:?}"),
        }
        store.write_blocking(rule(&policy.begin())).unwrap();
    }
}
