//! Databases of older formats are taken over. Format 1 had no journal beside the database; each commit was the engine's own,
//! synced when the answer was given.

use std::fs;

use isthmus_store::{Reader, Store, StoreError, audit};

use crate::kit::{PLAIN, Place, SECRET, audit as record, write};

const KV: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("kv");
/// Rows of the store's own: table and name.
const FORMAT: &[u8] = b"\xffformat";
const COMMITS: &[u8] = b"\xfdstore.journal";

/// Looks into a database that nobody has open, or changes it.
fn within<T>(place: &Place, act: impl FnOnce(&mut redb::Table<'_, &'static [u8], &'static [u8]>) -> T) -> T {
    let db = redb::Database::open(place.data().join("store.redb")).unwrap();
    let txn = db.begin_write().unwrap();
    let done = act(&mut txn.open_table(KV).unwrap());
    txn.commit().unwrap();
    done
}

fn format(place: &Place) -> u32 {
    use redb::ReadableTable;
    within(place, |kv| u32::from_be_bytes(kv.get(FORMAT).unwrap().unwrap().value().try_into().unwrap()))
}

/// A database as a release of format 1 has left it: no journal, no number of its last commit, format 1; all rows in the
/// engine's file.
fn of_format_1() -> Place {
    let place = Place::new();
    let store = place.open();
    write(&store, |tx| {
        tx.put(SECRET, b"key", b"value");
        tx.put(PLAIN, b"key", b"plain");
        tx.next("messages").map(drop)
    })
    .unwrap();
    record(&store, ["one", "two"].map(str::to_owned));
    store.checkpoint(0).unwrap();
    store.close();
    within(&place, |kv| {
        kv.insert(FORMAT, &1_u32.to_be_bytes()[..]).unwrap();
        kv.remove(COMMITS).unwrap().unwrap();
    });
    fs::remove_file(place.data().join("store.journal")).unwrap();
    place
}

fn all_there(store: &Store) {
    let view = store.view().unwrap();
    assert_eq!(view.get(SECRET, b"key").unwrap().as_deref(), Some(&b"value"[..]));
    assert_eq!(view.get(PLAIN, b"key").unwrap().as_deref(), Some(&b"plain"[..]));
    assert_eq!(store.stats().audit_size, 2);
}

#[test]
fn a_database_of_format_1_is_taken_over_with_all_that_is_in_it() {
    let place = of_format_1();
    let store = place.open();
    all_there(&store);
    write(&store, |tx| {
        assert_eq!(tx.next("messages")?, 2, "counters go on");
        tx.put(SECRET, b"new", b"newer");
        Ok(())
    })
    .unwrap();
    record(&store, ["three".to_owned()]);
    store.checkpoint(0).unwrap();
    store.close();
    assert_eq!(format(&place), 2, "an older release does not open it any more: it would lose what the journal holds");
    assert!(place.data().join("store.journal").exists());
    let store = place.open();
    assert_eq!(store.view().unwrap().get(SECRET, b"new").unwrap().as_deref(), Some(&b"newer"[..]));
    store.close();
    let report = audit::verify(&place.audit(), Some(&place.ring())).unwrap();
    assert_eq!((report.problems, report.records), (Vec::new(), 3), "one log over both formats");
}

#[test]
fn an_upgrade_that_was_cut_off_is_done_at_the_next_start() {
    let place = of_format_1();
    // The journal is made before the database says that there is one.
    fs::write(place.data().join("store.journal"), [0; 4096]).unwrap();
    let store = place.open();
    all_there(&store);
    store.close();
    assert_eq!(format(&place), 2);
}

#[test]
fn a_format_of_a_later_release_is_refused_and_left_as_it_is() {
    let place = of_format_1();
    within(&place, |kv| drop(kv.insert(FORMAT, &3_u32.to_be_bytes()[..]).unwrap()));
    assert!(matches!(Store::open(&place.options()), Err(StoreError::Format { found: 3, known: 2, .. })));
    assert_eq!(format(&place), 3);
}
