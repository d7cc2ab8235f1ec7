//! Groups (§7.7, R6, R11, R12, R19–R22) over real sockets: three servers of ours, and one that knows the standard alone.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use isthmus_tests::client::fresh_id;
use isthmus_tests::peer::Call;
use isthmus_tests::process::Child;
use isthmus_tests::{Client, FakePeer, Peer, Reply, Site, World, until, world};
use serde_json::{Value, json};

/// A call of the client interface: the whole answer.
async fn call(client: &Client, method: Method, path: &str, body: Option<Value>) -> Value {
    client.api.call(method, path, body.as_ref()).await.unwrap().1
}

async fn get(client: &Client, path: &str) -> Value {
    let answer = call(client, Method::GET, path, None).await;
    assert_eq!(answer["code"], 0, "{path}: {answer}");
    answer
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// What a user does with a group: the answer's code.
async fn act(client: &Client, group: &str, what: &str, body: Value) -> i64 {
    let path = format!("/client/v1/groups/{}/{what}", encoded(group));
    call(client, Method::POST, &path, Some(body)).await["code"].as_i64().unwrap()
}

async fn create(owner: &Client, name: &str) -> String {
    let answer = call(owner, Method::POST, "/client/v1/groups", Some(json!({"groupName": name}))).await;
    assert_eq!(answer["code"], 0, "{answer}");
    answer["groupInfo"]["groupID"].as_str().unwrap().to_owned()
}

/// Invites, waits for the invitation to arrive, and agrees.
async fn let_in(owner: &Client, group: &str, users: &[&Client]) {
    let ids: Vec<&str> = users.iter().map(|user| user.id.as_str()).collect();
    assert_eq!(act(owner, group, "invite", json!({"users": ids})).await, 0);
    for user in users {
        user.news("group.invited", 0).await;
        assert_eq!(act(user, group, "answer", json!({"agree": true})).await, 0, "{}", user.id);
    }
    for user in users {
        until(&format!("{} sees the group", user.id), async || {
            let mine = get(user, "/client/v1/groups").await;
            mine["groups"].as_array().unwrap().iter().any(|g| g["groupInfo"]["groupID"] == group).then_some(())
        })
        .await;
    }
}

async fn try_say(client: &Client, group: &str, text: &str) -> Value {
    let body = json!({"clientID": fresh_id(), "recvID": group, "scene": "group", "text": text});
    call(client, Method::POST, "/client/v1/messages", Some(body)).await
}

async fn say(client: &Client, group: &str, text: &str) -> String {
    let answer = try_say(client, group, text).await;
    assert_eq!(answer["code"], 0, "{answer}");
    answer["messageID"].as_str().unwrap().to_owned()
}

/// `operType` of the notices in a user's inbox.
async fn notices(client: &Client) -> Vec<i64> {
    let inbox = client.inbox(0).await;
    inbox.iter().filter_map(|event| event.news("group.notice")?["operType"].as_i64()).collect()
}

async fn noticed(client: &Client, oper: i64) {
    until(&format!("{} learns of {oper}", client.id), async || notices(client).await.contains(&oper).then_some(()))
        .await;
}

/// Texts of a group's history as a user's server shows it, from the oldest.
async fn history(client: &Client, group: &str) -> Vec<String> {
    let path = format!("/client/v1/groups/{}/history?messageID=-1&size=200", encoded(group));
    let page = get(client, &path).await;
    let texts = page["messages"].as_array().unwrap().iter().filter_map(|m| m["content"]["message"].as_str());
    texts.map(str::to_owned).collect()
}

/// Members as a user's server shows them: ID and `userType`.
async fn members(client: &Client, group: &str) -> BTreeSet<(String, i64)> {
    let page = get(client, &format!("/client/v1/groups/{}/members", encoded(group))).await;
    let all = page["members"].as_array().unwrap().iter();
    all.map(|m| (m["userInfo"]["userID"].as_str().unwrap().to_owned(), m["userType"].as_i64().unwrap())).collect()
}

/// Waits until all see the same messages in the same order, and the same members.
async fn all_alike(group: &str, users: &[&Client], many: usize) {
    let first = until(&format!("{} messages in the group", many), async || {
        let first = history(users[0], group).await;
        (first.len() >= many).then_some(first)
    })
    .await;
    assert_eq!(first.len(), many);
    for user in &users[1..] {
        let what = format!("{} sees what {} sees", user.id, users[0].id);
        until(&what, async || {
            let same =
                history(user, group).await == first && members(user, group).await == members(users[0], group).await;
            same.then_some(())
        })
        .await;
        let heard = user.texts().await;
        let mut order = first.iter();
        assert!(heard.iter().all(|text| order.any(|t| t == text)), "{}: {heard:?} is no part of {first:?}", user.id);
    }
}

struct People {
    world: World,
    alice: Client,
    bob: Client,
    carol: Client,
    dave: Client,
    group: String,
}

/// north: alice (owner), bob; south: carol; west: dave.
async fn people() -> People {
    let world = World::plan().server("north").server("south").server("west").start().await;
    let (alice, bob) = (world.north().user("alice").await, world.north().user("bob").await);
    let (carol, dave) = (world.south().user("carol").await, world.site("west").user("dave").await);
    let group = create(&alice, "茶 Tea").await;
    let_in(&alice, &group, &[&bob, &carol, &dave]).await;
    People { world, alice, bob, carol, dave, group }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_over_three_servers_lives_through_all_that_a_group_can() {
    let People { world, alice, bob, carol, dave, group } = people().await;
    let everybody = [&alice, &bob, &carol, &dave];
    let said = say(&carol, &group, "one").await;
    until("main has it", async || (history(&alice, &group).await == ["one"]).then_some(())).await;
    say(&dave, &group, "two").await;
    until("main has both", async || (history(&alice, &group).await.len() == 2).then_some(())).await;
    say(&alice, &group, "three").await;
    all_alike(&group, &everybody, 3).await;
    let sent = until("carol has a receipt", async || {
        carol.inbox(0).await.into_iter().find_map(|e| e.receipt_for(&said).map(|(state, _)| state.to_owned()))
    });
    assert_eq!(sent.await, "delivered", "main has kept it");
    let read = format!("/client/v1/groups/{}/history?messageID={said}&size=1", encoded(&group));
    assert_eq!(get(&bob, &read).await["messages"][0]["content"]["message"], "two");
    assert_eq!(act(&carol, &group, "admins", json!({"users": [dave.id], "admin": true})).await, 1104, "not main");
    assert_eq!(act(&bob, &group, "admins", json!({"users": [dave.id], "admin": true})).await, 1105);
    assert_eq!(act(&alice, &group, "admins", json!({"users": [carol.id, dave.id], "admin": true})).await, 0);
    noticed(&dave, 4).await;
    let change = json!({"groupName": "咖啡 ☕", "isAllow": false});
    let path = format!("/client/v1/groups/{}", encoded(&group));
    assert_eq!(call(&carol, Method::PUT, &path, Some(change)).await["code"], 0, "an admin elsewhere");
    noticed(&dave, 7).await;
    let shown = get(&dave, &path).await;
    assert_eq!((&shown["groupInfo"]["groupName"], &shown["grpset"]["isAllow"]), (&json!("咖啡 ☕"), &json!(2)));
    assert_eq!(act(&alice, &group, "admins", json!({"users": [dave.id], "admin": false})).await, 0);
    noticed(&carol, 5).await;
    assert_eq!(act(&alice, &group, "transfer", json!({"userID": carol.id})).await, 1003, "another server");
    assert_eq!(act(&alice, &group, "transfer", json!({"userID": bob.id})).await, 0);
    noticed(&dave, 6).await;
    assert_eq!(act(&dave, &group, "remove", json!({"users": [alice.id]})).await, 1105);
    assert_eq!(act(&carol, &group, "remove", json!({"users": [alice.id]})).await, 0, "an admin elsewhere");
    noticed(&alice, 2).await;
    assert_eq!(try_say(&alice, &group, "still here?").await["code"], 1105);
    assert_eq!(act(&dave, &group, "leave", json!({})).await, 0);
    noticed(&dave, 2).await;
    until("dave's server knows", async || (try_say(&dave, &group, "bye").await["code"] == 1105).then_some(())).await;
    say(&bob, &group, "four").await;
    all_alike(&group, &[&bob, &carol], 4).await;
    assert_eq!(dave.texts().await, ["one", "three"], "nothing after leaving");
    assert_eq!(call(&carol, Method::DELETE, &path, None).await["code"], 1104);
    assert_eq!(call(&bob, Method::DELETE, &path, None).await["code"], 0);
    noticed(&carol, 3).await;
    assert_eq!(try_say(&carol, &group, "anybody?").await["code"], 1202);
    assert_eq!(notices(&carol).await.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([1, 2, 3, 4, 5, 6, 7]));
    for (site, operation) in [(world.south(), "group.notice"), (world.north(), "group.remove")] {
        assert!(!site.audit(&format!("operation={operation}")).await.is_empty(), "{operation} is on record");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_a_group_applies_and_whoever_scans_its_ticket_is_in() {
    let world = World::two().await;
    let (alice, carol, dave) =
        (world.north().user("alice").await, world.south().user("carol").await, world.south().user("dave").await);
    let group = create(&alice, "Chess").await;
    let found = get(&carol, "/client/v1/groups/search?query=chess&scope=server:north").await;
    assert_eq!(found["groups"][0]["groupID"], group.as_str());
    assert_eq!(act(&carol, &group, "apply", json!({"remark": "I play"})).await, 0);
    let asked = alice.news("group.request", 0).await;
    assert_eq!((&asked["user"]["userID"], &asked["user"]["remark"]), (&json!(carol.id), &json!("I play")));
    let path = format!("/client/v1/groups/{}/applicants", encoded(&group));
    assert_eq!(get(&alice, &path).await["applicants"][0]["user"]["userID"], carol.id.as_str());
    assert_eq!(get(&carol, "/client/v1/groups/pending").await["pending"][0]["kind"], "application");
    assert_eq!(act(&alice, &group, "decide", json!({"userID": carol.id, "agree": false})).await, 0);
    assert_eq!(carol.news("group.answer", 0).await["result"], "declined");
    let path = format!("/client/v1/groups/{}/ticket", encoded(&group));
    let ticket = call(&alice, Method::POST, &path, None).await["ticket"].as_str().unwrap().to_owned();
    let join = |ticket: String| json!({"ticket": ticket});
    let forged = ticket.replacen(&ticket[40..41], if &ticket[40..41] == "A" { "B" } else { "A" }, 1);
    let refused = call(&dave, Method::POST, "/client/v1/groups/join", Some(join(forged))).await;
    assert!(refused["code"] == 1202 || refused["code"] == 1003, "{refused}");
    let joined = call(&dave, Method::POST, "/client/v1/groups/join", Some(join(ticket.clone()))).await;
    assert_eq!(joined["groupID"], group.as_str(), "{joined}");
    noticed(&dave, 1).await;
    say(&alice, &group, "welcome").await;
    assert_eq!(dave.texts_once(1).await, ["welcome"]);
    assert_eq!(call(&alice, Method::DELETE, &path, None).await["code"], 0);
    let late = call(&carol, Method::POST, "/client/v1/groups/join", Some(join(ticket))).await;
    assert_eq!(late["code"], 1202, "withdrawn: {late}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_takes_a_groups_message_back_for_everybody() {
    let People { world, alice, bob, carol, dave, group } = people().await;
    let said = say(&carol, &group, "oops").await;
    all_alike(&group, &[&alice, &bob, &carol, &dave], 1).await;
    assert_eq!(act(&dave, &group, "recall", json!({"messageID": said})).await, 1105);
    assert_eq!(act(&carol, &group, "recall", json!({"messageID": said})).await, 0);
    for who in [&alice, &bob, &carol, &dave] {
        assert_eq!(who.news("recalled", 0).await["messageID"], said.as_str());
        assert!(history(who, &group).await.is_empty(), "{}", who.id);
    }
    world.finish().await;
}

/// What a member's server missed while it was away comes when it is back, in main's order; even what main gave up.
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_was_away_lacks_nothing_when_it_is_back_even_if_main_gave_its_letters_up() {
    let world = World::plan().server("north").set("delivery.expire_s", 3).server("south").server("west");
    let mut world = world.start().await;
    let (alice, carol, dave) =
        (world.north().user("alice").await, world.south().user("carol").await, world.site("west").user("dave").await);
    let group = create(&alice, "Tea").await;
    let_in(&alice, &group, &[&carol, &dave]).await;
    say(&carol, &group, "before").await;
    all_alike(&group, &[&alice, &carol, &dave], 1).await;
    world.site_mut("south").stop().await;
    for number in 0..5 {
        say(if number % 2 == 0 { &alice } else { &dave }, &group, &format!("away {number}")).await;
        until("main has it", async || (history(&alice, &group).await.len() == number + 2).then_some(())).await;
    }
    let change = json!({"groupName": "Late tea"});
    let path = format!("/client/v1/groups/{}", encoded(&group));
    assert_eq!(call(&alice, Method::PUT, &path, Some(change)).await["code"], 0);
    until("main has given its letters up", async || (world.north().running().lanes() == 0).then_some(())).await;
    world.site_mut("south").start().await;
    let carol = carol.at(world.south());
    say(&alice, &group, "after").await;
    all_alike(&group, &[&alice, &carol, &dave], 7).await;
    assert_eq!(get(&carol, &path).await["groupInfo"]["groupName"], "Late tea");
    world.finish().await;
}

/// A server of another maker that keeps what it is told.
async fn bare(world: &World, id: &str) -> FakePeer {
    FakePeer::start(world, id, |_| Reply::Code(0)).await
}

async fn post(peer: &Peer, site: &Site, path: &str, body: &Value) -> i64 {
    let (_, answer) = peer.call(&site.address(), Method::POST, path, body.to_string()).await.unwrap();
    answer["code"].as_i64().unwrap()
}

async fn fetch(peer: &Peer, site: &Site, path: &str) -> Value {
    peer.call(&site.address(), Method::GET, path, "").await.unwrap().1
}

fn info(group: &str, many: i32, owner: &str) -> Value {
    json!({"groupID": group, "groupName": "茶", "groupMemberNum": many.to_string(), "createUser": owner,
        "createTime": "yesterday", "colour": "green"})
}

fn person(id: &str) -> Value {
    json!({"userID": id, "name": id})
}

fn in_group(from: &str, group: &str, id: &str, text: &str) -> Value {
    json!({"messageInfo": {
        "sendID": from, "recvID": group, "messageType": "Text", "version": "v1", "chatScene": "GROUP", "messageID": id,
        "content": {"message": text}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_knows_only_the_standard_has_members_in_a_group_of_ours() {
    let world = World::one().await;
    let north = world.north();
    let (alice, bob) = (north.user("alice").await, north.user("bob").await);
    let west = bare(&world, "west").await;
    let (peer, walter) = (&west.caller, "walter@west");
    let group = create(&alice, "茶 Tea").await;
    let_in(&alice, &group, &[&bob]).await;
    let found = fetch(peer, north, &format!("/sns/find/groups?query={}&page%20=%200", encoded("茶"))).await;
    assert_eq!((&found["code"], &found["groups"][0]["groupID"]), (&json!(0), &json!(group)), "{found}");
    assert_eq!(found["groups"][0]["groupMemberNum"], 2);
    let q = encoded(&group);
    assert_eq!(fetch(peer, north, &format!("/sns/groupmembers?groupID={q}")).await["code"], 1105, "no member there");
    assert_eq!(fetch(peer, north, &format!("/sns/grpchat?groupID={q}&messageID=-1&size=9")).await["code"], 1105);
    assert_eq!(act(&alice, &group, "invite", json!({"users": [walter]})).await, 0);
    let invited =
        until("step 2 arrives", async || west.heard().into_iter().find(|call| call.path == "/sns/invite/groupreq"))
            .await;
    let req = &invited.body["reqInfo"];
    assert_eq!((&req["groupInfo"]["groupID"], &req["userInfo"]["userID"]), (&json!(group), &json!(alice.id)));
    assert_eq!(req["inviteUsers"][0]["userID"], walter);
    let reply = json!({"groupID": group, "userID": walter, "respResult": "1"});
    assert_eq!(post(peer, north, "/sns/invite/grouprep/", &reply).await, 0);
    assert_eq!(post(peer, north, "/sns/invite/grouprep", &reply).await, 0, "again");
    let q_info = format!("/sns/groupInfo?groupID=%22{q}%22");
    let shown = fetch(peer, north, &q_info).await;
    assert_eq!(
        (&shown["groupInfo"]["groupMemberNum"], &shown["grpset"]["isAllow"]),
        (&json!(3), &json!(1)),
        "R3 quotes"
    );
    let shown = fetch(peer, north, &format!("/sns/groupmembers?groupID={q}")).await;
    let kinds: BTreeSet<i64> =
        shown["members"].as_array().unwrap().iter().map(|m| m["userType"].as_i64().unwrap()).collect();
    assert_eq!(kinds, BTreeSet::from([1, 3]), "R19");
    assert_eq!(post(peer, north, "/sns/chat", &in_group(walter, &group, "w1", "from west")).await, 0);
    assert_eq!(post(peer, north, "/sns/chat", &in_group(walter, &group, "w1", "from west")).await, 0, "again");
    assert_eq!(post(peer, north, "/sns/chat", &in_group(walter, &group, "w1", "other")).await, 1201);
    assert_eq!(post(peer, north, "/sns/chat", &in_group("wendy@west", &group, "w2", "x")).await, 1105);
    say(&alice, &group, "from north").await;
    until("west has both", async || (west.texts() == ["from west", "from north"]).then_some(())).await;
    assert_eq!(alice.texts_once(1).await, ["from west"]);
    let page = fetch(peer, north, &format!("/sns/grpchat?groupID={q}&messageID=-1&size=-5")).await;
    let texts: Vec<&Value> = page["messages"].as_array().unwrap().iter().map(|m| &m["content"]["message"]).collect();
    assert_eq!((texts, &page["minMessageID"]), (vec![&json!("from west"), &json!("from north")], &json!("w1")));
    let later = fetch(peer, north, &format!("/sns/grpchat?groupID={q}&messageID=w1&size=5")).await;
    assert_eq!(later["messages"].as_array().unwrap().len(), 1);
    let remove = |by: &str, who: &str| json!({"groupID": group, "userID": by, "delMembers": [who]});
    assert_eq!(post(peer, north, "/sns/remove/groupmembers", &remove(walter, &bob.id)).await, 1105);
    assert_eq!(act(&alice, &group, "admins", json!({"users": [walter], "admin": true})).await, 0);
    assert_eq!(post(peer, north, "/sns/remove/groupmembers", &remove(walter, &bob.id)).await, 0, "an admin");
    let update = json!({"groupID": group, "ownerID": walter, "grpset": {"isAllow": "2", "isVisible": 2}});
    assert_eq!(post(peer, north, &format!("/sns/update/grpinfo/{q}"), &update).await, 0);
    let other = json!({"groupID": "g-other@north", "ownerID": walter});
    assert_eq!(post(peer, north, &format!("/sns/update/grpinfo/{q}"), &other).await, 1003, "the path names another");
    let apply = json!({"reqInfo": {"groupInfo": info(&group, 1, &alice.id), "userInfo": person("wendy@west"),
        "inviteUsers": ["wendy@west"]}});
    assert_eq!(post(peer, north, "/sns/invite/groupreq", &apply).await, 1004, "R21: search does not find it any more");
    let quit = json!({"groupID": group, "userID": walter});
    assert_eq!(post(peer, north, "/sns/quit/groupmember", &quit).await, 0);
    assert_eq!(post(peer, north, "/sns/quit/groupmember", &quit).await, 1105);
    until("west learns of it", async || {
        let told: Vec<i64> = west
            .heard()
            .iter()
            .filter(|call| call.path == "/sns/notify/grpnotify")
            .map(|call| call.body["operType"].as_i64().unwrap())
            .collect();
        (told == [1, 4, 2, 7, 2]).then_some(())
    })
    .await;
    world.lanes_empty().await;
    west.stop().await;
    world.finish().await;
}

/// What a bare main server has to say when it is asked.
#[derive(Default)]
struct BareMain {
    members: Vec<String>,
    messages: Vec<Value>,
}

impl BareMain {
    fn answer(&self, call: &Call, group: &str) -> Value {
        match call.path.as_str() {
            "/sns/groupInfo" => json!({"code": "0", "msg": "", "grpset": {"isAllow": 1, "isVisible": 1},
                "groupInfo": info(group, i32::try_from(self.members.len()).unwrap(), "walter")}),
            "/sns/groupmembers" => {
                let members: Vec<Value> = self
                    .members
                    .iter()
                    .enumerate()
                    .map(|(n, id)| json!({"userType": if n == 0 { 3 } else { 1 }, "userInfo": person(id)}))
                    .collect();
                json!({"code": 0, "msg": "", "members": members})
            }
            "/sns/grpchat" => {
                let cursor = call.query.split('&').find_map(|pair| pair.strip_prefix("messageID=")).unwrap();
                let backwards = call.query.contains("size=-");
                let at = self.messages.iter().position(|m| m["messageID"] == cursor).map_or(0, |at| at + 1);
                let page: &[Value] = if backwards { &[] } else { &self.messages[at..] };
                let id = |m: Option<&Value>| m.map_or(json!(""), |m| m["messageID"].clone());
                json!({"code": 0, "msg": "", "maxMessageID": id(self.messages.last()),
                    "minMessageID": id(self.messages.first()), "messages": page})
            }
            _ => json!({"code": 0, "msg": "success"}),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_users_are_members_of_a_group_whose_main_server_knows_only_the_standard() {
    let world = World::one().await;
    let north = world.north();
    let alice = north.user("alice").await;
    let west = bare(&world, "west").await;
    let peer = &west.caller;
    let group = "10086";
    let main =
        Arc::new(Mutex::new(BareMain { members: vec!["walter".into(), alice.id.clone()], messages: Vec::new() }));
    let of = main.clone();
    west.answer_calls(move |call| of.lock().unwrap().answer(call, "10086"));
    let invite = json!({"reqInfo": {"groupInfo": info(group, 1, "walter"), "userInfo": person("walter"),
        "inviteUsers": [alice.id]}});
    assert_eq!(post(peer, north, "/sns/invite/groupreq/", &invite).await, 0);
    alice.news("group.invited", 0).await;
    assert_eq!(act(&alice, group, "answer", json!({"agree": true})).await, 0);
    let answered = west.heard().into_iter().find(|call| call.path == "/sns/invite/grouprep").unwrap();
    assert_eq!(answered.body, json!({"groupID": group, "userID": alice.id, "respResult": 1}));
    let notice = |oper: i64, users: Value, many: i32| json!({"groupInfo": info(group, many, "walter"), "operType": oper, "operUser": person("walter"), "users": users});
    let path = "/sns/notify/grpnotify/";
    assert_eq!(post(peer, north, path, &notice(1, json!([person(&alice.id)]), 2)).await, 0);
    noticed(&alice, 1).await;
    let expected = BTreeSet::from([("walter".to_owned(), 3), (alice.id.clone(), 1)]);
    until("the members are known", async || (members(&alice, group).await == expected).then_some(())).await;
    let relay = async |id: &str, text: &str| {
        let message = in_group("walter", group, id, text);
        main.lock().unwrap().messages.push(message["messageInfo"].clone());
        assert_eq!(post(peer, north, "/sns/chat", &message).await, 0);
    };
    relay("1", "one").await;
    relay("2", "two").await;
    assert_eq!(alice.texts_once(2).await, ["one", "two"]);
    let sent = try_say(&alice, group, "hello").await;
    until("west has it", async || (west.texts() == ["hello"]).then_some(())).await;
    let own = json!({"sendID": alice.id, "recvID": group, "messageType": "text", "version": "V1", "chatScene": "group",
        "messageID": sent["messageID"], "content": {"message": "hello"}});
    main.lock().unwrap().messages.push(own.clone());
    assert_eq!(
        post(peer, north, "/sns/chat", &json!({"messageInfo": own})).await,
        0,
        "main gives it back in its order"
    );
    // Main puts a message in order, fails to post it, and posts the next one at once.
    main.lock().unwrap().messages.push(in_group("walter", group, "4", "skipped")["messageInfo"].clone());
    relay("5", "next").await;
    assert_eq!(history(&alice, group).await, ["one", "two", "hello", "skipped", "next"], "no gap, in main's order");
    assert_eq!(alice.texts_once(4).await, ["one", "two", "skipped", "next"]);
    let mut invented = own.clone();
    invented["messageID"] = json!("6");
    assert_eq!(post(peer, north, "/sns/chat", &json!({"messageInfo": invented})).await, 1104, "alice never wrote that");
    for (oper, users) in [(4, json!([person(&alice.id)])), (5, json!([person(&alice.id)])), (7, json!([]))] {
        let mut told = notice(oper, users, 2);
        told["groupInfo"]["groupName"] = json!(format!("name {oper}"));
        assert_eq!(post(peer, north, path, &told).await, 0);
        noticed(&alice, oper).await;
    }
    main.lock().unwrap().members = vec!["walter".into()];
    assert_eq!(post(peer, north, path, &notice(2, json!([person(&alice.id)]), 1)).await, 0);
    noticed(&alice, 2).await;
    assert_eq!(try_say(&alice, group, "bye").await["code"], 1105);
    world.lanes_empty().await;
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_nobody_acts_in_a_group_for_another_servers_users_and_main_alone_relays() {
    let People { world, alice, bob, carol, dave, group } = people().await;
    let (north, south) = (world.north(), world.south());
    let eve = world.enrolled_peer("east").await;
    let before = members(&alice, &group).await;
    let req = json!({"reqInfo": {"groupInfo": info(&group, 4, &alice.id), "userInfo": person(&carol.id),
        "inviteUsers": ["eve@east"]}});
    let chat = in_group(&carol.id, &group, "m1", "spoofed");
    let calls = [
        ("/sns/chat", chat.clone()),
        ("/sns/invite/groupreq", req.clone()),
        ("/sns/invite/grouprep", json!({"groupID": group, "userID": carol.id, "respResult": 1})),
        ("/sns/remove/groupmembers", json!({"groupID": group, "userID": alice.id, "delMembers": [bob.id]})),
        ("/sns/quit/groupmember", json!({"groupID": group, "userID": carol.id})),
        (
            "/sns/notify/grpnotify",
            json!({"groupInfo": info(&group, 1, "eve@east"), "operType": 3,
            "operUser": person("eve@east")}),
        ),
    ];
    for (path, body) in &calls {
        assert_eq!(post(&eve, north, path, body).await, 1104, "at main: {path}");
    }
    let path = format!("/sns/update/grpinfo/{}", encoded(&group));
    let update = json!({"groupID": group, "ownerID": alice.id, "grpset": {"isAllow": 2, "isVisible": 2}});
    assert_eq!(post(&eve, north, &path, &update).await, 1104);
    // Its own user's words are main's to relay; and it is main of no group of north's.
    for (path, body) in [
        ("/sns/chat", in_group("eve@east", &group, "m2", "not by way of main")),
        ("/sns/notify/grpnotify", calls[5].1.clone()),
        (
            "/sns/invite/groupreq",
            json!({"reqInfo": {"groupInfo": info(&group, 4, &alice.id),
            "userInfo": person("eve@east"), "inviteUsers": [carol.id]}}),
        ),
    ] {
        assert_eq!(post(&eve, south, path, &body).await, 1104, "at a mirror: {path}");
    }
    assert_eq!(fetch(&eve, north, &format!("/sns/groupmembers?groupID={}", encoded(&group))).await["code"], 1105);
    say(&dave, &group, "real").await;
    all_alike(&group, &[&alice, &bob, &carol, &dave], 1).await;
    assert_eq!(members(&carol, &group).await, before, "nothing changed");
    let records = north.audit("peer=east").await;
    assert!(records.len() >= 7 && records.iter().all(|r| r["outcome"] != "allowed" || r["code"] == 0), "{records:?}");
    world.finish().await;
}

async fn child_user(child: &Child, local: &str) -> Client {
    child.create_user(local).await;
    Client::log_in(&child.api(), local).await.unwrap()
}

/// Writes until there is an answer, as a client does whose server is away.
async fn insist(client: &Client, group: &str, text: &str) {
    let body = json!({"clientID": fresh_id(), "recvID": group, "scene": "group", "text": text});
    until(&format!("{} takes {text}", client.id), async || {
        let answer = client.api.call(Method::POST, "/client/v1/messages", Some(&body)).await;
        answer.is_ok_and(|(_, answer)| answer["code"] == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn main_may_be_killed_in_mid_conversation_and_nobody_misses_or_hears_anything_twice() {
    let world = World::plan().start().await;
    let (north, south) = (world.child("north").await, world.child("south").await);
    let (alice, bob) = (child_user(&north, "alice").await, child_user(&north, "bob").await);
    let (carol, dave) = (child_user(&south, "carol").await, child_user(&south, "dave").await);
    let group = create(&alice, "Tea").await;
    let_in(&alice, &group, &[&bob, &carol, &dave]).await;
    let to = group.as_str();
    let talk = [(&alice, "a"), (&bob, "b"), (&carol, "c"), (&dave, "d")].map(|(who, name)| async move {
        for number in 0..12 {
            insist(who, to, &format!("{name}{number:02}")).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    let havoc = async {
        for victim in [&north, &north, &south] {
            tokio::time::sleep(Duration::from_millis(250)).await;
            victim.kill();
            victim.restart().await;
        }
    };
    futures_util::future::join(futures_util::future::join_all(talk), havoc).await;
    all_alike(&group, &[&alice, &bob, &carol, &dave], 48).await;
    for who in [&bob, &carol, &dave] {
        let heard = who.texts_once(36).await;
        assert_eq!(heard.iter().collect::<BTreeSet<_>>().len(), 36, "{}: {heard:?}", who.id);
    }
    for child in [&north, &south] {
        until("the lanes are empty", async || (child.lanes().await == 0).then_some(())).await;
        child.stop().await;
        world::audit_is_whole(
            child.config.server.id.as_str(),
            &child.config.data_dir.join("audit"),
            &child.config.keyring,
        );
        assert!(!child.log().contains("ERROR"), "a fault was logged:\n{}", child.log());
    }
    world.finish().await;
}
