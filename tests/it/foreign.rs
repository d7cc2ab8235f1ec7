//! Servers of other makers that know only the standard, and not all of it well: HTTP/1.1 alone, slow, untidy, forgetful.

use std::time::Duration;

use isthmus_tests::{FakePeer, Reply, World, chat, text_message};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_knows_http_1_alone_gets_every_message_once_and_in_order_whatever_it_answers() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let mut moods = [
        Reply::Raw(200, "<html>busy</html>"),
        Reply::Raw(200, ""),
        Reply::Raw(200, "{\"code\": \"0\", \"msg\": "),
        Reply::Raw(500, "{\"code\": 1, \"msg\": \"oops\"}"),
        Reply::Raw(503, "later"),
        Reply::Raw(200, "{\"code\": \"1302\", \"msg\": \"later\"}"),
        Reply::Cut,
        Reply::KeepAndCut,
        Reply::Raw(200, "[0]"),
    ]
    .into_iter();
    let west = FakePeer::start_plain(&world, "west", move |_| moods.next().unwrap_or(Reply::Code(0))).await;
    let to = west.user_id("walter");
    let mut last = None;
    for number in 0..6 {
        last = Some(alice.send(&to, &number.to_string()).await);
    }
    assert_eq!(alice.receipt(&last.unwrap()).await, ("delivered".to_owned(), 0));
    assert_eq!(west.texts(), ["0", "1", "2", "3", "4", "5"]);
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_as_strings_and_http_200_for_a_refusal_are_understood() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let west = FakePeer::start_plain(&world, "west", |message| match message["content"]["message"].as_str() {
        Some("bad") => Reply::Raw(200, "{\"code\":\"1103\",\"msg\":\"not here\",\"more\":{\"x\":[1]}}"),
        _ => Reply::Raw(200, "{\"code\":\"0\"}"),
    })
    .await;
    let (bad, good) =
        (alice.send(&west.user_id("walter"), "bad").await, alice.send(&west.user_id("walter"), "good").await);
    assert_eq!(alice.receipt(&bad).await, ("refused".to_owned(), 1103));
    assert_eq!(alice.receipt(&good).await, ("delivered".to_owned(), 0));
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_repeats_and_sends_out_of_order_is_shown_once_in_the_order_of_arrival() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let west = world.enrolled_peer("west").await;
    for id in ["3", "1", "3", "2", "1", "2"] {
        let message = text_message("walter@west", "alice@north", id, id);
        assert_eq!(chat(&west, world.north(), &message).await.1, 0);
    }
    assert_eq!(alice.texts().await, ["3", "1", "2"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_answers_costs_neither_searches_nor_other_peers_more_than_its_deadline() {
    let world = World::plan().server("north").set("delivery.request_timeout_ms", 500).start().await;
    let alice = world.north().user("alice").await;
    let mute = FakePeer::start(&world, "mute", |_| Reply::Code(0)).await;
    mute.answer_calls(|_| {
        // Whoever shares the thread goes on elsewhere.
        tokio::task::block_in_place(|| std::thread::sleep(Duration::from_secs(2)));
        json!({"code": 0, "msg": "too late"})
    });
    let began = std::time::Instant::now();
    let asked = alice.api.get("/client/v1/users/search?query=walter&page=0&scope=server:mute").await;
    let refused = asked.unwrap_err().to_string();
    assert!(refused.contains("1303"), "{refused}");
    assert!(began.elapsed() < Duration::from_millis(1900), "{:?}", began.elapsed());
    mute.stop().await;
    world.finish().await;
}
