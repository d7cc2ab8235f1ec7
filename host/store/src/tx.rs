//! A rule's transaction: an overlay over the batch's open engine transaction, kept whole or dropped.

use std::{collections::HashMap, ops::Bound};

use crate::{
    Reader, StoreError, Table,
    engine::Base,
    seal::Seals,
    table::COUNTERS,
    view::{self, Overlay, Row, Scan},
};

/// What a rule wants done to one row.
#[derive(Debug)]
pub(crate) enum Change {
    Put { sealed: bool, value: Vec<u8> },
    Delete,
}

/// Counters and their last values, as known to the writer.
pub(crate) type Counters = HashMap<String, u64>;

/// The writes of one rule.
#[derive(Default)]
pub(crate) struct Writes {
    pub(crate) rows: Overlay,
    pub(crate) counters: Counters,
    pub(crate) records: Vec<Vec<u8>>,
}

impl Writes {
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.counters.clear();
        self.records.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.counters.is_empty() && self.records.is_empty()
    }
}

/// One rule's transaction. Its writes are seen by the rule at once, by others after the commit, and by nobody if the
/// rule refuses.
pub struct Tx<'b> {
    pub(crate) base: &'b dyn Base,
    pub(crate) seals: &'b Seals,
    pub(crate) counters: &'b Counters,
    /// Index of the first leaf that this rule may add.
    pub(crate) first_leaf: u64,
    pub(crate) writes: Writes,
}

impl Tx<'_> {
    /// Writes a row.
    pub fn put(&mut self, t: Table, key: &[u8], value: &[u8]) {
        self.put_owned(t, key, value.to_vec());
    }

    /// Writes a row without copying its value.
    pub fn put_owned(&mut self, t: Table, key: &[u8], value: Vec<u8>) {
        self.writes.rows.insert(t.key(key), Change::Put { sealed: t.sealed, value });
    }

    /// Deletes a row; none there is no error.
    pub fn delete(&mut self, t: Table, key: &[u8]) {
        self.writes.rows.insert(t.key(key), Change::Delete);
    }

    /// Appends a record to the audit log, and says its leaf index: final if the rule succeeds and its commit does.
    pub fn audit(&mut self, record: Vec<u8>) -> u64 {
        self.writes.records.push(record);
        self.first_leaf + self.writes.records.len() as u64 - 1
    }

    /// The next number of a durable sequence, from 1. Numbers of rules that refuse are given again. Names that begin
    /// with `isthmus.` are the store's own.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn next(&mut self, counter: &str) -> Result<u64, StoreError> {
        let last = match self.writes.counters.get(counter).or_else(|| self.counters.get(counter)) {
            Some(last) => *last,
            None => stored_counter(self.base, self.seals, counter)?,
        };
        self.writes.counters.insert(counter.to_owned(), last + 1);
        Ok(last + 1)
    }
}

fn stored_counter(base: &dyn Base, seals: &Seals, counter: &str) -> Result<u64, StoreError> {
    let Some(value) = view::fetch(base, seals, COUNTERS, &COUNTERS.key(counter.as_bytes()))? else { return Ok(0) };
    value.try_into().map(u64::from_be_bytes).map_err(|_| StoreError::Malformed { what: "a counter" })
}

impl Reader for Tx<'_> {
    fn get(&self, t: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let full = t.key(key);
        match self.writes.rows.get(&full) {
            Some(Change::Put { value, .. }) => Ok(Some(value.clone())),
            Some(Change::Delete) => Ok(None),
            None => view::fetch(self.base, self.seals, t, &full),
        }
    }

    fn scan(
        &self,
        t: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        Scan { base: self.base, seals: self.seals, table: t, limit, reverse }.run(Some(&self.writes.rows), from, to)
    }

    fn index_hash(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        self.seals.index_hash(purpose, data)
    }
}
