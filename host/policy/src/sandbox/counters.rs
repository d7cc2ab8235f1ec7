//! Counters over sliding windows, and token buckets, that the host keeps for plugins: they survive a
//! swap and are shared by all instances, so that a rate limit means what it says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A window is kept in so many parts; a count is exact to one part of its window.
const PARTS: usize = 16;
/// Keys in all. Plugins form keys from user input.
const KEYS: usize = 200_000;
const KEY_BYTES: usize = 256;

/// Looking for idle keys takes long: not more often than this.
const SWEEP_MS: u64 = 1_000;

#[derive(Default)]
pub(crate) struct Counters {
    inner: Mutex<Inner>,
    /// Counters that these begin with, key by key, and never change.
    behind: Option<Arc<Counters>>,
}

#[derive(Default)]
struct Inner {
    windows: HashMap<(String, u32), Window>,
    /// By key and shape: the moment, in microseconds since 1970, when the bucket is full again.
    buckets: HashMap<(String, Bucket), u64>,
    swept_ms: u64,
}

/// A token bucket's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bucket {
    /// Tokens that it holds at most.
    pub(crate) burst: u32,
    /// How long it takes to fill an empty one.
    pub(crate) fill_ms: u32,
}

impl Inner {
    /// Whether a new key finds a place. Keys in use are never forgotten for new ones: that would let
    /// a flood of new keys lift the limits of old ones.
    fn room(&mut self, now_ms: u64) -> bool {
        if self.len() >= KEYS && now_ms >= self.swept_ms + SWEEP_MS {
            self.swept_ms = now_ms;
            self.windows.retain(|(_, window), counter| counter.newest + PARTS as u64 > now_ms / part_ms(*window));
            self.buckets.retain(|_, full_us| *full_us > now_ms * 1_000);
        }
        self.len() < KEYS
    }

    fn len(&self) -> usize {
        self.windows.len() + self.buckets.len()
    }
}

#[derive(Clone)]
struct Window {
    /// Number of the newest part since 1970.
    newest: u64,
    parts: [u64; PARTS],
}

impl Window {
    fn advance(&mut self, part: u64) {
        let behind = part.saturating_sub(self.newest);
        for step in 0..behind.min(PARTS as u64) {
            self.parts[((self.newest + 1 + step) % PARTS as u64) as usize] = 0;
        }
        self.newest = self.newest.max(part);
    }

    fn sum(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(*part))
    }
}

impl Counters {
    /// Counters that begin as others are, and leave those alone.
    pub(crate) fn over(behind: Arc<Counters>) -> Self {
        Self { inner: Mutex::default(), behind: Some(behind) }
    }

    fn of_behind(&self, key: &(String, u32)) -> Option<Window> {
        let behind = self.behind.as_ref()?;
        behind.inner.lock().unwrap_or_else(PoisonError::into_inner).windows.get(key).cloned()
    }

    /// Adds to a plugin's counter and returns its sum over the window. A key too long or too many is
    /// not kept.
    pub(crate) fn add(&self, plugin: &str, key: &str, amount: u32, window_ms: u32, now_ms: u64) -> u64 {
        if key.len() > KEY_BYTES || window_ms == 0 {
            return u64::from(amount);
        }
        let part = now_ms / part_ms(window_ms);
        let key = (format!("{plugin}\0{key}"), window_ms);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if !inner.windows.contains_key(&key) && !inner.room(now_ms) {
            return u64::from(amount);
        }
        let fresh = |key: &(String, u32)| self.of_behind(key).unwrap_or(Window { newest: part, parts: [0; PARTS] });
        let window = inner.windows.entry(key).or_insert_with_key(fresh);
        window.advance(part);
        let slot = &mut window.parts[(part % PARTS as u64) as usize];
        *slot = slot.saturating_add(u64::from(amount));
        window.sum()
    }

    /// The sum over the window, unchanged.
    pub(crate) fn sum(&self, plugin: &str, key: &str, window_ms: u32, now_ms: u64) -> u64 {
        if window_ms == 0 {
            return 0;
        }
        let part = now_ms / part_ms(window_ms);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (format!("{plugin}\0{key}"), window_ms);
        match inner.windows.get_mut(&key) {
            Some(window) => {
                window.advance(part);
                window.sum()
            }
            None => self.of_behind(&key).map_or(0, |mut window| {
                window.advance(part);
                window.sum()
            }),
        }
    }
}

impl Counters {
    /// Begins anew.
    pub(crate) fn forget(&self) {
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = Inner::default();
    }

    fn bucket_of_behind(&self, key: &(String, Bucket)) -> Option<u64> {
        let behind = self.behind.as_ref()?;
        behind.inner.lock().unwrap_or_else(PoisonError::into_inner).buckets.get(key).copied()
    }

    /// Takes tokens out of a plugin's bucket: 0 if they were there, else the milliseconds to wait for them. More than it
    /// ever holds is never there. A key too long or too many has no bucket, and nothing is taken from it.
    pub(crate) fn take(&self, plugin: &str, key: &str, tokens: u32, bucket: Bucket, now_ms: u64) -> u64 {
        if key.len() > KEY_BYTES || tokens == 0 || bucket.fill_ms == 0 {
            return 0;
        }
        if tokens > bucket.burst {
            return u64::from(bucket.fill_ms);
        }
        let (now_us, fill_us) = (now_ms * 1_000, u64::from(bucket.fill_ms) * 1_000);
        let cost_us = (fill_us * u64::from(tokens)).div_ceil(u64::from(bucket.burst));
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (format!("{plugin}\0{key}"), bucket);
        if !inner.buckets.contains_key(&key) && !inner.room(now_ms) {
            return 0;
        }
        let begun = |key: &(String, Bucket)| self.bucket_of_behind(key).unwrap_or(now_us);
        let full_us = inner.buckets.entry(key).or_insert_with_key(begun);
        let after_us = (*full_us).max(now_us) + cost_us;
        let late_us = after_us.saturating_sub(now_us + fill_us);
        if late_us == 0 {
            *full_us = after_us;
        }
        late_us.div_ceil(1_000)
    }
}

fn part_ms(window_ms: u32) -> u64 {
    (u64::from(window_ms) / PARTS as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_forgets_what_lies_before_its_window() {
        let counters = Counters::default();
        assert_eq!(counters.add("p", "alice", 2, 16_000, 1_000_000), 2);
        assert_eq!(counters.add("p", "alice", 1, 16_000, 1_008_000), 3);
        assert_eq!(counters.sum("p", "alice", 16_000, 1_015_999), 3);
        assert_eq!(counters.sum("p", "alice", 16_000, 1_017_000), 1);
        assert_eq!(counters.sum("p", "alice", 16_000, 1_100_000), 0);
    }

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_at_its_rate() {
        let counters = Counters::default();
        let take = |tokens, now_ms| counters.take("p", "alice", tokens, Bucket { burst: 4, fill_ms: 1_000 }, now_ms);
        for at in [5_000, 5_000, 5_001, 5_001] {
            assert_eq!(take(1, at), 0);
        }
        assert_eq!(take(1, 5_100), 150, "the next token is there after a quarter of a second");
        assert_eq!(take(1, 5_249), 1, "asking in vain costs nothing");
        assert_eq!(take(1, 5_250), 0);
        assert_eq!(take(4, 9_000), 0, "full again, and no fuller");
        assert_eq!(take(1, 9_000), 250);
        assert_eq!(take(5, 99_000), 1_000, "more than it ever holds");
        assert_eq!(counters.take("q", "alice", 4, Bucket { burst: 4, fill_ms: 1_000 }, 9_000), 0, "another plugin's");
    }

    #[test]
    fn counters_over_others_begin_as_they_are_and_leave_them_alone() {
        let live = Arc::new(Counters::default());
        live.add("p", "alice", 3, 60_000, 5_000);
        let aside = Counters::over(live.clone());
        assert_eq!(aside.sum("p", "alice", 60_000, 5_000), 3);
        assert_eq!(aside.add("p", "alice", 1, 60_000, 5_000), 4);
        assert_eq!((aside.sum("p", "alice", 60_000, 5_000), live.sum("p", "alice", 60_000, 5_000)), (4, 3));
    }

    #[test]
    fn counters_of_plugins_keys_and_windows_are_apart() {
        let counters = Counters::default();
        counters.add("p", "alice", 1, 1_000, 5_000);
        for (plugin, key, window) in [("q", "alice", 1_000), ("p", "bob", 1_000), ("p", "alice", 2_000)] {
            assert_eq!(counters.sum(plugin, key, window, 5_000), 0);
        }
    }

    #[test]
    fn keys_are_bounded_and_a_flood_of_new_ones_lifts_no_limit() {
        let counters = Counters::default();
        counters.add("p", "alice", 7, 60_000, 5_000);
        for i in 0..KEYS + 10 {
            counters.add("p", &i.to_string(), 1, 60_000, 5_000);
        }
        assert_eq!(counters.sum("p", "alice", 60_000, 5_000), 7);
        assert_eq!(counters.sum("p", &(KEYS + 9).to_string(), 60_000, 5_000), 0);
        assert_eq!(counters.add("p", "bob", 1, 60_000, 100_000), 1);
        assert_eq!(counters.sum("p", "bob", 60_000, 100_000), 1, "idle keys give way");
    }
}
