//! What other servers say, unasked and asked.

use super::*;

/// Requests of another server.
pub(super) async fn requests(stage: &Stage) {
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
pub(super) async fn extensions(stage: &Stage) {
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
pub(super) async fn answers(stage: &Stage) {
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
