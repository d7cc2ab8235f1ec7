//! Graded measures about users (design §6): an administrator warns, limits, mutes, suspends; the user is told and bounded at once.

use http::Method;
use isthmus_node::client::ClientError;
use isthmus_node::clock::now_ms;
use isthmus_tests::client::{fresh_id, password_of};
use isthmus_tests::{Client, Refused, Role, Site, World, until};
use serde_json::{Value, json};

const HOUR: u64 = 3_600_000;

async fn take(site: &Site, user: &str, body: Value) -> Value {
    let mut body = body;
    body["words"] = "no insults, please".into();
    site.admin(Role::System).post(&format!("/admin/v1/users/{user}/measures"), &body).await.unwrap()
}

async fn lift(site: &Site, user: &str, measure: &str) {
    let path = format!("/admin/v1/users/{user}/measures/lift");
    site.admin(Role::System).post(&path, &json!({"measure": measure})).await.unwrap();
}

async fn code(who: &Client, method: Method, path: &str, body: Value) -> i64 {
    let answer = who.api.call(method, path, Some(&body)).await.unwrap().1;
    answer["code"].as_i64().unwrap_or_else(|| panic!("{path}: {answer}"))
}

/// Every way by which a user writes, and what it is answered.
async fn all_ways(who: &Client, group: &str) -> Vec<(&'static str, i64)> {
    let of = |more: &str| format!("/client/v1/groups/{}{more}", isthmus_wire::path::encode(group));
    let message = json!({"clientID": fresh_id(), "recvID": "bob@north", "text": "hello"});
    let in_group = json!({"clientID": fresh_id(), "recvID": group, "scene": "group", "text": "hello"});
    let ways = [
        ("message", Method::POST, "/client/v1/messages".to_owned(), message),
        ("message in a group", Method::POST, "/client/v1/messages".to_owned(), in_group),
        ("file", Method::POST, "/client/v1/media".to_owned(), json!({"type": "file", "name": "a", "size": 1})),
        ("profile", Method::PUT, "/client/v1/profile".to_owned(), json!({"remark": "what a day"})),
        ("friend request", Method::POST, "/client/v1/friends".to_owned(), json!({"userID": "carol@south"})),
        ("group", Method::POST, "/client/v1/groups".to_owned(), json!({"groupName": "new"})),
        ("name of a group", Method::PUT, of(""), json!({"groupName": "another"})),
        ("invitation", Method::POST, of("/invite"), json!({"users": ["carol@south"]})),
    ];
    let mut said = Vec::new();
    for (way, method, path, body) in ways {
        said.push((way, code(who, method, &path, body).await));
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_muted_is_told_until_when_reads_on_and_writes_by_no_way_till_it_is_lifted() {
    let world = World::two().await;
    let north = world.north();
    let (alice, bob, carol) = (north.user("alice").await, north.user("bob").await, world.south().user("carol").await);
    let made = alice.api.post("/client/v1/groups", &json!({"groupName": "tea"})).await.unwrap();
    let group = made["groupInfo"]["groupID"].as_str().unwrap();
    let mut ear = alice.listen(0).await;
    let until_ms = now_ms() + HOUR;
    let shown = take(north, "alice", json!({"measure": "mute", "untilMs": until_ms})).await;
    assert_eq!(
        (&shown["measures"][0]["measure"], &shown["measures"][0]["by"]),
        (&json!("mute"), &json!("admin:system"))
    );

    let told = loop {
        if let Some(told) = ear.next().await.news("measure.taken").cloned() {
            break told;
        }
    };
    assert_eq!((&told["measure"], &told["untilMs"]), (&json!("mute"), &json!(until_ms)));
    assert_eq!(told["words"], "no insults, please");
    let me = alice.api.get("/client/v1/me").await.unwrap();
    assert_eq!(me["measures"][0]["untilMs"], until_ms, "a page that opens later knows it too");
    for (way, code) in all_ways(&alice, group).await {
        assert_eq!(code, 1105, "{way}");
    }
    ear.send(&fresh_id(), "bob@north", "by the socket").await;
    let Refused { code, msg } = ear.answer().await.1.unwrap_err();
    assert_eq!(code, 1105);
    assert!(msg.starts_with("you are muted until 20") && msg.ends_with(": no insults, please"), "{msg}");

    carol.send("alice@north", "do you read me?").await;
    assert_eq!(alice.texts_once(1).await, ["do you read me?"]);
    lift(north, "alice", "mute").await;
    assert_eq!(alice.news("measure.lifted", 0).await["measure"], "mute");
    for (way, code) in all_ways(&alice, group).await {
        assert_eq!(code, 0, "{way}");
    }
    assert_eq!(bob.texts_once(1).await, ["hello"]);
    let acts = north.audit("user=alice@north").await;
    for operation in ["admin.user.mute", "admin.user.lift"] {
        let act = acts.iter().find(|act| act["operation"] == operation).unwrap_or_else(|| panic!("{acts:?}"));
        assert_eq!((&act["actor"], &act["outcome"]), (&json!("admin:system"), &json!("allowed")));
    }
    let refused = acts.iter().filter(|act| act["operation"] == "message.send" && act["code"] == 1105).count();
    assert_eq!(refused, 3, "what was tried is recorded: {acts:?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_limited_is_told_1301_with_the_time_to_come_back() {
    let world = World::one().await;
    let north = world.north();
    let (alice, bob) = (north.user("alice").await, north.user("bob").await);
    take(north, "alice", json!({"measure": "limit", "perMinute": 2, "untilMs": now_ms() + HOUR})).await;
    alice.send("bob@north", "one").await;
    alice.send("bob@north", "two").await;
    let body = json!({"clientID": fresh_id(), "recvID": "bob@north", "text": "three"});
    let (status, answer) = alice.api.call(Method::POST, "/client/v1/messages", Some(&body)).await.unwrap();
    assert_eq!((status, &answer["code"]), (429, &json!(1301)), "{answer}");
    assert!(answer["msg"].as_str().unwrap().contains("limited to 2 messages a minute"), "{answer}");
    lift(north, "alice", "limit").await;
    alice.send("bob@north", "three").await;
    assert_eq!(bob.texts_once(3).await, ["one", "two", "three"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_suspended_is_logged_out_at_once_and_finds_later_what_came() {
    let world = World::one().await;
    let north = world.north();
    let (alice, bob) = (north.user("alice").await, north.user("bob").await);
    let mut ear = alice.listen(0).await;
    take(north, "alice", json!({"measure": "suspend"})).await;
    ear.closed().await;
    let (status, _) = alice.api.call(Method::GET, "/client/v1/me", None).await.unwrap();
    assert_eq!(status, 401);
    match Client::log_in(&north.api(), "alice").await {
        Err(ClientError::Refused { code: 1105, msg, .. }) => {
            assert_eq!(msg, "you are suspended until it is lifted: no insults, please");
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("alice was let in"),
    }
    let wrong = json!({"userID": "alice", "password": format!("not {}", password_of("alice"))});
    let (status, answer) = north.api().call(Method::POST, "/client/v1/login", Some(&wrong)).await.unwrap();
    assert_eq!(status, 401, "who does not know the password learns nothing: {answer}");
    bob.send("alice@north", "for later").await;
    lift(north, "alice", "suspend").await;
    let alice = north.log_in("alice").await;
    assert_eq!(alice.texts().await, ["for later"]);
    let refused = north.audit("operation=user.login&outcome=failed").await;
    assert!(refused.iter().any(|record| record["code"] == 1105), "{refused:?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn measures_outlive_a_restart_and_end_by_their_time() {
    let mut world = World::one().await;
    let alice = world.north().user("alice").await;
    world.north().create_user("bob").await;
    take(world.north(), "alice", json!({"measure": "warn"})).await;
    let until_ms = now_ms() + 4000;
    take(world.north(), "alice", json!({"measure": "mute", "untilMs": until_ms})).await;
    world.site_mut("north").stop().await;
    world.site_mut("north").start().await;
    let north = world.north();
    let held = north.admin(Role::System).get("/admin/v1/users/alice/measures").await.unwrap();
    let kinds = |held: &Value| -> Vec<String> {
        let measures = held["measures"].as_array().unwrap().iter();
        measures.map(|one| one["measure"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&held)[0], "warn", "{held}");
    let alice = alice.at(north);
    until("the mute has ended", async || alice.try_send("bob@north", "at last").await.ok()).await;
    assert!(now_ms() >= until_ms);
    let held = north.admin(Role::System).get("/admin/v1/users/alice/measures").await.unwrap();
    assert_eq!(kinds(&held), ["warn"]);
    world.finish().await;
}
