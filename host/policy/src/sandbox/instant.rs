//! The clock that each call reads twice.

use std::ops::Add;
use std::sync::LazyLock;
use std::time::Duration;

/// Which clock the system itself reads: it watches whether the processors' counters agree and keep their pace.
const CLOCKSOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// A moment, by the processor's own counter where the system relies on it too: at less than half of what the system's clock
/// costs.
#[derive(Clone, Copy)]
pub(crate) enum Instant {
    Counter(quanta::Instant),
    System(std::time::Instant),
}

impl Instant {
    pub(crate) fn now() -> Self {
        static TRUSTED: LazyLock<bool> =
            LazyLock::new(|| std::fs::read_to_string(CLOCKSOURCE).is_ok_and(|clock| clock.trim_end() == "tsc"));
        if *TRUSTED { Self::Counter(quanta::Instant::now()) } else { Self::System(std::time::Instant::now()) }
    }

    /// Zero if it was later.
    pub(crate) fn duration_since(self, earlier: Self) -> Duration {
        match (self, earlier) {
            (Self::Counter(now), Self::Counter(then)) => now.duration_since(then),
            (Self::System(now), Self::System(then)) => now.duration_since(then),
            // One process has one of the two.
            (Self::Counter(_) | Self::System(_), _) => Duration::ZERO,
        }
    }

    pub(crate) fn elapsed(self) -> Duration {
        Self::now().duration_since(self)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        match self {
            Self::Counter(now) => Self::Counter(now + time),
            Self::System(now) => Self::System(now + time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_systems_time_and_never_runs_backwards() {
        let (sooner, own, later) = (std::time::Instant::now(), Instant::now(), std::time::Instant::now());
        let mut last = own;
        while later.elapsed() < Duration::from_millis(200) {
            let now = Instant::now();
            assert!(now.duration_since(own) >= last.duration_since(own));
            last = now;
        }
        // Whatever the machine does in between: what passed lies between the least and the most that it can have been.
        let (least, own, most) = (later.elapsed(), own.elapsed(), sooner.elapsed());
        assert!(own >= least.mul_f64(0.99) && own <= most.mul_f64(1.01), "{least:?} … {own:?} … {most:?}");
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(Instant::now().duration_since(later), Duration::ZERO);
    }
}
