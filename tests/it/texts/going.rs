//! What other servers are told.

use super::*;

/// What north tells of what its users wrote before the policy was there, and what they write afterwards.
pub(super) async fn all(stage: &Stage) {
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
