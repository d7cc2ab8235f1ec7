//! A disk that forgets what was not synced, and one that fails.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
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

impl Place {
    fn start(&self, disk: &Disk) -> Result<Store, StoreError> {
        let options = Options::new(self.0.path().join("data"), self.0.path().join("ring.toml"), "test", "test.example");
        let ring = KeyRing::open_or_create(&options.keyring, &options.dir)?;
        let db = redb::Builder::new()
            .set_cache_size(1 << 20)
            .create_with_backend(disk.clone())
            .map_err(StoreError::engine)?;
        Store::start(&options, &options.dir.join("store.redb"), db, ring)
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
    let mut disk = Disk::default();
    let mut dice = blake3::Hasher::new().update(b"power loss").finalize_xof();
    let mut written = 0;
    for _ in 0..25 {
        let store = place.start(&disk).unwrap();
        assert_eq!(store.stats().audit_size, written);
        for n in 0..written {
            let value = store.read(|v| v.get(T, &n.to_be_bytes())).unwrap();
            assert!(value.is_some(), "{n} of {written} was answered and lost");
        }
        for _ in 0..8 {
            put(&store, written).unwrap();
            written += 1;
        }
        // The disk as it is right after the last answer: no close, no further sync.
        let left = disk.after_power_loss(|| {
            let mut byte = [0];
            dice.fill(&mut byte);
            byte[0] & 1 == 0
        });
        store.close();
        disk = Disk::at(left);
    }
}

#[test]
fn after_a_failed_commit_every_rule_gets_a_fault_and_nothing_more_is_written() {
    let place = Place(tempfile::tempdir().unwrap());
    let disk = Disk::default();
    let store = place.start(&disk).unwrap();
    put(&store, 0).unwrap();
    disk.broken.store(true, SeqCst);
    assert!(
        matches!(put(&store, 1), Err(WriteError::Fault(StoreError::Failed(why))) if why.contains("the disk is gone"))
    );
    disk.broken.store(false, SeqCst);
    assert!(matches!(put(&store, 2), Err(WriteError::Fault(StoreError::Failed(_)))), "the state stays");
    assert!(store.stats().failed);
    assert!(store.checkpoint(0).is_err() || store.stats().audit_checkpoint <= 1);
    store.close();
    let disk = Disk::at(disk.after_power_loss(|| false));
    let store = place.start(&disk).unwrap();
    assert!(store.read(|v| v.get(T, &0_u64.to_be_bytes())).unwrap().is_some());
    assert!(store.read(|v| v.get(T, &2_u64.to_be_bytes())).unwrap().is_none());
    put(&store, 3).unwrap();
}

#[test]
fn rules_that_write_nothing_cost_no_sync() {
    let place = Place(tempfile::tempdir().unwrap());
    let disk = Disk::default();
    let store = place.start(&disk).unwrap();
    let before = disk.syncs.load(SeqCst);
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
    assert_eq!(disk.syncs.load(SeqCst), before);
    put(&store, 0).unwrap();
    assert!(disk.syncs.load(SeqCst) > before);
}
