//! A process killed at any moment loses nothing that was answered, and leaves one unbroken log.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use isthmus_store::{Reader, Store, StoreError, audit};
use redb::ReadableDatabase;

use crate::{
    audit::copy,
    kit::{Place, SECRET, audit},
};

const KV: redb::TableDefinition<&[u8], &[u8]> = redb::TableDefinition::new("kv");
const CHILD: &str = "ISTHMUS_STORE_CRASH_CHILD";

/// Not a test of its own: the process that the next one kills. Prints the number of each rule that was answered.
#[test]
#[ignore = "run by the test that kills it"]
fn child() {
    let Ok(root) = env::var(CHILD) else { return };
    let root = std::path::Path::new(&root);
    let options = isthmus_store::Options::new(root.join("data"), root.join("ring.toml"), "test", "test.example/log");
    let store = Store::open(&options).unwrap();
    let exporter = store.clone();
    thread::spawn(move || {
        loop {
            exporter.checkpoint(0).unwrap();
            thread::sleep(Duration::from_millis(3));
        }
    });
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            thread::spawn(move || {
                loop {
                    let n = store
                        .write_blocking(|tx| {
                            let n = tx.next("n")?;
                            tx.put(SECRET, &n.to_be_bytes(), &[7; 200]);
                            assert_eq!(tx.audit(n.to_string().into_bytes()), n - 1);
                            Ok::<_, StoreError>(n)
                        })
                        .unwrap();
                    let mut out = std::io::stdout().lock();
                    out.write_all(format!("kept {n}\n").as_bytes()).unwrap();
                    out.flush().unwrap();
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|w| w.join().unwrap());
}

fn spawn(place: &Place) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "crash::child", "--nocapture", "--test-threads", "1"])
        .env(CHILD, place.root.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn run_and_kill(place: &Place, after: Duration) -> Vec<u64> {
    let mut child = spawn(place);
    let output = BufReader::new(child.stdout.take().unwrap());
    let reader = thread::spawn(move || {
        let lines = output.lines().map_while(Result::ok);
        lines.filter_map(|l| l.split("kept ").nth(1)?.parse().ok()).collect::<Vec<u64>>()
    });
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn a_killed_process_loses_no_answered_rule_and_its_log_has_no_gap() {
    let place = Place::new();
    let mut answered = Vec::new();
    let begun = Instant::now();
    for round in 0..12_u64 {
        answered.extend(run_and_kill(&place, Duration::from_millis(150 + 37 * round)));
        let store = place.open();
        for n in &answered {
            assert!(
                store.read(|v| v.get(SECRET, &n.to_be_bytes())).unwrap().is_some(),
                "rule {n} was answered and lost"
            );
        }
        let size = store.stats().audit_size;
        let records = store.audit_records(0, usize::MAX).unwrap();
        assert_eq!(records.len() as u64, size);
        for (n, record) in (1..).zip(records) {
            assert_eq!(record.record.unwrap(), u64::to_string(&n).into_bytes(), "no gap, nothing twice");
        }
        store.checkpoint(0).unwrap();
        store.close();
        let report = audit::verify(&place.audit(), Some(&place.ring())).unwrap();
        assert_eq!((report.problems, report.records), (vec![], size));
        if begun.elapsed() > Duration::from_secs(20) {
            break;
        }
    }
    assert!(!answered.is_empty());
}

#[test]
fn a_process_killed_in_its_first_start_starts_again() {
    for round in 0..24_u32 {
        let place = Place::new();
        let mut child = spawn(&place);
        let begun = Instant::now();
        let made = || fs::read_dir(place.data()).is_ok_and(|files| files.count() > 0);
        while !made() && begun.elapsed() < Duration::from_secs(10) {
            thread::yield_now();
        }
        thread::sleep(Duration::from_micros(150) * round);
        child.kill().unwrap();
        child.wait().unwrap();
        place.open();
    }
}

#[test]
fn a_database_file_that_was_half_made_is_made_anew_and_one_in_use_is_never_replaced() {
    let place = Place::new();
    fs::create_dir_all(place.data()).unwrap();
    fs::write(place.data().join("store.redb.new"), [0; 8192]).unwrap();
    place.open().close();
    assert!(!place.data().join("store.redb.new").exists());
    fs::write(place.data().join("store.redb"), [0; 8192]).unwrap();
    assert!(matches!(Store::open(&place.options()), Err(StoreError::Corrupt { .. })));
}

/// A store with ten exported records and 300 pending ones in rows of their own; the folder as it is then and as it is
/// after the next checkpoint.
fn before_and_after_a_checkpoint() -> (Place, std::path::PathBuf) {
    let place = Place::new();
    let store = place.open();
    audit(&store, (0..10).map(|n| n.to_string()));
    store.checkpoint(0).unwrap();
    audit(&store, (10..310).map(|n| n.to_string()));
    store.close();
    let before = place.root.path().join("before");
    copy(&place.data(), &before);
    let store = place.open();
    store.checkpoint(0).unwrap();
    store.close();
    (place, before)
}

fn continues(place: &Place) {
    let store = place.open();
    assert_eq!(store.stats().audit_size, 310);
    audit(&store, (310..320).map(|n| n.to_string()));
    for _ in 0..2 {
        let records = store.audit_records(0, 1000).unwrap();
        assert!((0..320_u64).eq(records.iter().map(|r| r.index)));
        assert!(records.iter().all(|r| r.record.as_deref() == Some(r.index.to_string().as_bytes())));
        store.checkpoint(0).unwrap();
    }
    store.close();
    let report = audit::verify(&place.audit(), Some(&place.ring())).unwrap();
    assert_eq!((report.problems, report.records), (vec![], 320));
}

#[test]
fn stopped_before_the_new_checkpoint_the_log_continues_from_the_old_one() {
    let (place, before) = before_and_after_a_checkpoint();
    let checkpoint = fs::read(before.join("audit/checkpoint")).unwrap();
    copy(&before, &place.data());
    fs::write(place.audit().join("checkpoint"), checkpoint).unwrap();
    fs::write(place.audit().join("tile/0/000.new"), b"torn").unwrap();
    continues(&place);
}

#[test]
fn stopped_between_the_new_checkpoint_and_the_hand_over_the_log_continues_from_the_new_one() {
    let (place, before) = before_and_after_a_checkpoint();
    fs::copy(before.join("store.redb"), place.data().join("store.redb")).unwrap();
    continues(&place);
}

#[test]
fn stopped_in_the_middle_of_the_hand_over_leftover_rows_are_no_second_record() {
    let (place, before) = before_and_after_a_checkpoint();
    let old = redb::Database::open(before.join("store.redb")).unwrap();
    let pending = old.begin_read().unwrap().open_table(KV).unwrap();
    let db = redb::Database::open(place.data().join("store.redb")).unwrap();
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(KV).unwrap();
        let mut left = 0;
        for row in pending.range::<&[u8]>(&[0xFC_u8][..]..&[0xFD_u8][..]).unwrap().skip(100) {
            let (key, value) = row.unwrap();
            table.insert(key.value(), value.value()).unwrap();
            left += 1;
        }
        assert_eq!(left, 200);
    }
    txn.commit().unwrap();
    drop((db, pending, old));
    continues(&place);
    let db = redb::Database::open(place.data().join("store.redb")).unwrap();
    let table = db.begin_read().unwrap().open_table(KV).unwrap();
    assert_eq!(table.range::<&[u8]>(&[0xFC_u8][..]..&[0xFD_u8][..]).unwrap().count(), 0, "leftovers are cleared");
}
