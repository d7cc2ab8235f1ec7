//! The message path in process: alice@north writes over her socket, carol@south is pushed, with TLS, durable storage, policy and
//! audit on at both servers. `cargo bench -p isthmus-tests` prints messages per second; `isthmus bench` measures separate processes.

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench that cannot start shall say so")]

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use isthmus_tests::{Client, Ear, World};
use tokio::runtime::Runtime;

/// Messages of one socket whose answer is awaited.
const WINDOW: usize = 64;
/// 200 bytes, as in the figures of other systems.
const TEXT: &str = "The quick brown fox jumps over the lazy dog, again and again, until the two hundred bytes of this text \
                    are full; nobody minds, for no list of words has any of these in it, and all arrive as written. ";

/// One conversation: who writes, and who is pushed.
struct Conversation {
    mouth: Ear,
    ear: Ear,
    to: String,
    sent: u64,
}

impl Conversation {
    async fn open(from: &Client, to: &Client) -> Conversation {
        // The writer hears nothing of what it wrote: only answers count here.
        let mouth = from.listen(u64::MAX >> 1).await;
        Conversation { mouth, ear: to.listen(0).await, to: to.id.clone(), sent: 0 }
    }

    /// Carries `many` messages from end to end, a window at a time.
    async fn carry(&mut self, many: u64) {
        let (mut written, mut answered, mut heard) = (0, 0, 0);
        while heard < many {
            while written < many && written - heard < WINDOW as u64 {
                self.sent += 1;
                self.mouth.send(&format!("m-{:012}", self.sent), &self.to, TEXT).await;
                written += 1;
            }
            while answered < written {
                self.mouth.answer().await.1.unwrap();
                answered += 1;
            }
            while heard < written {
                self.ear.text().await;
                heard += 1;
            }
        }
    }
}

fn path(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let world = runtime.block_on(World::two());
    let mut conversations = runtime.block_on(open(&world));
    let mut group = criterion.benchmark_group("path");
    group.sample_size(10).measurement_time(Duration::from_secs(5)).throughput(Throughput::Elements(1));
    group.bench_function("one conversation, a message at a time", |bencher| {
        bencher.iter_custom(|many| {
            runtime.block_on(async {
                let began = Instant::now();
                for _ in 0..many {
                    conversations[0].carry(1).await;
                }
                began.elapsed()
            })
        });
    });
    group.bench_function("20 conversations, 64 under way in each", |bencher| {
        bencher.iter_custom(|many| runtime.block_on(carry_all(&mut conversations, many)));
    });
    group.finish();
    drop(conversations);
    runtime.block_on(world.finish());
}

async fn open(world: &World) -> Vec<Conversation> {
    let mut conversations = Vec::new();
    for number in 0..20 {
        let from = world.north().user(&format!("writer{number}")).await;
        let to = world.south().user(&format!("reader{number}")).await;
        conversations.push(Conversation::open(&from, &to).await);
    }
    conversations
}

/// `many` messages in all; the time that they took.
async fn carry_all(conversations: &mut [Conversation], many: u64) -> Duration {
    let (count, began) = (conversations.len() as u64, Instant::now());
    let shares = conversations
        .iter_mut()
        .zip(0..)
        .map(|(conversation, number)| conversation.carry(many / count + u64::from(number < many % count)));
    futures_util::future::join_all(shares).await;
    began.elapsed()
}

criterion_group!(benches, path);
criterion_main!(benches);
