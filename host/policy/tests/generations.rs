//! Activation, history, roll-back, and what is left after a crash.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use isthmus_policy::{ActivateError, BundleSource, Direction, Level, PolicyError};
use support::{House, OPEN, call, with};

fn named(name: &str, access: &str) -> String {
    format!("name = \"{name}\"\n[defaults]\naccess = \"{access}\"\n")
}

#[test]
fn after_activate_answered_nothing_is_judged_by_the_old_policy() {
    let house = House::new();
    let policy = house.open();
    let bundles = [
        house.bundle("a", &[("policy.toml", &named("a", "allow"))]),
        house.bundle("b", &[("policy.toml", &named("b", "deny"))]),
    ];
    let (answered, stop) = (AtomicU64::new(1), AtomicBool::new(false));
    let judged = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let floor = answered.load(Ordering::SeqCst);
                    let session = policy.begin();
                    let number = session.generation();
                    assert!(number >= floor, "judged by {number} after {floor} had been announced");
                    let allowed = session.access(&call(Direction::Inbound, "north")).allowed;
                    assert_eq!(allowed, number % 2 == 1, "generation {number} judged by another's policy");
                    judged.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..40 {
            let dir = &bundles[(round + 1) % 2];
            let activation = policy.activate(dir, "test", "swap").unwrap();
            assert!(activation.drained);
            answered.store(activation.number, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(judged.load(Ordering::Relaxed) > 100);
}

#[test]
fn activate_waits_for_requests_under_way() {
    let house = House::new();
    let policy = house.open();
    let dir = house.bundle("a", &[("policy.toml", &named("a", "deny"))]);
    let session = policy.begin();
    std::thread::scope(|scope| {
        let activating = scope.spawn(|| policy.activate(&dir, "test", "wait").unwrap());
        std::thread::sleep(Duration::from_millis(300));
        assert!(!activating.is_finished(), "it answered while a request was under way");
        assert!(session.access(&call(Direction::Inbound, "north")).allowed, "one generation to the end");
        drop(session);
        assert!(activating.join().unwrap().drained);
    });
}

#[test]
fn whoever_outlives_the_drain_loses_his_say() {
    let house = House::new();
    let policy = house.open();
    house.activate(&policy, &with("access-list", ""));
    let dir = house.bundle("a", &[("policy.toml", &named("a", "allow"))]);
    let session = policy.begin();
    assert!(session.access(&call(Direction::Inbound, "north")).allowed);
    let activation = policy.activate(&dir, "test", "do not wait").unwrap();
    assert!(!activation.drained);
    let outcome = session.access(&call(Direction::Inbound, "north"));
    assert!(!outcome.allowed && outcome.reason.unwrap().code == "policy-fault");
}

#[test]
fn a_swap_calls_its_hooks_before_it_answers() {
    let house = House::new();
    let policy = house.open();
    let seen = Arc::new(AtomicU64::new(0));
    let sees = seen.clone();
    policy.on_swap(Box::new(move |number| sees.store(number, Ordering::SeqCst)));
    house.activate(&policy, &named("a", "deny"));
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}

#[test]
fn history_and_roll_back_reach_every_kept_generation() {
    let house = House::new();
    let policy = house.open();
    house.activate(&policy, &named("two", "deny"));
    house.activate(&policy, &named("three", "allow"));
    let back = policy.rollback(None, "ops", "three was wrong").unwrap();
    assert_eq!((back.number, back.previous, policy.show().name.as_str()), (4, 3, "two"));
    assert!(!policy.begin().access(&call(Direction::Inbound, "north")).allowed);
    let back = policy.rollback(Some(1), "ops", "to the start").unwrap();
    assert_eq!((back.number, policy.show().name.as_str()), (5, "open"));
    let history = policy.history();
    let told: Vec<_> = history.iter().map(|e| (e.number, e.name.as_str(), e.restores, e.state)).collect();
    let expected = [
        (1, "open", None, "kept"),
        (2, "two", None, "kept"),
        (3, "three", None, "kept"),
        (4, "two", Some(2), "kept"),
        (5, "open", Some(1), "active"),
    ];
    assert_eq!(told, expected);
    assert!(matches!(policy.rollback(Some(99), "ops", ""), Err(ActivateError::NoSuchGeneration(_))));
}

#[test]
fn the_last_good_generation_comes_back_though_its_folder_is_gone() {
    let house = House::new();
    let policy = house.open();
    let dir = house.bundle("b", &[("policy.toml", &with("access-list", "")), ("lists/x.txt", "north\n")]);
    policy.activate(&dir, "ops", "for good").unwrap();
    let digest = policy.begin().digest().to_owned();
    drop(policy);
    std::fs::remove_dir_all(dir).unwrap();
    let policy = house.open();
    assert_eq!((policy.begin().generation(), policy.begin().digest()), (2, digest.as_str()));
    let shown = policy.show();
    assert_eq!((shown.by.as_str(), shown.why.as_str(), shown.fallen_back.len()), ("ops", "for good", 0));
}

#[test]
fn a_generation_damaged_on_disk_gives_way_to_the_one_before() {
    let house = House::new();
    let policy = house.open();
    house.activate(&policy, &named("two", "deny"));
    house.activate(&policy, &with("access-list", ""));
    drop(policy);
    for object in std::fs::read_dir(house.data().join("objects")).unwrap() {
        let path = object.unwrap().path();
        if std::fs::read(&path).unwrap().starts_with(b"\0asm") {
            std::fs::write(path, "damaged").unwrap();
        }
    }
    let policy = house.open();
    assert_eq!((policy.begin().generation(), policy.show().name.as_str()), (2, "two"));
    assert!(policy.show().fallen_back[0].starts_with("generation 3:"));
    assert_eq!(policy.history()[2].state, "broken");
    house.activate(&policy, &named("four", "allow"));
    assert_eq!(policy.begin().generation(), 4, "numbers are never used twice");

    std::fs::remove_dir_all(house.data().join("objects")).unwrap();
    drop(policy);
    let policy = house.open();
    assert_eq!((policy.show().name.as_str(), policy.show().generation), ("open", 5), "the default bundle at last");
}

#[test]
fn an_unsigned_bundle_is_refused_where_signatures_are_asked_for() {
    let mut house = House::new();
    house.allow_unsigned = false;
    let policy = house.open();
    let dir = house.bundle("a", &[("policy.toml", &named("a", "deny"))]);
    let refused = policy.activate(&dir, "test", "unsigned").unwrap_err().to_string();
    assert!(refused.contains("policy.sig"), "{refused}");
    assert_eq!(policy.begin().generation(), 1);
}

#[test]
fn check_tells_everything_at_once_and_changes_nothing() {
    let house = House::new();
    let policy = house.open();
    let manifest = format!(
        "{}[[plugin]]\nname = \"words\"\ncomponent = \"builtin:content-filter\"\n\
         [[plugin]]\nname = \"none\"\ncomponent = \"none.wasm\"\n\
         [[plugin]]\nname = \"text\"\ncomponent = \"text.wasm\"\nreuze = true\n",
        with("access-list", "[plugin.settings]\nmode = \"closed\"\n")
    );
    let dir = house.bundle("bad", &[("policy.toml", &manifest), ("text.wasm", "hello"), ("spare.wasm", "x")]);
    let found = policy.check(&dir).unwrap_err().0;
    let has = |file: &str, pointer: &str, words: &str| {
        found.iter().any(|d| d.file == file && d.pointer.starts_with(pointer) && d.message.contains(words))
    };
    assert!(has("policy.toml", "/plugin/0/settings/mode", "listed-only"), "{found:#?}");
    assert!(has("builtin:content-filter", "", "does not grant"), "{found:#?}");
    assert!(has("policy.toml", "/plugin/2/component", "none.wasm"), "{found:#?}");
    assert!(has("policy.toml", "/plugin/3/reuze", "did you mean `reuse`"), "{found:#?}");
    assert!(has("text.wasm", "", "not a WebAssembly component"), "{found:#?}");
    assert!(found.iter().any(|d| d.file == "spare.wasm" && d.severity == Level::Warning), "{found:#?}");
    assert_eq!(policy.begin().generation(), 1);
}

#[test]
fn check_reports_a_sound_bundle() {
    let house = House::new();
    let policy = house.open();
    let dir = house.bundle("good", &[("policy.toml", &with("access-list", ""))]);
    let report = policy.check(&dir).unwrap();
    assert_eq!(report.plugins[0].hooks, ["access"]);
    assert_eq!(report.digest.len(), 64);
    assert_eq!(policy.history().len(), 1);
}

#[test]
fn a_looping_plugin_can_be_activated_and_rolled_back() {
    let house = House::new();
    let policy = house.open();
    house.activate(&policy, &with("hostile/loops", ""));
    assert!(!policy.begin().access(&call(Direction::Inbound, "north")).allowed);
    policy.rollback(None, "ops", "it loops").unwrap();
    assert!(policy.begin().access(&call(Direction::Inbound, "north")).allowed);
}

#[test]
fn a_start_from_the_compile_cache_compiles_nothing() {
    let house = House::new();
    house.activate(&house.open(), &with("content-filter", ""));
    let started = Instant::now();
    let policy = house.open();
    assert_eq!(policy.begin().generation(), 2);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn a_broken_default_bundle_is_told() {
    let mut house = House::new();
    house.default = isthmus_policy::BundleSource::Files(vec![("policy.toml".into(), OPEN.as_bytes()[..20].to_vec())]);
    match house.try_open() {
        Err(PolicyError::NoUsableBundle(found)) => assert!(found.has_errors()),
        other => panic!("{:?}", other.map(|policy| policy.show())),
    }
}

#[test]
fn a_wrong_setting_is_told_by_line_and_pointer_wherever_its_bundle_comes_from() {
    let house = House::new();
    let policy = house.open();
    let plugin = "[[plugin]]\nname = \"it\"\ncomponent = \"builtin:rate-guard\"\ngrants = [\"lists\", \"counters\"]\n\
                  [[plugin.settings.limits]]\nrate = \"20/fortnight\"\n";
    let manifest = format!("{OPEN}{plugin}");
    let dir = house.bundle("wrong", &[("policy.toml", &manifest)]);
    let files = BundleSource::Files(vec![("policy.toml".into(), manifest.clone().into_bytes())]);
    let line = manifest.lines().count();
    for said in [
        policy.check(&dir).unwrap_err().to_string(),
        policy.check(files.clone()).unwrap_err().to_string(),
        policy.canary(&dir).unwrap_err().to_string(),
        policy.stage(&dir, "test", "because").unwrap_err().to_string(),
        policy.activate(&dir, "test", "because").unwrap_err().to_string(),
        policy.activate(files, "test", "because").unwrap_err().to_string(),
    ] {
        assert!(said.contains(&format!("policy.toml:{line} (/plugin/0/settings/limits/0/rate)")), "{said}");
    }
    assert_eq!((policy.history().len(), policy.staged().len()), (1, 0));
}
