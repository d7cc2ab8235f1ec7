//! What a server's own users and administrators write.

use isthmus_tests::openapi::{ADMIN, CLIENT, Document};

use super::*;

/// Strings of requests that no case is about: by name, and why.
const NO_TEXT: &[(&str, &str)] = &[
    ("deviceName", "shown to the user alone whose device it is"),
    ("password new old refreshToken ticket code", "secrets"),
    (
        "clientID mediaID recvID messageID userID deviceID users/0 id md5 portrait groupIcon staged session.begin/name",
        "identifiers",
    ),
    ("scene type", "enumerations"),
    ("phoneNumber", "digits"),
    ("why reason", "an administrator's own words, for the log or the sender of a held message"),
    (
        "dir add/0 remove/0 set/0 from to kind operation peer text@admin.json files/0/path files/0/base64",
        "the policy itself, or a question about it",
    ),
];

/// operationId and JSON pointer of every text in the requests of an interface.
fn written(name: &str, document: &Document) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, _, operation) in document.operations() {
        let mut leaves = BTreeSet::new();
        let body = document.resolved(&operation["requestBody"]);
        for media in body["content"].as_object().into_iter().flat_map(serde_json::Map::values) {
            strings(document, &media["schema"], String::new(), &mut leaves, 0);
        }
        let act = operation["operationId"].as_str().unwrap();
        let is_none = |leaf: &str| {
            let leaf = leaf.trim_start_matches('/');
            let mut names = NO_TEXT.iter().flat_map(|(names, _)| names.split(' '));
            leaf.is_empty()
                || names.any(|no| no == leaf || no == format!("{leaf}@{name}") || no == format!("{act}/{leaf}"))
        };
        let texts = leaves.into_iter().filter(|leaf| !is_none(leaf));
        found.extend(texts.map(|leaf| format!("{act} {leaf}")));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_that_users_and_administrators_write_passes_the_content_policy() {
    let stage = Stage::new().await;
    stage.guard().await;
    let alice = &stage.alice;
    let bob = stage.north().user("bob").await;
    let (mine, theirs) = (stage.create_group(alice, "mine").await, stage.create_group(&bob, "theirs").await);
    let of = |group: &str, more: &str| format!("/client/v1/groups/{}{more}", encoded(group));
    let cases = [
        ("messages /text", Method::POST, "/client/v1/messages".to_owned(), json!({"recvID": bob.id})),
        ("media.begin /name", Method::POST, "/client/v1/media".to_owned(), json!({"type": "file", "size": 1})),
        ("profile.change /name", Method::PUT, "/client/v1/profile".to_owned(), json!({})),
        ("profile.change /remark", Method::PUT, "/client/v1/profile".to_owned(), json!({})),
        ("friends.ask /remark", Method::POST, "/client/v1/friends".to_owned(), json!({"userID": bob.id})),
        ("groups.create /groupName", Method::POST, "/client/v1/groups".to_owned(), json!({})),
        ("groups.change /groupName", Method::PUT, of(&mine, ""), json!({})),
        ("groups.apply /remark", Method::POST, of(&theirs, "/apply"), json!({})),
        ("users.create /name", Method::POST, "/admin/v1/users".to_owned(), json!({"password": "a long password"})),
        (
            "users.measures.take /words",
            Method::POST,
            "/admin/v1/users/bob/measures".to_owned(),
            json!({"measure": "warn"}),
        ),
    ];
    let mut held = BTreeSet::new();
    for (case, method, path, body) in cases {
        let (_, field) = case.split_once(" /").unwrap();
        for word in WORDS {
            let (mark, mut body) = (stage.fresh("t"), body.clone());
            body[field] = format!("{word} {mark}").into();
            if path.ends_with("/messages") {
                body["clientID"] = fresh_id().into();
            }
            let answer = if path.starts_with("/admin") {
                if path.ends_with("/users") {
                    body["userID"] = mark.clone().into();
                }
                stage.north().admin(Role::System).call(method.clone(), &path, Some(&body)).await.unwrap().1
            } else {
                stage.api(alice, method.clone(), &path, body).await
            };
            assert_eq!(answer["code"], if word == WORDS[0] { 1103 } else { 0 }, "{case}: {word}: {answer}");
            let masked = format!("****** {mark}");
            if word == WORDS[1] && !answer.to_string().contains(&masked) {
                let shown = async || {
                    let seen = stage.seen_by(alice).await + &stage.seen_by(&bob).await;
                    seen.contains(&masked).then_some(())
                };
                until(&format!("{case}: somebody is shown {masked}"), shown).await;
            }
        }
        held.insert(case.to_owned());
    }
    stage.clean().await;
    let mut all = written("client.json", &CLIENT);
    all.extend(written("admin.json", &ADMIN));
    assert_eq!(held, all, "a text that no case is about, or a case about none");
    stage.west.stop().await;
    stage.world.finish().await;
}
