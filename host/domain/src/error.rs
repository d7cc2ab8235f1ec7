//! Why a rule did not go through.

use isthmus_store::{StoreError, WriteError};
use isthmus_wire::{Code, Refusal};

/// The caller's fault or ours; they go to different people in different words.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's: a code and public words.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Ours: for the log, nothing for the caller.
    #[error(transparent)]
    Fault(#[from] StoreError),
}

impl Error {
    pub(crate) fn refused(code: Code, message: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(code, message))
    }

    pub(crate) fn field(code: Code, field: &str, what: impl std::fmt::Display) -> Self {
        Self::Refused(Refusal::field(code, field, what))
    }

    /// The refusal, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Fault(_) => None,
        }
    }
}

impl From<WriteError<Error>> for Error {
    fn from(error: WriteError<Error>) -> Self {
        match error {
            WriteError::Refused(inner) => inner,
            WriteError::Fault(fault) => Self::Fault(fault),
        }
    }
}
