//! Kill -9 at any moment: nothing answered is lost, nothing is shown twice, the order stays (reading, section 5).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use isthmus_tests::process::{Child, MOMENT};
use isthmus_tests::{Client, Event, World, until, world};

/// Small and repeatable; good enough to choose moments.
struct Dice(u64);

impl Dice {
    fn from_environment() -> Dice {
        let given = std::env::var("ISTHMUS_SEED").ok().map(|text| text.parse().unwrap());
        let seed = given.unwrap_or_else(|| u64::from_be_bytes(isthmus_node::clock::random_bytes()));
        announce(seed);
        Dice(seed | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[allow(clippy::print_stdout, reason = "cargo shows it when the test fails")]
fn announce(seed: u64) {
    println!("ISTHMUS_SEED={seed} chooses the same moments again");
}

/// What one device was shown, over however many sockets.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<Event>>>);

impl Shown {
    async fn listen(self, client: Client) {
        let mut cursor = 0;
        loop {
            let path = format!("/client/v1/socket?after={cursor}");
            if let Ok(mut socket) = client.api.socket(&path).await {
                while let Ok(Some(frame)) = socket.next().await {
                    if frame["type"] == "event" {
                        cursor = frame["cursor"].as_u64().unwrap();
                        self.0.lock().unwrap().push(Event::read(cursor, &frame["event"]));
                    }
                }
            }
            tokio::time::sleep(MOMENT).await;
        }
    }

    fn texts(&self, name: &str) -> Vec<String> {
        texts(&self.0.lock().unwrap(), name)
    }
}

fn texts(events: &[Event], name: &str) -> Vec<String> {
    events.iter().filter_map(Event::text).filter(|text| text.starts_with(name)).map(str::to_owned).collect()
}

/// Writes one message after the other until told to stop. Answers those that the server has answered for.
async fn write(client: Client, to: String, name: String, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut answered = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let text = format!("{name} {:04}", answered.len());
        client.insist(&to, &text).await.unwrap();
        answered.push(text);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    answered
}

async fn user(child: &Child, local: &str) -> Client {
    child.create_user(local).await;
    Client::log_in(&child.api(), local).await.unwrap()
}

/// Kills one server or both, again and again, and lets them come back.
async fn havoc(children: [&Child; 2], rounds: usize, dice: &mut Dice) {
    for _ in 0..rounds {
        tokio::time::sleep(Duration::from_millis(50 + dice.below(700))).await;
        let victims = match dice.below(5) {
            0 => vec![children[0], children[1]],
            1 | 2 => vec![children[0]],
            _ => vec![children[1]],
        };
        for victim in &victims {
            victim.kill();
            tokio::time::sleep(Duration::from_millis(dice.below(100))).await;
        }
        for victim in &victims {
            victim.restart().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_whenever_what_was_answered_is_shown_once_and_in_order() {
    let mut dice = Dice::from_environment();
    let rounds = std::env::var("ISTHMUS_CRASH_ROUNDS").map_or(6, |text| text.parse().unwrap());
    let world = World::plan().start().await;
    let (north, south) = (world.child("north").await, world.child("south").await);
    let (alice, bob) = (user(&north, "alice").await, user(&north, "bob").await);
    let (carol, dave) = (user(&south, "carol").await, user(&south, "dave").await);
    let people = [&alice, &bob, &carol, &dave];
    let shown: Vec<Shown> = people.iter().map(|_| Shown::default()).collect();
    let ears: Vec<_> = people
        .iter()
        .zip(&shown)
        .map(|(client, shown)| tokio::spawn(shown.clone().listen((*client).clone())))
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let ways = [(0, 2), (0, 3), (1, 2), (2, 0), (3, 1), (2, 3), (1, 0)];
    let writers = ways.map(|(from, to)| {
        let name = format!("{}->{}", people[from].id, people[to].id);
        tokio::spawn(write(people[from].clone(), people[to].id.clone(), name, stop.clone()))
    });
    havoc([&north, &south], rounds, &mut dice).await;
    stop.store(true, Ordering::Relaxed);
    for (writer, (from, to)) in writers.into_iter().zip(ways) {
        let name = format!("{}->{}", people[from].id, people[to].id);
        let answered = writer.await.unwrap();
        assert!(answered.len() > rounds, "{name}: only {} messages were under way", answered.len());
        until(&format!("all of {name} is shown"), async || {
            (shown[to].texts(&name).len() >= answered.len()).then_some(())
        })
        .await;
        assert_eq!(shown[to].texts(&name), answered, "{name}: shown by push");
        assert_eq!(texts(&people[to].inbox(0).await, &name), answered, "{name}: in the inbox");
    }
    for child in [&north, &south] {
        until("the lanes are empty", async || (child.lanes().await == 0).then_some(())).await;
    }
    for (client, shown) in people.iter().zip(&shown) {
        settled_once(&client.inbox(0).await);
        let cursors: Vec<_> = shown.0.lock().unwrap().iter().map(Event::cursor).collect();
        assert!(cursors.is_sorted_by(|a, b| a < b), "{}: an event was pushed twice or late", client.id);
    }
    ears.iter().for_each(tokio::task::JoinHandle::abort);
    for child in [&north, &south] {
        child.stop().await;
        world::audit_is_whole(
            child.config.server.id.as_str(),
            &child.config.data_dir.join("audit"),
            &child.config.keyring,
        );
        let log = child.log();
        assert!(!log.contains("ERROR"), "a fault was logged:\n{log}");
    }
    world.finish().await;
}

/// Each message to another server has one receipt, and it says delivered.
fn settled_once(events: &[Event]) {
    let mut receipts = BTreeSet::new();
    for event in events {
        if let Event::Receipt { id, state, .. } = event {
            assert_eq!(state, "delivered");
            assert!(receipts.insert(id), "two receipts for {id}");
        }
    }
}
