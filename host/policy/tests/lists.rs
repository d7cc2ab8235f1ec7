//! Lists are data with a revision of their own: changed while requests are judged, without a new generation.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use isthmus_policy::{Direction, ListChange, ListError, Policy};
use support::{House, OPEN, call, guest, with};

fn add(entry: &str) -> ListChange {
    ListChange::Add(vec![entry.to_owned()])
}

fn remove(entry: &str) -> ListChange {
    ListChange::Remove(vec![entry.to_owned()])
}

/// A bundle with one plugin that asks the list in each call, and one that copied it.
fn bundle(house: &House, name: &str, list: &str) -> PathBuf {
    let plugin = |name: &str| {
        format!("[[plugin]]\nname = \"{name}\"\ncomponent = \"{name}.wasm\"\ngrants = [\"lists\"]\nreuse = true\n")
    };
    let manifest = format!("{}{}{}", OPEN, plugin("asks"), plugin("copies"));
    let dir = house.bundle(name, &[("policy.toml", &manifest), ("lists/list.txt", list)]);
    std::fs::write(dir.join("asks.wasm"), guest::asks_list()).unwrap();
    std::fs::write(dir.join("copies.wasm"), guest::copies_list()).unwrap();
    dir
}

/// What the two plugins say of `alice`.
fn says(policy: &Policy) -> [&'static str; 2] {
    let steps = policy.begin().access(&call(Direction::Inbound, "north")).steps;
    [steps[0].verdict, steps[1].verdict]
}

const LISTED: [&str; 2] = ["allow", "allow"];
const UNLISTED: [&str; 2] = ["abstain", "abstain"];

#[test]
fn a_change_of_a_list_holds_at_once_for_those_who_ask_and_those_who_copied() {
    let house = House::new();
    let policy = house.open();
    policy.activate(&bundle(&house, "b", "bob\n"), "ops", "lists").unwrap();
    assert_eq!(says(&policy), UNLISTED);
    let epoch = policy.begin().epoch();
    let changed = policy.change_list("list", add("alice"), None, "ops", "a friend").unwrap();
    assert_eq!(says(&policy), LISTED);
    assert_eq!((changed.edit.revision, changed.size, changed.edit.added, changed.drained), (1, 2, 1, true));
    assert_eq!(changed.renewed, ["copies"], "who asks each time is left as it is");
    assert_eq!((policy.begin().generation(), policy.history().len()), (2, 2), "no new generation");
    assert!(policy.begin().epoch() > epoch, "what was judged before is known to be old");
    let same = policy.change_list("list", add("alice"), None, "ops", "again").unwrap();
    assert_eq!((same.edit.revision, policy.begin().lists_revision()), (1, 1), "a change of nothing is none");
    policy.change_list("list", remove("alice"), Some(1), "ops", "no friend").unwrap();
    assert_eq!(says(&policy), UNLISTED);
    let stale = policy.change_list("list", add("alice"), Some(1), "ops", "stale");
    assert!(matches!(stale, Err(ListError::Meanwhile { expected: 1, found: 2 })));
    let (info, entries) = policy.list("list").unwrap();
    assert_eq!((info.revision, info.of_bundle, info.edits.len(), entries), (2, false, 2, vec!["bob".to_owned()]));
    assert_eq!(info.edits[0].some_added, ["alice"]);
}

#[test]
fn a_list_changed_by_command_outlives_restarts_swaps_and_roll_backs_until_it_is_given_back() {
    let house = House::new();
    let policy = house.open();
    policy.activate(&bundle(&house, "b", "bob\n"), "ops", "lists").unwrap();
    policy.change_list("list", add("alice"), None, "ops", "a friend").unwrap();
    drop(policy);
    let policy = house.open();
    assert_eq!(says(&policy), LISTED, "after a restart");
    let again = policy.activate(&bundle(&house, "c", "carol\n"), "ops", "another bundle").unwrap();
    let warned = again.diagnostics.iter().any(|d| d.file == "lists/list.txt" && d.message.contains("revision 1"));
    assert!(warned, "the operator is told that the file does not hold: {:?}", again.diagnostics);
    assert_eq!(says(&policy), LISTED, "after a swap");
    policy.rollback(Some(2), "ops", "back").unwrap();
    assert_eq!(says(&policy), LISTED, "after a roll-back");
    let reset = policy.change_list("list", ListChange::Reset, None, "ops", "as the bundle says").unwrap();
    assert_eq!((says(&policy), reset.edit.revision, reset.size), (UNLISTED, 2, 1));
    assert!(policy.list("list").unwrap().0.of_bundle);
    assert!(policy.check(&bundle(&house, "d", "dora\n")).unwrap().diagnostics.is_empty());
}

#[test]
fn a_change_that_a_plugin_cannot_live_with_changes_nothing() {
    let house = House::new();
    let policy = house.open();
    let manifest = with(
        "content-filter",
        "[plugin.limits]\nmemory_mib = 2\n[[plugin.settings.keywords]]\nlist = \"words\"\naction = \"reject\"\n",
    );
    let dir = house.bundle("b", &[("policy.toml", &manifest), ("lists/words.txt", "bad\n")]);
    policy.activate(&dir, "ops", "words").unwrap();
    let many = (0..200_000).map(|n| format!("a word of some length, number {n}")).collect();
    let refused = policy.change_list("words", ListChange::Set(many), None, "ops", "too many").unwrap_err();
    assert!(refused.to_string().contains("plugin `it`"), "{refused}");
    let (info, entries) = policy.list("words").unwrap();
    assert_eq!((info.revision, entries, policy.begin().lists_revision()), (0, vec!["bad".to_owned()], 0));
}

#[test]
fn no_request_is_judged_by_a_list_of_the_past_or_by_two() {
    let house = House::new();
    let policy = house.open();
    policy.activate(&bundle(&house, "b", "bob\n"), "ops", "lists").unwrap();
    // Warm: the two snapshots are in the compile cache.
    policy.change_list("list", add("alice"), None, "ops", "in").unwrap();
    policy.change_list("list", remove("alice"), None, "ops", "out").unwrap();
    let (answered, stop, judged) = (AtomicU64::new(2), AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let floor = answered.load(Ordering::SeqCst);
                    let session = policy.begin();
                    assert!(session.lists_revision() >= floor, "an old list after the new one was announced");
                    let expected = if session.lists_revision() % 2 == 1 { LISTED } else { UNLISTED };
                    let steps = session.access(&call(Direction::Inbound, "north")).steps;
                    // A machine so busy that the clock of the time limits stood still is no matter of lists.
                    if steps.iter().any(|step| step.fault.as_ref().is_some_and(|fault| fault.starts_with("clock"))) {
                        continue;
                    }
                    let said: Vec<_> = steps.iter().map(|step| (step.verdict, step.fault.as_deref())).collect();
                    assert_eq!(said, expected.map(|verdict| (verdict, None)));
                    judged.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..20 {
            let change = if round % 2 == 0 { add("alice") } else { remove("alice") };
            let changed = policy.change_list("list", change, None, "ops", "swap").unwrap();
            assert!(changed.drained);
            answered.store(changed.edit.revision, Ordering::SeqCst);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(judged.load(Ordering::Relaxed) > 50);
}

#[test]
fn a_list_that_is_asked_and_not_copied_is_changed_in_no_time() {
    let house = House::new();
    let policy = house.open();
    let plugin = "[[plugin]]\nname = \"asks\"\ncomponent = \"asks.wasm\"\ngrants = [\"lists\"]\n";
    let many: String = (0..100_000).map(|n| format!("server-{n}\n")).collect();
    let dir = house.bundle("b", &[("policy.toml", &format!("{OPEN}{plugin}")), ("lists/list.txt", &many)]);
    std::fs::write(dir.join("asks.wasm"), guest::asks_list()).unwrap();
    policy.activate(&dir, "ops", "lists").unwrap();
    let started = Instant::now();
    let changed = policy.change_list("list", add("alice"), None, "ops", "a friend").unwrap();
    assert!(changed.renewed.is_empty());
    assert_eq!(policy.begin().access(&call(Direction::Inbound, "north")).steps[0].verdict, "allow");
    assert!(started.elapsed() < Duration::from_millis(1_500), "100,001 entries took {:?}", started.elapsed());
}
