//! What the tests of this crate share.

use std::path::PathBuf;

use isthmus_store::{Options, Store, StoreError, Table, WriteError};
use tempfile::TempDir;

pub const SECRET: Table = Table::new(1, "secret", true);
pub const PLAIN: Table = Table::new(2, "plain", false);

/// A data folder with its key ring beside it.
pub struct Place {
    pub root: TempDir,
}

impl Place {
    pub fn new() -> Place {
        Place { root: tempfile::tempdir().unwrap() }
    }

    pub fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    pub fn ring(&self) -> PathBuf {
        self.root.path().join("ring.toml")
    }

    pub fn audit(&self) -> PathBuf {
        self.data().join("audit")
    }

    pub fn options(&self) -> Options {
        Options::new(self.data(), self.ring(), "test", "test.example/log")
    }

    pub fn open(&self) -> Store {
        Store::open(&self.options()).unwrap()
    }
}

/// Runs a rule that never refuses.
pub fn write(
    store: &Store,
    rule: impl FnOnce(&mut isthmus_store::Tx<'_>) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), WriteError<StoreError>> {
    store.write_blocking(rule)
}

/// Appends `records` to the audit log in batches of one rule each.
pub fn audit(store: &Store, records: impl IntoIterator<Item = String>) {
    for record in records {
        store.write_blocking(move |tx| Ok::<_, StoreError>(tx.audit(record.into_bytes()))).unwrap();
    }
}
