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

mod access;
mod disk;
mod judged;
mod pulls;
mod uploads;

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

async fn pull(peer: &isthmus_tests::Peer, world: &World, media: &str) -> (u16, i64) {
    let path = format!("/sns/download/file?mediaID={media}");
    let (status, answer) = peer.call(&world.north().address(), Method::GET, &path, Bytes::new()).await.unwrap();
    (status, answer["code"].as_i64().unwrap())
}

fn percent(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}
