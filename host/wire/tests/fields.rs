//! Every mandatory field of every body: missing, empty, of a wrong type, too long, with control characters.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use isthmus_wire::call::{group, message, registry, user};
use isthmus_wire::{Code, Read, json};
use serde::Serialize;
use serde_json::{Value, json as value};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// One line of text, with a bound.
    Line,
    /// Text that may have line ends.
    Prose,
    /// A whole number.
    Number,
    /// An object.
    Object,
    /// An array that must not be empty.
    List,
}
use Kind::{Line, List, Number, Object, Prose};

/// Puts `new` (or nothing) at a dotted path such as `a.b[0].c`.
fn set(body: &Value, path: &str, new: Option<Value>) -> Value {
    let mut out = body.clone();
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = out.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match new {
        Some(new) => parent.insert(name.to_owned(), new),
        None => parent.remove(name),
    };
    out
}

fn fails<T: Read>(body: &Value, path: &str, code: Code) {
    let refusal = json::read::<T>(&serde_json::to_vec(body).unwrap()).err();
    let refusal = refusal.unwrap_or_else(|| panic!("{path} went through in {body}"));
    assert_eq!((refusal.code, refusal.field.as_deref()), (code, Some(path)), "{refusal} in {body:.200}");
    assert!(refusal.message.contains(path), "{refusal} does not name {path}");
}

/// The body reads, is written as it was read, and each field is defended.
fn check<T: Read + Serialize>(body: &Value, fields: &[(&str, Kind)]) {
    let read = json::read::<T>(&serde_json::to_vec(body).unwrap()).unwrap();
    assert_eq!(&serde_json::to_value(&read).unwrap(), body, "strict writer");
    for (path, kind) in fields {
        fails::<T>(&set(body, path, None), path, Code::MissingField);
        fails::<T>(&set(body, path, Some(Value::Null)), path, Code::MissingField);
        let (empty, wrong) = match kind {
            Line | Prose => (value!(""), value!(["x"])),
            Number => (value!(""), value!("1x")),
            Object => (Value::Null, value!("{}")),
            List => (value!([]), value!({})),
        };
        fails::<T>(&set(body, path, Some(empty)), path, Code::MissingField);
        fails::<T>(&set(body, path, Some(wrong)), path, Code::InvalidField);
        match kind {
            Line | Prose => {
                fails::<T>(&set(body, path, Some(value!("x".repeat(70_000)))), path, Code::InvalidField);
                fails::<T>(&set(body, path, Some(value!("a\u{0}b"))), path, Code::InvalidField);
                fails::<T>(&set(body, path, Some(value!("a\u{85}b"))), path, Code::InvalidField);
                let lines = set(body, path, Some(value!("1\n2")));
                if *kind == Line {
                    fails::<T>(&lines, path, Code::InvalidField);
                } else {
                    assert!(json::read::<T>(&serde_json::to_vec(&lines).unwrap()).is_ok());
                }
            }
            Number => {
                fails::<T>(&set(body, path, Some(value!(1.5))), path, Code::InvalidField);
                fails::<T>(&set(body, path, Some(value!(u64::MAX))), path, Code::InvalidField);
            }
            Object | List => {}
        }
    }
}

fn server() -> Value {
    value!({"serverId": "vrv_linkdood", "serverName": "北京", "serverAddress": "https://im.example:8443",
        "serverStatus": "0", "contactName": "李四", "contactEmail": "li@example.cn", "contactMobile": "+8613800138000",
        "serverType": "isthmus", "area": "北京"})
}

fn person(id: &str) -> Value {
    value!({"userID": id, "name": "张三 😀 שלום", "phoneNumber": "008613800138000", "remark": "a\nb", "portrait": "m-1"})
}

fn circle() -> Value {
    value!({"groupID": "g-1@north", "groupName": "组", "groupMemberNum": 3, "createUser": "alice@north",
        "createTime": "2019-06-01 10:00:00", "groupIcon": "m-2"})
}

fn chat(kind: &str, content: &Value) -> Value {
    value!({"messageInfo": {"sendID": "张三@北", "recvID": "carol@south", "messageType": kind, "version": "V1",
        "chatScene": "user", "messageID": "018f-😀", "content": content}})
}

fn file_content() -> Value {
    value!({"size": 12, "name": "图.png", "mediaID": "m-3", "md5": "0123456789abcdef0123456789abcdef"})
}

const INFO: [(&str, Kind); 8] = [
    ("messageInfo", Object),
    ("messageInfo.sendID", Line),
    ("messageInfo.recvID", Line),
    ("messageInfo.messageType", Line),
    ("messageInfo.version", Line),
    ("messageInfo.chatScene", Line),
    ("messageInfo.messageID", Line),
    ("messageInfo.content", Object),
];

#[test]
fn a_text_message_defends_each_field() {
    let text = "你好，世界 👩‍👩‍👧 مرحبا \u{202e}rtl\r\n\tx";
    let body = chat("text", &value!({"message": text}));
    check::<message::Send>(&body, &INFO);
    check::<message::Send>(&body, &[("messageInfo.content.message", Prose)]);
    let read = json::read::<message::Send>(&serde_json::to_vec(&body).unwrap()).unwrap();
    assert_eq!(read.message_info.content.text(), Some(text));
}

#[test]
fn file_messages_defend_each_field() {
    for kind in ["image", "file", "voice"] {
        let mut content = file_content();
        if kind == "voice" {
            content["duration"] = value!(7);
        }
        let fields = [
            ("messageInfo.content.size", Number),
            ("messageInfo.content.name", Line),
            ("messageInfo.content.mediaID", Line),
            ("messageInfo.content.md5", Line),
        ];
        check::<message::Send>(&chat(kind, &content), &fields);
    }
    let mut voice = file_content();
    voice["duration"] = value!(7);
    check::<message::Send>(&chat("voice", &voice), &[("messageInfo.content.duration", Number)]);
    for (name, wrong) in [("size", value!(-1)), ("md5", value!("xyz")), ("md5", value!("g".repeat(32)))] {
        let path = format!("messageInfo.content.{name}");
        fails::<message::Send>(&set(&chat("file", &file_content()), &path, Some(wrong)), &path, Code::InvalidField);
    }
}

#[test]
fn registry_calls_defend_each_field() {
    let info: Vec<(String, Kind)> =
        ["serverId", "serverName", "serverAddress", "contactName", "contactEmail", "contactMobile"]
            .iter()
            .map(|name| (format!("serverInfo.{name}"), Line))
            .collect();
    let mut fields: Vec<(&str, Kind)> = info.iter().map(|(n, k)| (n.as_str(), *k)).collect();
    fields.extend([("serverInfo", Object), ("ownerId", Line), ("csr", Prose)]);
    fields.push(("serverInfo.serverStatus", Number));
    let body = value!({"serverInfo": server(), "ownerId": "owner-1", "csr": "-----BEGIN\nX\n"});
    check::<registry::Register>(&body, &fields);
    for wrong in ["3", "x"] {
        let body = set(&body, "serverInfo.serverStatus", Some(value!(wrong)));
        fails::<registry::Register>(&body, "serverInfo.serverStatus", Code::InvalidField);
    }
    check::<registry::Nodes>(&value!({"nodeIDs": ["a", "b"], "ownerID": "north"}), &[("ownerID", Line)]);
    check::<registry::Nodes>(&value!({"ownerID": "n", "serverName": "北", "domain": "example"}), &[]);
    fails::<registry::Nodes>(&value!({"nodeIDs": ["a", "b c"], "ownerID": "n"}), "nodeIDs[1]", Code::InvalidField);
    let pair = value!({"applicationId": "a-1", "ticket": "t"});
    check::<registry::Application>(&pair, &[("applicationId", Line), ("ticket", Line)]);
    check::<registry::Applied>(&pair, &[("applicationId", Line), ("ticket", Line)]);
    check::<registry::Deregister>(&value!({"reason": "closed"}), &[("reason", Prose)]);
    check::<registry::Renew>(&value!({"csr": "-----"}), &[("csr", Prose)]);
    check::<registry::Renewed>(&value!({"certificate": "-----"}), &[("certificate", Prose)]);
    check::<registry::ApplicationAnswer>(&value!({"state": "rejected", "reason": "no"}), &[("state", Line)]);
    check::<registry::NodesAnswer>(&value!({"serverInfos": [server(), server()]}), &[]);
}

#[test]
fn a_change_carries_only_the_fields_it_names() {
    let body = value!({"serverInfo": {"serverId": "north", "area": "上海"}, "fields": ["area"]});
    check::<registry::Update>(&body, &[("serverInfo", Object), ("fields", List), ("serverInfo.area", Line)]);
    let whole = value!({"serverInfo": server(), "fields": ["serverName"]});
    let read = json::read::<registry::Update>(&serde_json::to_vec(&whole).unwrap()).unwrap();
    assert_eq!(read.fields(), ["serverName"]);
    for name in ["serverId", "serverStatus", "nonsense"] {
        let body = value!({"serverInfo": server(), "fields": [name]});
        fails::<registry::Update>(&body, "fields", Code::InvalidField);
    }
}

#[test]
fn user_calls_defend_each_field() {
    let body = value!({"userID": "carol@south", "remark": "hi", "userInfo": person("alice@north")});
    let fields = [("userID", Line), ("userInfo", Object), ("userInfo.userID", Line), ("userInfo.name", Line)];
    check::<user::Add>(&body, &fields);
    let body = value!({"userID": "alice@north", "isAgree": 1, "userInfo": person("carol@south")});
    check::<user::Respond>(&body, &[("userID", Line), ("isAgree", Number), ("userInfo.name", Line)]);
    fails::<user::Respond>(&set(&body, "isAgree", Some(value!(3))), "isAgree", Code::InvalidField);
    let body = value!({"userID": "carol@south", "requesterID": "alice@north"});
    check::<user::Delete>(&body, &[("userID", Line), ("requesterID", Line)]);
    check::<user::Found>(&value!({"pages": 1, "page": 0, "userInfos": [person("a")]}), &[]);
    check::<user::DetailsAnswer>(&value!({}), &[]);
    check::<user::DetailsAnswer>(&value!({"userInfo": person("a")}), &[]);
    check::<user::IsFriendAnswer>(&value!({"isFriend": 2}), &[("isFriend", Number)]);
}

#[test]
fn group_calls_defend_each_field() {
    let set_ = value!({"isAllow": 1, "isVisible": 2});
    let invite = value!({"reqInfo": {"groupInfo": circle(), "userInfo": person("a"), "inviteUsers": [person("b")]}});
    let fields = [
        ("reqInfo", Object),
        ("reqInfo.groupInfo", Object),
        ("reqInfo.userInfo", Object),
        ("reqInfo.inviteUsers", List),
        ("reqInfo.groupInfo.groupID", Line),
        ("reqInfo.groupInfo.groupName", Line),
        ("reqInfo.groupInfo.groupMemberNum", Number),
        ("reqInfo.groupInfo.createUser", Line),
        ("reqInfo.groupInfo.createTime", Line),
    ];
    check::<group::Invite>(&invite, &fields);
    let body = value!({"groupID": "g", "userID": "u", "respResult": 1});
    check::<group::Reply>(&body, &[("groupID", Line), ("userID", Line), ("respResult", Number)]);
    let body = value!({"groupID": "g", "userID": "u", "delMembers": ["a", "b"]});
    check::<group::Remove>(&body, &[("groupID", Line), ("userID", Line), ("delMembers", List)]);
    check::<group::Leave>(&value!({"groupID": "g", "userID": "u"}), &[("groupID", Line), ("userID", Line)]);
    let body = value!({"groupID": "g", "ownerID": "u", "grpset": set_, "groupInfo": circle()});
    let fields = [("groupID", Line), ("ownerID", Line), ("grpset.isAllow", Number), ("grpset.isVisible", Number)];
    check::<group::Update>(&body, &fields);
    let body = value!({"groupInfo": circle(), "operType": 3, "operUser": person("a"), "users": [person("b")]});
    check::<group::Notice>(&body, &[("groupInfo", Object), ("operType", Number), ("operUser", Object)]);
    fails::<group::Notice>(&set(&body, "operType", Some(value!(8))), "operType", Code::InvalidField);
    check::<group::InfoAnswer>(&value!({"grpset": set_, "groupInfo": circle()}), &[]);
    check::<group::MembersAnswer>(&value!({"members": [{"userType": 3, "userInfo": person("a")}]}), &[]);
    check::<group::HistoryAnswer>(&value!({"maxMessageID": "9", "minMessageID": "1"}), &[]);
    let empty = json::read::<group::HistoryAnswer>(b"{}").unwrap();
    assert_eq!((&*empty.max_message_id, &*empty.min_message_id), ("-1", "-1"), "of a group that nobody has written in");
    check::<group::Found>(&value!({}), &[]);
    check::<group::Found>(&value!({"pages": 1, "page": 0, "groups": [circle()]}), &[]);
}
