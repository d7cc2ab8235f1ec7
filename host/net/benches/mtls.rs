//! Bare hyper under mutual TLS.
fn main() {}
