//! One verifier for both directions: chain, validity, purpose, revocation, and the names of R13.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptions, RevocationOptionsBuilder, UnknownStatusPolicy,
};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::identity::{self, Identity, IdentityError, PeerCertificate};

/// id-kp-serverAuth, id-kp-clientAuth (RFC 5280 §4.2.1.12), as DER content.
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

/// What a chain is judged by.
pub(crate) struct Chain {
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) crls: Arc<Vec<CertRevocationList<'static>>>,
    pub(crate) domain: Option<Arc<str>>,
    pub(crate) enforce_crl_expiry: bool,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({} roots, {} crls, {:?})", self.roots.len(), self.crls.len(), self.domain)
    }
}

impl Chain {
    /// Chain, validity, revocation, purpose, agreeing names: all of R13 save whom we meant.
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        purpose: &'static [u8],
    ) -> Result<PeerCertificate, Error> {
        let cert = EndEntityCert::try_from(leaf).map_err(|fault| certificate_error(&fault))?;
        let lists: Vec<_> = self.crls.iter().collect();
        cert.verify_for_usage(
            super::provider().signature_verification_algorithms.all,
            &self.roots.roots,
            intermediates,
            now,
            // Present, not only "not contradicting": a certificate without purposes is for none.
            KeyUsage::required(purpose),
            self.revocation(&lists),
            None,
        )
        .map_err(|fault| certificate_error(&fault))?;
        PeerCertificate::read(leaf, self.domain.as_deref()).map_err(identity_error)
    }

    fn revocation<'a>(&self, lists: &'a [&'a CertRevocationList<'a>]) -> Option<RevocationOptions<'a>> {
        let expiry = if self.enforce_crl_expiry { ExpirationPolicy::Enforce } else { ExpirationPolicy::Ignore };
        // Fails for an empty slice only, which means: no revocation check.
        let options = RevocationOptionsBuilder::new(lists).ok()?;
        Some(
            options
                .with_depth(RevocationCheckDepth::EndEntity)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(expiry)
                .build(),
        )
    }
}

/// Judges the certificates of those who call us.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    chain: Chain,
    mandatory: bool,
    hints: Vec<DistinguishedName>,
}

impl ClientVerifier {
    pub(crate) fn new(chain: Chain, mandatory: bool) -> Arc<Self> {
        let hints = chain.roots.subjects();
        Arc::new(Self { chain, mandatory, hints })
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.chain.verify(leaf, intermediates, now, CLIENT_AUTH)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &super::provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &super::provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        super::provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Judges the certificate of the one we call. The name in the URL plays no part: an address may change, and the
/// address list is no authority on identity.
#[derive(Debug)]
pub(crate) struct PeerVerifier {
    chain: Arc<Chain>,
    wanted: Identity,
}

impl PeerVerifier {
    pub(crate) fn wanting(chain: Arc<Chain>, wanted: Identity) -> Self {
        Self { chain, wanted }
    }

    /// Refuses everybody: the place holder until it is known who is called.
    pub(crate) fn nobody(chain: Arc<Chain>) -> Self {
        Self { chain, wanted: Identity::Anonymous }
    }

    /// The DNS name (R13: what our TLS clients verify). The platform is known by its URI before we know its domain.
    fn check_dns_name(&self, leaf: &CertificateDer<'_>, presented: &PeerCertificate) -> Result<(), Error> {
        let domain = self.chain.domain.as_deref().unwrap_or(&presented.domain);
        let name = identity::tls_name(&self.wanted, domain)
            .ok_or(Error::InvalidCertificate(CertificateError::NotValidForName))?;
        EndEntityCert::try_from(leaf)
            .and_then(|cert| cert.verify_is_valid_for_subject_name(&name))
            .map_err(|fault| certificate_error(&fault))
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _address: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let presented = self.chain.verify(leaf, intermediates, now, SERVER_AUTH)?;
        presented.belongs_to(&self.wanted).map_err(identity_error)?;
        self.check_dns_name(leaf, &presented)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &super::provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &super::provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        super::provider().signature_verification_algorithms.supported_schemes()
    }
}

fn identity_error(fault: IdentityError) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(fault))))
}

/// So that the peer gets the alert that fits, and our log the true reason.
#[expect(clippy::wildcard_enum_match_arm, reason = "webpki's errors are open; the rest is told by its own words")]
fn certificate_error(fault: &webpki::Error) -> Error {
    use webpki::Error as Fault;
    let error = match fault {
        Fault::BadDer | Fault::BadDerTime | Fault::TrailingData(_) => CertificateError::BadEncoding,
        Fault::CertExpired { .. } | Fault::InvalidCertValidity => CertificateError::Expired,
        Fault::CertNotValidYet { .. } => CertificateError::NotValidYet,
        Fault::CertRevoked => CertificateError::Revoked,
        Fault::CrlExpired { .. } => CertificateError::ExpiredRevocationList,
        Fault::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        // A root of the same name with another key is another root.
        Fault::UnknownIssuer | Fault::InvalidSignatureForPublicKey => CertificateError::UnknownIssuer,
        Fault::CertNotValidForName(_) => CertificateError::NotValidForName,
        Fault::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        other => CertificateError::Other(OtherError(Arc::new(other.clone()))),
    };
    Error::InvalidCertificate(error)
}

/// What a verified revocation list says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlFacts {
    /// The list's number: a later list has a higher one.
    pub number: u64,
    /// When it was made.
    pub this_update: SystemTime,
    /// When the next one is due.
    pub next_update: Option<SystemTime>,
    /// How many certificates it revokes.
    pub revoked: usize,
}

/// Why a revocation list is not believed.
#[derive(Debug, thiserror::Error)]
pub enum CrlError {
    /// Not a revocation list as RFC 5280 has it.
    #[error("it cannot be parsed")]
    Malformed,
    /// No root of ours has signed it.
    #[error("none of our roots has signed it")]
    Unsigned,
}

pub(crate) fn parse_crl(der: &[u8]) -> Result<CertRevocationList<'static>, CrlError> {
    OwnedCertRevocationList::from_der(der).map(CertRevocationList::Owned).map_err(|_| CrlError::Malformed)
}

pub(crate) fn check_crl(der: &[u8], roots: &[CertificateDer<'_>]) -> Result<CrlFacts, CrlError> {
    let (rest, list) = CertificateRevocationList::from_der(der).map_err(|_| CrlError::Malformed)?;
    let signed_by = |root: &CertificateDer<'_>| {
        x509_parser::parse_x509_certificate(root)
            .is_ok_and(|(_, root)| list.verify_signature(root.public_key()).is_ok())
    };
    if !rest.is_empty() {
        return Err(CrlError::Malformed);
    }
    if !roots.iter().any(signed_by) {
        return Err(CrlError::Unsigned);
    }
    let number = list.crl_number().and_then(|number| u64::try_from(number).ok()).ok_or(CrlError::Malformed)?;
    Ok(CrlFacts {
        number,
        this_update: time(list.last_update().timestamp()),
        next_update: list.next_update().map(|next| time(next.timestamp())),
        revoked: list.iter_revoked_certificates().count(),
    })
}

/// Whether one of the roots has signed this authority's certificate, which is valid now.
pub(crate) fn is_below(issuer: &CertificateDer<'_>, roots: &[CertificateDer<'_>]) -> bool {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(issuer) else { return false };
    let is_ca = parsed.basic_constraints().ok().flatten().is_some_and(|constraints| constraints.value.ca);
    is_ca && parsed.validity().is_valid() && is_signed_by(issuer, roots)
}

/// Whether one of the roots has signed this certificate.
pub(crate) fn is_signed_by(cert: &CertificateDer<'_>, roots: &[CertificateDer<'_>]) -> bool {
    let Ok((_, cert)) = x509_parser::parse_x509_certificate(cert) else { return false };
    roots.iter().any(|root| {
        x509_parser::parse_x509_certificate(root)
            .is_ok_and(|(_, root)| cert.verify_signature(Some(root.public_key())).is_ok())
    })
}

/// The serial numbers in a list.
pub(crate) fn revoked_serials(der: &[u8]) -> Vec<String> {
    let Ok((_, list)) = CertificateRevocationList::from_der(der) else { return Vec::new() };
    list.iter_revoked_certificates().map(|entry| identity::serial_hex(entry.raw_serial())).collect()
}

/// Why a statement is not the platform's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The certificate beside it is no issuer below a root of ours.
    #[error("its signer is no issuer below a root that we trust")]
    Signer,
    /// Another key has signed it, or other words.
    #[error("its signature does not hold")]
    Signature,
}

/// Verifies what [`crate::Ca::sign`] has signed, by an issuer of `issuers_pem` that is below one of the roots.
pub fn verify_statement(
    statement: &[u8],
    signature: &[u8],
    issuers_pem: &str,
    roots_pem: &str,
) -> Result<(), StatementError> {
    let roots = super::certificates(roots_pem).unwrap_or_default();
    let issuers = super::certificates(issuers_pem).unwrap_or_default();
    let issuers: Vec<_> = issuers.into_iter().filter(|issuer| is_below(issuer, &roots)).collect();
    if issuers.is_empty() {
        return Err(StatementError::Signer);
    }
    let algorithms = [webpki::aws_lc_rs::ECDSA_P256_SHA256, webpki::aws_lc_rs::ECDSA_P384_SHA384];
    let holds = |issuer: &CertificateDer<'_>| {
        EndEntityCert::try_from(issuer).is_ok_and(|cert| {
            algorithms.iter().any(|algorithm| cert.verify_signature(*algorithm, statement, signature).is_ok())
        })
    };
    if issuers.iter().any(holds) { Ok(()) } else { Err(StatementError::Signature) }
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or(0))
}
