//! Why there was no answer, and whose fault it is.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, OtherError};

use super::PeerAddress;
use crate::http::BodyError;
use crate::identity::IdentityError;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Where on the way a call was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Resolving the name, connecting.
    Connect,
    /// TLS.
    Handshake,
    /// Sending, and the answer.
    Request,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Handshake => "the TLS handshake",
            Self::Request => "the call",
        })
    }
}

/// A call without an answer. Clone: those who waited for the same connection learn the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendError {
    /// Name not found, connection refused, no route.
    #[error("cannot reach {to}")]
    Unreachable {
        /// Whom.
        to: String,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// Too slow.
    #[error("{step} to {to} took longer than {after:?}")]
    Timeout {
        /// Whom.
        to: String,
        /// Where.
        step: Step,
        /// The limit.
        after: Duration,
    },
    /// Whoever answers there is not the party that was meant, or cannot prove it (R13). Nothing was sent.
    #[error("{to} did not prove its identity: {reason}")]
    Identity {
        /// Whom.
        to: String,
        /// In words.
        reason: String,
    },
    /// The other side refused us in the handshake: our certificate is missing, expired, revoked, or not known there.
    #[error("{to} refused our certificate ({alert})")]
    Rejected {
        /// Whom.
        to: String,
        /// The TLS alert.
        alert: String,
    },
    /// TLS or HTTP went wrong, or the connection broke. The call may have been carried out all the same.
    #[error("the connection to {to} broke during {step}")]
    Broken {
        /// Whom.
        to: String,
        /// Where.
        step: Step,
        /// The cause.
        #[source]
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The answer's body is longer than we hold.
    #[error("the answer of {to} is larger than {limit} bytes")]
    TooLarge {
        /// Whom.
        to: String,
        /// The limit.
        limit: usize,
    },
    /// A path that HTTP cannot carry. Ours.
    #[error("{0:?} is no path")]
    BadPath(String),
}

impl SendError {
    /// Whether it is certain that the call was not carried out.
    pub fn nothing_was_sent(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Identity { .. } | Self::Rejected { .. } | Self::BadPath(_) => true,
            Self::Timeout { step, .. } | Self::Broken { step, .. } => *step != Step::Request,
            Self::TooLarge { .. } => false,
        }
    }

    pub(super) fn of_body(to: &PeerAddress, error: BodyError) -> Self {
        let to = to.to_string();
        match error {
            BodyError::TooLarge { limit } => Self::TooLarge { to, limit },
            BodyError::Timeout { within } => Self::Timeout { to, step: Step::Request, after: within },
            BodyError::Broken(source) => Self::Broken { to, step: Step::Request, source: source.into() },
        }
    }

    /// Finds the TLS fault that lies under an error of any layer. With TLS 1.3 a server's refusal of our certificate
    /// arrives after the handshake, as the failure of the first call.
    pub(super) fn of(to: &PeerAddress, step: Step, error: impl Into<BoxError>) -> Self {
        let error: Arc<dyn StdError + Send + Sync> = error.into().into();
        let fault = tls_fault(&*error).cloned();
        let to = to.to_string();
        if let Some(rustls::Error::InvalidCertificate(fault)) = fault {
            return Self::Identity { to, reason: words(&fault) };
        }
        match fault {
            Some(rustls::Error::NoCertificatesPresented) => {
                Self::Identity { to, reason: "it showed no certificate".to_owned() }
            }
            Some(rustls::Error::AlertReceived(alert)) if concerns_certificate(alert) => {
                Self::Rejected { to, alert: format!("{alert:?}") }
            }
            _ => Self::Broken { to, step, source: error },
        }
    }
}

fn tls_fault<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(fault) = error.downcast_ref::<rustls::Error>() {
            return Some(fault);
        }
        // io::Error shows the source of what it wraps, not what it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}

fn concerns_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    [
        Alert::BadCertificate,
        Alert::NoCertificate,
        Alert::UnsupportedCertificate,
        Alert::CertificateRevoked,
        Alert::CertificateExpired,
        Alert::CertificateUnknown,
        Alert::CertificateRequired,
        Alert::UnknownCA,
        Alert::AccessDenied,
        // A chain that does not verify, in the words of some.
        Alert::DecryptError,
    ]
    .contains(&alert)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the list of faults is open; the rest is told by its own words")]
fn words(fault: &CertificateError) -> String {
    let words = match fault {
        CertificateError::Expired => "its certificate has expired",
        CertificateError::NotValidYet => "its certificate is not valid yet",
        CertificateError::Revoked => "its certificate is revoked",
        CertificateError::UnknownIssuer => "no root of ours has issued its certificate",
        CertificateError::InvalidPurpose => "its certificate is for another purpose",
        CertificateError::NotValidForName => "its certificate does not carry its DNS name",
        CertificateError::Other(OtherError(other)) => return inner_words(&**other),
        other => return other.to_string(),
    };
    words.to_owned()
}

fn inner_words(fault: &(dyn StdError + 'static)) -> String {
    match fault.downcast_ref::<IdentityError>() {
        Some(identity) => identity.to_string(),
        None => format!("its certificate is not acceptable ({fault})"),
    }
}
