//! One root and the issuer below it, in one folder: `ca.key`, `ca.pem`, `issuer.key`, `issuer.pem`.
//!
//! The root's key signs issuers and nothing else: once there is an issuer it may be taken away, and comes back when the
//! issuer nears its end. An issuer that is signed anew keeps its key, so that its revocation list and the chains under it hold.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{Issuer, KeyPair};
use x509_parser::prelude::FromDer;

use super::files::Pair;
use super::permitted::Permitted;
use super::{CaError, issue};

/// A root, and what signs in its name.
#[derive(Debug)]
pub(super) struct Authority {
    pub(super) root_pem: String,
    pub(super) root_end: SystemTime,
    /// None where the root signs by itself.
    pub(super) issuer_pem: Option<String>,
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) not_after: SystemTime,
    pub(super) permitted: Option<Permitted>,
    /// Whether the root's key is on this machine.
    pub(super) root_online: bool,
}

/// What a certificate of an authority says.
struct Facts {
    domain: String,
    begin: SystemTime,
    end: SystemTime,
}

impl Authority {
    /// Opens what is in `dir`; makes what is missing and may be made.
    pub(super) fn open(
        dir: &Path,
        domain: &str,
        permitted: Option<&Permitted>,
        now: SystemTime,
    ) -> Result<Self, CaError> {
        let (root, issuer) = (Pair::root(dir), Pair::issuer(dir));
        let root_key = match (root.key()?, root.certificate()?, issuer.certificate()?) {
            (None, Some(_), Some(_)) => None,
            (Some(key), _, _) => Some(key),
            (None, _, _) => Some(root.key_or_new()?),
        };
        let root_pem = match &root_key {
            Some(key) => root.certificate_or(|| issue::root(key, domain, now))?,
            None => root.certificate()?.unwrap_or_default(),
        };
        let facts = read(&root.cert, &root_pem, domain, root_key.as_ref())?;
        let root_online = root_key.is_some();
        let issuer_key = match issuer.key()? {
            Some(key) => key,
            None if issuer.cert.exists() => return Err(missing(&issuer)),
            None => issuer.key_or_new()?,
        };
        let issuer_pem = issuer_certificate(&issuer, &issuer_key, root_key, &root_pem, &facts, permitted, now)?;
        let below = read(&issuer.cert, &issuer_pem, domain, Some(&issuer_key))?;
        let der = der(&issuer.cert, &issuer_pem)?;
        Ok(Self {
            issuer: Issuer::from_ca_cert_der(&der.as_slice().into(), issuer_key).map_err(CaError::Make)?,
            not_after: below.end.min(facts.end),
            root_end: facts.end,
            root_pem,
            issuer_pem: Some(issuer_pem),
            permitted: permitted.cloned(),
            root_online,
        })
    }

    /// A root that signs by itself.
    pub(super) fn of_root(path: &Path, root_pem: String, key: KeyPair, domain: &str) -> Result<Self, CaError> {
        let facts = read(path, &root_pem, domain, Some(&key))?;
        let der = der(path, &root_pem)?;
        Ok(Self {
            issuer: Issuer::from_ca_cert_der(&der.as_slice().into(), key).map_err(CaError::Make)?,
            not_after: facts.end,
            root_end: facts.end,
            root_pem,
            issuer_pem: None,
            permitted: None,
            root_online: true,
        })
    }
}

fn missing(pair: &Pair) -> CaError {
    CaError::KeyMissing { cert: pair.cert.clone(), key: pair.key.clone() }
}

/// The issuer's certificate: as it is on the disk, unless it is missing, nears its end or has other constraints and the root's
/// key is here to sign it.
fn issuer_certificate(
    issuer: &Pair,
    key: &KeyPair,
    root_key: Option<KeyPair>,
    root_pem: &str,
    root: &Facts,
    permitted: Option<&Permitted>,
    now: SystemTime,
) -> Result<String, CaError> {
    let found = issuer.certificate()?;
    let fresh = match &found {
        Some(pem) => {
            let facts = read(&issuer.cert, pem, &root.domain, Some(key))?;
            let life = facts.end.duration_since(facts.begin).unwrap_or_default();
            facts.end > now + life / 4 && constrained_as(issuer, pem, permitted)?
        }
        None => false,
    };
    match (found, root_key) {
        (Some(pem), _) if fresh => Ok(pem),
        (Some(pem), None) => Ok(pem),
        (None, None) => Err(missing(issuer)),
        (_, Some(root_key)) => {
            let der = der(&issuer.cert, root_pem)?;
            let signer = Issuer::from_ca_cert_der(&der.as_slice().into(), root_key).map_err(CaError::Make)?;
            let pem = issue::issuer(key, &signer, root.end, &root.domain, permitted, now)?;
            issuer.put_certificate(&pem)?;
            Ok(pem)
        }
    }
}

/// Whether an issuer carries the constraints that are configured: compared by number, for they are written by us alone.
fn constrained_as(issuer: &Pair, pem: &str, permitted: Option<&Permitted>) -> Result<bool, CaError> {
    let der = der(&issuer.cert, pem)?;
    let (_, cert) = x509_parser::certificate::X509Certificate::from_der(&der)
        .map_err(|error| CaError::Broken { path: issuer.cert.clone(), reason: error.to_string() })?;
    let found = cert.name_constraints().ok().flatten();
    let found = found.map(|found| found.value.permitted_subtrees.as_ref().map_or(0, Vec::len));
    Ok(found == permitted.map(|permitted| permitted.constraints().permitted_subtrees.len()))
}

fn der(path: &Path, pem: &str) -> Result<Vec<u8>, CaError> {
    let broken = |reason: String| CaError::Broken { path: path.to_owned(), reason };
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|error| broken(error.to_string()))?;
    Ok(pem.contents)
}

fn read(path: &Path, pem: &str, domain: &str, key: Option<&KeyPair>) -> Result<Facts, CaError> {
    let broken = |reason: String| CaError::Broken { path: path.to_owned(), reason };
    let der = der(path, pem)?;
    let (_, cert) =
        x509_parser::certificate::X509Certificate::from_der(&der).map_err(|error| broken(error.to_string()))?;
    let found = cert.subject().iter_organization().next().and_then(|name| name.as_str().ok()).unwrap_or_default();
    if found != domain {
        let (found, wanted) = (found.to_owned(), domain.to_owned());
        return Err(CaError::DomainChanged { path: path.to_owned(), found, wanted });
    }
    if key.is_some_and(|key| cert.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(key)) {
        return Err(broken("the key beside it is not its own".to_owned()));
    }
    let time = |seconds: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or(0));
    let validity = cert.validity();
    Ok(Facts {
        domain: found.to_owned(),
        begin: time(validity.not_before.timestamp()),
        end: time(validity.not_after.timestamp()),
    })
}
