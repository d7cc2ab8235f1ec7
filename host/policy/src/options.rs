//! What a policy is opened with, and what can go wrong with it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::breaker::Breaker;
use crate::bundle::diagnostic::Diagnostics;
use crate::services::Services;

/// Where a bundle comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleSource {
    /// A folder with `policy.toml` in it.
    Dir(PathBuf),
    /// Files by their path in the bundle, `policy.toml` among them.
    Files(Vec<(String, Vec<u8>)>),
    /// One that was staged: its digest, or so much of its beginning that there is no other.
    Staged(String),
    /// One that was active.
    Generation(u64),
}

impl fmt::Display for BundleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir(dir) => write!(f, "{}", dir.display()),
            Self::Files(_) => f.write_str("files"),
            Self::Staged(digest) => write!(f, "staged {digest}"),
            Self::Generation(number) => write!(f, "generation {number}"),
        }
    }
}

impl From<&Path> for BundleSource {
    fn from(dir: &Path) -> Self {
        Self::Dir(dir.to_owned())
    }
}

impl From<&PathBuf> for BundleSource {
    fn from(dir: &PathBuf) -> Self {
        Self::Dir(dir.clone())
    }
}

/// A public key whose signature makes a bundle trustworthy.
#[derive(Clone, Debug)]
pub struct TrustedKey {
    /// How `policy.sig` names it.
    pub id: String,
    /// Ed25519 public key.
    pub key: [u8; 32],
}

/// How to open a [`crate::Policy`].
pub struct PolicyOptions {
    /// Kept generations and the compile cache; made if missing.
    pub dir: PathBuf,
    /// Authenticates the compile cache: secret, the same at each start.
    pub key: [u8; 32],
    /// Keys of those who may sign bundles.
    pub trusted_keys: Vec<TrustedKey>,
    /// How many of them must have signed a bundle.
    pub signatures_needed: usize,
    /// Whether bundles without a valid signature may be activated.
    pub allow_unsigned: bool,
    /// Components by name, for `component = "builtin:NAME"`.
    pub builtins: &'static [(&'static str, &'static [u8])],
    /// What is activated where no generation is kept or none can be restored.
    pub default_bundle: BundleSource,
    /// Answers the `directory` capability.
    pub services: Arc<dyn Services>,
    /// Keys the hashes of redacted fields: secret, the same at each start.
    pub redaction_key: [u8; 32],
    /// When a failing plugin takes its generation back.
    pub breaker: Breaker,
}

/// Why a policy could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The folder of kept generations cannot be used.
    #[error("policy folder {path}: {action}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// No kept generation could be restored and the default bundle is broken too.
    #[error("no policy can be activated; the default bundle is broken:\n{0}")]
    NoUsableBundle(Diagnostics),
    /// The WebAssembly engine does not start here.
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
}

/// Why a bundle was not activated. The old generation goes on in every case.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// It is broken.
    #[error("the bundle was not activated:\n{0}")]
    Broken(Diagnostics),
    /// It could not be kept on disk.
    #[error("the bundle could not be kept: {action} {path}")]
    Keep {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// There is no such generation, or none before the active one.
    #[error("{0}")]
    NoSuchGeneration(String),
}
