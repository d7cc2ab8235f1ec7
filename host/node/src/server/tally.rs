//! What happened to messages since the start, for the console: counters that only go up, from which it takes differences.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::outbox::Outcome;

/// One server's counters.
pub(crate) struct Tally {
    since_ms: u64,
    sent: AtomicU64,
    received: AtomicU64,
    delivered: AtomicU64,
    refused: AtomicU64,
    expired: AtomicU64,
    held: AtomicU64,
}

impl Tally {
    pub(crate) fn new(since_ms: u64) -> Tally {
        let zero = AtomicU64::default;
        Tally {
            since_ms,
            sent: zero(),
            received: zero(),
            delivered: zero(),
            refused: zero(),
            expired: zero(),
            held: zero(),
        }
    }

    /// A user's message was kept.
    pub(crate) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Another server's message was kept.
    pub(crate) fn received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    /// A letter to another server came to its end.
    pub(crate) fn ended(&self, outcome: &Outcome) {
        let counter = match outcome.label() {
            "delivered" => &self.delivered,
            "refused" => &self.refused,
            "expired" => &self.expired,
            _ => &self.held,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Since when it counts, in milliseconds since 1970 UTC.
    pub(crate) fn since_ms(&self) -> u64 {
        self.since_ms
    }

    pub(crate) fn view(&self) -> Value {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({"sent": of(&self.sent), "received": of(&self.received), "delivered": of(&self.delivered),
            "refused": of(&self.refused), "expired": of(&self.expired), "held": of(&self.held)})
    }
}
