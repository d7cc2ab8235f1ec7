//! A plugin may use of the host what it imports *and* its bundle grants, and nothing else: every capability against every
//! grant.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use isthmus_policy::{Body, Direction, Item, Policy, Services, Verdict};
use support::{House, OPEN, call, guest, text};

const ALL: [&str; 8] = ["log", "clock", "settings", "lists", "directory", "counters", "metrics", "message"];

/// Everybody is everybody's friend.
struct Friends;

impl Services for Friends {
    fn is_friend(&self, _: &str, _: &str) -> Option<bool> {
        Some(true)
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
}

struct Five;

impl Body for Five {
    fn size(&self) -> u64 {
        5
    }
    fn read(&self, _: u64, _: u32) -> Vec<u8> {
        b"hello".to_vec()
    }
}

fn bundle(house: &House, name: &str, wasm: &[u8], grants: &[&str]) -> PathBuf {
    let grants: Vec<String> = grants.iter().map(|grant| format!("\"{grant}\"")).collect();
    let plugin = format!("[[plugin]]\nname = \"it\"\ncomponent = \"it.wasm\"\ngrants = [{}]\n", grants.join(", "));
    let dir = house.bundle(name, &[("policy.toml", &format!("{OPEN}{plugin}")), ("lists/list.txt", "alice\n")]);
    std::fs::write(dir.join("it.wasm"), wasm).unwrap();
    dir
}

/// Whether the capability answered the plugin.
fn answered(policy: &Policy, capability: &str) -> bool {
    let session = policy.begin();
    let call = call(Direction::Inbound, "north");
    if capability == "message" {
        let item = Item { kind: "file.content".into(), body: Some(Arc::new(Five)), ..text("") };
        let outcome = session.content(&call, &item);
        assert_eq!(outcome.steps[0].fault, None, "{outcome:?}");
        return outcome.verdict == Verdict::Pass;
    }
    let step = session.access(&call).steps.remove(0);
    assert_eq!(step.fault, None, "{step:?}");
    step.verdict == "allow"
}

#[test]
fn what_is_imported_must_be_granted_and_what_is_granted_answers() {
    let house = House { services: Arc::new(Friends), ..House::new() };
    let policy = house.open();
    for capability in ALL {
        let wasm = guest::of_capability(capability);
        for grant in ALL {
            let dir = bundle(&house, &format!("{capability}-{grant}"), &wasm, &[grant]);
            let checked = policy.check(&dir);
            if capability == grant {
                let report = checked.unwrap();
                assert_eq!(report.plugins[0].imports, [capability]);
            } else if capability == "message" {
                // Every content plugin names the body's type; one without the grant is lent none.
                policy.activate(&dir, "test", "no body").unwrap();
                assert!(!answered(&policy, capability), "a body was lent without the grant, with {grant}");
            } else {
                let said = checked.unwrap_err().to_string();
                let expected = format!("imports `{capability}`, which the bundle does not grant");
                assert!(said.contains(&expected), "{capability} with {grant}: {said}");
            }
        }
        let all_others: Vec<&str> = ALL.into_iter().filter(|grant| *grant != capability).collect();
        let others = bundle(&house, &format!("{capability}-others"), &wasm, &all_others);
        assert_eq!(policy.check(&others).is_ok(), capability == "message", "{capability} with all others");
        policy.activate(&bundle(&house, &format!("{capability}-own"), &wasm, &[capability]), "test", "own").unwrap();
        assert!(answered(&policy, capability), "{capability} did not answer");
    }
}

#[test]
fn what_is_granted_and_not_imported_is_not_linked() {
    let house = House::new();
    let policy = house.open();
    let nothing =
        guest::Guest { imports: &[], functions: &[], init: "", hook: "(i32.const 1)", kind: "access" }.build();
    let report = policy.check(&bundle(&house, "nothing", &nothing, &ALL)).unwrap();
    assert!(report.plugins[0].imports.is_empty());
}

#[test]
fn counters_and_metrics_survive_a_swap() {
    let house = House::new();
    let policy = house.open();
    let wasm = guest::of_capability("counters");
    policy.activate(&bundle(&house, "one", &wasm, &["counters"]), "test", "one").unwrap();
    assert!(answered(&policy, "counters"), "the first count is 1");
    policy.activate(&bundle(&house, "two", &wasm, &["counters", "log"]), "test", "two").unwrap();
    assert!(!answered(&policy, "counters"), "the count went on over the swap");
    policy.activate(&bundle(&house, "three", &guest::of_capability("metrics"), &["metrics"]), "test", "3").unwrap();
    (0..3).for_each(|_| assert!(answered(&policy, "metrics")));
    let stats = policy.stats().into_iter().find(|plugin| plugin.plugin == "it").unwrap();
    assert_eq!(stats.counted, [("key".to_owned(), 21)]);
}
