//! What can keep a demo from standing.

use std::path::{Path, PathBuf};

use crate::client::ClientError;

/// Why the demo could not be set up or run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The folder holds something that no demo wrote.
    #[error("{0} is not empty and no demo made it: name an empty or new folder with --data, or move its content away")]
    Foreign(PathBuf),
    /// A demo runs in this folder.
    #[error("a demo is running in {0}: stop it, or name another folder with --data and other ports with --port-base")]
    Busy(PathBuf),
    /// The folder was made with other ports, which are registered and certified.
    #[error(
        "{folder} was made with --port-base {made}, and its servers are registered under those ports: leave --port-base \
         out, or name another folder with --data"
    )]
    OtherPorts {
        /// The data folder.
        folder: PathBuf,
        /// The port base it was made with.
        made: u16,
    },
    /// The ports would not fit.
    #[error("--port-base {0}: the demo needs 23 ports from there, so name one below 65513")]
    PortBase(u16),
    /// A file or folder that cannot be used.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A file that does not hold what it should.
    #[error("{path}: {message}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A process ended before it was ready, or was not ready in time.
    #[error("{name} {what}; the end of its log {log}:\n{tail}")]
    NotReady {
        /// `platform`, `north`, `south`.
        name: String,
        /// What happened instead.
        what: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// One of our own interfaces did not answer as it should.
    #[error("{step}: {source}")]
    Call {
        /// What was tried.
        step: String,
        /// What came of it.
        source: ClientError,
    },
    /// The operating system refused a signal handler or a runtime.
    #[error("{0}")]
    System(std::io::Error),
}

impl DemoError {
    /// Names the file in a system error.
    pub(super) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> DemoError {
        move |source| DemoError::File { path: path.to_owned(), source }
    }

    /// Names the step in a client error.
    pub(super) fn while_trying(step: &str) -> impl FnOnce(ClientError) -> DemoError {
        move |source| DemoError::Call { step: step.to_owned(), source }
    }
}
