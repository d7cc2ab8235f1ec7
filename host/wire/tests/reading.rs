//! R1, R3, R6, R7, R8, R14: the forms that are taken although the standard prints another.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use isthmus_wire::call::{group, message, user};
use isthmus_wire::{ChatScene, Code, Content, MessageType, Read, json, query};
use proptest::prelude::*;

fn chat(kind: &str, extra: &str) -> String {
    format!(
        r#"{{"messageInfo":{{"sendID":"a@n","recvID":"b@s","messageType":"{kind}","version":"v1",
        "chatScene":"USER","messageID":"m-1"{extra}}}}}"#
    )
}

fn read(kind: &str, extra: &str) -> message::Send {
    json::read(chat(kind, extra).as_bytes()).unwrap()
}

fn code<T: Read>(body: &[u8]) -> (Code, Option<String>) {
    let refusal = json::read::<T>(body).err().unwrap();
    (refusal.code, refusal.field)
}

#[test]
fn r1_numbers_come_as_strings_and_are_written_as_numbers() {
    let content = r#","content":{"size":"12","name":"a","mediaID":"m","md5":"0123456789ABCDEF0123456789abcdef","duration":" 3 "}"#;
    let written = json::write(&read("VOICE", content));
    let text = String::from_utf8(written).unwrap();
    assert!(text.contains(r#""size":12,"#) && text.contains(r#""duration":3}"#), "{text}");
    assert!(text.contains("0123456789abcdef0123456789abcdef"), "md5 in lower case");
    assert!(text.contains(r#""messageType":"voice","version":"V1","chatScene":"user""#), "{text}");
}

#[test]
fn r1_unknown_fields_are_ignored_and_never_written() {
    let send = read("text", r#","content":{"message":"x","colour":{"a":[{}]}},"more":null,"more":2"#);
    assert!(!String::from_utf8(json::write(&send)).unwrap().contains("colour"));
}

#[test]
fn a_known_field_twice_is_malformed() {
    let body = chat("text", r#","content":{"message":"x","message":"y"}"#);
    let expected = (Code::Malformed, Some("messageInfo.content.message".to_owned()));
    assert_eq!(code::<message::Send>(body.as_bytes()), expected);
}

#[test]
fn r7_a_repeal_names_the_recalled_message_or_the_outer_id_does() {
    let cases = [
        (r#","content":{"messageID":"m-0"}"#, "m-0"),
        (r#","content":{}"#, "m-1"),
        (r#","content":null"#, "m-1"),
        ("", "m-1"),
        (r#","content":{"messageID":""}"#, "m-1"),
    ];
    for (extra, recalled) in cases {
        let info = read("Repeal", extra).message_info;
        let Content::Repeal { message_id } = info.content else { panic!("{extra}") };
        assert_eq!(message_id.as_str(), recalled, "{extra}");
    }
    let text = String::from_utf8(json::write(&read("repeal", ""))).unwrap();
    assert!(text.contains(r#""content":{"messageID":"m-1"}"#), "{text}");
}

#[test]
fn r8_a_video_is_read_as_a_file_with_an_optional_duration() {
    let base = r#""size":1,"name":"a.mp4","mediaID":"m","md5":"00000000000000000000000000000000""#;
    for (more, duration) in [("", None), (r#","duration":9"#, Some(9))] {
        let info = read("Video", &format!(r#","content":{{{base}{more}}}"#)).message_info;
        assert_eq!(info.message_type(), MessageType::File);
        assert_eq!(info.content.file().unwrap().duration, duration);
        assert!(!String::from_utf8(json::write(&info)).unwrap().contains("duration"));
    }
}

#[test]
fn case_does_not_matter_where_the_standard_says_so() {
    let info = read("TeXt", r#","content":{"message":"x"}"#).message_info;
    assert_eq!((info.chat_scene, info.message_type()), (ChatScene::User, MessageType::Text));
    for (name, wrong) in [("messageType", "sticker"), ("version", "V2"), ("chatScene", "room")] {
        let body = chat("text", r#","content":{"message":"x"}"#);
        let old = match name {
            "messageType" => r#""text""#,
            "version" => r#""v1""#,
            _ => r#""USER""#,
        };
        let body = body.replace(old, &format!("\"{wrong}\""));
        let expected = (Code::InvalidField, Some(format!("messageInfo.{name}")));
        assert_eq!(code::<message::Send>(body.as_bytes()), expected);
    }
}

#[test]
fn r6_the_invited_come_as_records_or_as_bare_ids() {
    let body = r#"{"userID":"x","reqInfo":{"groupInfo":{"groupID":"g","groupName":"n","groupMemberNum":"2","createUser":"u",
        "createTime":"t"},"userInfo":{"userID":"a","name":"A"},"inviteUsers":["b@s",{"userID":"c","name":"C"}]}}"#;
    let invited = json::read::<group::Invite>(body.as_bytes()).unwrap().req_info.invite_users;
    let ids: Vec<_> = invited.iter().map(|u| u.user_id.as_str()).collect();
    assert_eq!(ids, ["b@s", "c"]);
    let wrong = body.replace("\"b@s\"", "7");
    let expected = (Code::InvalidField, Some("reqInfo.inviteUsers[0]".to_owned()));
    assert_eq!(code::<group::Invite>(wrong.as_bytes()), expected);
}

#[test]
fn what_is_no_json_object_is_malformed() {
    let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
    let deeper = format!("{{\"x\":{}}}", "[".repeat(100_000));
    let bodies: [&[u8]; 10] = [
        b"",
        b"[]",
        b"7",
        b"null",
        b"{",
        b"{\"a\":1} x",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\\ud800\"}",
        deep.as_bytes(),
        deeper.as_bytes(),
    ];
    for body in bodies {
        assert_eq!(code::<message::Send>(body).0, Code::Malformed);
    }
    let allowed = format!("{}1{}", "[".repeat(64), "]".repeat(64));
    assert!(json::parse(allowed.as_bytes()).is_ok());
}

#[test]
fn r3_and_r14_queries_read_as_the_text_prints_them() {
    let search = |q: &str| query::read::<user::Search>(q);
    assert_eq!(search("query=%22Li%22&page+=+%222%22").unwrap().query, "\"Li\"");
    assert_eq!(search("query=%22Li%22&page+=+%222%22").unwrap().page, 2);
    assert_eq!(search("query=x").unwrap().page, 0);
    for (q, code, field) in [
        ("", Code::MissingField, "query"),
        ("query=", Code::MissingField, "query"),
        ("query=%22%22", Code::MissingField, "query"),
        ("query=x&page=-1", Code::InvalidField, "page"),
        ("query=x&page=a", Code::InvalidField, "page"),
        ("query=x&query=y", Code::Malformed, "query"),
        ("query=a%00", Code::InvalidField, "query"),
    ] {
        let refusal = search(q).unwrap_err();
        assert_eq!((refusal.code, refusal.field.as_deref()), (code, Some(field)), "{q}");
    }
    let history = query::read::<group::History>("groupID=%22g%22&messageID=-1&size=+-500").unwrap();
    assert_eq!((history.message_id, history.size), (None, -200));
    assert_eq!(query::read::<group::History>("groupID=g&messageID=1&size=0").unwrap_err().code, Code::InvalidField);
    let friend = query::read_with::<user::IsFriend>("selfID = a@n", &[("userID", "b/c@s")]).unwrap();
    assert_eq!((friend.self_id.as_str(), friend.user_id.as_str()), ("a@n", "b/c@s"));
}

proptest! {
    #[test]
    fn no_body_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = json::read::<message::Send>(&bytes);
    }

    #[test]
    fn every_text_that_is_taken_comes_back_as_it_was(text in "[^\\p{Cc}]{1,80}", id in "[^\\p{Cc}]{1,60}") {
        let body = serde_json::json!({"messageInfo": {"sendID": id, "recvID": id, "messageType": "text",
            "version": "V1", "chatScene": "user", "messageID": id, "content": {"message": text}}});
        let first: message::Send = json::read(&serde_json::to_vec(&body).unwrap()).unwrap();
        let second: message::Send = json::read(&json::write(&first)).unwrap();
        prop_assert_eq!(first.message_info.content.text(), Some(text.as_str()));
        prop_assert_eq!(&first, &second);
    }
}
