//! What a plugin can do wrong. A closed list: each has its name in records and metrics.

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
        if error.chain().any(|cause| cause.to_string().contains("fuel allocated for hostcalls")) {
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

/// Functions of a trace that are told.
const TOLD: usize = 6;

/// Where a plugin trapped: its functions, the innermost first, as far as it kept their names. What every panic of Rust
/// passes through is left out.
fn trace(error: &wasmtime::Error) -> Option<String> {
    let backtrace = error.downcast_ref::<WasmBacktrace>()?;
    let names = backtrace.frames().iter().filter_map(told);
    let names: Vec<String> = names.filter(|name| !is_machinery(name)).take(TOLD).collect();
    (!names.is_empty()).then(|| names.join(" < "))
}

fn told(frame: &FrameInfo) -> Option<String> {
    let name = format!("{:#}", rustc_demangle::demangle(frame.func_name()?));
    let place = frame.symbols().iter().find_map(|symbol| Some((symbol.file()?, symbol.line()?)));
    Some(match place {
        Some((file, line)) => format!("{name} ({file}:{line})"),
        None => name,
    })
}

fn is_machinery(name: &str) -> bool {
    let machinery =
        ["core::panicking::", "std::panicking::", "std::sys::", "std::process::", "std::alloc::", "alloc::alloc::"];
    let plain =
        ["rust_panic", "__rust_start_panic", "__rustc", "_rust_begin_unwind", "rust_begin_unwind", "abort", "__rust_"];
    machinery.iter().any(|start| name.contains(start)) || plain.iter().any(|start| name.starts_with(start))
}
