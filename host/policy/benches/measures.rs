//! The sandbox's figures beside what is to be reached: `cargo bench -p isthmus-policy --bench measures [-- PART…]`.
//!
//! Percentiles of single calls, which criterion does not give. Run it alone on the machine: what disturbs it shows in p99
//! first. Parts: chain, threads, loop, busy, neighbour, swap, activate. What is measured of memory is in the bench `memory`.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a bench")]

#[path = "../tests/support/mod.rs"]
mod support;
mod three;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use isthmus_policy::{Direction, Policy, Verdict};
use support::{House, OPEN, call, text, with};
use three::{Message, Native};

/// The server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let parts: [(&str, fn()); 7] = [
        ("chain", chain),
        ("threads", threads),
        ("loop", stopped),
        ("busy", busy),
        ("neighbour", neighbour),
        ("swap", swap),
        ("activate", activate),
    ];
    // `cargo test --benches` only sees that it runs: in a debug build the long parts take minutes and measure nothing.
    let measured = std::env::args().any(|arg| arg == "--bench");
    println!("{:<52} {:>14}  reach", "figure", "got");
    for (name, part) in parts {
        let asked =
            if wanted.is_empty() { measured || name == "chain" } else { wanted.iter().any(|part| part == name) };
        if asked {
            part();
        }
    }
}

fn row(figure: &str, got: impl std::fmt::Display, reach: &str) {
    println!("{figure:<52} {got:>14}  {reach}");
}

fn micros(nanos: u64) -> String {
    format!("{:.2} µs", nanos as f64 / 1e3)
}

/// Nanoseconds of each of the calls, sorted.
struct Times(Vec<u64>);

impl Times {
    /// Runs `work` again and again for so long, after a tenth of it to warm up.
    fn of(time: Duration, mut work: impl FnMut()) -> Self {
        let began = Instant::now();
        while began.elapsed() < time / 10 {
            work();
        }
        let mut times = Vec::with_capacity(1 << 20);
        let began = Instant::now();
        while began.elapsed() < time {
            let started = Instant::now();
            work();
            times.push(u64::try_from(started.elapsed().as_nanos()).unwrap());
        }
        times.sort_unstable();
        Self(times)
    }

    fn at(&self, share: f64) -> u64 {
        self.0[((self.0.len() - 1) as f64 * share) as usize]
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn chain() {
    let message = Message::new();
    let native = Native::new();
    let native = Times::of(SECOND, || native.judge(&message)).at(0.5);
    let mut medians = Vec::new();
    for (name, reuse, p50, p99) in [("fresh", false, "20 µs", "60 µs"), ("reused", true, "2.5 µs", "6 µs")] {
        let house = House::new();
        let policy = three::policy(&house, reuse);
        let times = Times::of(2 * SECOND, || message.judge(&policy));
        row(&format!("chain, {name}, p50"), micros(times.at(0.5)), p50);
        row(&format!("chain, {name}, p99"), micros(times.at(0.99)), p99);
        medians.push(times.at(0.5));
        let session = policy.begin();
        row("   access", micros(Times::of(SECOND / 4, || drop(session.access(&message.call))).at(0.5)), "");
        row(
            "   content",
            micros(Times::of(SECOND / 4, || drop(session.content(&message.call, &message.item))).at(0.5)),
            "",
        );
        row("   audit", micros(Times::of(SECOND / 4, || drop(session.audit(&message.event))).at(0.5)), "");
        let empty = House::new();
        let nothing = three::nothing(&empty, reuse).begin();
        let times = Times::of(SECOND / 4, || assert!(nothing.access(&message.call).allowed));
        row("   a plugin that does nothing", micros(times.at(0.5)), "");
    }
    row("the same rules as native Rust, p50", micros(native), "");
    row("reused : native", format!("{:.1}", medians[1] as f64 / native as f64), "4");
    row("fresh : reused", format!("{:.1}", medians[0] as f64 / medians[1] as f64), "8");
}

/// Chains a second of so many threads.
fn rate(policy: &Policy, threads: usize) -> f64 {
    let (done, start) = (AtomicU64::new(0), Barrier::new(threads + 1));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let message = Message::new();
                start.wait();
                let mut own = 0;
                while !stop.load(Ordering::Relaxed) {
                    message.judge(policy);
                    own += 1;
                }
                done.fetch_add(own, Ordering::Relaxed);
            });
        }
        start.wait();
        std::thread::sleep(SECOND);
        stop.store(true, Ordering::Relaxed);
    });
    done.load(Ordering::Relaxed) as f64
}

fn threads() {
    for (name, reuse) in [("fresh", false), ("reused", true)] {
        let house = House::new();
        let policy = three::policy(&house, reuse);
        rate(&policy, 2);
        // The machine's own pace changes: the best of some, pair by pair.
        let pair = || rate(&policy, 2) / rate(&policy, 1);
        let best = (0..3).map(|_| pair()).fold(0.0, f64::max);
        row(&format!("two threads against one, {name}"), format!("{best:.2}"), "1.9");
    }
}

fn stopped() {
    let house = House::new();
    let policy = house.open();
    house.activate(&policy, &with("hostile/loops", ""));
    let session = policy.begin();
    let call = call(Direction::Inbound, "north");
    let times = Times::of(2 * SECOND, || assert!(!session.access(&call).allowed));
    row("a loop with 10 ms, stopped after, p50", micros(times.at(0.5)), "11 ms");
    row("a loop with 10 ms, stopped after, p99", micros(times.at(0.99)), "11 ms");
}

fn busy() {
    let house = House::new();
    let policy = house.open();
    let settings =
        "[[plugin.settings.keywords]]\nwords = [\"bad\"]\naction = \"reject\"\n[plugin.limits]\ntime_ms = 10\n";
    house.activate(&policy, &with("content-filter", settings));
    let long = text(&"all is well ".repeat(5_000));
    let (stop, killed, asked) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            scope.spawn(|| {
                let session = policy.begin();
                while !stop.load(Ordering::Relaxed) {
                    let outcome = session.content(&call(Direction::Inbound, "north"), &long);
                    asked.fetch_add(1, Ordering::Relaxed);
                    killed.fetch_add(u64::from(outcome.verdict != Verdict::Pass), Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(4 * SECOND);
        stop.store(true, Ordering::Relaxed);
    });
    row(&format!("innocent calls killed of {}", asked.into_inner()), killed.into_inner(), "0");
}

/// A request now and then, as a server gets them: how long each one took, in nanoseconds.
fn now_and_then(policy: &Policy, time: Duration, times: &mut Vec<u64>) {
    let message = Message::new();
    let began = Instant::now();
    while began.elapsed() < time {
        std::thread::sleep(Duration::from_micros(300));
        let started = Instant::now();
        drop(policy.begin().audit(&message.event));
        times.push(u64::try_from(started.elapsed().as_nanos()).unwrap());
    }
}

/// What a neighbour's requests take in quiet and beside so many who ask `policy` for access all the time. By turns, since a
/// machine's pace changes from second to second by more than what is looked for.
fn beside(policy: &Policy, callers: usize, neighbour: &Policy) -> (Times, Times) {
    const TURNS: u32 = 8;
    let (mut quiet, mut loud) = (Vec::new(), Vec::new());
    let (asking, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let ask = || {
            while !stop.load(Ordering::Relaxed) {
                if asking.load(Ordering::Relaxed) {
                    drop(policy.begin().access(&call(Direction::Inbound, "north")));
                } else {
                    std::thread::park();
                }
            }
        };
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(ask)).collect();
        let wake = || threads.iter().for_each(|thread| thread.thread().unpark());
        for turn in 0..2 * TURNS {
            asking.store(turn % 2 == 1, Ordering::Relaxed);
            wake();
            std::thread::sleep(SECOND / 5);
            now_and_then(neighbour, SECOND / 2, if turn % 2 == 1 { &mut loud } else { &mut quiet });
        }
        stop.store(true, Ordering::Relaxed);
        wake();
    });
    quiet.sort_unstable();
    loud.sort_unstable();
    (Times(quiet), Times(loud))
}

fn neighbour() {
    let house = House::new();
    let policy = house.open();
    let good = "[[plugin]]\nname = \"good\"\ncomponent = \"builtin:audit-redact\"\n";
    for (name, guest, callers, reach) in [
        // What the measurement itself is worth; and what it costs that another thread is busy, whatever with.
        ("nobody", "access-list", 0, ""),
        ("a healthy guest", "access-list", 1, ""),
        ("24 looping guests", "hostile/loops", 24, "2.0"),
        ("a looping guest", "hostile/loops", 1, "1.2"),
        ("a trapping guest", "hostile/traps", 1, "1.2"),
    ] {
        // Only access is asked of the one under test, only audit of the good one.
        let bundle = [("policy.toml", format!("{}{}", with(guest, ""), good))];
        let bundle = bundle.each_ref().map(|(path, text)| (*path, text.as_str()));
        policy.activate(&house.bundle(&format!("{callers}{guest}").replace('/', "-"), &bundle), "b", "b").unwrap();
        let good_only = House::new();
        let honest = good_only.open();
        good_only.activate(&honest, &format!("{OPEN}{good}"));
        let (quiet, loud) = beside(&policy, callers, &honest);
        let (before, during) = (quiet.at(0.99), loud.at(0.99));
        row(&format!("p99 of a neighbour, quiet → {name}"), format!("{} → {}", micros(before), micros(during)), "");
        row("   ratio", format!("{:.2}", during as f64 / before as f64), reach);
        row("   p50", format!("{} → {}", micros(quiet.at(0.5)), micros(loud.at(0.5))), "");
    }
}

fn swap() {
    let house = House::new();
    let policy = three::policy(&house, true);
    let bundles =
        [three::bundle(&house, "one", &three::manifest(true)), three::bundle(&house, "two", &three::manifest(false))];
    let message = Message::new();
    let quiet = Times::of(2 * SECOND, || message.judge(&policy));
    let stop = AtomicBool::new(false);
    let loud = std::thread::scope(|scope| {
        scope.spawn(|| {
            for bundle in bundles.iter().cycle().take_while(|_| !stop.load(Ordering::Relaxed)) {
                policy.activate(bundle, "bench", "swap").unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let loud = Times::of(2 * SECOND, || message.judge(&policy));
        stop.store(true, Ordering::Relaxed);
        loud
    });
    row("p99.9 of a chain, quiet", micros(quiet.at(0.999)), "");
    row("p99.9 of a chain while generations are swapped", micros(loud.at(0.999)), "+ 1 ms");
}

fn activate() {
    let house = House::new();
    let policy = house.open();
    let bundle = three::large(&house);
    policy.activate(&bundle, "bench", "cold").unwrap();
    let mut took: Vec<f64> = (0..5)
        .map(|_| {
            let started = Instant::now();
            policy.activate(&bundle, "bench", "warm").unwrap();
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    took.sort_by(f64::total_cmp);
    row("5 plugins, 100,000 entries, warm cache: activated", format!("{:.0} ms", took[2]), "1,000 ms");
}
