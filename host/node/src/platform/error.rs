//! Why a platform cannot start or go on.

use std::io;
use std::path::PathBuf;

use isthmus_net::ca::{CaError, IssueError};
use isthmus_net::tls::CrlError;
use isthmus_net::{BindError, TlsError};
use isthmus_store::StoreError;

use crate::admin_token::AdminTokenError;
use crate::password::PasswordError;
use crate::reply::Problem;

/// In words for the operator, remedy included.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// Database, key ring or audit log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificate authority's files.
    #[error("certificate authority: {0}")]
    Ca(#[from] CaError),
    /// A certificate or revocation list of the platform's own.
    #[error("the platform cannot certify itself; check `domain` and `hosts` in its configuration, and the clock")]
    Issue(#[from] IssueError),
    /// TLS settings.
    #[error("the platform's TLS settings cannot be used")]
    Tls(#[from] TlsError),
    /// The revocation list.
    #[error("the revocation list cannot be used")]
    Crl(#[from] CrlError),
    /// A port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Administrators' tokens.
    #[error(transparent)]
    Tokens(#[from] AdminTokenError),
    /// Their passwords.
    #[error("administrators' passwords cannot be checked")]
    Passwords(#[from] PasswordError),
    /// The receiver of notices cannot be verified.
    #[error("webhook.ca: {0} holds no certificates: name a PEM file with the authority that certifies the receiver")]
    WebhookCa(PathBuf),
    /// What commands have left to be recorded.
    #[error("acts of commands could not be recorded")]
    Acts(#[source] Box<Problem>),
    /// Their accounts could not be made.
    #[error("the administrators' accounts cannot be made")]
    Administrators(#[source] Box<Problem>),
    /// The route tables contradict themselves: a mistake of ours.
    #[error("the route table is contradictory")]
    Routes(#[from] matchit::InsertError),
    /// The registry's rows of an older release could not be given numbers.
    #[error("the registry could not be numbered: {0}")]
    Numbering(String),
    /// A file.
    #[error("{path} cannot be written: {source}; make its folder writable for this process")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A blocking step ended without an answer.
    #[error("a step of the start was cut short")]
    Cut(#[from] tokio::task::JoinError),
}
