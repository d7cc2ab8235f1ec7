//! The audit log (§6.2 d): whole, ordered, provable, searchable.

use std::{fs, path::Path};

use isthmus_store::{Store, StoreError, audit};

use crate::kit::{self, Place, SECRET, write};

fn record(n: u64) -> String {
    format!("record {n} {}", "x".repeat((n % 40) as usize))
}

fn fill(store: &Store, from: u64, to: u64) {
    for start in (from..to).step_by(50) {
        let end = to.min(start + 50);
        write(store, move |tx| {
            (start..end).for_each(|n| assert_eq!(tx.audit(record(n).into_bytes()), n));
            Ok(())
        })
        .unwrap();
    }
}

fn whole(place: &Place, size: u64) {
    let report = audit::verify(&place.audit(), Some(&place.ring())).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!((report.size, report.records + report.erased), (size, size));
    assert_eq!(report.origin, "test.example/log");
    assert!(audit::verify(&place.audit(), None).unwrap().is_whole());
}

fn texts(records: Vec<audit::Numbered>) -> Vec<String> {
    records.into_iter().map(|r| String::from_utf8(r.record.unwrap()).unwrap()).collect()
}

#[test]
fn a_log_of_any_size_verifies_and_grows() {
    let place = Place::new();
    let store = place.open();
    store.checkpoint(0).unwrap();
    whole(&place, 0);
    let mut size = 0;
    for next in [1, 2, 3, 200, 255, 256, 257, 511, 512, 700, 1300] {
        fill(&store, size, next);
        let checkpoint = store.checkpoint(7).unwrap();
        assert_eq!((checkpoint.size, checkpoint.time_ms), (next, 7));
        assert_eq!(audit::verify(&place.audit(), None).unwrap().root, checkpoint.root);
        whole(&place, next);
        size = next;
    }
    assert_eq!(store.stats().audit_checkpoint, 1300);
}

#[test]
fn the_files_lie_where_tlog_tiles_says_and_no_superseded_part_stays() {
    let place = Place::new();
    let store = place.open();
    for size in [3, 200, 600] {
        fill(&store, store.stats().audit_size, size);
        store.checkpoint(0).unwrap();
    }
    let mut found = Vec::new();
    list(&place.audit(), &place.audit(), &mut found);
    found.sort();
    let expected = [
        "checkpoint",
        "key.pub",
        "keys/1",
        "records/000",
        "records/001",
        "records/002.p/88",
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
        "tile/entries/000",
        "tile/entries/001",
        "tile/entries/002.p/88",
    ];
    assert_eq!(found, expected);
    let note = fs::read_to_string(place.audit().join("checkpoint")).unwrap();
    assert!(note.starts_with("test.example/log\n600\n"));
    assert!(note.contains("\n\n\u{2014} test.example/log "));
}

fn list(root: &Path, dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(root, &path, found);
        } else {
            found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}

#[test]
fn records_are_found_pending_and_exported_alike() {
    let place = Place::new();
    let store = place.open();
    fill(&store, 0, 300);
    store.checkpoint(0).unwrap();
    fill(&store, 300, 420);
    for (from, limit) in [(0, 1000), (0, 10), (250, 100), (299, 2), (300, 5), (310, 45), (419, 9), (420, 9), (9999, 1)]
    {
        let expected: Vec<_> = (from..420.min(from + limit)).map(record).collect();
        assert_eq!(texts(store.audit_records(from, limit as usize).unwrap()), expected, "{from} {limit}");
    }
    store.checkpoint(0).unwrap();
    assert_eq!(store.audit_records(0, 1000).unwrap().len(), 420);
}

#[test]
fn records_are_read_offline_in_both_directions() {
    let place = Place::new();
    let store = place.open();
    fill(&store, 0, 600);
    store.checkpoint(0).unwrap();
    let read = |range: std::ops::Range<u64>, reverse| {
        let records = audit::records(&place.audit(), &place.ring(), range, reverse).unwrap();
        records.map(|r| r.unwrap().index).collect::<Vec<_>>()
    };
    assert_eq!(read(0..600, false), (0..600).collect::<Vec<_>>());
    assert_eq!(read(0..u64::MAX, true), (0..600).rev().collect::<Vec<_>>());
    assert_eq!(read(250..260, true), (250..260).rev().collect::<Vec<_>>());
    assert!(read(600..700, false).is_empty());
    assert!(read(512..512, false).is_empty());
}

#[test]
fn an_erased_record_is_gone_and_the_log_still_verifies() {
    let place = Place::new();
    let store = place.open();
    fill(&store, 0, 300);
    assert!(matches!(store.erase_audit(0, b""), Err(StoreError::Audit(audit::AuditError::NotExported { .. }))));
    store.checkpoint(0).unwrap();
    for index in [5, 299] {
        store.erase_audit(index, b"by court order").unwrap();
    }
    whole(&place, 300);
    fill(&store, 300, 320);
    store.checkpoint(0).unwrap();
    store.close();
    let store = place.open();
    fill(&store, 320, 700);
    store.checkpoint(0).unwrap();
    whole(&place, 700);
    let report = audit::verify(&place.audit(), Some(&place.ring())).unwrap();
    assert_eq!((report.erased, report.records), (2, 698));
    let records = store.audit_records(0, 1000).unwrap();
    let erased: Vec<_> = records.iter().filter(|r| r.record.is_none()).map(|r| r.index).collect();
    assert_eq!(erased, [5, 299]);
}

#[test]
fn a_restart_at_any_size_continues_without_gap() {
    let place = Place::new();
    for round in 0..6 {
        let store = place.open();
        fill(&store, round * 97, round * 97 + 97);
        if round % 2 == 0 {
            store.checkpoint(0).unwrap();
        }
        store.close();
    }
    let store = place.open();
    store.checkpoint(0).unwrap();
    whole(&place, 6 * 97);
    assert_eq!(texts(store.audit_records(0, 1000).unwrap()), (0..6 * 97).map(record).collect::<Vec<_>>());
}

#[test]
fn a_further_signature_on_the_checkpoint_is_kept_and_named() {
    let place = Place::new();
    let store = place.open();
    fill(&store, 0, 3);
    store.checkpoint(0).unwrap();
    let path = place.audit().join("checkpoint");
    let note = fs::read_to_string(&path).unwrap()
        + "\u{2014} witness.example x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    fs::write(&path, &note).unwrap();
    store.checkpoint(0).unwrap();
    store.close();
    place.open().checkpoint(0).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), note);
    let report = audit::verify(&place.audit(), Some(&place.ring())).unwrap();
    assert!(report.is_whole());
    assert_eq!(report.witnesses, ["witness.example"]);
}

#[test]
fn the_log_verifies_while_a_server_writes_it() {
    let place = Place::new();
    let store = place.open();
    fill(&store, 0, 10);
    store.checkpoint(0).unwrap();
    let writer = {
        let store = store.clone();
        std::thread::spawn(move || {
            for round in 0..40 {
                fill(&store, 10 + round * 61, 71 + round * 61);
                store.checkpoint(0).unwrap();
            }
        })
    };
    while !writer.is_finished() {
        let report = audit::verify(&place.audit(), Some(&place.ring())).unwrap();
        assert_eq!(report.problems, []);
    }
    writer.join().unwrap();
    whole(&place, 10 + 40 * 61);
}

#[test]
fn an_act_and_its_record_are_kept_or_lost_together() {
    let place = Place::new();
    let store = place.open();
    let refused = store.write_blocking(|tx| {
        tx.audit(b"never".to_vec());
        tx.put(SECRET, b"k", b"v");
        Err::<(), _>("no")
    });
    assert!(refused.is_err());
    kit::audit(&store, ["first".to_owned()]);
    assert_eq!(texts(store.audit_records(0, 10).unwrap()), ["first"]);
}

#[test]
fn files_that_lag_behind_the_database_stop_the_start() {
    let place = Place::new();
    let store = place.open();
    fill(&store, 0, 10);
    store.checkpoint(0).unwrap();
    copy(&place.audit(), &place.root.path().join("old"));
    fill(&store, 10, 20);
    store.checkpoint(0).unwrap();
    store.close();
    fs::remove_dir_all(place.audit()).unwrap();
    copy(&place.root.path().join("old"), &place.audit());
    let error = Store::open(&place.options()).err().unwrap();
    assert!(matches!(error, StoreError::Audit(audit::AuditError::Behind { files: 10, exported: 20, .. })), "{error}");
}

#[test]
fn a_database_older_than_the_files_stops_the_start() {
    let place = Place::new();
    let store = place.open();
    fill(&store, 0, 10);
    store.checkpoint(0).unwrap();
    store.close();
    let (file, old) = (place.data().join("store.redb"), place.root.path().join("old.redb"));
    fs::copy(&file, &old).unwrap();
    let store = place.open();
    fill(&store, 10, 20);
    store.checkpoint(0).unwrap();
    store.close();
    fs::copy(&old, &file).unwrap();
    let error = Store::open(&place.options()).err().unwrap();
    assert!(matches!(error, StoreError::Audit(audit::AuditError::Ahead { files: 20, size: 10, .. })), "{error}");
}

#[test]
fn a_name_that_no_verifier_could_read_is_refused() {
    let place = Place::new();
    for origin in ["", "a b", "a+b", "a\nb"] {
        let mut options = place.options();
        options.audit_origin = origin.into();
        assert!(matches!(Store::open(&options), Err(StoreError::Audit(audit::AuditError::Origin { .. }))));
    }
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
