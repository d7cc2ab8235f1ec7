//! Who a certificate speaks for (T/CIIA 003—2019 §6.1, R13).
//!
//! The URI subject alternative name is the identity; the DNS name under the platform's domain and the CN repeat it.
//! A certificate in which the three disagree, or which names two parties, is nobody's.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use isthmus_wire::ServerId;
use rustls_pki_types::ServerName;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// Every identity of ours begins so, in any case of letters.
const URN: &str = "urn:ciia:im:";
const SERVER: &str = "server:";
const PLATFORM: &str = "platform";
/// Between a server's label and the platform's domain in the DNS name.
const INTERCONNECT: &str = ".ic.";
/// Longest label that DNS allows (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;

/// Who is at the other end of a connection. Made from a verified certificate only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// An IM server, `urn:ciia:im:server:<id>`.
    Server(ServerId),
    /// The interconnect management platform, `urn:ciia:im:platform`.
    Platform,
    /// No certificate was asked for, or none was given where it is optional.
    Anonymous,
}

impl Identity {
    /// The server's ID, if a server it is.
    pub fn server(&self) -> Option<&ServerId> {
        match self {
            Self::Server(id) => Some(id),
            Self::Platform | Self::Anonymous => None,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(id) => write!(f, "server {id}"),
            Self::Platform => f.write_str("the platform"),
            Self::Anonymous => f.write_str("anonymous"),
        }
    }
}

/// What a certificate says about its holder. It proves nothing by itself: the chain is verified by [`crate::tls`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Never [`Identity::Anonymous`].
    pub identity: Identity,
    /// The platform's domain, lower case, as in `<serverId>.ic.<domain>`.
    pub domain: String,
    /// Serial number, lower-case hex without leading zero bytes.
    pub serial: String,
    /// Start of validity.
    pub not_before: SystemTime,
    /// End of validity.
    pub not_after: SystemTime,
}

/// Why a certificate names nobody whom we could speak to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not X.509 as we know it.
    #[error("the certificate cannot be parsed")]
    Malformed,
    /// No `urn:ciia:im:…` among the subject alternative names.
    #[error("the certificate has no urn:ciia:im name")]
    NoName,
    /// More than one identity, CN or interconnect DNS name.
    #[error("the certificate has more than one {0}")]
    Ambiguous(&'static str),
    /// The URI names no valid server.
    #[error("the certificate's name {0:?} is neither a server nor the platform")]
    BadName(String),
    /// CN or DNS name says another than the URI (R13: all must agree).
    #[error("the certificate's {what} does not agree with its identity {identity}")]
    Disagrees {
        /// "CN" or "DNS name".
        what: &'static str,
        /// What the URI says.
        identity: String,
    },
    /// A proper certificate, but of another than the one that was called.
    #[error("the certificate belongs to {actual}, not to {wanted}")]
    Other {
        /// Whom we meant to reach.
        wanted: String,
        /// Who answered.
        actual: String,
    },
}

/// The label that stands for a server in DNS names. IDs are at most 64 characters and may begin or end with a hyphen,
/// which DNS forbids: those few are replaced by a hash. The identity is the URI all the same.
pub fn dns_label(id: &ServerId) -> String {
    let lower = id.as_str().to_ascii_lowercase();
    if lower.len() <= LABEL_MAX && !lower.starts_with('-') && !lower.ends_with('-') {
        return lower;
    }
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, lower.as_bytes());
    format!("h-{}", hex(&hash.as_ref()[..16]))
}

/// `<serverId>.ic.<platform domain>`: the DNS name of a server's certificate (R13), lower case.
pub fn server_dns_name(id: &ServerId, domain: &str) -> String {
    format!("{}{INTERCONNECT}{}", dns_label(id), domain.to_ascii_lowercase())
}

/// `platform.<domain>`: the DNS name of the platform's own certificate, lower case.
pub fn platform_dns_name(domain: &str) -> String {
    format!("{PLATFORM}.{}", domain.to_ascii_lowercase())
}

/// The URI of an identity; none for [`Identity::Anonymous`].
pub fn uri(identity: &Identity) -> Option<String> {
    match identity {
        Identity::Server(id) => Some(format!("{URN}{SERVER}{id}")),
        Identity::Platform => Some(format!("{URN}{PLATFORM}")),
        Identity::Anonymous => None,
    }
}

/// Whether a name belongs to the interconnect itself and may stand in nobody else's certificate.
pub(crate) fn is_reserved(name: &str, domain: &str) -> bool {
    let (name, domain) = (name.to_ascii_lowercase(), domain.to_ascii_lowercase());
    let zone = format!("ic.{domain}");
    name == platform_dns_name(&domain) || name == zone || name.ends_with(&format!(".{zone}"))
}

impl PeerCertificate {
    /// Reads the names of a DER certificate and demands that they agree. `domain`: the platform's, if it is known;
    /// otherwise it is learnt from the certificate, which is sound for one that the platform's CA has signed.
    pub fn read(der: &[u8], domain: Option<&str>) -> Result<Self, IdentityError> {
        let (_, cert) = X509Certificate::from_der(der).map_err(|_| IdentityError::Malformed)?;
        let names = Names::of(&cert)?;
        let identity = names.identity()?;
        let domain = names.domain(&identity, domain)?;
        names.check_common_name(&identity, &domain)?;
        Ok(Self {
            identity,
            domain,
            serial: serial_hex(cert.raw_serial()),
            not_before: time(cert.validity().not_before.timestamp()),
            not_after: time(cert.validity().not_after.timestamp()),
        })
    }

    /// Demands that the certificate belongs to `wanted`.
    pub fn belongs_to(&self, wanted: &Identity) -> Result<(), IdentityError> {
        if &self.identity == wanted {
            return Ok(());
        }
        Err(IdentityError::Other { wanted: wanted.to_string(), actual: self.identity.to_string() })
    }
}

/// The names in a certificate, unjudged.
struct Names<'a> {
    uris: Vec<&'a str>,
    dns: Vec<String>,
    common: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn of(cert: &'a X509Certificate<'_>) -> Result<Self, IdentityError> {
        let san = cert.subject_alternative_name().map_err(|_| IdentityError::Malformed)?;
        let mut names = Self { uris: Vec::new(), dns: Vec::new(), common: Vec::new() };
        for name in san.iter().flat_map(|san| &san.value.general_names) {
            if let GeneralName::URI(uri) = name {
                names.uris.push(uri);
            } else if let GeneralName::DNSName(dns) = name {
                names.dns.push(dns.to_ascii_lowercase());
            }
        }
        for cn in cert.subject().iter_common_name() {
            names.common.push(cn.as_str().map_err(|_| IdentityError::Malformed)?);
        }
        Ok(names)
    }

    fn identity(&self) -> Result<Identity, IdentityError> {
        let mut ours = self.uris.iter().filter_map(|uri| strip_prefix(uri, URN));
        let name = ours.next().ok_or(IdentityError::NoName)?;
        if ours.next().is_some() {
            return Err(IdentityError::Ambiguous("urn:ciia:im name"));
        }
        if name.eq_ignore_ascii_case(PLATFORM) {
            return Ok(Identity::Platform);
        }
        strip_prefix(name, SERVER)
            .and_then(|id| ServerId::parse(id).ok())
            .map(Identity::Server)
            .ok_or_else(|| IdentityError::BadName(name.to_owned()))
    }

    /// The domain under which the certificate carries its own DNS name, and no other's.
    fn domain(&self, identity: &Identity, known: Option<&str>) -> Result<String, IdentityError> {
        let prefix = match identity {
            Identity::Server(id) => format!("{}{INTERCONNECT}", dns_label(id)),
            Identity::Platform | Identity::Anonymous => format!("{PLATFORM}."),
        };
        let disagrees = || IdentityError::Disagrees { what: "DNS name", identity: identity.to_string() };
        let mut found = self.dns.iter().filter_map(|name| name.strip_prefix(&prefix));
        let domain = match known {
            Some(known) => found.find(|domain| domain.eq_ignore_ascii_case(known)),
            None => found.next(),
        };
        let domain = domain.ok_or_else(disagrees)?;
        let own = format!("{prefix}{domain}");
        if self.dns.iter().any(|name| *name != own && is_reserved(name, domain)) {
            return Err(IdentityError::Ambiguous("interconnect DNS name"));
        }
        Ok(domain.to_owned())
    }

    fn check_common_name(&self, identity: &Identity, domain: &str) -> Result<(), IdentityError> {
        let [cn] = self.common.as_slice() else {
            return Err(IdentityError::Ambiguous("CN (or none)"));
        };
        let agrees = match identity {
            Identity::Server(id) => ServerId::parse(cn).is_ok_and(|cn| cn == *id),
            Identity::Platform | Identity::Anonymous => cn.eq_ignore_ascii_case(&platform_dns_name(domain)),
        };
        if agrees {
            return Ok(());
        }
        Err(IdentityError::Disagrees { what: "CN", identity: identity.to_string() })
    }
}

/// The name that TLS verifies for an identity under `domain`.
pub(crate) fn tls_name(identity: &Identity, domain: &str) -> Option<ServerName<'static>> {
    let name = match identity {
        Identity::Server(id) => server_dns_name(id, domain),
        Identity::Platform => platform_dns_name(domain),
        Identity::Anonymous => return None,
    };
    ServerName::try_from(name).ok()
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

/// Lower-case hex without leading zero bytes: the one spelling of a serial number in the product.
pub(crate) fn serial_hex(bytes: &[u8]) -> String {
    let start = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
    hex(&bytes[start..])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn time(seconds: i64) -> SystemTime {
    let span = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH - span } else { UNIX_EPOCH + span }
}
