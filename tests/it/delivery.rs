//! Letters on their way (reading, section 5): kept, in order, retried, reported.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use isthmus_tests::{FakePeer, Reply, World, until};
use serde_json::Value;

fn numbered(name: &str, many: usize) -> Vec<String> {
    (0..many).map(|number| format!("{name}-{number:03}")).collect()
}

/// Those of the texts that begin with a name.
fn of(texts: &[String], name: &str) -> Vec<String> {
    texts.iter().filter(|text| text.starts_with(name)).cloned().collect()
}

/// Fails in every way that there is, again and again, and takes every eighth.
fn moody() -> impl FnMut(&Value) -> Reply + Send + 'static {
    const MOODS: [Reply; 8] = [
        Reply::Raw(500, r#"{"code":1,"msg":"a fault"}"#),
        Reply::Raw(200, "<html>not JSON</html>"),
        Reply::Cut,
        Reply::Raw(503, r#"{"code":1302,"msg":"later"}"#),
        Reply::KeepAndCut,
        Reply::Code(1302),
        Reply::Raw(502, "bad gateway"),
        Reply::Code(0),
    ];
    let calls = AtomicUsize::new(0);
    move |_| MOODS[calls.fetch_add(1, Ordering::Relaxed) % MOODS.len()].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_arrive_once_and_in_order_whatever_the_peer_does_in_between() {
    arrive_once_and_in_order(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_go_together_arrive_once_and_in_order_whatever_the_peer_does_in_between() {
    arrive_once_and_in_order(8).await;
}

/// `together`: letters that the peer takes in one request.
async fn arrive_once_and_in_order(together: usize) {
    let world = World::one().await;
    let north = world.north();
    let (alice, bob) = (north.user("alice").await, north.user("bob").await);
    let west = FakePeer::start(&world, "west", moody()).await;
    west.take_together(together);
    let (a, b) = (numbered("alice", 12), numbered("bob", 12));
    let mut sent = Vec::new();
    for (from_alice, from_bob) in a.iter().zip(&b) {
        sent.push(alice.send("walter@west", from_alice).await);
        bob.send("walter@west", from_bob).await;
    }
    world.lanes_empty().await;
    let texts = west.texts();
    assert_eq!((of(&texts, "alice"), of(&texts, "bob")), (a, b));
    for sent in &sent {
        assert_eq!(alice.receipt(sent).await.0, "delivered");
    }
    assert!(west.calls() > 24, "the peer was moody: {} calls", west.calls());
    assert_eq!(west.batches() > 0, together > 0);
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_refuses_for_good_is_reported_and_the_next_letter_goes_on() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let west = FakePeer::start(&world, "west", |message| {
        let text = message["content"]["message"].as_str().unwrap();
        Reply::Code(text.strip_prefix("refuse me with ").map_or(0, |code| code.parse().unwrap()))
    })
    .await;
    for code in [1102, 1103, 1004, 1104, 1002, 1003, 1201, 1, 4711] {
        let refused = alice.send("walter@west", &format!("refuse me with {code}")).await;
        let next = alice.send("walter@west", &format!("after {code}")).await;
        assert_eq!(alice.receipt(&refused).await, ("refused".to_owned(), code));
        assert_eq!(alice.receipt(&next).await, ("delivered".to_owned(), 0));
    }
    assert_eq!(west.texts().len(), 9);
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_nobody_takes_in_time_expires_and_its_sender_is_told() {
    let world = World::plan().server("north").set("delivery.expire_s", 2).start().await;
    let alice = world.north().user("alice").await;
    let west = FakePeer::start(&world, "west", |_| Reply::Cut).await;
    let late = [alice.send("walter@west", "late 1").await, alice.send("walter@west", "late 2").await];
    for sent in &late {
        assert_eq!(alice.receipt(sent).await, ("expired".to_owned(), 0));
    }
    west.follow(|_| Reply::Code(0));
    let fresh = alice.send("walter@west", "in time").await;
    assert_eq!(alice.receipt(&fresh).await.0, "delivered");
    assert_eq!(west.texts(), ["in time"], "what expired is not delivered after all");
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_down_delays_nobody_else() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let west = FakePeer::start(&world, "west", |_| Reply::Cut).await;
    let east = FakePeer::start(&world, "east", |_| Reply::Code(0)).await;
    let mut slowest = Duration::ZERO;
    for number in 0..10 {
        alice.send("walter@west", &format!("to west {number}")).await;
        let began = Instant::now();
        let sent = alice.send("erin@east", &format!("to east {number}")).await;
        assert_eq!(alice.receipt(&sent).await.0, "delivered");
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "a letter to east took {slowest:?} while west was down");
    assert!(west.texts().is_empty());
    west.follow(|_| Reply::Code(0));
    world.lanes_empty().await;
    assert_eq!(west.texts().len(), 10, "each of the backlog, not only the newest");
    west.stop().await;
    east.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_backlog_outlives_a_restart_and_keeps_its_order() {
    let mut world = World::one().await;
    let west = FakePeer::start(&world, "west", |_| Reply::Cut).await;
    let alice = world.north().user("alice").await;
    // More than the memory keeps of a lane, so that most of them come back from the database.
    let texts = numbered("letter", 150);
    for text in &texts[..100] {
        alice.send("walter@west", text).await;
    }
    world.site_mut("north").stop().await;
    world.site_mut("north").start().await;
    let alice = alice.at(world.north());
    for text in &texts[100..] {
        alice.send("walter@west", text).await;
    }
    assert!(west.texts().is_empty());
    west.follow(|_| Reply::Code(0));
    world.lanes_empty().await;
    assert_eq!(west.texts(), texts);
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_carry_many_conversations_each_in_its_order() {
    let world = World::two().await;
    let (north, south) = (world.north(), world.south());
    let (alice, bob) = (north.user("alice").await, north.user("bob").await);
    let (carol, dave) = (south.user("carol").await, south.user("dave").await);
    let ways = [(&alice, &carol), (&alice, &dave), (&bob, &carol), (&carol, &alice), (&dave, &bob), (&dave, &carol)];
    let talk = ways.iter().enumerate().map(|(way, (from, to))| async move {
        for text in numbered(&format!("way{way}"), 25) {
            from.send(&to.id, &text).await;
        }
    });
    futures_util::future::join_all(talk).await;
    world.lanes_empty().await;
    for (way, (_, to)) in ways.iter().enumerate() {
        let name = format!("way{way}");
        let arrived = until(&format!("all of {name} arrive"), async || {
            let texts = of(&to.texts().await, &name);
            (texts.len() >= 25).then_some(texts)
        })
        .await;
        assert_eq!(arrived, numbered(&name, 25));
    }
    world.finish().await;
}
