//! Certificates as R13 has them.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use isthmus_wire::ServerId;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::DnsName;

use super::permitted::{Host, Permitted};
use super::{Ca, CaError};
use crate::csr::{self, CsrError};
use crate::identity::{self, Identity};

/// Clocks of peers may lag behind the platform's, by more than the ten minutes that nobody notices.
const BACKDATED: Duration = Duration::from_secs(15 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const ROOT_YEARS: u32 = 20;
/// Life of an issuer: three years. It is signed anew, with the same key, when a quarter is left.
const ISSUER_DAYS: u32 = 1096;

/// Why no certificate was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The applicant's request is at fault.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// A host that is neither a DNS name nor an address.
    #[error("{0:?} is neither a host name nor an IP address")]
    BadHost(String),
    /// A host that would make the certificate another's: a name under `ic.<domain>`, or the platform's.
    #[error("the host name {0:?} belongs to the interconnect itself")]
    ReservedHost(String),
    /// A host outside of what the issuer's name constraints permit.
    #[error("the host {0:?} lies outside of what this authority may certify")]
    ForbiddenHost(String),
    /// A serial number that is not 1–20 bytes of hex.
    #[error("{0:?} is not a serial number")]
    BadSerial(String),
    /// The root ends before the certificate would begin.
    #[error("the root certificate has expired")]
    RootExpired,
    /// The certificate could not be made. Ours.
    #[error("the certificate cannot be made")]
    Make(#[source] rcgen::Error),
    /// No randomness for a serial number. Ours.
    #[error("the system gives no random numbers")]
    Random,
}

/// A certificate, and what the platform has to remember of it.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Leaf first, then the issuer (none where the root signs by itself), without the root.
    pub chain_pem: String,
    /// Serial number, lower-case hex: what a revocation names.
    pub serial: String,
    /// Start of validity, a quarter of an hour before it was issued.
    pub not_before: SystemTime,
    /// End of validity.
    pub not_after: SystemTime,
    /// The certified key's algorithm and length: `ecdsa-p256`, `ecdsa-p384`, `rsa-3072`.
    pub key_algorithm: String,
    /// The algorithm that the authority has signed with.
    pub signature_algorithm: &'static str,
}

/// A certificate whose key was made here as well, for the platform's own use.
#[derive(Clone)]
pub struct IssuedWithKey {
    /// The certificate.
    pub issued: Issued,
    /// PKCS#8 PEM. Secret.
    pub key_pem: String,
}

impl Ca {
    /// An interconnect certificate (R13) for `id`, reachable at `host` (that of `serverAddress`, a DNS name or an IP
    /// address), valid from a quarter of an hour before `now` for `days`, but never beyond the issuer.
    pub fn issue_server(
        &self,
        csr_pem: &str,
        id: &ServerId,
        host: &str,
        now: SystemTime,
        days: u32,
    ) -> Result<Issued, IssueError> {
        let key = csr::public_key(csr_pem)?;
        let identity = Identity::Server(id.clone());
        let own = identity::server_dns_name(id, self.domain());
        let hosts = [host.to_owned()];
        self.issue(&key, &self.interconnect(&identity, id.as_str(), &own, &hosts)?, now, days)
    }

    /// The platform's own certificate, `urn:ciia:im:platform`, for its listener; `hosts` as peers call it.
    pub fn issue_platform(&self, hosts: &[String], now: SystemTime, days: u32) -> Result<IssuedWithKey, IssueError> {
        let name = identity::platform_dns_name(self.domain());
        let params = self.interconnect(&Identity::Platform, &name, &name, hosts)?;
        self.issue_with_key(&params, now, days)
    }

    /// A certificate for a listener of clients or administrators: it names hosts, and nobody of the interconnect.
    pub fn issue_listener(&self, hosts: &[String], now: SystemTime, days: u32) -> Result<IssuedWithKey, IssueError> {
        let mut params = leaf_params();
        params.distinguished_name.push(DnType::CommonName, hosts.first().map_or("localhost", String::as_str));
        params.subject_alt_names = self.host_names(hosts, &identity::platform_dns_name(self.domain()))?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue_with_key(&params, now, days)
    }

    fn interconnect(
        &self,
        identity: &Identity,
        cn: &str,
        own: &str,
        hosts: &[String],
    ) -> Result<CertificateParams, IssueError> {
        let mut params = leaf_params();
        params.distinguished_name.push(DnType::CommonName, cn);
        let uri = identity::uri(identity).unwrap_or_default();
        params.subject_alt_names = vec![SanType::URI(ia5(&uri)?), SanType::DnsName(ia5(own)?)];
        let further = self.host_names(hosts, own)?.into_iter().filter(|name| *name != params.subject_alt_names[1]);
        params.subject_alt_names.extend(further.collect::<Vec<_>>());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        Ok(params)
    }

    /// Names for hosts, and save `own` never one by which another of the interconnect is verified.
    fn host_names(&self, hosts: &[String], own: &str) -> Result<Vec<SanType>, IssueError> {
        let mut names = Vec::with_capacity(hosts.len());
        for host in hosts {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            if let Ok(ip) = bare.parse::<IpAddr>() {
                self.permit(host, &Host::Ip(ip))?;
                names.push(SanType::IpAddress(ip));
                continue;
            }
            let name = dns_name(bare).ok_or_else(|| IssueError::BadHost(host.clone()))?;
            if name != own && identity::is_reserved(&name, self.domain()) {
                return Err(IssueError::ReservedHost(host.clone()));
            }
            self.permit(host, &Host::Name(&name))?;
            names.push(SanType::DnsName(ia5(&name)?));
        }
        Ok(names)
    }

    fn permit(&self, host: &str, named: &Host<'_>) -> Result<(), IssueError> {
        match &self.active.permitted {
            Some(permitted) if !permitted.admits(named) => Err(IssueError::ForbiddenHost(host.to_owned())),
            Some(_) | None => Ok(()),
        }
    }

    fn issue_with_key(
        &self,
        params: &CertificateParams,
        now: SystemTime,
        days: u32,
    ) -> Result<IssuedWithKey, IssueError> {
        let key = KeyPair::generate().map_err(IssueError::Make)?;
        Ok(IssuedWithKey { issued: self.issue(&key, params, now, days)?, key_pem: key.serialize_pem() })
    }

    fn issue(
        &self,
        key: &impl PublicKeyData,
        params: &CertificateParams,
        now: SystemTime,
        days: u32,
    ) -> Result<Issued, IssueError> {
        let not_before = now - BACKDATED;
        let not_after = (now + DAY * days).min(self.active.not_after);
        if not_after <= now {
            return Err(IssueError::RootExpired);
        }
        let serial = random_serial()?;
        let mut params = params.clone();
        params.not_before = not_before.into();
        params.not_after = not_after.into();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let cert = params.signed_by(key, &self.active.issuer).map_err(IssueError::Make)?;
        Ok(Issued {
            chain_pem: cert.pem() + self.active.issuer_pem.as_deref().unwrap_or_default(),
            serial: identity::serial_hex(&serial),
            not_before,
            not_after,
            key_algorithm: csr::key_algorithm(&key.subject_public_key_info()),
            signature_algorithm: csr::signature_algorithm(self.active.issuer.key()),
        })
    }
}

/// What all leaves have in common.
fn leaf_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // CA:FALSE said aloud, and with it the subject key identifier.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

pub(super) fn root(key: &KeyPair, domain: &str, now: SystemTime) -> Result<String, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, domain);
    params.distinguished_name.push(DnType::CommonName, format!("IM interconnect root {}", mark(key)));
    // Room for one intermediate below it.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + DAY * 365 * ROOT_YEARS).into();
    let serial = random_serial().map_err(|_| CaError::Make(rcgen::Error::RingUnspecified))?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params.self_signed(key).map_err(CaError::Make)?.pem())
}

/// The certificate of an issuer below a root: it signs servers and revocations, and no further authority.
pub(super) fn issuer(
    key: &KeyPair,
    root: &Issuer<'_, KeyPair>,
    root_end: SystemTime,
    domain: &str,
    permitted: Option<&Permitted>,
    now: SystemTime,
) -> Result<String, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, domain);
    params.distinguished_name.push(DnType::CommonName, format!("IM interconnect issuer {}", mark(key)));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    // It signs the registry's lists too.
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.name_constraints = permitted.map(Permitted::constraints);
    params.use_authority_key_identifier_extension = true;
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + DAY * ISSUER_DAYS).min(root_end).into();
    let serial = random_serial().map_err(|_| CaError::Make(rcgen::Error::RingUnspecified))?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params.signed_by(key, root).map_err(CaError::Make)?.pem())
}

/// Two authorities never bear one name: a revocation list is found by the name of its signer.
fn mark(key: &KeyPair) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key.subject_public_key_info());
    identity::hex(&hash.as_ref()[..4])
}

/// 16 bytes, positive and of full length: 126 random bits.
fn random_serial() -> Result<[u8; 16], IssueError> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| IssueError::Random)?;
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(serial)
}

pub(super) fn serial_from_hex(text: &str) -> Result<SerialNumber, IssueError> {
    let bad = || IssueError::BadSerial(text.to_owned());
    if text.is_empty() || text.len() > 40 || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(bad());
    }
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| bad());
    let bytes: Vec<u8> = (0..text.len()).step_by(2).map(byte).collect::<Result<_, _>>()?;
    Ok(SerialNumber::from_slice(&bytes))
}

/// A DNS name in lower case without a final dot.
pub(super) fn dns_name(text: &str) -> Option<String> {
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    DnsName::try_from(name.as_str()).ok().map(|_| name.clone())
}

fn ia5(text: &str) -> Result<Ia5String, IssueError> {
    Ia5String::try_from(text).map_err(IssueError::Make)
}
