//! What can go wrong in storage, in words that say what to do next.

use std::{io, path::PathBuf, sync::Arc};

use crate::{KeyRingError, audit::AuditError};

/// A fault of storage: ours or the machine's, never the caller's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the database open.
    #[error("the database {} is in use by another process: stop that process, or choose another data folder", path.display())]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// The database file is damaged.
    #[error("the database {} is damaged ({what}): restore it from a backup together with its audit folder", path.display())]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What the engine found.
        what: String,
    },
    /// The file is a database, but another one than asked for.
    #[error("the database {} calls itself `{found}`, not `{wanted}`: check the data folder in the configuration", path.display())]
    OtherDatabase {
        /// The database file.
        path: PathBuf,
        /// The name that it carries.
        found: String,
        /// The name in [`Options::database`](crate::Options::database).
        wanted: String,
    },
    /// The file was written by a newer release.
    #[error("the database {} has format {found}, this release reads {known}: use a newer release", path.display())]
    Format {
        /// The database file.
        path: PathBuf,
        /// Its format number.
        found: u32,
        /// The newest that this release reads.
        known: u32,
    },
    /// The key ring is missing, unreadable, exposed or damaged.
    #[error(transparent)]
    KeyRing(#[from] KeyRingError),
    /// The key ring is not the one that sealed the data.
    #[error(
        "the key ring does not open data key {key} of the database: put back the key ring that was in use when the database was made"
    )]
    WrongKeyRing {
        /// Number of the data key.
        key: u32,
    },
    /// A sealed value does not open: it was altered or moved.
    #[error(
        "a sealed value in table `{table}` at key {key} does not open: it was altered or moved; restore from a backup"
    )]
    Sealed {
        /// Name of the table.
        table: &'static str,
        /// The key, in hex.
        key: String,
    },
    /// A blob's file was altered, cut, or put in another's place.
    #[error("the blob {} does not open at piece {piece}: it was altered; restore it from a backup", path.display())]
    DamagedBlob {
        /// The file.
        path: PathBuf,
        /// The first piece that does not open, of 64 KiB each, from 0.
        piece: u64,
    },
    /// A value of the store's own has a form that it never writes.
    #[error("{what} in the database cannot be understood: restore from a backup")]
    Malformed {
        /// Which value.
        what: &'static str,
    },
    /// The journal beside the database is damaged, or does not belong to this state of it.
    #[error("the journal {what}: restore database, journal and audit folder from one backup")]
    Journal {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The audit log's files and the database disagree, or a file of it cannot be used.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The queue of waiting rules stayed full until the deadline.
    #[error("the store is overloaded: try again shortly")]
    Overloaded,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// An earlier commit failed; nothing is written any more, so that nothing is lost silently.
    #[error("the store stopped after a failed write ({0}): free disk space or replace the disk, then restart")]
    Failed(Arc<str>),
    /// The rule panicked; its writes were dropped.
    #[error("a rule panicked: {0}")]
    Panicked(String),
    /// The system's random source failed.
    #[error("the system's random source failed")]
    Random,
    /// A file operation failed.
    #[error("could not {step} {}", path.display())]
    Io {
        /// What was tried, as in "could not *open* …".
        step: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The engine failed while reading or writing.
    #[error("the storage engine failed")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    pub(crate) fn engine(error: impl Into<redb::Error>) -> StoreError {
        StoreError::Engine(Box::new(error.into()))
    }

    pub(crate) fn io(step: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.into();
        move |source| StoreError::Io { step, path, source }
    }
}

impl From<redb::StorageError> for StoreError {
    fn from(error: redb::StorageError) -> StoreError {
        StoreError::engine(error)
    }
}

/// Why a rule's writes were not kept.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The rule said no; it left nothing behind.
    #[error("the rule refused: {0}")]
    Refused(E),
    /// Storage failed; whether anything was kept is unknown only after a failed commit.
    #[error(transparent)]
    Fault(#[from] StoreError),
}
