//! The whole system from outside: real sockets, real TLS, real storage, real WebAssembly.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap fails the test")]

mod duplicates;
mod identity;
