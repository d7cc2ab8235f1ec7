//! The rules, against a real store in a temporary folder.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod accounts;
mod administrators;
mod files;
mod friends;
mod groups;
mod measures;
mod messages;
mod mirrors;
mod paging;
mod partitions;
mod people;
mod place;
mod properties;
mod quarantine;
mod recalling;
mod receiving;
mod registry;
mod speaking;
mod town;
