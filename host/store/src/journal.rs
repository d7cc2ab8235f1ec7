//! The journal: what a commit changed, appended and synced, so that an answer need not wait for the engine's pages.
//!
//! A commit of the engine writes every page that it touched, some 4 KiB for a row of 30 bytes; the journal writes the
//! rows. So most commits go to the journal alone and stay in the engine's memory; now and then one is made durable by
//! the engine, with all before it, and the journal begins again at its start. After a stop the rows of the journal are
//! put into the database once more.
//!
//! A record begins on a block of its own, so that a torn write touches none that was answered. It is: tag (32 bytes),
//! number (u64), length (u64), rows. The tag is a keyed BLAKE3 of all the rest: a record that was cut short, altered, or
//! written by another database is none. A row is: length of its key (u32), the key, length of its value (u32, all ones
//! for a row that was deleted), the value as it lies in the database, sealed where its table is.

use std::{fs, io, path::Path};

use redb::{StorageBackend, backends::FileBackend};

use crate::{StoreError, keyring::Secret};

/// The journal file's name within the data folder.
const JOURNAL_FILE: &str = "store.journal";
/// Rows since the engine's last durable commit: a bound on the time that the next one, and a start, take.
const CAPACITY: usize = if cfg!(test) { 64 << 10 } else { 1 << 20 };
const BLOCK: usize = 4096;
const HEAD: usize = 32 + 8 + 8;
const DELETED: u32 = u32::MAX;

/// Where the journal lies; the engine's own kind of file, so that tests put the same disk under both.
pub(crate) type JournalFile = Box<dyn StorageBackend>;

/// A row of a record: its key with the table's number, and its value, none if it was deleted.
type Row<'a> = (&'a [u8], Option<&'a [u8]>);

pub(crate) struct Journal {
    file: JournalFile,
    key: Secret,
    /// Where the next record goes.
    end: usize,
    /// Of the last commit, wherever it was written.
    number: u64,
    /// The next record.
    record: Vec<u8>,
}

/// Opens the file, or makes it with all its blocks, so that a sync has no metadata to write.
pub(crate) fn file(dir: &Path) -> Result<JournalFile, StoreError> {
    let path = dir.join(JOURNAL_FILE);
    let open = |path: &Path| {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        FileBackend::new(file).map_err(io::Error::other)
    };
    let made = open(&path).and_then(|file| {
        fill(&file)?;
        Ok(file)
    });
    Ok(Box::new(made.map_err(StoreError::io("open the journal", &path))?))
}

fn fill(file: &dyn StorageBackend) -> io::Result<()> {
    let length = file.len()?;
    if length < CAPACITY as u64 {
        file.write(length, &vec![0; CAPACITY - usize::try_from(length).unwrap_or_default()])?;
        file.sync_data()?;
    }
    Ok(())
}

impl Journal {
    /// Hands the rows that `applied`, the number of the engine's last durable commit, does not cover to `apply`, in
    /// their order. The caller makes what it did with them durable before the first [`Journal::append`].
    pub(crate) fn open(
        file: JournalFile,
        key: Secret,
        applied: u64,
        mut apply: impl FnMut(Row<'_>) -> Result<(), StoreError>,
    ) -> Result<Journal, StoreError> {
        fill(&*file).map_err(failed)?;
        let mut bytes = vec![0; usize::try_from(file.len().map_err(failed)?).unwrap_or(CAPACITY)];
        file.read(0, &mut bytes).map_err(failed)?;
        let (mut at, mut number) = (0, None);
        while let Some((found, rows)) =
            record(&key, &bytes, at).filter(|(n, _)| number.is_none_or(|last| *n == last + 1))
        {
            // The first record follows the durable commit at which the journal began again.
            if number.is_none() && found > applied + 1 {
                return Err(StoreError::Journal { what: "goes on from a later state than the database has" });
            }
            if found > applied {
                each(rows, &mut apply)?;
            }
            at += blocks(HEAD + rows.len());
            number = Some(found);
        }
        let last = number.unwrap_or(applied).max(applied);
        whole(&key, &bytes, at, last)?;
        Ok(Journal { file, key, end: 0, number: last, record: Vec::with_capacity(64 * 1024) })
    }

    /// Number of the last commit.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Begins the next record.
    pub(crate) fn begin(&mut self) {
        self.record.clear();
        self.record.resize(HEAD, 0);
    }

    /// Adds a row, and lends the place for its value.
    pub(crate) fn put(&mut self, key: &[u8], length: usize) -> &mut [u8] {
        self.head(key, length as u32);
        let start = self.record.len();
        self.record.resize(start + length, 0);
        &mut self.record[start..]
    }

    /// Adds a row that was deleted.
    pub(crate) fn delete(&mut self, key: &[u8]) {
        self.head(key, DELETED);
    }

    fn head(&mut self, key: &[u8], length: u32) {
        self.record.extend_from_slice(&(key.len() as u32).to_be_bytes());
        self.record.extend_from_slice(key);
        self.record.extend_from_slice(&length.to_be_bytes());
    }

    /// Counts the commit that is being made; false: the record does not fit, and the engine must make it durable.
    pub(crate) fn advance(&mut self) -> bool {
        self.number += 1;
        self.end + self.record.len() <= CAPACITY
    }

    /// Writes the record; it stands when this returns.
    pub(crate) fn append(&mut self) -> Result<(), StoreError> {
        let rows = (self.record.len() - HEAD) as u64;
        self.record[32..40].copy_from_slice(&self.number.to_be_bytes());
        self.record[40..HEAD].copy_from_slice(&rows.to_be_bytes());
        let tag = *blake3::keyed_hash(&self.key, &self.record[32..]).as_bytes();
        self.record[..32].copy_from_slice(&tag);
        self.record.resize(blocks(self.record.len()), 0);
        self.file.write(self.end as u64, &self.record).map_err(failed)?;
        self.file.sync_data().map_err(failed)?;
        self.end += self.record.len();
        Ok(())
    }

    /// The engine's last durable commit covers everything: the next record goes to the start.
    pub(crate) fn restart(&mut self) {
        self.end = 0;
    }

    /// Whether records follow the engine's last durable commit.
    pub(crate) fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Leaves nothing to replay beside a database that is closed in order: an older one put in its place later must not
    /// go on from here.
    pub(crate) fn clear(&mut self) -> Result<(), StoreError> {
        self.file.write(0, &vec![0; CAPACITY]).map_err(failed)?;
        self.file.sync_data().map_err(failed)?;
        self.restart();
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.file.close();
    }
}

fn failed(source: io::Error) -> StoreError {
    StoreError::Io { step: "use the journal", path: JOURNAL_FILE.into(), source }
}

fn blocks(length: usize) -> usize {
    length.next_multiple_of(BLOCK)
}

/// Number and rows of the record at `at`, if there is one.
fn record<'a>(key: &Secret, bytes: &'a [u8], at: usize) -> Option<(u64, &'a [u8])> {
    let (tag, rest) = bytes.get(at..)?.split_first_chunk::<32>()?;
    let number = u64::from_be_bytes(*rest.first_chunk()?);
    let length = usize::try_from(u64::from_be_bytes(*rest.get(8..)?.first_chunk()?)).ok()?;
    let signed = rest.get(..length.checked_add(16)?)?;
    (blake3::keyed_hash(key, signed) == *tag).then_some((number, &signed[16..]))
}

/// Nothing is written after a record before that one stands: a later one behind the end means that what lies between is
/// damaged.
fn whole(key: &Secret, bytes: &[u8], end: usize, last: u64) -> Result<(), StoreError> {
    let later = (end..bytes.len()).step_by(BLOCK).filter_map(|at| record(key, bytes, at));
    if later.into_iter().any(|(number, _)| number > last) {
        return Err(StoreError::Journal { what: "is damaged before its end" });
    }
    Ok(())
}

fn each(mut rows: &[u8], apply: &mut impl FnMut(Row<'_>) -> Result<(), StoreError>) -> Result<(), StoreError> {
    while !rows.is_empty() {
        let (row, rest) = row(rows).ok_or(StoreError::Journal { what: "holds a row that cannot be understood" })?;
        apply(row)?;
        rows = rest;
    }
    Ok(())
}

fn row(bytes: &[u8]) -> Option<(Row<'_>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (key, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length);
    if length == DELETED {
        return Some(((key, None), rest));
    }
    let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some(((key, Some(value)), rest))
}
