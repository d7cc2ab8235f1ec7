//! What can keep a run from its figures.

use std::path::PathBuf;

use crate::client::ClientError;
use crate::demo::DemoError;

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The servers of its own did not come up, or the demo's record is unreadable.
    #[error(transparent)]
    Ground(#[from] DemoError),
    /// An option that makes no sense.
    #[error("{0}")]
    Option(String),
    /// The demo's processes are unknown.
    #[error("{0} names no running processes: is the demo running?")]
    Processes(PathBuf),
    /// A call to a server failed.
    #[error("{step}: {source}")]
    Call {
        /// What was tried.
        step: &'static str,
        /// What came of it.
        source: ClientError,
    },
    /// The operating system refused something.
    #[error("{step}: {source}")]
    System {
        /// What was tried.
        step: &'static str,
        /// Its word.
        source: std::io::Error,
    },
    /// The driver ended early.
    #[error("the load driver ended early: {0}")]
    Driver(String),
}

impl BenchError {
    /// Names the step in a client error.
    pub(super) fn call(step: &'static str) -> impl FnOnce(ClientError) -> BenchError {
        move |source| BenchError::Call { step, source }
    }

    /// Names the step in a system error.
    pub(super) fn system(step: &'static str) -> impl FnOnce(std::io::Error) -> BenchError {
        move |source| BenchError::System { step, source }
    }
}
