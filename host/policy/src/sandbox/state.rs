//! What belongs to one instance: its limits, what it has used of them, what it may ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};

use super::Instant;
use super::counters::Counters;
use super::engine::Room;
use super::ticker::{TICK, thread_cpu};
use super::wasi::{Grants, Wasi};
use crate::call::Body;
use crate::fault::PluginFault;
use crate::lists::Lists;
use crate::services::Services;
use crate::stats::Figures;

/// Limits of one plugin, from its `[plugin.limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// CPU time a call, in milliseconds; a multiple of it in wall time.
    pub(crate) time_ms: u32,
    /// CPU time of `init` and `validate-settings`, in milliseconds.
    pub(crate) init_ms: u32,
    /// All memories and tables of the instance together.
    pub(crate) memory_mib: u32,
    /// What one answer or host call may hand over.
    pub(crate) output_kib: u32,
    /// Host calls a call.
    pub(crate) host_calls: u32,
    /// Log lines a call.
    pub(crate) log_lines: u32,
}

impl Limits {
    /// All of them, as `policy.toml` names them.
    pub(crate) fn named(&self) -> [(&'static str, u32); 6] {
        [
            ("time_ms", self.time_ms),
            ("init_ms", self.init_ms),
            ("memory_mib", self.memory_mib),
            ("output_kib", self.output_kib),
            ("host_calls", self.host_calls),
            ("log_lines", self.log_lines),
        ]
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { time_ms: 10, init_ms: 5_000, memory_mib: 16, output_kib: 256, host_calls: 10_000, log_lines: 100 }
    }
}

/// What the instances of one prepared plugin share.
#[derive(Clone)]
pub(crate) struct PluginHost {
    pub(crate) name: Arc<str>,
    pub(crate) limits: Limits,
    /// JSON.
    pub(crate) settings: String,
    /// What it was granted of what WASI has too.
    pub(crate) wasi: Grants,
    pub(crate) lists: Arc<Lists>,
    pub(crate) services: Arc<dyn Services>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) log_window: Arc<LogWindow>,
    /// Judges what others have judged: its log lines are not the operator's concern.
    pub(crate) rehearsal: bool,
    /// Within which failures are counted.
    pub(crate) window: Duration,
}

/// At most so many log lines a second from one plugin, whatever it does.
#[derive(Default)]
pub(crate) struct LogWindow {
    /// Seconds since 1970 in the upper, lines in the lower 32 bits.
    window: AtomicU64,
}

impl LogWindow {
    const LINES_A_SECOND: u64 = 200;

    pub(crate) fn admit(&self, now_ms: u64) -> bool {
        let second = (now_ms / 1_000) << 32;
        let before = self
            .window
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |window| {
                Some(if window >> 32 == second >> 32 { window + 1 } else { second + 1 })
            })
            .unwrap_or(second);
        before >> 32 != second >> 32 || before & 0xffff_ffff < Self::LINES_A_SECOND
    }
}

/// What the current call has used of its limits.
pub(crate) struct Budget {
    pub(crate) started: Instant,
    pub(crate) time: Duration,
    /// The thread's CPU time at the last tick of this call.
    seen: Option<Duration>,
    /// What of it counts.
    used: Duration,
    pub(crate) host_calls: u32,
    pub(crate) log_lines: u32,
    /// The last line that the plugin logged as an error: a panic's message, as a rule.
    pub(crate) last_error: Option<String>,
}

/// What the instance holds of the host's memory.
#[derive(Default)]
pub(crate) struct Memory {
    used: usize,
    limit: usize,
    /// A request was refused: the trap that follows has this cause.
    pub(crate) refused: bool,
}

/// The store's data.
pub(crate) struct State {
    pub(crate) host: Arc<PluginHost>,
    pub(crate) budget: Budget,
    pub(crate) memory: Memory,
    pub(crate) body: Option<Arc<dyn Body>>,
    /// Names of the lists asked for while the plugin is prepared: what its snapshot depends on. None afterwards.
    pub(crate) reads: Option<BTreeSet<String>>,
    pub(crate) wasi: Wasi,
    /// Given back when the store goes.
    pub(crate) room: Option<Room>,
}

/// Elements of one table: function pointers of the largest programs are fewer.
pub(crate) const TABLE_ELEMENTS: usize = 20_000;
/// Core modules that the components of interpreted languages consist of are some dozens, with one memory for all.
const CORE_INSTANCES: usize = 100;
const MEMORIES: usize = 8;
/// A plugin that waits for the CPU is innocent, but not for ever: ten times its limit, and never
/// less than what a starved machine may take between two turns of a thread.
const WALL_FACTOR: u32 = 10;
const WALL_LEAST: Duration = Duration::from_secs(1);
/// CPU time between two ticks that counts: a machine whose host takes its processors away for a while (a virtual one with a
/// quota) has no ticks meanwhile, but may well count that while as its threads' CPU time.
const TICKS_AT_ONCE: u32 = 4;
/// What is left of a call's time may be less than a tick is late: then this tick ends it, not one that comes a whole tick after
/// its time.
const SLACK: Duration = Duration::from_micros(TICK.as_micros() as u64 / 8);

impl State {
    pub(crate) fn new(host: Arc<PluginHost>, started: Instant) -> Self {
        let limit = (host.limits.memory_mib as usize) << 20;
        let budget = Budget {
            started,
            time: Duration::from_millis(u64::from(host.limits.time_ms)),
            seen: None,
            used: Duration::ZERO,
            host_calls: host.limits.host_calls,
            log_lines: host.limits.log_lines,
            last_error: None,
        };
        Self {
            host,
            budget,
            memory: Memory { limit, ..Memory::default() },
            body: None,
            reads: None,
            wasi: Wasi::default(),
            room: None,
        }
    }

    /// Gives the next call its whole budget.
    pub(crate) fn refill(&mut self, started: Instant) {
        let limits = &self.host.limits;
        self.budget.started = started;
        self.budget.time = Duration::from_millis(u64::from(limits.time_ms));
        self.budget.seen = None;
        self.budget.used = Duration::ZERO;
        self.budget.host_calls = limits.host_calls;
        self.budget.log_lines = limits.log_lines;
        self.budget.last_error = None;
        self.reads = None;
        self.wasi.begin();
    }

    /// Preparation may take longer than a call, and reads whole lists.
    pub(crate) fn prepare(&mut self) {
        self.budget.time = Duration::from_millis(u64::from(self.host.limits.init_ms));
        self.budget.host_calls = self.host.limits.host_calls.saturating_mul(10);
        self.reads.get_or_insert_default();
    }

    /// The snapshot reads through a page of memory that the plugin does not have.
    pub(crate) fn lend_memory(&mut self, bytes: usize) {
        self.memory.limit += bytes;
    }

    pub(crate) fn spend_host_call(&mut self) -> wasmtime::Result<()> {
        match self.budget.host_calls.checked_sub(1) {
            Some(left) => {
                self.budget.host_calls = left;
                Ok(())
            }
            None => Err(wasmtime::Error::new(PluginFault::HostCalls { limit: self.host.limits.host_calls })),
        }
    }

    /// Each tick of a running call ends here. A plugin is stopped for the CPU time that it used,
    /// not for the time that a busy machine kept it waiting.
    pub(crate) fn on_tick(mut store: StoreContextMut<'_, Self>) -> wasmtime::Result<UpdateDeadline> {
        let budget = &mut store.data_mut().budget;
        if budget.lasts(thread_cpu(), budget.started.elapsed()) {
            return Ok(UpdateDeadline::Continue(1));
        }
        let limit_ms = u32::try_from(budget.time.as_millis()).unwrap_or(u32::MAX);
        Err(wasmtime::Error::new(PluginFault::Timeout { limit_ms }))
    }
}

impl Budget {
    /// Whether the call may go on at a tick: `cpu` is its thread's CPU time, `wall` how long ago it began.
    fn lasts(&mut self, cpu: Duration, wall: Duration) -> bool {
        let since = self.seen.replace(cpu).map_or(wall.min(TICK), |seen| cpu.saturating_sub(seen));
        self.used += since.min(TICK * TICKS_AT_ONCE);
        self.used + SLACK < self.time && wall < (self.time * WALL_FACTOR).max(WALL_LEAST)
    }
}

impl Memory {
    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let used = self.used + desired.saturating_sub(current);
        if used > self.limit {
            self.refused = true;
            return false;
        }
        self.used = used;
        true
    }
}

/// wasmtime's own limits count each memory for itself; this sums over the instance.
impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let grown = self.memory.grow(current, desired);
        self.host.figures.note_memory(self.memory.used);
        Ok(grown)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            self.memory.refused = true;
            return Ok(false);
        }
        let entry = size_of::<usize>();
        Ok(self.memory.grow(current * entry, desired * entry))
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }

    fn tables(&self) -> usize {
        CORE_INSTANCES
    }
}

/// What plugins counted themselves: bounded, so that names made of user input cannot fill memory.
pub(crate) fn count(counted: &mut BTreeMap<String, u64>, name: String, amount: u64) {
    const NAMES: usize = 100;
    const NAME_BYTES: usize = 64;
    if let Some(sum) = counted.get_mut(&name) {
        *sum = sum.saturating_add(amount);
    } else if counted.len() < NAMES && name.len() <= NAME_BYTES && !name.is_empty() {
        counted.insert(name, amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(time_ms: u64) -> Budget {
        Budget {
            started: Instant::now(),
            time: Duration::from_millis(time_ms),
            seen: None,
            used: Duration::ZERO,
            host_calls: 0,
            log_lines: 0,
            last_error: None,
        }
    }

    /// After how many ticks a call with 10 ms ends: the thread's CPU time and the time that passed, from one tick to the next.
    fn ticks(steps: impl IntoIterator<Item = (f64, f64)>) -> Option<usize> {
        let (mut budget, mut cpu, mut wall) = (budget(10), Duration::from_secs(7), Duration::from_micros(500));
        let mut goes_on = |(used, passed)| {
            let lasts = budget.lasts(cpu, wall);
            cpu += Duration::from_secs_f64(used / 1e3);
            wall += Duration::from_secs_f64(passed / 1e3);
            lasts
        };
        steps.into_iter().position(|step| !goes_on(step))
    }

    #[test]
    fn a_call_ends_with_its_cpu_time_or_with_the_patience_for_it() {
        let tick = |used, passed| std::iter::repeat_n((used, passed), 10_000);
        assert_eq!(ticks(tick(1.0, 1.0)), Some(10), "it had half a tick at the first");
        assert_eq!(ticks(tick(0.1, 1.0)), Some(94), "a busy machine lets it wait");
        assert_eq!(ticks(tick(0.0, 1.0)), Some(1_000), "not for ever");
        assert_eq!(ticks(tick(3.0, 3.0)), Some(4), "a late clock counts what was used");
    }

    #[test]
    fn what_a_machine_was_stopped_for_is_not_the_calls_time() {
        let stopped = [(1.0, 1.0), (45.0, 45.0), (1.0, 1.0), (1.0, 1.0), (1.0, 1.0)];
        assert_eq!(ticks(stopped), None);
        assert_eq!(ticks(std::iter::repeat_n((45.0, 45.0), 100)), Some(3), "and yet nothing goes on for ever");
    }
}
