//! The breaker: a plugin that keeps failing takes its generation with it, back to the last good one.
//!
//! A plugin trips it if it failed often enough within the window *and* at least every second time that it was asked: a
//! request that somebody has built to make a plugin fail must not be a way to bring an old policy back. A generation that
//! has tripped is never gone back to, neither is any with the same bundle, until an administrator activates it again: so
//! there is an end to it, at the latest where no other generation is left.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::load::load;
use crate::options::ActivateError;
use crate::policy::{Policy, lock};
use crate::report::Activation;
use crate::sandbox::now_ms;

/// When a plugin has failed too often.
#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    /// So many failures; 0: never.
    pub faults: u32,
    /// Within this time.
    pub window: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { faults: 20, window: Duration::from_secs(60) }
    }
}

/// A plugin that has failed too often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trip {
    /// Its generation.
    pub generation: u64,
    /// Which plugin.
    pub plugin: String,
    /// How often it failed.
    pub faults: u32,
    /// How often it was asked meanwhile.
    pub calls: u64,
    /// What it did wrong last.
    pub fault: String,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// Failures of one plugin since its window began.
#[derive(Default)]
pub(crate) struct Failures(Mutex<Window>);

#[derive(Default)]
struct Window {
    began: Option<Instant>,
    faults: u32,
    /// Calls that the plugin had answered when it began.
    calls_before: u64,
    /// Calls since then, when the last failure was counted.
    calls: u64,
}

impl Failures {
    /// Counts a failure; `calls` is how often the plugin has been asked in all.
    pub(crate) fn count(&self, window: Duration, calls: u64, now: Instant) {
        let mut failures = lock(&self.0);
        if failures.began.is_none_or(|began| now.duration_since(began) > window) {
            *failures = Window { began: Some(now), calls_before: calls.saturating_sub(1), ..Window::default() };
        }
        failures.faults = failures.faults.saturating_add(1);
        failures.calls = calls.saturating_sub(failures.calls_before);
    }

    /// Failures and calls, if they are too many.
    fn too_many(&self, breaker: &Breaker) -> Option<(u32, u64)> {
        let failures = lock(&self.0);
        let many = breaker.faults > 0 && failures.faults >= breaker.faults;
        (many && u64::from(failures.faults) * 2 >= failures.calls).then_some((failures.faults, failures.calls))
    }
}

impl Policy {
    /// The plugin of the active generation that has failed too often, if there is one. Cheap: to be asked several times a
    /// second.
    #[must_use]
    pub fn tripped(&self) -> Option<Trip> {
        let active = self.active.load();
        let failing = active.plugins.iter().find_map(|placed| {
            let health = &placed.plugin.health;
            let (faults, calls) = health.failures.too_many(&self.breaker)?;
            let fault = health.last_fault().map(|fault| fault.to_string()).unwrap_or_default();
            let plugin = placed.plugin.name.to_string();
            Some(Trip { generation: active.number, plugin, faults, calls, fault, at_ms: now_ms() })
        })?;
        (!lock(&self.kept).has_tripped(active.number)).then_some(failing)
    }

    /// A process that died after the failure was noted and before the swap begins with what failed: that trip ends now,
    /// since none of this generation will come again.
    pub(crate) fn finish_trip(&self) {
        let Some(trip) = lock(&self.kept).trip(self.active.load().number).cloned() else { return };
        if let Err(error) = self.trip(&trip) {
            tracing::error!(generation = trip.generation, %error, "a failed generation could not be taken back");
        }
    }

    /// Goes back to the newest generation that has not failed itself, and remembers that this one did. None if the
    /// generation that tripped is not active any more, or there is none to go back to: then it goes on as it is, by its
    /// failure modes, and is not tripped again.
    ///
    /// # Errors
    /// [`ActivateError`] if the generation could not be brought back; the active one then goes on.
    pub fn trip(&self, trip: &Trip) -> Result<Option<Activation>, ActivateError> {
        let started = Instant::now();
        let _one = lock(&self.swapping);
        if self.active.load().number != trip.generation {
            return Ok(None);
        }
        lock(&self.kept).note_trip(trip)?;
        let why = format!("plugin `{}` failed {} of {} times: {}", trip.plugin, trip.faults, trip.calls, trip.fault);
        loop {
            let Some((number, files)) = self.last_good()? else {
                tracing::warn!(generation = trip.generation, plugin = trip.plugin, "no good generation to go back to");
                return Ok(None);
            };
            match load(&self.workshop, self.builtins, files, &lock(&self.own_lists), None) {
                Ok(loaded) => return self.swap(loaded, "breaker", &why, Some(number), started).map(Some),
                Err(said) => {
                    tracing::warn!(generation = number, "cannot be brought back: {said}");
                    lock(&self.kept).note_trip(&Trip { generation: number, ..trip.clone() })?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::clockless::{built, call, options};
    use crate::kept::tests::{DIE_AT, FOLDER};
    use crate::{BundleSource, Direction};

    const FAULTS: u32 = 3;

    fn open(dir: &Path) -> Policy {
        let breaker = Breaker { faults: FAULTS, ..Breaker::default() };
        Policy::open(crate::PolicyOptions { breaker, ..options(dir) }).unwrap()
    }

    /// The active generation fails until it is taken back; nothing happens where it does not.
    fn suffer(policy: &Policy) {
        (0..FAULTS).for_each(|_| drop(policy.begin().access(&call(Direction::Inbound))));
        if let Some(trip) = policy.tripped() {
            policy.trip(&trip).unwrap().unwrap();
        }
    }

    /// What the test below runs in a process of its own; nothing by itself.
    #[test]
    fn one_trip() {
        if let Ok(dir) = std::env::var(FOLDER) {
            suffer(&open(Path::new(&dir)));
        }
    }

    #[test]
    fn whatever_step_the_process_is_killed_in_a_failed_generation_is_taken_back_and_stays_away() {
        let bad = "name = \"bad\"\n[defaults]\naccess = \"allow\"\n[[plugin]]\nname = \"it\"\ncomponent = \"it.wasm\"\ngrants = [\"log\"]\n";
        let bad = BundleSource::Files(vec![
            ("policy.toml".into(), bad.as_bytes().to_vec()),
            ("it.wasm".into(), std::fs::read(built("hostile/traps")).unwrap()),
        ]);
        let (mut deaths, mut died_between) = (0, 0);
        for at in 1.. {
            let dir = tempfile::tempdir().unwrap();
            open(dir.path()).activate(bad.clone(), "test", "because").unwrap();
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "breaker::tests::one_trip"]).env(DIE_AT, at.to_string()).env(FOLDER, dir.path());
            let done = child.output().unwrap().status.success();
            let noted = dir.path().join("policy/generations/2.trip").exists();
            let swapped = std::fs::read_to_string(dir.path().join("policy/active")).unwrap() == "3\n";
            let policy = open(dir.path());
            if noted {
                assert_eq!(policy.show().name, "open", "killed at step {at}: it begins with the last good generation");
            }
            suffer(&policy);
            assert_eq!((policy.show().name.as_str(), policy.show().generation), ("open", 3), "killed at step {at}");
            let history = policy.history();
            let told: Vec<_> = history.iter().map(|entry| (entry.state, entry.by.as_str(), entry.restores)).collect();
            let expected = [("kept", "isthmus", None), ("tripped", "test", None), ("active", "breaker", Some(1))];
            assert_eq!(told, expected, "killed at step {at}");
            if done {
                break;
            }
            deaths += 1;
            died_between += usize::from(noted && !swapped);
        }
        assert!(deaths > 5 && died_between > 1, "{deaths} deaths, {died_between} of them in the middle");
    }

    fn after(faults: u32, calls: u64) -> Option<(u32, u64)> {
        let (failures, now) = (Failures::default(), Instant::now());
        let breaker = Breaker { faults: 10, ..Breaker::default() };
        for fault in 1..=u64::from(faults) {
            failures.count(breaker.window, 1_000 + fault * calls / u64::from(faults), now);
        }
        failures.too_many(&breaker)
    }

    #[test]
    fn a_plugin_trips_by_number_and_by_share() {
        assert_eq!(after(9, 9), None, "too few");
        assert_eq!(after(10, 10), Some((10, 10)));
        assert!(after(12, 20).is_some());
        assert_eq!(after(100, 1_000), None, "one in ten is no broken plugin");
    }

    #[test]
    fn failures_of_the_past_are_forgotten() {
        let (failures, breaker) = (Failures::default(), Breaker { faults: 2, window: Duration::from_secs(1) });
        let now = Instant::now();
        failures.count(breaker.window, 1, now);
        failures.count(breaker.window, 2, now + Duration::from_secs(5));
        assert_eq!(failures.too_many(&breaker), None);
        failures.count(breaker.window, 3, now + Duration::from_secs(5));
        assert_eq!(failures.too_many(&breaker), Some((2, 2)));
    }
}
