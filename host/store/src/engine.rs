//! The engine, redb: one file, one B-tree, keys that begin with the table's number. Nothing of redb leaves this crate.

use std::{
    fs, io,
    ops::Bound,
    path::{Path, PathBuf},
};

use redb::{AccessGuard, Database, DatabaseError, Range, ReadableTable, StorageError, TableDefinition};

use crate::StoreError;

/// The database file's name within the data folder.
pub(crate) const DATABASE_FILE: &str = "store.redb";

pub(crate) type Bytes = &'static [u8];
/// One tree for everything: a commit rewrites the path to each changed leaf, and one tree has fewer of them.
pub(crate) const KV: TableDefinition<Bytes, Bytes> = TableDefinition::new("kv");

/// What a rule and a view read from.
pub(crate) trait Base {
    fn fetch(&self, key: &[u8]) -> Result<Option<AccessGuard<'_, Bytes>>, StorageError>;
    fn between(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<Range<'_, Bytes, Bytes>, StorageError>;
}

impl<T: ReadableTable<Bytes, Bytes>> Base for T {
    fn fetch(&self, key: &[u8]) -> Result<Option<AccessGuard<'_, Bytes>>, StorageError> {
        ReadableTable::get(self, key)
    }

    fn between(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<Range<'_, Bytes, Bytes>, StorageError> {
        ReadableTable::range::<&[u8]>(self, (from, to))
    }
}

/// Opens or makes the database file. `check` verifies every page's checksum first: ordinary reads do not.
pub(crate) fn open(path: &Path, cache_bytes: usize, check: bool) -> Result<Database, StoreError> {
    if !path.exists() {
        make(path)?;
    }
    // A second name of the same file, or what another process at its first start is done with too.
    let _ = fs::remove_file(aside(path));
    redb::Builder::new()
        .set_cache_size(cache_bytes)
        .set_check_integrity_on_open(check)
        .set_repair_callback(|session| {
            tracing::info!(progress = session.progress(), "repairing the database after an unclean stop");
        })
        .open(path)
        .map_err(|error| open_error(path, error))
}

/// The engine refuses a file whose making was cut short, so it is made aside and linked into place: a database under its
/// own name is a whole one, and one that another process made meanwhile is not replaced.
fn make(path: &Path) -> Result<(), StoreError> {
    let aside = aside(path);
    let made = match Database::create(&aside).map_err(|error| open_error(&aside, error)) {
        Err(StoreError::Corrupt { .. }) => {
            fs::remove_file(&aside).map_err(StoreError::io("remove the half-made", &aside))?;
            Database::create(&aside).map_err(|error| open_error(&aside, error))
        }
        made => made,
    };
    drop(made?);
    match fs::hard_link(&aside, path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(StoreError::io("make", path)(e)),
        _ => Ok(()),
    }
}

fn aside(path: &Path) -> PathBuf {
    path.with_extension("redb.new")
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the engine's list of errors is open")]
pub(crate) fn open_error(path: &Path, error: DatabaseError) -> StoreError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked { path },
        DatabaseError::Storage(StorageError::Corrupted(what)) => StoreError::Corrupt { path, what },
        DatabaseError::Storage(StorageError::Io(e)) if e.kind() == io::ErrorKind::InvalidData => {
            StoreError::Corrupt { path, what: e.to_string() }
        }
        DatabaseError::Storage(StorageError::Io(source)) => StoreError::Io { step: "open", path, source },
        other => StoreError::engine(other),
    }
}
