//! Figures per plugin, by its name in the bundle: they outlive generations.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::fault::PluginFault;
use crate::lanes::Lanes;
use crate::report::{PluginStats, TIME_BUCKETS};

const VERDICTS: [&str; 9] = ["allow", "deny", "abstain", "pass", "reject", "rewrite", "hold", "treat", "fault"];

/// Counters of one plugin.
#[derive(Default)]
pub(crate) struct Figures {
    lanes: Lanes<Counted>,
    /// The most memory that one instance had, in bytes.
    peak_memory: AtomicU64,
    pub(crate) counted: Mutex<BTreeMap<String, u64>>,
}

/// What some of the threads have counted.
#[derive(Default)]
struct Counted {
    verdicts: [AtomicU64; VERDICTS.len()],
    faults: [AtomicU64; PluginFault::KINDS.len()],
    micros: AtomicU64,
    histogram: [AtomicU64; TIME_BUCKETS.len() + 1],
}

impl Figures {
    pub(crate) fn record(&self, verdict: &'static str, fault: Option<&PluginFault>, micros: u32) {
        let counted = self.lanes.own();
        if let Some(at) = VERDICTS.iter().position(|name| *name == verdict) {
            counted.verdicts[at].fetch_add(1, Ordering::Relaxed);
        }
        if let Some(fault) = fault {
            counted.faults[fault.index()].fetch_add(1, Ordering::Relaxed);
        }
        counted.micros.fetch_add(u64::from(micros), Ordering::Relaxed);
        let bucket = TIME_BUCKETS.iter().position(|bound| micros <= *bound).unwrap_or(TIME_BUCKETS.len());
        counted.histogram[bucket].fetch_add(1, Ordering::Relaxed);
    }

    fn sum(&self, of: impl Fn(&Counted) -> &AtomicU64) -> u64 {
        self.lanes.all().map(|counted| of(counted).load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn note_memory(&self, bytes: usize) {
        // Each fresh instance comes by here, and hardly one of them needs more than all before.
        if bytes as u64 > self.peak_memory() {
            self.peak_memory.fetch_max(bytes as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn peak_memory(&self) -> u64 {
        self.peak_memory.load(Ordering::Relaxed)
    }

    /// The next instance's memory is the most again.
    pub(crate) fn forget_peak(&self) {
        self.peak_memory.store(0, Ordering::Relaxed);
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> u64 {
        (0..=TIME_BUCKETS.len()).map(|bucket| self.sum(|counted| &counted.histogram[bucket])).sum()
    }

    pub(crate) fn read(&self, plugin: &str) -> PluginStats {
        let histogram: Vec<u64> =
            (0..=TIME_BUCKETS.len()).map(|bucket| self.sum(|counted| &counted.histogram[bucket])).collect();
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        PluginStats {
            plugin: plugin.to_owned(),
            calls: histogram.iter().sum(),
            verdicts: named(&VERDICTS, |at| self.sum(|counted| &counted.verdicts[at])),
            faults: named(&PluginFault::KINDS, |at| self.sum(|counted| &counted.faults[at])),
            micros: self.sum(|counted| &counted.micros),
            histogram,
            counted: counted.iter().map(|(name, sum)| (name.clone(), *sum)).collect(),
        }
    }
}

fn named(names: &[&'static str], value: impl Fn(usize) -> u64) -> Vec<(&'static str, u64)> {
    names.iter().enumerate().map(|(at, name)| (*name, value(at))).filter(|(_, value)| *value > 0).collect()
}

/// The figures of all plugins that this process has run.
#[derive(Default)]
pub(crate) struct AllFigures {
    by_name: Mutex<HashMap<String, Arc<Figures>>>,
}

impl AllFigures {
    pub(crate) fn of(&self, plugin: &str) -> Arc<Figures> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        by_name.entry(plugin.to_owned()).or_default().clone()
    }

    /// Sorted by name.
    pub(crate) fn read(&self) -> Vec<PluginStats> {
        let by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = by_name.iter().map(|(name, figures)| figures.read(name)).collect();
        all.sort_by(|a, b| a.plugin.cmp(&b.plugin));
        all
    }
}
