//! The same message again (reading, section 5): answered as the first was, shown once.

use isthmus_tests::{World, bundle, chat, text_message};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_again_is_answered_0_and_delivered_once() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let west = world.enrolled_peer("west").await;
    let message = text_message("walter@west", "alice@north", "m-1", "hello");
    for _ in 0..3 {
        assert_eq!(chat(&west, world.north(), &message).await.1, 0);
    }
    // At the same moment: one of them is first, all are told 0.
    let other = text_message("walter@west", "alice@north", "m-2", "hello again");
    let all = futures_util::future::join_all((0..8).map(|_| chat(&west, world.north(), &other))).await;
    assert!(all.iter().all(|answer| answer.1 == 0), "{all:?}");
    assert_eq!(alice.texts().await, ["hello", "hello again"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_with_other_content_is_1201_and_another_conversation_is_another_key() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let bob = world.north().user("bob").await;
    let west = world.enrolled_peer("west").await;
    let say = async |from: &str, to: &str, text: &str| {
        chat(&west, world.north(), &text_message(from, to, "m-1", text)).await.1
    };
    assert_eq!(say("walter@west", "alice@north", "hello").await, 0);
    assert_eq!(say("walter@west", "alice@north", "something else").await, 1201);
    assert_eq!(say("walter@west", "alice@north", "hello").await, 0, "the first content is still the message");
    assert_eq!(say("walter@west", "bob@north", "to bob").await, 0, "messageIDs are unique within a conversation");
    assert_eq!(say("wendy@west", "alice@north", "from wendy").await, 0);
    assert_eq!(alice.texts().await, ["hello", "from wendy"]);
    assert_eq!(bob.texts().await, ["to bob"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_recognised_before_any_policy_sees_it() {
    let world = World::one().await;
    let north = world.north();
    let alice = north.user("alice").await;
    let west = world.enrolled_peer("west").await;
    let old = text_message("walter@west", "alice@north", "m-1", "a word of the past");
    assert_eq!(chat(&west, north, &old).await.1, 0);
    north.activate(&bundle::shipped(world.folder("strict"), &[("reject", &["past"])])).await;
    assert_eq!(chat(&west, north, &old).await.1, 0, "it was kept: policy has nothing to say any more");
    let new = text_message("walter@west", "alice@north", "m-2", "a word of the past");
    assert_eq!(chat(&west, north, &new).await.1, 1103);
    assert_eq!(chat(&west, north, &new).await.1, 1103, "what was refused is judged again");
    // A mask changes what is kept; the message is recognised by what was sent.
    north.activate(&bundle::shipped(world.folder("masking"), &[("mask", &["secret"])])).await;
    let masked = text_message("walter@west", "alice@north", "m-3", "a secret word");
    assert_eq!(chat(&west, north, &masked).await.1, 0);
    assert_eq!(chat(&west, north, &masked).await.1, 0);
    assert_eq!(alice.texts().await, ["a word of the past", "a ****** word"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_again_under_the_same_name_gets_the_first_answer() {
    let world = World::two().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    let first = alice.send_as("c-1", &carol.id, "once").await.unwrap();
    let again = alice.send_as("c-1", &carol.id, "once").await.unwrap();
    assert_eq!((&again.id, again.cursor), (&first.id, first.cursor));
    let other = alice.send_as("c-1", &carol.id, "twice").await.unwrap_err();
    assert_eq!(other.code, 1201, "{}", other.msg);
    let at_once = futures_util::future::join_all((0..8).map(|_| alice.send_as("c-2", &carol.id, "many"))).await;
    let ids: std::collections::BTreeSet<_> = at_once.into_iter().map(|sent| sent.unwrap().id).collect();
    assert_eq!(ids.len(), 1, "one message, whoever was first");
    // Names are a user's own.
    let dave = world.north().user("dave").await;
    assert_ne!(dave.send_as("c-1", &carol.id, "from dave").await.unwrap().id, first.id);
    assert_eq!(carol.texts_once(3).await.len(), 3);
    world.lanes_empty().await;
    let mut texts = carol.texts().await;
    texts.sort();
    assert_eq!(texts, ["from dave", "many", "once"]);
    world.finish().await;
}
