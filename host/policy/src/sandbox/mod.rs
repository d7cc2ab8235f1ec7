//! The one WebAssembly engine of the process, and what runs in it.
//!
//! Invariants: a compiled module comes from our compiler or from our own authenticated cache;
//! nothing runs without a deadline; a store that failed is never used again.

pub(crate) mod cache;
pub(crate) mod counters;
pub(crate) mod engine;
pub(crate) mod host;
pub(crate) mod inspect;
mod instant;
pub(crate) mod slim;
pub(crate) mod snapshot;
pub(crate) mod state;
pub(crate) mod ticker;
pub(crate) mod wasi;
pub(crate) mod wrapped;

pub(crate) use instant::Instant;

/// Milliseconds since 1970 UTC.
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
