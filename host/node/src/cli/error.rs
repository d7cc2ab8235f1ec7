//! Why a command failed, in one sentence and with a way on.

use std::path::PathBuf;

use crate::admin_token::AdminTokenError;
use crate::client::ClientError;
use crate::config::ConfigError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Keys, values or files of the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The arguments contradict each other or say too little.
    #[error("{0}")]
    Usage(String),
    /// The other side refused.
    #[error("refused: {words}{hint}")]
    Refused {
        /// Its words, with its code.
        words: String,
        /// What to do, where we know.
        hint: &'static str,
    },
    /// Nobody answers.
    #[error("{0}; is it running? `--url` names another address, `--config` the configuration of the one you mean")]
    Unreachable(String),
    /// The log is not whole.
    #[error(
        "the audit log in {dir} is NOT whole: {problems} problem(s) found; keep the files as they are and compare them with a backup"
    )]
    NotWhole {
        /// The audit folder.
        dir: PathBuf,
        /// How many.
        problems: usize,
    },
    /// Policy diagnostics.
    #[error("{0}; mend what is listed and check again")]
    BundleBroken(String),
    /// A plugin, its tests or its signatures are not as they should be.
    #[error("{0}")]
    Plugin(String),
    /// Everything else, in its own words.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    /// The process's exit code.
    pub(super) fn exit(&self) -> u8 {
        match self {
            CliError::Failed(_) => 1,
            CliError::Config(_) | CliError::Usage(_) => 2,
            CliError::Refused { .. } => 3,
            CliError::Unreachable(_) => 4,
            CliError::NotWhole { .. } | CliError::BundleBroken(_) | CliError::Plugin(_) => 5,
        }
    }

    /// An error of a library with all its causes.
    pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> CliError {
        CliError::Failed(crate::reply::chain(error))
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> CliError {
        match error {
            ClientError::Refused { status, code, msg } => {
                let hint = match status {
                    401 => {
                        "; give an administrator's token with --token or ISTHMUS_TOKEN (`isthmus admin tokens` shows them)"
                    }
                    403 => "; this needs the token of another administrator's role",
                    429 | 503 => "; try again shortly",
                    _ => "",
                };
                CliError::Refused { words: format!("{msg} (code {code})"), hint }
            }
            ClientError::Connect { .. } => CliError::Unreachable(error.to_string()),
            ClientError::Address(_) | ClientError::Ca { .. } => CliError::Usage(error.to_string()),
            ClientError::Http(_) | ClientError::Socket(_) | ClientError::Answer(_) => CliError::chain(&error),
        }
    }
}

impl From<AdminTokenError> for CliError {
    fn from(error: AdminTokenError) -> CliError {
        CliError::Usage(format!(
            "{error}; the file is written at the first start, and the token can be given with --token or ISTHMUS_TOKEN"
        ))
    }
}
