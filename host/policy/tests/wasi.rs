//! WASI is there for languages that cannot do without it, and gives nothing: what asks for more gets an error, and its
//! verdict still stands.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;

use isthmus_policy::{Direction, Policy, Services, Step};
use support::{House, OPEN, call};

/// It is always the same time.
struct Noon;

impl Services for Noon {
    fn is_friend(&self, _: &str, _: &str) -> Option<bool> {
        None
    }
    fn same_group(&self, _: &str, _: &str) -> Option<bool> {
        None
    }
    fn server_area(&self, _: &str) -> Option<String> {
        None
    }
    fn user_attribute(&self, _: &str, _: &str) -> Option<String> {
        None
    }
    fn now_ms(&self) -> u64 {
        1_700_000_000_123
    }
}

fn greedy(grants: &str, settings: &str) -> (House, Policy) {
    let house = House { services: Arc::new(Noon), ..House::new() };
    let policy = house.open();
    let plugin = format!(
        "{OPEN}[[plugin]]\nname = \"it\"\ncomponent = \"builtin:hostile/greedy\"\ngrants = [{grants}]\n[plugin.settings]\n{settings}\n"
    );
    house.activate(&policy, &plugin);
    (house, policy)
}

fn asked(policy: &Policy) -> Step {
    policy.begin().access(&call(Direction::Inbound, "north")).steps.remove(0)
}

/// What it got, by what it asked for.
fn got(policy: &Policy, what: &str) -> String {
    let step = asked(policy);
    assert_eq!((step.verdict, &step.fault), ("deny", &None), "its verdict stands");
    let told = step.reason.unwrap().text;
    let part = told.split("; ").find_map(|part| part.strip_prefix(what)).unwrap();
    part.trim().to_owned()
}

#[test]
fn no_files_network_environment_or_input_are_there_whatever_is_granted() {
    for grants in ["", "\"log\", \"clock\", \"random\", \"lists\", \"directory\", \"counters\""] {
        let (_house, policy) = greedy(grants, "");
        for (what, expected) in [
            ("environment", "[]"),
            ("arguments", "[]"),
            ("folder", "None"),
            ("files", "0"),
            ("input", "Err(\"closed\")"),
            ("socket", "Some(\"access-denied\")"),
            ("name", "Some(\"access-denied\")"),
        ] {
            assert_eq!(got(&policy, what), expected, "{what} with {grants}");
        }
    }
}

#[test]
fn time_stands_still_without_the_grant_and_is_the_hosts_with_it() {
    let (_house, policy) = greedy("", "");
    assert_eq!((got(&policy, "time"), got(&policy, "clock")), ("0.000000000".into(), "0".into()));
    let (_house, policy) = greedy("\"clock\"", "");
    let expected = ("1700000000.123000000".into(), "1700000000123000000".into());
    assert_eq!((got(&policy, "time"), got(&policy, "clock")), expected);
}

#[test]
fn randomness_repeats_itself_without_the_grant() {
    let (_house, policy) = greedy("\"clock\"", "");
    let first = (got(&policy, "random"), got(&policy, "bytes"));
    assert_eq!((got(&policy, "random"), got(&policy, "bytes")), first);
    let (_house, policy) = greedy("\"random\"", "");
    assert_ne!(got(&policy, "random"), got(&policy, "random"));
}

#[test]
fn what_it_prints_is_of_the_log_if_that_is_granted_and_of_nobody_else() {
    for (grants, told) in [("\"log\"", true), ("", false)] {
        let (_house, policy) = greedy(grants, "then = \"trap\"");
        let fault = asked(&policy).fault.unwrap();
        assert!(fault.starts_with("trap: "), "{fault}");
        assert_eq!(fault.contains("it said: on standard error"), told, "{fault}");
    }
}

#[test]
fn to_end_itself_or_to_want_too_much_is_a_fault_of_its_own() {
    for (settings, expected) in [("then = \"exit\"", "it ended itself"), ("then = \"gulp\"", "64 KiB of random bytes")]
    {
        let (_house, policy) = greedy("", settings);
        let fault = asked(&policy).fault.unwrap();
        assert!(fault.contains(expected), "{fault}");
    }
}

#[test]
fn a_stream_that_was_opened_in_init_is_good_in_every_instance() {
    let (_house, policy) = greedy("", "early = true");
    for _ in 0..2 {
        assert_eq!(got(&policy, "files"), "0");
    }
}
