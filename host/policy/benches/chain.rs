//! What the policy costs a message: three plugins (1,000 list entries, 1,000 keywords over 200
//! bytes, audit with redaction), fresh from their snapshots, reused, and the same in native Rust.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a bench")]

#[path = "../tests/support/mod.rs"]
mod support;
mod three;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use support::House;
use three::{Message, Native};

/// The server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn bench(criterion: &mut Criterion) {
    let message = Message::new();
    let Message { call, item, event } = &message;
    let mut group = criterion.benchmark_group("chain");
    for (name, reuse) in [("fresh", false), ("reused", true)] {
        let house = House::new();
        let policy = three::policy(&house, reuse);
        group.bench_function(name, |bencher| bencher.iter(|| message.judge(&policy)));
        for (hook, run) in [("access", 0), ("content", 1), ("audit", 2)] {
            group.bench_function(format!("{name}/{hook}"), |bencher| {
                let session = policy.begin();
                bencher.iter(|| match run {
                    0 => drop(black_box(session.access(call))),
                    1 => drop(black_box(session.content(call, item))),
                    _ => drop(black_box(session.audit(event))),
                });
            });
        }
    }
    let native = Native::new();
    group.bench_function("native", |bencher| bencher.iter(|| native.judge(&message)));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
