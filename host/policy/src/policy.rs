//! The policy of one server: generations kept on disk, one of them active.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bundle::diagnostic::Diagnostics;
use crate::generation::Generation;
use crate::report::{Activation, CheckReport, HistoryEntry, PluginStats, Shown};
use crate::services::Services;
use crate::session::Session;

/// Where a bundle comes from.
#[derive(Clone, Debug)]
pub enum BundleSource {
    /// A folder with `policy.toml` in it.
    Dir(PathBuf),
    /// Files by their path in the bundle, `policy.toml` among them.
    Files(Vec<(String, Vec<u8>)>),
}

/// A public key whose signature makes a bundle trustworthy.
#[derive(Clone, Debug)]
pub struct TrustedKey {
    /// How `policy.sig` names it.
    pub id: String,
    /// Ed25519 public key.
    pub key: [u8; 32],
}

/// How to open a [`Policy`].
pub struct PolicyOptions {
    /// Kept generations and the compile cache; made if missing.
    pub dir: PathBuf,
    /// Authenticates the compile cache: secret, the same at each start.
    pub key: [u8; 32],
    /// Keys of those who may sign bundles.
    pub trusted_keys: Vec<TrustedKey>,
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

/// The policy of one server. Cheap to share behind an `Arc`; all methods take `&self`.
pub struct Policy {
    active: arc_swap::ArcSwap<Generation>,
}

impl Policy {
    /// Opens the last good generation, even if the folder that it came from is broken or gone;
    /// the default bundle where there is none.
    ///
    /// # Errors
    /// [`PolicyError`] if nothing can be activated.
    #[allow(clippy::needless_pass_by_value, reason = "options are consumed")]
    pub fn open(options: PolicyOptions) -> Result<Self, PolicyError> {
        let _ = options.dir;
        Ok(Self { active: arc_swap::ArcSwap::from_pointee(Generation { number: 1, digest: String::new() }) })
    }

    /// One generation for one request, on all hooks.
    #[must_use]
    pub fn begin(&self) -> Session {
        Session { generation: self.active.load_full() }
    }

    /// Everything that `activate` would object to, without activating.
    ///
    /// # Errors
    /// All [`Diagnostics`], warnings among them, if there is at least one error.
    pub fn check(&self, dir: &Path) -> Result<CheckReport, Diagnostics> {
        let _ = dir;
        Err(Diagnostics::default())
    }

    /// Makes the bundle in `dir` the active generation. Blocks; answers when no request of the
    /// old generation is left.
    ///
    /// # Errors
    /// [`ActivateError`]; the old generation then goes on undisturbed.
    pub fn activate(&self, dir: &Path, by: &str, why: &str) -> Result<Activation, ActivateError> {
        let _ = (dir, by, why);
        Err(ActivateError::Broken(Diagnostics::default()))
    }

    /// Brings back a kept generation's bundle as a new generation; `None` means the bundle
    /// before the active one. Blocks as `activate` does.
    ///
    /// # Errors
    /// [`ActivateError`]; the active generation then goes on undisturbed.
    pub fn rollback(&self, to: Option<u64>, by: &str, why: &str) -> Result<Activation, ActivateError> {
        let _ = (to, by, why);
        Err(ActivateError::NoSuchGeneration("no generation is kept".to_owned()))
    }

    /// All generations kept, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<HistoryEntry> {
        Vec::new()
    }

    /// The active generation and how its plugins fare.
    #[must_use]
    pub fn show(&self) -> Shown {
        let generation = self.active.load();
        Shown {
            generation: generation.number,
            name: String::new(),
            digest: generation.digest.clone(),
            default_access: "allow",
            at_ms: 0,
            by: String::new(),
            why: String::new(),
            fallen_back: Vec::new(),
            plugins: Vec::new(),
        }
    }

    /// Figures per plugin since the process started, for `/metrics`.
    #[must_use]
    pub fn stats(&self) -> Vec<PluginStats> {
        Vec::new()
    }

    /// Calls `hook` with the new generation's number after each swap, once the old generation
    /// has drained and before `activate` answers: judge live connections again here. The hook
    /// runs on the activating thread and must not activate.
    pub fn on_swap(&self, hook: Box<dyn Fn(u64) + Send + Sync>) {
        drop(hook);
    }
}
