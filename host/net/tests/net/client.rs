//! The client between servers: many calls on few connections, honest errors, no stale settings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use isthmus_net::peer::Step;
use isthmus_net::{ClientTls, Identity, Limits, PeerAddress, PeerLimits, SendError};

use crate::support::*;

async fn together(client: &Arc<Client>, to: &PeerAddress, count: usize, path: &'static str) -> Vec<Seen> {
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let (client, to) = (client.clone(), to.clone());
            tokio::spawn(async move { client.post(&to, path, "hello").await })
        })
        .collect();
    let mut seen = Vec::new();
    for call in calls {
        seen.push(Seen::of(call.await.unwrap().unwrap()));
    }
    seen
}

#[tokio::test]
async fn many_calls_share_one_http2_connection_and_a_second_when_it_is_full() {
    let pki = Pki::new();
    let server = Server::start(&mutual(pki.server("south"), pki.trust())).await;
    let limits = PeerLimits { h2_streams: 50, ..PeerLimits::default() };
    let client = Arc::new(Client::with(&pki.trust(), Some(pki.server("north")), limits));
    let south = server.address("south");
    let seen = together(&client, &south, 40, "/slow?50").await;
    assert!(seen.iter().all(|call| call.connection == seen[0].connection));
    assert_eq!(server.connections.len(), 1);
    together(&client, &south, 200, "/slow?100").await;
    assert_eq!(server.connections.len(), 2);
    assert_eq!(client.peer.connections(), 2);
}

#[tokio::test]
async fn a_peer_without_http2_gets_a_bounded_pool() {
    let pki = Pki::new();
    let config = http1_only(mutual(pki.server("south"), pki.trust()).build().unwrap());
    let server = Server::with(config, Limits::default()).await;
    let limits = PeerLimits { h1_connections: 4, ..PeerLimits::default() };
    let client = Arc::new(Client::with(&pki.trust(), Some(pki.server("north")), limits));
    let seen = together(&client, &server.address("south"), 50, "/slow?10").await;
    assert_eq!(seen.len(), 50);
    assert!(server.connections.len() <= 4, "{:?}", server.connections);
}

#[tokio::test]
async fn a_peer_that_is_away_is_tried_once_for_all_who_wait_and_again_later() {
    let pki = Pki::new();
    let server = Server::start(&mutual(pki.server("south"), pki.trust())).await;
    let (south, addr) = (server.address("south"), server.addr);
    server.stop().await;
    let client = Client::new(&pki.trust(), Some(pki.server("north")));
    let error = client.hello(&south).await.unwrap_err();
    assert!(matches!(error, SendError::Unreachable { .. }) && error.nothing_was_sent(), "{error:?}");
    let listener = tokio::net::TcpListener::bind(addr).await.unwrap();
    let limits = PeerLimits { handshake: Duration::from_millis(300), ..PeerLimits::default() };
    let client = Arc::new(Client::with(&pki.trust(), Some(pki.server("north")), limits));
    let began = Instant::now();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (client, south) = (client.clone(), south.clone());
            tokio::spawn(async move { client.hello(&south).await })
        })
        .collect();
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert!(matches!(error, SendError::Timeout { step: Step::Handshake, .. }), "{error:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    drop(listener);
}

#[tokio::test]
async fn a_call_has_a_deadline_and_the_connection_survives_it() {
    let pki = Pki::new();
    let server = Server::start(&mutual(pki.server("south"), pki.trust())).await;
    let limits = PeerLimits { request: Duration::from_millis(300), ..PeerLimits::default() };
    let client = Client::with(&pki.trust(), Some(pki.server("north")), limits);
    let south = server.address("south");
    let before = client.hello(&south).await.unwrap();
    let error = client.post(&south, "/slow?5000", "").await.unwrap_err();
    assert!(matches!(error, SendError::Timeout { step: Step::Request, .. }) && !error.nothing_was_sent());
    assert_eq!(client.hello(&south).await.unwrap().connection, before.connection);
}

#[tokio::test]
async fn new_tls_settings_are_used_from_the_next_call_on_and_break_none_under_way() {
    let pki = Pki::new();
    let config = mutual(pki.server("south"), pki.trust()).build().unwrap();
    for config in [config.clone(), http1_only(config)] {
        let server = Server::with(config, Limits::default()).await;
        let south = server.address("south");
        let client = Client::new(&pki.trust(), Some(pki.server("north")));
        let before = client.hello(&south).await.unwrap();
        let under_way = client.post(&south, "/slow?300", "");
        let (under_way, after) = tokio::join!(under_way, async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            client.tls.send_replace(ClientTls::new(&pki.trust(), Some(pki.server("north2")), false).unwrap());
            client.hello(&south).await.unwrap()
        });
        assert_eq!(Seen::of(under_way.unwrap()).identity, "server north");
        assert_eq!(after.identity, "server north2");
        assert_ne!(after.connection, before.connection);
        soon("the old connection is closed", || server.connections.len() == 1).await;
    }
}

#[tokio::test]
async fn a_peer_that_comes_back_is_reached_without_an_error() {
    let pki = Pki::new();
    let config = mutual(pki.server("south"), pki.trust()).build().unwrap();
    for config in [config.clone(), http1_only(config)] {
        let server = Server::with(config, Limits::default()).await;
        let south = server.address("south");
        let client = Client::new(&pki.trust(), Some(pki.server("north")));
        for _ in 0..20 {
            client.hello(&south).await.unwrap();
            server.connections.drain_where(|_| true);
            soon("the client has noticed", || client.peer.connections() == 0).await;
        }
    }
}

#[tokio::test]
async fn an_idle_connection_is_given_up() {
    let pki = Pki::new();
    let server = Server::start(&mutual(pki.server("south"), pki.trust())).await;
    let limits = PeerLimits { idle: Duration::from_millis(200), ..PeerLimits::default() };
    let client = Client::with(&pki.trust(), Some(pki.server("north")), limits);
    client.hello(&server.address("south")).await.unwrap();
    assert_eq!(client.peer.connections(), 1);
    soon("it is closed", || client.peer.connections() == 0 && server.connections.is_empty()).await;
    client.hello(&server.address("south")).await.unwrap();
}

#[tokio::test]
async fn a_party_can_be_cut_off() {
    let pki = Pki::new();
    let server = Server::start(&mutual(pki.server("south"), pki.trust())).await;
    let south = server.address("south");
    let client = Client::new(&pki.trust(), Some(pki.server("north")));
    let (cut, ()) = tokio::join!(client.post(&south, "/slow?3000", ""), async {
        soon("it is under way", || server.calls() == 1).await;
        client.peer.close(&Identity::Server(id("SOUTH")));
    });
    assert!(matches!(cut, Err(SendError::Broken { .. })), "{cut:?}");
    client.hello(&south).await.unwrap();
}

#[tokio::test]
async fn an_answer_can_be_taken_as_it_comes() {
    let pki = Pki::new();
    let config = mutual(pki.server("south"), pki.trust()).build().unwrap();
    for config in [config.clone(), http1_only(config)] {
        let server = Server::with(config, Limits::default()).await;
        let client = Client::new(&pki.trust(), Some(pki.server("north")));
        for _ in 0..3 {
            let south = server.address("south");
            let answer = client.peer.open(&south, Method::GET, "/big", Bytes::new(), HeaderMap::new()).await.unwrap();
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes().len(), 100_000);
        }
        assert_eq!(server.connections.len(), 1);
    }
}

#[test]
fn an_address_is_https_host_and_port() {
    let good = [
        ("https://chat.example", "chat.example", 443),
        ("https://chat.example/", "chat.example", 443),
        (" https://chat.example:8443 ", "chat.example", 8443),
        ("https://[::1]:9", "::1", 9),
        ("https://[::1]", "::1", 443),
        ("https://10.0.0.1:65535", "10.0.0.1", 65535),
    ];
    for (url, host, port) in good {
        let address = PeerAddress::server(&id("south"), url).unwrap();
        assert_eq!((address.host(), address.port()), (host, port), "{url}");
    }
    let bad = [
        "",
        "chat.example",
        "http://chat.example",
        "https://",
        "https://a/b",
        "https://a?x",
        "https://u:p@a",
        "https://a:99999",
        "https://a:",
        "https://a:x",
        "https://:1",
    ];
    for url in bad {
        assert!(PeerAddress::server(&id("south"), url).is_err(), "{url}");
    }
}
