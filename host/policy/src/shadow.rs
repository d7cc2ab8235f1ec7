//! Shadow: a candidate judges live traffic beside the active policy.
//!
//! Requests are overheard after the active policy has judged them, into a bounded queue: what finds no place is counted
//! and forgotten. One thread judges them. Nothing that the candidate does, or fails to do, reaches a request.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use serde::Serialize;

use crate::bundle::diagnostic::{Diagnostic, Diagnostics};
use crate::call::{Call, Item};
use crate::judge::{Judgement, Said};
use crate::options::BundleSource;
use crate::policy::{Policy, lock};
use crate::rehearsal::{Candidate, Comparison, Decided};
use crate::report::PluginStats;
use crate::sandbox::now_ms;

/// Requests that wait for the candidate, and their bytes. A file is not copied but kept open: it counts as more.
const QUEUE: usize = 1_024;
const QUEUE_BYTES: usize = 16 << 20;
const FILE_BYTES: usize = 256 << 10;

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
    /// Requests that the candidate had no time for.
    pub dropped: u64,
    /// What both said.
    pub comparison: Comparison,
    /// What the candidate's plugins said: one that never said anything but `abstain` and `pass` was not put to the test.
    pub plugins: Vec<PluginStats>,
    /// Warnings of its check.
    pub diagnostics: Vec<Diagnostic>,
}

/// A request as it was overheard.
struct Heard {
    call: Call,
    items: Vec<Item>,
    said: Said,
    rewritten: Vec<(usize, String)>,
    micros: u64,
    bytes: usize,
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
    comparison: Mutex<Comparison>,
}

impl Stage {
    fn report(&self) -> ShadowReport {
        let over = self.over.load(Ordering::Acquire);
        ShadowReport {
            running: !over,
            name: self.candidate.name().to_owned(),
            digest: self.candidate.digest().to_owned(),
            by: self.by.clone(),
            since_ms: self.since_ms,
            until_ms: if over { self.until_ms.load(Ordering::Relaxed) } else { now_ms() },
            dropped: self.dropped.load(Ordering::Relaxed),
            comparison: lock(&self.comparison).finished(),
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
            let judgement = self.candidate.session().judge(&heard.call, &heard.items);
            let id = heard.call.attributes.iter().find(|(name, _)| name == "messageID").map(|(_, id)| id.as_str());
            let decided = Decided {
                said: heard.said,
                rewritten: Some(&heard.rewritten),
                micros: heard.micros,
                id: id.unwrap_or_default(),
            };
            lock(&self.comparison).add(&heard.call, &decided, &judgement);
        }
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
            comparison: Mutex::default(),
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
        let bytes = texts + judgement.rewritten.iter().map(|(_, text)| text.len()).sum::<usize>() + 512;
        let stage = &shadow.stage;
        if stage.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES {
            stage.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            stage.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let heard = Heard {
            call: call.clone(),
            items: items.to_vec(),
            said: judgement.into(),
            rewritten: judgement.rewritten.clone(),
            micros: judgement.micros(),
            bytes,
        };
        if let Err(TrySendError::Full(heard) | TrySendError::Disconnected(heard)) = shadow.queue.try_send(heard) {
            stage.queued_bytes.fetch_sub(heard.bytes, Ordering::Relaxed);
            stage.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What stays of the last shadow.
pub(crate) type LastShadow = Mutex<Option<Arc<Stage>>>;
