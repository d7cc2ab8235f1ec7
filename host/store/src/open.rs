//! What is made at the first start and checked at every other: folder, format, name, data keys.

use std::{fs, os::unix::fs::DirBuilderExt, path::Path};

use redb::{Database, ReadableTable};

use crate::{
    KeyRing, StoreError, Table,
    audit::Frontier,
    engine::{Bytes, KV},
    journal::{Journal, JournalFile},
    keyring::Secret,
    random::Random,
    seal::{DataKey, Seals},
    table::{AUDIT_PENDING, AUDIT_STATE, DATA_KEYS, LETTERS, META},
    tx::Counters,
    view::fetch,
    writer::{SEALS_STEP, journal_key, seals_key},
};

/// 2: beside the database lies a journal, without which it may lack the last commits.
const FORMAT: u32 = 2;
/// The number under which the index key lies among the data keys, which count from 1.
const INDEX_KEY: u32 = 0;

pub(crate) const OWN_SEALED: [Table; 3] = [AUDIT_PENDING, AUDIT_STATE, LETTERS];

/// What the writer starts with.
pub(crate) struct Opened {
    pub(crate) seals: Seals,
    pub(crate) journal: Journal,
    pub(crate) frontier: Frontier,
    pub(crate) counters: Counters,
    pub(crate) seals_stored: u64,
}

pub(crate) fn data_folder(dir: &Path) -> Result<(), StoreError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(StoreError::io("make the data folder", dir))
}

/// The engine syncs its file, not the names of file and folder.
pub(crate) fn sync_folder(dir: &Path) -> Result<(), StoreError> {
    let parent = dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for folder in [dir, parent] {
        fs::File::open(folder).and_then(|f| f.sync_all()).map_err(StoreError::io("sync the folder", folder))?;
    }
    Ok(())
}

type Kv<'t> = redb::Table<'t, Bytes, Bytes>;

pub(crate) fn prepare(
    db: &Database,
    path: &Path,
    journal: JournalFile,
    database: &str,
    ring: &KeyRing,
) -> Result<Opened, StoreError> {
    let txn = db.begin_write().map_err(StoreError::engine)?;
    let mut table = txn.open_table(KV).map_err(StoreError::engine)?;
    identify(&mut table, path, database)?;
    let (keys, index_key) = data_keys(&mut table, database, ring)?;
    let journal = replay(&mut table, journal, &index_key)?;
    let seals = Seals::new(database, keys, index_key).ok_or(StoreError::Malformed { what: "the list of data keys" })?;
    let current = seals.current();
    let noted = match table.get(&seals_key(current.number)[..])? {
        Some(value) => number(value.value(), "a counter of seals")?,
        None => 0,
    };
    // Up to one step of seals may have gone unnoted before the last stop.
    let seals_stored = noted + SEALS_STEP;
    current.count_from(seals_stored);
    table.insert(&seals_key(current.number)[..], &seals_stored.to_be_bytes()[..])?;
    let frontier = match fetch(&table, &seals, AUDIT_STATE, &AUDIT_STATE.key(b"size"))? {
        Some(state) => Frontier::decode(&state).ok_or(StoreError::Malformed { what: "the audit log's state" })?,
        None => Frontier::default(),
    };
    drop(table);
    txn.commit().map_err(StoreError::engine)?;
    Ok(Opened { seals, journal, frontier, counters: Counters::new(), seals_stored })
}

/// Puts in what the last run had answered and the engine had not on the disk yet. The key is this database's own: the
/// journal of another one says nothing here.
fn replay(table: &mut Kv<'_>, file: JournalFile, index_key: &Secret) -> Result<Journal, StoreError> {
    let applied = match table.get(&journal_key()[..])? {
        Some(value) => number(value.value(), "the number of the last commit")?,
        None => 0,
    };
    let key = blake3::derive_key("isthmus store journal v1", index_key);
    let mut rows = 0_u64;
    let journal = Journal::open(file, key, applied, |(place, value)| {
        match value {
            Some(value) => drop(table.insert(place, value)?),
            None => drop(table.remove(place)?),
        }
        rows += 1;
        Ok(())
    })?;
    table.insert(&journal_key()[..], &journal.number().to_be_bytes()[..])?;
    if rows > 0 {
        tracing::info!(rows, commits = journal.number() - applied, "the journal's commits are back in the database");
    }
    Ok(journal)
}

fn number(value: &[u8], what: &'static str) -> Result<u64, StoreError> {
    value.try_into().map(u64::from_be_bytes).map_err(|_| StoreError::Malformed { what })
}

fn identify(table: &mut Kv<'_>, path: &Path, database: &str) -> Result<(), StoreError> {
    let (format, name) = (META.key(b"format"), META.key(b"database"));
    let Some(found) = table.get(&format[..])?.map(|v| v.value().to_vec()) else {
        table.insert(&format[..], &FORMAT.to_be_bytes()[..])?;
        table.insert(&name[..], database.as_bytes())?;
        return Ok(());
    };
    let found =
        found.try_into().map(u32::from_be_bytes).map_err(|_| StoreError::Malformed { what: "the format number" })?;
    if found < FORMAT {
        table.insert(&format[..], &FORMAT.to_be_bytes()[..])?;
    }
    if found > FORMAT {
        return Err(StoreError::Format { path: path.into(), found, known: FORMAT });
    }
    let found = table.get(&name[..])?.map(|v| String::from_utf8_lossy(v.value()).into_owned()).unwrap_or_default();
    if found != database {
        return Err(StoreError::OtherDatabase { path: path.into(), found, wanted: database.into() });
    }
    Ok(())
}

/// Opens all data keys, makes the first ones, and wraps anew those that an older master key wrapped.
fn data_keys(table: &mut Kv<'_>, database: &str, ring: &KeyRing) -> Result<(Vec<DataKey>, Secret), StoreError> {
    let mut stored = Vec::new();
    for row in table.range::<&[u8]>(&DATA_KEYS.key(&[])[..]..&META.key(&[])[..])? {
        let (key, wrapped) = row?;
        let number =
            key.value()[1..].try_into().map_err(|_| StoreError::Malformed { what: "the number of a data key" })?;
        stored.push((u32::from_be_bytes(number), wrapped.value().to_vec()));
    }
    if stored.is_empty() {
        let mut random = Random::new();
        for number in [INDEX_KEY, 1] {
            let wrapped = DataKey::wrap(ring, database, number, &random.take()?)?;
            table.insert(&DATA_KEYS.key(&number.to_be_bytes())[..], &wrapped[..])?;
            stored.push((number, wrapped));
        }
    }
    let mut index_key = None;
    let mut keys = Vec::new();
    for (number, wrapped) in stored {
        let (mut key, secret, current) = DataKey::open(ring, database, number, wrapped)?;
        if !current {
            key.wrapped = DataKey::wrap(ring, database, number, &secret)?;
            table.insert(&DATA_KEYS.key(&number.to_be_bytes())[..], &key.wrapped[..])?;
        }
        if number == INDEX_KEY {
            index_key = Some(secret);
        } else {
            keys.push(key);
        }
    }
    Ok((keys, index_key.ok_or(StoreError::Malformed { what: "the list of data keys" })?))
}
