//! Who gets in, in both directions (§6.1, §6.2; R13).

use std::time::SystemTime;

use isthmus_net::csr::new_key_and_csr;
use isthmus_net::{ClientAuth, Credentials, PeerAddress, SendError, ServerTls, Trust};
use rcgen::{BasicConstraints, DnType, ExtendedKeyUsagePurpose, IsCa};
use rustls::HandshakeKind;

use crate::support::*;

/// Certificates that prove nothing, and a word of what is said about each.
fn bad_certificates(pki: &Pki, name: &str) -> Vec<(&'static str, Credentials, &'static str)> {
    let past = SystemTime::now() - DAY * 60;
    let future = SystemTime::now() + DAY * 60;
    let listener = pki.ca.issue_listener(&["127.0.0.1".to_owned()], SystemTime::now(), 30).unwrap();
    vec![
        ("self-signed", self_signed(name), "no root of ours"),
        ("of another CA", Pki::new().server(name), "no root of ours"),
        ("expired", pki.server_at(name, past, 30), "expired"),
        ("not yet valid", pki.server_at(name, future, 30), "not valid yet"),
        ("without purposes", pki.forged(name, |params| params.extended_key_usages.clear()), "purpose"),
        (
            "for another purpose",
            pki.forged(name, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]),
            "purpose",
        ),
        (
            "that is a CA",
            pki.forged(name, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            "CaUsedAsEndEntity",
        ),
        (
            "whose CN is another's",
            pki.forged(name, |params| params.distinguished_name.push(DnType::CommonName, "west")),
            "CN",
        ),
        (
            "whose DNS name is another's",
            pki.forged(name, |params| params.subject_alt_names[1] = dns("west.ic.im.example")),
            "DNS name",
        ),
        (
            "whose DNS name is of another domain",
            pki.forged(name, |params| params.subject_alt_names[1] = dns(&format!("{name}.ic.evil.example"))),
            "DNS name",
        ),
        (
            "with a second DNS name",
            pki.forged(name, |params| params.subject_alt_names.push(dns("west.ic.im.example"))),
            "more than one",
        ),
        (
            "whose URI is another's",
            pki.forged(name, |params| params.subject_alt_names[0] = uri("urn:ciia:im:server:west")),
            "",
        ),
        (
            "with a second URI",
            pki.forged(name, |params| params.subject_alt_names.push(uri("urn:ciia:im:server:west"))),
            "more than one",
        ),
        ("without URI", pki.forged(name, |params| drop(params.subject_alt_names.remove(0))), "no urn:ciia:im"),
        ("of a listener", Credentials::from_pem(&listener.issued.chain_pem, &listener.key_pem).unwrap(), ""),
    ]
}

#[tokio::test]
async fn a_caller_without_a_good_certificate_reaches_no_handler() {
    let pki = Pki::new();
    let server = Server::start(&mutual(pki.server("south"), pki.trust())).await;
    let south = server.address("south");
    let mut cases: Vec<_> =
        bad_certificates(&pki, "north").into_iter().map(|(what, bad, _)| (what, Some(bad))).collect();
    cases.push(("none at all", None));
    for (what, credentials) in cases {
        let error = Client::new(&pki.trust(), credentials).hello(&south).await.unwrap_err();
        assert!(matches!(error, SendError::Rejected { .. }), "{what}: {error:?}");
        assert!(error.nothing_was_sent(), "{what}");
    }
    assert_eq!(server.calls(), 0);
    let seen = Client::new(&pki.trust(), Some(pki.server("north"))).hello(&south).await.unwrap();
    assert_eq!(seen.identity, "server north");
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_that_does_not_prove_who_it_is() {
    let pki = Pki::new();
    let client = Client::new(&pki.trust(), Some(pki.server("north")));
    for (what, credentials, word) in bad_certificates(&pki, "south") {
        let server = Server::start(&mutual(credentials, pki.trust())).await;
        let error = client.hello(&server.address("south")).await.unwrap_err();
        let SendError::Identity { reason, .. } = &error else { panic!("{what}: {error:?}") };
        assert!(reason.contains(word), "{what}: {reason}");
        assert_eq!(server.calls(), 0, "{what}");
    }
}

#[tokio::test]
async fn a_good_certificate_of_another_server_is_not_the_one_that_was_called() {
    let pki = Pki::new();
    let server = Server::start(&mutual(pki.server("west"), pki.trust())).await;
    let client = Client::new(&pki.trust(), Some(pki.server("north")));
    let error = client.hello(&server.address("south")).await.unwrap_err();
    assert!(error.to_string().contains("belongs to server west, not to server south"), "{error}");
    assert_eq!(client.hello(&server.address("west")).await.unwrap().identity, "server north");
}

#[tokio::test]
async fn ids_that_differ_in_case_are_one_id() {
    let pki = Pki::new();
    let server = Server::start(&mutual(pki.server("South"), pki.trust())).await;
    let odd = pki.forged("north", |params| {
        params.distinguished_name.push(DnType::CommonName, "NORTH");
        params.subject_alt_names[0] = uri("URN:ciia:im:server:North");
    });
    let seen = Client::new(&pki.trust(), Some(odd)).hello(&server.address("SOUTH")).await.unwrap();
    assert_eq!(seen.identity, "server North");
}

#[tokio::test]
async fn ids_that_dns_cannot_carry_are_served_all_the_same() {
    let pki = Pki::new();
    let long = "x".repeat(64);
    for name in [long.as_str(), "-south", "south-", "_south_", "0x1"] {
        let server = Server::start(&mutual(pki.server(name), pki.trust())).await;
        let client = Client::new(&pki.trust(), Some(pki.server(name)));
        assert_eq!(client.hello(&server.address(name)).await.unwrap().identity, format!("server {name}"));
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_in_both_directions() {
    let pki = Pki::new();
    let (key, csr) = new_key_and_csr("north").unwrap();
    let issued = pki.ca.issue_server(&csr, &id("north"), "127.0.0.1", SystemTime::now(), 30).unwrap();
    let north = Credentials::from_pem(&issued.chain_pem, &key).unwrap();
    let revoked = isthmus_net::ca::Revoked {
        serial: issued.serial,
        at: SystemTime::now(),
        reason: isthmus_net::ca::Why::CessationOfOperation,
    };
    let list = pki.ca.crl(&[revoked], 7, SystemTime::now(), DAY).unwrap();
    let facts = Trust::check_crl(&list, pki.ca.root_pem(), "").unwrap();
    assert_eq!((facts.number, facts.revoked), (7, 1));
    let trust = pki.trust().with_crls([list.as_slice()]).unwrap();

    let south = Server::start(&mutual(pki.server("south"), trust.clone())).await;
    let error = Client::new(&pki.trust(), Some(north.clone())).hello(&south.address("south")).await.unwrap_err();
    assert!(matches!(&error, SendError::Rejected { alert, .. } if alert == "CertificateRevoked"), "{error:?}");
    Client::new(&trust, Some(pki.server("west"))).hello(&south.address("south")).await.unwrap();

    let server = Server::start(&mutual(north, pki.trust())).await;
    let error = Client::new(&trust, Some(pki.server("south"))).hello(&server.address("north")).await.unwrap_err();
    assert!(matches!(&error, SendError::Identity { reason, .. } if reason.contains("revoked")), "{error:?}");
}

#[tokio::test]
async fn an_old_revocation_list_refuses_everybody_only_if_that_is_asked_for() {
    let pki = Pki::new();
    let list = pki.ca.crl(&[], 1, SystemTime::now() - DAY * 2, DAY).unwrap();
    let trust = pki.trust().with_crls([list.as_slice()]).unwrap();
    for (enforce, served) in [(false, true), (true, false)] {
        let server = Server::start(&mutual(pki.server("south"), trust.clone().enforce_crl_expiry(enforce))).await;
        let result = Client::new(&pki.trust(), Some(pki.server("north"))).hello(&server.address("south")).await;
        assert_eq!(result.is_ok(), served, "{result:?}");
    }
}

#[tokio::test]
async fn a_forged_revocation_list_is_not_believed() {
    let (pki, other) = (Pki::new(), Pki::new());
    let list = other.ca.crl(&[], 1, SystemTime::now(), DAY).unwrap();
    assert!(Trust::check_crl(&list, pki.ca.root_pem(), "").is_err());
    assert!(Trust::check_crl(b"nothing of the kind", pki.ca.root_pem(), "").is_err());
}

#[tokio::test]
async fn the_platform_serves_those_without_certificate_but_not_those_with_a_bad_one() {
    let pki = Pki::new();
    let own = pki.ca.issue_platform(&["127.0.0.1".to_owned()], SystemTime::now(), 30).unwrap();
    let tls = ServerTls {
        credentials: Credentials::from_pem(&own.issued.chain_pem, &own.key_pem).unwrap(),
        client_auth: ClientAuth::Optional(pki.trust()),
        tls12: false,
    };
    let server = Server::start(&tls).await;
    let platform = PeerAddress::platform(&server.url).unwrap();
    // An applicant knows the CA only, not the domain.
    let trust = Trust::from_pem(pki.ca.root_pem()).unwrap();
    let seen = |credentials| async { Client::new(&trust, credentials).hello(&platform).await };
    assert_eq!(seen(None).await.unwrap().identity, "anonymous");
    assert_eq!(seen(Some(pki.server("north"))).await.unwrap().identity, "server north");
    assert!(seen(Some(self_signed("north"))).await.is_err());

    let error = Client::new(&pki.trust(), None).hello(&server.address("south")).await.unwrap_err();
    assert!(error.to_string().contains("belongs to the platform"), "{error}");
}

#[tokio::test]
async fn a_server_cannot_pass_for_the_platform() {
    let pki = Pki::new();
    let tls = ServerTls { credentials: pki.server("platform"), client_auth: ClientAuth::None, tls12: false };
    let server = Server::start(&tls).await;
    let platform = PeerAddress::platform(&server.url).unwrap();
    let error = Client::new(&pki.trust(), None).hello(&platform).await.unwrap_err();
    assert!(matches!(error, SendError::Identity { .. }), "{error:?}");
}

#[tokio::test]
async fn sessions_are_never_resumed() {
    let pki = Pki::new();
    let mut tls = mutual(pki.server("south"), pki.trust());
    tls.tls12 = true;
    let server = Server::start(&tls).await;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        // One configuration for all: rustls clients resume whenever they can.
        let config = common_config(&pki, Some(pems(&pki, "north")), &["http/1.1"], &[version]);
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        for _ in 0..3 {
            let tcp = tokio::net::TcpStream::connect(server.addr).await.unwrap();
            let mut stream = connector.connect("127.0.0.1".try_into().unwrap(), tcp).await.unwrap();
            exchange(&mut stream).await;
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        }
    }
}

/// One request and its answer, so that tickets, were there any, have come.
async fn exchange(stream: &mut tokio_rustls::client::TlsStream<tokio::net::TcpStream>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut buffer = [0; 512];
    let read = stream.read(&mut buffer).await.unwrap();
    assert!(buffer[..read].starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&buffer[..read]));
}

#[tokio::test]
async fn tls_1_2_is_spoken_only_by_option() {
    let pki = Pki::new();
    for tls12 in [false, true] {
        let mut tls = mutual(pki.server("south"), pki.trust());
        tls.tls12 = tls12;
        let server = Server::start(&tls).await;
        let config = common_config(&pki, Some(pems(&pki, "north")), &[], &[&rustls::version::TLS12]);
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        let tcp = tokio::net::TcpStream::connect(server.addr).await.unwrap();
        assert_eq!(connector.connect("127.0.0.1".try_into().unwrap(), tcp).await.is_ok(), tls12);
    }
}

#[tokio::test]
async fn peers_that_verify_host_names_in_the_common_way_are_satisfied() {
    let pki = Pki::new();
    let server = Server::start(&mutual(pki.server("south"), pki.trust())).await;
    let mut stream = common_tls(&server, &pki, Some(pems(&pki, "north")), &["http/1.1"]).await.unwrap();
    exchange(&mut stream).await;
}
