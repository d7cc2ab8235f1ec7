//! The platform's authority: a root that may be away, an issuer that signs, and the change from one root to the next.

use std::time::{Duration, SystemTime};

use isthmus_net::ca::{CaError, IssueError, Permitted, Revoked, Why};
use isthmus_net::csr::{csr_for_key, new_key_and_csr};
use isthmus_net::tls::{StatementError, verify_statement};
use isthmus_net::{Ca, Credentials, SendError, Trust};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _};
use tempfile::TempDir;

use crate::support::*;

fn now() -> SystemTime {
    SystemTime::now()
}

fn platform() -> (TempDir, Ca) {
    let dir = tempfile::tempdir().unwrap();
    let ca = open(&dir);
    (dir, ca)
}

fn open(dir: &TempDir) -> Ca {
    Ca::open_platform(dir.path(), DOMAIN, None, now()).unwrap()
}

fn server(ca: &Ca, name: &str) -> Credentials {
    let (key, csr) = new_key_and_csr(name).unwrap();
    let issued = ca.issue_server(&csr, &id(name), "127.0.0.1", now(), 7).unwrap();
    Credentials::from_pem(&issued.chain_pem, &key).unwrap()
}

fn trust(ca: &Ca) -> Trust {
    Trust::from_pem(&ca.roots_pem()).unwrap().with_domain(DOMAIN)
}

/// Whether `south` of one authority and `north` of another talk, both believing what `trust` says.
async fn talk(trust: &Trust, south: Credentials, north: Credentials) -> Result<(), SendError> {
    let server = Server::start(&mutual(south, trust.clone())).await;
    Client::new(trust, Some(north)).hello(&server.address("south")).await.map(|_| ())
}

#[tokio::test]
async fn servers_are_signed_by_an_issuer_and_send_it_in_their_chain() {
    let (_dir, ca) = platform();
    let (_, csr) = new_key_and_csr("north").unwrap();
    let issued = ca.issue_server(&csr, &id("north"), "127.0.0.1", now(), 7).unwrap();
    assert_eq!(issued.chain_pem.matches("BEGIN CERTIFICATE").count(), 2);
    assert!(!issued.chain_pem.contains(ca.root_pem().trim()), "the root is not sent");
    assert_eq!((issued.key_algorithm.as_str(), issued.signature_algorithm), ("ecdsa-p256", "ecdsa-p256-sha256"));
    talk(&trust(&ca), server(&ca, "south"), server(&ca, "north")).await.unwrap();
}

#[test]
fn keys_of_p384_and_rsa_3072_are_certified_and_named() {
    let (_dir, ca) = platform();
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_3072).unwrap();
    for (key, name) in [(p384, "ecdsa-p384"), (rsa, "rsa-3072")] {
        let csr = csr_for_key(&key.serialize_pem(), "north").unwrap();
        let issued = ca.issue_server(&csr, &id("north"), "127.0.0.1", now(), 7).unwrap();
        assert_eq!(issued.key_algorithm, name);
        Credentials::from_pem(&issued.chain_pem, &key.serialize_pem()).unwrap().facts().unwrap();
    }
}

#[tokio::test]
async fn the_roots_key_can_be_away_and_comes_back_only_if_it_is_its_own() {
    let (dir, ca) = platform();
    let exported = Ca::export_root(dir.path()).unwrap();
    Ca::remove_root_key(dir.path()).unwrap();
    assert!(!dir.path().join("ca.key").exists());
    let without = open(&dir);
    assert!(!without.root_online() && without.root_pem() == ca.root_pem());
    talk(&trust(&ca), server(&without, "south"), server(&ca, "north")).await.unwrap();
    assert!(matches!(Ca::export_root(dir.path()), Err(CaError::KeyMissing { .. })));

    let (other, _) = platform();
    let foreign = Ca::export_root(other.path()).unwrap();
    assert!(matches!(Ca::import_root(dir.path(), DOMAIN, &foreign), Err(CaError::Broken { .. })));
    assert!(Ca::import_root(dir.path(), DOMAIN, "no key").is_err());
    Ca::import_root(dir.path(), DOMAIN, &exported).unwrap();
    assert!(open(&dir).root_online());
    let fresh = tempfile::tempdir().unwrap();
    Ca::import_root(fresh.path(), DOMAIN, &exported).unwrap();
    assert_eq!(open(&fresh).root_pem(), ca.root_pem(), "a root moves to another machine");
}

#[tokio::test]
async fn an_issuer_near_its_end_is_signed_anew_with_the_same_key_if_the_root_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let begin = now() - DAY * 900;
    let ca = Ca::open_platform(dir.path(), DOMAIN, None, begin).unwrap();
    let old = server(&ca, "south");
    let renewed = open(&dir);
    assert!(renewed.not_after() > ca.not_after());
    talk(&trust(&ca), old, server(&renewed, "north")).await.unwrap();
    Ca::remove_root_key(dir.path()).unwrap();
    let far = Ca::open_platform(dir.path(), DOMAIN, None, now() + DAY * 1000).unwrap();
    assert_eq!(far.not_after(), renewed.not_after(), "nobody can sign it");
}

#[tokio::test]
async fn neither_a_servers_certificate_nor_the_issuer_makes_authorities() {
    let (dir, ca) = platform();
    // A server that signs for another one.
    let (key, csr) = new_key_and_csr("west").unwrap();
    let chain = ca.issue_server(&csr, &id("west"), "127.0.0.1", now(), 7).unwrap().chain_pem;
    let first = chain.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap();
    let forged = signed_below(first, &key, &chain);
    let error = talk(&trust(&ca), server(&ca, "south"), forged).await.unwrap_err();
    assert!(matches!(error, SendError::Rejected { .. }), "{error:?}");
    // The issuer's own key, by which an intruder would make an authority below it.
    let issuer_pem = std::fs::read_to_string(dir.path().join("issuer.pem")).unwrap();
    let issuer_key = KeyPair::from_pem(&std::fs::read_to_string(dir.path().join("issuer.key")).unwrap()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&issuer_pem, issuer_key).unwrap();
    let below_key = KeyPair::generate().unwrap();
    let mut below = proper("west");
    below.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    below.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let below_pem = below.signed_by(&below_key, &issuer).unwrap().pem();
    let forged = signed_below(&below_pem, &below_key.serialize_pem(), &(below_pem.clone() + &issuer_pem));
    let error = talk(&trust(&ca), server(&ca, "south"), forged).await.unwrap_err();
    assert!(matches!(error, SendError::Rejected { .. }), "{error:?}");
}

/// A certificate of `north`, signed with a certificate and key that should sign nothing.
fn signed_below(signer_pem: &str, signer_key: &str, chain: &str) -> Credentials {
    let issuer = Issuer::from_ca_cert_pem(signer_pem, KeyPair::from_pem(signer_key).unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = proper("north").signed_by(&key, &issuer).unwrap().pem();
    Credentials::from_pem(&(leaf + chain), &key.serialize_pem()).unwrap()
}

#[tokio::test]
async fn name_constraints_hold_what_the_platform_would_not_certify() {
    let dir = tempfile::tempdir().unwrap();
    let permitted = Permitted::parse(DOMAIN, ["example.org", "127.0.0.0/8"]).unwrap();
    let ca = Ca::open_platform(dir.path(), DOMAIN, Some(&permitted), now()).unwrap();
    let (_, csr) = new_key_and_csr("north").unwrap();
    let at = |host: &str| ca.issue_server(&csr, &id("north"), host, now(), 7);
    for host in ["example.org", "chat.example.org", "127.0.0.9"] {
        at(host).unwrap();
    }
    for host in ["example.com", "notexample.org", "10.0.0.1", "::1"] {
        assert!(matches!(at(host), Err(IssueError::ForbiddenHost(_))), "{host}");
    }
    let trust = trust(&ca);
    talk(&trust, server(&ca, "south"), server(&ca, "north")).await.unwrap();
    // An intruder with the issuer's key gets no further.
    let issuer_pem = std::fs::read_to_string(dir.path().join("issuer.pem")).unwrap();
    let issuer_key = KeyPair::from_pem(&std::fs::read_to_string(dir.path().join("issuer.key")).unwrap()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&issuer_pem, issuer_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params: CertificateParams = proper("north");
    params.subject_alt_names.push(dns("www.bank.example"));
    let chain = params.signed_by(&key, &issuer).unwrap().pem() + &issuer_pem;
    let forged = Credentials::from_pem(&chain, &key.serialize_pem()).unwrap();
    assert!(talk(&trust, server(&ca, "south"), forged).await.is_err());
}

#[tokio::test]
async fn while_a_root_follows_another_both_are_believed_and_each_revokes_its_own() {
    let (dir, before) = platform();
    let old = server(&before, "south");
    assert!(matches!(Ca::activate(dir.path()), Err(CaError::Step(_))));
    Ca::roll_over(dir.path(), DOMAIN, None, now()).unwrap();
    assert!(matches!(Ca::roll_over(dir.path(), DOMAIN, None, now()), Err(CaError::Step(_))));
    let both = open(&dir);
    assert_eq!(both.root_pem(), before.root_pem(), "the new root does not sign yet");
    Ca::activate(dir.path()).unwrap();
    let after = open(&dir);
    assert_ne!(after.root_pem(), before.root_pem());
    let lists = after.crls(&[], 9, now(), DAY).unwrap();
    let trusting = trust(&both).with_crls(lists.iter().map(Vec::as_slice)).unwrap();
    talk(&trusting, old.clone(), server(&after, "north")).await.unwrap();

    let revoked = [Revoked { serial: old.facts().unwrap().serial, at: now(), reason: Why::KeyCompromise }];
    let lists = after.crls(&revoked, 10, now(), DAY).unwrap();
    for list in &lists {
        Trust::check_crl(list, &after.roots_pem(), &after.issuers_pem()).unwrap();
    }
    let trusting = trust(&after).with_crls(lists.iter().map(Vec::as_slice)).unwrap();
    talk(&trusting, old, server(&after, "north")).await.unwrap_err();

    Ca::retire(dir.path()).unwrap();
    let last = open(&dir);
    assert_eq!(last.roots_pem(), after.root_pem());
    let (south, north) = (server(&last, "south"), server(&before, "north"));
    talk(&trust(&last), south, north).await.unwrap_err();
    assert!(matches!(Ca::retire(dir.path()), Err(CaError::Step(_))));
}

#[test]
fn a_statement_counts_only_from_an_issuer_below_a_root() {
    let ((_dir, ca), (_other_dir, other)) = (platform(), platform());
    let signature = ca.sign(b"list 7").unwrap();
    let check = |words: &[u8], issuers: &str, roots: &str| verify_statement(words, &signature, issuers, roots);
    assert_eq!(check(b"list 7", &ca.issuers_pem(), ca.root_pem()), Ok(()));
    assert_eq!(check(b"list 8", &ca.issuers_pem(), ca.root_pem()), Err(StatementError::Signature));
    assert_eq!(check(b"list 7", &other.issuers_pem(), ca.root_pem()), Err(StatementError::Signer));
    assert_eq!(check(b"list 7", &ca.issuers_pem(), other.root_pem()), Err(StatementError::Signer));
    assert_eq!(check(b"list 7", "", ca.root_pem()), Err(StatementError::Signer));
    // A server's own certificate is no issuer.
    let (key, csr) = new_key_and_csr("north").unwrap();
    let leaf = ca.issue_server(&csr, &id("north"), "127.0.0.1", now(), 7).unwrap().chain_pem;
    let key = KeyPair::from_pem(&key).unwrap();
    let forged = rcgen::SigningKey::sign(&key, b"list 7").unwrap();
    let alone = leaf.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap();
    assert_eq!(verify_statement(b"list 7", &forged, alone, ca.root_pem()), Err(StatementError::Signer));
    assert!(!key.subject_public_key_info().is_empty());
}

#[tokio::test]
async fn ten_minutes_of_difference_between_two_clocks_do_no_harm_to_a_fresh_certificate() {
    let (_dir, ca) = platform();
    for skew in [Duration::from_secs(600), Duration::ZERO] {
        // Issued by a platform whose clock is ahead.
        let (key, csr) = new_key_and_csr("south").unwrap();
        let issued = ca.issue_server(&csr, &id("south"), "127.0.0.1", now() + skew, 7).unwrap();
        let south = Credentials::from_pem(&issued.chain_pem, &key).unwrap();
        talk(&trust(&ca), south, server(&ca, "north")).await.unwrap();
    }
    // Or behind, and half of the certificate's life is gone.
    let (key, csr) = new_key_and_csr("south").unwrap();
    let early = now() - Duration::from_secs(600);
    let issued = ca.issue_server(&csr, &id("south"), "127.0.0.1", early, 1).unwrap();
    talk(&trust(&ca), Credentials::from_pem(&issued.chain_pem, &key).unwrap(), server(&ca, "north")).await.unwrap();
}
