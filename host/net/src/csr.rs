//! Certificate requests (PKCS#10): what an applicant makes, and what the platform takes from one (R13).
//!
//! Taken is the public key, after the request's own signature has shown that the applicant holds the private one.
//! Whatever else a request asks for (names, CA:TRUE, dates, usages) is not even looked at.

use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_RSA_SHA256, PublicKeyData, SubjectPublicKeyInfo,
};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

/// Bits of the shortest RSA key that the platform certifies.
pub const RSA_MIN_BITS: usize = 3072;
/// Bytes of the longest request that is looked at.
pub const CSR_MAX: usize = 16 * 1024;

/// Why a request is not taken; public words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Not a PEM `CERTIFICATE REQUEST`, or more than [`CSR_MAX`] bytes.
    #[error("csr is not a PEM certificate request of at most {CSR_MAX} bytes")]
    NotPem,
    /// PEM, but no PKCS#10 inside.
    #[error("csr is not a PKCS#10 request")]
    Malformed,
    /// Signed by another key than it holds, or not at all.
    #[error("csr's signature does not fit its public key")]
    BadSignature,
    /// An algorithm other than P-256, P-384, RSA.
    #[error("csr's key must be P-256, P-384, or RSA of at least {RSA_MIN_BITS} bits")]
    UnsupportedKey,
    /// An RSA key that is too short.
    #[error("csr's RSA key has {bits} bits; at least {RSA_MIN_BITS} are needed")]
    WeakKey {
        /// Its length.
        bits: usize,
    },
}

/// Why no key or request could be made. Ours, never a peer's.
#[derive(Debug, thiserror::Error)]
pub enum MakeCsrError {
    /// The text is no private key that we can sign with.
    #[error("the private key cannot be used")]
    Key(#[source] rcgen::Error),
    /// The request could not be made.
    #[error("the certificate request cannot be made")]
    Make(#[source] rcgen::Error),
}

/// A new P-256 key (PKCS#8 PEM, secret) and a request for it (PEM) with `cn` as subject.
pub fn new_key_and_csr(cn: &str) -> Result<(String, String), MakeCsrError> {
    let key = KeyPair::generate().map_err(MakeCsrError::Make)?;
    let csr = request(&key, cn)?;
    Ok((key.serialize_pem(), csr))
}

/// A new P-256 key (PKCS#8 PEM, secret) and a certificate (PEM) that nobody but the key itself has signed: what no peer must believe.
pub fn new_key_and_self_signed(cn: &str) -> Result<(String, String), MakeCsrError> {
    let key = KeyPair::generate().map_err(MakeCsrError::Make)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, cn);
    let cert = params.self_signed(&key).map_err(MakeCsrError::Make)?;
    Ok((key.serialize_pem(), cert.pem()))
}

/// A request for a key that exists (PEM): an enrolment that is taken up again.
pub fn csr_for_key(key_pem: &str, cn: &str) -> Result<String, MakeCsrError> {
    let key = KeyPair::from_pem(key_pem).map_err(MakeCsrError::Key)?;
    request(&key, cn)
}

fn request(key: &KeyPair, cn: &str) -> Result<String, MakeCsrError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, cn);
    params.serialize_request(key).and_then(|csr| csr.pem()).map_err(MakeCsrError::Make)
}

/// The public key of a request whose signature holds and whose key is strong enough.
pub(crate) fn public_key(csr_pem: &str) -> Result<SubjectPublicKeyInfo, CsrError> {
    if csr_pem.len() > CSR_MAX {
        return Err(CsrError::NotPem);
    }
    let der = CertificateSigningRequestDer::from_pem_slice(csr_pem.as_bytes()).map_err(|_| CsrError::NotPem)?;
    let (rest, csr) = X509CertificationRequest::from_der(&der).map_err(|_| CsrError::Malformed)?;
    if !rest.is_empty() {
        return Err(CsrError::Malformed);
    }
    let key = &csr.certification_request_info.subject_pki;
    let taken = SubjectPublicKeyInfo::from_der(key.raw).map_err(|_| CsrError::UnsupportedKey)?;
    if let Ok(PublicKey::RSA(rsa)) = key.parsed() {
        let bits = rsa.key_size();
        if bits < RSA_MIN_BITS {
            return Err(CsrError::WeakKey { bits });
        }
    }
    let known = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_RSA_SHA256];
    if !known.contains(&taken.algorithm()) {
        return Err(CsrError::UnsupportedKey);
    }
    csr.verify_signature().map_err(|_| CsrError::BadSignature)?;
    Ok(taken)
}

/// `ecdsa-p256`, `ecdsa-p384`, `rsa-<bits>`, or the OID of one that has no name here: what records keep of a key.
pub(crate) fn key_algorithm(spki_der: &[u8]) -> String {
    let Ok((_, spki)) = x509_parser::x509::SubjectPublicKeyInfo::from_der(spki_der) else {
        return "unknown".to_owned();
    };
    match spki.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("rsa-{}", rsa.key_size()),
        Ok(PublicKey::EC(point)) => format!("ecdsa-p{}", point.key_size()),
        Ok(_) | Err(_) => spki.algorithm.algorithm.to_id_string(),
    }
}

/// What a key of ours signs with, in records.
pub(crate) fn signature_algorithm(key: &KeyPair) -> &'static str {
    if key.is_compatible(&PKCS_ECDSA_P256_SHA256) {
        "ecdsa-p256-sha256"
    } else if key.is_compatible(&PKCS_ECDSA_P384_SHA384) {
        "ecdsa-p384-sha384"
    } else {
        "other"
    }
}

/// The public key of a request (DER, SubjectPublicKeyInfo), checked as [`check`] does: to compare with a certificate's.
pub fn public_key_der(csr_pem: &str) -> Result<Vec<u8>, CsrError> {
    public_key(csr_pem).map(|key| key.subject_public_key_info())
}

/// The public key (DER) of a PEM chain's first certificate.
pub fn certified_key_der(chain_pem: &str) -> Option<Vec<u8>> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(chain_pem.as_bytes()).ok()?;
    let (_, cert) = x509_parser::parse_x509_certificate(&pem.contents).ok()?;
    Some(cert.public_key().raw.to_vec())
}

/// Checks a request as [`crate::Ca::issue_server`] will, so that an applicant is told at once.
pub fn check(csr_pem: &str) -> Result<(), CsrError> {
    public_key(csr_pem).map(|_| ())
}
