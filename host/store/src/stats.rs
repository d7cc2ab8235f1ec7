//! Figures for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper bounds of the batch size buckets; the last bucket has no bound.
pub(crate) const BUCKETS: usize = 10;

/// What the store has done since it was opened.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Commits that reached the disk.
    pub commits: u64,
    /// Rules run, whatever their end.
    pub rules: u64,
    /// Rules that refused.
    pub refused: u64,
    /// Rules that ended in a fault (panic, failed commit).
    pub faults: u64,
    /// Rules waiting now.
    pub queue_len: usize,
    /// Time in commits, in microseconds, summed.
    pub commit_micros: u64,
    /// The longest commit, in microseconds.
    pub commit_micros_max: u64,
    /// Time in rules and their writes (without the commit), in microseconds, summed.
    pub rule_micros: u64,
    /// Batches by size: bucket `i` counts those of at most `2^i` rules, the last all greater ones.
    pub batch_sizes: [u64; BUCKETS],
    /// Leaves of the audit log.
    pub audit_size: u64,
    /// Leaves of the audit log that a signed checkpoint covers.
    pub audit_checkpoint: u64,
    /// Whether the store has stopped after a failed commit.
    pub failed: bool,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) commits: AtomicU64,
    pub(crate) rules: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) commit_micros: AtomicU64,
    pub(crate) commit_micros_max: AtomicU64,
    pub(crate) rule_micros: AtomicU64,
    pub(crate) batch_sizes: [AtomicU64; BUCKETS],
    pub(crate) audit_size: AtomicU64,
    pub(crate) audit_checkpoint: AtomicU64,
}

impl Counts {
    pub(crate) fn batch(&self, rules: usize) {
        let bucket = (usize::BITS - rules.saturating_sub(1).leading_zeros()) as usize;
        self.batch_sizes[bucket.min(BUCKETS - 1)].fetch_add(1, Relaxed);
        self.rules.fetch_add(rules as u64, Relaxed);
    }

    pub(crate) fn committed(&self, micros: u64) {
        self.commits.fetch_add(1, Relaxed);
        self.commit_micros.fetch_add(micros, Relaxed);
        self.commit_micros_max.fetch_max(micros, Relaxed);
    }

    pub(crate) fn read(&self) -> Stats {
        let n = |a: &AtomicU64| a.load(Relaxed);
        Stats {
            commits: n(&self.commits),
            rules: n(&self.rules),
            refused: n(&self.refused),
            faults: n(&self.faults),
            commit_micros: n(&self.commit_micros),
            commit_micros_max: n(&self.commit_micros_max),
            rule_micros: n(&self.rule_micros),
            batch_sizes: std::array::from_fn(|i| n(&self.batch_sizes[i])),
            audit_size: n(&self.audit_size),
            audit_checkpoint: n(&self.audit_checkpoint),
            queue_len: 0,
            failed: false,
        }
    }
}
