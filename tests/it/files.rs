//! Files (§7.4.3–7.4.5): between two servers of ours, and with peers of any make and mood.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use isthmus_net::Body;
use isthmus_node::client::Upload;
use isthmus_tests::peer::json_answer;
use isthmus_tests::{Client, FakePeer, Reply, Role, World, bundle, chat, until};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

const PIECE: usize = 64 * 1024;

/// A picture of this many bytes, the same for the same seed.
fn png(size: usize, seed: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..size).map(|n| (n as u8).wrapping_mul(31) ^ (n >> 8) as u8 ^ seed).collect();
    let magic = b"\x89PNG\r\n\x1a\n";
    bytes[..magic.len()].copy_from_slice(magic);
    bytes
}

fn md5(bytes: &[u8]) -> String {
    use md5::Digest;
    hex::encode(md5::Md5::digest(bytes))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_travels_to_another_server_and_its_user_reads_it_there() {
    let world = World::two().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    world.south().create_user("dave").await;
    let bytes = png(5 * PIECE + 77, 1);
    let id = alice.upload("image", "猫.png", &bytes).await.unwrap();
    let sent = alice.send_file("carol@south", "image", &id).await.unwrap();
    let message = carol.next_file(0).await;
    assert_eq!(message["messageType"], "image");
    let expected = json!({"size": bytes.len(), "name": "猫.png", "mediaID": id, "md5": md5(&bytes)});
    assert_eq!(message["content"], expected);
    assert_eq!(carol.file(&id).await, bytes);
    assert_eq!(alice.file(&id).await, bytes);
    assert_eq!(alice.receipt(&sent).await, ("delivered".into(), 0));
    let (status, _, _) = world.south().log_in("dave").await.fetch_file(&id, &[]).await;
    assert_eq!(status, 200, "R4: a refusal by the rules is HTTP 200");
    let (_, headers, whole) = carol.fetch_file(&id, &[]).await;
    assert_eq!(
        (&headers["content-type"], &headers["accept-ranges"]),
        (&"image/png".parse().unwrap(), &"bytes".parse().unwrap())
    );
    assert_eq!((headers["content-length"].to_str().unwrap(), whole.len()), (&*bytes.len().to_string(), bytes.len()));
    let tag = headers["etag"].to_str().unwrap();
    let (status, _, none) = carol.fetch_file(&id, &[("if-none-match", tag)]).await;
    assert_eq!((status, none.len()), (304, 0));
    let (status, headers, part) = carol.fetch_file(&id, &[("range", "bytes=65530-131080"), ("if-range", tag)]).await;
    assert_eq!((status, &part[..]), (206, &bytes[65530..131_081]));
    assert_eq!(headers["content-range"], format!("bytes 65530-131080/{}", bytes.len()));
    let (status, headers, _) = carol.fetch_file(&id, &[("range", "bytes=999999-")]).await;
    assert_eq!((status, headers["content-range"].to_str().unwrap()), (416, &*format!("bytes */{}", bytes.len())));
    let (status, _, whole) = carol.fetch_file(&id, &[("range", "bytes=5-9"), ("if-range", "\"another\"")]).await;
    assert_eq!((status, whole.len()), (200, bytes.len()));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn voice_and_any_file_travel_and_formats_are_held_to_by_content() {
    let world = World::two().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    let amr = [b"#!AMR\n".as_slice(), &[7; 1000]].concat();
    let id = alice.upload("voice", "hello.amr", &amr).await.unwrap();
    alice.send_file("carol@south", "voice", &id).await.unwrap();
    let message = carol.next_file(0).await;
    assert_eq!((&message["messageType"], &message["content"]["duration"]), (&json!("voice"), &json!(7)));
    assert_eq!(carol.file(&id).await, amr);
    let text = b"{\"code\":1004,\"msg\":\"a file that looks like a refusal\"}";
    let id = alice.upload("file", "a.json", text).await.unwrap();
    alice.send_file("carol@south", "file", &id).await.unwrap();
    until("the file is there", async || {
        let (_, _, bytes) = carol.fetch_file(&id, &[]).await;
        (bytes[..] == text[..]).then_some(())
    })
    .await;
    let empty = alice.upload("file", "empty.txt", b"").await.unwrap();
    alice.send_file("carol@south", "file", &empty).await.unwrap();
    until("the empty file is there", async || (carol.fetch_file(&empty, &[]).await.2.is_empty()).then_some(())).await;
    for (kind, name, bytes) in [
        ("image", "a.png", &b"not a picture"[..]),
        ("voice", "a.amr", &png(100, 1)),
        ("portrait", "me.png", b"GIF7"),
        ("file", "film.mp4", &png(100, 1)),
    ] {
        assert_eq!(alice.upload(kind, name, bytes).await.unwrap_err().code, 1402, "{kind} {name}");
    }
    let picture = alice.upload("image", "a.png", &png(100, 1)).await.unwrap();
    assert_eq!(alice.send_file("carol@south", "voice", &picture).await.unwrap_err().code, 1402);
    assert_eq!(alice.send_file("carol@south", "image", "m-none").await.unwrap_err().code, 1004);
    let body = json!({"clientID": "c1", "recvID": "carol@south", "type": "image"});
    assert_eq!(alice.api.call(Method::POST, "/client/v1/messages", Some(&body)).await.unwrap().1["code"], 1002);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_over_the_socket_too_and_sent_again_it_is_the_same_message() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let bob = world.north().user("bob").await;
    let id = alice.upload("image", "a.png", &png(100, 1)).await.unwrap();
    let mut ear = alice.listen(0).await;
    for _ in 0..2 {
        let frame = json!({
            "type": "send", "clientID": "c1", "recvID": "bob@north", "messageType": "image", "mediaID": id});
        ear.socket.write(&frame).await.unwrap();
        let (client, answer) = ear.answer().await;
        assert_eq!((client.as_str(), answer.unwrap().state.as_str()), ("c1", "kept"));
    }
    assert_eq!(bob.next_file(0).await["content"]["mediaID"], json!(id));
    assert_eq!(bob.inbox(0).await.len(), 1);
    assert_eq!(bob.file(&id).await, png(100, 1));
    world.finish().await;
}

async fn status(client: &Client, id: &str) -> Value {
    client.api.get(&format!("/client/v1/media/{id}/status")).await.unwrap()
}

/// Sends the head of a PATCH and half of its body. Goes away when it is dropped.
async fn half_of(
    world: &World,
    client: &Client,
    id: &str,
    offset: usize,
    said: usize,
    bytes: &[u8],
) -> impl Sized + use<> {
    let running = world.north().running();
    let mut tls = isthmus_node::client::trust(&running.ca).unwrap();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let address = running.client.trim_start_matches("https://").to_owned();
    let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, stream).await.unwrap();
    let head = format!(
        "PATCH /client/v1/media/{id}?offset={offset} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Length: {said}\r\n\r\n",
        client.access_token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_files_are_on_their_way_at_a_time_and_a_client_that_comes_again_takes_its_place() {
    let world = World::plan().server("north").set("media.transfers", 2).start().await;
    let alice = world.north().user("alice").await;
    let bytes = png(2 * PIECE, 1);
    let ready = alice.upload("image", "a.png", &bytes).await.unwrap();
    let upload = Upload { kind: "image", name: "b.png", size: bytes.len() as u64, md5: None };
    let (first, second) =
        (alice.api.begin_upload(&upload).await.unwrap(), alice.api.begin_upload(&upload).await.unwrap());
    let held = [
        half_of(&world, &alice, &first, 0, bytes.len(), &bytes[..PIECE + 1]).await,
        half_of(&world, &alice, &second, 0, bytes.len(), &bytes[..PIECE + 1]).await,
    ];
    let (status_code, _, body) = alice.fetch_file(&ready, &[]).await;
    assert!(status_code == 503 && String::from_utf8_lossy(&body).contains("1302"), "{status_code} {body:?}");
    let at = status(&alice, &first).await["offset"].as_u64().unwrap();
    assert!(at > 0, "the connection that stands still was told to let go");
    assert_eq!(alice.file(&ready).await, bytes, "and so there is room");
    drop(held);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_broke_off_goes_on_from_where_it_was_after_a_restart_too() {
    let mut world = World::one().await;
    let alice = world.north().user("alice").await;
    let bytes = png(6 * PIECE + 5, 2);
    let sum = md5(&bytes);
    let upload = Upload { kind: "image", name: "a.png", size: bytes.len() as u64, md5: Some(&sum) };
    let id = alice.api.begin_upload(&upload).await.unwrap();
    assert_eq!(
        (&status(&alice, &id).await["offset"], &status(&alice, &id).await["state"]),
        (&json!(0), &json!("uploading"))
    );
    let first = PIECE + 10;
    let answer = alice.api.write_upload(&id, 0, Bytes::copy_from_slice(&bytes[..first])).await.unwrap();
    assert_eq!(answer["offset"], first);
    let wrong = alice.api.write_upload(&id, 0, Bytes::from_static(b"x")).await.unwrap_err().to_string();
    assert!(wrong.contains("offset") && wrong.contains(&first.to_string()), "{wrong}");
    let sent = 2 * PIECE;
    drop(half_of(&world, &alice, &id, first, bytes.len() - first, &bytes[first..first + sent]).await);
    let at = usize::try_from(status(&alice, &id).await["offset"].as_u64().unwrap()).unwrap();
    assert!(at > first && at <= first + sent, "{at}");
    let (code, headers, _) = head(&alice, &id).await;
    assert_eq!((code, headers["upload-offset"].to_str().unwrap()), (200, &*at.to_string()));
    assert_eq!(
        alice.fetch_file(&id, &[]).await.1["content-type"],
        "application/json;charset=utf-8",
        "not readable yet"
    );
    world.site_mut("north").stop().await;
    world.site_mut("north").start().await;
    let alice = alice.at(world.north());
    assert_eq!(status(&alice, &id).await["offset"], at);
    let more = alice.api.write_upload(&id, at as u64, [&bytes[at..], b"xx"].concat().into()).await;
    assert!(more.unwrap_err().to_string().contains("longer"), "more than announced");
    let at = usize::try_from(status(&alice, &id).await["offset"].as_u64().unwrap()).unwrap();
    let answer = alice.api.write_upload(&id, at as u64, Bytes::copy_from_slice(&bytes[at..])).await.unwrap();
    assert_eq!(
        (&answer["state"], &answer["mediaType"], &answer["md5"]),
        (&json!("ready"), &json!("image/png"), &json!(sum))
    );
    assert_eq!(alice.file(&id).await, bytes);
    assert!(alice.api.write_upload(&id, 0, Bytes::new()).await.is_err(), "finished");
    world.finish().await;
}

async fn head(client: &Client, id: &str) -> (u16, HeaderMap, Bytes) {
    let path = format!("/client/v1/media/{id}");
    let (head, body) =
        client.api.exchange(Method::HEAD, &path, HeaderMap::new(), Bytes::new()).await.unwrap().into_parts();
    (head.status.as_u16(), head.headers, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_what_was_announced_or_nothing() {
    let world = World::plan().server("north").set("media.max_file_mib", 1).start().await;
    let alice = world.north().user("alice").await;
    let bob = world.north().user("bob").await;
    let begin = async |size: usize, md5: Option<&str>| {
        let upload = Upload { kind: "file", name: "a.bin", size: size as u64, md5 };
        alice.api.begin_upload(&upload).await
    };
    assert!(begin((1 << 20) + 1, None).await.unwrap_err().to_string().contains("size"));
    let id = begin(3, Some(&md5(b"abc"))).await.unwrap();
    let wrong = alice.api.write_upload(&id, 0, Bytes::from_static(b"abd")).await.unwrap_err().to_string();
    assert!(wrong.contains("1401"), "{wrong}");
    assert!(alice.api.get(&format!("/client/v1/media/{id}/status")).await.is_err(), "it is gone");
    let id = begin(3, None).await.unwrap();
    assert!(bob.api.write_upload(&id, 0, Bytes::from_static(b"abc")).await.unwrap_err().to_string().contains("1004"));
    let path = format!("/client/v1/media/{id}");
    assert_eq!(alice.api.call(Method::DELETE, &path, None).await.unwrap().1["code"], 0);
    assert_eq!(alice.api.call(Method::DELETE, &path, None).await.unwrap().1["code"], 1004);
    let recorded = world.north().audit("operation=file.upload").await;
    assert!(recorded.iter().any(|r| r["code"] == 1401), "{recorded:?}");
    world.finish().await;
}

fn message(from: &str, to: &str, id: &str, media: &str, bytes: &[u8]) -> Value {
    let content = json!({"size": bytes.len(), "name": "a.png", "mediaID": media, "md5": md5(bytes)});
    json!({"messageInfo": {
        "sendID": from, "recvID": to, "messageType": "image", "version": "V1", "chatScene": "user", "messageID": id,
        "content": content}})
}

/// How a peer answers one request for a file.
#[derive(Clone)]
enum Answer {
    /// As it should, Range included.
    Good,
    /// The whole file, whatever was asked.
    NoRange,
    /// As it should, but the connection breaks after so many bytes.
    Breaks(usize),
    /// As it should, but nothing comes after so many bytes.
    Stalls(usize),
    /// A clean end too early, without Content-Length.
    Short(usize),
    /// Whole, with other bytes.
    Other(Vec<u8>),
    /// JSON.
    Says(u16, &'static str),
}

/// The ranges that a peer was asked for.
type Asked = Arc<Mutex<Vec<Option<u64>>>>;

/// Serves `bytes` as told, one answer after the other; well when there are none left.
fn serve(peer: &FakePeer, bytes: Vec<u8>, answers: &[Answer]) -> Asked {
    let asked = Asked::default();
    let (seen, mut answers) = (asked.clone(), answers.iter().cloned().collect::<VecDeque<_>>());
    peer.serve_files(move |head: &Parts| {
        let range = head.headers.get(header::RANGE).map(|range| {
            let range = range.to_str().unwrap();
            range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse::<u64>().unwrap()
        });
        seen.lock().unwrap().push(range);
        reply(&bytes, range, answers.pop_front().unwrap_or(Answer::Good))
    });
    asked
}

fn reply(bytes: &[u8], range: Option<u64>, answer: Answer) -> Response<Body> {
    let from = usize::try_from(range.unwrap_or(0)).unwrap().min(bytes.len());
    match answer {
        Answer::Says(status, body) => json_answer(status, body.to_owned()),
        Answer::NoRange => file(200, 0, bytes, bytes.len(), End::Clean),
        Answer::Other(other) => {
            let length = other.len();
            let mut response = file(200, 0, &other, length, End::Clean);
            response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
            response
        }
        Answer::Good => {
            let status = if range.is_some() { 206 } else { 200 };
            file(status, from, &bytes[from..], bytes.len(), End::Clean)
        }
        Answer::Breaks(after) => file(206, from, cut(bytes, from, after), bytes.len(), End::Error),
        Answer::Stalls(after) => file(206, from, cut(bytes, from, after), bytes.len(), End::Never),
        Answer::Short(after) => file(206, from, cut(bytes, from, after), bytes.len(), End::Clean),
    }
}

fn cut(bytes: &[u8], from: usize, after: usize) -> &[u8] {
    &bytes[from..(from + after).min(bytes.len())]
}

#[derive(Clone, Copy)]
enum End {
    Clean,
    Error,
    Never,
}

fn file(status: u16, from: usize, bytes: &[u8], total: usize, end: End) -> Response<Body> {
    let parts: Vec<_> = bytes.chunks(10_000).map(Bytes::copy_from_slice).map(|part| Ok(Frame::data(part))).collect();
    let parts = futures_util::stream::iter(parts);
    let body = match end {
        End::Clean => Body::stream(StreamBody::new(parts)),
        End::Error => {
            let broken = futures_util::stream::once(async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Err::<Frame<Bytes>, _>(io::Error::other("the line broke"))
            });
            Body::stream(StreamBody::new(parts.chain(broken).boxed()))
        }
        End::Never => Body::stream(StreamBody::new(parts.chain(futures_util::stream::pending()).boxed())),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, "image/png".parse().unwrap());
    if status == 206 {
        headers.insert(header::CONTENT_RANGE, format!("bytes {from}-{}/{total}", total.max(1) - 1).parse().unwrap());
    }
    response
}

struct Stage {
    world: World,
    peer: FakePeer,
    bob: Client,
}

async fn stage(settings: &[(&str, u64)]) -> Stage {
    let plan = settings.iter().fold(World::plan().server("north"), |plan, (key, value)| plan.set(key, value));
    let world = plan.start().await;
    let bob = world.north().user("bob").await;
    let peer = FakePeer::start(&world, "far", |_| Reply::Code(0)).await;
    Stage { world, peer, bob }
}

impl Stage {
    async fn receive(&self, id: &str, media: &str, bytes: &[u8]) {
        let message = message("carol@far", "bob@north", id, media, bytes);
        let answer = chat(&self.peer.caller, self.world.north(), &message).await;
        assert_eq!((answer.0, answer.1), (200, 0), "kept at once: {}", answer.2);
    }

    async fn end(self) {
        self.peer.stop().await;
        self.world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_breaks_goes_on_by_range_whatever_the_peer_does() {
    let stage = stage(&[("media.idle_ms", 400)]).await;
    let bytes = png(10 * PIECE, 3);
    let cases = [
        vec![Answer::Good],
        vec![Answer::Breaks(200_000), Answer::Breaks(100_000), Answer::Good],
        vec![Answer::Stalls(200_000), Answer::Good],
        vec![Answer::Short(150_000), Answer::Good],
        vec![Answer::Breaks(200_000), Answer::NoRange],
        vec![Answer::Says(503, r#"{"code":1302,"msg":"later"}"#), Answer::Says(200, "garbage"), Answer::Good],
        vec![Answer::Says(500, ""), Answer::Breaks(0), Answer::Good],
        vec![Answer::Breaks(200_000), Answer::Says(416, r#"{"code":1003,"msg":"no"}"#), Answer::Good],
        vec![Answer::Breaks(200_000), Answer::Other(png(10 * PIECE, 9)), Answer::Good],
    ];
    for (number, answers) in cases.iter().enumerate() {
        let before = stage.bob.inbox(0).await.last().map_or(0, isthmus_tests::Event::cursor);
        let asked = serve(&stage.peer, bytes.clone(), answers);
        let media = format!("pic {number} 图");
        stage.receive(&format!("m{number}"), &media, &bytes).await;
        let message = stage.bob.next_file(before).await;
        assert_eq!(message["content"]["mediaID"], json!(media), "case {number}");
        let path = percent(&media);
        assert_eq!(stage.bob.file(&path).await, bytes, "case {number}");
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), answers.len(), "case {number}: {asked:?}");
        assert_eq!(asked[0], None);
        if matches!(answers[0], Answer::Breaks(200_000) | Answer::Stalls(_) | Answer::Short(_)) {
            assert!(asked[1].is_some_and(|from| from > 0), "case {number}: {asked:?}");
        }
    }
    stage.end().await;
}

fn percent(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_goes_on_after_a_restart_of_the_receiving_server() {
    let mut stage = stage(&[("media.idle_ms", 60_000)]).await;
    let bytes = png(10 * PIECE, 4);
    let asked = serve(&stage.peer, bytes.clone(), &[Answer::Stalls(500_000)]);
    stage.receive("m1", "pic", &bytes).await;
    until("the first part came", async || (!asked.lock().unwrap().is_empty()).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    stage.world.site_mut("north").stop().await;
    stage.world.site_mut("north").start().await;
    let bob = stage.bob.at(stage.world.north());
    assert_eq!(bob.next_file(0).await["messageID"], "m1");
    assert_eq!(bob.file("pic").await, bytes);
    let asked = asked.lock().unwrap().clone();
    assert!(asked.len() == 2 && asked[1].is_some_and(|from| from >= 4 * PIECE as u64), "{asked:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_what_the_message_says_is_told_to_the_recipient_and_never_shown() {
    let stage = stage(&[("media.idle_ms", 500), ("media.max_file_mib", 1)]).await;
    let bytes = png(3 * PIECE, 5);
    let text = b"no picture at all".to_vec();
    let longer = [&bytes[..], b"x"].concat();
    let cases: Vec<(Vec<u8>, Answer, i64)> = vec![
        (bytes.clone(), Answer::Other(png(3 * PIECE, 6)), 1401),
        (bytes.clone(), Answer::Other(longer), 1401),
        (bytes.clone(), Answer::Other(bytes[..PIECE].to_vec()), 1401),
        (text.clone(), Answer::Other(text), 1402),
        (bytes.clone(), Answer::Says(200, r#"{"code":1104,"msg":"not for you"}"#), 1104),
        (bytes.clone(), Answer::Says(404, r#"{"code":1004,"msg":"no such file"}"#), 1004),
        (bytes.clone(), Answer::Says(200, r#"{"code":"1102","msg":"denied"}"#), 1102),
    ];
    for (number, (said, answer, code)) in cases.into_iter().enumerate() {
        serve(&stage.peer, Vec::new(), &[answer]);
        let (id, media) = (format!("m{number}"), format!("pic{number}"));
        stage.receive(&id, &media, &said).await;
        let news = until(&format!("case {number} is told"), async || {
            let events = stage.bob.inbox(0).await;
            events.iter().filter_map(|e| e.news("file.failed")).find(|n| n["messageID"] == json!(id)).cloned()
        })
        .await;
        assert_eq!((&news["code"], &news["sendID"]), (&json!(code), &json!("carol@far")), "case {number}: {news}");
        assert_eq!(stage.bob.fetch_file(&media, &[]).await.1["content-type"], "application/json;charset=utf-8");
    }
    assert!(stage.bob.inbox(0).await.iter().all(|e| e.news("file.failed").is_some()), "no message is shown");
    let large = json!({"messageInfo": {
        "sendID": "carol@far", "recvID": "bob@north", "messageType": "file", "version": "V1", "chatScene": "user",
        "messageID": "large", "content": {"size": 2_000_000, "name": "a", "mediaID": "x", "md5": md5(b"")}}});
    let refused = chat(&stage.peer.caller, stage.world.north(), &large).await;
    assert_eq!(refused.1, 1003, "{}", refused.2);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_does_not_succeed_in_time_is_given_up() {
    let stage = stage(&[("delivery.expire_s", 2), ("media.idle_ms", 300)]).await;
    serve(&stage.peer, Vec::new(), &[const { Answer::Says(503, "{}") }; 100]);
    stage.receive("m1", "pic", &png(100, 1)).await;
    let told = stage.bob.news("file.failed", 0).await;
    assert_eq!((&told["messageID"], &told["code"]), (&json!("m1"), &json!(1303)));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_peer_holds_up_no_other() {
    let stage = stage(&[("media.idle_ms", 60_000), ("media.pulls_per_peer", 1)]).await;
    let bytes = png(2 * PIECE, 7);
    let other = FakePeer::start(&stage.world, "near", |_| Reply::Code(0)).await;
    serve(&stage.peer, bytes.clone(), &[Answer::Stalls(10), Answer::Stalls(10)]);
    serve(&other, bytes.clone(), &[]);
    for number in 0..20 {
        stage.receive(&format!("m{number}"), &format!("slow{number}"), &bytes).await;
    }
    let message = message("wei@near", "bob@north", "m1", "pic", &bytes);
    assert_eq!(chat(&other.caller, stage.world.north(), &message).await.1, 0);
    assert_eq!(stage.bob.next_file(0).await["sendID"], "wei@near");
    other.stop().await;
    stage.end().await;
}

async fn pull(peer: &isthmus_tests::Peer, world: &World, media: &str) -> (u16, i64) {
    let path = format!("/sns/download/file?mediaID={media}");
    let (status, answer) = peer.call(&world.north().address(), Method::GET, &path, Bytes::new()).await.unwrap();
    (status, answer["code"].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_server_that_was_sent_a_file_may_pull_it_until_the_message_is_recalled() {
    let world = World::plan().server("north").start().await;
    let alice = world.north().user("alice").await;
    let bob = world.north().user("bob").await;
    let far = FakePeer::start(&world, "far", |_| Reply::Code(0)).await;
    let stranger = world.enrolled_peer("stranger").await;
    let bytes = png(2 * PIECE, 8);
    let id = alice.upload("image", "a.png", &bytes).await.unwrap();
    assert_eq!(pull(&far.caller, &world, &id).await, (200, 1104), "not sent yet");
    let sent = alice.send_file("carol@far", "image", &id).await.unwrap();
    alice.send_file("bob@north", "image", &id).await.unwrap();
    assert_eq!(alice.receipt(&sent).await.0, "delivered");
    let path = format!("/sns/download/file/?mediaID=%22{id}%22");
    let (status, headers, body) = far.caller.fetch(&world.north().address(), &path, &[("range", "bytes=10-")]).await;
    assert_eq!((status, &body[..]), (206, &bytes[10..]), "R2, R3");
    assert_eq!(headers["content-type"], "image/png");
    assert_eq!(headers["content-length"], (bytes.len() - 10).to_string());
    assert_eq!(headers["content-range"], format!("bytes 10-{}/{}", bytes.len() - 1, bytes.len()));
    assert_eq!((&headers["accept-ranges"], headers.contains_key("etag")), (&"bytes".parse().unwrap(), true));
    assert_eq!(pull(&stranger, &world, &id).await, (200, 1104));
    assert_eq!(pull(&stranger, &world, "m-guess").await, (200, 1004));
    assert_eq!(pull(&far.caller, &world, "").await, (200, 1002));
    let recorded = world.north().audit("operation=file.download").await;
    assert!(recorded.iter().any(|r| r["code"] == 1104 && r["peer"] == "stranger"), "{recorded:?}");
    assert!(recorded.iter().any(|r| r["code"] == 0 && r["peer"] == "far"), "{recorded:?}");
    assert_eq!(bob.file(&id).await, bytes);
    alice.api.post(&format!("/client/v1/messages/{}/recall", sent.id), &json!({})).await.unwrap();
    assert_eq!(pull(&far.caller, &world, &id).await, (200, 1104), "recalled");
    assert_eq!(bob.file(&id).await, bytes, "bob has a message of his own");
    assert_eq!(alice.file(&id).await, bytes);
    far.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalled_file_is_gone_for_its_recipient_on_the_other_server() {
    let world = World::two().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    let id = alice.upload("image", "a.png", &png(100, 1)).await.unwrap();
    let sent = alice.send_file("carol@south", "image", &id).await.unwrap();
    carol.next_file(0).await;
    assert_eq!(carol.file(&id).await, png(100, 1));
    alice.api.post(&format!("/client/v1/messages/{}/recall", sent.id), &json!({})).await.unwrap();
    carol.news("recalled", 0).await;
    assert_eq!(carol.fetch_file(&id, &[]).await.1["content-type"], "application/json;charset=utf-8");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_servers_of_our_make_the_sender_learns_that_a_file_could_not_be_had() {
    let world = World::two().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    let denying = bundle::denying(world.folder("no-pulls"), "file.download");
    world.north().activate(&denying).await;
    let id = alice.upload("file", "plan.pdf", b"%PDF-1.7 the plan").await.unwrap();
    let sent = alice.send_file("carol@south", "file", &id).await.unwrap();
    let told = carol.news("file.failed", 0).await;
    assert_eq!((&told["code"], &told["name"]), (&json!(1102), &json!("plan.pdf")));
    let told = alice.news("file.failed", 0).await;
    assert_eq!(
        (&told["messageID"], &told["userID"], &told["code"]),
        (&json!(sent.id), &json!("carol@south"), &json!(1102))
    );
    let recorded = world.south().audit("operation=file.receive").await;
    assert!(recorded.iter().any(|r| r["code"] == 1102), "{recorded:?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_judges_a_files_name_on_the_way_out_and_on_the_way_in() {
    let world = World::two().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    let strict = bundle::shipped(world.folder("strict"), &[("reject", &["secret"]), ("hold", &["odd"])]);
    world.south().activate(&strict).await;
    let secret = alice.upload("file", "the secret plan.txt", b"x").await.unwrap();
    let sent = alice.send_file("carol@south", "file", &secret).await.unwrap();
    assert_eq!(alice.receipt(&sent).await, ("refused".into(), 1103));
    let odd = alice.upload("file", "odd.txt", b"x").await.unwrap();
    alice.send_file("carol@south", "file", &odd).await.unwrap();
    let held = until("it is held", async || world.south().held().await.pop()).await;
    assert_eq!(carol.inbox(0).await.len(), 0);
    world.south().decide(&held, "release", &json!({"why": "a test"})).await.unwrap();
    assert_eq!(carol.next_file(0).await["content"]["name"], "odd.txt");
    assert_eq!(carol.file(&odd).await, &b"x"[..]);
    world.north().activate(&bundle::shipped(world.folder("north"), &[("reject", &["secret"])])).await;
    assert_eq!(alice.send_file("carol@south", "file", &secret).await.unwrap_err().code, 1103);
    assert_eq!(alice.upload("file", "another secret", b"x").await.unwrap_err().code, 1103);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_judges_a_file_again_when_it_is_here() {
    let stage = stage(&[("media.idle_ms", 1000)]).await;
    let (north, bytes) = (stage.world.north(), png(2 * PIECE, 1));
    let open = north.generation().await;
    for (number, list) in ["reject", "hold"].into_iter().enumerate() {
        let (id, media) = (format!("m{number}"), format!("pic{number}"));
        let (strict, picture) = (Arc::new(AtomicBool::new(false)), bytes.clone());
        let seen = strict.clone();
        stage.peer.serve_files(move |_| {
            let later = || Answer::Says(503, r#"{"code":1302,"msg":"later"}"#);
            reply(&picture, None, if seen.load(Ordering::SeqCst) { Answer::Good } else { later() })
        });
        stage.receive(&id, &media, &bytes).await;
        north.activate(&bundle::shipped(stage.world.folder(list), &[(list, &["a.png"])])).await;
        strict.store(true, Ordering::SeqCst);
        if list == "reject" {
            let told = stage.bob.news("file.failed", 0).await;
            assert_eq!((&told["messageID"], &told["code"]), (&json!(id), &json!(1103)));
            assert_eq!(stage.bob.fetch_file(&media, &[]).await.1["content-type"], "application/json;charset=utf-8");
        } else {
            let held = until("it is held", async || north.held().await.pop()).await;
            north.decide(&held, "release", &json!({"why": "a test"})).await.unwrap();
            assert_eq!(stage.bob.next_file(0).await["messageID"], json!(id), "what is released is not judged again");
        }
        north.rollback(open).await;
    }
    let recorded = north.audit("operation=file.receive").await;
    assert!(recorded.iter().any(|r| r["outcome"] == "rejected" && r["code"] == 1103), "{recorded:?}");
    stage.end().await;
}

fn files_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files_below(&path)) } else { all.push(path) }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_file_lies_open_on_either_servers_disk() {
    let mut world = World::two().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    let line = b"four score and seven years ago our fathers brought forth";
    let bytes = line.repeat(4000);
    let id = alice.upload("file", "a-name-that-tells.txt", &bytes).await.unwrap();
    alice.send_file("carol@south", "file", &id).await.unwrap();
    carol.next_file(0).await;
    let open = Upload { kind: "file", name: "unfinished.txt", size: bytes.len() as u64, md5: None };
    let open = alice.api.begin_upload(&open).await.unwrap();
    alice.api.write_upload(&open, 0, Bytes::copy_from_slice(&bytes[..100_000])).await.unwrap();
    for name in ["north", "south"] {
        world.site_mut(name).stop().await;
        let folder = world.site(name).config.data_dir.clone();
        let blobs = files_below(&folder.join("blobs"));
        assert_eq!(blobs.len(), if name == "north" { 2 } else { 1 }, "{blobs:?}");
        for path in files_below(&folder) {
            let found = std::fs::read(&path).unwrap();
            for part in [&line[..], b"a-name-that-tells", b"unfinished.txt"] {
                assert!(!found.windows(part.len()).any(|w| w == part), "{}", path.display());
            }
        }
    }
    for name in ["north", "south"] {
        world.site_mut(name).start().await;
    }
    assert_eq!(carol.at(world.south()).file(&id).await, bytes);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_refers_to_is_collected_and_what_a_crash_left_is_removed_at_the_start() {
    let mut world = World::plan().server("north").set("media.unused_s", 1).start().await;
    let alice = world.north().user("alice").await;
    let bob = world.north().user("bob").await;
    let blobs = world.north().config.data_dir.join("blobs");
    let kept = alice.upload("image", "a.png", &png(100, 1)).await.unwrap();
    alice.send_file("bob@north", "image", &kept).await.unwrap();
    let recalled = alice.upload("image", "b.png", &png(100, 2)).await.unwrap();
    let sent = alice.send_file("bob@north", "image", &recalled).await.unwrap();
    alice.upload("image", "c.png", &png(100, 3)).await.unwrap();
    let open = Upload { kind: "file", name: "d", size: 10, md5: None };
    let open = alice.api.begin_upload(&open).await.unwrap();
    alice.api.write_upload(&open, 0, Bytes::from_static(b"12345")).await.unwrap();
    until("the unused one and the draft are collected", async || (files_below(&blobs).len() == 2).then_some(())).await;
    alice.api.post(&format!("/client/v1/messages/{}/recall", sent.id), &json!({})).await.unwrap();
    until("the recalled one is collected", async || (files_below(&blobs).len() == 1).then_some(())).await;
    assert_eq!(bob.file(&kept).await, png(100, 1));
    world.site_mut("north").stop().await;
    std::fs::write(blobs.join("drafts").join("00".repeat(16)), b"left by a crash").unwrap();
    let stray = "ab".to_owned() + &"00".repeat(31);
    std::fs::create_dir_all(blobs.join("ab")).unwrap();
    std::fs::write(blobs.join("ab").join(stray), b"left by a crash").unwrap();
    world.site_mut("north").start().await;
    until("the strays are gone", async || (files_below(&blobs).len() == 1).then_some(())).await;
    assert_eq!(bob.at(world.north()).file(&kept).await, png(100, 1));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_passes_a_file_on_to_a_third_server_serves_it_from_there() {
    let world = World::plan().server("north").server("south").start().await;
    let alice = world.north().user("alice").await;
    let bob = world.north().user("bob").await;
    let carol = world.south().user("carol").await;
    let bytes = png(PIECE, 1);
    let id = alice.upload("image", "a.png", &bytes).await.unwrap();
    alice.send_file("carol@south", "image", &id).await.unwrap();
    carol.next_file(0).await;
    carol.send_file("bob@north", "image", &id).await.unwrap();
    let passed = bob.next_file(0).await["content"]["mediaID"].as_str().unwrap().to_owned();
    assert_ne!(passed, id);
    assert_eq!(bob.file(&passed).await, bytes);
    let figures = world.north().admin(Role::System).fetch(Method::GET, "/readyz", None).await.unwrap();
    assert_eq!(figures.0, 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portrait_is_seen_on_other_servers_and_nothing_else_is_had_that_way() {
    let world = World::two().await;
    let alice = world.north().user("alice").await;
    let bob = world.north().user("bob").await;
    let carol = world.south().user("carol").await;
    let bytes = png(3 * PIECE, 1);
    let portrait = carol.upload("portrait", "me.png", &bytes).await.unwrap();
    let see = async |who: &Client, id: &str| {
        let (_, headers, body) = who.fetch_file(&format!("{id}?from=carol@south"), &[]).await;
        (headers["content-type"] == "image/png").then_some(body)
    };
    assert_eq!(see(&alice, &portrait).await, None, "it is nobody's portrait yet");
    let change = json!({"portrait": portrait});
    assert_eq!(carol.api.call(Method::PUT, "/client/v1/profile", Some(&change)).await.unwrap().1["code"], 0);
    assert_eq!(see(&alice, &portrait).await.unwrap(), bytes);
    assert_eq!(see(&bob, &portrait).await.unwrap(), bytes);
    let secret = carol.upload("image", "b.png", &png(100, 2)).await.unwrap();
    carol.send_file("bob@north", "image", &secret).await.unwrap();
    bob.next_file(0).await;
    assert_eq!(see(&bob, &secret).await.unwrap(), png(100, 2));
    assert_eq!(see(&alice, &secret).await, None, "what was sent to bob is bob's");
    let unseen = carol.upload("image", "c.png", &png(100, 3)).await.unwrap();
    assert_eq!(see(&alice, &unseen).await, None);
    world.finish().await;
}

/// The large version: `isthmus bench --file-mib 2048`.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_moves_through_two_servers_without_their_memory_growing_by_it() {
    const SIZE: usize = 64 << 20;
    let world = World::plan().start().await;
    let (north, south) = (world.child("north").await, world.child("south").await);
    let user = async |child: &isthmus_tests::process::Child, local: &str| {
        child.create_user(local).await;
        Client::log_in(&child.api(), local).await.unwrap()
    };
    let (alice, carol) = (user(&north, "alice").await, user(&south, "carol").await);
    let resident = || [&north, &south].map(|child| isthmus_node::bench::usage(child.pid()).unwrap().peak_kib);
    // Whatever is made once is made now.
    let small = alice.upload("file", "small", b"x").await.unwrap();
    alice.send_file("carol@south", "file", &small).await.unwrap();
    let after = carol.inbox(0).await.last().map_or(0, isthmus_tests::Event::cursor);
    carol.next_file(after).await;
    let before = resident();
    let bytes = png(SIZE, 1);
    let id = alice.upload("file", "large", &bytes).await.unwrap();
    alice.send_file("carol@south", "file", &id).await.unwrap();
    until("the file is there", async || {
        let got = carol.api.download(&id, SIZE as u64 - 100, 200).await;
        got.is_ok_and(|got| got[..] == bytes[SIZE - 100..]).then_some(())
    })
    .await;
    for at in (0..SIZE).step_by(8 << 20) {
        assert_eq!(carol.api.download(&id, at as u64, 8 << 20).await.unwrap(), &bytes[at..at + (8 << 20)]);
    }
    for (name, (before, after)) in ["north", "south"].iter().zip(before.into_iter().zip(resident())) {
        let grown = after.saturating_sub(before) / 1024;
        assert!(grown < 24, "{name} grew by {grown} MiB over a file of {} MiB", SIZE >> 20);
    }
    for child in [&north, &south] {
        child.stop().await;
    }
    world.finish().await;
}

/// Makes a group of `owner`'s and lets these in, each known as a member to the own server in the end.
async fn group_of(owner: &Client, members: &[&Client]) -> String {
    let made = owner.api.post("/client/v1/groups", &json!({"groupName": "files"})).await.unwrap();
    let group = made["groupInfo"]["groupID"].as_str().unwrap().to_owned();
    let path = format!("/client/v1/groups/{}", percent(&group));
    let users: Vec<_> = members.iter().map(|member| &member.id).collect();
    owner.api.post(&format!("{path}/invite"), &json!({"users": users})).await.unwrap();
    for member in members {
        member.news("group.invited", 0).await;
        member.api.post(&format!("{path}/answer"), &json!({"agree": true})).await.unwrap();
        until("it is a member", async || {
            let mine = member.api.get("/client/v1/groups").await.unwrap();
            let mut groups = mine["groups"].as_array().unwrap().iter();
            groups.any(|shown| shown["groupInfo"]["groupID"] == json!(group)).then_some(())
        })
        .await;
    }
    group
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_of_a_group_pulls_its_files_from_the_senders_server_for_its_members_alone() {
    let world = World::plan().server("north").server("south").server("east").start().await;
    let alice = world.north().user("alice").await;
    let carol = world.south().user("carol").await;
    let erin = world.site("east").user("erin").await;
    let frank = world.site("east").user("frank").await;
    let group = group_of(&alice, &[&carol, &erin]).await;
    let bytes = png(3 * PIECE, 1);
    let id = carol.upload("image", "a.png", &bytes).await.unwrap();
    let body = json!({"clientID": "c1", "recvID": group, "scene": "group", "type": "image", "mediaID": id});
    let sent = carol.api.post("/client/v1/messages", &body).await.unwrap();
    for member in [&alice, &erin] {
        let message = member.next_file(0).await;
        assert_eq!((&message["chatScene"], &message["sendID"]), (&json!("group"), &json!("carol@south")));
        assert_eq!(member.file(&id).await, bytes, "{}", member.id);
    }
    assert_eq!(frank.fetch_file(&id, &[]).await.1["content-type"], "application/json;charset=utf-8", "no member");
    let pulled = world.south().audit("operation=file.download").await;
    let by = |peer: &str| pulled.iter().any(|r| r["peer"] == peer && r["direction"] == "inbound" && r["code"] == 0);
    assert!(by("north") && by("east"), "{pulled:?}");
    assert!(world.north().audit("operation=file.download").await.iter().all(|r| r["direction"] != "inbound"));
    let stranger = world.enrolled_peer("stranger").await;
    let path = format!("/sns/download/file?mediaID={id}");
    let (_, answer) = stranger.call(&world.south().address(), Method::GET, &path, Bytes::new()).await.unwrap();
    assert_eq!(answer["code"], 1104);
    let path = format!("/client/v1/groups/{}/recall", percent(&group));
    carol.api.post(&path, &json!({"messageID": sent["messageID"]})).await.unwrap();
    for member in [&alice, &erin] {
        member.news("recalled", 0).await;
        assert_eq!(member.fetch_file(&id, &[]).await.1["content-type"], "application/json;charset=utf-8");
    }
    world.finish().await;
}
