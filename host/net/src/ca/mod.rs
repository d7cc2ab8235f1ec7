//! The platform's certificate authority (T/CIIA 003—2019 §6.1 b, §7.5.1; R13).
//!
//! A P-256 root, made at first start, and an issuer below it that signs servers; keys are files of mode 0600, and the root's
//! may be kept elsewhere. Everything in a certificate save the public key is the authority's own. Which certificates exist and
//! which are revoked is the platform's record, not kept here.

mod authority;
mod files;
mod folder;
mod issue;
mod permitted;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, KeyPair, RevocationReason, RevokedCertParams, SerialNumber,
    SigningKey as _,
};

use authority::Authority;
pub use folder::AuthorityFacts;
pub use issue::{IssueError, Issued, IssuedWithKey};
pub use permitted::Permitted;

/// Why the authority cannot be opened, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file could not be read or written.
    #[error("cannot {what} {path}")]
    File {
        /// "read" or "write".
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Others can read the root's private key.
    #[error("{path} can be read by others (mode {mode:o}); make it private with `chmod 600 {path}`")]
    KeyExposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The certificate is there and its key is not: a new root would orphan every certificate ever issued.
    #[error("{cert} is there but its key {key} is missing; restore the key from its backup")]
    KeyMissing {
        /// The root certificate.
        cert: PathBuf,
        /// Where the key should be.
        key: PathBuf,
    },
    /// The root was made for another domain.
    #[error(
        "the root certificate in {path} is for {found:?}, the configuration says {wanted:?}; a root keeps its domain"
    )]
    DomainChanged {
        /// The root certificate.
        path: PathBuf,
        /// Its domain.
        found: String,
        /// The configuration's.
        wanted: String,
    },
    /// A file holds something else than it should.
    #[error("{path} is not usable: {reason}")]
    Broken {
        /// Which file.
        path: PathBuf,
        /// In what way.
        reason: String,
    },
    /// No authority has been made here yet.
    #[error(
        "there is no certificate authority in {0}: make one with `isthmus platform ca init`, or start the platform"
    )]
    Nothing(PathBuf),
    /// A step of a roll-over out of its order.
    #[error("{0}")]
    Step(&'static str),
    /// The domain is no DNS name.
    #[error("{0:?} is not a domain name")]
    BadDomain(String),
    /// A certificate or list could not be made.
    #[error("cannot make the root certificate")]
    Make(#[source] rcgen::Error),
}

/// A certificate taken back (for [`Ca::crl`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number, lower-case hex, as [`Issued::serial`].
    pub serial: String,
    /// Since when.
    pub at: SystemTime,
    /// Why.
    pub reason: Why,
}

/// Why a certificate was taken back (RFC 5280 §5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The server deregistered (§7.5.3), or the platform did so.
    CessationOfOperation,
    /// The server is suspended: it may come back.
    Hold,
    /// A renewal took its place.
    Superseded,
    /// Its private key is known to others.
    KeyCompromise,
    /// Nothing said.
    Unspecified,
}

/// The authority, opened.
#[derive(Debug)]
pub struct Ca {
    domain: String,
    /// Signs.
    active: Authority,
    /// Trusted beside it while a roll-over goes on.
    others: Vec<Authority>,
}

impl Ca {
    /// Opens the root in `dir` (`ca.key`, `ca.pem`), or makes it there if neither exists; it signs by itself. `domain`: under
    /// which servers get their DNS names. `now` is the beginning of a new root's 20 years.
    pub fn open_or_create(dir: &Path, domain: &str, now: SystemTime) -> Result<Self, CaError> {
        let domain = issue::dns_name(domain).ok_or_else(|| CaError::BadDomain(domain.to_owned()))?;
        let files = files::Pair::root(dir);
        let key = files.key_or_new()?;
        let root_pem = files.certificate_or(|| issue::root(&key, &domain, now))?;
        let active = Authority::of_root(&files.cert, root_pem, key, &domain)?;
        Ok(Self { domain, active, others: Vec::new() })
    }

    /// A root that is never written down: for measures and tests.
    pub fn in_memory(domain: &str, now: SystemTime) -> Result<Self, CaError> {
        let domain = issue::dns_name(domain).ok_or_else(|| CaError::BadDomain(domain.to_owned()))?;
        let key = KeyPair::generate().map_err(CaError::Make)?;
        let root_pem = issue::root(&key, &domain, now)?;
        let active = Authority::of_root(Path::new("memory"), root_pem, key, &domain)?;
        Ok(Self { domain, active, others: Vec::new() })
    }

    /// The platform's domain, lower case.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The root certificate under which is signed.
    pub fn root_pem(&self) -> &str {
        &self.active.root_pem
    }

    /// All roots that are trusted now, the signing one's first: what everybody else verifies with.
    pub fn roots_pem(&self) -> String {
        self.authorities().map(|authority| authority.root_pem.as_str()).collect()
    }

    /// The certificates of all issuers below them.
    pub fn issuers_pem(&self) -> String {
        self.authorities().filter_map(|authority| authority.issuer_pem.as_deref()).collect()
    }

    /// Until when the authority can sign.
    pub fn not_after(&self) -> SystemTime {
        self.active.not_after
    }

    /// End of the root that it signs under.
    pub fn root_not_after(&self) -> SystemTime {
        self.active.root_end
    }

    /// Whether the root's private key is on this machine.
    pub fn root_online(&self) -> bool {
        self.active.root_online
    }

    /// SHA-256 of the signing root's certificate, lower-case hex: what is compared by telephone.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.active.root_pem)
    }

    /// Signs a statement of the platform's (the registry's list): checked by [`crate::tls::verify_statement`]. A statement never
    /// looks like a certificate or a list: those begin with DER, this with words.
    pub fn sign(&self, statement: &[u8]) -> Result<Vec<u8>, IssueError> {
        self.active.issuer.key().sign(statement).map_err(IssueError::Make)
    }

    fn authorities(&self) -> impl Iterator<Item = &Authority> {
        std::iter::once(&self.active).chain(&self.others)
    }

    /// A revocation list, DER, signed by whoever signs certificates. `number` must grow from list to list; `next` is when the
    /// next one is due, after `now`.
    pub fn crl(
        &self,
        revoked: &[Revoked],
        number: u64,
        now: SystemTime,
        next: Duration,
    ) -> Result<Vec<u8>, IssueError> {
        self.active.crl(revoked, number, now, next)
    }

    /// The same of every authority that is trusted: a peer's certificate may be of any of them.
    pub fn crls(
        &self,
        revoked: &[Revoked],
        number: u64,
        now: SystemTime,
        next: Duration,
    ) -> Result<Vec<Vec<u8>>, IssueError> {
        self.authorities().map(|authority| authority.crl(revoked, number, now, next)).collect()
    }
}

impl Authority {
    fn crl(&self, revoked: &[Revoked], number: u64, now: SystemTime, next: Duration) -> Result<Vec<u8>, IssueError> {
        let revoked_certs = revoked.iter().map(Revoked::entry).collect::<Result<_, _>>()?;
        let params = CertificateRevocationListParams {
            this_update: now.into(),
            next_update: (now + next).into(),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).map_err(IssueError::Make)?;
        Ok(list.der().to_vec())
    }
}

impl Revoked {
    fn entry(&self) -> Result<RevokedCertParams, IssueError> {
        let reason = match self.reason {
            Why::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
            Why::Hold => Some(RevocationReason::CertificateHold),
            Why::Superseded => Some(RevocationReason::Superseded),
            Why::KeyCompromise => Some(RevocationReason::KeyCompromise),
            Why::Unspecified => None,
        };
        Ok(RevokedCertParams {
            serial_number: issue::serial_from_hex(&self.serial)?,
            revocation_time: self.at.into(),
            reason_code: reason,
            invalidity_date: None,
        })
    }
}

/// SHA-256 of a PEM certificate, lower-case hex.
fn fingerprint(pem: &str) -> String {
    let der = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map(|(_, pem)| pem.contents).unwrap_or_default();
    crate::identity::hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der).as_ref())
}
