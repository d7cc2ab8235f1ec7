//! The audit log (§6.2 d; design §5): an append-only Merkle log in C2SP tlog-tiles layout with signed checkpoints.
//!
//! A leaf's entry is a commitment, SHA-256 of 16 random bytes and the record, so that a record can be erased later
//! while every proof stays valid. Records commit with the act that they record ([`Tx::audit`](crate::Tx::audit)), wait
//! in the database, and move to files with each checkpoint. Everything below works from the files alone, also while a
//! server runs.

mod bundle;
mod edge;
mod export;
mod keys;
mod layout;
mod merkle;
mod note;
pub(crate) mod pending;
mod records;
mod verify;

use std::path::PathBuf;

pub(crate) use export::Export;
pub use merkle::Hash;
pub(crate) use merkle::{Frontier, leaf};
pub use records::{Records, records};
pub use verify::{Problem, Report, verify};

/// What is wrong between the audit log's files and the database, or with a file of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The database has handed over records that the files do not hold.
    #[error("the audit log in {} holds {files} records, but the database already handed over {exported}: restore the audit folder from its backup", dir.display())]
    Behind {
        /// The audit folder.
        dir: PathBuf,
        /// Records in the files.
        files: u64,
        /// Records that the database no longer has.
        exported: u64,
    },
    /// The files know of records that the database does not.
    #[error("the audit log in {} holds {files} records, but the database knows only {size}: the database is older than the log (restored from a backup?); restore the newest database", dir.display())]
    Ahead {
        /// The audit folder.
        dir: PathBuf,
        /// Records in the files.
        files: u64,
        /// Records that the database knows.
        size: u64,
    },
    /// A file of the log is missing or not what it was.
    #[error("{} in the audit log {what}: run `isthmus audit verify` and restore it from a backup", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The log's name cannot be used.
    #[error(
        "`{origin}` cannot name an audit log: use letters, digits, dots and slashes, as in `north.example/isthmus`"
    )]
    Origin {
        /// The name.
        origin: String,
    },
    /// No such exported record.
    #[error("audit record {index} is not exported (records 0 to {size} are, without the last)")]
    NotExported {
        /// The index asked for.
        index: u64,
        /// Number of exported records.
        size: u64,
    },
}

/// A published state of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of leaves.
    pub size: u64,
    /// Root of the Merkle tree over them.
    pub root: Hash,
    /// When it was published, in milliseconds since 1970.
    pub time_ms: u64,
    /// The signed note, as in the file `checkpoint`.
    pub note: String,
}

/// A record by its leaf index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// The leaf's index.
    pub index: u64,
    /// The record; `None` if it was erased.
    pub record: Option<Vec<u8>>,
}
