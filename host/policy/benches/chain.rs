//! What the policy costs a message: three plugins (1,000 list entries, 1,000 keywords over 200
//! bytes, audit with redaction), fresh from their snapshots, reused, and the same in native Rust.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a bench")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::hint::black_box;

use aho_corasick::AhoCorasick;
use criterion::{Criterion, criterion_group, criterion_main};
use isthmus_policy::{Call, Direction, Event, Item, Policy, Verdict};
use support::{House, call, event, text};

const TEXT_BYTES: usize = 200;

fn manifest(reuse: bool) -> String {
    format!(
        "name = \"bench\"\n[defaults]\naccess = \"allow\"\n\
         [[plugin]]\nname = \"peers\"\ncomponent = \"builtin:access-list\"\ngrants = [\"lists\", \"directory\"]\nreuse = {reuse}\n\
         [plugin.settings]\nblack_list = \"servers\"\n\
         [[plugin]]\nname = \"words\"\ncomponent = \"builtin:content-filter\"\ngrants = [\"lists\"]\nreuse = {reuse}\n\
         [[plugin.settings.keywords]]\nlist = \"words\"\naction = \"reject\"\n\
         [[plugin]]\nname = \"redact\"\ncomponent = \"builtin:audit-redact\"\nreuse = {reuse}\n\
         [[plugin.settings.events]]\noperations = [\"message.*\"]\nfields = {{ text = \"drop\", actor = \"hash\" }}\n"
    )
}

fn words() -> Vec<String> {
    (0..1_000u32).map(|i| format!("{:x}", blake(i))).collect()
}

/// Words that share no long prefix, as real ones do not.
fn blake(i: u32) -> u32 {
    i.wrapping_mul(2_654_435_761) | 0x8000_0000
}

fn policy(house: &House, reuse: bool) -> Policy {
    let policy = house.open();
    let servers: String = (0..1_000).map(|i| format!("server-{i}\n")).collect();
    let files =
        [("policy.toml", manifest(reuse)), ("lists/servers.txt", servers), ("lists/words.txt", words().join("\n"))];
    let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
    policy.activate(&house.bundle("bench", &files), "bench", "bench").unwrap();
    policy
}

fn chain(policy: &Policy, call: &Call, item: &Item, event: &Event) {
    let session = policy.begin();
    let access = session.access(call);
    let content = session.content(call, item);
    let audit = session.audit(event);
    assert!(access.allowed && content.verdict == Verdict::Pass && audit.fields.len() == 1);
    black_box((access, content, audit));
}

fn message() -> (Call, Item, Event) {
    let said = "the quick brown fox jumps over the lazy dog ".repeat(5)[..TEXT_BYTES].to_owned();
    let event = event(&[("text", &said), ("reason", "")]);
    (call(Direction::Inbound, "north"), text(&said), event)
}

fn bench(criterion: &mut Criterion) {
    let (call, item, event) = message();
    let mut group = criterion.benchmark_group("chain");
    for (name, reuse) in [("fresh", false), ("reused", true)] {
        let house = House::new();
        let policy = policy(&house, reuse);
        group.bench_function(name, |bencher| bencher.iter(|| chain(&policy, &call, &item, &event)));
        for (hook, run) in [("access", 0), ("content", 1), ("audit", 2)] {
            group.bench_function(format!("{name}/{hook}"), |bencher| {
                let session = policy.begin();
                bencher.iter(|| match run {
                    0 => drop(black_box(session.access(&call))),
                    1 => drop(black_box(session.content(&call, &item))),
                    _ => drop(black_box(session.audit(&event))),
                });
            });
        }
    }
    let servers: HashSet<String> = (0..1_000).map(|i| format!("server-{i}")).collect();
    let keywords = AhoCorasick::builder().ascii_case_insensitive(true).build(words()).unwrap();
    group.bench_function("native", |bencher| {
        bencher.iter(|| {
            let peer = call.peer.as_ref().map_or("", |peer| &peer.id);
            let denied = servers.contains(&peer.to_lowercase());
            let found = keywords.is_match(&item.text);
            let actor = blake3::keyed_hash(&[9; 32], event.call.actor.as_bytes());
            let fields: Vec<_> = event.fields.iter().filter(|(name, _)| name != "text").cloned().collect();
            black_box((denied, found, actor, fields));
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
