//! What a broken or hostile plugin can do: nothing to others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use isthmus_policy::{Direction, Policy, Verdict};
use support::{House, call, event, text, with};

/// Each hook's fault and what the failure modes made of it.
fn faults(policy: &Policy, kind: &str) {
    let session = policy.begin();
    let access = session.access(&call(Direction::Inbound, "north"));
    assert!(!access.allowed, "access fails closed");
    assert_eq!(access.reason.unwrap().code, "policy-fault");
    let content = session.content(&call(Direction::Outbound, "south"), &text("hello"));
    assert!(matches!(content.verdict, Verdict::Hold(reason) if reason.code == "policy-fault"), "content fails by hold");
    let audit = session.audit(&event(&[("text", "hello")]));
    assert!(audit.whole && audit.detail, "the event is recorded whole and marked");
    assert_eq!(audit.fields, [("text".to_owned(), "hello".to_owned())]);
    for step in access.steps.iter().chain(&content.steps).chain(&audit.steps) {
        assert_eq!(step.verdict, "fault");
        assert!(step.fault.as_ref().unwrap().starts_with(kind), "expected {kind}: {step:?}");
    }
}

#[test]
fn a_plugin_that_loops_is_stopped_by_its_time_limit() {
    let house = House::new();
    let policy = house.open();
    for reuse in ["", "reuse = true\n"] {
        house.activate(&policy, &with("hostile/loops", reuse));
        assert!(!policy.begin().suspect());
        let started = Instant::now();
        faults(&policy, "timeout: ran longer than its limit of 10 ms");
        let took = started.elapsed();
        assert!(took < Duration::from_millis(600), "three calls of 10 ms took {took:?}");
        assert!(policy.begin().suspect(), "who looped once is suspect");
        let shown = policy.show();
        assert_eq!(shown.plugins[0].state, "timeout");
    }
}

#[test]
fn a_plugin_that_takes_memory_is_stopped_by_its_memory_limit() {
    let house = House::new();
    let policy = house.open();
    house.activate(&policy, &with("hostile/grows", "[plugin.limits]\ntime_ms = 1000\nmemory_mib = 8\n"));
    faults(&policy, "memory: wanted more memory than its limit of 8 MiB");
}

#[test]
fn a_panic_is_told_in_its_own_words() {
    let house = House::new();
    let policy = house.open();
    house.activate(&policy, &with("hostile/traps", ""));
    faults(&policy, "trap");
    let fault = policy.show().plugins[0].last_fault.clone().unwrap();
    assert!(fault.contains("panicked on purpose in treat"), "{fault}");
    // And where: the functions of the guest, by the names that its author gave them, without the machinery of a panic.
    let (_, at) = fault.split_once("; at ").unwrap_or_else(|| panic!("no trace: {fault}"));
    assert!(at.starts_with("hostile_traps::fall"), "{fault}");
}

#[test]
fn who_fails_in_several_places_is_told_of_in_each() {
    let house = House::new();
    let policy = house.open();
    house.activate(&policy, &with("hostile/traps", ""));
    let session = policy.begin();
    let traces = || {
        let access = session.access(&call(Direction::Inbound, "north")).steps;
        let content = session.content(&call(Direction::Inbound, "north"), &text("hello")).steps;
        [access, content].map(|steps| steps[0].fault.as_ref().unwrap().split_once("; at ").unwrap().1.to_owned())
    };
    let first = traces();
    assert!(first[0].contains("#decide") && first[1].contains("#passes"), "{first:?}");
    (0..20).for_each(|round| assert_eq!(traces(), first, "{round}"));
}

#[test]
fn an_answer_over_the_limit_is_a_fault() {
    let house = House::new();
    let policy = house.open();
    let more = "[plugin.settings]\nbytes = 300_000\n[plugin.limits]\ntime_ms = 1000\n";
    house.activate(&policy, &with("hostile/huge-output", more));
    faults(&policy, "output: returned more than its limit of 256 KiB");
}

#[test]
fn a_plugin_that_calls_the_host_for_ever_is_stopped() {
    let house = House::new();
    let policy = house.open();
    let more = "[plugin.limits]\ntime_ms = 5000\nhost_calls = 500\n[plugin.settings]\ncall = \"lists\"\n";
    house.activate(&policy, &with("hostile/calls-host", more));
    faults(&policy, "host-calls: called the host more often than its limit of 500 a call");
}

#[test]
fn a_plugin_that_never_ends_its_init_is_not_activated() {
    let house = House::new();
    let policy = house.open();
    let dir =
        house.bundle("hangs", &[("policy.toml", &with("hostile/init-hangs", "[plugin.limits]\ninit_ms = 200\n"))]);
    let started = Instant::now();
    let refused = policy.activate(&dir, "test", "hang").unwrap_err().to_string();
    assert!(refused.contains("builtin:hostile/init-hangs") && refused.contains("init_ms"), "{refused}");
    assert!(started.elapsed() < Duration::from_secs(60));
    assert_eq!(policy.begin().generation(), 1, "the old generation goes on");
}

#[test]
fn failure_modes_hold_by_direction() {
    let house = House::new();
    let policy = house.open();
    let more = "[plugin.failure]\ninbound = \"open\"\n[plugin.failure.content]\noutbound = \"closed\"\n";
    house.activate(&policy, &with("hostile/traps", more));
    let session = policy.begin();
    assert!(session.access(&call(Direction::Inbound, "north")).allowed);
    assert!(!session.access(&call(Direction::Outbound, "north")).allowed);
    assert!(!session.access(&call(Direction::Internal, "")).allowed);
    let content = |direction| session.content(&call(direction, "north"), &text("hello")).verdict;
    assert_eq!(content(Direction::Inbound), Verdict::Pass);
    assert!(matches!(content(Direction::Outbound), Verdict::Reject(_)));
    assert!(matches!(content(Direction::Internal), Verdict::Hold(_)));
}

#[test]
fn a_looping_plugin_delays_no_other_thread() {
    let house = House::new();
    let policy = house.open();
    let good = "[[plugin]]\nname = \"good\"\ncomponent = \"builtin:audit-redact\"\n";
    house.activate(&policy, &format!("{}{good}", with("hostile/loops", "[plugin.limits]\ntime_ms = 300\n")));
    std::thread::scope(|scope| {
        let looping = scope.spawn(|| policy.begin().access(&call(Direction::Inbound, "north")));
        let mut slowest = Duration::ZERO;
        let session = policy.begin();
        while !looping.is_finished() {
            let started = Instant::now();
            let labels = session.generation();
            slowest = slowest.max(started.elapsed());
            assert_eq!(labels, 2);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(slowest < Duration::from_millis(50), "{slowest:?}");
        assert!(!looping.join().unwrap().allowed);
    });
}

#[test]
fn a_busy_machine_kills_no_innocent_plugin() {
    let house = House::new();
    let policy = house.open();
    let settings =
        "[[plugin.settings.keywords]]\nwords = [\"bad\"]\naction = \"reject\"\n[plugin.limits]\ntime_ms = 2\n";
    house.activate(&policy, &with("content-filter", settings));
    let stop = std::sync::atomic::AtomicBool::new(false);
    let long = "all is well ".repeat(500);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let session = policy.begin();
        for _ in 0..200 {
            let outcome = session.content(&call(Direction::Inbound, "north"), &text(&long));
            assert_eq!(outcome.verdict, Verdict::Pass, "{outcome:?}");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
