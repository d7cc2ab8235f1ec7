//! What an answer of 100 MB costs the host. Alone in its process: it measures memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use isthmus_policy::Direction;
use support::{House, call, event, text, with};

/// The most memory that was resident of this process so far, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn an_answer_too_large_costs_the_host_nothing() {
    let house = House::new();
    let policy = house.open();
    let more =
        "[plugin.settings]\nbytes = 100_000_000\nshared = true\n[plugin.limits]\nmemory_mib = 16\ntime_ms = 1000\n";
    house.activate(&policy, &with("hostile/huge-output", more));
    let before = resident();
    let session = policy.begin();
    let content = session.content(&call(Direction::Inbound, "north"), &text("hello"));
    let audit = session.audit(&event(&[]));
    for step in content.steps.iter().chain(&audit.steps) {
        assert!(
            step.fault.as_ref().unwrap().starts_with("output: returned more than its limit of 256 KiB"),
            "{step:?}"
        );
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 40 * 1024, "the host grew by {grown} KiB");
}
