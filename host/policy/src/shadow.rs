//! Shadow: a candidate judges live traffic beside the active policy.
//!
//! Requests are overheard after the active policy has judged them, and events after it has said how they are recorded, into a
//! bounded queue: what finds no place is counted and forgotten. One thread judges them. Nothing that the candidate does, or fails to do, reaches a request.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use serde::Serialize;

use crate::bundle::diagnostic::{Diagnostic, Diagnostics};
use crate::call::{Call, Event, Item};
use crate::judge::{Judgement, Said};
use crate::options::BundleSource;
use crate::outcome::AuditOutcome;
use crate::policy::{Policy, lock};
use crate::records::{Kept, RecordChange, Records};
use crate::rehearsal::{Candidate, Comparison, Decided};
use crate::report::PluginStats;
use crate::sandbox::now_ms;

/// Requests and events that wait for the candidate, and their bytes. A file is not copied but kept open: it counts as more.
const QUEUE: usize = 1_024;
const QUEUE_BYTES: usize = 16 << 20;
const FILE_BYTES: usize = 256 << 10;
/// Names and the like that come with each.
const OVERHEAD: usize = 512;

/// How a candidate fares beside the active policy.
#[derive(Clone, Debug, Serialize)]
pub struct ShadowReport {
    /// Whether it still listens.
    pub running: bool,
    /// The candidate's name.
    pub name: String,
    /// blake3 of its bundle, hex.
    pub digest: String,
    /// Who started it.
    pub by: String,
    /// Since when, in milliseconds since 1970 UTC.
    pub since_ms: u64,
    /// Until when; now if it still listens.
    pub until_ms: u64,
    /// Requests and events that the candidate had no time for.
    pub dropped: u64,
    /// What both said.
    pub comparison: Comparison,
    /// Events of which both said how they are to be recorded.
    pub events: u64,
    /// What the candidate would have recorded otherwise, the most frequent first.
    pub records: Vec<RecordChange>,
    /// What the candidate's plugins said: one that never said anything but `abstain` and `pass` was not put to the test.
    pub plugins: Vec<PluginStats>,
    /// Warnings of its check.
    pub diagnostics: Vec<Diagnostic>,
}

/// What was overheard, and its bytes.
struct Heard {
    what: What,
    bytes: usize,
}

enum What {
    Request { call: Call, items: Vec<Item>, said: Said, rewritten: Vec<(usize, String)>, micros: u64 },
    Event { event: Event, outcome: AuditOutcome },
}

/// What came of it.
#[derive(Default)]
struct Found {
    comparison: Comparison,
    events: u64,
    records: Records,
}

/// A candidate that listens.
pub(crate) struct Shadow {
    queue: SyncSender<Heard>,
    stage: Arc<Stage>,
}

pub(crate) struct Stage {
    candidate: Candidate,
    by: String,
    since_ms: u64,
    until_ms: AtomicU64,
    over: AtomicBool,
    queued_bytes: AtomicUsize,
    dropped: AtomicU64,
    found: Mutex<Found>,
}

impl Stage {
    fn report(&self) -> ShadowReport {
        let over = self.over.load(Ordering::Acquire);
        let found = lock(&self.found);
        ShadowReport {
            running: !over,
            name: self.candidate.name().to_owned(),
            digest: self.candidate.digest().to_owned(),
            by: self.by.clone(),
            since_ms: self.since_ms,
            until_ms: if over { self.until_ms.load(Ordering::Relaxed) } else { now_ms() },
            dropped: self.dropped.load(Ordering::Relaxed),
            comparison: found.comparison.finished(),
            events: found.events,
            records: found.records.changes(),
            plugins: self.candidate.figures(),
            diagnostics: self.candidate.diagnostics.clone(),
        }
    }

    /// Judges until nobody can be overheard any more.
    fn run(&self, heard: &Receiver<Heard>) {
        while let Ok(heard) = heard.recv() {
            self.queued_bytes.fetch_sub(heard.bytes, Ordering::Relaxed);
            if self.over.load(Ordering::Acquire) {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            match heard.what {
                What::Request { call, items, said, rewritten, micros } => {
                    let decided = Decided { said, rewritten: Some(&rewritten), micros, id: message_id(&call) };
                    let judgement = self.candidate.session().judge(&call, &items);
                    lock(&self.found).comparison.add(&call, &decided, &judgement);
                }
                What::Event { event, outcome } => self.treat(&event, &outcome),
            }
        }
    }

    fn treat(&self, event: &Event, outcome: &AuditOutcome) {
        let kept = Kept { severity: outcome.severity.as_str(), outcome: Some(outcome), id: message_id(&event.call) };
        let candidate = self.candidate.session().audit(event);
        let mut found = lock(&self.found);
        found.events += 1;
        found.records.add(event, &kept, &candidate);
    }
}

fn message_id(call: &Call) -> &str {
    call.attributes.iter().find(|(name, _)| name == "messageID").map_or("", |(_, id)| id)
}

impl Shadow {
    /// Takes what was overheard if there is room; makes it only then.
    fn take(&self, bytes: usize, what: impl FnOnce() -> What) {
        let stage = &self.stage;
        if stage.over.load(Ordering::Acquire) {
            return;
        }
        if stage.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES {
            stage.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            stage.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let heard = Heard { what: what(), bytes };
        if let Err(TrySendError::Full(heard) | TrySendError::Disconnected(heard)) = self.queue.try_send(heard) {
            stage.queued_bytes.fetch_sub(heard.bytes, Ordering::Relaxed);
            stage.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hears how the active policy has an event recorded. Never waits.
    pub(crate) fn overhear_event(&self, event: &Event, outcome: &AuditOutcome) {
        let bytes = |fields: &[(String, String)]| fields.iter().map(|(_, value)| value.len()).sum::<usize>();
        self.take(bytes(&event.fields) + bytes(&outcome.fields) + OVERHEAD, || What::Event {
            event: event.clone(),
            outcome: outcome.clone(),
        });
    }
}

impl Policy {
    /// Lets a bundle judge live traffic beside the active policy, in place of one that did so far. Blocks: compiles.
    ///
    /// # Errors
    /// All [`Diagnostics`], if one of them is an error.
    pub fn shadow_start(&self, source: impl Into<BundleSource>, by: &str) -> Result<ShadowReport, Diagnostics> {
        let candidate = self.candidate(&source.into(), None)?;
        self.shadow_stop();
        let stage = Arc::new(Stage {
            candidate,
            by: by.to_owned(),
            since_ms: now_ms(),
            until_ms: AtomicU64::new(0),
            over: AtomicBool::new(false),
            queued_bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            found: Mutex::default(),
        });
        let (queue, heard) = sync_channel(QUEUE);
        let judging = stage.clone();
        let spawned = thread::Builder::new().name("isthmus-shadow".into()).spawn(move || judging.run(&heard));
        spawned.map_err(|error| {
            Diagnostics(vec![Diagnostic::error("policy.toml", format!("no thread for the shadow: {error}"))])
        })?;
        *lock(&self.last_shadow) = Some(stage.clone());
        let report = stage.report();
        self.shadow.store(Some(Arc::new(Shadow { queue, stage })));
        Ok(report)
    }

    /// Ends it; its last report stays to be read. None if there was none.
    pub fn shadow_stop(&self) -> Option<ShadowReport> {
        let shadow = self.shadow.swap(None)?;
        shadow.stage.until_ms.store(now_ms(), Ordering::Relaxed);
        shadow.stage.over.store(true, Ordering::Release);
        Some(shadow.stage.report())
    }

    /// How the candidate fares, or fared; none if there was none since the start.
    #[must_use]
    pub fn shadow_report(&self) -> Option<ShadowReport> {
        lock(&self.last_shadow).as_ref().map(|stage| stage.report())
    }

    /// Lets the shadow hear a request that the active policy has judged. Costs nothing to speak of without a shadow, a
    /// copy with one; never waits.
    pub fn overhear(&self, call: &Call, items: &[Item], judgement: &Judgement) {
        let shadow = self.shadow.load();
        let Some(shadow) = &*shadow else { return };
        let weight = |item: &Item| item.text.len() + item.body.as_ref().map_or(0, |_| FILE_BYTES);
        let texts = items.iter().map(weight).sum::<usize>();
        let bytes = texts + judgement.rewritten.iter().map(|(_, text)| text.len()).sum::<usize>() + OVERHEAD;
        shadow.take(bytes, || What::Request {
            call: call.clone(),
            items: items.to_vec(),
            said: judgement.into(),
            rewritten: judgement.rewritten.clone(),
            micros: judgement.micros(),
        });
    }
}

/// What stays of the last shadow.
pub(crate) type LastShadow = Mutex<Option<Arc<Stage>>>;
