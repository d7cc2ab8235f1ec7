//! How a store is opened.

use std::{path::PathBuf, time::Duration};

/// How a store is opened. [`Options::new`] fills in what has a default.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder: the database, and the audit log below `audit/`. Made if missing.
    pub dir: PathBuf,
    /// The key ring file, outside of `dir`. Made at the first start.
    pub keyring: PathBuf,
    /// Memory for the engine's page cache, in bytes.
    pub cache_bytes: usize,
    /// The database's name; part of every sealed value's associated data.
    pub database: String,
    /// How many rules may wait.
    pub queue: usize,
    /// How many rules share one commit at most.
    pub max_batch: usize,
    /// How long a batch waits for more rules, if the one before had more than one: fewer and larger commits cost less
    /// CPU a rule and add this much delay to each. Zero: take what waits already.
    pub gather: Duration,
    /// Name of the audit log in its checkpoints (C2SP tlog-checkpoint origin), as `north.example/isthmus`: no white
    /// space, no `+`.
    pub audit_origin: String,
    /// Verify every page's checksum at open. Ordinary reads do not, so this finds silent damage; it reads the whole
    /// file.
    pub check_integrity: bool,
    /// How long a rule waits for a place in a full queue before it gets
    /// [`StoreError::Overloaded`](crate::StoreError::Overloaded).
    pub write_wait: Duration,
}

impl Options {
    /// Defaults: 64 MiB cache, 4,096 waiting rules, 256 a commit, no gathering, integrity check on, 2 s of waiting.
    pub fn new(dir: impl Into<PathBuf>, keyring: impl Into<PathBuf>, database: &str, audit_origin: &str) -> Options {
        Options {
            dir: dir.into(),
            keyring: keyring.into(),
            cache_bytes: 64 << 20,
            database: database.to_owned(),
            queue: 4096,
            max_batch: 256,
            gather: Duration::ZERO,
            audit_origin: audit_origin.to_owned(),
            check_integrity: true,
            write_wait: Duration::from_secs(2),
        }
    }
}
