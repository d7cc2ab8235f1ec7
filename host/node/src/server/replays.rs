//! Replay: the audit log's decisions before a candidate, beside everything else that the server does.
//!
//! One replay at a time, on one thread of its own; it may be looked at while it runs, and stopped.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use isthmus_domain::AuditRecord;
use isthmus_policy::{BundleSource, Call, Direction, Item, Peer, Recorded, Replay, Said};
use isthmus_store::StoreError;
use isthmus_wire::ServerId;
use isthmus_wire::code::Code;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::audit_search::blocking;
use super::policies::broken;
use crate::clock;
use crate::reply::Problem;

/// Records read at once.
const STEP: u64 = 1024;
/// Records that are looked at if the caller does not say.
const LIMIT: u64 = 100_000;

/// Which records.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Range {
    pub(crate) from_ms: Option<u64>,
    pub(crate) to_ms: Option<u64>,
    /// Only so many of the newest records.
    pub(crate) limit: Option<u64>,
}

/// The replay that runs, or the last one that ran.
#[derive(Default)]
pub(crate) struct Replays(Mutex<Option<Arc<Job>>>);

struct Job {
    began_ms: u64,
    total: u64,
    done: AtomicU64,
    over: AtomicBool,
    stop: AtomicBool,
    /// Once it is over, or while it runs as far as it has come.
    report: Mutex<Value>,
    failed: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Job {
    fn view(&self) -> Value {
        let over = self.over.load(Ordering::Acquire);
        let mut view = json!({"running": !over, "beganMs": self.began_ms, "total": self.total,
            "done": self.done.load(Ordering::Relaxed)});
        if over {
            view["report"] = lock(&self.report).clone();
            view["stopped"] = self.stop.load(Ordering::Relaxed).into();
        }
        if let Some(failed) = &*lock(&self.failed) {
            view["failed"] = failed.as_str().into();
        }
        view
    }
}

impl Server {
    /// Begins a replay; answers once the candidate is prepared.
    pub(crate) async fn start_replay(self: &Arc<Self>, source: BundleSource, range: Range) -> Result<Value, Problem> {
        let busy = || Problem::refused(Code::WRONG_STATE, "a replay is running: wait for it, or stop it");
        if lock(&self.replays.0).as_ref().is_some_and(|job| !job.over.load(Ordering::Acquire)) {
            return Err(busy());
        }
        let server = self.clone();
        let prepared = blocking(move || server.policy.replay(source)).await?;
        let mut replay = prepared.map_err(|diagnostics| broken(&diagnostics))?;
        let size = self.store.stats().audit_size;
        let start = size.saturating_sub(range.limit.unwrap_or(LIMIT));
        let job = Arc::new(Job {
            began_ms: clock::now_ms(),
            total: size - start,
            done: AtomicU64::new(0),
            over: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            report: Mutex::new(Value::Null),
            failed: Mutex::new(None),
        });
        {
            let mut running = lock(&self.replays.0);
            if running.as_ref().is_some_and(|job| !job.over.load(Ordering::Acquire)) {
                return Err(busy());
            }
            *running = Some(job.clone());
        }
        let (server, running) = (self.clone(), job.clone());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = server.replay(&mut replay, &running, &range, start..size) {
                *lock(&running.failed) = Some(error.to_string());
            }
            *lock(&running.report) = serde_json::to_value(replay.report()).unwrap_or_default();
            running.over.store(true, Ordering::Release);
        });
        Ok(job.view())
    }

    pub(crate) fn replay_view(&self) -> Result<Value, Problem> {
        let job = lock(&self.replays.0).clone();
        job.map(|job| job.view())
            .ok_or_else(|| Problem::refused(Code::NOT_FOUND, "nothing was replayed since the start"))
    }

    pub(crate) fn stop_replay(&self) -> Result<Value, Problem> {
        if let Some(job) = &*lock(&self.replays.0) {
            job.stop.store(true, Ordering::Relaxed);
        }
        self.replay_view()
    }

    fn replay(
        &self,
        replay: &mut Replay,
        job: &Job,
        range: &Range,
        indices: std::ops::Range<u64>,
    ) -> Result<(), StoreError> {
        let mut start = indices.start;
        while start < indices.end && !job.stop.load(Ordering::Relaxed) {
            let end = (start + STEP).min(indices.end);
            for numbered in self.store.audit_records(start, usize::try_from(end - start).unwrap_or(usize::MAX))? {
                let Some(bytes) = &numbered.record else { continue };
                let Ok(record) = AuditRecord::parse(bytes) else { continue };
                let wanted = range.from_ms.is_none_or(|from| record.time_ms >= from)
                    && range.to_ms.is_none_or(|to| record.time_ms <= to);
                if let Some(recorded) = wanted.then(|| self.decision_of(&record)).flatten() {
                    replay.judge(&recorded);
                }
            }
            job.done.fetch_add(end - start, Ordering::Relaxed);
            start = end;
        }
        Ok(())
    }

    /// A decision of the access and content plugins as its record tells it; none for any other record.
    fn decision_of(&self, record: &AuditRecord<'_>) -> Option<Recorded> {
        let of_administrator = ["admin.", "policy.", "held.", "audit."];
        if record.outcome == "failed" || of_administrator.iter().any(|start| record.operation.starts_with(start)) {
            return None;
        }
        let direction = match &*record.direction {
            "inbound" => Direction::Inbound,
            "outbound" => Direction::Outbound,
            _ => Direction::Internal,
        };
        let peer = (!record.peer.is_empty()).then(|| match ServerId::parse(&record.peer) {
            Ok(id) => self.peer_facts(&id),
            Err(_) => Peer { id: record.peer.to_string(), ..Peer::default() },
        });
        let said = !matches!(&*record.operation, "user.login" | "server.connect");
        let text = record.fields.get("text");
        let items = text.map(|text| item(kind_of(&record.operation), text)).into_iter().collect();
        let fact = |(name, value): (&Cow<'_, str>, &Cow<'_, str>)| {
            let ours = matches!(&**name, "text" | "reason" | "unredacted");
            (!ours).then(|| owned((name, value)))
        };
        Some(Recorded {
            call: Call {
                operation: record.operation.to_string().into(),
                direction,
                peer,
                actor: record.actor.to_string(),
                target: record.target.to_string(),
                time_ms: record.time_ms,
                attributes: record.fields.iter().filter_map(fact).collect(),
            },
            whole: text.is_some() || !said,
            items,
            named: !redacted(&record.actor) && !redacted(&record.target) && !record.actor.is_empty(),
            said: decided(record),
            micros: record.steps.iter().filter(|step| step.verdict != "treat").map(|step| u64::from(step.micros)).sum(),
            id: record.fields.get("messageID").map_or_else(|| record.id.to_string(), ToString::to_string),
            code: record.code.unsigned_abs(),
            severity: record.severity.to_string(),
            fields: record.fields.iter().filter(|(name, _)| *name != "unredacted").map(owned).collect(),
        })
    }
}

fn owned((name, value): (&Cow<'_, str>, &Cow<'_, str>)) -> (String, String) {
    (name.to_string(), value.to_string())
}

fn decided(record: &AuditRecord<'_>) -> Said {
    let last = record.steps.iter().rev().find(|step| !matches!(&*step.verdict, "abstain" | "pass" | "allow" | "treat"));
    let ended = matches!(&*record.outcome, "denied" | "rejected" | "held");
    Said {
        outcome: record.outcome.to_string(),
        reason: last.filter(|_| ended).and_then(|step| step.reason.as_ref().map(ToString::to_string)),
        plugin: last.map(|step| step.plugin.to_string()),
        fault: None,
    }
}

/// The audit plugins left a hash or a mask of it.
fn redacted(name: &str) -> bool {
    name.starts_with("blake3k:") || name.contains('*')
}

/// What a text of this operation is, as `wit/1.0.0/policy.wit` names it.
pub(crate) fn kind_of(operation: &str) -> &'static str {
    match operation.split('.').next() {
        Some("friend") => "friend.remark",
        Some("group") => "group.text",
        Some("user" | "profile") => "profile.text",
        _ => "message.text",
    }
}

pub(crate) fn item(kind: &str, text: &str) -> Item {
    super::gate::text(kind.to_owned(), text)
}
