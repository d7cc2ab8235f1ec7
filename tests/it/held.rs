//! Quarantine: a held message waits for the security administrator's decision (§6.2 b).

use isthmus_tests::{World, bundle, until};
use serde_json::json;

fn text_of(held: &serde_json::Value) -> &str {
    held["message"]["content"]["message"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_on_its_way_out_goes_on_when_released_and_nowhere_when_dropped() {
    let world = World::two().await;
    let north = world.north();
    north.activate(&bundle::shipped(world.folder("holding"), &[("hold", &["suspicious"])])).await;
    let alice = north.user("alice").await;
    let carol = world.south().user("carol").await;
    let mut sent = Vec::new();
    for number in 0..3 {
        let one = alice.send(&carol.id, &format!("suspicious {number}")).await;
        assert_eq!(one.state, "held");
        sent.push(one);
    }
    alice.send(&carol.id, "harmless").await;
    assert_eq!(carol.texts_once(1).await, ["harmless"], "what is held holds nobody up");
    let held = north.held().await;
    assert_eq!(held.iter().map(text_of).collect::<Vec<_>>(), ["suspicious 0", "suspicious 1", "suspicious 2"]);
    assert_eq!(held[0]["way"], "out");
    assert_eq!(held[0]["reason"]["plugin"], "words");
    // Whatever the order of the decisions, what is released keeps the writer's.
    let waits = north.decide(&held[2], "release", &json!({})).await.unwrap();
    assert_eq!(waits["waitsFor"], held[0]["id"], "an older one of the conversation is not decided");
    assert_eq!(north.held().await[2]["released"], true);
    north.decide(&held[0], "release", &json!({})).await.unwrap();
    assert_eq!(carol.texts_once(2).await, ["harmless", "suspicious 0"]);
    north.decide(&held[1], "drop", &json!({"reason": "not in this company"})).await.unwrap();
    assert_eq!(carol.texts_once(3).await, ["harmless", "suspicious 0", "suspicious 2"]);
    let states = until("all receipts", async || {
        let events = alice.inbox(0).await;
        let last =
            |id: &str| events.iter().filter_map(|e| e.receipt_for(id)).next_back().map(|(state, _)| state.to_owned());
        let states: Vec<_> = sent.iter().filter_map(|one| last(&one.id)).collect();
        (states == ["delivered", "dropped", "delivered"]).then_some(states)
    });
    assert_eq!(states.await.len(), 3);
    let reason = alice.inbox(0).await.into_iter().any(|event| format!("{event:?}").contains("not in this company"));
    assert!(reason, "the sender is told why");
    assert!(north.held().await.is_empty());
    for decision in ["release", "drop"] {
        assert!(north.decide(&held[0], decision, &json!({})).await.is_err(), "a decision is final");
    }
    world.lanes_empty().await;
    assert_eq!(carol.texts().await.len(), 3);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_on_its_way_in_is_kept_for_the_sender_and_unseen_by_the_recipient() {
    let world = World::two().await;
    let south = world.south();
    south.activate(&bundle::shipped(world.folder("holding"), &[("hold", &["suspicious"])])).await;
    let alice = world.north().user("alice").await;
    let carol = south.user("carol").await;
    let one = alice.send(&carol.id, "suspicious one").await;
    let two = alice.send(&carol.id, "suspicious two").await;
    assert_eq!((alice.receipt(&one).await.0, alice.receipt(&two).await.0), ("delivered".into(), "delivered".into()));
    assert!(carol.texts().await.is_empty());
    let mut ear = carol.listen(0).await;
    let held = south.held().await;
    assert_eq!((held.len(), &held[0]["way"]), (2, &json!("in")));
    south.decide(&held[1], "drop", &json!({})).await.unwrap();
    south.decide(&held[0], "release", &json!({})).await.unwrap();
    assert_eq!(ear.text().await, "suspicious one");
    assert_eq!(carol.texts().await, ["suspicious one"]);
    let acts = south.audit("operation=admin.held.*").await;
    let names: Vec<_> =
        acts.iter().map(|act| (act["operation"].as_str().unwrap(), act["actor"].as_str().unwrap())).collect();
    assert_eq!(names, [("admin.held.release", "admin:security"), ("admin.held.drop", "admin:security")]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_decides_in_time_is_given_up_and_its_sender_told() {
    let plan = World::plan().server("north").set("delivery.held_expire_s", 2);
    let world = plan.start().await;
    let north = world.north();
    north.activate(&bundle::shipped(world.folder("holding"), &[("hold", &["suspicious"])])).await;
    let (alice, bob) = (north.user("alice").await, north.user("bob").await);
    let odd = alice.send(&bob.id, "suspicious").await;
    assert_eq!((odd.state.as_str(), north.held().await.len()), ("held", 1));
    assert_eq!(alice.receipt(&odd).await.0, "expired");
    assert!(north.held().await.is_empty() && bob.texts().await.is_empty());
    let records = north.audit("operation=held.expire").await;
    assert_eq!((records.len(), &records[0]["fields"]["messageID"]), (1, &json!(odd.id)), "{records:?}");
    world.finish().await;
}
