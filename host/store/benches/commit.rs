//! Rules a second with what a message writes: a sealed record of 300 bytes, an inbox row, a duplicate row, a letter, an audit record.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a bench may stop at the first failure")]

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use isthmus_store::{Options, Reader, Store, StoreError, Table, Tx, lane};

const RECORDS: Table = Table::new(1, "records", true);
const INBOX: Table = Table::new(2, "inbox", false);
const SEEN: Table = Table::new(3, "seen", false);

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Keys have the locality that real ones have: users' rows append, duplicates are told by conversation and rising message
/// ID, a letter leaves its lane soon.
fn message(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    let n = NUMBER.fetch_add(1, Relaxed);
    let id = n.to_be_bytes();
    let user = [(n % 20) as u8; 16];
    tx.put(RECORDS, &id, &[7; 300]);
    tx.put(INBOX, &[&user[..], &id].concat(), &id);
    tx.put(SEEN, &[&user[..8], &id].concat(), &id);
    let letter = lane::enqueue(tx, "south", &user, &id)?;
    if letter.seq > 100 {
        // 100 letters ago the turn was on the same user.
        lane::remove(tx, &lane::LetterId { lane: letter.lane, seq: letter.seq - 100 });
    }
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
    for n in [1, 8, 64] {
        group.bench_function(format!("{n} writers"), |b| {
            b.iter_custom(|rules| runtime.block_on(writers(&store, n, rules)));
        });
        store.checkpoint(0).unwrap();
    }
    group.finish();
    println(&store);
    read(c, &store);
}

fn read(c: &mut Criterion, store: &Store) {
    c.bench_function("read/one sealed row", |b| {
        b.iter(|| store.read(|view| view.get(RECORDS, &5_u64.to_be_bytes())).unwrap());
    });
    let view = store.view().unwrap();
    c.bench_function("read/one sealed row of a held view", |b| {
        b.iter(|| view.get(RECORDS, &5_u64.to_be_bytes()).unwrap());
    });
    c.bench_function("read/20 inbox rows", |b| {
        b.iter(|| view.prefix(INBOX, &[3; 16], 20, true).unwrap());
    });
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
    println!("{:.1} µs of CPU a rule, all threads", cpu_seconds() * 1e6 / s.rules as f64);
}

/// User and system time of this process: on a busy machine the only figure that holds still.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> =
        stat.rsplit(')').next().unwrap_or_default().split(' ').filter_map(|f| f.parse().ok()).collect();
    // After the name and the state letter; in ticks of 10 ms.
    fields.get(10..12).map_or(0.0, |f| f.iter().sum::<f64>() / 100.0)
}

criterion_group!(benches, commit);
criterion_main!(benches);
