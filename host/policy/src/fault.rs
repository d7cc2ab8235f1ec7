//! What a plugin can do wrong. A closed list: each has its name in records and metrics.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use wasmtime::{FrameInfo, Trap, WasmBacktrace};

use crate::sandbox::state::State;

/// How a plugin's call failed. The instance is discarded in every case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PluginFault {
    #[error("ran longer than its limit of {limit_ms} ms")]
    Timeout { limit_ms: u32 },
    #[error("trapped: {0}")]
    Trap(String),
    #[error("wanted more memory than its limit of {limit_mib} MiB")]
    Memory { limit_mib: u32 },
    #[error("returned more than its limit of {limit_kib} KiB")]
    Output { limit_kib: u32 },
    #[error("called the host more often than its limit of {limit} a call")]
    HostCalls { limit: u32 },
    #[error("gave an invalid answer: {0}")]
    Invalid(String),
    #[error("could not be instantiated: {0}")]
    Start(String),
    #[error("all instances that this server may run at once are busy")]
    Busy,
    #[error("not run: the clock that enforces time limits has stopped")]
    Clock,
    #[error("not run: its generation was retired before this request ended")]
    Retired,
}

impl PluginFault {
    /// All kinds, in the order of [`PluginFault::index`].
    pub(crate) const KINDS: [&'static str; 10] =
        ["timeout", "trap", "memory", "output", "host-calls", "invalid", "start", "busy", "clock", "retired"];

    pub(crate) fn index(&self) -> usize {
        match self {
            Self::Timeout { .. } => 0,
            Self::Trap(_) => 1,
            Self::Memory { .. } => 2,
            Self::Output { .. } => 3,
            Self::HostCalls { .. } => 4,
            Self::Invalid(_) => 5,
            Self::Start(_) => 6,
            Self::Busy => 7,
            Self::Clock => 8,
            Self::Retired => 9,
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        Self::KINDS[self.index()]
    }

    /// Whether it is the plugin that did wrong, and not the host that could not run it.
    pub(crate) fn blames_plugin(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Trap(_)
            | Self::Memory { .. }
            | Self::Output { .. }
            | Self::HostCalls { .. }
            | Self::Invalid(_)
            | Self::Start(_) => true,
            Self::Busy | Self::Clock | Self::Retired => false,
        }
    }

    /// What wasmtime's error means, given what the store saw on the way to it.
    pub(crate) fn classify(error: &wasmtime::Error, state: &State) -> Self {
        if let Some(fault) = error.downcast_ref::<Self>() {
            return fault.clone();
        }
        let limits = &state.host.limits;
        if is_output(error) {
            return Self::Output { limit_kib: limits.output_kib };
        }
        if error.is::<wasmtime::PoolConcurrencyLimitError>() {
            return Self::Busy;
        }
        if state.memory.refused {
            return Self::Memory { limit_mib: limits.memory_mib };
        }
        if let Some(trap) = error.downcast_ref::<Trap>() {
            let said = state.budget.last_error.as_ref().map(|said| format!("; it said: {said}"));
            let at = trace(error).map(|at| format!("; at {at}"));
            return Self::Trap(format!("{trap}{}{}", said.unwrap_or_default(), at.unwrap_or_default()));
        }
        Self::Invalid(error.root_cause().to_string())
    }
}

/// wasmtime's own error for this has no public type. It is the innermost cause: around it lies the backtrace, and to write
/// one out costs more than the call that failed.
fn is_output(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls")
}

/// Functions of a trace that are told.
const TOLD: usize = 6;
/// Bytes of a function's name that are told.
const NAME_BYTES: usize = 200;
/// Traces that a thread remembers.
const REMEMBERED: usize = 8;

/// Where a plugin trapped: its functions, the innermost first, as far as it kept their names. What every panic of Rust
/// passes through is left out.
fn trace(error: &wasmtime::Error) -> Option<Arc<str>> {
    let backtrace = error.downcast_ref::<WasmBacktrace>()?;
    let places: Vec<Place<'_>> = backtrace.frames().iter().filter_map(Place::of).collect();
    remembered(key(&places), || tell(&places))
}

/// A plugin that fails fails in the same place again, as a rule, and names are dear to spell out: that is done once.
fn remembered(key: blake3::Hash, tell: impl FnOnce() -> Option<String>) -> Option<Arc<str>> {
    type Traces = VecDeque<(blake3::Hash, Option<Arc<str>>)>;
    thread_local!(static TRACES: RefCell<Traces> = const { RefCell::new(VecDeque::new()) });
    TRACES.with_borrow_mut(|traces| {
        if let Some((_, told)) = traces.iter().find(|(known, _)| *known == key) {
            return told.clone();
        }
        let told: Option<Arc<str>> = tell().map(Into::into);
        traces.truncate(REMEMBERED - 1);
        traces.push_front((key, told.clone()));
        told
    })
}

/// Of everything that is told of them.
fn key(places: &[Place<'_>]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for Place { name, at } in places {
        let (file, line) = at.unwrap_or_default();
        for text in [*name, file] {
            hasher.update(&text.len().to_le_bytes()).update(text.as_bytes());
        }
        hasher.update(&line.to_le_bytes());
    }
    hasher.finalize()
}

fn tell(places: &[Place<'_>]) -> Option<String> {
    let names = places.iter().map(Place::told).filter(|name| !is_machinery(name));
    let names: Vec<String> = names.take(TOLD).collect();
    (!names.is_empty()).then(|| names.join(" < "))
}

/// A frame of a backtrace, as far as it is told.
struct Place<'a> {
    /// As the compiler mangled it.
    name: &'a str,
    /// File and line, if they are known.
    at: Option<(&'a str, u32)>,
}

impl<'a> Place<'a> {
    fn of(frame: &'a FrameInfo) -> Option<Self> {
        let at = frame.symbols().iter().find_map(|symbol| Some((symbol.file()?, symbol.line()?)));
        Some(Self { name: frame.func_name()?, at })
    }

    fn told(&self) -> String {
        let mut name = format!("{:#}", rustc_demangle::demangle(self.name));
        name.truncate(name.floor_char_boundary(NAME_BYTES));
        match self.at {
            Some((file, line)) => format!("{name} ({file}:{line})"),
            None => name,
        }
    }
}

fn is_machinery(name: &str) -> bool {
    let machinery =
        ["core::panicking::", "std::panicking::", "std::sys::", "std::process::", "std::alloc::", "alloc::alloc::"];
    let plain =
        ["rust_panic", "__rust_start_panic", "__rustc", "_rust_begin_unwind", "rust_begin_unwind", "abort", "__rust_"];
    machinery.iter().any(|start| name.contains(start)) || plain.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]
    use std::fmt;

    use super::*;

    fn places<'a>(names: &[&'a str]) -> Vec<Place<'a>> {
        names.iter().map(|name| Place { name, at: None }).collect()
    }

    #[test]
    fn a_backtrace_is_not_written_out_to_tell_what_failed() {
        #[derive(Debug)]
        struct Dear;
        impl fmt::Display for Dear {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("written out")
            }
        }
        let trapped = wasmtime::Error::new(Trap::UnreachableCodeReached).context(Dear);
        assert!(!is_output(&trapped));
    }

    #[test]
    fn a_trace_is_spelled_out_once_and_another_one_is_told_as_itself() {
        let (fell, slid) = (places(&["fall", "decide"]), places(&["falld", "ecide"]));
        let mut spelled = 0;
        for round in 0..4 {
            for (places, expected) in [(&fell, "fall < decide"), (&slid, "falld < ecide")] {
                let told = remembered(key(places), || {
                    spelled += 1;
                    tell(places)
                });
                assert_eq!(told.as_deref(), Some(expected), "{round}");
            }
        }
        assert_eq!(spelled, 2);
        let lines = [1, 2].map(|line| key(&[Place { name: "fall", at: Some(("lib.rs", line)) }]));
        assert_ne!(lines[0], lines[1]);
    }

    #[test]
    fn traces_are_remembered_by_the_handful() {
        let mut spelled = 0;
        let mut ask = |name: &str| {
            let places = places(&[name]);
            remembered(key(&places), || {
                spelled += 1;
                tell(&places)
            })
        };
        (0..REMEMBERED + 1).for_each(|at| assert_eq!(ask(&at.to_string()).unwrap().as_ref(), at.to_string()));
        ask(&REMEMBERED.to_string());
        ask("0");
        assert_eq!(spelled, REMEMBERED + 2, "the newest is known, the oldest is not");
    }

    #[test]
    fn a_trace_tells_a_few_names_and_none_at_length() {
        let long = "王".repeat(1_000);
        let names = ["core::panicking::panic_fmt", "_ZN3one3two17h0123456789abcdefE", &long, "a", "b", "c", "d", "e"];
        let told = tell(&places(&names)).unwrap();
        let expected = format!("one::two < {} < a < b < c < d", "王".repeat(NAME_BYTES / 3));
        assert_eq!(told, expected);
        assert_eq!(tell(&places(&["rust_panic", "abort"])), None);
    }
}
