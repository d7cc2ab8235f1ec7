//! TLS settings of both directions (T/CIIA 003—2019 §6.1 d, §6.2 e; R13).
//!
//! TLS 1.3 by default, 1.2 by option. Sessions are never resumed: a resumed session skips the verifier, and with it
//! validity, revocation and identity. Settings are immutable; a change (renewal, a new revocation list) is a new value
//! sent through a `watch` channel, taken by the next handshake and by no connection that stands already.

mod verify;

use std::sync::{Arc, LazyLock};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use webpki::CertRevocationList;

pub(crate) use verify::{Chain, ClientVerifier, PeerVerifier};
pub use verify::{CrlError, CrlFacts, StatementError, verify_statement};

use crate::identity::{Identity, IdentityError, PeerCertificate};

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));

pub(crate) fn provider() -> &'static Arc<CryptoProvider> {
    &PROVIDER
}

/// What is wrong with TLS settings, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate, or text that is not PEM.
    #[error("{what} is not a PEM certificate chain")]
    Chain {
        /// Which chain.
        what: &'static str,
    },
    /// No private key, or text that is not PEM.
    #[error("the private key is not PEM (PKCS#8, SEC1 or PKCS#1)")]
    Key,
    /// Key and certificate are no pair, or of a kind unknown to TLS.
    #[error("certificate and private key do not work together")]
    Pair(#[source] rustls::Error),
    /// No usable root certificate.
    #[error("no root certificate to verify peers with")]
    NoRoots,
    /// A revocation list that cannot be read.
    #[error("the revocation list cannot be used")]
    Crl(#[from] CrlError),
    /// rustls refuses the combination.
    #[error("the TLS settings are refused")]
    Settings(#[source] rustls::Error),
}

/// A certificate chain (leaf first) and its private key.
#[derive(Debug)]
pub struct Credentials {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Clone for Credentials {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl Credentials {
    /// From PEM texts. Errors: [`TlsError::Chain`], [`TlsError::Key`].
    pub fn from_pem(chain_pem: &str, key_pem: &str) -> Result<Self, TlsError> {
        let chain = certificates(chain_pem).ok_or(TlsError::Chain { what: "our own certificate" })?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| TlsError::Key)?;
        Ok(Self { chain, key })
    }

    /// What our own certificate says of us: identity, domain, serial, validity. Errors if it is no interconnect
    /// certificate (a listener's for clients is none).
    pub fn facts(&self) -> Result<PeerCertificate, IdentityError> {
        let leaf = self.chain.first().ok_or(IdentityError::Malformed)?;
        PeerCertificate::read(leaf, None)
    }

    /// Whether the first of these roots has signed the authority right above our certificate, or the certificate itself.
    pub fn is_under(&self, roots_pem: &str) -> bool {
        let roots = certificates(roots_pem).unwrap_or_default();
        let first = roots.get(..1).unwrap_or_default();
        self.chain.iter().any(|link| verify::is_signed_by(link, first))
    }

    /// Our public key (DER, SubjectPublicKeyInfo). None if the certificate cannot be read.
    pub fn public_key_der(&self) -> Option<Vec<u8>> {
        let (_, cert) = x509_parser::parse_x509_certificate(self.chain.first()?).ok()?;
        Some(cert.public_key().raw.to_vec())
    }
}

/// Whom to believe: the roots, and what they have revoked.
#[derive(Clone, Debug)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    crls: Arc<Vec<CertRevocationList<'static>>>,
    domain: Option<Arc<str>>,
    enforce_crl_expiry: bool,
}

impl Trust {
    /// Trusts the certificates in `roots_pem`. Errors: [`TlsError::NoRoots`].
    pub fn from_pem(roots_pem: &str) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(roots_pem).ok_or(TlsError::NoRoots)?);
        if roots.is_empty() {
            return Err(TlsError::NoRoots);
        }
        Ok(Self { roots: Arc::new(roots), crls: Arc::default(), domain: None, enforce_crl_expiry: false })
    }

    /// The platform's domain, in which peers' DNS names must lie. Without it (an applicant knows the root only) a
    /// certificate's own is taken, which is as good where the root serves one domain.
    #[must_use]
    pub fn with_domain(mut self, domain: &str) -> Self {
        self.domain = Some(domain.to_ascii_lowercase().into());
        self
    }

    /// Refuses what the DER lists revoke, and what no list speaks of: give one for each issuer. Replaces earlier ones.
    /// Check a list that came over the network with [`Trust::check_crl`] first: a forged one would refuse everybody.
    pub fn with_crls<'a>(mut self, lists: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, TlsError> {
        let lists: Result<Vec<_>, _> = lists.into_iter().map(verify::parse_crl).collect();
        self.crls = Arc::new(lists?);
        Ok(self)
    }

    /// Whether a list past its `nextUpdate` refuses everybody. Off by default: a platform out of reach for a day must
    /// not silence all servers, and their standing is checked on every request besides.
    #[must_use]
    pub fn enforce_crl_expiry(mut self, enforce: bool) -> Self {
        self.enforce_crl_expiry = enforce;
        self
    }

    /// Verifies that a root of ours has signed the list, or an issuer below one (of `issuers_pem`, unverified), and tells what
    /// it says. Compare `number` with the last one to notice an older list played back.
    pub fn check_crl(der: &[u8], roots_pem: &str, issuers_pem: &str) -> Result<CrlFacts, CrlError> {
        let roots = certificates(roots_pem).unwrap_or_default();
        let issuers = certificates(issuers_pem).unwrap_or_default();
        let issuers = issuers.into_iter().filter(|issuer| verify::is_below(issuer, &roots));
        let signers: Vec<_> = roots.iter().cloned().chain(issuers).collect();
        verify::check_crl(der, &signers)
    }

    /// The serial numbers (lower-case hex) in a list that was checked before; none in one that cannot be read.
    pub fn revoked_serials(der: &[u8]) -> Vec<String> {
        verify::revoked_serials(der)
    }

    fn chain(&self) -> Chain {
        Chain {
            roots: self.roots.clone(),
            crls: self.crls.clone(),
            domain: self.domain.clone(),
            enforce_crl_expiry: self.enforce_crl_expiry,
        }
    }
}

/// Which certificate a listener asks its clients for.
#[derive(Clone, Debug, Default)]
pub enum ClientAuth {
    /// None is asked for: everybody is anonymous.
    #[default]
    None,
    /// One that is shown must be good; without one the peer is anonymous (the platform: applicants have none yet).
    Optional(Trust),
    /// No connection without one (between servers).
    Required(Trust),
}

/// The settings of a listener.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// Our own chain and key.
    pub credentials: Credentials,
    /// What clients have to show.
    pub client_auth: ClientAuth,
    /// Accept TLS 1.2 too (old peers).
    pub tls12: bool,
}

impl ServerTls {
    /// The rustls configuration, ALPN h2 and http/1.1. Send it through a `watch` channel to [`crate::serve`].
    pub fn build(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider().clone())
            .with_protocol_versions(versions(self.tls12))
            .map_err(TlsError::Settings)?;
        let builder = match &self.client_auth {
            ClientAuth::None => builder.with_no_client_auth(),
            ClientAuth::Optional(trust) => builder.with_client_cert_verifier(ClientVerifier::new(trust.chain(), false)),
            ClientAuth::Required(trust) => builder.with_client_cert_verifier(ClientVerifier::new(trust.chain(), true)),
        };
        let Credentials { chain, key } = self.credentials.clone();
        let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Pair)?;
        config.alpn_protocols = alpn();
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Arc::new(config))
    }
}

/// The settings of a client of servers and platform. Immutable; made by [`ClientTls::new`].
#[derive(Debug)]
pub struct ClientTls {
    base: ClientConfig,
    chain: Arc<Chain>,
}

impl ClientTls {
    /// `credentials`: none before we have been admitted. `tls12`: allow TLS 1.2 too.
    pub fn new(trust: &Trust, credentials: Option<Credentials>, tls12: bool) -> Result<Arc<Self>, TlsError> {
        let chain = Arc::new(trust.chain());
        let builder = ClientConfig::builder_with_provider(provider().clone())
            .with_protocol_versions(versions(tls12))
            .map_err(TlsError::Settings)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PeerVerifier::nobody(chain.clone())));
        let mut base = match credentials {
            Some(Credentials { chain, key }) => builder.with_client_auth_cert(chain, key).map_err(TlsError::Pair)?,
            None => builder.with_no_client_auth(),
        };
        base.alpn_protocols = alpn();
        base.resumption = Resumption::disabled();
        Ok(Arc::new(Self { base, chain }))
    }

    /// The configuration for one connection to `wanted`, and to nobody else.
    pub(crate) fn towards(&self, wanted: Identity) -> ClientConfig {
        let mut config = self.base.clone();
        config.dangerous().set_certificate_verifier(Arc::new(PeerVerifier::wanting(self.chain.clone(), wanted)));
        config
    }
}

fn versions(tls12: bool) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
    if tls12 { &BOTH } else { &BOTH[..1] }
}

fn alpn() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

pub(crate) fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    chain.ok().filter(|chain| !chain.is_empty())
}
