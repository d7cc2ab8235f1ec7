//! The policy is exchanged while messages flow (design §2): one decision, one generation.

use std::collections::BTreeMap;
use std::time::Duration;

use isthmus_tests::{Client, Event, Role, Site, World, bundle};
use serde_json::{Value, json};
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
    let decisions = decisions(world.south());
    assert_eq!(decisions.len(), judged.len(), "one decision for each message");
    for (id, generation) in &decisions {
        assert_eq!(swaps.words[generation], judged[id], "generation {generation} is said to have judged {id}");
    }
    nothing_old_after_a_swap(&decisions, &swaps.probes);
    world.finish().await;
}

/// The number of a text of `name`.
fn number(text: &str, name: &str) -> Option<usize> {
    text.strip_prefix(name)?.split_whitespace().next()?.parse().ok()
}

/// Messages and the generations that judged them, in the order of their commits.
fn decisions(site: &Site) -> Vec<(String, u64)> {
    let records = site.audit_from_files();
    let sent = records.iter().filter(|record| record["operation"] == "message.send");
    let decision = |record: &Value| {
        assert_eq!(record["outcome"], "rewritten", "{record}");
        (record["fields"]["messageID"].as_str().unwrap().to_owned(), record["generation"].as_u64().unwrap())
    };
    sent.map(decision).collect()
}

/// A probe was written after its swap had been answered: whatever was committed after the probe must not be older.
fn nothing_old_after_a_swap(decisions: &[(String, u64)], probes: &[(String, &str)]) {
    let mut answered = 0;
    for (id, generation) in decisions {
        assert!(*generation >= answered, "{id} was judged by {generation} after the swap to {answered} was answered");
        if probes.iter().any(|(probe, _)| probe == id) {
            answered = *generation;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_is_answered_when_the_last_message_that_the_old_policy_judges_is_kept() {
    let world = World::one().await;
    let north = world.north();
    let (alice, bob) = (north.user("alice").await, north.user("bob").await);
    // The old policy takes its time: beside its words it has a plugin that uses up its own, and fails open.
    let slow = "[plugin.limits]\ntime_ms = 200\n[plugin.failure]\ninbound = \"open\"\noutbound = \"open\"\ninternal = \"open\"\n";
    let old = bundle::with_hostile(world.folder("old"), "loops", slow);
    std::fs::write(old.join("lists/mask.txt"), "aaa\n").unwrap();
    let new = bundle::shipped(world.folder("new"), &[("mask", &["bbb"])]);
    // Compiled before, so that the swap itself takes no longer than it must.
    north.activate(&new).await;
    north.activate(&old).await;
    let judging = tokio::spawn(async move { alice.send("bob@north", "aaa bbb").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    north.activate(&new).await;
    assert_eq!(bob.texts().await, ["*** bbb"], "after the answer nothing of the old policy is still to come");
    judging.await.unwrap();
    world.finish().await;
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
async fn a_wrong_setting_is_told_by_file_line_and_pointer_on_every_way_in() {
    let world = World::one().await;
    let north = world.north();
    let before = north.generation().await;
    let lines = "name = \"strict\"\ncomponent = \"builtin:access-list\"\ngrants = [\"lists\", \"directory\"]\n\
                 [[plugin.settings.rules]]\nlist = \"black\"\nserver = [\"rival\"]";
    let dir = bundle::with_plugin(world.folder("wrong"), lines);
    let text = std::fs::read_to_string(dir.join("policy.toml")).unwrap();
    let line = text[..text.rfind("server = [").unwrap()].matches('\n').count() + 1;
    let plugin = text.lines().filter(|line| *line == "[[plugin]]").count() - 1;
    let expected = format!("policy.toml:{line} (/plugin/{plugin}/settings/rules/0/server)");
    for way in ["check", "stage", "canary", "shadow", "activate"] {
        let asked = json!({"dir": dir, "why": "a test"});
        let said = north.admin(Role::Security).post(&format!("/admin/v1/policy/{way}"), &asked).await;
        let said = said.unwrap_err().to_string();
        assert!(said.contains(&expected) && said.contains("did you mean `servers`"), "{way}: {said}");
    }
    assert_eq!(north.generation().await, before);
    let staged = north.admin(Role::Security).get("/admin/v1/policy/history").await.unwrap();
    assert_eq!(staged["staged"], json!([]), "{staged}");
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
