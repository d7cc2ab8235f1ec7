//! The way to one peer: how many letters may be under way, and when to try again after a failure.
//!
//! While a peer is away, all its lanes wait here; when the time comes, one letter goes ahead as a
//! probe and the others follow once it has been answered. So a peer's return costs it one request,
//! not one per conversation, and other peers notice nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::bag::Bag;
use crate::clock;

/// Bounds of the waiting between two attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// After the first failure.
    pub(crate) min: Duration,
    /// Never longer than this.
    pub(crate) max: Duration,
}

impl Backoff {
    /// How long to wait after `attempt` failures in a row: doubling, with jitter of a quarter
    /// from `dice`.
    #[must_use]
    pub(crate) fn after(&self, attempt: u32, dice: u32) -> Duration {
        let doubled = self.min.saturating_mul(1u32.checked_shl(attempt.saturating_sub(1).min(20)).unwrap_or(u32::MAX));
        let whole = doubled.min(self.max);
        whole.mul_f64(0.75 + 0.25 * f64::from(dice) / f64::from(u32::MAX))
    }
}

#[derive(Default)]
struct State {
    failures: u32,
    retry_at: Option<Instant>,
    probing: bool,
    closed: bool,
}

/// The latest that was heard of a peer since the start.
#[derive(Clone, Default)]
pub(crate) struct Met {
    /// When it called or answered, in milliseconds since 1970 UTC; 0: not yet.
    pub(crate) at_ms: u64,
    /// Serial number of the certificate it called with, and when that ends.
    pub(crate) certificate: Option<(String, u64)>,
}

/// The way to one peer.
pub(crate) struct Road {
    state: Mutex<State>,
    met: Mutex<Met>,
    changed: Notify,
    permits: Semaphore,
    /// What goes together, if the peer takes it so.
    pub(crate) bag: Bag,
}

/// Leave to send one letter. Says how it went; dropped unsaid, it only frees its place.
pub(crate) struct Leave<'a> {
    road: &'a Road,
    probe: bool,
    _permit: SemaphorePermit<'a>,
}

impl Road {
    /// `in_flight`: letters under way to this peer at once.
    #[must_use]
    pub(crate) fn new(in_flight: usize) -> Road {
        Road {
            state: Mutex::default(),
            met: Mutex::default(),
            changed: Notify::new(),
            permits: Semaphore::new(in_flight),
            bag: Bag::default(),
        }
    }

    /// Waits until a letter may go. `None` once the road is closed.
    pub(crate) async fn leave(&self) -> Option<Leave<'_>> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let wait_until = match self.admit() {
                Admission::Go { probe } => {
                    let permit = self.permits.acquire().await.ok()?;
                    return Some(Leave { road: self, probe, _permit: permit });
                }
                Admission::At(when) => Some(when),
                Admission::AfterProbe => None,
                Admission::Closed => return None,
            };
            match wait_until {
                Some(when) => {
                    let _ = tokio::time::timeout_at(when, changed).await;
                }
                None => changed.await,
            }
        }
    }

    fn admit(&self) -> Admission {
        let mut state = self.locked();
        match state.retry_at {
            _ if state.closed => Admission::Closed,
            None => Admission::Go { probe: false },
            Some(_) if state.probing => Admission::AfterProbe,
            Some(when) if when <= Instant::now() => {
                state.probing = true;
                Admission::Go { probe: true }
            }
            Some(when) => Admission::At(when),
        }
    }

    /// The peer has shown itself (it called us, its address changed): try at once.
    pub(crate) fn hint(&self) {
        let mut state = self.locked();
        if state.retry_at.is_some() {
            state.retry_at = Some(Instant::now());
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// The peer called, with this certificate.
    pub(crate) fn met(&self, at_ms: u64, serial: Option<&str>, not_after: Option<SystemTime>) {
        let mut met = self.latest();
        met.at_ms = at_ms;
        let Some((serial, end)) = serial.zip(not_after) else { return };
        if met.certificate.as_ref().is_none_or(|(known, _)| known != serial) {
            let end = end.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            met.certificate = Some((serial.to_owned(), u64::try_from(end).unwrap_or(u64::MAX)));
        }
    }

    /// The latest that was heard of the peer.
    pub(crate) fn latest(&self) -> MutexGuard<'_, Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Failures in a row, and how long until the next attempt.
    pub(crate) fn trouble(&self) -> Option<(u32, Duration)> {
        let state = self.locked();
        let when = state.retry_at?;
        Some((state.failures, when.saturating_duration_since(Instant::now())))
    }

    /// Nothing goes any more: the server stops.
    pub(crate) fn close(&self) {
        self.locked().closed = true;
        self.changed.notify_waiters();
        self.permits.close();
    }

    /// Whether the last attempt failed.
    pub(crate) fn is_down(&self) -> bool {
        self.locked().retry_at.is_some()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Admission {
    Go { probe: bool },
    At(Instant),
    AfterProbe,
    Closed,
}

impl Leave<'_> {
    /// The peer answered: the road is open.
    pub(crate) fn arrived(mut self) {
        let mut state = self.road.locked();
        let was_down = state.retry_at.is_some();
        *state = State { closed: state.closed, ..State::default() };
        drop(state);
        self.road.latest().at_ms = clock::now_ms();
        self.probe = false;
        if was_down {
            self.road.changed.notify_waiters();
        }
    }

    /// The peer could not be reached, or asked for time: wait. Returns the failures in a row.
    pub(crate) fn failed(mut self, backoff: Backoff, dice: u32, at_least: Option<Duration>) -> u32 {
        let mut state = self.road.locked();
        // Letters that were under way together fail together: that is one failure.
        if self.probe || state.retry_at.is_none() {
            state.failures = state.failures.saturating_add(1);
            let wait = backoff.after(state.failures, dice).max(at_least.unwrap_or_default());
            state.retry_at = Some(Instant::now() + wait);
        }
        if self.probe {
            state.probing = false;
            self.probe = false;
        }
        let failures = state.failures;
        drop(state);
        self.road.changed.notify_waiters();
        failures
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.road.locked().probing = false;
            self.road.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    const BACKOFF: Backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(5) };

    #[test]
    fn waiting_doubles_up_to_its_bound_and_is_jittered() {
        assert_eq!(BACKOFF.after(1, u32::MAX), Duration::from_millis(100));
        assert_eq!(BACKOFF.after(3, u32::MAX), Duration::from_millis(400));
        assert_eq!(BACKOFF.after(60, u32::MAX), Duration::from_secs(5));
        assert_eq!(BACKOFF.after(3, 0), Duration::from_millis(300));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_one_letter_probes_and_the_rest_follow_its_answer() {
        let road = Road::new(8);
        road.leave().await.unwrap().failed(BACKOFF, u32::MAX, None);
        let probe = road.leave().await.unwrap();
        assert!(probe.probe);
        let second = tokio::time::timeout(Duration::from_secs(60), road.leave()).await;
        assert!(second.is_err(), "a second letter went while the probe was under way");
        probe.arrived();
        assert!(!road.leave().await.unwrap().probe);
    }

    #[tokio::test(start_paused = true)]
    async fn letters_that_fail_together_count_as_one_failure() {
        let road = Road::new(8);
        let (a, b) = (road.leave().await.unwrap(), road.leave().await.unwrap());
        assert_eq!(a.failed(BACKOFF, u32::MAX, None), 1);
        assert_eq!(b.failed(BACKOFF, u32::MAX, None), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_ends_the_waiting() {
        let road = Road::new(8);
        road.leave().await.unwrap().failed(
            Backoff { min: Duration::from_secs(3600), max: Duration::from_secs(3600) },
            0,
            None,
        );
        let began = Instant::now();
        road.hint();
        road.leave().await.unwrap().arrived();
        assert!(began.elapsed() < Duration::from_secs(1));
        assert!(!road.is_down());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_given_up_frees_its_place() {
        let road = Road::new(8);
        road.leave().await.unwrap().failed(BACKOFF, 0, None);
        drop(road.leave().await.unwrap());
        assert!(road.leave().await.unwrap().probe);
    }
}
