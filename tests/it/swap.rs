//! The policy is exchanged while messages flow (design §2): one decision, one generation.

use std::collections::BTreeMap;
use std::time::Duration;

use isthmus_tests::{Client, Event, Site, World, bundle};
use tokio::time::{Instant, MissedTickBehavior, interval};

const WORDS: [&str; 2] = ["aaa", "bbb"];
const SWAP_EVERY: Duration = Duration::from_millis(50);
const LOAD_FOR: Duration = Duration::from_secs(4);
/// Messages of one socket whose answer is awaited.
const WINDOW: usize = 16;

/// Which of the two words was masked. Exactly one must be.
fn masked(text: &str) -> &'static str {
    let gone: Vec<_> = WORDS.into_iter().filter(|word| !text.contains(word)).collect();
    assert!(gone.len() == 1 && text.contains("***"), "judged by {} policies: {text:?}", gone.len());
    gone[0]
}

/// Writes as fast as the server answers. Answers how many.
async fn load(from: Client, to: String, name: &'static str) -> usize {
    let mut mouth = from.listen(u64::MAX >> 1).await;
    let (began, mut sent) = (Instant::now(), 0);
    while began.elapsed() < LOAD_FOR {
        for _ in 0..WINDOW {
            mouth.send(&format!("{name}-{sent}"), &to, &format!("{name} {sent} aaa bbb")).await;
            sent += 1;
        }
        for _ in 0..WINDOW {
            mouth.answer().await.1.unwrap();
        }
    }
    sent
}

/// Swaps back and forth, and writes right after each swap: what is written then must be judged by the new one.
async fn swap(site: &Site, prober: &Client, to: &str, bundles: [std::path::PathBuf; 2]) -> Swaps {
    let mut swaps = Swaps::default();
    let mut ticks = interval(SWAP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let began = Instant::now();
    for (bundle, word) in bundles.iter().zip(WORDS).cycle() {
        ticks.tick().await;
        let generation = site.activate(bundle).await;
        swaps.words.insert(generation, word);
        let probe = prober.send(to, "probe aaa bbb").await;
        swaps.probes.push((probe.id, word));
        if began.elapsed() > LOAD_FOR {
            break;
        }
    }
    swaps
}

#[derive(Default)]
struct Swaps {
    /// The word that each generation masks.
    words: BTreeMap<u64, &'static str>,
    /// Messages sent right after a swap, and the word that had to be masked.
    probes: Vec<(String, &'static str)>,
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_policy_is_swapped_every_message_is_judged_once_by_one_generation_and_none_is_lost() {
    let mut world = World::two().await;
    let south = world.south();
    let bundles = WORDS.map(|word| bundle::shipped(world.folder(word), &[("mask", &[word])]));
    let alice = world.north().user("alice").await;
    let carol = south.user("carol").await;
    let (dave, eve) = (south.user("dave").await, south.user("eve").await);
    south.activate(&bundles[0]).await;
    let first = south.activate(&bundles[1]).await;
    let (mut swaps, from_north, from_south) = tokio::join!(
        swap(south, &eve, &carol.id, bundles.clone()),
        load(alice.clone(), carol.id.clone(), "alice"),
        load(dave.clone(), carol.id.clone(), "dave"),
    );
    swaps.words.insert(first, WORDS[1]);
    world.lanes_empty().await;
    let events = carol.inbox(0).await;
    let mut judged = BTreeMap::new();
    for event in &events {
        if let Event::Message { id, text, .. } = event {
            assert!(judged.insert(id.clone(), masked(text)).is_none(), "{id} was delivered twice");
        }
    }
    for (name, many) in [("alice", from_north), ("dave", from_south)] {
        let numbers: Vec<usize> = events.iter().filter_map(Event::text).filter_map(|text| number(text, name)).collect();
        assert!(numbers.iter().copied().eq(0..many), "{name} wrote {many}, carol has {}", numbers.len());
    }
    for (id, word) in &swaps.probes {
        assert_eq!(judged[id], *word, "written after the swap had been answered, judged by the policy before it");
    }
    assert!(swaps.probes.len() >= 10, "only {} swaps in {LOAD_FOR:?}", swaps.probes.len());
    world.site_mut("south").stop().await;
    let recorded = the_audit_log_agrees(world.south(), &swaps.words, &judged);
    assert_eq!(recorded, judged.len(), "one decision for each message");
    world.finish().await;
}

/// The number of a text of `name`.
fn number(text: &str, name: &str) -> Option<usize> {
    text.strip_prefix(name)?.split_whitespace().next()?.parse().ok()
}

/// Every recorded decision names the generation whose mask the message bears.
fn the_audit_log_agrees(site: &Site, words: &BTreeMap<u64, &str>, judged: &BTreeMap<String, &str>) -> usize {
    let records = site.audit_from_files();
    let sent = records.iter().filter(|record| record["operation"] == "message.send");
    let mut count = 0;
    for record in sent {
        let id = record["fields"]["messageID"].as_str().unwrap();
        let generation = record["generation"].as_u64().unwrap();
        assert_eq!(record["outcome"], "rewritten", "{record}");
        assert_eq!(words[&generation], judged[id], "{record}");
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_in_the_outbox_leaves_only_as_the_new_policy_lets_it() {
    let world = World::one().await;
    let north = world.north();
    let west = isthmus_tests::FakePeer::start(&world, "west", |_| isthmus_tests::Reply::Cut).await;
    let alice = north.user("alice").await;
    let fine = alice.send("walter@west", "a fine word").await;
    let coarse = alice.send("walter@west", "a coarse word").await;
    let odd = alice.send("wendy@west", "an odd word").await;
    let strict = [("reject", &["coarse"][..]), ("hold", &["odd"][..]), ("mask", &["fine"][..])];
    north.activate(&bundle::shipped(world.folder("strict"), &strict)).await;
    west.follow(|_| isthmus_tests::Reply::Code(0));
    assert_eq!(alice.receipt(&fine).await, ("delivered".to_owned(), 0));
    assert_eq!(alice.receipt(&coarse).await, ("refused".to_owned(), 1103));
    assert_eq!(alice.receipt(&odd).await, ("held".to_owned(), 0));
    assert_eq!(west.texts(), ["a **** word"]);
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_the_new_policy_denies_is_refused_from_the_answer_on_and_welcome_after_a_rollback() {
    let world = World::two().await;
    let (north, south) = (world.north(), world.south());
    let (alice, carol) = (north.user("alice").await, south.user("carol").await);
    alice.send(&carol.id, "one").await;
    carol.texts_once(1).await;
    let before = south.generation().await;
    south.activate(&bundle::shipped(world.folder("shut"), &[("blacklist", &["north"])])).await;
    let refused = alice.send(&carol.id, "two").await;
    assert_eq!(alice.receipt(&refused).await, ("refused".to_owned(), 1102));
    assert_eq!(carol.try_send(&alice.id, "three").await.unwrap_err().code, 1102, "on the calling side too");
    south.rollback(before).await;
    alice.send(&carol.id, "four").await;
    assert_eq!(carol.texts_once(2).await, ["one", "four"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_bundle_changes_nothing_and_is_told_by_file_and_plugin() {
    let world = World::one().await;
    let north = world.north();
    let alice = north.user("alice").await;
    let before = north.generation().await;
    let broken = bundle::shipped(world.folder("broken"), &[]);
    let path = broken.join("policy.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace("builtin:content-filter", "builtin:nothing");
    std::fs::write(&path, text).unwrap();
    for folder in [broken, world.folder("empty"), world.folder("nowhere").join("at-all")] {
        let error = north.try_activate(&folder).await.unwrap_err().to_string();
        assert!(error.contains("policy.toml"), "{error}");
    }
    assert_eq!(north.generation().await, before);
    alice.send("alice@north", "all as before").await;
    assert_eq!(north.audit("operation=policy.activate&outcome=failed").await.len(), 3);
    world.finish().await;
}
