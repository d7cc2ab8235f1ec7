//! From the database to files.

use std::path::{Path, PathBuf};

use super::{Checkpoint, Frontier, Numbered};
use crate::{KeyRing, Store, StoreError, View, seal::Seals};

pub(crate) struct Export {
    dir: PathBuf,
    frontier: Frontier,
}

impl Export {
    pub(crate) fn open(
        dir: &Path,
        _origin: &str,
        _database: &str,
        _ring: &KeyRing,
        _seals: &Seals,
        _view: &View,
        _frontier: &Frontier,
    ) -> Result<Export, StoreError> {
        Ok(Export { dir: dir.into(), frontier: Frontier::default() })
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn run(&mut self, _store: &Store, now_ms: u64) -> Result<Checkpoint, StoreError> {
        let _ = &self.dir;
        Ok(Checkpoint { size: self.size(), root: self.frontier.root(), time_ms: now_ms, note: String::new() })
    }

    pub(crate) fn records(&self, _view: &View, _from: u64, _limit: usize) -> Result<Vec<Numbered>, StoreError> {
        Ok(Vec::new())
    }

    pub(crate) fn erase(&mut self, _index: u64, _note: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }
}
