//! The platform's CA (§7.5.1, R13).

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use isthmus_net::ca::{CaError, IssueError};
use isthmus_net::csr::{CsrError, check, csr_for_key, new_key_and_csr};
use isthmus_net::identity::IdentityError;
use isthmus_net::{Ca, Credentials, Identity};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
    PublicKeyData, RsaKeySize,
};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use crate::support::*;

fn with_cert<T>(chain_pem: &str, look: impl FnOnce(&x509_parser::certificate::X509Certificate<'_>) -> T) -> T {
    let (_, pem) = x509_parser::pem::parse_x509_pem(chain_pem.as_bytes()).unwrap();
    let (_, cert) = x509_parser::certificate::X509Certificate::from_der(&pem.contents).unwrap();
    look(&cert)
}

#[test]
fn the_root_is_made_once_and_its_key_is_private() {
    let pki = Pki::new();
    let again = Ca::open_or_create(pki.dir.path(), "IM.example.", SystemTime::now()).unwrap();
    assert_eq!(again.root_pem(), pki.ca.root_pem());
    assert_eq!(again.domain(), DOMAIN);
    let mode = std::fs::metadata(pki.dir.path().join("ca.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_root_key_that_others_can_read_is_refused_with_the_remedy() {
    let pki = Pki::new();
    let key = pki.dir.path().join("ca.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = Ca::open_or_create(pki.dir.path(), DOMAIN, SystemTime::now()).unwrap_err();
    assert!(matches!(error, CaError::KeyExposed { mode: 0o640, .. }));
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn a_lost_key_is_never_replaced_silently_and_a_lost_certificate_is_made_anew() {
    let pki = Pki::new();
    std::fs::remove_file(pki.dir.path().join("ca.pem")).unwrap();
    let again = Ca::open_or_create(pki.dir.path(), DOMAIN, SystemTime::now()).unwrap();
    let trust = isthmus_net::Trust::from_pem(again.root_pem()).unwrap();
    assert!(isthmus_net::ClientTls::new(&trust, Some(pki.server("north")), false).is_ok());
    std::fs::remove_file(pki.dir.path().join("ca.key")).unwrap();
    let error = Ca::open_or_create(pki.dir.path(), DOMAIN, SystemTime::now()).unwrap_err();
    assert!(matches!(error, CaError::KeyMissing { .. }));
}

#[test]
fn a_root_keeps_its_domain_and_its_key() {
    let (pki, other) = (Pki::new(), Pki::new());
    let error = Ca::open_or_create(pki.dir.path(), "other.example", SystemTime::now()).unwrap_err();
    assert!(matches!(error, CaError::DomainChanged { .. }), "{error}");
    std::fs::copy(other.dir.path().join("ca.key"), pki.dir.path().join("ca.key")).unwrap();
    let error = Ca::open_or_create(pki.dir.path(), DOMAIN, SystemTime::now()).unwrap_err();
    assert!(matches!(error, CaError::Broken { .. }), "{error}");
}

#[test]
fn of_a_request_only_the_public_key_is_taken() {
    let pki = Pki::new();
    let key = KeyPair::generate().unwrap();
    let mut greedy = CertificateParams::default();
    greedy.distinguished_name.push(DnType::CommonName, "south");
    greedy.subject_alt_names = vec![uri("urn:ciia:im:platform"), dns("south.ic.im.example")];
    greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    greedy.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let csr = greedy.serialize_request(&key).unwrap().pem().unwrap();
    let now = SystemTime::now();
    let issued = pki.ca.issue_server(&csr, &id("north"), "chat.north.example", now, 90).unwrap();

    with_cert(&issued.chain_pem, |cert| {
        assert_eq!(cert.public_key().raw, key.subject_public_key_info());
        assert!(!cert.is_ca());
        let names = &cert.subject_alternative_name().unwrap().unwrap().value.general_names;
        let expected = [
            GeneralName::URI("urn:ciia:im:server:north"),
            GeneralName::DNSName("north.ic.im.example"),
            GeneralName::DNSName("chat.north.example"),
        ];
        assert_eq!(names.as_slice(), expected);
        let usage = cert.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign());
        let purposes = cert.extended_key_usage().unwrap().unwrap().value;
        assert!(purposes.client_auth && purposes.server_auth && !purposes.any);
        let kinds: Vec<_> = cert.extensions().iter().map(|extension| extension.parsed_extension()).collect();
        assert!(kinds.iter().any(|kind| matches!(kind, ParsedExtension::AuthorityKeyIdentifier(_))));
        assert!(kinds.iter().any(|kind| matches!(kind, ParsedExtension::SubjectKeyIdentifier(_))));
    });
    let facts = Credentials::from_pem(&issued.chain_pem, &key.serialize_pem()).unwrap().facts().unwrap();
    assert_eq!(facts.identity, Identity::Server(id("north")));
    assert_eq!((facts.serial.as_str(), facts.domain.as_str()), (issued.serial.as_str(), DOMAIN));
    let near = |a: SystemTime, b: SystemTime| {
        a.duration_since(b).unwrap_or_else(|error| error.duration()) < Duration::from_secs(2)
    };
    assert!(near(facts.not_before, now - Duration::from_secs(900)));
    assert!(near(facts.not_after, now + DAY * 90));
}

#[test]
fn the_same_key_gets_another_serial_each_time() {
    let pki = Pki::new();
    let (key, csr) = new_key_and_csr("north").unwrap();
    let again = csr_for_key(&key, "north").unwrap();
    let issue = |csr: &str| pki.ca.issue_server(csr, &id("north"), "::1", SystemTime::now(), 1).unwrap().serial;
    let (first, second) = (issue(&csr), issue(&again));
    assert_ne!(first, second);
    assert_eq!((first.len(), second.len()), (32, 32));
}

#[test]
fn a_host_that_is_anothers_name_in_the_interconnect_is_refused() {
    let pki = Pki::new();
    let (_, csr) = new_key_and_csr("north").unwrap();
    let issue = |host: &str| pki.ca.issue_server(&csr, &id("north"), host, SystemTime::now(), 1);
    for host in ["south.ic.im.example", "SOUTH.ic.IM.example.", "ic.im.example", "platform.im.example"] {
        assert!(matches!(issue(host), Err(IssueError::ReservedHost(_))), "{host}");
    }
    for host in ["", "a b", "*.example", "-x.example", "http://x", "1.2.3"] {
        assert!(matches!(issue(host), Err(IssueError::BadHost(_))), "{host}");
    }
    for host in ["north.ic.im.example", "localhost", "10.0.0.1", "[::1]", "2001:db8::1", "Chat.Example"] {
        issue(host).unwrap();
    }
}

#[test]
fn a_request_must_be_signed_by_its_own_key_and_the_key_be_strong() {
    let request = |key: &KeyPair| CertificateParams::default().serialize_request(key).unwrap();
    let rsa = |size| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).unwrap();
    assert_eq!(check(&request(&KeyPair::generate().unwrap()).pem().unwrap()), Ok(()));
    assert_eq!(check(&request(&KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap()).pem().unwrap()), Ok(()));
    assert_eq!(check(&request(&rsa(RsaKeySize::_3072)).pem().unwrap()), Ok(()));
    assert_eq!(check(&request(&rsa(RsaKeySize::_2048)).pem().unwrap()), Err(CsrError::WeakKey { bits: 2048 }));
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    assert_eq!(check(&request(&ed25519).pem().unwrap()), Err(CsrError::UnsupportedKey));

    // Another's public key under our own signature.
    let victim = KeyPair::generate().unwrap();
    let attacker = KeyPair::generate().unwrap();
    let mut der = request(&attacker).der().to_vec();
    let (from, to) = (attacker.der_bytes(), victim.der_bytes());
    let at = der.windows(from.len()).position(|window| window == from).unwrap();
    der[at..at + to.len()].copy_from_slice(to);
    assert_eq!(check(&pem("CERTIFICATE REQUEST", &der)), Err(CsrError::BadSignature));

    assert_eq!(check("no PEM"), Err(CsrError::NotPem));
    assert_eq!(check(&"x".repeat(100_000)), Err(CsrError::NotPem));
    assert_eq!(check(&pem("CERTIFICATE REQUEST", b"no DER")), Err(CsrError::Malformed));
}

fn pem(label: &str, der: &[u8]) -> String {
    use std::fmt::Write as _;
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for chunk in der.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let symbol = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(symbol) } else { '=' });
        }
        text.push('\n');
    }
    writeln!(text, "-----END {label}-----").unwrap();
    text
}

#[test]
fn no_certificate_outlives_the_root() {
    let pki = Pki::new();
    let (_, csr) = new_key_and_csr("north").unwrap();
    let years = SystemTime::now() + DAY * 365 * 19;
    let issued = pki.ca.issue_server(&csr, &id("north"), "localhost", years, 3650).unwrap();
    let root_end = with_cert(pki.ca.root_pem(), |root| root.validity().not_after.timestamp());
    let end = issued.not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(i64::try_from(end).unwrap(), root_end);
    let beyond = SystemTime::now() + DAY * 365 * 30;
    let late = pki.ca.issue_server(&csr, &id("north"), "localhost", beyond, 1);
    assert!(matches!(late, Err(IssueError::RootExpired)));
}

#[test]
fn the_platforms_own_certificate_is_the_platform_and_a_listeners_is_nobody() {
    let pki = Pki::new();
    let hosts = ["platform.im.example".to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()];
    let platform = pki.ca.issue_platform(&hosts, SystemTime::now(), 30).unwrap();
    let facts = Credentials::from_pem(&platform.issued.chain_pem, &platform.key_pem).unwrap().facts().unwrap();
    assert_eq!(facts.identity, Identity::Platform);
    let listener = pki.ca.issue_listener(&hosts, SystemTime::now(), 30).unwrap();
    let facts = Credentials::from_pem(&listener.issued.chain_pem, &listener.key_pem).unwrap().facts();
    assert_eq!(facts, Err(IdentityError::NoName));
}
