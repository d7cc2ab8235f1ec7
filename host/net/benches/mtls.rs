//! POST of 400 bytes over mutual TLS and one HTTP/2 connection: bare hyper, and our listener and client.
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros; a bench fails by panicking")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use isthmus_net::floor::{Rig, Way};

fn posts(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("mtls_post_400");
    group.sample_size(20);
    for in_flight in [20, 64] {
        for way in [Way::Bare, Way::Ours] {
            let rig = runtime.block_on(Rig::new(way, 400)).unwrap();
            group.throughput(Throughput::Elements(1));
            group.bench_function(format!("{way:?}/{in_flight}"), |bencher| {
                bencher.iter_custom(|requests| {
                    let requests = usize::try_from(requests).unwrap();
                    runtime.block_on(rig.run(requests, in_flight)).unwrap()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, posts);
criterion_main!(benches);
