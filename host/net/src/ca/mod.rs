//! The platform's certificate authority (T/CIIA 003—2019 §6.1 b, §7.5.1; R13).
//!
//! One P-256 root, made at first start, its key in a file of mode 0600. Everything in a certificate save the public
//! key is the authority's own. Which certificates exist and which are revoked is the platform's record, not kept here.

mod files;
mod issue;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevocationReason, RevokedCertParams, SerialNumber,
};
use x509_parser::prelude::FromDer;

pub use issue::{IssueError, Issued, IssuedWithKey};

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
    root_pem: String,
    issuer: Issuer<'static, KeyPair>,
    not_after: SystemTime,
}

impl Ca {
    /// Opens the root in `dir` (`ca.key`, `ca.pem`), or makes it there if neither exists. `domain`: the platform's,
    /// under which servers get their DNS names. `now` is the beginning of a new root's 20 years.
    pub fn open_or_create(dir: &Path, domain: &str, now: SystemTime) -> Result<Self, CaError> {
        let domain = issue::dns_name(domain).ok_or_else(|| CaError::BadDomain(domain.to_owned()))?;
        let files = files::RootFiles::of(dir);
        let key = files.key_or_new()?;
        let root_pem = files.certificate_or(|| issue::root(&key, &domain, now))?;
        Self::from_parts(&files.cert, root_pem, key, domain)
    }

    /// A root that is never written down: for measures and tests.
    pub fn in_memory(domain: &str, now: SystemTime) -> Result<Self, CaError> {
        let domain = issue::dns_name(domain).ok_or_else(|| CaError::BadDomain(domain.to_owned()))?;
        let key = KeyPair::generate().map_err(CaError::Make)?;
        let root_pem = issue::root(&key, &domain, now)?;
        Self::from_parts(Path::new("memory"), root_pem, key, domain)
    }

    fn from_parts(path: &Path, root_pem: String, key: KeyPair, domain: String) -> Result<Self, CaError> {
        let broken = |reason: String| CaError::Broken { path: path.to_owned(), reason };
        let (_, pem) = x509_parser::pem::parse_x509_pem(root_pem.as_bytes()).map_err(|e| broken(e.to_string()))?;
        let (_, root) = x509_parser::certificate::X509Certificate::from_der(&pem.contents)
            .map_err(|error| broken(error.to_string()))?;
        let found = root.subject().iter_organization().next().and_then(|name| name.as_str().ok()).unwrap_or_default();
        if found != domain {
            return Err(CaError::DomainChanged { path: path.to_owned(), found: found.to_owned(), wanted: domain });
        }
        if root.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&key) {
            return Err(broken("the key beside it is not its own".to_owned()));
        }
        let seconds = root.validity().not_after.timestamp().try_into().unwrap_or(0);
        let issuer = Issuer::from_ca_cert_der(&pem.contents.as_slice().into(), key).map_err(CaError::Make)?;
        Ok(Self { domain, issuer, not_after: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), root_pem })
    }

    /// The platform's domain, lower case.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The root certificate: what everybody else verifies with.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// A revocation list, DER, signed by the root. `number` must grow from list to list; `next` is when the next one
    /// is due, after `now`.
    pub fn crl(
        &self,
        revoked: &[Revoked],
        number: u64,
        now: SystemTime,
        next: Duration,
    ) -> Result<Vec<u8>, IssueError> {
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
