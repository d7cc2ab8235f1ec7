//! Rules a second with what a message writes: a sealed record of 300 bytes, an inbox row, a duplicate row, a letter, an audit record.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a bench may stop at the first failure")]

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use isthmus_store::{Options, Store, StoreError, Table, Tx, lane};

const RECORDS: Table = Table::new(1, "records", true);
const INBOX: Table = Table::new(2, "inbox", false);
const SEEN: Table = Table::new(3, "seen", false);

static NUMBER: AtomicU64 = AtomicU64::new(0);

fn message(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    let n = NUMBER.fetch_add(1, Relaxed);
    let id = n.to_be_bytes();
    let user = [(n % 20) as u8; 16];
    tx.put(RECORDS, &id, &[7; 300]);
    tx.put(INBOX, &[&user[..], &id].concat(), &id);
    let seen = *blake3::hash(&id).as_bytes();
    tx.put(SEEN, &seen, &id);
    lane::enqueue(tx, "south", &user, &id)?;
    Ok(tx.audit(vec![b'a'; 300]))
}

async fn writers(store: &Store, writers: u64, rules: u64) -> Duration {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..rules.div_ceil(writers) {
                    store.write(message).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    begun.elapsed()
}

fn commit(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::new(dir.path().join("data"), dir.path().join("ring.toml"), "bench", "bench.example");
    let store = Store::open(&options).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut group = c.benchmark_group("commit");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(4));
    for n in [1, 64] {
        group.bench_function(format!("{n} writers"), |b| {
            b.iter_custom(|rules| runtime.block_on(writers(&store, n, rules)));
        });
        store.checkpoint(0).unwrap();
    }
    group.finish();
    println(&store);
}

#[allow(clippy::print_stdout, reason = "a bench prints its figures")]
fn println(store: &Store) {
    let s = store.stats();
    let micros = s.rule_micros as f64 / s.rules as f64;
    println!(
        "{} rules, {} commits, {micros:.1} µs a rule on the writer, batches {:?}",
        s.rules, s.commits, s.batch_sizes
    );
    println!("{} µs a commit, at most {} µs", s.commit_micros / s.commits, s.commit_micros_max);
}

criterion_group!(benches, commit);
criterion_main!(benches);
