//! Who may have a file, and who hears that it cannot be had.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn only_the_server_that_was_sent_a_file_may_pull_it_until_the_message_is_recalled() {
    let world = World::plan().server("north").start().await;
    let alice = world.north().user("alice").await;
    let bob = world.north().user("bob").await;
    let far = FakePeer::start(&world, "far", |_| Reply::Code(0)).await;
    let stranger = world.enrolled_peer("stranger").await;
    let bytes = png(2 * PIECE, 8);
    let id = alice.upload("image", "a.png", &bytes).await.unwrap();
    assert_eq!(pull(&far.caller, &world, &id).await, (200, 1104), "not sent yet");
    let sent = alice.send_file("carol@far", "image", &id).await.unwrap();
    alice.send_file("bob@north", "image", &id).await.unwrap();
    assert_eq!(alice.receipt(&sent).await.0, "delivered");
    let path = format!("/sns/download/file/?mediaID=%22{id}%22");
    let (status, headers, body) = far.caller.fetch(&world.north().address(), &path, &[("range", "bytes=10-")]).await;
    assert_eq!((status, &body[..]), (206, &bytes[10..]), "R2, R3");
    assert_eq!(headers["content-type"], "image/png");
    assert_eq!(headers["content-length"], (bytes.len() - 10).to_string());
    assert_eq!(headers["content-range"], format!("bytes 10-{}/{}", bytes.len() - 1, bytes.len()));
    assert_eq!((&headers["accept-ranges"], headers.contains_key("etag")), (&"bytes".parse().unwrap(), true));
    assert_eq!(pull(&stranger, &world, &id).await, (200, 1104));
    assert_eq!(pull(&stranger, &world, "m-guess").await, (200, 1004));
    assert_eq!(pull(&far.caller, &world, "").await, (200, 1002));
    let recorded = world.north().audit("operation=file.download").await;
    assert!(recorded.iter().any(|r| r["code"] == 1104 && r["peer"] == "stranger"), "{recorded:?}");
    assert!(recorded.iter().any(|r| r["code"] == 0 && r["peer"] == "far"), "{recorded:?}");
    assert_eq!(bob.file(&id).await, bytes);
    alice.api.post(&format!("/client/v1/messages/{}/recall", sent.id), &json!({})).await.unwrap();
    assert_eq!(pull(&far.caller, &world, &id).await, (200, 1104), "recalled");
    assert_eq!(bob.file(&id).await, bytes, "bob has a message of his own");
    assert_eq!(alice.file(&id).await, bytes);
    far.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalled_file_is_gone_for_its_recipient_on_the_other_server() {
    let world = World::two().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    let id = alice.upload("image", "a.png", &png(100, 1)).await.unwrap();
    let sent = alice.send_file("carol@south", "image", &id).await.unwrap();
    carol.next_file(0).await;
    assert_eq!(carol.file(&id).await, png(100, 1));
    alice.api.post(&format!("/client/v1/messages/{}/recall", sent.id), &json!({})).await.unwrap();
    carol.news("recalled", 0).await;
    assert_eq!(carol.fetch_file(&id, &[]).await.1["content-type"], "application/json;charset=utf-8");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_servers_of_our_make_the_sender_learns_that_a_file_could_not_be_had() {
    let world = World::two().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    let denying = bundle::denying(world.folder("no-pulls"), "file.download");
    world.north().activate(&denying).await;
    let id = alice.upload("file", "plan.pdf", b"%PDF-1.7 the plan").await.unwrap();
    let sent = alice.send_file("carol@south", "file", &id).await.unwrap();
    let told = carol.news("file.failed", 0).await;
    assert_eq!((&told["code"], &told["name"]), (&json!(1102), &json!("plan.pdf")));
    let told = alice.news("file.failed", 0).await;
    assert_eq!(
        (&told["messageID"], &told["userID"], &told["code"]),
        (&json!(sent.id), &json!("carol@south"), &json!(1102))
    );
    let recorded = world.south().audit("operation=file.receive").await;
    assert!(recorded.iter().any(|r| r["code"] == 1102), "{recorded:?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_passes_a_file_on_to_a_third_server_serves_it_from_there() {
    let world = World::plan().server("north").server("south").start().await;
    let alice = world.north().user("alice").await;
    let bob = world.north().user("bob").await;
    let carol = world.south().user("carol").await;
    let bytes = png(PIECE, 1);
    let id = alice.upload("image", "a.png", &bytes).await.unwrap();
    alice.send_file("carol@south", "image", &id).await.unwrap();
    carol.next_file(0).await;
    carol.send_file("bob@north", "image", &id).await.unwrap();
    let passed = bob.next_file(0).await["content"]["mediaID"].as_str().unwrap().to_owned();
    assert_ne!(passed, id);
    assert_eq!(bob.file(&passed).await, bytes);
    let figures = world.north().admin(Role::System).fetch(Method::GET, "/readyz", None).await.unwrap();
    assert_eq!(figures.0, 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portrait_is_seen_on_other_servers_and_nothing_else_is_had_that_way() {
    let world = World::two().await;
    let alice = world.north().user("alice").await;
    let bob = world.north().user("bob").await;
    let carol = world.south().user("carol").await;
    let bytes = png(3 * PIECE, 1);
    let portrait = carol.upload("portrait", "me.png", &bytes).await.unwrap();
    let see = async |who: &Client, id: &str| {
        let (_, headers, body) = who.fetch_file(&format!("{id}?from=carol@south"), &[]).await;
        (headers["content-type"] == "image/png").then_some(body)
    };
    assert_eq!(see(&alice, &portrait).await, None, "it is nobody's portrait yet");
    let change = json!({"portrait": portrait});
    assert_eq!(carol.api.call(Method::PUT, "/client/v1/profile", Some(&change)).await.unwrap().1["code"], 0);
    assert_eq!(see(&alice, &portrait).await.unwrap(), bytes);
    assert_eq!(see(&bob, &portrait).await.unwrap(), bytes);
    let secret = carol.upload("image", "b.png", &png(100, 2)).await.unwrap();
    carol.send_file("bob@north", "image", &secret).await.unwrap();
    bob.next_file(0).await;
    assert_eq!(see(&bob, &secret).await.unwrap(), png(100, 2));
    assert_eq!(see(&alice, &secret).await, None, "what was sent to bob is bob's");
    let unseen = carol.upload("image", "c.png", &png(100, 3)).await.unwrap();
    assert_eq!(see(&alice, &unseen).await, None);
    world.finish().await;
}

/// Makes a group of `owner`'s and lets these in, each known as a member to the own server in the end.
async fn group_of(owner: &Client, members: &[&Client]) -> String {
    let made = owner.api.post("/client/v1/groups", &json!({"groupName": "files"})).await.unwrap();
    let group = made["groupInfo"]["groupID"].as_str().unwrap().to_owned();
    let path = format!("/client/v1/groups/{}", percent(&group));
    let users: Vec<_> = members.iter().map(|member| &member.id).collect();
    owner.api.post(&format!("{path}/invite"), &json!({"users": users})).await.unwrap();
    for member in members {
        member.news("group.invited", 0).await;
        member.api.post(&format!("{path}/answer"), &json!({"agree": true})).await.unwrap();
        until("it is a member", async || {
            let mine = member.api.get("/client/v1/groups").await.unwrap();
            let mut groups = mine["groups"].as_array().unwrap().iter();
            groups.any(|shown| shown["groupInfo"]["groupID"] == json!(group)).then_some(())
        })
        .await;
    }
    group
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_of_a_group_pulls_its_files_from_the_senders_server_for_its_members_alone() {
    let world = World::plan().server("north").server("south").server("east").start().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    let erin = world.site("east").user("erin").await;
    let frank = world.site("east").user("frank").await;
    let group = group_of(&alice, &[&carol, &erin]).await;
    let bytes = png(3 * PIECE, 1);
    let id = carol.upload("image", "a.png", &bytes).await.unwrap();
    let body = json!({"clientID": "c1", "recvID": group, "scene": "group", "type": "image", "mediaID": id});
    let sent = carol.api.post("/client/v1/messages", &body).await.unwrap();
    for member in [&alice, &erin] {
        let message = member.next_file(0).await;
        assert_eq!((&message["chatScene"], &message["sendID"]), (&json!("group"), &json!("carol@south")));
        assert_eq!(member.file(&id).await, bytes, "{}", member.id);
    }
    assert_eq!(frank.fetch_file(&id, &[]).await.1["content-type"], "application/json;charset=utf-8", "no member");
    let pulled = world.south().audit("operation=file.download").await;
    let by = |peer: &str| pulled.iter().any(|r| r["peer"] == peer && r["direction"] == "inbound" && r["code"] == 0);
    assert!(by("north") && by("east"), "{pulled:?}");
    assert!(world.north().audit("operation=file.download").await.iter().all(|r| r["direction"] != "inbound"));
    let stranger = world.enrolled_peer("stranger").await;
    let path = format!("/sns/download/file?mediaID={id}");
    let (_, answer) = stranger.call(&world.south().address(), Method::GET, &path, Bytes::new()).await.unwrap();
    assert_eq!(answer["code"], 1104);
    let path = format!("/client/v1/groups/{}/recall", percent(&group));
    carol.api.post(&path, &json!({"messageID": sent["messageID"]})).await.unwrap();
    for member in [&alice, &erin] {
        member.news("recalled", 0).await;
        assert_eq!(member.fetch_file(&id, &[]).await.1["content-type"], "application/json;charset=utf-8");
    }
    world.finish().await;
}
