//! Counters over sliding windows that the host keeps for plugins: they survive a swap and are
//! shared by all instances, so that a rate limit means what it says.

use std::collections::HashMap;
use std::sync::Mutex;

/// A window is kept in so many parts; a count is exact to one part of its window.
const PARTS: usize = 16;
/// Keys in all. Plugins form keys from user input: beyond this the idle ones go first.
const KEYS: usize = 200_000;
const KEY_BYTES: usize = 256;

#[derive(Default)]
pub(crate) struct Counters {
    windows: Mutex<HashMap<(String, u32), Window>>,
}

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
    /// Adds to a plugin's counter and returns its sum over the window. A key too long is not
    /// counted.
    pub(crate) fn add(&self, plugin: &str, key: &str, amount: u32, window_ms: u32, now_ms: u64) -> u64 {
        if key.len() > KEY_BYTES || window_ms == 0 {
            return 0;
        }
        let part = now_ms / part_ms(window_ms);
        let mut windows = self.windows.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if windows.len() >= KEYS {
            windows.retain(|(_, window), counter| counter.newest + PARTS as u64 > now_ms / part_ms(*window));
            if windows.len() >= KEYS {
                windows.clear();
            }
        }
        let window = windows
            .entry((format!("{plugin}\0{key}"), window_ms))
            .or_insert_with(|| Window { newest: part, parts: [0; PARTS] });
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
        let mut windows = self.windows.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match windows.get_mut(&(format!("{plugin}\0{key}"), window_ms)) {
            Some(window) => {
                window.advance(part);
                window.sum()
            }
            None => 0,
        }
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
    fn counters_of_plugins_keys_and_windows_are_apart() {
        let counters = Counters::default();
        counters.add("p", "alice", 1, 1_000, 5_000);
        for (plugin, key, window) in [("q", "alice", 1_000), ("p", "bob", 1_000), ("p", "alice", 2_000)] {
            assert_eq!(counters.sum(plugin, key, window, 5_000), 0);
        }
    }

    #[test]
    fn keys_are_bounded_in_number() {
        let counters = Counters::default();
        for i in 0..KEYS + 10 {
            counters.add("p", &i.to_string(), 1, 60_000, 5_000);
        }
        assert!(counters.windows.lock().is_ok_and(|windows| windows.len() <= KEYS));
    }
}
