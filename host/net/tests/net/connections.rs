//! Connections that stand: cut, drained, counted, untouched by new settings.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use isthmus_net::listen::Ended;
use isthmus_net::{BindError, Identity, Limits, Listener, SendError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

#[tokio::test]
async fn the_accept_loop_outlives_whatever_arrives() {
    let pki = Pki::new();
    let server = Server::start(&mutual(pki.server("south"), pki.trust())).await;
    for garbage in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0x16, 3, 1, 0xff, 0xff], &[0xff; 5000]] {
        for reset in [false, true] {
            let mut stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
            stream.write_all(garbage).await.unwrap();
            if reset {
                stream.set_zero_linger().unwrap();
            }
        }
    }
    let client = Client::new(&pki.trust(), Some(pki.server("north")));
    client.hello(&server.address("south")).await.unwrap();
    assert_eq!(server.connections.counts().accepted.load(Ordering::Relaxed), 9);
}

#[tokio::test]
async fn connections_above_the_limit_are_closed_at_once() {
    let pki = Pki::new();
    let limits = Limits { max_connections: 1, ..Limits::default() };
    let server = Server::with(mutual(pki.server("south"), pki.trust()).build().unwrap(), limits).await;
    let client = Client::new(&pki.trust(), Some(pki.server("north")));
    client.hello(&server.address("south")).await.unwrap();
    let mut second = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    assert!(matches!(second.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    client.hello(&server.address("south")).await.unwrap();
    assert_eq!(server.connections.counts().refused_full.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn close_where_cuts_the_denied_peer_and_no_other() {
    let pki = Pki::new();
    let server = Server::start(&mutual(pki.server("south"), pki.trust())).await;
    let south = server.address("south");
    let north = Client::new(&pki.trust(), Some(pki.server("north")));
    let west = Client::new(&pki.trust(), Some(pki.server("west")));
    north.hello(&south).await.unwrap();
    let (cut, kept, count) =
        tokio::join!(north.post(&south, "/slow?600", ""), west.post(&south, "/slow?600", ""), async {
            soon("both are under way", || server.calls() == 3).await;
            let denied = Identity::Server(id("north"));
            server.connections.close_where(|connection| connection.identity == denied)
        });
    assert_eq!(count, 1);
    assert!(matches!(cut, Err(SendError::Broken { .. })), "{cut:?}");
    kept.unwrap();
    assert_eq!(server.connections.len(), 1);
    north.hello(&south).await.unwrap();
}

#[tokio::test]
async fn an_upgraded_stream_stays_registered_and_is_cut_too() {
    let pki = Pki::new();
    let limits = Limits { idle: Duration::from_millis(200), header: Duration::from_millis(200), ..Limits::default() };
    let server = Server::with(mutual(pki.server("south"), pki.trust()).build().unwrap(), limits).await;
    let mut stream = common_tls(&server, &pki, Some(pems(&pki, "north")), &["http/1.1"]).await.unwrap();
    stream
        .write_all(b"GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await
        .unwrap();
    let mut head = [0; 1024];
    let read = stream.read(&mut head).await.unwrap();
    assert!(head[..read].starts_with(b"HTTP/1.1 101"));
    for _ in 0..3 {
        stream.write_all(b"ping").await.unwrap();
        let mut echo = [0; 4];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, b"ping");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(server.connections.close_where(|_| true), 1);
    assert!(matches!(stream.read(&mut head).await, Ok(0) | Err(_)));
    soon("it is gone from the registry", || server.connections.is_empty()).await;
}

#[tokio::test]
async fn who_writes_to_the_end_before_it_reads_has_its_answer_though_nobody_took_the_body() {
    let pki = Pki::new();
    let server = Server::start(&mutual(pki.server("south"), pki.trust())).await;
    for _ in 0..5 {
        let mut stream = common_tls(&server, &pki, Some(pems(&pki, "north")), &["http/1.1"]).await.unwrap();
        let head = b"POST /big HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n";
        stream.write_all(&[&head[..], &vec![b'x'; 900_000]].concat()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"xxxx") && answer.len() > 100_000);
    }
    // Nobody is waited for who writes on for ever, or says nothing more.
    let mut stream = common_tls(&server, &pki, Some(pems(&pki, "north")), &["http/1.1"]).await.unwrap();
    stream.write_all(b"POST /big HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n").await.unwrap();
    soon("it is let go", || server.connections.is_empty()).await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut() {
    let pki = Pki::new();
    let limits = Limits { stall: Duration::from_millis(300), ..Limits::default() };
    let server = Server::with(mutual(pki.server("south"), pki.trust()).build().unwrap(), limits).await;
    let mut stream = common_tls(&server, &pki, Some(pems(&pki, "north")), &["http/1.1"]).await.unwrap();
    let asking = async {
        // More answers than the kernel's buffers hold.
        for _ in 0..1000 {
            if stream.write_all(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n").await.is_err() {
                break;
            }
        }
        soon("it is cut", || server.connections.is_empty()).await;
    };
    tokio::time::timeout(Duration::from_secs(10), asking).await.unwrap();
}

#[tokio::test]
async fn shutdown_lets_requests_under_way_end() {
    let pki = Pki::new();
    let config = mutual(pki.server("south"), pki.trust()).build().unwrap();
    for config in [config.clone(), http1_only(config)] {
        let mut server = Server::with(config, Limits::default()).await;
        let south = server.address("south");
        let client = Client::new(&pki.trust(), Some(pki.server("north")));
        let under_way = client.post(&south, "/slow?400", "");
        let stopping = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            server.begin_stop();
            tokio::time::sleep(Duration::from_millis(50)).await;
            let refused = Client::new(&pki.trust(), Some(pki.server("west"))).hello(&south).await;
            assert!(matches!(refused, Err(SendError::Unreachable { .. })), "{refused:?}");
        };
        let (answer, ()) = tokio::join!(under_way, stopping);
        Seen::of(answer.unwrap());
        assert_eq!(server.stop().await, Ended { cut: 0 });
    }
}

#[tokio::test]
async fn shutdown_ends_within_the_grace_period() {
    let pki = Pki::new();
    let limits = Limits { grace: Duration::from_millis(200), ..Limits::default() };
    let server = Server::with(mutual(pki.server("south"), pki.trust()).build().unwrap(), limits).await;
    let south = server.address("south");
    let client = Client::new(&pki.trust(), Some(pki.server("north")));
    let began = Instant::now();
    let (answer, ended) = tokio::join!(client.post(&south, "/slow?20000", ""), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.stop().await
    });
    assert_eq!(ended, Ended { cut: 1 });
    assert!(matches!(answer, Err(SendError::Broken { .. })), "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn new_tls_settings_judge_the_next_handshake_and_no_standing_connection() {
    let pki = Pki::new();
    let own = pki.server("south");
    let server = Server::start(&mutual(own.clone(), pki.trust())).await;
    let south = server.address("south");
    let credentials = pki.server("north");
    let serial = credentials.facts().unwrap().serial;
    let client = Client::new(&pki.trust(), Some(credentials.clone()));
    let before = client.hello(&south).await.unwrap();

    let revoked =
        isthmus_net::ca::Revoked { serial: serial.clone(), at: SystemTime::now(), reason: isthmus_net::ca::Why::Hold };
    let list = pki.ca.crl(&[revoked], 1, SystemTime::now(), DAY).unwrap();
    let trust = pki.trust().with_crls([list.as_slice()]).unwrap();
    server.tls.send_replace(mutual(own, trust).build().unwrap());

    assert_eq!(client.hello(&south).await.unwrap().connection, before.connection);
    let error = Client::new(&pki.trust(), Some(credentials)).hello(&south).await.unwrap_err();
    assert!(matches!(error, SendError::Rejected { .. }), "{error:?}");
    // What node does beside the swap: cut what stands under the revoked serial.
    assert_eq!(server.connections.close_where(|connection| connection.serial.as_deref() == Some(&*serial)), 1);
    assert!(client.hello(&south).await.is_err());
}

#[tokio::test]
async fn a_taken_port_is_told_with_the_remedy() {
    let first = Listener::bind("127.0.0.1:0".parse().unwrap(), "client").await.unwrap();
    let error = Listener::bind(first.addr(), "interconnect").await.unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }));
    let words = error.to_string();
    let port = first.addr().port().to_string();
    assert!(words.contains("interconnect") && words.contains(&port) && words.contains("another port"), "{words}");
}

#[tokio::test]
async fn a_connection_does_not_outlive_its_peers_certificate() {
    let pki = Pki::new();
    let limits = Limits { header: Duration::from_millis(400), ..Limits::default() };
    let config = mutual(pki.server("south"), pki.trust()).build().unwrap();
    let server = Server::with(config, limits).await;
    let brief = pki.forged("north", |params| {
        params.not_after = (SystemTime::now() + Duration::from_secs(2)).into();
    });
    let client = Client::new(&pki.trust(), Some(brief));
    client.hello(&server.address("south")).await.unwrap();
    soon("it is drained", || server.connections.is_empty()).await;
    let error = client.hello(&server.address("south")).await.unwrap_err();
    assert!(matches!(error, SendError::Rejected { .. }), "{error:?}");
}
