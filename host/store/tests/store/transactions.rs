//! What a rule may rely on.

use std::{
    ops::Bound::{Excluded, Included, Unbounded},
    sync::{
        Arc, Barrier,
        mpsc::{channel, sync_channel},
    },
    thread,
    time::Duration,
};

use crate::kit::{PLAIN, Place, SECRET, write};
use isthmus_store::{Reader, Store, StoreError, Tx, WriteError};

fn get(store: &Store, key: &[u8]) -> Option<Vec<u8>> {
    store.read(|view| view.get(SECRET, key)).unwrap()
}

#[test]
fn what_a_rule_wrote_is_there_after_its_answer_and_after_a_restart() {
    let place = Place::new();
    let store = place.open();
    write(&store, |tx| {
        tx.put(SECRET, b"k", b"v");
        tx.put(PLAIN, b"k", b"w");
        Ok(())
    })
    .unwrap();
    assert_eq!(get(&store, b"k").unwrap(), b"v");
    store.close();
    let store = place.open();
    assert_eq!(get(&store, b"k").unwrap(), b"v");
    assert_eq!(store.read(|v| v.get(PLAIN, b"k")).unwrap().unwrap(), b"w");
}

#[test]
fn a_rule_sees_its_own_writes_and_deletes() {
    let place = Place::new();
    let store = place.open();
    write(&store, |tx| {
        tx.put(SECRET, b"a", b"1");
        tx.put(SECRET, b"b", b"2");
        Ok(())
    })
    .unwrap();
    write(&store, |tx| {
        tx.delete(SECRET, b"a");
        tx.put(SECRET, b"c", b"3");
        tx.put(SECRET, b"b", b"4");
        assert_eq!(tx.get(SECRET, b"a")?, None);
        assert_eq!(tx.get(SECRET, b"b")?.unwrap(), b"4");
        let rows = tx.scan(SECRET, Unbounded, Unbounded, 10, false)?;
        assert_eq!(rows, [(b"b".to_vec(), b"4".to_vec()), (b"c".to_vec(), b"3".to_vec())]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_refused_rule_leaves_nothing_and_its_neighbours_in_the_batch_stay() {
    let place = Place::new();
    let store = place.open();
    let (hold, release) = sync_channel::<()>(0);
    let blocker = {
        let store = store.clone();
        thread::spawn(move || {
            write(&store, move |_| {
                release.recv().unwrap();
                Ok(())
            })
        })
    };
    thread::sleep(Duration::from_millis(50));
    let rules: Vec<_> = (0..10_u8)
        .map(|n| {
            let store = store.clone();
            thread::spawn(move || {
                store.write_blocking(move |tx| {
                    tx.put(SECRET, &[n], &[n]);
                    tx.audit(vec![n]);
                    tx.next("kept").map_err(|_| 0)?;
                    if n % 3 == 0 { Err(n) } else { Ok(n) }
                })
            })
        })
        .collect();
    while store.stats().queue_len < 10 {
        thread::sleep(Duration::from_millis(1));
    }
    hold.send(()).unwrap();
    blocker.join().unwrap().unwrap();
    for (n, rule) in (0..).zip(rules) {
        match rule.join().unwrap() {
            Ok(kept) => assert!(kept == n && n % 3 != 0),
            Err(WriteError::Refused(refused)) => assert!(refused == n && n % 3 == 0),
            Err(WriteError::Fault(fault)) => panic!("{fault}"),
        }
        assert_eq!(get(&store, &[n]).is_some(), n % 3 != 0);
    }
    assert_eq!(store.stats().batch_sizes[4], 1, "ten rules shared one commit");
    let audited = store.audit_records(0, 100).unwrap();
    assert_eq!(audited.len(), 6, "a refused rule's records are not kept");
    assert_eq!(store.write_blocking(|tx| tx.next("kept")).unwrap(), 7);
}

#[test]
fn a_blocking_write_may_be_asked_for_any_number_of_times_within_one_poll_of_a_task() {
    let place = Place::new();
    let store = place.open();
    let (done, finished) = channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let next = || store.write_blocking(|tx| tx.next("n")).unwrap();
        done.send(runtime.block_on(async { (0..200).fold(0, |_, _| next()) })).unwrap();
    });
    assert_eq!(finished.recv_timeout(Duration::from_secs(60)), Ok(200));
}

#[test]
fn a_panic_costs_only_its_own_rule() {
    let place = Place::new();
    let store = place.open();
    let answer = store.write_blocking(|tx| -> Result<(), ()> {
        tx.put(SECRET, b"k", b"v");
        panic!("boom");
    });
    assert!(matches!(answer, Err(WriteError::Fault(StoreError::Panicked(text))) if text == "boom"));
    write(&store, |tx| {
        assert_eq!(tx.get(SECRET, b"k")?, None);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_full_queue_answers_overloaded_after_the_deadline() {
    let place = Place::new();
    let mut options = place.options();
    (options.queue, options.write_wait) = (1, Duration::from_millis(50));
    let store = Store::open(&options).unwrap();
    let (running, started) = channel();
    let (release, released) = channel::<()>();
    let clone = store.clone();
    let blocker = thread::spawn(move || {
        write(&clone, move |_| {
            running.send(()).unwrap();
            released.recv().unwrap();
            Ok(())
        })
    });
    started.recv().unwrap();
    let clone = store.clone();
    let waiting = thread::spawn(move || write(&clone, |_| Ok(())));
    while store.stats().queue_len < 1 {
        thread::sleep(Duration::from_millis(1));
    }
    assert!(matches!(write(&store, |_| Ok(())), Err(WriteError::Fault(StoreError::Overloaded))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(store.write(|_| Ok::<_, ()>(())));
    assert!(matches!(answer, Err(WriteError::Fault(StoreError::Overloaded))));
    release.send(()).unwrap();
    blocker.join().unwrap().unwrap();
    waiting.join().unwrap().unwrap();
}

#[test]
fn a_closed_store_says_so_and_lets_go_of_the_file() {
    let place = Place::new();
    let store = place.open();
    let clone = store.clone();
    assert!(matches!(Store::open(&place.options()), Err(StoreError::Locked { .. })));
    store.close();
    assert!(matches!(write(&clone, |_| Ok(())), Err(WriteError::Fault(StoreError::Closed))));
    assert!(matches!(clone.read(|v| v.get(PLAIN, b"k")), Err(StoreError::Closed)));
    place.open();
}

#[test]
fn rules_queued_before_close_are_run() {
    let place = Place::new();
    let store = place.open();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let tasks: Vec<_> = (0..100_u8)
        .map(|n| {
            let store = store.clone();
            runtime.spawn(async move {
                store
                    .write(move |tx| {
                        tx.put(PLAIN, &[n], &[n]);
                        Ok::<_, ()>(())
                    })
                    .await
            })
        })
        .collect();
    while store.stats().rules < 10 {
        thread::yield_now();
    }
    store.close();
    let answers: Vec<_> = tasks.into_iter().map(|t| runtime.block_on(t).unwrap()).collect();
    let store = place.open();
    for (n, answer) in (0..).zip(answers) {
        let kept = store.read(|v| v.get(PLAIN, &[n])).unwrap().is_some();
        assert_eq!(answer.is_ok(), kept);
    }
}

#[test]
fn a_sequence_rises_by_one_across_rules_and_restarts() {
    let place = Place::new();
    for round in 0..3_u64 {
        let store = place.open();
        let two = store.write_blocking(|tx| Ok::<_, StoreError>((tx.next("a")?, tx.next("a")?))).unwrap();
        assert_eq!(two, (2 * round + 1, 2 * round + 2));
        let refused = store.write_blocking(|tx| Err::<(), _>(tx.next("a").unwrap()));
        assert!(matches!(refused, Err(WriteError::Refused(n)) if n == 2 * round + 3));
        store.close();
    }
}

#[test]
fn a_view_shows_one_state_however_long_it_lives() {
    let place = Place::new();
    let store = place.open();
    let view = store.view().unwrap();
    write(&store, |tx| {
        tx.put(SECRET, b"k", b"v");
        Ok(())
    })
    .unwrap();
    assert_eq!(view.get(SECRET, b"k").unwrap(), None);
    assert_eq!(get(&store, b"k").unwrap(), b"v");
}

#[test]
fn scans_keep_to_their_table_bounds_and_limit() {
    let place = Place::new();
    let store = place.open();
    write(&store, |tx| {
        for key in [&b""[..], b"a", b"ab", b"b", b"\xFF", b"\xFF\xFF"] {
            tx.put(SECRET, key, key);
            tx.put(PLAIN, key, b"other");
        }
        Ok(())
    })
    .unwrap();
    let check = |from, to, limit, reverse, expected: &[&[u8]]| {
        let rows = store.read(|v| v.scan(SECRET, from, to, limit, reverse)).unwrap();
        assert_eq!(rows.iter().map(|(k, _)| &k[..]).collect::<Vec<_>>(), expected);
        assert!(rows.iter().all(|(k, v)| k == v));
    };
    check(Unbounded, Unbounded, 9, false, &[b"", b"a", b"ab", b"b", b"\xFF", b"\xFF\xFF"]);
    check(Unbounded, Unbounded, 2, true, &[b"\xFF\xFF", b"\xFF"]);
    check(Included(b"a"), Excluded(b"b"), 9, false, &[b"a", b"ab"]);
    check(Excluded(b"a"), Included(b"b"), 9, true, &[b"b", b"ab"]);
    check(Included(b"b"), Excluded(b"a"), 9, false, &[]);
    check(Excluded(b"a"), Excluded(b"a"), 9, false, &[]);
    let rows = store.read(|v| v.prefix(SECRET, b"\xFF", 9, false)).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(store.read(|v| v.prefix(SECRET, b"a", 9, true)).unwrap()[0].0, b"ab");
}

#[test]
fn rules_of_many_threads_each_take_effect_once() {
    let place = Place::new();
    let store = place.open();
    let start = Arc::new(Barrier::new(8));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (store, start) = (store.clone(), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                (0..50).for_each(|_| increment(&store));
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    assert_eq!(get(&store, b"n").unwrap(), 400_u64.to_be_bytes());
}

fn increment(store: &Store) {
    let rule = |tx: &mut Tx<'_>| {
        let n = tx.get(SECRET, b"n")?.map_or(0, |v| u64::from_be_bytes(v.try_into().unwrap()));
        tx.put(SECRET, b"n", &(n + 1).to_be_bytes());
        Ok(())
    };
    write(store, rule).unwrap();
}

#[test]
fn a_store_that_gathers_still_answers_every_rule() {
    let place = Place::new();
    let mut options = place.options();
    options.gather = Duration::from_millis(2);
    let store = Store::open(&options).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            thread::spawn(move || (0..20).for_each(|_| increment(&store)))
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    assert_eq!(get(&store, b"n").unwrap(), 80_u64.to_be_bytes());
    assert!(store.stats().commits < 80, "rules that come side by side share commits");
}

#[test]
fn a_store_and_its_views_can_go_to_other_threads() {
    fn sent<T: Send + Sync>() {}
    sent::<Store>();
    sent::<isthmus_store::View>();
    sent::<StoreError>();
}

#[test]
fn what_follows_commits_is_told_in_their_order_and_never_of_a_refusal() {
    let place = Place::new();
    let store = place.open();
    let (told, heard) = channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut waiting = Vec::new();
        for n in 0..30_u64 {
            let told = told.clone();
            let rule = move |tx: &mut Tx<'_>| {
                tx.put(PLAIN, &n.to_be_bytes(), b"");
                if n % 5 == 4 { Err(n) } else { Ok(n) }
            };
            let then = move |n: &u64| {
                assert!(n % 7 != 6, "what panics here costs nobody anything");
                told.send(*n).unwrap();
            };
            waiting.push(store.submit(rule, then).await.unwrap());
        }
        for (n, pending) in (0..).zip(waiting) {
            assert_eq!(pending.done().await.is_ok(), n % 5 != 4);
        }
    });
    drop(told);
    assert!(heard.iter().eq((0..30).filter(|n| n % 5 != 4 && n % 7 != 6)));
    assert_eq!(store.read(|v| v.prefix(PLAIN, b"", 99, false)).unwrap().len(), 24);
}
