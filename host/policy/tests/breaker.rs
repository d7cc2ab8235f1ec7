//! A plugin that keeps failing takes its generation back to the last good one: loudly, and never in circles.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use isthmus_policy::{Breaker, Direction, Policy};
use support::{House, OPEN, call, with};

fn house() -> House {
    House { breaker: Breaker { faults: 5, window: Duration::from_secs(60) }, ..House::new() }
}

fn named(name: &str) -> String {
    OPEN.replace("open", name)
}

fn ask(policy: &Policy, times: usize) {
    for _ in 0..times {
        let _ = policy.begin().access(&call(Direction::Inbound, "north"));
    }
}

#[test]
fn a_plugin_that_keeps_failing_brings_the_last_good_generation_back() {
    let house = house();
    let policy = house.open();
    house.activate(&policy, &named("good"));
    house.activate(&policy, &with("hostile/traps", ""));
    ask(&policy, 4);
    assert_eq!(policy.tripped(), None, "not yet");
    ask(&policy, 1);
    let trip = policy.tripped().unwrap();
    assert_eq!((trip.generation, trip.plugin.as_str(), trip.faults, trip.calls), (3, "it", 5, 5));
    assert!(trip.fault.contains("panicked on purpose"), "{trip:?}");
    let activation = policy.trip(&trip).unwrap().unwrap();
    assert_eq!((activation.number, activation.previous, policy.show().name.as_str()), (4, 3, "good"));
    assert!(policy.begin().access(&call(Direction::Inbound, "north")).allowed);
    let told = policy.history();
    let states: Vec<_> = told.iter().map(|entry| (entry.number, entry.state, entry.restores)).collect();
    assert_eq!(states, [(1, "kept", None), (2, "kept", None), (3, "tripped", None), (4, "active", Some(2))]);
    assert_eq!((told[3].by.as_str(), told[2].trip.as_ref().unwrap().plugin.as_str()), ("breaker", "it"));
    assert!(told[3].why.contains("plugin `it` failed 5 of 5 times"), "{}", told[3].why);
    drop(policy);
    let policy = house.open();
    assert_eq!((policy.history()[2].state, policy.show().name.as_str()), ("tripped", "good"), "after a restart");
}

#[test]
fn generations_that_failed_are_never_gone_back_to_and_there_is_an_end_to_it() {
    let house = house();
    let policy = house.open();
    // No good generation at all: the first one is broken too.
    let broken = |name: &str| with("hostile/traps", "").replace("open", name);
    for name in ["a", "b", "a"] {
        house.activate(&policy, &broken(name));
    }
    let mut backs = Vec::new();
    for _ in 0..20 {
        ask(&policy, 6);
        let Some(trip) = policy.tripped() else { break };
        backs.push(policy.trip(&trip).unwrap().map(|activation| activation.number));
    }
    assert_eq!(backs, [Some(5), Some(6)], "from `a` to `b`, from `b` to the first, and no further");
    assert_eq!((policy.show().name.as_str(), policy.tripped()), ("open", None));
}

#[test]
fn where_there_is_nothing_to_go_back_to_the_generation_stays_and_is_told_once() {
    let mut house = house();
    let manifest = with("hostile/traps", "");
    house.default = isthmus_policy::BundleSource::Files(vec![("policy.toml".into(), manifest.into_bytes())]);
    let policy = house.open();
    ask(&policy, 9);
    let trip = policy.tripped().unwrap();
    assert!(policy.trip(&trip).unwrap().is_none());
    ask(&policy, 9);
    assert_eq!((policy.tripped(), policy.begin().generation()), (None, 1));
}

#[test]
fn who_activates_a_failed_bundle_again_answers_for_it() {
    let house = house();
    let policy = house.open();
    house.activate(&policy, &with("hostile/traps", ""));
    ask(&policy, 5);
    policy.trip(&policy.tripped().unwrap()).unwrap().unwrap();
    policy.rollback(Some(2), "ops", "once more").unwrap();
    assert_eq!(policy.tripped(), None, "it begins anew");
    ask(&policy, 5);
    let back = policy.trip(&policy.tripped().unwrap()).unwrap().unwrap();
    assert_eq!((back.number, policy.show().name.as_str()), (5, "open"));
}

#[test]
fn a_trip_of_a_generation_that_is_gone_changes_nothing() {
    let house = house();
    let policy = house.open();
    house.activate(&policy, &with("hostile/traps", ""));
    ask(&policy, 5);
    let trip = policy.tripped().unwrap();
    house.activate(&policy, &named("mended"));
    assert!(policy.trip(&trip).unwrap().is_none());
    assert_eq!((policy.show().name.as_str(), policy.tripped()), ("mended", None));
}
