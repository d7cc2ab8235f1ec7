//! What the sandbox holds of memory: `cargo bench -p isthmus-policy --bench memory`.
//!
//! With the system's allocator: the server's keeps for later what was freed, which hides what is held.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a bench")]

#[path = "../tests/support/mod.rs"]
mod support;
mod three;

use std::sync::Barrier;
use std::time::Instant;

use support::House;
use three::Message;

fn main() {
    instance();
    // `cargo test --benches` only sees that it runs.
    swaps(if std::env::args().any(|arg| arg == "--bench") { 1_000 } else { 10 });
}

/// Kilobytes that are this process's own.
fn private_kib() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let of = |line: &str| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
    rollup.lines().filter(|line| line.starts_with("Private")).map(of).sum()
}

fn instance() {
    const LIVE: usize = 64;
    let house = House::new();
    let waiting = std::sync::Arc::new(three::Waiting::new(LIVE));
    let house = House { services: waiting.clone(), ..house };
    let policy =
        three::policy_of(&house, &three::manifest(false).replace("black_list", "strangers = \"deny\"\nblack_list"));
    let message = Message::new();
    let inside = |ask: bool| {
        let (before, begun) = (private_kib(), Barrier::new(LIVE + 1));
        std::thread::scope(|scope| {
            for _ in 0..LIVE {
                scope.spawn(|| {
                    begun.wait();
                    if ask { drop(policy.begin().access(&message.call)) } else { waiting.wait() }
                });
            }
            begun.wait();
            waiting.all_there();
            let used = private_kib().saturating_sub(before);
            waiting.let_go();
            used
        })
    };
    inside(false);
    // What the pool keeps of freed instances is theirs too: the first ones count.
    let (threads, instances) = (inside(false), inside(true));
    let each = instances.saturating_sub(threads) as f64 / LIVE as f64;
    println!("private memory of a live instance (access, fresh): {each:.0} KiB (reach 40)");
}

fn swaps(count: usize) {
    let house = House::new();
    let policy = three::policy(&house, true);
    let bundles =
        [three::bundle(&house, "one", &three::manifest(true)), three::bundle(&house, "two", &three::manifest(false))];
    let swap = |count: usize| {
        for bundle in bundles.iter().cycle().take(count) {
            policy.activate(bundle, "bench", "swap").unwrap();
        }
    };
    swap(count / 10);
    let before = private_kib();
    let started = Instant::now();
    swap(count);
    println!("a swap (mean of {count}): {:.2} ms", started.elapsed().as_secs_f64() * 1e3 / count as f64);
    let after = private_kib();
    let change = (after as f64 / before as f64 - 1.0) * 100.0;
    println!("memory after {count} swaps: {before} → {after} KiB, {change:+.1} % (reach ± 5)");
}
