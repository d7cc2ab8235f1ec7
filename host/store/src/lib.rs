//! What survives a crash: transactions with group commit, encryption at rest, outbox lanes and the audit log.
//!
//! A *rule* is a synchronous function over one [`Tx`]. [`Store::write`] runs it on the writer thread and answers after
//! the disk has confirmed it; rules that wait at the same time share one commit. A rule that refuses leaves nothing
//! behind, a rule that panics costs only itself.
//!
//! **Keys decide the cost.** A commit copies every 4 KiB page that its rules touched, and such pages are written once
//! the journal is full: rows that lie together share a page. Begin keys with what a batch has in common (user, conversation, peer) and go on with what rises
//! (sequence numbers, time-ordered IDs); a random key costs a page of its own for every row. Tables that stay small
//! because rows are soon deleted (lanes, unacknowledged inbox rows) cost next to nothing.
//!
//! Files lie beside the database, sealed as well: [`blob`].
//!
//! The engine (redb today) does not show through: callers see tables, keys and bytes.
//!
//! Carries out T/CIIA 003—2019 §6.2 c (data at rest encrypted) and §6.2 d (audit).

pub mod audit;
pub mod blob;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may stop at the first failure"
)]
mod disk_tests;
mod engine;
mod error;
mod journal;
mod keyring;
pub mod lane;
mod open;
mod options;
mod random;
mod seal;
mod stats;
mod store;
mod table;
mod tx;
mod view;
mod writer;

pub use error::{StoreError, WriteError};
pub use keyring::{KeyRing, KeyRingError};
pub use options::Options;
pub use stats::Stats;
pub use store::{Pending, Scrubbed, Store};
pub use table::Table;
pub use tx::Tx;
pub use view::{Reader, Row, View};
