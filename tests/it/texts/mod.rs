//! The content policy on all of it: every text that a call between servers carries passes it, on the way in and on the way
//! out, in requests and in answers. Which texts there are is read from `docs/openapi/sns.json`: a new one that no case here
//! is about fails the test.

mod coming;
mod going;
mod own;

use std::cell::RefCell;
use std::collections::BTreeSet;

use http::Method;
use isthmus_tests::client::fresh_id;
use isthmus_tests::openapi::{Document, SNS};
use isthmus_tests::{Client, FakePeer, Reply, Role, Site, World, bundle, until};
use isthmus_wire::call::{self, CALLS, CallSpec, Receiver};
use isthmus_wire::{letters, registry};
use serde_json::{Value, json};

/// A word that is rejected, and one that is masked.
const WORDS: [&str; 2] = ["verboten", "geheim"];
/// What a string may be called that is no text: identifiers, enumerations, numbers as text, times.
const NO_TEXT: &[&str] = &[
    "chatScene",
    "md5",
    "mediaID",
    "messageID",
    "messageType",
    "recvID",
    "sendID",
    "userID",
    "requesterID",
    "phoneNumber",
    "portrait",
    "createTime",
    "createUser",
    "groupID",
    "groupIcon",
    "ownerID",
    "maxMessageID",
    "minMessageID",
    "0",
    "",
];
/// Texts that no case is about, and why.
const APART: &[(&str, &str)] = &[
    ("out file.report request /msg", "our own words, or the operator's: a plugin's public reason"),
    ("out any answer /msg", "our own words"),
    ("out group.invite request /reqInfo/userInfo/remark", "is never sent"),
    (
        "out group.invite request /reqInfo/inviteUsers/0/remark",
        "sent to the main server alone: judged as it is written",
    ),
    ("out group.members answer /members/0/userInfo/remark", "is never sent"),
    ("out group.notice request /operUser/remark", "is never sent"),
    ("out group.notice request /users/0/remark", "is never sent"),
    ("out letters request /letters/0/messageInfo/content/name", "is put together as /sns/chat/'s"),
];

/// Every text: `in` or `out`, the call, its part, a JSON pointer.
fn texts() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, path, operation) in SNS.operations() {
        let spec = CALLS.iter().find(|spec| spec.path == path);
        // What the platform is told a person reviews, and it holds no texts of users.
        if path == registry::PATH || spec.is_some_and(|spec| spec.to == Receiver::Platform) {
            continue;
        }
        let name = spec.map_or("letters", |spec| spec.name);
        let parts = [("request", &operation["requestBody"]), ("answer", &operation["responses"]["200"])];
        for (part, body) in parts {
            let mut leaves = BTreeSet::new();
            for media in SNS.resolved(body)["content"].as_object().into_iter().flat_map(serde_json::Map::values) {
                strings(&SNS, &media["schema"], String::new(), &mut leaves, 0);
            }
            for leaf in leaves {
                let (_, last) = leaf.rsplit_once('/').unwrap_or_default();
                if !NO_TEXT.contains(&last) {
                    let text = format!("{name} {part} {leaf}");
                    // Every answer has it.
                    let text = if part == "answer" && last == "msg" { "any answer /msg".to_owned() } else { text };
                    found.extend(["in", "out"].map(|way| format!("{way} {text}")));
                }
            }
        }
    }
    found
}

/// JSON pointers of the strings that a schema has; of lists the first.
fn strings(document: &Document, schema: &Value, at: String, found: &mut BTreeSet<String>, depth: usize) {
    let schema = document.resolved(schema);
    assert!(depth < 12, "{at}");
    for several in ["allOf", "anyOf", "oneOf"] {
        for one in schema[several].as_array().into_iter().flatten() {
            strings(document, one, at.clone(), found, depth + 1);
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        strings(document, property, format!("{at}/{name}"), found, depth + 1);
    }
    if schema.get("items").is_some() {
        strings(document, &schema["items"], format!("{at}/0"), found, depth + 1);
    }
    if schema["type"] == "string" || schema["type"].as_array().is_some_and(|types| types.contains(&"string".into())) {
        found.insert(at);
    }
}

fn info(id: &str) -> Value {
    json!({"userID": id, "name": "a stranger", "remark": "what a day"})
}

fn group_info(id: &str, owner: &str) -> Value {
    json!({"groupID": id, "groupName": "tea", "groupMemberNum": 2, "createUser": owner, "createTime": "yesterday"})
}

fn in_group(from: &str, group: &str, id: &str, text: &str) -> Value {
    let mut message = isthmus_tests::text_message(from, group, id, text);
    message["messageInfo"]["chatScene"] = "group".into();
    message
}

fn file_message(from: &str, to: &str, name: &str) -> Value {
    let content = json!({"size": 1, "name": name, "mediaID": fresh_id(), "md5": "0cc175b9c0f1b6a831c399e269772661"});
    json!({"messageInfo": {"sendID": from, "recvID": to, "messageType": "file", "version": "V1", "chatScene": "user",
        "messageID": fresh_id(), "content": content}})
}

fn encoded(text: &str) -> String {
    isthmus_wire::path::encode(text)
}

/// What becomes of a call that carries a rejected text.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// 1103; a masked one is shown.
    Refused,
    /// 0, without it; a masked one is shown.
    Replaced,
    /// 0, and the field is shown to nobody in any case.
    Dropped,
    /// 1103; a masked one is not shown yet.
    RefusedUnseen,
}

struct Stage {
    world: World,
    west: FakePeer,
    alice: Client,
    cases: RefCell<BTreeSet<String>>,
    number: RefCell<u32>,
}

impl Stage {
    async fn new() -> Stage {
        let world = World::one().await;
        let alice = world.north().user("alice").await;
        let west = FakePeer::start(&world, "west", |_| Reply::Code(0)).await;
        Stage { world, west, alice, cases: RefCell::default(), number: RefCell::default() }
    }

    fn north(&self) -> &Site {
        self.world.north()
    }

    async fn guard(&self) {
        let lists: &[(&str, &[&str])] = &[("reject", &WORDS[..1]), ("mask", &WORDS[1..])];
        self.north().activate(&bundle::shipped(self.world.folder("strict"), lists)).await;
    }

    /// A word that is not used elsewhere.
    fn fresh(&self, kind: &str) -> String {
        let mut number = self.number.borrow_mut();
        *number += 1;
        format!("{kind}{number}x")
    }

    fn note(&self, way: &str, case: &str) {
        self.cases.borrow_mut().insert(format!("{way} {case}"));
    }

    async fn api(&self, who: &Client, method: Method, path: &str, body: Value) -> Value {
        let body = (!body.is_null()).then_some(body);
        who.api.call(method, path, body.as_ref()).await.unwrap().1
    }

    async fn get(&self, who: &Client, path: &str) -> Value {
        self.api(who, Method::GET, path, Value::Null).await
    }

    /// All that a user is shown.
    async fn seen_by(&self, who: &Client) -> String {
        let mut all = Vec::new();
        for path in ["inbox?after=0&limit=500", "contacts", "friends/requests", "groups/pending", "groups", "profile"] {
            all.push(self.get(who, &format!("/client/v1/{path}")).await);
        }
        for group in all[4]["groups"].as_array().unwrap().clone() {
            let path = format!("/client/v1/groups/{}", encoded(group["groupInfo"]["groupID"].as_str().unwrap()));
            for more in ["/members", "/history?size=200", "/applicants", ""] {
                all.push(self.get(who, &format!("{path}{more}")).await);
            }
        }
        Value::from(all).to_string()
    }

    async fn shown(&self, who: &Client, mark: &str) {
        until(&format!("{} is shown {mark}", who.id), async || self.seen_by(who).await.contains(mark).then_some(()))
            .await;
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.west.caller.call(&self.north().address(), Method::POST, path, body.to_string()).await.unwrap().1
    }

    async fn ask(&self, path: &str) -> Value {
        self.west.caller.call(&self.north().address(), Method::GET, path, "").await.unwrap().1
    }

    /// One text of a request of west's. `body` makes a good one in the name of a user of west's.
    async fn comes_in(&self, spec: &CallSpec, at: &str, then: Then, body: impl Fn(&str) -> Value) {
        let case = format!("{} request {at}", spec.name);
        for word in WORDS {
            let walter = format!("{}@west", self.fresh("w"));
            let mark = self.fresh("t");
            let mut body = body(&walter);
            let param = body.as_object_mut().unwrap().remove("param");
            let place = body.pointer_mut(at).unwrap_or_else(|| panic!("{case}: the body has no such field"));
            *place = format!("{word} {mark}").into();
            if spec.name == call::USER_ANSWER.name {
                let asked = json!({"userID": walter, "remark": "it is me"});
                assert_eq!(self.api(&self.alice, Method::POST, "/client/v1/friends", asked).await["code"], 0);
            }
            let path = spec.path_for(param.as_ref().and_then(Value::as_str).unwrap_or_default());
            let answer = self.post(&path, &body).await;
            let rejected = word == WORDS[0] && matches!(then, Then::Refused | Then::RefusedUnseen);
            assert_eq!(answer["code"], if rejected { 1103 } else { 0 }, "{case}: {word}: {answer}");
            if word == WORDS[1] && matches!(then, Then::Refused | Then::Replaced) {
                self.shown(&self.alice, &format!("****** {mark}")).await;
            }
        }
        self.note("in", &case);
    }

    /// What north told of texts with this mark: none of the words, and the mark only where one was masked.
    fn told(&self, case: &str, said: &str, marks: [&str; 2]) {
        assert!(!WORDS.iter().any(|word| said.contains(word)), "{case}: {said}");
        assert!(!said.contains(marks[0]), "{case}: {said}");
        assert!(said.contains(&format!("****** {}", marks[1])), "{case}: {said}");
        self.note("out", case);
    }

    async fn clean(&self) {
        let seen = self.seen_by(&self.alice).await;
        assert!(!WORDS.iter().any(|word| seen.contains(word)), "alice is shown: {seen}");
    }

    async fn create_group(&self, owner: &Client, name: &str) -> String {
        let answer = self.api(owner, Method::POST, "/client/v1/groups", json!({"groupName": name})).await;
        answer["groupInfo"]["groupID"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// A user of west's applies to a group of north's, whose owner lets it in.
    async fn join_from_west(&self, owner: &Client, group: &str, who: &str) {
        let req = json!({"reqInfo": {"groupInfo": group_info(group, &owner.id), "userInfo": info(who), "inviteUsers": [info(who)]}});
        assert_eq!(self.post("/sns/invite/groupreq", &req).await["code"], 0);
        let decide = format!("/client/v1/groups/{}/decide", encoded(group));
        let answer = self.api(owner, Method::POST, &decide, json!({"userID": who, "agree": true})).await;
        assert_eq!(answer["code"], 0, "{answer}");
    }

    /// alice becomes a member of a group of west's.
    async fn join_at_west(&self, group: &str) {
        let req = json!({"reqInfo": {"groupInfo": group_info(group, "w@west"), "userInfo": info("w@west"), "inviteUsers": [self.alice.id]}});
        assert_eq!(self.post("/sns/invite/groupreq", &req).await["code"], 0);
        let path = format!("/client/v1/groups/{}/answer", encoded(group));
        assert_eq!(self.api(&self.alice, Method::POST, &path, json!({"agree": true})).await["code"], 0);
        let notice = json!({"groupInfo": group_info(group, "w@west"), "operType": 1, "operUser": info("w@west"),
            "users": [info(&self.alice.id)]});
        assert_eq!(self.post("/sns/notify/grpnotify", &notice).await["code"], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_between_servers_passes_the_content_policy_both_ways() {
    let stage = Stage::new().await;
    going::all(&stage).await;
    coming::requests(&stage).await;
    coming::extensions(&stage).await;
    coming::answers(&stage).await;
    stage.clean().await;
    let mut held = stage.cases.borrow().clone();
    held.extend(APART.iter().map(|(case, _)| (*case).to_owned()));
    let all = texts();
    let missing: Vec<_> = all.difference(&held).collect();
    assert!(missing.is_empty(), "no case is about {missing:#?}");
    let made_up: Vec<_> = held.difference(&all).collect();
    assert!(made_up.is_empty(), "docs/openapi/sns.json has no {made_up:#?}");
    stage.west.stop().await;
    stage.world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_that_an_administrator_gives_a_user_passes_the_content_policy() {
    let stage = Stage::new().await;
    stage.guard().await;
    let create = async |id: &str, name: &str| {
        let body = json!({"userID": id, "name": name, "password": "a long password"});
        stage.north().admin(Role::System).call(Method::POST, "/admin/v1/users", Some(&body)).await.unwrap().1
    };
    assert_eq!(create("mallory", "verboten").await["code"], 1103);
    assert_eq!(create("verboten", "").await["code"], 1103, "a name of one's own is the ID");
    assert_eq!(create("trent", "geheim Trent").await["name"], "****** Trent");
    let users = stage.north().admin(Role::System).get("/admin/v1/users").await.unwrap();
    assert_eq!(users["users"].as_array().unwrap().len(), 2, "{users}");
    let records = stage.north().audit("operation=admin.user.create").await;
    assert!(records.iter().any(|r| r["code"] == 1103 && r["outcome"] == "rejected"), "{records:?}");
    stage.west.stop().await;
    stage.world.finish().await;
}
