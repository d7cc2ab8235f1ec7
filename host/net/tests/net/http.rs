//! Bounds of HTTP: bodies, heads, idle time; both versions.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use isthmus_net::{BodyError, Limits, PeerLimits, SendError, read_body};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

#[tokio::test]
async fn both_versions_of_http_serve_by_alpn() {
    let pki = Pki::new();
    let config = mutual(pki.server("south"), pki.trust()).build().unwrap();
    for (config, version) in [(config.clone(), "HTTP/2.0"), (http1_only(config), "HTTP/1.1")] {
        let server = Server::with(config, Limits::default()).await;
        let client = Client::new(&pki.trust(), Some(pki.server("north")));
        let south = server.address("south");
        let first = client.hello(&south).await.unwrap();
        let second = client.hello(&south).await.unwrap();
        assert_eq!((first.version.as_str(), first.bytes), (version, 5));
        assert_eq!(first.connection, second.connection, "the connection is used again");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_a_typed_error_on_both_sides() {
    let pki = Pki::new();
    let config = mutual(pki.server("south"), pki.trust()).build().unwrap();
    let limits = PeerLimits { answer_bytes: 1000, ..PeerLimits::default() };
    for config in [config.clone(), http1_only(config)] {
        let server = Server::with(config, Limits::default()).await;
        let client = Client::with(&pki.trust(), Some(pki.server("north")), limits.clone());
        let south = server.address("south");
        let answer = client.post(&south, "/", vec![0; MAX_BODY + 1]).await.unwrap();
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(answer.body, "the body is larger than 10000 bytes");
        assert_eq!(Seen::of(client.post(&south, "/", vec![0; MAX_BODY]).await.unwrap()).bytes, MAX_BODY);
        let error = client.post(&south, "/big", "").await.unwrap_err();
        assert!(matches!(error, SendError::TooLarge { limit: 1000, .. }), "{error:?}");
        client.hello(&south).await.unwrap();
    }
}

/// Pieces with pauses, and no word beforehand of how many.
struct Pieces(Vec<Bytes>, Duration, Option<std::pin::Pin<Box<tokio::time::Sleep>>>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        let this = self.get_mut();
        let pause = this.1;
        let sleep = this.2.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        std::task::ready!(sleep.as_mut().poll(cx));
        this.2 = None;
        std::task::Poll::Ready(this.0.pop().map(|piece| Ok(hyper::body::Frame::data(piece))))
    }
}

#[tokio::test]
async fn a_body_is_bounded_in_bytes_and_in_time_whatever_it_announces() {
    let read = |pieces: &[&'static [u8]], pause: u64, max: usize| {
        let pieces = pieces.iter().rev().map(|piece| Bytes::from_static(piece)).collect();
        read_body(Pieces(pieces, Duration::from_millis(pause), None), max, Duration::from_secs(1))
    };
    assert_eq!(read(&[b"abc", b"def", b"g"], 10, 7).await.unwrap(), "abcdefg");
    assert_eq!(read(&[b"abc"], 10, 3).await.unwrap(), "abc");
    assert_eq!(read(&[], 10, 0).await.unwrap(), "");
    assert!(matches!(read(&[b"abc", b"def", b"g"], 10, 6).await, Err(BodyError::TooLarge { limit: 6 })));
    assert!(matches!(read(&[b"abc", b"def"], 600, 100).await, Err(BodyError::Timeout { .. })));
}

fn short() -> Limits {
    Limits {
        handshake: Duration::from_millis(300),
        header: Duration::from_millis(200),
        idle: Duration::from_millis(400),
        stall: Duration::from_millis(300),
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_cut_and_delays_nobody() {
    let pki = Pki::new();
    let server = Server::with(mutual(pki.server("south"), pki.trust()).build().unwrap(), short()).await;
    let mut silent = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let began = Instant::now();
    Client::new(&pki.trust(), Some(pki.server("north"))).hello(&server.address("south")).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(began.elapsed() < Duration::from_secs(2));
    let cut = &server.connections.counts().handshake_timeout;
    assert_eq!(cut.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_head_that_dribbles_in_is_cut_and_an_idle_connection_ends() {
    let pki = Pki::new();
    let server = Server::with(mutual(pki.server("south"), pki.trust()).build().unwrap(), short()).await;
    let began = Instant::now();
    let mut slow = common_tls(&server, &pki, Some(pems(&pki, "north")), &["http/1.1"]).await.unwrap();
    slow.write_all(b"GET /hello HTTP/1.1\r\nho").await.unwrap();
    assert!(matches!(slow.read(&mut [0; 64]).await, Ok(0) | Err(_)));
    assert!(began.elapsed() >= Duration::from_millis(200) && server.calls() == 0);
    for alpn in ["http/1.1", "h2"] {
        let began = Instant::now();
        let mut idle = common_tls(&server, &pki, Some(pems(&pki, "north")), &[alpn]).await.unwrap();
        let mut scrap = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(3), idle.read_to_end(&mut scrap)).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(350), "{alpn}: {:?}", began.elapsed());
    }
    soon("the registry is empty", || server.connections.is_empty()).await;
}

#[tokio::test]
async fn a_request_that_takes_long_is_not_idle() {
    let pki = Pki::new();
    let config = mutual(pki.server("south"), pki.trust()).build().unwrap();
    for config in [config.clone(), http1_only(config)] {
        let server = Server::with(config, short()).await;
        let client = Client::new(&pki.trust(), Some(pki.server("north")));
        Seen::of(client.post(&server.address("south"), "/slow?900", "").await.unwrap());
    }
}
