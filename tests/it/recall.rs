//! Taking a message back (R7), between our servers and with a peer that knows only the standard.

use std::time::Duration;

use http::Method;
use isthmus_node::client::ClientError;
use isthmus_tests::{Client, FakePeer, Reply, World, bundle, chat, text_message};
use serde_json::{Value, json};

async fn recall(client: &Client, id: &str) -> Result<Value, i64> {
    match client.api.post(&format!("/client/v1/messages/{id}/recall"), &json!({})).await {
        Ok(answer) => Ok(answer),
        Err(ClientError::Refused { code, .. }) => Err(code),
        Err(error) => panic!("no answer: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalled_message_is_gone_for_both_users_and_stays_in_the_audit() {
    let world = World::two().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    let sent = alice.send("carol@south", "oops").await;
    alice.send("carol@south", "this stays").await;
    carol.texts_once(2).await;
    recall(&alice, &sent.id).await.unwrap();
    recall(&alice, &sent.id).await.unwrap();
    let told = carol.news("recalled", 0).await;
    assert_eq!((&told["messageID"], &told["sendID"]), (&json!(sent.id), &json!("alice@north")));
    assert_eq!(carol.texts().await, ["this stays"], "no inbox shows it any more");
    let whole = alice.api.get("/client/v1/inbox?after=0").await.unwrap().to_string();
    assert!(!whole.contains("oops"), "{whole}");
    assert_eq!(recall(&carol, &sent.id).await, Err(1004), "it is not hers");
    let recorded = world.south().audit("operation=message.*&user=alice@north").await;
    assert!(recorded.iter().any(|r| r["fields"]["recalled"] == json!(sent.id)), "{recorded:?}");
    assert_eq!(recorded.len(), 3, "two messages and a recall");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recall_waits_behind_its_message_for_a_server_that_is_away() {
    let mut world = World::two().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    world.site_mut("south").stop().await;
    let sent = alice.send("carol@south", "oops").await;
    recall(&alice, &sent.id).await.unwrap();
    world.site_mut("south").start().await;
    let carol = carol.at(world.south());
    carol.news("recalled", 0).await;
    assert!(carol.texts().await.is_empty());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_closes_and_a_policy_may_forbid_recalls() {
    let world = World::plan().server("north").set("delivery.recall_s", 1).start().await;
    let alice = world.north().user("alice").await;
    world.north().create_user("bob").await;
    let sent = alice.send("bob@north", "hi").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(recall(&alice, &sent.id).await, Err(1202));
    let fresh = alice.send("bob@north", "hi again").await;
    world.north().activate(&bundle::denying(world.folder("stern"), "message.recall")).await;
    assert_eq!(recall(&alice, &fresh.id).await, Err(1102));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_of_a_standard_peers_recall_are_understood_and_ours_is_the_first() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let west = FakePeer::start(&world, "west", |_| Reply::Code(0)).await;
    for (id, form) in [("m1", json!({"messageID": "m1"})), ("m2", Value::Null)] {
        let from = west.user_id("walter");
        assert_eq!(chat(&west.caller, world.north(), &text_message(&from, "alice@north", id, "oops")).await.1, 0);
        let mut repeal = text_message(&from, "alice@north", if form.is_null() { id } else { "r1" }, "");
        repeal["messageInfo"]["messageType"] = "Repeal".into();
        repeal["messageInfo"]["content"] = form;
        for _ in 0..2 {
            assert_eq!(chat(&west.caller, world.north(), &repeal).await.1, 0, "{repeal}");
        }
    }
    assert!(alice.texts().await.is_empty());
    let sent = alice.send(&west.user_id("walter"), "mine").await;
    recall(&alice, &sent.id).await.unwrap();
    let kept = isthmus_tests::until("west has both", async || (west.kept().len() == 2).then(|| west.kept())).await;
    assert_eq!(kept[1]["messageType"], "repeal");
    assert_eq!(kept[1]["content"], json!({"messageID": sent.id}));
    let north = world.north().address();
    let unknown = west.caller.call(
        &north,
        Method::POST,
        "/sns/chat",
        json!({"messageInfo": {"sendID": west.user_id("walter"), "recvID": "alice@north", "messageType": "repeal",
            "version": "V1", "chatScene": "user", "messageID": "r9", "content": {"messageID": "never"}}})
        .to_string(),
    );
    assert_eq!(unknown.await.unwrap().1["code"], 1004);
    west.stop().await;
    world.finish().await;
}
