//! Generations on disk.
//!
//! `objects/HASH` holds every file that a generation needs, under its blake3; `generations/N.json`
//! names a generation's files; `active` names the generation that judges. All are written under
//! another name, fsynced and renamed, `active` last: whenever the process dies, the last good
//! generation is whole. A record carries a keyed blake3, and an object is its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bundle::files::Files;
use crate::options::ActivateError;

/// What is written of a generation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) number: u64,
    pub(crate) name: String,
    /// blake3 of the bundle, hex.
    pub(crate) digest: String,
    pub(crate) at_ms: u64,
    pub(crate) by: String,
    pub(crate) why: String,
    pub(crate) restores: Option<u64>,
    /// Path in the bundle → blake3, hex.
    files: BTreeMap<String, String>,
}

/// Who activates what, why.
pub(crate) struct Act<'a> {
    pub(crate) name: &'a str,
    pub(crate) digest: &'a str,
    pub(crate) at_ms: u64,
    pub(crate) by: &'a str,
    pub(crate) why: &'a str,
    pub(crate) restores: Option<u64>,
}

/// The generations of one server.
pub(crate) struct Kept {
    dir: PathBuf,
    key: [u8; 32],
    records: BTreeMap<u64, Record>,
    /// What `active` says; 0 if it says nothing.
    pub(crate) active: u64,
}

impl Kept {
    /// # Errors
    /// What could not be done to the folder, and why.
    pub(crate) fn open(dir: &Path, key: &[u8; 32]) -> Result<Self, (&'static str, io::Error)> {
        for folder in ["objects", "generations"] {
            fs::create_dir_all(dir.join(folder)).map_err(|error| ("cannot be made", error))?;
        }
        let mut kept = Self {
            dir: dir.to_owned(),
            key: blake3::derive_key("isthmus policy generation record v1", key),
            records: BTreeMap::new(),
            active: 0,
        };
        for entry in fs::read_dir(dir.join("generations")).map_err(|error| ("cannot be read", error))? {
            let path = entry.map_err(|error| ("cannot be read", error))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                match kept.record(&path) {
                    Some(record) => drop(kept.records.insert(record.number, record)),
                    None => {
                        tracing::error!(path = %path.display(), "a policy generation's record is damaged or not ours")
                    }
                }
            }
        }
        kept.settle();
        Ok(kept)
    }

    /// Without a readable pointer the newest record holds. A record newer than the pointer was
    /// written by an activation that never finished.
    fn settle(&mut self) {
        let pointer = fs::read_to_string(self.dir.join("active")).ok().and_then(|text| text.trim().parse().ok());
        let newest = self.records.keys().next_back().copied().unwrap_or(0);
        self.active = pointer.unwrap_or(newest);
        let unfinished: Vec<u64> = self.records.keys().copied().filter(|number| *number > self.active).collect();
        for number in unfinished {
            self.records.remove(&number);
            let _ = fs::remove_file(self.record_path(number));
        }
    }

    fn record(&self, path: &Path) -> Option<Record> {
        let text = fs::read_to_string(path).ok()?;
        let (json, mac) = text.trim_end().rsplit_once('\n')?;
        let mac = blake3::Hash::from_hex(mac).ok()?;
        (blake3::keyed_hash(&self.key, json.as_bytes()) == mac).then_some(())?;
        serde_json::from_str(json).ok()
    }

    fn record_path(&self, number: u64) -> PathBuf {
        self.dir.join("generations").join(format!("{number}.json"))
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Record> {
        self.records.get(&number)
    }

    /// Oldest first.
    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.values()
    }

    /// The files of a generation.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub(crate) fn files(&self, record: &Record) -> Result<Files, String> {
        let mut files = Files::default();
        for (path, hash) in &record.files {
            let bytes = fs::read(self.dir.join("objects").join(hash)).map_err(|error| format!("{path}: {error}"))?;
            if blake3::hash(&bytes).to_hex().as_str() != hash {
                return Err(format!("{path}: the kept file is damaged"));
            }
            files.0.insert(path.clone(), bytes.into());
        }
        Ok(files)
    }

    /// Keeps a bundle as the next generation; it is not active yet.
    ///
    /// # Errors
    /// Which file could not be written.
    pub(crate) fn keep(&mut self, files: &Files, act: &Act<'_>) -> Result<Record, ActivateError> {
        let mut hashes = BTreeMap::new();
        for (path, bytes) in &files.0 {
            let hash = blake3::hash(bytes).to_hex().to_string();
            let object = self.dir.join("objects").join(&hash);
            // What stands there may have been damaged since.
            if !fs::read(&object).is_ok_and(|there| there == **bytes) {
                write(&object, bytes)?;
            }
            hashes.insert(path.clone(), hash);
        }
        let record = Record {
            number: self.records.keys().next_back().copied().unwrap_or(0).max(self.active) + 1,
            name: act.name.to_owned(),
            digest: act.digest.to_owned(),
            at_ms: act.at_ms,
            by: act.by.to_owned(),
            why: act.why.to_owned(),
            restores: act.restores,
            files: hashes,
        };
        let path = self.record_path(record.number);
        let json = serde_json::to_string(&record).map_err(|error| keep_error(&path, "write", error.into()))?;
        let mac = blake3::keyed_hash(&self.key, json.as_bytes()).to_hex();
        write(&path, format!("{json}\n{mac}\n").as_bytes())?;
        self.records.insert(record.number, record.clone());
        Ok(record)
    }

    /// Makes a kept generation the active one, for good.
    ///
    /// # Errors
    /// Why the pointer could not be written.
    pub(crate) fn point_to(&mut self, number: u64) -> Result<(), ActivateError> {
        write(&self.dir.join("active"), format!("{number}\n").as_bytes())?;
        self.active = number;
        Ok(())
    }
}

fn keep_error(path: &Path, action: &'static str, source: io::Error) -> ActivateError {
    ActivateError::Keep { path: path.to_owned(), action, source }
}

/// Whole or not at all, and on the disk when it returns.
fn write(path: &Path, bytes: &[u8]) -> Result<(), ActivateError> {
    let temporary = path.with_extension("tmp");
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| keep_error(&temporary, "write", error))?;
    fs::rename(&temporary, path).map_err(|error| keep_error(path, "rename", error))?;
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| keep_error(folder, "sync", error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::options::BundleSource;

    const KEY: [u8; 32] = [3; 32];

    fn files(text: &str) -> Files {
        Files::read(&BundleSource::Files(vec![("policy.toml".to_owned(), text.as_bytes().to_vec())])).unwrap()
    }

    fn act(why: &str) -> Act<'_> {
        Act { name: "n", digest: "d", at_ms: 1, by: "b", why, restores: None }
    }

    #[test]
    fn what_was_activated_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = Kept::open(dir.path(), &KEY).unwrap();
        for why in ["one", "two"] {
            let record = kept.keep(&files(why), &act(why)).unwrap();
            kept.point_to(record.number).unwrap();
        }
        let kept = Kept::open(dir.path(), &KEY).unwrap();
        assert_eq!(kept.active, 2);
        assert_eq!(kept.all().map(|record| record.why.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(kept.files(kept.get(1).unwrap()).unwrap().text("policy.toml").unwrap(), "one");
    }

    #[test]
    fn an_activation_that_never_finished_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = Kept::open(dir.path(), &KEY).unwrap();
        let number = kept.keep(&files("one"), &act("one")).unwrap().number;
        kept.point_to(number).unwrap();
        kept.keep(&files("two"), &act("two")).unwrap();
        fs::write(dir.path().join("active.tmp"), "2").unwrap();
        let kept = Kept::open(dir.path(), &KEY).unwrap();
        assert_eq!((kept.active, kept.all().count()), (1, 1));
    }

    #[test]
    fn damage_and_forgery_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = Kept::open(dir.path(), &KEY).unwrap();
        let record = kept.keep(&files("one"), &act("one")).unwrap();
        kept.point_to(1).unwrap();
        let object = dir.path().join("objects").join(&record.files["policy.toml"]);
        fs::write(&object, "evil").unwrap();
        assert!(kept.files(&record).is_err());
        kept.keep(&files("one"), &act("again")).unwrap();
        assert!(kept.files(&record).is_ok(), "keeping the same bundle again repairs the object");

        let path = kept.record_path(1);
        fs::write(&path, fs::read_to_string(&path).unwrap().replace("\"one\"", "\"eno\"")).unwrap();
        assert!(Kept::open(dir.path(), &KEY).unwrap().get(1).is_none());
    }
}
