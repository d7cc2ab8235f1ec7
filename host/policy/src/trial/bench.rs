//! What a plugin costs: time a call, memory an instance, and the share of its limits that this is.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::Trial;
use super::cases::{self, Case, Table};
use super::host::HostState;
use super::run::{Request, beginning, host, moment, request, setup};
use crate::session::Session;
use crate::stats::Figures;

/// Calls before the measuring begins.
const WARM_UP: usize = 50;
/// Calls that are measured at most, in each way of running.
const CALLS: usize = 200_000;

/// A plugin's cost in one way of running it.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// `fresh`: an instance a call; `reused`: one instance serves many (`reuse = true`).
    pub mode: &'static str,
    /// Whether the instance starts from a snapshot. If not, `init` runs in each.
    pub snapshot: bool,
    /// Different requests, taken in turns.
    pub requests: usize,
    /// Calls measured.
    pub calls: usize,
    /// Median wall time a call, in microseconds.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// The slowest call.
    pub max_us: f64,
    /// Its limit `time_ms`, in microseconds.
    pub time_limit_us: u64,
    /// Memory of an instance at most, in bytes.
    pub memory_bytes: u64,
    /// Its limit `memory_mib`, in bytes.
    pub memory_limit_bytes: u64,
    /// Calls that failed, by kind.
    pub faults: Vec<(&'static str, u64)>,
}

impl BenchReport {
    /// Share of the time limit that the 99th percentile takes: above 1 it is over.
    #[must_use]
    pub fn time_share(&self) -> f64 {
        self.p99_us / self.time_limit_us.max(1) as f64
    }

    /// Share of the memory limit.
    #[must_use]
    pub fn memory_share(&self) -> f64 {
        self.memory_bytes as f64 / self.memory_limit_bytes.max(1) as f64
    }

    /// Whether the plugin does not fit its limits. The time limit is one of CPU time and the sandbox enforces it: a call over
    /// it is a fault, however long the machine kept others waiting.
    #[must_use]
    pub fn over(&self) -> bool {
        self.p50_us > self.time_limit_us as f64 || self.memory_share() > 1.0 || !self.faults.is_empty()
    }
}

impl Trial {
    /// Measures the requests of a table test, those of the first case's settings, for about `duration` each way.
    ///
    /// # Errors
    /// What is wrong with the file or the settings, or that there is no request in it.
    pub fn bench(&self, text: &str, duration: Duration) -> Result<Vec<BenchReport>, String> {
        let table = cases::read(text).map_err(|wrong| wrong.to_string())?;
        let asking = |case: &&Case| !case.steps().is_empty();
        let first = table.cases.iter().find(asking).ok_or("has no case with a request: nothing to measure")?;
        let alike: Vec<&Case> =
            table.cases.iter().filter(asking).filter(|case| same_setup(&table, first, case)).collect();
        [false, true].into_iter().map(|reuse| self.measure(&table, first, &alike, reuse, duration)).collect()
    }

    fn measure(
        &self,
        table: &Table,
        first: &Case,
        cases: &[&Case],
        reuse: bool,
        duration: Duration,
    ) -> Result<BenchReport, String> {
        self.begin(HostState { known: host(table, first), now_ms: beginning(table, first) });
        let (session, _) = self.prepare(&setup(table, first, reuse)).map_err(|said| said.to_string())?;
        let requests = requests(&session, table, cases)?;
        let figures = &self.workshop.figures.of(super::PLUGIN);
        let before = figures.read(super::PLUGIN).faults;
        let mut micros = Meter { trial: self, session: &session, figures }.run(&requests, duration);
        micros.sort_by(f64::total_cmp);
        let placed = session.generation.plugins.first().ok_or("there is no plugin")?;
        let limits = &placed.plugin.host.limits;
        Ok(BenchReport {
            mode: if reuse { "reused" } else { "fresh" },
            snapshot: placed.plugin.snapshot,
            requests: requests.len(),
            calls: micros.len(),
            p50_us: quantile(&micros, 0.5),
            p99_us: quantile(&micros, 0.99),
            max_us: quantile(&micros, 1.0),
            time_limit_us: u64::from(limits.time_ms) * 1_000,
            memory_bytes: figures.peak_memory(),
            memory_limit_bytes: u64::from(limits.memory_mib) << 20,
            faults: since(&before, figures.read(super::PLUGIN).faults),
        })
    }
}

fn same_setup(table: &Table, first: &Case, other: &Case) -> bool {
    let (first, other) = (setup(table, first, false), setup(table, other, false));
    first.settings == other.settings && first.limits == other.limits && first.lists == other.lists
}

fn requests(session: &Session, table: &Table, cases: &[&Case]) -> Result<Vec<Request>, String> {
    let mut requests = Vec::new();
    for case in cases {
        let mut now_ms = beginning(table, case);
        for step in case.steps() {
            now_ms = moment(&step, now_ms);
            requests.push(request(session, table, case, &step, now_ms)?);
        }
    }
    Ok(requests)
}

struct Meter<'a> {
    trial: &'a Trial,
    session: &'a Session,
    figures: &'a Figures,
}

impl Meter<'_> {
    /// Microseconds of each call.
    fn run(&self, requests: &[Request], duration: Duration) -> Vec<f64> {
        self.figures.forget_peak();
        // An instance that is new since then, so that its memory is seen even if it serves all calls.
        if let Some(Err(fault)) = self.session.generation.plugins.first().map(|placed| placed.plugin.warm(1)) {
            tracing::debug!(%fault, "no instance to begin with");
        }
        requests.iter().cycle().take(WARM_UP).for_each(|request| {
            let _ = self.ask(request);
        });
        let started = Instant::now();
        let turns = requests.iter().cycle().take(CALLS).take_while(|_| started.elapsed() < duration);
        turns.map(|request| self.ask(request).as_secs_f64() * 1e6).collect()
    }

    fn ask(&self, request: &Request) -> Duration {
        self.trial.host.set_time(request.time_ms());
        let started = Instant::now();
        match request {
            Request::Access(call) => drop(self.session.access(call)),
            Request::Content(call, item) => drop(self.session.content(call, item)),
            Request::Audit(event) => drop(self.session.audit(event)),
        }
        started.elapsed()
    }
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

fn since(before: &[(&'static str, u64)], after: Vec<(&'static str, u64)>) -> Vec<(&'static str, u64)> {
    let was = |kind: &str| before.iter().find(|(name, _)| *name == kind).map_or(0, |(_, count)| *count);
    after.into_iter().map(|(kind, count)| (kind, count - was(kind))).filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        for (share, expected) in [(0.0, 1.0), (0.5, 51.0), (0.99, 99.0), (1.0, 100.0)] {
            assert!((quantile(&sorted, share) - expected).abs() < 1e-9, "{share}");
        }
        assert!(quantile(&[], 0.5) == 0.0);
    }
}
