//! Data at rest (§6.2 c): nothing in clear, nothing movable, keys outside the data folder.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use isthmus_store::{KeyRing, KeyRingError, Reader, Store, StoreError, audit};
use redb::{ReadableDatabase, TableDefinition};

use crate::kit::{self, PLAIN, Place, SECRET, write};

const KV: TableDefinition<&[u8], &[u8]> = TableDefinition::new("kv");
const TEXT: &[u8] = b"the eagle has landed in the garden";

fn put(store: &Store, key: &'static [u8]) {
    write(store, move |tx| {
        tx.put(SECRET, key, TEXT);
        Ok(())
    })
    .unwrap();
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all
}

#[test]
fn no_file_of_the_data_folder_holds_sealed_text() {
    let place = Place::new();
    let store = place.open();
    put(&store, b"k");
    write(&store, |tx| {
        tx.audit(TEXT.to_vec());
        isthmus_store::lane::enqueue(tx, "south", b"c", TEXT)?;
        Ok(())
    })
    .unwrap();
    store.checkpoint(0).unwrap();
    store.close();
    for file in files(&place.data()) {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(8).any(|w| w == &TEXT[4..12]), "{} holds the text", file.display());
    }
}

#[test]
fn a_sealed_value_moved_to_another_key_or_table_does_not_open() {
    let place = Place::new();
    let store = place.open();
    put(&store, b"a");
    store.close();
    let other = isthmus_store::Table::new(3, "other", true);
    {
        let db = redb::Database::open(place.data().join("store.redb")).unwrap();
        let txn = db.begin_write().unwrap();
        {
            let mut table = txn.open_table(KV).unwrap();
            let sealed = redb::ReadableTable::get(&table, &b"\x01a"[..]).unwrap().unwrap().value().to_vec();
            table.insert(&b"\x01b"[..], &sealed[..]).unwrap();
            table.insert(&b"\x03a"[..], &sealed[..]).unwrap();
        }
        txn.commit().unwrap();
    }
    let store = place.open();
    assert_eq!(store.read(|v| v.get(SECRET, b"a")).unwrap().unwrap(), TEXT);
    assert!(matches!(store.read(|v| v.get(SECRET, b"b")), Err(StoreError::Sealed { table: "secret", .. })));
    assert!(matches!(store.read(|v| v.get(other, b"a")), Err(StoreError::Sealed { table: "other", .. })));
    let scrubbed = store.scrub(&[SECRET, PLAIN, other], Duration::ZERO).unwrap();
    assert_eq!(scrubbed.problems.len(), 2, "{:?}", scrubbed.problems);
    assert!(scrubbed.rows >= 3);
}

#[test]
fn a_sealed_value_altered_by_one_bit_does_not_open() {
    let place = Place::new();
    let store = place.open();
    put(&store, b"a");
    store.close();
    let db = redb::Database::open(place.data().join("store.redb")).unwrap();
    let read = db.begin_read().unwrap().open_table(KV).unwrap();
    let sealed = read.get(&b"\x01a"[..]).unwrap().unwrap().value().to_vec();
    drop((read, db));
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        let db = redb::Database::open(place.data().join("store.redb")).unwrap();
        let txn = db.begin_write().unwrap();
        txn.open_table(KV).unwrap().insert(&b"\x01a"[..], &altered[..]).unwrap();
        txn.commit().unwrap();
        drop(db);
        if at % 16 != 0 {
            continue;
        }
        let store = place.open();
        assert!(matches!(store.read(|v| v.get(SECRET, b"a")), Err(StoreError::Sealed { .. })), "byte {at}");
        store.close();
    }
}

#[test]
fn the_key_ring_is_made_with_mode_0600_and_used_again() {
    let place = Place::new();
    let store = place.open();
    put(&store, b"k");
    let derived = store.keyring().derive("cache");
    assert_ne!(derived, store.keyring().derive("other"));
    store.close();
    assert_eq!(fs::metadata(place.ring()).unwrap().permissions().mode() & 0o7777, 0o600);
    let store = place.open();
    assert_eq!(store.keyring().derive("cache"), derived);
    assert_eq!(store.read(|v| v.get(SECRET, b"k")).unwrap().unwrap(), TEXT);
}

#[test]
fn a_key_ring_inside_the_data_folder_is_refused() {
    let place = Place::new();
    fs::create_dir_all(place.data()).unwrap();
    std::os::unix::fs::symlink(place.data(), place.root.path().join("link")).unwrap();
    for ring in ["data/ring.toml", "data/../data/x/ring.toml", "link/ring.toml"] {
        let mut options = place.options();
        options.keyring = place.root.path().join(ring);
        let error = Store::open(&options).unwrap_err();
        assert!(matches!(error, StoreError::KeyRing(KeyRingError::InsideData { .. })), "{ring}: {error}");
    }
}

#[test]
fn a_key_ring_that_others_may_read_is_refused_with_the_remedy() {
    let place = Place::new();
    place.open().close();
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(place.ring(), fs::Permissions::from_mode(mode)).unwrap();
        let error = Store::open(&place.options()).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}

#[test]
fn a_missing_key_ring_is_never_replaced_beside_existing_data() {
    let place = Place::new();
    place.open().close();
    fs::rename(place.ring(), place.root.path().join("away")).unwrap();
    let error = Store::open(&place.options()).unwrap_err();
    assert!(matches!(error, StoreError::KeyRing(KeyRingError::Missing { .. })));
    assert!(!place.ring().exists());
}

#[test]
fn another_key_ring_or_database_name_is_refused() {
    let (place, other) = (Place::new(), Place::new());
    place.open().close();
    other.open().close();
    let mut options = place.options();
    options.keyring = other.ring();
    assert!(matches!(Store::open(&options), Err(StoreError::WrongKeyRing { .. })));
    let mut options = place.options();
    options.database = "else".into();
    assert!(matches!(Store::open(&options), Err(StoreError::OtherDatabase { found, .. }) if found == "test"));
}

#[test]
fn a_damaged_key_ring_is_named() {
    let place = Place::new();
    place.open().close();
    let text = fs::read_to_string(place.ring()).unwrap();
    for bad in [
        text.replace("version = 1", "version = 2"),
        text.replace("current", "curent"),
        text.replace("AES-256-GCM", "SM4"),
        String::new(),
    ] {
        fs::write(place.ring(), bad).unwrap();
        assert!(matches!(Store::open(&place.options()), Err(StoreError::KeyRing(KeyRingError::Damaged { .. }))));
    }
}

#[test]
fn a_new_data_key_seals_what_comes_and_the_old_one_still_opens() {
    let place = Place::new();
    let store = place.open();
    put(&store, b"old");
    kit::audit(&store, ["before".to_owned()]);
    store.checkpoint(0).unwrap();
    assert_eq!(store.rotate_data_key().unwrap(), 2);
    put(&store, b"new");
    kit::audit(&store, ["after".to_owned()]);
    store.checkpoint(0).unwrap();
    store.close();
    let store = place.open();
    for key in [b"old", b"new"] {
        assert_eq!(store.read(|v| v.get(SECRET, key)).unwrap().unwrap(), TEXT);
    }
    assert_eq!(store.rotate_data_key().unwrap(), 3);
    let report = audit::verify(&place.audit(), Some(&place.ring())).unwrap();
    assert_eq!((report.records, &report.problems[..]), (2, &[][..]));
}

#[test]
fn with_a_new_master_key_data_keys_are_wrapped_anew_and_the_old_one_may_go() {
    let place = Place::new();
    let store = place.open();
    put(&store, b"k");
    kit::audit(&store, ["one".to_owned()]);
    store.checkpoint(0).unwrap();
    store.close();
    let text = fs::read_to_string(place.ring()).unwrap();
    let old = text.split("current = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let added = format!("\n[[master]]\nid = \"next\"\nalgorithm = \"AES-256-GCM\"\nsecret = \"{}\"\n", "ab".repeat(32));
    let next = text.replace(&format!("current = \"{old}\""), "current = \"next\"") + &added;
    fs::write(place.ring(), &next).unwrap();
    place.open().close();
    let (head, masters) = next.split_once("\n[[master]]").unwrap();
    let (_, kept) = masters.split_once("\n[[master]]").unwrap();
    fs::write(place.ring(), format!("{head}\n[[master]]{kept}")).unwrap();
    let store = place.open();
    assert_eq!(store.read(|v| v.get(SECRET, b"k")).unwrap().unwrap(), TEXT);
    let report = audit::verify(&place.audit(), Some(&place.ring())).unwrap();
    assert_eq!((report.records, &report.problems[..]), (1, &[][..]));
}

#[test]
fn an_index_hash_is_stable_keyed_and_bound_to_its_purpose() {
    let (place, other) = (Place::new(), Place::new());
    let store = place.open();
    let hash = |store: &Store, purpose: &str| store.read(|v| Ok(v.index_hash(purpose, b"13800000000"))).unwrap();
    let first = hash(&store, "phone");
    assert_ne!(first, hash(&store, "name"));
    assert_ne!(first, hash(&other.open(), "phone"));
    store.close();
    assert_eq!(hash(&place.open(), "phone"), first);
}

#[test]
fn two_first_starts_at_once_agree_on_one_key_ring() {
    let place = Place::new();
    let rings: Vec<_> = (0..4)
        .map(|_| {
            let (ring, data) = (place.ring(), place.data());
            std::thread::spawn(move || KeyRing::open_or_create(&ring, &data).unwrap().derive("x"))
        })
        .map(|t| t.join().unwrap())
        .collect();
    assert!(rings.iter().all(|r| *r == rings[0]));
}
