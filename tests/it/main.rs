//! The whole system from outside: real sockets, real TLS, real storage, real WebAssembly.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap fails the test")]

mod administration;
mod administrators;
mod breaker;
mod chat;
mod clock;
mod command_line;
mod conformance;
mod crash;
mod delivery;
mod devices;
mod duplicates;
mod explain;
mod files;
mod foreign;
mod ground;
mod groups;
mod harness;
mod held;
mod hostile;
mod identity;
mod killed;
mod letters;
mod lists;
mod log_in;
mod measures;
mod notices;
mod openapi;
mod people;
mod plugins;
mod reading;
mod recall;
mod registry;
mod rehearsal;
mod roles;
mod starting;
mod swap;
mod texts;
