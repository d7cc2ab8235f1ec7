//! The one WebAssembly engine of the process, and what runs in it.
//!
//! Invariants: a compiled module comes from our compiler or from our own authenticated cache;
//! nothing runs without a deadline; a store that failed is never used again.

pub(crate) mod cache;
pub(crate) mod counters;
pub(crate) mod engine;
pub(crate) mod host;
pub(crate) mod inspect;
pub(crate) mod snapshot;
pub(crate) mod state;
pub(crate) mod ticker;
