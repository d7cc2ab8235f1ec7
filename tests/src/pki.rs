//! Certificates that R13 does not allow, and one of a stranger's authority.

use std::path::Path;
use std::time::{Duration, SystemTime};

use isthmus_net::csr::new_key_and_csr;
use isthmus_net::{Ca, Credentials};
use isthmus_wire::ServerId;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

use crate::world::DOMAIN;

const DAY: Duration = Duration::from_secs(86_400);

/// A certificate of `ca`, as the platform would issue it at `now`.
#[must_use]
pub fn issued(ca: &Ca, id: &str, now: SystemTime, days: u32) -> Credentials {
    let (key, chain) = issued_pem(ca, id, now, days);
    Credentials::from_pem(&chain, &key).unwrap()
}

/// The same; key and chain as PEM.
#[must_use]
pub fn issued_pem(ca: &Ca, id: &str, now: SystemTime, days: u32) -> (String, String) {
    let (key, csr) = new_key_and_csr(id).unwrap();
    let issued = ca.issue_server(&csr, &ServerId::parse(id).unwrap(), "127.0.0.1", now, days).unwrap();
    (key, issued.chain_pem)
}

/// Issued by `ca`, and over since yesterday.
#[must_use]
pub fn expired(ca: &Ca, id: &str) -> Credentials {
    issued(ca, id, SystemTime::now() - 3 * DAY, 2)
}

/// Issued by `ca`, and good from the day after tomorrow on.
#[must_use]
pub fn not_yet_valid(ca: &Ca, id: &str) -> Credentials {
    issued(ca, id, SystemTime::now() + 2 * DAY, 2)
}

/// An authority that says of itself all that the platform's says.
#[must_use]
pub fn wrong_ca() -> Ca {
    Ca::in_memory(DOMAIN, SystemTime::now()).unwrap()
}

/// Signed by itself.
#[must_use]
pub fn self_signed(id: &str) -> Credentials {
    let key = KeyPair::generate().unwrap();
    let cert = proper(id).self_signed(&key).unwrap();
    Credentials::from_pem(&cert.pem(), &key.serialize_pem()).unwrap()
}

/// Signed by the authority in `folder`, with whatever `change` makes of a proper certificate.
#[must_use]
pub fn forged(folder: &Path, id: &str, change: impl FnOnce(&mut CertificateParams)) -> Credentials {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let key = KeyPair::from_pem(&read("issuer.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("issuer.pem"), key).unwrap();
    let mut params = proper(id);
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let cert = params.signed_by(&key, &issuer).unwrap();
    Credentials::from_pem(&(cert.pem() + &read("issuer.pem")), &key.serialize_pem()).unwrap()
}

/// Makes a proper certificate one of two names: CN and DNS of the one, URI of the other.
pub fn two_faced(params: &mut CertificateParams, other: &str) {
    params.subject_alt_names[0] = SanType::URI(format!("urn:ciia:im:server:{other}").try_into().unwrap());
}

/// Takes the purpose away that a caller needs.
pub fn for_servers_only(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
}

fn proper(id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, id);
    params.subject_alt_names = vec![
        SanType::URI(format!("urn:ciia:im:server:{id}").try_into().unwrap()),
        SanType::DnsName(format!("{id}.ic.{DOMAIN}").try_into().unwrap()),
    ];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + DAY).into();
    params.use_authority_key_identifier_extension = true;
    params
}
