//! Tolerant readers, exact answers (R1–R5): what is understood, and what is said of the rest.

use http::Method;
use isthmus_tests::{Peer, World, text_message};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CHAT: &str = "/sns/chat/";

async fn post(world: &World, peer: &Peer, path: &str, body: impl Into<bytes::Bytes>) -> (u16, Value) {
    peer.call(&world.north().address(), Method::POST, path, body).await.unwrap()
}

/// A good message with one thing changed.
fn changed(id: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut message = text_message("walter@west", "alice@north", id, "hello");
    change(&mut message["messageInfo"]);
    message.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_in_form_alone_is_understood() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let west = world.enrolled_peer("west").await;
    let plain = |id: &str| changed(id, |_| ());
    let mut wrapped: Value = serde_json::from_str(&plain("m-3")).unwrap();
    wrapped["traceId"] = json!({"of": ["another", "maker"]});
    wrapped["messageInfo"]["priority"] = json!(7);
    wrapped["messageInfo"]["content"]["font"] = json!("Song");
    let cases = [
        ("with a trailing slash", CHAT, plain("m-1")),
        ("without it", "/sns/chat", plain("m-2")),
        ("unknown fields", CHAT, wrapped.to_string()),
        (
            "other letters",
            CHAT,
            changed("m-4", |m| {
                m["messageType"] = json!("TEXT");
                m["chatScene"] = json!("User");
                m["version"] = json!("v1");
            }),
        ),
        ("an absent optional as null", CHAT, changed("m-5", |m| m["remark"] = Value::Null)),
        ("white space", CHAT, format!("\n\t {} \r\n", plain("m-6"))),
        ("escapes", CHAT, plain("m-7").replace("alice@north", "\\u0061lice\\u0040north")),
        ("the home in other letters", CHAT, changed("m-8", |m| m["recvID"] = json!("alice@NORTH"))),
    ];
    for (what, path, body) in &cases {
        let (status, answer) = post(&world, &west, path, body.clone()).await;
        assert_eq!((status, &answer["code"]), (200, &json!(0)), "{what}: {answer}");
    }
    assert_eq!(alice.texts().await.len(), cases.len());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_message_is_told_with_code_and_field() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let west = world.enrolled_peer("west").await;
    let set = |field: &'static str, value: Value| changed("m-1", |m| m[field] = value);
    let long = "x".repeat(300);
    let cases = [
        (1002, "sendID", changed("m-1", |m| drop(m.as_object_mut().unwrap().remove("sendID")))),
        (1002, "sendID", set("sendID", Value::Null)),
        (1002, "recvID", set("recvID", json!(""))),
        (1002, "messageID", set("messageID", json!(""))),
        (1002, "messageType", changed("m-1", |m| drop(m.as_object_mut().unwrap().remove("messageType")))),
        (1002, "content", changed("m-1", |m| drop(m.as_object_mut().unwrap().remove("content")))),
        (1002, "content.message", set("content", json!({}))),
        (1002, "content.message", set("content", json!({"message": ""}))),
        (1002, "messageInfo", "{}".to_owned()),
        (1002, "messageInfo", json!({"messageInfo": null}).to_string()),
        (1003, "sendID", set("sendID", json!({"is": "an object"}))),
        (1003, "sendID", set("sendID", json!(format!("{long}@west")))),
        (1003, "recvID", set("recvID", json!("ali\u{7}ce@north"))),
        (1003, "messageID", set("messageID", json!("two\nlines"))),
        (1003, "messageType", set("messageType", json!("smell"))),
        (1003, "version", set("version", json!("V2"))),
        (1003, "chatScene", set("chatScene", json!("crowd"))),
        (1003, "content", set("content", json!("hello"))),
        (1003, "content.message", set("content", json!({"message": ["hello"]}))),
        (1003, "content.message", set("content", json!({"message": "y".repeat(70_000)}))),
        (1003, "messageInfo", json!({"messageInfo": [1, 2]}).to_string()),
        (1004, "recvID", set("recvID", json!("nobody@north"))),
        (1004, "recvID", set("recvID", json!("carol@south"))),
    ];
    for (code, field, body) in cases {
        let shown: String = body.chars().take(200).collect();
        let (status, answer) = post(&world, &west, CHAT, body).await;
        assert_eq!((status, &answer["code"]), (200, &json!(code)), "{shown}: {answer}");
        assert!(answer["msg"].as_str().unwrap().contains(field), "{shown}: {answer} does not name {field}");
    }
    assert!(alice.texts().await.is_empty());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_reaches_the_rules_has_its_own_http_status_and_a_code_all_the_same() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let west = world.enrolled_peer("west").await;
    let good = changed("m-1", |_| ());
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let twice = good.replace(r#""version":"V1""#, r#""version":"V1","version":"V1""#);
    assert_ne!(twice, good);
    let bytes = |text: &str| bytes::Bytes::from(text.to_owned());
    let json_type = "application/json;charset=utf-8";
    let cases = [
        ("no JSON", Method::POST, CHAT, json_type, bytes("hello"), 400, 1001),
        ("half of it", Method::POST, CHAT, json_type, bytes(&good[..good.len() / 2]), 400, 1001),
        ("nothing", Method::POST, CHAT, json_type, bytes(""), 400, 1001),
        ("two values", Method::POST, CHAT, json_type, bytes(&format!("{good}{good}")), 400, 1001),
        ("too deep", Method::POST, CHAT, json_type, bytes(&format!(r#"{{"messageInfo":{deep}}}"#)), 400, 1001),
        ("a field twice", Method::POST, CHAT, json_type, bytes(&twice), 400, 1001),
        (
            "no UTF-8",
            Method::POST,
            CHAT,
            json_type,
            bytes::Bytes::from_static(b"{\"messageInfo\":\"\xff\"}"),
            400,
            1001,
        ),
        ("no such path", Method::POST, "/sns/chats", json_type, bytes(&good), 404, 1004),
        ("the root", Method::GET, "/", json_type, bytes(""), 404, 1004),
        ("the clients' interface", Method::POST, "/client/v1/login", json_type, bytes("{}"), 404, 1004),
        ("the wrong method", Method::GET, CHAT, json_type, bytes(""), 405, 1001),
        ("the wrong method", Method::DELETE, "/sns/chat", json_type, bytes(""), 405, 1001),
        ("another media type", Method::POST, CHAT, "text/xml", bytes(&good), 415, 1001),
        ("too much", Method::POST, CHAT, json_type, bytes(&" ".repeat(2 << 20)), 413, 1001),
    ];
    for (what, method, path, media_type, body, status, code) in cases {
        let answer = west.call_as(&world.north().address(), method, path, media_type, body).await.unwrap();
        assert_eq!((answer.0, &answer.1["code"]), (status, &json!(code)), "{what}: {}", answer.1);
        assert!(!answer.1["msg"].as_str().unwrap().is_empty(), "{what}");
    }
    assert!(alice.texts().await.is_empty());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_too_much_to_its_end_before_reading_is_told_all_the_same() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let running = world.north().running();
    let mut tls = isthmus_node::client::trust(&running.ca).unwrap();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let address = running.client.trim_start_matches("https://").to_owned();
    let tls = tokio_rustls::TlsConnector::from(std::sync::Arc::new(tls));
    // Too large, and refused before the body is looked at.
    let (send, token) = ("POST /client/v1/messages", alice.access_token.as_str());
    for (request, token, size, status) in [
        (send, token, 100_000, 413),
        (send, token, 900_000, 413),
        (send, "expired", 900_000, 401),
        ("POST /client/v1/nothing", token, 900_000, 404),
        ("DELETE /client/v1/messages", token, 900_000, 405),
    ] {
        let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let name = rustls_pki_types::ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = tls.connect(name, stream).await.unwrap();
        let head = format!(
            "{request} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Length: {size}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; size]).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = [0; 64];
        let read = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}, {size} bytes: {answer}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_told_what_is_wrong_in_the_same_way() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let send = |change: Value| {
        let mut body = json!({"clientID": "c-1", "recvID": "alice@north", "text": "note to self"});
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let messages = "/client/v1/messages";
    let cases = [
        (Method::POST, messages, json!({"recvID": "alice@north", "text": "x"}), 200, 1002, "clientID"),
        (Method::POST, messages, send(json!({"clientID": ""})), 200, 1002, "clientID"),
        (Method::POST, messages, send(json!({"clientID": "c".repeat(200)})), 200, 1003, "clientID"),
        (Method::POST, messages, send(json!({"clientID": 7})), 200, 1003, "string"),
        (Method::POST, messages, send(json!({"text": ""})), 200, 1002, "text"),
        (Method::POST, messages, send(json!({"recvID": ""})), 200, 1002, "recvID"),
        (Method::POST, messages, send(json!({"recvID": "a\u{1}b@north"})), 200, 1003, "recvID"),
        (Method::POST, messages, send(json!({"recvID": "nobody@north"})), 200, 1004, "recvID"),
        (Method::POST, messages, send(json!({"recvID": "someone@nowhere"})), 200, 1004, "recvID"),
        (Method::POST, messages, json!([1]), 200, 1003, "body"),
        (Method::GET, messages, json!({}), 405, 1001, "POST"),
        (Method::GET, "/client/v1/inbox?after=soon", json!(null), 200, 1003, "after"),
        (Method::GET, "/client/v1/socket", json!(null), 400, 1001, "WebSocket"),
        (Method::DELETE, "/client/v1/devices/none", json!(null), 200, 1004, "device"),
        (Method::POST, "/client/v1/nothing", json!({}), 404, 1004, "path"),
        (Method::POST, messages, send(json!({"text": "z".repeat(70_000)})), 413, 1001, "bytes"),
    ];
    for (method, path, body, status, code, word) in cases {
        let shown: String = body.to_string().chars().take(120).collect();
        let body = Some(&body).filter(|body| !body.is_null());
        let (found, answer) = alice.api.call(method.clone(), path, body).await.unwrap();
        assert_eq!((found, &answer["code"]), (status, &json!(code)), "{method} {path} {shown}: {answer}");
        let msg = answer["msg"].as_str().unwrap();
        assert!(msg.contains(word), "{method} {path} {shown}: {msg:?} does not say {word}");
    }
    let (status, answer) = alice.api.call(Method::POST, messages, Some(&send(json!({"mood": "good"})))).await.unwrap();
    assert_eq!((status, &answer["code"]), (200, &json!(0)), "an unknown field is ignored: {answer}");
    world.finish().await;
}
