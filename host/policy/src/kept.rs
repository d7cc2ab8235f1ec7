//! Generations on disk.
//!
//! `objects/HASH` holds every file that a generation needs, under its blake3; `generations/N.json`
//! names a generation's files; `active` names the generation that judges. All are written under
//! another name, fsynced and renamed, `active` last: whenever the process dies, the last good
//! generation is whole. A record carries a keyed blake3, and an object is its own.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::breaker::Trip;
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

/// What is written of a bundle that waits to be activated.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StagedRecord {
    pub(crate) digest: String,
    pub(crate) name: String,
    pub(crate) at_ms: u64,
    pub(crate) by: String,
    pub(crate) why: String,
    files: BTreeMap<String, String>,
}

/// Bundles that wait to be activated; the oldest gives way.
const STAGED: usize = 20;
/// Generations to go back to; the oldest gives way. Who activated it, when and why stays in the audit log.
const GENERATIONS: usize = if cfg!(test) { 4 } else { 500 };

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
    staged: Vec<StagedRecord>,
    trips: BTreeMap<u64, Trip>,
    /// What `active` says; 0 if it says nothing.
    pub(crate) active: u64,
}

impl Kept {
    /// # Errors
    /// What could not be done to the folder, and why.
    pub(crate) fn open(dir: &Path, key: &[u8; 32]) -> Result<Self, (&'static str, io::Error)> {
        for folder in ["objects", "generations", "staged"] {
            fs::create_dir_all(dir.join(folder)).map_err(|error| ("cannot be made", error))?;
        }
        let mut kept = Self {
            dir: dir.to_owned(),
            key: blake3::derive_key("isthmus policy generation record v1", key),
            records: BTreeMap::new(),
            staged: Vec::new(),
            trips: BTreeMap::new(),
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
        kept.read_staged().map_err(|error| ("cannot be read", error))?;
        kept.read_trips();
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
        unsealed(&self.key, &fs::read_to_string(path).ok()?)
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

    fn read_staged(&mut self) -> io::Result<()> {
        for entry in fs::read_dir(self.dir.join("staged"))? {
            let path = entry?.path();
            let staged = fs::read_to_string(&path).ok().and_then(|text| unsealed::<StagedRecord>(&self.key, &text));
            match staged {
                Some(staged) => self.staged.push(staged),
                None => tracing::warn!(path = %path.display(), "a staged bundle's record is damaged or not ours"),
            }
        }
        self.staged.sort_by_key(|staged| staged.at_ms);
        Ok(())
    }

    fn read_trips(&mut self) {
        let read = |number: &u64| {
            let text = fs::read_to_string(self.trip_path(*number)).ok()?;
            Some((*number, unsealed::<Trip>(&self.key, &text)?))
        };
        self.trips = self.records.keys().filter_map(read).collect();
    }

    fn trip_path(&self, number: u64) -> PathBuf {
        self.dir.join("generations").join(format!("{number}.trip"))
    }

    fn staged_path(&self, digest: &str) -> PathBuf {
        self.dir.join("staged").join(format!("{digest}.json"))
    }

    /// Whether a plugin of this generation has failed too often.
    pub(crate) fn has_tripped(&self, number: u64) -> bool {
        self.trips.contains_key(&number)
    }

    pub(crate) fn trip(&self, number: u64) -> Option<&Trip> {
        self.trips.get(&number)
    }

    /// Remembers that a generation has failed.
    ///
    /// # Errors
    /// Why it could not be written.
    pub(crate) fn note_trip(&mut self, trip: &Trip) -> Result<(), ActivateError> {
        write(&self.trip_path(trip.generation), sealed(&self.key, trip).as_bytes())?;
        self.trips.insert(trip.generation, trip.clone());
        Ok(())
    }

    /// Bundles that wait, the oldest first.
    pub(crate) fn staged(&self) -> &[StagedRecord] {
        &self.staged
    }

    /// Keeps a bundle for later.
    ///
    /// # Errors
    /// Which file could not be written.
    pub(crate) fn stage(&mut self, files: &Files, act: &Act<'_>) -> Result<StagedRecord, ActivateError> {
        let staged = StagedRecord {
            digest: act.digest.to_owned(),
            name: act.name.to_owned(),
            at_ms: act.at_ms,
            by: act.by.to_owned(),
            why: act.why.to_owned(),
            files: self.keep_objects(files)?,
        };
        self.staged.retain(|other| other.digest != staged.digest);
        while self.staged.len() >= STAGED {
            let oldest = self.staged[0].digest.clone();
            self.unstage(&oldest);
        }
        write(&self.staged_path(&staged.digest), sealed(&self.key, &staged).as_bytes())?;
        self.staged.push(staged.clone());
        Ok(staged)
    }

    /// Forgets a bundle that waited.
    pub(crate) fn unstage(&mut self, digest: &str) {
        self.staged.retain(|staged| staged.digest != digest);
        let _ = fs::remove_file(self.staged_path(digest));
    }

    /// The files of a bundle that waits.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub(crate) fn staged_files(&self, staged: &StagedRecord) -> Result<Files, String> {
        self.objects(&staged.files)
    }

    /// The files of a generation.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub(crate) fn files(&self, record: &Record) -> Result<Files, String> {
        self.objects(&record.files)
    }

    fn objects(&self, named: &BTreeMap<String, String>) -> Result<Files, String> {
        let mut files = Files::default();
        for (path, hash) in named {
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
        let hashes = self.keep_objects(files)?;
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
        // A number that an unfinished activation had may have been noted as tripped.
        let _ = fs::remove_file(self.trip_path(record.number));
        self.trips.remove(&record.number);
        write(&path, sealed(&self.key, &record).as_bytes())?;
        self.records.insert(record.number, record.clone());
        Ok(record)
    }

    fn keep_objects(&self, files: &Files) -> Result<BTreeMap<String, String>, ActivateError> {
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
        Ok(hashes)
    }

    /// Makes a kept generation the active one, for good.
    ///
    /// # Errors
    /// Why the pointer could not be written.
    pub(crate) fn point_to(&mut self, number: u64) -> Result<(), ActivateError> {
        write(&self.dir.join("active"), format!("{number}\n").as_bytes())?;
        self.active = number;
        while self.records.len() > GENERATIONS
            && let Some(oldest) = self.records.keys().copied().find(|number| *number != self.active)
        {
            self.forget(oldest);
        }
        Ok(())
    }

    /// Forgets a generation, and the files that none of the others needs. What could not be removed is only in the way.
    fn forget(&mut self, number: u64) {
        let Some(record) = self.records.remove(&number) else { return };
        self.trips.remove(&number);
        let _ = fs::remove_file(self.record_path(number));
        let _ = fs::remove_file(self.trip_path(number));
        let others = self.records.values().map(|record| &record.files);
        let needed: HashSet<&String> =
            others.chain(self.staged.iter().map(|staged| &staged.files)).flat_map(BTreeMap::values).collect();
        for object in record.files.values().filter(|object| !needed.contains(object)) {
            let _ = fs::remove_file(self.dir.join("objects").join(object));
        }
    }
}

fn keep_error(path: &Path, action: &'static str, source: io::Error) -> ActivateError {
    ActivateError::Keep { path: path.to_owned(), action, source }
}

/// JSON with a keyed blake3 below it: whoever lacks the key cannot have written it.
pub(crate) fn sealed(key: &[u8; 32], value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("records are texts and numbers");
    let mac = blake3::keyed_hash(key, json.as_bytes()).to_hex();
    format!("{json}\n{mac}\n")
}

/// What was sealed with this key; none if it was not, or was changed since.
pub(crate) fn unsealed<T: DeserializeOwned>(key: &[u8; 32], text: &str) -> Option<T> {
    let (json, mac) = text.trim_end().rsplit_once('\n')?;
    let mac = blake3::Hash::from_hex(mac).ok()?;
    (blake3::keyed_hash(key, json.as_bytes()) == mac).then_some(())?;
    serde_json::from_str(json).ok()
}

/// Whole or not at all, and on the disk when it returns.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), ActivateError> {
    let temporary = path.with_extension("tmp");
    step();
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| keep_error(&temporary, "write", error))?;
    step();
    fs::rename(&temporary, path).map_err(|error| keep_error(path, "rename", error))?;
    step();
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| keep_error(folder, "sync", error))
}

/// Between two steps of writing: where a test ends the process.
#[cfg(not(test))]
fn step() {}

#[cfg(test)]
use tests::step;

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::lists::OwnLists;
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
    fn the_oldest_generations_give_way_with_what_only_they_need() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = Kept::open(dir.path(), &KEY).unwrap();
        for text in ["shared", "one", "two", "shared", "three", "four"] {
            let number = kept.keep(&files(text), &act(text)).unwrap().number;
            kept.point_to(number).unwrap();
        }
        let left = |kept: &Kept| kept.all().map(|record| record.number).collect::<Vec<_>>();
        assert_eq!(left(&kept), [3, 4, 5, 6]);
        assert_eq!(fs::read_dir(dir.path().join("objects")).unwrap().count(), 4, "`one` alone was nobody else's");
        let kept = Kept::open(dir.path(), &KEY).unwrap();
        assert_eq!((left(&kept), kept.active), (vec![3, 4, 5, 6], 6));
        kept.all().for_each(|record| drop(kept.files(record).unwrap()));
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

    pub(crate) const DIE_AT: &str = "ISTHMUS_TEST_DIE_AT";
    pub(crate) const FOLDER: &str = "ISTHMUS_TEST_FOLDER";

    /// Ends the process by SIGKILL at the step that its environment names.
    pub(super) fn step() {
        static STEPS: AtomicU32 = AtomicU32::new(0);
        let Ok(at) = std::env::var(DIE_AT) else { return };
        if (STEPS.fetch_add(1, Ordering::Relaxed) + 1).to_string() == at {
            let pid = std::process::id().to_string();
            let _ = std::process::Command::new("kill").args(["-9", &pid]).status();
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
    }

    fn trip(generation: u64) -> Trip {
        Trip { generation, plugin: "p".into(), faults: 1, calls: 1, fault: "trap".into(), at_ms: 1 }
    }

    /// A bundle is staged and activated, a list changed, a failure noted, the bundle before brought back.
    fn life(dir: &Path) {
        let mut kept = Kept::open(dir, &KEY).unwrap();
        let staged = kept.stage(&files("new"), &Act { digest: "new", ..act("stage") }).unwrap();
        let bundle = kept.staged_files(&staged).unwrap();
        let record = kept.keep(&bundle, &Act { digest: "new", ..act("activate") }).unwrap();
        kept.point_to(record.number).unwrap();
        kept.unstage("new");
        let (mut own, damaged) = OwnLists::open(dir.join("lists"), &KEY);
        assert!(damaged.is_empty(), "{damaged:?}");
        let none = crate::lists::Lists::default();
        let set = crate::lists::ListChange::Set(vec!["entry".into()]);
        let draft = own.draft("list", set, None, &none, &none).unwrap();
        own.keep(draft.owned, draft.edit).unwrap();
        kept.note_trip(&trip(record.number)).unwrap();
        let back = kept.keep(&files("old"), &act("back")).unwrap();
        kept.point_to(back.number).unwrap();
    }

    /// What the test below runs in a process of its own; nothing by itself.
    #[test]
    fn one_life() {
        if let Ok(dir) = std::env::var(FOLDER) {
            life(Path::new(&dir));
        }
    }

    #[test]
    fn whatever_step_the_process_is_killed_in_the_last_good_generation_is_whole() {
        let mut deaths = 0;
        for at in 1.. {
            let dir = tempfile::tempdir().unwrap();
            let mut kept = Kept::open(dir.path(), &KEY).unwrap();
            let first = kept.keep(&files("old"), &act("first")).unwrap().number;
            kept.point_to(first).unwrap();
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "kept::tests::one_life"]).env(DIE_AT, at.to_string()).env(FOLDER, dir.path());
            let done = child.output().unwrap();
            let kept = Kept::open(dir.path(), &KEY).unwrap();
            let active = kept.get(kept.active).unwrap();
            let text = kept.files(active).unwrap().text("policy.toml").unwrap().to_owned();
            assert_eq!(text, if kept.active == 2 { "new" } else { "old" }, "killed at step {at}");
            let newest = kept.all().map(|record| record.number).max();
            assert_eq!(newest, Some(kept.active), "nothing half activated is left");
            for staged in kept.staged() {
                kept.staged_files(staged).unwrap();
            }
            let (own, damaged) = OwnLists::open(dir.path().join("lists"), &KEY);
            assert!(damaged.is_empty(), "killed at step {at}: {damaged:?}");
            assert!(own.over(&crate::lists::Lists::default()).revision <= 1);
            if done.status.success() {
                break;
            }
            deaths += 1;
            life(dir.path());
        }
        assert!(deaths > 15, "only {deaths} steps");
    }
}
