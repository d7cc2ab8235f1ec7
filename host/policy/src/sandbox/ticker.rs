//! The clock behind time limits: a thread that advances the engine's epoch each millisecond, and
//! one that watches it. Without a living clock no plugin runs: a loop could never be stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::Instant;

/// How often the epoch advances.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// A tick this late means that the clock is dead, not merely that the machine is busy.
const DEAD_AFTER: Duration = Duration::from_millis(500);
/// How long a call waits for a late tick, so that a process that slept (SIGSTOP, a suspended
/// virtual machine) is not taken for one whose clock died.
const GRACE: Duration = Duration::from_millis(50);
/// How long a plugin's preparation waits for a clock that has stopped; the watchdog needs less than a second.
const PATIENCE: Duration = Duration::from_secs(3);

/// How the clock of the time limits fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Whether it ticks. While it does not, no plugin is run and each failure mode holds.
    pub ticking: bool,
    /// How often it was found to have stopped, and was to be started anew.
    pub restarts: u64,
}

pub(crate) struct Ticker {
    born: Instant,
    /// Milliseconds after `born` of the last tick.
    beat: AtomicU64,
    /// Which ticker thread is the rightful one; others end.
    reign: AtomicU64,
    restarts: AtomicU64,
    tick: Box<dyn Fn() + Send + Sync>,
}

impl Ticker {
    /// Starts both threads.
    pub(crate) fn start(tick: impl Fn() + Send + Sync + 'static) -> std::io::Result<Arc<Self>> {
        let ticker = Arc::new(Self {
            born: Instant::now(),
            beat: AtomicU64::new(0),
            reign: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            tick: Box::new(tick),
        });
        ticker.clone().spawn(0)?;
        let watched = Arc::downgrade(&ticker);
        thread::Builder::new().name("isthmus-epoch-watch".into()).spawn(move || {
            loop {
                thread::sleep(DEAD_AFTER / 4);
                let Some(ticker) = watched.upgrade() else { return };
                ticker.watch();
            }
        })?;
        Ok(ticker)
    }

    fn spawn(self: Arc<Self>, reign: u64) -> std::io::Result<()> {
        let ticker = Arc::downgrade(&self);
        thread::Builder::new().name("isthmus-epoch".into()).spawn(move || {
            punctual();
            loop {
                thread::sleep(TICK);
                let Some(ticker) = ticker.upgrade() else { return };
                if ticker.reign.load(Ordering::Relaxed) != reign {
                    return;
                }
                (ticker.tick)();
                ticker.beat.store(ticker.age(Instant::now()), Ordering::Relaxed);
            }
        })?;
        Ok(())
    }

    fn age(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }

    fn late(&self, now: Instant) -> bool {
        self.age(now).saturating_sub(self.beat.load(Ordering::Relaxed)) > DEAD_AFTER.as_millis() as u64
    }

    fn watch(self: &Arc<Self>) {
        if !self.late(Instant::now()) {
            return;
        }
        let reign = self.reign.fetch_add(1, Ordering::Relaxed) + 1;
        self.restarts.fetch_add(1, Ordering::Relaxed);
        match self.clone().spawn(reign) {
            // A machine so busy that a thread waits for half a second is no fault of ours.
            Ok(()) => tracing::warn!("the clock of the policy time limits had stopped; started anew"),
            Err(error) => {
                tracing::error!(%error, "the clock of the policy time limits has stopped and cannot be started");
            }
        }
    }

    pub(crate) fn health(&self) -> Clock {
        Clock { ticking: !self.late(Instant::now()), restarts: self.restarts.load(Ordering::Relaxed) }
    }

    /// Whether time limits are enforced at `now`, the time that the caller has just read.
    pub(crate) fn alive(&self, now: Instant) -> bool {
        self.alive_within(GRACE, now)
    }

    /// The same for whoever has more time: plugins are prepared by a clock that ticks, too.
    pub(crate) fn awaited(&self) -> bool {
        self.alive_within(PATIENCE, Instant::now())
    }

    fn alive_within(&self, grace: Duration, now: Instant) -> bool {
        if !self.late(now) {
            return true;
        }
        while now.elapsed() < grace {
            thread::sleep(TICK);
            if !self.late(Instant::now()) {
                return true;
            }
        }
        false
    }

    /// Deposes the ticker thread without an heir, as if it had died.
    #[cfg(test)]
    pub(crate) fn kill(&self) {
        self.reign.fetch_add(1_000_000, Ordering::Relaxed);
    }
}

/// Linux lets a sleeper wait 50 µs longer to wake it together with others: ten ticks would make that half of one.
fn punctual() {
    #[cfg(target_os = "linux")]
    // Without it limits still hold, a little later.
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)).ok();
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_dead_clock_is_noticed_and_started_anew() {
        let ticks = Arc::new(AtomicU64::new(0));
        let counted = ticks.clone();
        let ticker = Ticker::start(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
        thread::sleep(Duration::from_millis(100));
        assert!(ticks.load(Ordering::Relaxed) > 10 && ticker.alive(Instant::now()));

        ticker.kill();
        let mut refused = false;
        for _ in 0..200 {
            thread::sleep(Duration::from_millis(10));
            refused |= !ticker.health().ticking;
            if refused && ticker.health().ticking {
                break;
            }
        }
        assert!(refused, "the dead clock was never noticed");
        assert!(ticker.alive(Instant::now()), "the clock was not started anew");
        assert!(ticker.health().restarts > 0);
    }

    /// Whatever the time since the start, and before the first tick or with a beat from the future.
    #[test]
    fn lateness_holds_after_any_uptime() {
        let century = Duration::from_secs(100 * 365 * 86_400);
        let born = Instant::now();
        let ticker = |beat| Ticker {
            born,
            beat: AtomicU64::new(beat),
            reign: AtomicU64::new(u64::MAX),
            restarts: AtomicU64::new(0),
            tick: Box::new(|| ()),
        };
        let now = ticker(0).age(born + century);
        for (beat, late) in
            [(0, true), (now, false), (now + 10_000, false), (u64::MAX, false), (now - 400, false), (now - 2_000, true)]
        {
            assert_eq!(ticker(beat).late(born + Duration::from_millis(now)), late, "{beat}");
        }
    }
}
