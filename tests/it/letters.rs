//! Many messages in one request, between servers of ours (reading, section 9): each as if it had come by itself.

use http::Method;
use isthmus_tests::{FakePeer, Peer, Reply, Site, World, bundle, text_message, until};
use isthmus_wire::letters;
use serde_json::{Value, json};

fn letter(lane: u8, message: Value) -> Value {
    let mut letter = message;
    letter["lane"] = lane.into();
    letter
}

fn text(lane: u8, from: &str, id: &str, text: &str) -> Value {
    letter(lane, text_message(from, "alice@north", id, text))
}

async fn post(peer: &Peer, site: &Site, letters: &[Value]) -> (u16, Value) {
    let body = json!({"letters": letters}).to_string();
    peer.call(&site.address(), Method::POST, letters::PATH, body).await.unwrap()
}

fn codes(answer: &Value) -> Vec<i64> {
    answer["answers"].as_array().unwrap().iter().map(|one| one["code"].as_i64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_letters_is_judged_kept_and_answered_by_itself() {
    let world = World::one().await;
    let north = world.north();
    let alice = north.user("alice").await;
    north.activate(&bundle::shipped(world.folder("strict"), &[("reject", &["forbidden"])])).await;
    let (west, _east) = (world.enrolled_peer("west").await, world.enrolled_peer("east").await);
    let nobody = letter(3, text_message("walter@west", "nobody@north", "m-5", "is anybody there?"));
    let headless = json!({"lane": 4, "messageInfo": {"sendID": "walter@west"}});
    let all = [
        text(0, "walter@west", "m-1", "one"),
        text(0, "walter@west", "m-2", "a forbidden word"),
        text(0, "walter@west", "m-3", "two"),
        text(1, "wendy@west", "m-4", "from wendy"),
        text(0, "walter@west", "m-1", "one"),
        text(0, "walter@west", "m-1", "something else under the same name"),
        text(2, "erin@east", "m-spoof", "trust me"),
        nobody,
        headless,
        text(0, "walter@west", "m-6", "three"),
    ];
    let (status, answer) = post(&west, north, &all).await;
    assert_eq!((status, &answer["code"]), (200, &json!(0)));
    let said = codes(&answer);
    assert_eq!(said, [0, 1103, 0, 0, 0, 1201, 1104, 1004, 1002, 0], "{answer}");
    assert_eq!(alice.texts_once(4).await, ["one", "two", "from wendy", "three"]);
    let body = json!({"letters": all}).to_string();
    let slash = format!("{}/", letters::PATH);
    let again = west.call(&north.address(), Method::POST, &slash, body).await.unwrap().1;
    assert_eq!(codes(&again), said, "what was kept is recognised, what was refused is refused again");
    assert_eq!(alice.texts().await.len(), 4);
    let records = north.audit("peer=west&operation=message.send").await;
    let of = |id: &str| records.iter().filter(|r| r["fields"]["messageID"] == id).collect::<Vec<_>>();
    assert_eq!(of("m-4").len(), 1, "one record a message that is kept");
    let spoof = of("m-spoof");
    assert_eq!((spoof.len(), &spoof[0]["code"], &spoof[0]["actor"]), (2, &json!(1104), &json!("erin@east")), "R12");
    assert!(of("m-2").iter().all(|r| r["code"] == 1103 && r["outcome"] == "rejected"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_list_of_letters_or_too_long_a_one_is_refused_as_a_whole() {
    let world = World::plan().server("north").set("delivery.batch_letters", 3).start().await;
    let alice = world.north().user("alice").await;
    let west = world.enrolled_peer("west").await;
    let address = world.north().address();
    for body in ["[]", "{}", r#"{"letters":{}}"#, r#"{"letters":[1]}"#, r#"{"letters":[{}]}"#, "not JSON"] {
        let (status, answer) = west.call(&address, Method::POST, letters::PATH, body).await.unwrap();
        assert!(status >= 400 || answer["code"] != 0, "{body}: {answer}");
    }
    let many: Vec<Value> = (0..4).map(|n| text(0, "walter@west", &format!("m-{n}"), "hello")).collect();
    assert_eq!(post(&west, world.north(), &many).await.0, 413);
    assert_eq!(west.call(&address, Method::GET, letters::PATH, "").await.unwrap().0, 405);
    assert!(alice.texts().await.is_empty());
    assert_eq!(codes(&post(&west, world.north(), &many[..3]).await.1), [0, 0, 0]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_takes_and_sends_letter_by_letter() {
    let world = World::plan().server("north").set("delivery.batch_letters", 1).start().await;
    let alice = world.north().user("alice").await;
    let west = FakePeer::start(&world, "west", |_| Reply::Code(0)).await;
    west.take_together(8);
    let nothing = post(&west.caller, world.north(), &[text(0, "walter@west", "m-1", "hello")]).await;
    assert_eq!(nothing.0, 404);
    for n in 0..5 {
        alice.send("walter@west", &format!("letter {n}")).await;
    }
    world.lanes_empty().await;
    assert_eq!((west.texts().len(), west.batches()), (5, 0));
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_goes_in_few_requests_in_its_order_and_refusals_are_told() {
    let world = World::one().await;
    let (alice, bob) = (world.north().user("alice").await, world.north().user("bob").await);
    let west = FakePeer::start(&world, "west", |_| Reply::Cut).await;
    let mut refused = Vec::new();
    for n in 0..60 {
        let sent = alice.send("walter@west", &format!("alice {n:02}")).await;
        bob.send("walter@west", &format!("bob {n:02}")).await;
        if n % 20 == 7 {
            refused.push(sent);
        }
    }
    west.take_together(16);
    let before = west.calls();
    west.follow(|message| {
        let text = message["content"]["message"].as_str().unwrap();
        Reply::Code(if ["alice 07", "alice 27", "alice 47"].contains(&text) { 1103 } else { 0 })
    });
    world.lanes_empty().await;
    let texts = west.texts();
    for name in ["alice", "bob"] {
        let of: Vec<_> = texts.iter().filter(|t| t.starts_with(name)).cloned().collect();
        let mut sorted = of.clone();
        sorted.sort();
        assert_eq!(of, sorted, "in order");
    }
    assert!(west.calls() - before >= 118, "all but the head go together");
    assert!((8..40).contains(&west.batches()), "{} requests", west.batches());
    for sent in &refused {
        assert_eq!(alice.receipt(sent).await, ("refused".to_owned(), 1103));
    }
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_no_longer_takes_what_it_offered_gets_letter_by_letter() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let west = FakePeer::start(&world, "west", |_| Reply::Code(0)).await;
    west.take_together(8);
    alice.send("walter@west", "one").await;
    world.lanes_empty().await;
    alice.send("walter@west", "two").await;
    world.lanes_empty().await;
    assert_eq!(west.batches(), 1, "the first answer made the offer");
    west.take_together(0);
    for text in ["three", "four"] {
        alice.send("walter@west", text).await;
    }
    world.lanes_empty().await;
    assert_eq!(west.batches(), 2, "one request finds out");
    assert_eq!(west.texts(), ["one", "two", "three", "four"]);
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_of_ours_find_each_other_out() {
    let world = World::two().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    for n in 0..20 {
        alice.send(&carol.id, &format!("letter {n:02}")).await;
    }
    world.lanes_empty().await;
    let texts = carol.texts_once(20).await;
    assert!(texts.is_sorted());
    let figures = until("south counts requests", async || {
        let api = world.south().admin(isthmus_tests::Role::System);
        let text = api.fetch(Method::GET, "/metrics", None).await.ok()?;
        Some(String::from_utf8_lossy(&text.1).into_owned())
    })
    .await;
    assert!(figures.contains(r#"call="letters""#), "no request brought letters");
    world.finish().await;
}
