//! The rules of the network edge, on real sockets and real TLS.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::needless_pass_by_value, reason = "map(Seen::of) reads best")]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no readers from outside")]

mod authority;
mod client;
mod connections;
mod handshake;
mod http;
mod issuer;
mod support;
