//! Acts upon the platform's files by `isthmus` commands, in its audit log.
//!
//! Where no platform runs, the command has the log to itself and writes into it. A running platform alone writes into its log: the
//! act lies in `acts/` then, under a MAC of the key ring, until the platform takes it, seconds later or at its next start.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use isthmus_domain::{AuditRecord, TimeId, table};
use isthmus_store::{KeyRing, KeyRingError, Reader, Store, StoreError, Tx, WriteError};

use super::start::store_options;
use super::{PlatformError, State};
use crate::clock;
use crate::config::PlatformConfig;
use crate::file::{PRIVATE, write_whole};
use crate::reply::{Problem, chain};

const FOLDER: &str = "acts";
const LABEL: &str = "acts of commands";
/// The last that were taken: a stop between the commit and the removal of their files takes none twice.
const TAKEN: &[u8] = b"acts taken";
/// Bytes of one, and files looked at in one go.
const ACT_MAX: u64 = 64 * 1024;
const AT_ONCE: usize = 256;

/// Why an act cannot be recorded; it is not carried out then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActError {
    #[error("the act could not be recorded in the platform's audit log, and was not carried out")]
    Store(#[from] StoreError),
    #[error("the act could not be recorded, and was not carried out")]
    KeyRing(#[from] KeyRingError),
    #[error("{path} cannot be written, so the act would not be recorded: make it writable for this user")]
    File { path: PathBuf, source: io::Error },
}

/// Where the acts of a command go.
pub(crate) enum Acts {
    /// No platform runs: its log, which this process holds.
    Log(Box<Store>),
    /// One runs.
    Left { folder: PathBuf, key: [u8; 32] },
}

impl Acts {
    /// # Errors
    /// [`ActError`] if nothing could be recorded.
    pub(crate) fn open(config: &PlatformConfig) -> Result<Acts, ActError> {
        match Store::open(&store_options(config)) {
            Ok(store) => Ok(Acts::Log(Box::new(store))),
            Err(StoreError::Locked { .. }) => {
                let folder = config.data_dir.join(FOLDER);
                let failed = |source| ActError::File { path: folder.clone(), source };
                fs::create_dir_all(&folder).map_err(failed)?;
                probe(&folder).map_err(failed)?;
                Ok(Acts::Left { key: KeyRing::open(&config.keyring)?.derive(LABEL), folder })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Records one.
    ///
    /// # Errors
    /// [`ActError`].
    pub(crate) fn note(&self, record: &AuditRecord<'_>) -> Result<(), ActError> {
        let bytes = record.to_json();
        match self {
            Acts::Log(store) => {
                let note = move |tx: &mut Tx<'_>| {
                    tx.audit(bytes);
                    Ok::<_, StoreError>(())
                };
                store.write_blocking(note).map_err(fault)?;
                store.checkpoint(clock::now_ms())?;
                Ok(())
            }
            Acts::Left { folder, key } => {
                let path = folder.join(record.id.to_string());
                let text = String::from_utf8_lossy(&bytes);
                let sealed = format!("{}\n{text}", blake3::keyed_hash(key, text.as_bytes()).to_hex());
                write_whole(&path, &sealed, PRIVATE).map_err(|source| ActError::File { path, source })
            }
        }
    }

    /// Lets go of the log.
    pub(crate) fn close(self) {
        if let Acts::Log(store) = self {
            store.close();
        }
    }
}

fn fault(error: WriteError<StoreError>) -> StoreError {
    match error {
        WriteError::Refused(error) | WriteError::Fault(error) => error,
    }
}

/// Whether a file can be made there, before anything is done that has to be recorded.
fn probe(folder: &Path) -> io::Result<()> {
    let probe = folder.join("probe.new");
    fs::write(&probe, "")?;
    fs::remove_file(&probe)
}

/// Begins the record of an act of whoever runs this command: `os:` and the account of the operating system.
pub(crate) fn record<'a>(operation: &'static str, config: &PlatformConfig) -> AuditRecord<'a> {
    let now_ms = clock::now_ms();
    let id = TimeId::mint(now_ms, &mut clock::random);
    let record = AuditRecord::new(id, now_ms, operation, "internal").actor(format!("os:{}", account()));
    let record = record.target(config.domain.clone());
    // Who became root by sudo is told by sudo.
    match std::env::var("SUDO_USER") {
        Ok(user) if !user.is_empty() => record.field("sudo", user),
        Ok(_) | Err(_) => record,
    }
}

/// The account that this process runs as: its name, or its number where it has none.
fn account() -> String {
    let Ok(uid) = fs::metadata("/proc/self").map(|own| own.uid()) else { return "unknown".to_owned() };
    let names = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let is = |line: &&str| line.split(':').nth(2).and_then(|text| text.parse().ok()) == Some(uid);
    let name = names.lines().find(is).and_then(|line| line.split(':').next());
    name.filter(|name| !name.is_empty()).map_or_else(|| uid.to_string(), ToOwned::to_owned)
}

impl State {
    /// Takes what commands have left into the log.
    pub(super) async fn take_acts(&self) {
        if let Err(error) = self.take_acts_now().await {
            tracing::error!(
                error = chain(&error),
                "acts of commands could not be recorded; they are left where they are"
            );
        }
    }

    async fn take_acts_now(&self) -> Result<(), PlatformError> {
        let folder = self.config.data_dir.join(FOLDER);
        let left = left_in(&folder).map_err(|source| PlatformError::File { path: folder, source })?;
        if left.is_empty() {
            return Ok(());
        }
        let key = self.store.keyring().derive(LABEL);
        let records: Vec<_> = left.iter().map(|path| (name_of(path), opened(path, &key))).collect();
        let taken = self.store.write(move |tx| take(tx, records)).await;
        taken.map_err(|error| PlatformError::Acts(Box::new(Problem::from(error))))?;
        for path in left {
            if let Err(error) = fs::remove_file(&path) {
                tracing::error!(%error, path = %path.display(), "an act that was recorded could not be removed");
            }
        }
        Ok(())
    }
}

fn take(tx: &mut Tx<'_>, records: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
    let before = tx.get(table::META, TAKEN)?.unwrap_or_default();
    let before = String::from_utf8_lossy(&before).into_owned();
    let mut names = Vec::with_capacity(records.len());
    for (name, record) in records {
        if !before.lines().any(|taken| taken == name) {
            tx.audit(record);
        }
        names.push(name);
    }
    tx.put(table::META, TAKEN, names.join("\n").as_bytes());
    Ok(())
}

/// Acts that lie there, the oldest first.
fn left_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    // What is being written has another name.
    found.retain(|path| TimeId::parse(&name_of(path)).is_some());
    found.sort_unstable();
    found.truncate(AT_ONCE);
    Ok(found)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The record in a file; of a file that no command of ours has written, that somebody has put it there.
fn opened(path: &Path, key: &[u8; 32]) -> Vec<u8> {
    let small = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= ACT_MAX);
    let text = if small { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    if let Some((mac, record)) = text.split_once('\n')
        && blake3::Hash::from_hex(mac).is_ok_and(|mac| mac == blake3::keyed_hash(key, record.as_bytes()))
        && AuditRecord::parse(record.as_bytes()).is_ok()
    {
        return record.as_bytes().to_vec();
    }
    let now_ms = clock::now_ms();
    let id = TimeId::mint(now_ms, &mut clock::random);
    let forged = AuditRecord::new(id, now_ms, "platform.act", "internal").actor("unknown").target(name_of(path));
    let words = "a file among the acts of commands is not of our making, or was altered";
    forged.outcome("failed", 1).severity("error").field("reason", words).to_json()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn an_act_that_was_altered_is_recorded_as_that_and_a_whole_one_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let key = [7; 32];
        let acts = Acts::Left { folder: dir.path().to_owned(), key };
        let id = TimeId::mint(clock::now_ms(), &mut clock::random);
        let record = AuditRecord::new(id, 1, "platform.ca.export", "internal").actor("os:ada");
        acts.note(&record).unwrap();
        let [path] = left_in(dir.path()).unwrap().try_into().unwrap();
        assert_eq!(opened(&path, &key), record.to_json());
        let altered = fs::read_to_string(&path).unwrap().replace("os:ada", "os:bob");
        fs::write(&path, altered).unwrap();
        let record = opened(&path, &key);
        let record = AuditRecord::parse(&record).unwrap();
        assert_eq!((&*record.operation, &*record.outcome), ("platform.act", "failed"));
        fs::write(dir.path().join("unfinished.new"), "").unwrap();
        assert_eq!(left_in(dir.path()).unwrap().len(), 1);
    }
}
