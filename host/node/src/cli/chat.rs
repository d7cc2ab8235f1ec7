//! `isthmus chat`: what the terminal client is told on the command line.

use std::path::PathBuf;

use clap::Args;

use super::error::CliError;
use crate::chat::{self, ChatError, Lang, Options};

pub(super) const EXAMPLES: &str = "Example: isthmus chat https://im.example:7444 --user alice --ca ca.pem\n         isthmus chat    \
                                   (goes on with the session used last)\n\nThe session is kept sealed below \
                                   ~/.local/state/isthmus/chat; its secret is the account's password, or with --passphrase one of its own.";

#[derive(Debug, Args)]
pub(super) struct ChatArgs {
    /// The server's client listener, as https://host:port. Without it: the session used last.
    #[arg(env = "ISTHMUS_CHAT_SERVER", value_name = "URL")]
    server: Option<String>,
    /// Who you are there, as alice or alice@north.
    #[arg(long, env = "ISTHMUS_CHAT_USER")]
    user: Option<String>,
    /// PEM file that verifies the server; the system's CAs without it.
    #[arg(long, env = "ISTHMUS_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// File of the session, instead of one below ~/.local/state/isthmus/chat.
    #[arg(long, value_name = "FILE")]
    session: Option<PathBuf>,
    /// Seals a new session with a passphrase of its own instead of the account's password.
    #[arg(long)]
    passphrase: bool,
    /// Language; by default the environment's (LC_ALL, LC_MESSAGES, LANG).
    #[arg(long, value_enum)]
    lang: Option<Lang>,
}

pub(super) fn run(args: ChatArgs) -> Result<(), CliError> {
    let ChatArgs { server, user, ca, session, passphrase, lang } = args;
    let done = chat::run(&Options { server, user, ca, session, passphrase, lang });
    done.map_err(|error| match error {
        ChatError::Usage(words) => CliError::Usage(words),
        ChatError::Client(error) => CliError::from(error),
        ChatError::Left | ChatError::Session(_) | ChatError::Terminal(_) | ChatError::LoggedOut(_) => {
            CliError::chain(&error)
        }
    })
}
