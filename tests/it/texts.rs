//! The content policy on all of it: every text that a call between servers carries passes it, on the way in and on the way
//! out, in requests and in answers. Which texts there are is read from `docs/openapi/sns.json`: a new one that no case here
//! is about fails the test.

use std::cell::RefCell;
use std::collections::BTreeSet;

use http::Method;
use isthmus_tests::client::fresh_id;
use isthmus_tests::openapi::SNS;
use isthmus_tests::{Client, FakePeer, Reply, Role, Site, World, bundle, until};
use isthmus_wire::call::{self, CALLS, CallSpec, Receiver};
use isthmus_wire::letters;
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
        if spec.is_some_and(|spec| spec.to == Receiver::Platform) {
            continue;
        }
        let name = spec.map_or("letters", |spec| spec.name);
        let parts = [("request", &operation["requestBody"]), ("answer", &operation["responses"]["200"])];
        for (part, body) in parts {
            let mut leaves = BTreeSet::new();
            for media in SNS.resolved(body)["content"].as_object().into_iter().flat_map(serde_json::Map::values) {
                strings(&media["schema"], String::new(), &mut leaves, 0);
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
fn strings(schema: &Value, at: String, found: &mut BTreeSet<String>, depth: usize) {
    let schema = SNS.resolved(schema);
    assert!(depth < 12, "{at}");
    for several in ["allOf", "anyOf", "oneOf"] {
        for one in schema[several].as_array().into_iter().flatten() {
            strings(one, at.clone(), found, depth + 1);
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        strings(property, format!("{at}/{name}"), found, depth + 1);
    }
    if schema.get("items").is_some() {
        strings(&schema["items"], format!("{at}/0"), found, depth + 1);
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

/// Requests of another server.
async fn requests_come_in(stage: &Stage) {
    let alice = &stage.alice.id;
    let chat = |from: &str| isthmus_tests::text_message(from, alice, &fresh_id(), "hello");
    stage.comes_in(&call::MESSAGE_SEND, "/messageInfo/content/message", Then::Refused, chat).await;
    let file = |from: &str| file_message(from, alice, "a.txt");
    stage.comes_in(&call::MESSAGE_SEND, "/messageInfo/content/name", Then::RefusedUnseen, file).await;
    let add = |from: &str| json!({"userID": alice, "remark": "it is me", "userInfo": info(from)});
    for at in ["/remark", "/userInfo/name", "/userInfo/remark"] {
        stage.comes_in(&call::USER_ADD, at, Then::Refused, add).await;
    }
    let answer = |from: &str| json!({"userID": alice, "isAgree": 1, "userInfo": info(from)});
    for at in ["/userInfo/name", "/userInfo/remark"] {
        stage.comes_in(&call::USER_ANSWER, at, Then::Refused, answer).await;
    }
    let group = stage.create_group(&stage.alice, "ours").await;
    let apply = |from: &str| json!({"reqInfo": {"groupInfo": group_info(&group, alice), "userInfo": {"userID": from, "name": "W"}, "inviteUsers": [info(from)]}});
    for (at, then) in [("/reqInfo/inviteUsers/0/name", Then::Refused), ("/reqInfo/inviteUsers/0/remark", Then::Refused)]
    {
        stage.comes_in(&call::GROUP_INVITE, at, then, apply).await;
    }
    let invite = |from: &str| {
        let theirs = format!("{}@west", fresh_id());
        json!({"reqInfo": {"groupInfo": group_info(&theirs, from), "userInfo": info(from), "inviteUsers": [info(alice)]}})
    };
    for (at, then) in [
        ("/reqInfo/groupInfo/groupName", Then::Refused),
        ("/reqInfo/userInfo/name", Then::Refused),
        ("/reqInfo/userInfo/remark", Then::Dropped),
    ] {
        stage.comes_in(&call::GROUP_INVITE, at, then, invite).await;
    }
    stage.join_from_west(&stage.alice, &group, "admin@west").await;
    let admins = format!("/client/v1/groups/{}/admins", encoded(&group));
    let body = json!({"users": ["admin@west"], "admin": true});
    assert_eq!(stage.api(&stage.alice, Method::POST, &admins, body).await["code"], 0);
    let update = |_: &str| json!({"param": group, "groupID": group, "ownerID": "admin@west", "groupInfo": group_info(&group, alice)});
    stage.comes_in(&call::GROUP_UPDATE, "/groupInfo/groupName", Then::Refused, update).await;
    let theirs = "theirs@west";
    stage.join_at_west(theirs).await;
    let notice = |from: &str| json!({"groupInfo": group_info(theirs, "w@west"), "operType": 1, "operUser": info("w@west"), "users": [info(from)]});
    for (at, then) in [
        ("/groupInfo/groupName", Then::Replaced),
        ("/operUser/name", Then::Replaced),
        ("/operUser/remark", Then::Dropped),
        ("/users/0/name", Then::Replaced),
        ("/users/0/remark", Then::Dropped),
    ] {
        stage.comes_in(&call::GROUP_NOTICE, at, then, notice).await;
    }
}

/// Those that are no calls of chapter 7.
async fn extensions_come_in(stage: &Stage) {
    let alice = &stage.alice.id;
    for (at, make) in [
        ("/messageInfo/content/message", isthmus_tests::text_message("l@west", alice, &fresh_id(), "hello")),
        ("/messageInfo/content/name", file_message("l@west", alice, "a.txt")),
    ] {
        for (lane, word) in WORDS.iter().enumerate() {
            let (mut letter, mark) = (make.clone(), stage.fresh("t"));
            letter["lane"] = lane.into();
            letter["messageInfo"]["messageID"] = fresh_id().into();
            *letter.pointer_mut(at).unwrap() = format!("{word} {mark}").into();
            let answer = stage.post(letters::PATH, &json!({"letters": [letter]})).await;
            assert_eq!(answer["answers"][0]["code"], if lane == 0 { 1103 } else { 0 }, "{answer}");
            if lane == 1 && at.ends_with("message") {
                stage.shown(&stage.alice, &format!("****** {mark}")).await;
            }
        }
        stage.note("in", &format!("letters request /letters/0{at}"));
    }
    for word in WORDS {
        let mark = stage.fresh("t");
        let media = stage.alice.upload("file", "plan.txt", b"the plan").await.unwrap();
        let sent = stage.alice.send_file("w@west", "file", &media).await.unwrap();
        assert_eq!(stage.alice.receipt(&sent).await.0, "delivered");
        let report = json!({"messageID": sent.id, "userID": "w@west", "code": 1401, "msg": format!("{word} {mark}")});
        assert_eq!(stage.post(call::FILE_REPORT.path, &report).await["code"], 0);
        if word == WORDS[1] {
            stage.shown(&stage.alice, &format!("****** {mark}")).await;
        }
    }
    stage.note("in", "file.report request /msg");
}

/// What another server answers.
async fn answers_come_in(stage: &Stage) {
    let alice = &stage.alice;
    let theirs = "mirrored@west";
    stage.join_at_west(theirs).await;
    let cases: &[(&str, &str, &str, Value)] = &[
        (
            "user.search",
            "/userInfos/0/name",
            "users/search?query=a&scope=server:west",
            json!({"pages": 1, "page": 0, "userInfos": [info("s@west")]}),
        ),
        (
            "user.search",
            "/userInfos/0/remark",
            "users/search?query=a&scope=server:west",
            json!({"pages": 1, "page": 0, "userInfos": [info("s@west")]}),
        ),
        ("user.details", "/userInfo/name", "users/d%40west", json!({"userInfo": info("d@west")})),
        ("user.details", "/userInfo/remark", "users/d%40west", json!({"userInfo": info("d@west")})),
        (
            "group.search",
            "/groups/0/groupName",
            "groups/search?query=a&scope=server:west",
            json!({"pages": 1, "page": 0, "groups": [group_info("s@west", "w@west")]}),
        ),
        (
            "group.info",
            "/groupInfo/groupName",
            "groups/other%40west",
            json!({"groupInfo": group_info("other@west", "w@west")}),
        ),
        ("any", "/msg", "users/search?query=a&scope=server:west", json!({"code": 1, "msg": ""})),
    ];
    for (call, at, path, answer) in cases {
        for word in WORDS {
            let (mark, mut answer) = (stage.fresh("t"), answer.clone());
            *answer.pointer_mut(at).unwrap() = format!("{word} {mark}").into();
            if answer.get("code").is_none() {
                (answer["code"], answer["msg"]) = (0.into(), "success".into());
            }
            stage.west.answer_calls(move |_| answer.clone());
            let shown = stage.get(alice, &format!("/client/v1/{path}")).await.to_string();
            assert!(!WORDS.iter().any(|word| shown.contains(word)), "{call}: {shown}");
            assert_eq!(shown.contains(&format!("****** {mark}")), word == WORDS[1], "{call} {at}: {shown}");
        }
        stage.note("in", &format!("{call} answer {at}"));
    }
    let marks = [stage.fresh("t"), stage.fresh("t")];
    let tainted = |n: usize| format!("{} {}", WORDS[n], marks[n]);
    let members = json!([{"userType": 3, "userInfo": {"userID": "w@west", "name": tainted(0), "remark": tainted(0)}},
        {"userType": 1, "userInfo": {"userID": "v@west", "name": tainted(1), "remark": tainted(0)}},
        {"userType": 1, "userInfo": info(&alice.id)}]);
    let page = json!([
        in_group("w@west", theirs, "m1", &tainted(0))["messageInfo"],
        in_group("w@west", theirs, "m2", &tainted(1))["messageInfo"],
        file_message("w@west", theirs, &tainted(0))["messageInfo"],
        in_group("w@west", theirs, "m3", "clean")["messageInfo"]
    ]);
    let mut page = page;
    page[2]["chatScene"] = "group".into();
    stage.west.answer_calls(move |call| match call.path.as_str() {
        "/sns/groupInfo" => json!({"code": 0, "msg": "", "groupInfo": group_info(theirs, "w@west")}),
        "/sns/groupmembers" => json!({"code": 0, "msg": "", "members": members}),
        "/sns/grpchat" if call.query.contains("size=-") => {
            json!({"code": 0, "msg": "", "maxMessageID": "", "minMessageID": "", "messages": []})
        }
        "/sns/grpchat" => json!({"code": 0, "msg": "", "maxMessageID": "m3", "minMessageID": "m1", "messages": page}),
        _ => json!({"code": 0, "msg": "success"}),
    });
    let mut changed = json!({"groupInfo": group_info(theirs, "w@west"), "operType": 7, "operUser": info("w@west")});
    changed["groupInfo"]["groupMemberNum"] = 3.into();
    assert_eq!(stage.post("/sns/notify/grpnotify", &changed).await["code"], 0);
    until("the mirror has healed", async || stage.seen_by(alice).await.contains("clean").then_some(())).await;
    let path = format!("/client/v1/groups/{}/members", encoded(theirs));
    let shown = stage.get(alice, &path).await.to_string();
    assert!(shown.contains(&format!("****** {}", marks[1])), "{shown}");
    stage.shown(alice, &format!("****** {}", marks[1])).await;
    for case in [
        "group.members answer /members/0/userInfo/name",
        "group.members answer /members/0/userInfo/remark",
        "group.history answer /messages/0/content/message",
        "group.history answer /messages/0/content/name",
    ] {
        stage.note("in", case);
    }
    stage.west.answer_calls(|_| json!({"code": 0, "msg": "success"}));
}

/// What north tells of what its users wrote before the policy was there, and what they write afterwards.
async fn all_goes_out(stage: &Stage) {
    let (path, marks) = ("/client/v1", [stage.fresh("t"), stage.fresh("t")]);
    let mut people = Vec::new();
    for n in 0..2 {
        let user = stage.north().user(["bob", "eve"][n]).await;
        let said = format!("{} {}", WORDS[n], marks[n]);
        let profile = json!({"name": said, "remark": said});
        assert_eq!(stage.api(&user, Method::PUT, &format!("{path}/profile"), profile).await["code"], 0);
        let group = stage.create_group(&user, &said).await;
        stage.join_from_west(&user, &group, "member@west").await;
        let body = json!({"clientID": fresh_id(), "recvID": group, "scene": "group", "text": said});
        assert_eq!(stage.api(&user, Method::POST, &format!("{path}/messages"), body).await["code"], 0);
        let media = user.upload("file", &said, b"a").await.unwrap();
        let body = json!({"clientID": fresh_id(), "recvID": group, "scene": "group", "type": "file", "mediaID": media});
        assert_eq!(stage.api(&user, Method::POST, &format!("{path}/messages"), body).await["code"], 0);
        people.push((user, group, said, media));
    }
    stage.world.lanes_empty().await;
    let before = stage.west.heard().len();
    stage.guard().await;
    let marks = [marks[0].as_str(), marks[1].as_str()];
    let mut answers = vec![Vec::new(); 5];
    for (user, group, ..) in &people {
        let (id, group) = (encoded(&user.id), encoded(group));
        for (n, path) in [
            format!("users?userID={id}"),
            format!("groupInfo?groupID={group}"),
            format!("groupmembers?groupID={group}"),
            format!("grpchat?groupID={group}&messageID=-1&size=200"),
            format!("find/users?query=%22{id}%22"),
        ]
        .into_iter()
        .enumerate()
        {
            let answer = stage.ask(&format!("/sns/{path}")).await;
            assert_eq!(answer["code"], 0, "{path}: {answer}");
            answers[n].push(answer.to_string());
        }
    }
    let said: Vec<String> = answers.into_iter().map(|answers| answers.concat()).collect();
    for (n, case) in [
        (0, "user.details answer /userInfo/name"),
        (0, "user.details answer /userInfo/remark"),
        (1, "group.info answer /groupInfo/groupName"),
        (2, "group.members answer /members/0/userInfo/name"),
        (3, "group.history answer /messages/0/content/message"),
        (3, "group.history answer /messages/0/content/name"),
        (4, "user.search answer /userInfos/0/name"),
        (4, "user.search answer /userInfos/0/remark"),
    ] {
        stage.told(case, &said[n], marks);
    }
    assert_eq!(said[3].matches("[withheld by content policy]").count(), 2, "their places are kept: {}", said[3]);
    assert_eq!(said[0].matches(marks[1]).count(), 2, "name and words: {}", said[0]);
    let found = stage.ask("/sns/find/groups?query=t").await.to_string();
    stage.told("group.search answer /groups/0/groupName", &found, marks);
    for (n, (user, group, said, media)) in people.iter().enumerate() {
        let refused = if n == 0 { 1103 } else { 0 };
        let send = |more: Value| {
            let mut body = json!({"clientID": fresh_id(), "recvID": "w@west"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        for body in [json!({"text": said}), json!({"type": "file", "mediaID": media})] {
            let answer = stage.api(user, Method::POST, &format!("{path}/messages"), send(body)).await;
            assert_eq!(answer["code"], refused, "{answer}");
        }
        let friend = json!({"userID": format!("f{n}@west"), "remark": said});
        assert_eq!(stage.api(user, Method::POST, &format!("{path}/friends"), friend).await["code"], refused);
        let friend = json!({"userID": format!("f{n}@west")});
        assert_eq!(stage.api(user, Method::POST, &format!("{path}/friends"), friend).await["code"], 0);
        let add = json!({"userID": user.id, "userInfo": info(&format!("g{n}@west"))});
        assert_eq!(stage.post("/sns/add/users", &add).await["code"], 0);
        let yes = format!("{path}/friends/g{n}%40west/answer");
        assert_eq!(stage.api(user, Method::POST, &yes, json!({"agree": true})).await["code"], 0);
        let of = format!("{path}/groups/{}", encoded(group));
        assert_eq!(stage.api(user, Method::PUT, &of, json!({"isAllow": false})).await["code"], 0);
        let invited = json!({"users": [format!("i{n}@west")]});
        let answer = stage.api(user, Method::POST, &format!("{of}/invite"), invited).await;
        assert_eq!(answer["code"], refused, "the group's name is refused: {answer}");
        assert_eq!(
            stage
                .api(user, Method::POST, &format!("{of}/admins"), json!({"users": ["member@west"], "admin": true}))
                .await["code"],
            0
        );
        let other = format!("other{n}@west");
        stage.join_at_west_as(user, &other).await;
        let change = json!({"groupName": said});
        let answer = stage.api(user, Method::PUT, &format!("{path}/groups/{}", encoded(&other)), change).await;
        assert_eq!(answer["code"], refused, "{answer}");
    }
    stage.world.lanes_empty().await;
    let kept = Value::from(stage.west.kept()).to_string();
    let new: Vec<Value> = stage.west.heard()[before..].iter().map(|call| call.body.clone()).collect();
    let new = Value::from(new).to_string();
    assert!(!WORDS.iter().any(|word| new.contains(word)), "{new}");
    assert_eq!(kept.matches(WORDS[1]).count(), 2, "what went out before the policy was there: {kept}");
    assert_eq!(kept.matches(&format!("****** {}", marks[1])).count(), 2, "text and file: {kept}");
    for case in ["/messageInfo/content/message", "/messageInfo/content/name"] {
        stage.note("out", &format!("message.send request {case}"));
    }
    let after = |path: &str| {
        let heard = stage.west.heard();
        let calls = heard[before..].iter().filter(|call| call.path == path).map(|call| call.body.clone());
        Value::from(calls.collect::<Vec<_>>()).to_string()
    };
    for (path, cases) in [
        (
            "/sns/add/users",
            &[
                "friend.request request /remark",
                "friend.request request /userInfo/name",
                "friend.request request /userInfo/remark",
            ][..],
        ),
        ("/sns/rsp/users", &["friend.answer request /userInfo/name", "friend.answer request /userInfo/remark"]),
        (
            "/sns/invite/groupreq",
            &[
                "group.invite request /reqInfo/groupInfo/groupName",
                "group.invite request /reqInfo/userInfo/name",
                "group.invite request /reqInfo/inviteUsers/0/name",
            ],
        ),
        (
            "/sns/notify/grpnotify",
            &[
                "group.notice request /groupInfo/groupName",
                "group.notice request /operUser/name",
                "group.notice request /users/0/name",
            ],
        ),
    ] {
        cases.iter().for_each(|case| stage.told(case, &after(path), marks));
    }
    let updates = stage.west.heard().into_iter().filter(|call| call.path.starts_with("/sns/update/grpinfo/"));
    let updates = Value::from(updates.map(|call| call.body).collect::<Vec<_>>()).to_string();
    stage.told("group.update request /groupInfo/groupName", &updates, marks);
    // To servers of our make many go together.
    stage.west.take_together(8);
    let eve = &people[1].0;
    for text in ["geheim", "geheim together"] {
        let sent = eve.send("w@west", text).await;
        assert_eq!(eve.receipt(&sent).await.0, "delivered");
    }
    assert!(stage.west.batches() > 0);
    assert!(stage.west.texts().contains(&"****** together".to_owned()));
    stage.note("out", "letters request /letters/0/messageInfo/content/message");
}

impl Stage {
    /// Another user of north's becomes an admin of a group of west's.
    async fn join_at_west_as(&self, user: &Client, group: &str) {
        let req = json!({"reqInfo": {"groupInfo": group_info(group, "w@west"), "userInfo": info("w@west"), "inviteUsers": [user.id]}});
        assert_eq!(self.post("/sns/invite/groupreq", &req).await["code"], 0);
        let path = format!("/client/v1/groups/{}/answer", encoded(group));
        assert_eq!(self.api(user, Method::POST, &path, json!({"agree": true})).await["code"], 0);
        for oper in [1, 4] {
            let notice = json!({"groupInfo": group_info(group, "w@west"), "operType": oper, "operUser": info("w@west"), "users": [info(&user.id)]});
            assert_eq!(self.post("/sns/notify/grpnotify", &notice).await["code"], 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_between_servers_passes_the_content_policy_both_ways() {
    let stage = Stage::new().await;
    all_goes_out(&stage).await;
    requests_come_in(&stage).await;
    extensions_come_in(&stage).await;
    answers_come_in(&stage).await;
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
