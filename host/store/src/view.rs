//! Reading: what rules and read-only views have in common.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use redb::{AccessGuard, ReadOnlyTable, StorageError};

use crate::{
    StoreError, Table,
    engine::{Base, Bytes},
    seal::Seals,
    tx::Change,
};

/// A row: key without its table, value opened.
pub type Row = (Vec<u8>, Vec<u8>);

/// Reads rows; a rule sees its own writes.
pub trait Reader {
    /// The value at `key`, or `None`.
    ///
    /// # Errors
    /// If the engine fails or a sealed value does not open.
    fn get(&self, t: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `limit` rows with keys within the bounds, in ascending order of keys, or descending with `reverse`.
    ///
    /// # Errors
    /// If the engine fails or a sealed value does not open.
    fn scan(
        &self,
        t: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError>;

    /// At most `limit` rows whose keys begin with `prefix`.
    ///
    /// # Errors
    /// As [`Reader::scan`].
    fn prefix(&self, t: Table, prefix: &[u8], limit: usize, reverse: bool) -> Result<Vec<Row>, StoreError> {
        let end = after_prefix(prefix);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.scan(t, Bound::Included(prefix), to, limit, reverse)
    }

    /// A keyed 32-byte hash: the same for the life of the database, meaningless outside of it, different for each
    /// `purpose`. For keys that must be found by their content but not tell it.
    fn index_hash(&self, purpose: &str, data: &[u8]) -> [u8; 32];
}

/// The first key after all that begin with `prefix`; `None` if there is none.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|b| *b != 0xFF)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// The state of the store after some commit, unchanged by later ones.
pub struct View {
    table: ReadOnlyTable<Bytes, Bytes>,
    seals: Arc<Seals>,
}

impl View {
    pub(crate) fn new(table: ReadOnlyTable<Bytes, Bytes>, seals: Arc<Seals>) -> View {
        View { table, seals }
    }

    /// Up to `limit` keys below `to`, without opening their values.
    pub(crate) fn keys_below(&self, t: Table, to: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = self.table.between(Bound::Included(&[t.id]), Bound::Excluded(&t.key(to)))?;
        rows.take(limit).map(|row| Ok(row?.0.value()[1..].to_vec())).collect()
    }

    /// Opens up to `limit` rows, notes those that do not open, and says the last key and how many there were.
    pub(crate) fn check(
        &self,
        t: Table,
        from: Bound<&[u8]>,
        limit: usize,
        problems: &mut Vec<String>,
    ) -> Result<(Option<Vec<u8>>, u64), StoreError> {
        let low = from.map(|key| t.key(key));
        let low = match &low {
            Bound::Unbounded => Bound::Included(std::slice::from_ref(&t.id)),
            Bound::Included(key) => Bound::Included(&key[..]),
            Bound::Excluded(key) => Bound::Excluded(&key[..]),
        };
        let (mut last, mut rows) = (None, 0);
        for row in self.table.between(low, Bound::Unbounded)?.take(limit) {
            let (key, value) = row?;
            let full = key.value();
            if full.first() != Some(&t.id) {
                break;
            }
            if let Err(problem) = open(&self.seals, t, full, value.value()) {
                problems.push(problem.to_string());
            }
            last = Some(full[1..].to_vec());
            rows += 1;
        }
        Ok((last, rows))
    }
}

impl Reader for View {
    fn get(&self, t: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        fetch(&self.table, &self.seals, t, &t.key(key))
    }

    fn scan(
        &self,
        t: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        Scan { base: &self.table, seals: &self.seals, table: t, limit, reverse }.run(None, from, to)
    }

    fn index_hash(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        self.seals.index_hash(purpose, data)
    }
}

pub(crate) fn fetch(base: &dyn Base, seals: &Seals, t: Table, full: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    base.fetch(full)?.map(|value| open(seals, t, full, value.value())).transpose()
}

fn open(seals: &Seals, t: Table, full: &[u8], stored: &[u8]) -> Result<Vec<u8>, StoreError> {
    if !t.sealed {
        return Ok(stored.to_vec());
    }
    seals.open(full, stored).ok_or_else(|| StoreError::Sealed { table: t.name, key: hex::encode(&full[1..]) })
}

pub(crate) type Overlay = BTreeMap<Vec<u8>, Change>;

/// A scan over the engine's rows with an overlay of uncommitted changes on top.
pub(crate) struct Scan<'a> {
    pub(crate) base: &'a dyn Base,
    pub(crate) seals: &'a Seals,
    pub(crate) table: Table,
    pub(crate) limit: usize,
    pub(crate) reverse: bool,
}

type BaseRow<'a> = Result<(AccessGuard<'a, Bytes>, AccessGuard<'a, Bytes>), StorageError>;

impl Scan<'_> {
    pub(crate) fn run(
        &self,
        overlay: Option<&Overlay>,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Result<Vec<Row>, StoreError> {
        let low = match from {
            Bound::Included(key) => Bound::Included(self.table.key(key)),
            Bound::Excluded(key) => Bound::Excluded(self.table.key(key)),
            Bound::Unbounded => Bound::Included(vec![self.table.id]),
        };
        let high = match to {
            Bound::Included(key) => Bound::Included(self.table.key(key)),
            Bound::Excluded(key) => Bound::Excluded(self.table.key(key)),
            Bound::Unbounded => {
                self.table.id.checked_add(1).map_or(Bound::Unbounded, |next| Bound::Excluded(vec![next]))
            }
        };
        let (low, high) = (low.as_ref().map(Vec::as_slice), high.as_ref().map(Vec::as_slice));
        if self.limit == 0 || is_empty(low, high) {
            return Ok(Vec::new());
        }
        let stored = self.base.between(low, high)?;
        let changed = overlay.filter(|o| !o.is_empty()).map(|o| o.range::<[u8], _>((low, high)));
        match (self.reverse, changed) {
            (false, None) => self.merge(stored, std::iter::empty()),
            (true, None) => self.merge(stored.rev(), std::iter::empty()),
            (false, Some(changed)) => self.merge(stored, changed),
            (true, Some(changed)) => self.merge(stored.rev(), changed.rev()),
        }
    }

    fn merge<'k>(
        &self,
        stored: impl Iterator<Item = BaseRow<'k>>,
        changed: impl Iterator<Item = (&'k Vec<u8>, &'k Change)>,
    ) -> Result<Vec<Row>, StoreError> {
        let (mut stored, mut changed) = (stored.peekable(), changed.peekable());
        let mut rows = Vec::new();
        while rows.len() < self.limit {
            let order = match (stored.peek(), changed.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(Ok((key, _))), Some((change, _))) => {
                    let order = key.value().cmp(change.as_slice());
                    if self.reverse { order.reverse() } else { order }
                }
                (Some(Err(_)), Some(_)) => std::cmp::Ordering::Less,
            };
            // On equal keys the change hides the stored row.
            if order.is_le()
                && let Some(row) = stored.next().transpose()?
                && order.is_lt()
            {
                let (key, value) = row;
                let full = key.value();
                rows.push((full[1..].to_vec(), open(self.seals, self.table, full, value.value())?));
            }
            if order.is_ge()
                && let Some((key, Change::Put { value, .. })) = changed.next()
            {
                rows.push((key[1..].to_vec(), value.clone()));
            }
        }
        Ok(rows)
    }
}

fn is_empty(low: Bound<&[u8]>, high: Bound<&[u8]>) -> bool {
    match (low, high) {
        (Bound::Included(a), Bound::Included(b)) => a > b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Excluded(b)) | (Bound::Excluded(a), Bound::Included(b)) => {
            a >= b
        }
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}
