//! Users and friends (§7.6, R11, R12, R14, R17, R18), between two servers, and with one that knows the standard alone.

use http::Method;
use isthmus_net::Credentials;
use isthmus_tests::bundle;
use isthmus_tests::peer::Call;
use isthmus_tests::{Client, FakePeer, Peer, Reply, Site, World, until};
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

async fn ask(client: &Client, other: &str, remark: &str) -> Value {
    call(client, Method::POST, "/client/v1/friends", Some(json!({"userID": other, "remark": remark}))).await
}

async fn answer(client: &Client, other: &str, agree: bool) -> Value {
    let path = format!("/client/v1/friends/{}/answer", encoded(other));
    call(client, Method::POST, &path, Some(json!({"agree": agree}))).await
}

async fn delete(client: &Client, other: &str) -> Value {
    call(client, Method::DELETE, &format!("/client/v1/friends/{}", encoded(other)), None).await
}

async fn profile(client: &Client, change: Value) -> Value {
    call(client, Method::PUT, "/client/v1/profile", Some(change)).await
}

async fn stand(client: &Client, other: &str) -> String {
    let found = get(client, &format!("/client/v1/friends/{}", encoded(other))).await;
    assert_eq!(found["isFriend"], found["stand"] == "friends");
    found["stand"].as_str().unwrap().to_owned()
}

async fn becomes(client: &Client, other: &str, wanted: &str) {
    let what = format!("{} and {other}: {wanted}", client.id);
    until(&what, async || (stand(client, other).await == wanted).then_some(())).await;
}

/// The news of a kind, once there are so many.
async fn news(client: &Client, kind: &str, many: usize) -> Vec<Value> {
    until(&format!("{} has {many} {kind}", client.id), async || {
        let inbox = client.inbox(0).await;
        let found: Vec<Value> = inbox.iter().filter_map(|event| event.news(kind).cloned()).collect();
        (found.len() >= many).then_some(found)
    })
    .await
}

async fn search(client: &Client, query: &str, scope: &str) -> Value {
    call(client, Method::GET, &format!("/client/v1/users/search?query={}&scope={scope}", encoded(query)), None).await
}

fn ids(found: &Value) -> Vec<&str> {
    found["userInfos"].as_array().unwrap().iter().map(|info| info["userID"].as_str().unwrap()).collect()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A call of another server.
async fn post(peer: &Peer, site: &Site, path: &str, body: &Value) -> (u16, i64, Value) {
    let (status, answer) = peer.call(&site.address(), Method::POST, path, body.to_string()).await.unwrap();
    (status, answer["code"].as_i64().unwrap(), answer)
}

async fn fetch(peer: &Peer, site: &Site, path: &str) -> (u16, i64, Value) {
    let (status, answer) = peer.call(&site.address(), Method::GET, path, "").await.unwrap();
    (status, answer["code"].as_i64().unwrap(), answer)
}

fn info(id: &str, name: &str) -> Value {
    json!({"userID": id, "name": name})
}

#[tokio::test(flavor = "multi_thread")]
async fn r18_two_users_of_two_servers_become_friends_and_part_again() {
    let world = World::two().await;
    let (alice, carol) = (world.north().user("alice").await, world.south().user("carol").await);
    profile(&alice, json!({"name": "艾丽丝 😀", "phoneNumber": "+86 138 0013 8000"})).await;
    let portrait = carol.upload("portrait", "me.png", b"\x89PNG\r\n\x1a\n").await.unwrap();
    profile(&carol, json!({"name": "卡罗尔", "phoneNumber": "008613900139000", "portrait": portrait})).await;
    let found = search(&alice, "罗", "server:south").await;
    assert_eq!((ids(&found), found["pages"].as_i64(), found["page"].as_i64()), (vec!["carol@south"], Some(1), Some(0)));
    assert_eq!(found["userInfos"][0].get("phoneNumber"), None, "{found}");
    assert_eq!(found["userInfos"][0]["portrait"], portrait);
    assert_eq!(ask(&alice, "carol@south", "你好，我是艾丽丝 👋").await["stand"], "asked");
    assert_eq!(ask(&alice, "carol@south", "again").await["stand"], "asked", "a repeated request changes nothing");
    let told = news(&carol, "friend.request", 1).await.remove(0);
    assert_eq!((&told["userID"], &told["remark"]), (&"alice@north".into(), &"你好，我是艾丽丝 👋".into()));
    assert_eq!((&told["userInfo"]["name"], told["userInfo"].get("phoneNumber")), (&"艾丽丝 😀".into(), None));
    let requests = get(&carol, "/client/v1/friends/requests").await;
    assert_eq!(
        (&requests["requests"][0]["stand"], &requests["requests"][0]["remark"]),
        (&"asks".into(), &"你好，我是艾丽丝 👋".into())
    );
    for _ in 0..2 {
        assert_eq!(answer(&carol, "alice@north", true).await["stand"], "friends");
    }
    becomes(&alice, "carol@south", "friends").await;
    let contacts = get(&alice, "/client/v1/contacts").await;
    let contact = &contacts["contacts"][0]["userInfo"];
    assert_eq!(
        (&contact["name"], &contact["phoneNumber"]),
        (&"卡罗尔".into(), &"008613900139000".into()),
        "{contacts}"
    );
    let details = get(&alice, "/client/v1/users/carol%40south").await;
    assert_eq!(
        (&details["stand"], &details["userInfo"]["phoneNumber"]),
        (&"friends".into(), &"008613900139000".into())
    );
    let both = get(&alice, "/client/v1/friends/carol%40south?home=true").await;
    assert_eq!((&both["isFriend"], &both["atHome"]), (&true.into(), &true.into()), "{both}");
    for _ in 0..2 {
        assert_eq!(delete(&alice, "carol@south").await["stand"], "none");
    }
    becomes(&carol, "alice@north", "none").await;
    assert_eq!(news(&carol, "friend.deleted", 1).await[0]["was"], "friends");
    assert_eq!(get(&alice, "/client/v1/contacts").await["contacts"], json!([]));
    let both = get(&carol, "/client/v1/friends/alice%40north?home=true").await;
    assert_eq!((&both["isFriend"], &both["atHome"]), (&false.into(), &false.into()), "{both}");
    assert_eq!(answer(&carol, "alice@north", true).await["code"], 1202, "an answer without an open request");
    for (site, operation) in [
        ("north", "friend.request"),
        ("south", "friend.request"),
        ("south", "friend.answer"),
        ("north", "friend.answer"),
        ("south", "friend.delete"),
        ("south", "user.search"),
        ("north", "friend.query"),
    ] {
        assert!(
            !world.site(site).audit(&format!("operation={operation}")).await.is_empty(),
            "{site} recorded no {operation}"
        );
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_a_server_that_is_down_and_a_refusal_comes_back() {
    let mut world = World::two().await;
    let (alice, carol) = (world.north().user("alice").await, world.south().user("carol").await);
    world.site_mut("south").stop().await;
    assert_eq!(ask(&alice, "carol@south", "later").await["stand"], "asked");
    assert_eq!(delete(&alice, "carol@south").await["stand"], "none");
    assert_eq!(ask(&alice, "carol@south", "after all").await["stand"], "asked");
    let down = search(&alice, "carol", "server:south").await;
    assert_eq!(down["code"], 1303, "{down}");
    world.site_mut("south").start().await;
    let carol = carol.at(world.south());
    becomes(&carol, "alice@north", "asks").await;
    let kinds: Vec<_> = news(&carol, "friend.request", 2).await.iter().map(|n| n["remark"].clone()).collect();
    assert_eq!(kinds, ["later", "after all"], "in the order in which they were made");
    assert_eq!(answer(&carol, "alice@north", false).await["stand"], "none");
    let told = news(&alice, "friend.answer", 1).await.remove(0);
    assert_eq!(
        (&told["userID"], &told["isAgree"], &told["direction"]),
        (&"carol@south".into(), &2.into(), &"in".into())
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_knows_the_standard_alone_takes_part_in_all_of_it() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let west = FakePeer::start(&world, "west", |_| Reply::Code(0)).await;
    let north = world.north();
    // Numbers as strings, unknown fields, slashes (R1, R2); calls that come twice.
    let add = json!({"userID": "alice@north", "remark": "hi", "more": {"x": [1]}, "userInfo": {
        "userID": "walter@west", "name": "Walter", "phoneNumber": "00491701234567", "extra": null}});
    for path in ["/sns/add/users", "/sns/add/users/"] {
        assert_eq!(post(&west.caller, north, path, &add).await.1, 0, "{path}");
    }
    assert_eq!(news(&alice, "friend.request", 1).await.len(), 1);
    assert_eq!(answer(&alice, "walter@west", true).await["stand"], "friends");
    until("west has the answer", async || (west.heard().len() == 1).then_some(())).await;
    let heard = west.heard().remove(0);
    assert_eq!((heard.method.as_str(), heard.path.as_str()), ("POST", "/sns/rsp/users"));
    let expected =
        json!({"userID": "walter@west", "isAgree": 1, "userInfo": {"userID": "alice@north", "name": "alice"}});
    assert_eq!(heard.body, expected);
    let contact = get(&alice, "/client/v1/contacts").await["contacts"][0]["userInfo"].clone();
    assert_eq!(contact["phoneNumber"], "00491701234567", "friends see what was told with the request");
    let friend = fetch(&west.caller, north, "/sns/query/users/alice%40north?selfID=walter%40west").await;
    assert_eq!((friend.1, &friend.2["isFriend"]), (0, &1.into()));
    let friend = fetch(&west.caller, north, "/sns/query/users/alice%40north/?selfID=%22willa%40west%22").await;
    assert_eq!((friend.1, &friend.2["isFriend"]), (0, &2.into()));
    let gone = json!({"userID": "alice@north", "requesterID": "walter@west"});
    for _ in 0..2 {
        assert_eq!(post(&west.caller, north, "/sns/del/users/", &gone).await.1, 0);
    }
    assert_eq!(stand(&alice, "walter@west").await, "none");
    // Now she asks, and it answers, with a number as a string.
    assert_eq!(ask(&alice, "walter@west", "再来").await["stand"], "asked");
    let unasked = json!({"userID": "alice@north", "isAgree": 1, "userInfo": info("willa@west", "Willa")});
    assert_eq!(post(&west.caller, north, "/sns/rsp/users", &unasked).await.1, 1202);
    let yes = json!({"userID": "alice@north", "isAgree": "1", "userInfo": info("walter@west", "Walter")});
    for _ in 0..2 {
        assert_eq!(post(&west.caller, north, "/sns/rsp/users", &yes).await.1, 0);
    }
    assert_eq!(
        (stand(&alice, "walter@west").await.as_str(), news(&alice, "friend.answer", 2).await.len()),
        ("friends", 2)
    );
    let asked: Vec<Call> = west.heard().into_iter().filter(|call| call.path == "/sns/add/users").collect();
    let expected =
        json!({"userID": "walter@west", "remark": "再来", "userInfo": {"userID": "alice@north", "name": "alice"}});
    assert_eq!(asked.iter().map(|call| &call.body).collect::<Vec<_>>(), [&expected]);
    assert_eq!(delete(&alice, "walter@west").await["stand"], "none");
    until("west has the end", async || west.heard().iter().any(|c| c.path == "/sns/del/users").then_some(())).await;
    let ended = west.heard().pop().unwrap();
    assert_eq!(ended.body, json!({"userID": "walter@west", "requesterID": "alice@north"}));
    world.lanes_empty().await;
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cross_are_a_friendship_and_a_yes_goes_back() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let west = FakePeer::start(&world, "west", |_| Reply::Code(0)).await;
    ask(&alice, "walter@west", "hi").await;
    let add = json!({"userID": "alice@north", "userInfo": info("walter@west", "Walter")});
    assert_eq!(post(&west.caller, world.north(), "/sns/add/users", &add).await.1, 0);
    assert_eq!(stand(&alice, "walter@west").await, "friends");
    let answered = async || west.heard().iter().any(|call| call.path == "/sns/rsp/users").then_some(());
    until("west has the yes", answered).await;
    world.lanes_empty().await;
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_its_server_refuses_is_taken_back_in_its_words() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let west = FakePeer::start(&world, "west", |_| Reply::Code(0)).await;
    west.answer_calls(|_| json!({"code": 1102, "msg": "not from you"}));
    ask(&alice, "walter@west", "hi").await;
    becomes(&alice, "walter@west", "none").await;
    let told = news(&alice, "friend.request", 2).await.pop().unwrap();
    let told = [&told["direction"], &told["state"], &told["code"], &told["msg"]].map(Clone::clone);
    assert_eq!(told, [json!("out"), json!("refused"), json!(1102), json!("not from you")]);
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_nobody_asks_answers_deletes_or_looks_for_other_servers_users() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    world.north().create_user("bob").await;
    let (west, east) = (world.enrolled_peer("west").await, world.enrolled_peer("east").await);
    let add = |id: &str| json!({"userID": "alice@north", "userInfo": info(id, "X")});
    // R11: who presents an ID first that names no server is its home.
    assert_eq!(post(&east, world.north(), "/sns/add/users", &add("13800138000")).await.1, 0);
    for speaker in ["erin@east", "bob@north", "alice@NORTH", "13800138000"] {
        let rsp = json!({"userID": "alice@north", "isAgree": 1, "userInfo": info(speaker, "X")});
        let del = json!({"userID": "alice@north", "requesterID": speaker});
        let query = format!("/sns/query/users/alice%40north?selfID={}", encoded(speaker));
        let calls = [
            ("friend.request", post(&west, world.north(), "/sns/add/users", &add(speaker)).await),
            ("friend.answer", post(&west, world.north(), "/sns/rsp/users", &rsp).await),
            ("friend.delete", post(&west, world.north(), "/sns/del/users", &del).await),
            ("friend.query", fetch(&west, world.north(), &query).await),
        ];
        for (operation, answer) in calls {
            assert_eq!((answer.0, answer.1), (200, 1104), "{operation} by {speaker}: {}", answer.2);
            let records = world.north().audit(&format!("peer=west&operation={operation}")).await;
            let found = records.iter().any(|r| r["actor"] == speaker && r["code"] == 1104 && r["outcome"] == "failed");
            assert!(found, "{operation} by {speaker} is not in the audit log: {records:?}");
        }
    }
    assert_eq!(news(&alice, "friend.request", 1).await.len(), 1, "nothing else reached her");
    assert_eq!(stand(&alice, "13800138000").await, "asks");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_opaque_ids_are_found_befriended_and_left() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let west = FakePeer::start(&world, "west", |_| Reply::Code(0)).await;
    west.answer_calls(|call| match call.path.as_str() {
        // The last two are not west's to present.
        "/sns/find/users" => json!({"code": "0", "pages": "1", "page": 0, "userInfos": [
            info("用户/七?", "七"), info("x@nowhere", "X"), info("bob@north", "Bob"), info("alice@north", "Alice")]}),
        "/sns/users" => {
            json!({"code": 0, "userInfo": {"userID": "用户/七?", "name": "七", "phoneNumber": "0086123456789"}})
        }
        path if path.starts_with("/sns/query/users/") => json!({"code": 0, "msg": "", "isFriend": "2"}),
        _ => json!({"code": 0}),
    });
    let nobody = call(&alice, Method::POST, "/client/v1/friends", Some(json!({"userID": "用户/七?"}))).await;
    assert_eq!(nobody["code"], 1004, "not heard of yet: {nobody}");
    assert_eq!(ids(&search(&alice, "七", "server:west").await), ["用户/七?", "x@nowhere"]);
    assert_eq!(west.heard()[0].query, "query=%E4%B8%83&page=0");
    let details = get(&alice, &format!("/client/v1/users/{}", encoded("用户/七?"))).await;
    assert_eq!((&details["userInfo"]["name"], details["userInfo"].get("phoneNumber")), (&"七".into(), None));
    assert_eq!(ask(&alice, "用户/七?", "hi").await["stand"], "asked");
    let asked = get(&alice, &format!("/client/v1/friends/{}?home=true", encoded("用户/七?"))).await;
    assert_eq!((&asked["stand"], &asked["atHome"]), (&"asked".into(), &false.into()));
    let query = west.heard().into_iter().find(|call| call.path.starts_with("/sns/query/users/")).unwrap();
    assert_eq!(
        (query.path.as_str(), query.query.as_str()),
        ("/sns/query/users/%E7%94%A8%E6%88%B7%2F%E4%B8%83%3F", "selfID=alice%40north")
    );
    let yes = json!({"userID": "alice@north", "isAgree": 1, "userInfo": info("用户/七?", "七")});
    assert_eq!(post(&west.caller, world.north(), "/sns/rsp/users", &yes).await.1, 0);
    assert_eq!(stand(&alice, "用户/七?").await, "friends");
    assert_eq!(delete(&alice, "用户/七?").await["stand"], "none");
    // Found by way of the platform alone, which says who presented whom.
    west.answer_calls(|call| match call.path.as_str() {
        "/sns/find/users" => json!({"code": 0, "pages": 1, "page": 0, "userInfos": [info("八", "八")]}),
        _ => json!({"code": 0}),
    });
    assert_eq!(call(&alice, Method::POST, "/client/v1/friends", Some(json!({"userID": "八"}))).await["code"], 1004);
    assert_eq!(ids(&everywhere(&alice, "八", 0).await), ["八"]);
    assert_eq!(ask(&alice, "八", "hi").await["stand"], "asked");
    until("west is asked", async || {
        west.heard().iter().any(|call| call.path == "/sns/add/users" && call.body["userID"] == "八").then_some(())
    })
    .await;
    world.lanes_empty().await;
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_search_and_details_between_servers() {
    let world = World::one().await;
    let north = world.north();
    let alice = north.user("alice").await;
    let west = world.enrolled_peer("west").await;
    profile(&alice, json!({"name": "王小明", "phoneNumber": "008613800138000", "remark": "在线 👋"})).await;
    for number in 0..45 {
        north.create_user(&format!("clone{number:02}")).await;
    }
    let find = async |query: &str, page: &str| {
        fetch(&west, north, &format!("/sns/find/users?query={}{page}", encoded(query))).await.2
    };
    let cases = [
        ("小", 1),
        ("\"王小明\"", 1),
        ("\"小\"", 0),
        ("ALI", 1),
        ("\"+86 138-0013-8000\"", 1),
        ("%", 0),
        ("CLONE", 20),
    ];
    for (query, many) in cases {
        let found = find(query, "").await;
        assert_eq!((&found["code"], ids(&found).len()), (&0.into(), many), "{query}: {found}");
        assert!(found["userInfos"].as_array().unwrap().iter().all(|info| info.get("phoneNumber").is_none()), "{found}");
    }
    let mut seen = Vec::new();
    for page in 0..4 {
        let found = find("clone", &format!("&page%20=%20{page}")).await;
        assert_eq!((&found["pages"], &found["page"]), (&3.into(), &page.into()));
        seen.extend(ids(&found).iter().map(|id| (*id).to_owned()));
    }
    assert!(seen.is_sorted() && seen.len() == 45, "{seen:?}");
    for (query, code) in [
        ("/sns/find/users?query=", 1002),
        ("/sns/find/users?query=%22%22", 1002),
        ("/sns/find/users", 1002),
        ("/sns/find/users?query=a&page=-1", 1003),
        ("/sns/find/users?query=a&page=x", 1003),
        ("/sns/users", 1002),
        ("/sns/query/users/alice%40north", 1002),
    ] {
        assert_eq!(fetch(&west, north, query).await.1, code, "{query}");
    }
    let details = fetch(&west, north, "/sns/users/?userID=%22alice%40north%22").await.2;
    assert_eq!(details["userInfo"], json!({"userID": "alice@north", "name": "王小明", "remark": "在线 👋"}));
    assert_eq!(fetch(&west, north, "/sns/users?userID=nobody%40north").await.2, json!({"code": 0, "msg": "success"}));
    profile(&alice, json!({"hidden": true})).await;
    assert_eq!(ids(&find("小", "").await).len(), 0);
    assert_eq!(search(&alice, "小", "local").await["userInfos"], json!([]));
    assert_eq!(fetch(&west, north, "/sns/users?userID=alice%40north").await.2["userInfo"]["name"], "王小明");
    assert_eq!(search(&alice, "x", "moon").await["code"], 1003);
    assert_eq!(search(&alice, "\"\"", "local").await["code"], 1002);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_say_of_themselves_and_with_requests_passes_the_policy() {
    let world = World::two().await;
    let (alice, carol) = (world.north().user("alice").await, world.south().user("carol").await);
    let lists: &[(&str, &[&str])] = &[("reject", &["forbidden"]), ("mask", &["secret"]), ("hold", &["dubious"])];
    world.north().activate(&bundle::shipped(world.folder("north"), lists)).await;
    for words in ["a forbidden word", "a dubious word"] {
        assert_eq!(ask(&alice, "carol@south", words).await["code"], 1103, "{words}");
        assert_eq!(profile(&alice, json!({"name": words})).await["code"], 1103, "{words}");
    }
    assert_eq!(stand(&alice, "carol@south").await, "none");
    assert_eq!(profile(&alice, json!({"remark": "my secret life"})).await["userInfo"]["remark"], "my ****** life");
    ask(&alice, "carol@south", "a secret").await;
    assert_eq!(news(&carol, "friend.request", 1).await[0]["remark"], "a ******");
    // On the way in.
    delete(&alice, "carol@south").await;
    becomes(&carol, "alice@north", "none").await;
    ask(&carol, "alice@north", "a forbidden word").await;
    let refused = news(&carol, "friend.request", 3).await.pop().unwrap();
    assert_eq!((&refused["state"], &refused["code"]), (&"refused".into(), &1103.into()), "{refused}");
    ask(&carol, "alice@north", "secret").await;
    assert_eq!(news(&alice, "friend.request", 2).await.pop().unwrap()["remark"], "******");
    let denied = bundle::denying(world.folder("denying"), "friend.answer");
    world.north().activate(&denied).await;
    assert_eq!(answer(&alice, "carol@south", true).await["code"], 1102);
    world.finish().await;
}

/// A search by way of the platform.
async fn everywhere(client: &Client, query: &str, page: u32) -> Value {
    let path = format!("/client/v1/users/search?query={}&scope=all&page={page}", encoded(query));
    call(client, Method::GET, &path, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_the_platform_searches_all_servers_and_says_who_did_not_answer() {
    let mut world = World::two().await;
    let alice = world.north().user("alice").await;
    for number in 0..25 {
        world.north().create_user(&format!("nina{number:02}")).await;
        world.south().create_user(&format!("sina{number:02}")).await;
    }
    let west = FakePeer::start(&world, "west", |_| Reply::Code(0)).await;
    // A server whose pages are smaller than ours, and that presents a user of another.
    west.answer_calls(|call| {
        let page: usize = call.query.split("page=").nth(1).unwrap().parse().unwrap();
        let all: Vec<Value> =
            (0..5).map(|n| info(&format!("wina{n}"), "Wina")).chain([info("alice@north", "Ina")]).collect();
        json!({"code": 0, "pages": 3, "page": page, "userInfos": all[page * 2..page * 2 + 2]})
    });
    let mut seen = Vec::new();
    for page in 0..4 {
        let found = everywhere(&alice, "INA", page).await;
        assert_eq!((&found["code"], &found["pages"], found.get("note")), (&0.into(), &3.into(), None), "{found}");
        let on_page: Vec<String> = ids(&found).iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(on_page.len(), [20, 20, 15, 0][page as usize], "{found}");
        seen.extend(on_page);
    }
    let expected = (0..25).map(|n| format!("nina{n:02}@north"));
    let expected =
        expected.chain((0..25).map(|n| format!("sina{n:02}@south"))).chain((0..5).map(|n| format!("wina{n}")));
    assert_eq!(seen, expected.collect::<Vec<_>>(), "server after server, nobody twice");
    world.site_mut("south").stop().await;
    west.answer_calls(|_| json!({"code": 1302, "msg": "later"}));
    let found = everywhere(&alice, "\"nina07\"", 0).await;
    assert_eq!((ids(&found), &found["note"]), (vec!["nina07@north"], &"partial: no answer from south, west".into()));
    for query in ["\"\"", ""] {
        assert_eq!(everywhere(&alice, query, 0).await["code"], 1002);
    }
    world.site_mut("south").start().await;
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_the_platform_may_search_at_a_server_and_nothing_else() {
    let world = World::one().await;
    world.north().create_user("alice").await;
    let own = world.ca().issue_platform(&[], std::time::SystemTime::now(), 1).unwrap();
    let platform = world.peer(Some(Credentials::from_pem(&own.issued.chain_pem, &own.key_pem).unwrap()));
    let found = fetch(&platform, world.north(), "/sns/find/users?query=ali").await;
    assert_eq!((found.1, ids(&found.2)), (0, vec!["alice@north"]));
    let records = world.north().audit("operation=user.search").await;
    assert_eq!(records[0]["fields"]["by"], "platform", "{records:?}");
    let add = json!({"userID": "alice@north", "userInfo": info("alice@north", "X")});
    let calls = [
        fetch(&platform, world.north(), "/sns/users?userID=alice%40north").await,
        post(&platform, world.north(), "/sns/add/users", &add).await,
        post(&platform, world.north(), "/sns/chat/", &json!({})).await,
    ];
    for (status, code, answer) in calls {
        assert_eq!((status, code), (401, 1101), "{answer}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r18_strangers_may_write_unless_the_policy_says_otherwise() {
    let world = World::two().await;
    let (alice, carol) = (world.north().user("alice").await, world.south().user("carol").await);
    let bob = world.north().user("bob").await;
    alice.send("carol@south", "hello").await;
    carol.texts_once(1).await;
    let lines = "name = \"friends\"\ncomponent = \"builtin:access-list\"\ngrants = [\"lists\", \"directory\"]\n\
        [plugin.settings]\nstrangers = \"deny\"";
    world.south().activate(&bundle::with_plugin(world.folder("friends"), lines)).await;
    let sent = alice.send("carol@south", "still strangers").await;
    assert_eq!(alice.receipt(&sent).await, ("refused".to_owned(), 1102), "on the way in");
    assert_eq!(carol.try_send("alice@north", "me too").await.unwrap_err().code, 1102, "on the way out");
    ask(&alice, "carol@south", "hi").await;
    becomes(&carol, "alice@north", "asks").await;
    answer(&carol, "alice@north", true).await;
    becomes(&alice, "carol@south", "friends").await;
    alice.send("carol@south", "friends now").await;
    carol.send("alice@north", "indeed").await;
    assert_eq!(carol.texts_once(2).await, ["hello", "friends now"]);
    assert_eq!(alice.texts_once(1).await, ["indeed"]);
    let sent = bob.send("carol@south", "and I?").await;
    assert_eq!(bob.receipt(&sent).await, ("refused".to_owned(), 1102));
    delete(&carol, "alice@north").await;
    becomes(&alice, "carol@south", "none").await;
    let sent = alice.send("carol@south", "and now?").await;
    assert_eq!(alice.receipt(&sent).await, ("refused".to_owned(), 1102));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_server_holds_of_ours_is_no_word_about_the_user_who_asks() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let west = FakePeer::start(&world, "west", |_| Reply::Code(0)).await;
    // HTTP 401 would make the client throw its token away.
    for (said, told) in [(1001, 1303), (1101, 1303), (1301, 1303), (1302, 1303), (1102, 1102), (77, 77)] {
        west.answer_calls(move |_| json!({"code": said, "msg": "not now"}));
        let path = "/client/v1/users/search?query=a&scope=server:west";
        let (status, answer) = alice.api.call(Method::GET, path, None).await.unwrap();
        assert_eq!((status, &answer["code"]), (200, &json!(told)), "{said}: {answer}");
        assert!(answer["msg"].as_str().unwrap().contains("not now"), "{answer}");
    }
    west.stop().await;
    world.finish().await;
}
