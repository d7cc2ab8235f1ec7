//! Certificates of the kit: pairs from files, and verifiers that look at the chain alone. What the names in a certificate should be
//! (R13) is the matter of a case, so it must not keep the kit from talking.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use isthmus_net::{Identity, PeerCertificate};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::SetupError;

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));

pub(super) fn provider() -> Arc<CryptoProvider> {
    PROVIDER.clone()
}

/// A certificate chain, the own one first, and its private key.
#[derive(Debug)]
pub struct Pair {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Clone for Pair {
    fn clone(&self) -> Pair {
        Pair { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl Pair {
    /// From PEM texts; `what` names the pair in complaints.
    ///
    /// # Errors
    /// [`SetupError::Pem`].
    pub fn from_pem(what: &'static str, chain: &str, key: &str) -> Result<Pair, SetupError> {
        let bad = |part: &'static str| SetupError::Pem { what, part };
        let chain = certificates(chain).ok_or(bad("certificate chain"))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| bad("private key"))?;
        Ok(Pair { chain, key })
    }

    /// From PEM files.
    ///
    /// # Errors
    /// [`SetupError::File`], [`SetupError::Pem`].
    pub fn from_files(what: &'static str, chain: &Path, key: &Path) -> Result<Pair, SetupError> {
        Pair::from_pem(what, &text(chain)?, &text(key)?)
    }

    /// The server that the certificate names as R13 says, if it does.
    pub(super) fn server_id(&self) -> Option<String> {
        server_of(self.chain.first()?)
    }

    /// The platform's domain in its DNS name.
    pub(super) fn domain(&self) -> Option<String> {
        Some(facts(self.chain.first()?)?.domain)
    }
}

/// What a certificate says, if it says it as R13 demands.
pub(super) fn facts(leaf: &CertificateDer<'_>) -> Option<PeerCertificate> {
    PeerCertificate::read(leaf, None).ok()
}

/// The `serverId` in the URI SAN of R13.
pub(super) fn server_of(leaf: &CertificateDer<'_>) -> Option<String> {
    match facts(leaf)?.identity {
        Identity::Server(id) => Some(id.to_string()),
        Identity::Platform | Identity::Anonymous => None,
    }
}

pub(super) fn text(path: &Path) -> Result<String, SetupError> {
    std::fs::read_to_string(path).map_err(|source| SetupError::File { path: path.to_owned(), doing: "read", source })
}

fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    chain.ok().filter(|chain| !chain.is_empty())
}

/// The platform's root.
///
/// # Errors
/// [`SetupError::Pem`].
pub(super) fn roots(pem: &str) -> Result<Arc<RootCertStore>, SetupError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(pem).unwrap_or_default());
    if roots.is_empty() {
        return Err(SetupError::Pem { what: "--ca", part: "root certificate" });
    }
    Ok(Arc::new(roots))
}

/// Asks callers for a certificate of the roots; lets them in without, so that a case can say so.
pub(super) fn callers(
    roots: Arc<RootCertStore>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, SetupError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).allow_unauthenticated().build();
    verifier.map_err(|error| SetupError::Tls(error.to_string()))
}

/// Verifies chain, dates and purpose of whoever answers, and no name.
#[derive(Debug)]
pub(super) struct ChainOnly(pub(super) Arc<RootCertStore>);

impl ServerCertVerifier for ChainOnly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = ParsedCertificate::try_from(end_entity)?;
        let algorithms = PROVIDER.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&leaf, &self.0, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &PROVIDER.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &PROVIDER.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}
