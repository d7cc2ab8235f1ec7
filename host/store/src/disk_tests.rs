//! A disk that forgets what was not synced, and one that fails.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst},
    },
};

use redb::StorageBackend;

use crate::{KeyRing, Options, Reader, Store, StoreError, Table, WriteError};

const T: Table = Table::new(1, "t", true);

/// What has been written since the last sync, in order, over what is safe.
#[derive(Debug, Default)]
struct Platter {
    safe: Vec<u8>,
    unsynced: Vec<(u64, Vec<u8>)>,
    now: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct Disk {
    platter: Arc<Mutex<Platter>>,
    broken: Arc<AtomicBool>,
    /// So many writes and syncs more, over all disks of a machine, and it breaks; none: it does not.
    life: Option<Arc<AtomicI64>>,
    syncs: Arc<AtomicU64>,
}

impl Disk {
    fn at(platter: Vec<u8>) -> Disk {
        let disk = Disk::default();
        *disk.platter.lock().unwrap() = Platter { safe: platter.clone(), unsynced: Vec::new(), now: platter };
        disk
    }

    /// The power goes: of the unsynced writes, those survive that `keep` says.
    fn after_power_loss(&self, mut keep: impl FnMut() -> bool) -> Vec<u8> {
        let platter = self.platter.lock().unwrap();
        let mut left = platter.safe.clone();
        for (offset, data) in &platter.unsynced {
            if keep() {
                write_at(&mut left, *offset, data);
            }
        }
        left
    }

    fn check(&self) -> Result<(), io::Error> {
        if self.life.as_ref().is_some_and(|life| life.fetch_sub(1, SeqCst) <= 0) {
            self.broken.store(true, SeqCst);
        }
        if self.broken.load(SeqCst) { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    }
}

fn write_at(bytes: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let start = usize::try_from(offset).unwrap();
    if bytes.len() < start + data.len() {
        bytes.resize(start + data.len(), 0);
    }
    bytes[start..start + data.len()].copy_from_slice(data);
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.platter.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.platter.lock().unwrap().now[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.check()?;
        let mut platter = self.platter.lock().unwrap();
        platter.now.resize(usize::try_from(len).unwrap(), 0);
        // A file's length is metadata and may be on the disk before its contents.
        platter.safe.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.check()?;
        self.syncs.fetch_add(1, SeqCst);
        let mut platter = self.platter.lock().unwrap();
        platter.unsynced.clear();
        platter.safe = platter.now.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.check()?;
        let mut platter = self.platter.lock().unwrap();
        write_at(&mut platter.now, offset, data);
        platter.unsynced.push((offset, data.to_vec()));
        Ok(())
    }
}

struct Place(tempfile::TempDir);

/// The database's disk and the journal's: the power goes for both at once.
#[derive(Clone, Default)]
struct Disks {
    database: Disk,
    journal: Disk,
}

impl Disks {
    fn after_power_loss(&self, mut keep: impl FnMut() -> bool) -> Disks {
        let mut left = |disk: &Disk| Disk::at(disk.after_power_loss(&mut keep));
        Disks { database: left(&self.database), journal: left(&self.journal) }
    }

    fn break_after(&mut self, steps: i64) {
        let life = Some(Arc::new(AtomicI64::new(steps)));
        self.database.life.clone_from(&life);
        self.journal.life = life;
    }

    fn break_down(&self, broken: bool) {
        self.database.broken.store(broken, SeqCst);
        self.journal.broken.store(broken, SeqCst);
    }

    fn syncs(&self) -> u64 {
        self.database.syncs.load(SeqCst) + self.journal.syncs.load(SeqCst)
    }
}

impl Place {
    fn start(&self, disks: &Disks) -> Result<Store, StoreError> {
        let options = Options::new(self.0.path().join("data"), self.0.path().join("ring.toml"), "test", "test.example");
        let ring = KeyRing::open_or_create(&options.keyring, &options.dir)?;
        let db = redb::Builder::new()
            .set_cache_size(1 << 20)
            .create_with_backend(disks.database.clone())
            .map_err(StoreError::engine)?;
        Store::start(&options, &options.dir.join("store.redb"), db, Box::new(disks.journal.clone()), ring)
    }
}

fn put(store: &Store, n: u64) -> Result<(), WriteError<StoreError>> {
    store.write_blocking(move |tx| {
        tx.put(T, &n.to_be_bytes(), &vec![7; 100 + (n as usize * 37) % 3000]);
        tx.audit(n.to_string().into_bytes());
        Ok(())
    })
}

#[test]
fn what_was_answered_survives_a_power_loss_whichever_unsynced_writes_reached_the_disk() {
    let place = Place(tempfile::tempdir().unwrap());
    let mut disks = Disks::default();
    let mut dice = blake3::Hasher::new().update(b"power loss").finalize_xof();
    let mut written = 0;
    for round in 0..25 {
        let store = place.start(&disks).unwrap();
        assert_eq!(store.stats().audit_size, written);
        for n in 0..written {
            let value = store.read(|v| v.get(T, &n.to_be_bytes())).unwrap();
            assert!(value.is_some(), "{n} of {written} was answered and lost");
        }
        // From a start that writes nothing to several laps of the journal.
        for _ in 0..3 * round {
            put(&store, written).unwrap();
            written += 1;
        }
        // The disk as it is right after the last answer: no close, no further sync.
        let left = disks.after_power_loss(|| {
            let mut byte = [0];
            dice.fill(&mut byte);
            byte[0] & 1 == 0
        });
        store.close();
        disks = left;
    }
}

#[test]
fn after_a_failed_commit_every_rule_gets_a_fault_and_nothing_more_is_written() {
    let place = Place(tempfile::tempdir().unwrap());
    let disks = Disks::default();
    let store = place.start(&disks).unwrap();
    put(&store, 0).unwrap();
    disks.break_down(true);
    assert!(
        matches!(put(&store, 1), Err(WriteError::Fault(StoreError::Failed(why))) if why.contains("the disk is gone"))
    );
    disks.break_down(false);
    assert!(matches!(put(&store, 2), Err(WriteError::Fault(StoreError::Failed(_)))), "the state stays");
    assert!(store.stats().failed);
    assert!(store.checkpoint(0).is_err() || store.stats().audit_checkpoint <= 1);
    store.close();
    let disks = disks.after_power_loss(|| false);
    let store = place.start(&disks).unwrap();
    assert!(store.read(|v| v.get(T, &0_u64.to_be_bytes())).unwrap().is_some());
    assert!(store.read(|v| v.get(T, &2_u64.to_be_bytes())).unwrap().is_none());
    put(&store, 3).unwrap();
}

#[test]
fn rules_that_write_nothing_cost_no_sync() {
    let place = Place(tempfile::tempdir().unwrap());
    let disks = Disks::default();
    let store = place.start(&disks).unwrap();
    let before = disks.syncs();
    for _ in 0..5 {
        store.write_blocking(|tx| tx.get(T, b"k")).unwrap();
        assert!(
            store
                .write_blocking(|tx| {
                    tx.put(T, b"k", b"v");
                    Err::<(), _>(())
                })
                .is_err()
        );
    }
    assert_eq!(disks.syncs(), before);
    put(&store, 0).unwrap();
    assert!(disks.syncs() > before);
}

/// What is answered until the disks break at their `steps`th write or sync, and the disks as the power loss leaves them.
fn until_the_power_goes(place: &Place, disks: &mut Disks, steps: i64, keep: impl FnMut() -> bool, from: u64) -> u64 {
    let store = place.start(disks).unwrap();
    store.close();
    disks.break_after(steps);
    let mut written = from;
    if let Ok(store) = place.start(disks) {
        while written < from + 40 && put(&store, written).is_ok() {
            written += 1;
        }
        store.close();
    }
    *disks = disks.after_power_loss(keep);
    written
}

#[test]
fn wherever_the_power_goes_everything_answered_is_there_and_nothing_is_half_there() {
    let place = Place(tempfile::tempdir().unwrap());
    let mut disks = Disks::default();
    let mut dice = blake3::Hasher::new().update(b"in the middle").finalize_xof();
    let (mut sure, mut there) = (0, 0);
    for steps in (0..400).step_by(5) {
        let keep = || {
            let mut byte = [0];
            dice.fill(&mut byte);
            byte[0] & 1 == 0
        };
        sure = until_the_power_goes(&place, &mut disks, steps, keep, there).max(sure);
        let store = place.start(&disks).unwrap();
        there = store.stats().audit_size;
        // The rule under way may have become durable before its answer was lost.
        assert!(there == sure || there == sure + 1, "{sure} answered, {there} there");
        for n in 0..there {
            assert!(store.read(|v| v.get(T, &n.to_be_bytes())).unwrap().is_some(), "{n} of {there}");
        }
        assert!(store.read(|v| v.get(T, &there.to_be_bytes())).unwrap().is_none());
        store.close();
    }
    assert!(there > 100, "{there}");
}

/// Ten commits in the journal, none of them in the database file.
fn killed(place: &Place) -> Disks {
    let disks = Disks::default();
    let store = place.start(&disks).unwrap();
    (0..10).for_each(|n| put(&store, n).unwrap());
    let left = disks.after_power_loss(|| false);
    store.close();
    left
}

#[test]
fn a_damaged_record_in_the_middle_of_the_journal_stops_the_start() {
    let place = Place(tempfile::tempdir().unwrap());
    let disks = killed(&place);
    let store = place.start(&Disks { database: copy(&disks.database), journal: copy(&disks.journal) }).unwrap();
    assert_eq!(store.stats().audit_size, 10);
    store.close();
    // The ninth record begins on one of the first 16 blocks; the tenth is behind it.
    for at in [40, 4096 + 8, 3 * 4096 + 60] {
        let disks = Disks { database: copy(&disks.database), journal: copy(&disks.journal) };
        disks.journal.platter.lock().unwrap().now[at] ^= 1;
        let error = place.start(&disks).expect_err("the start must notice");
        assert!(matches!(error, StoreError::Journal { .. }), "byte {at}: {error}");
    }
}

#[test]
fn the_journal_of_another_database_is_not_replayed() {
    let place = Place(tempfile::tempdir().unwrap());
    let disks = killed(&place);
    let other = Disks { database: Disk::default(), journal: disks.journal };
    let elsewhere = Place(tempfile::tempdir().unwrap());
    let store = elsewhere.start(&other).unwrap();
    assert_eq!(store.stats().audit_size, 0);
    put(&store, 0).unwrap();
}

fn copy(disk: &Disk) -> Disk {
    Disk::at(disk.platter.lock().unwrap().safe.clone())
}
