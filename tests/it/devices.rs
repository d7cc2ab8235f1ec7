//! Devices of a user: each gets all, a gap is filled from the cursor, a slow one loses nothing.

use std::time::Duration;

use isthmus_tests::{Event, World, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn every_device_of_a_user_gets_every_message_and_what_the_user_wrote_elsewhere() {
    let world = World::two().await;
    let phone = world.north().user("alice").await;
    let desk = world.north().log_in("alice").await;
    assert_ne!(phone.device, desk.device);
    let carol = world.south().user("carol").await;
    let carols = [carol.clone(), world.south().log_in("carol").await];
    let mut ears = Vec::new();
    for device in &carols {
        ears.push(device.listen(0).await);
    }
    let mut elsewhere = desk.listen(0).await;
    let sent = phone.send_as("from-the-phone", &carol.id, "hello").await.unwrap();
    for ear in &mut ears {
        assert_eq!(ear.text().await, "hello");
    }
    match elsewhere.next().await {
        Event::Sent { id, client_id, text, to, state, .. } => {
            assert_eq!((id, client_id.as_str(), text.as_str()), (sent.id.clone(), "from-the-phone", "hello"));
            assert_eq!((to, state.as_str()), (carol.id.clone(), "kept"));
        }
        other @ (Event::Message { .. } | Event::Receipt { .. } | Event::News { .. }) => {
            panic!("the desk heard {other:?}")
        }
    }
    assert_eq!(elsewhere.next().await.receipt_for(&sent.id), Some(("delivered", 0)));
    // A device that was away reads the same, in the same order.
    let late = world.south().log_in("carol").await;
    assert_eq!(late.texts().await, ["hello"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_resumes_after_the_last_event_that_its_device_heard() {
    let world = World::two().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    let mut ear = carol.listen(0).await;
    let mut heard = Vec::new();
    for round in 0..4 {
        for number in 0..3 {
            alice.send(&carol.id, &format!("{round} heard {number}")).await;
        }
        heard.extend(ear.take(3).await);
        ear.acknowledge().await;
        let cursor = ear.cursor;
        drop(ear);
        for number in 0..3 {
            alice.send(&carol.id, &format!("{round} missed {number}")).await;
        }
        world.lanes_empty().await;
        ear = carol.listen(cursor).await;
        heard.extend(ear.take(3).await);
    }
    assert_eq!(heard, carol.texts().await, "pushed is what the inbox holds: each once, in order");
    assert_eq!(heard.len(), 24);
    assert_eq!(ear.next_within(Duration::from_millis(300)).await, None, "and nothing twice");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_too_slow_for_its_push_buffer_loses_nothing() {
    let world = World::plan().server("north").set("client.push_buffer", 2).start().await;
    let alice = world.north().user("alice").await;
    let bob = world.north().user("bob").await;
    let mut slow = bob.listen(0).await;
    let mut brisk = bob.listen(0).await;
    let mut mouth = alice.listen(0).await;
    // Far more than the sockets on the way hold, while the slow one does not read at all.
    const MANY: usize = 400;
    let long = "x".repeat(24 * 1024);
    let texts: Vec<String> = (0..MANY).map(|number| format!("{number} {long}")).collect();
    let reading = tokio::spawn(async move { brisk.take(MANY).await });
    for window in texts.chunks(16) {
        for text in window {
            mouth.send(&text[..8], "bob@north", text).await;
        }
        for _ in window {
            mouth.answer().await.1.unwrap();
        }
    }
    assert!(reading.await.unwrap() == texts, "the brisk reader has all of them, in order");
    assert!(slow.take(MANY).await == texts, "the slow reader has all of them, in order");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pipelined_over_a_socket_is_answered_in_order_refusals_between() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let bob = world.north().user("bob").await;
    let mut mouth = alice.listen(0).await;
    for number in 0..100 {
        let to = if number % 7 == 3 { "nobody@north" } else { "bob@north" };
        mouth.send(&format!("c-{number:02}"), to, &format!("text {number}")).await;
    }
    for number in 0..100 {
        let (name, answer) = mouth.answer().await;
        assert_eq!(name, format!("c-{number:02}"));
        assert_eq!(answer.map_err(|refused| refused.code).err(), (number % 7 == 3).then_some(1004));
    }
    let expected: Vec<String> = (0..100).filter(|n| n % 7 != 3).map(|n| format!("text {n}")).collect();
    assert_eq!(bob.texts().await, expected);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_makes_no_sense_is_answered_and_the_socket_lives_on() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let mut ear = alice.listen(0).await;
    for nonsense in [json!({"type": "dance"}), json!([]), json!({"type": "send", "text": 7}), json!({"type": "ack"})] {
        ear.socket.write(&nonsense).await.unwrap();
        let answer = ear.socket.next().await.unwrap().unwrap();
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!(1001)), "{nonsense}: {answer}");
    }
    ear.send("c-1", "nobody@north", "x").await;
    assert_eq!(ear.answer().await.1.unwrap_err().code, 1004);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_ends_its_devices_sockets_and_tokens_and_no_others() {
    let world = World::one().await;
    let north = world.north();
    let phone = north.user("alice").await;
    let desk = north.log_in("alice").await;
    let tablet = north.log_in("alice").await;
    let bob = north.user("bob").await;
    let mut ears = [phone.listen(0).await, desk.listen(0).await, tablet.listen(0).await];
    let mut bobs = bob.listen(0).await;

    phone.api.post("/client/v1/logout", &json!({})).await.unwrap();
    ears[0].closed().await;
    assert!(phone.api.get("/client/v1/me").await.is_err());
    assert_eq!(ears[1].next_within(Duration::from_millis(200)).await, None, "the desk's socket lives");

    desk.api.call(http::Method::DELETE, &format!("/client/v1/devices/{}", tablet.device), None).await.unwrap();
    ears[2].closed().await;
    assert!(tablet.api.get("/client/v1/me").await.is_err());
    let left = desk.api.get("/client/v1/devices").await.unwrap();
    assert_eq!(left["devices"].as_array().unwrap().len(), 1, "{left}");

    let again = north.log_in("alice").await;
    let mut ear = again.listen(0).await;
    desk.api.post("/client/v1/logout", &json!({"everywhere": true})).await.unwrap();
    ears[1].closed().await;
    ear.closed().await;
    assert!(again.api.get("/client/v1/me").await.is_err());
    until("bob hears", async || {
        north.log_in("alice").await.send("bob@north", "still there?").await;
        bobs.next_within(Duration::from_secs(1)).await
    })
    .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_is_read_backwards_page_by_page_as_it_is_forwards() {
    let world = World::one().await;
    let north = world.north();
    let (alice, bob) = (north.user("alice").await, north.user("bob").await);
    for number in 0..5 {
        alice.send(&bob.id, &format!("number {number}")).await;
    }
    let forwards = bob.api.get("/client/v1/inbox?after=0").await.unwrap()["events"].as_array().unwrap().clone();
    let mut backwards = Vec::new();
    let mut before = u64::MAX >> 11;
    loop {
        let page = bob.api.get(&format!("/client/v1/inbox?before={before}&limit=2")).await.unwrap();
        let mut events = page["events"].as_array().unwrap().clone();
        let Some(first) = events.first() else { break };
        before = first["cursor"].as_u64().unwrap();
        events.append(&mut backwards);
        backwards = events;
    }
    assert_eq!((forwards.len(), &backwards), (5, &forwards));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_been_read_on_one_device_is_known_on_the_others_and_to_nobody_else() {
    let world = World::one().await;
    let north = world.north();
    let (alice, bob) = (north.user("alice").await, north.user("bob").await);
    alice.send(&bob.id, "hello").await;
    let head = bob.api.get("/client/v1/inbox").await.unwrap()["head"].as_u64().unwrap();
    let put = async |cursor: u64| {
        let mark = json!({"scene": "user", "id": alice.id, "cursor": cursor});
        bob.api.call(http::Method::PUT, "/client/v1/marks", Some(&mark)).await
    };
    put(head).await.unwrap();
    // Going back changes nothing, and nobody has read what is not there yet.
    put(0).await.unwrap();
    let (_, refused) = put(head + 1).await.unwrap();
    assert_eq!(refused["code"], 1003, "{refused}");
    let elsewhere = north.log_in("bob").await.api.get("/client/v1/marks").await.unwrap();
    assert_eq!(elsewhere["marks"], json!([{"scene": "user", "id": alice.id, "cursor": head}]));
    assert_eq!(alice.api.get("/client/v1/marks").await.unwrap()["marks"], json!([]));
    world.finish().await;
}
