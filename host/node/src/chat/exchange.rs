//! What goes between the state and the network: orders one way, news the other, both over bounded channels.

use std::path::PathBuf;

use http::Method;
use serde_json::Value;

use super::app::{ChatId, FileBody, Link};

/// Something to be done outside.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Act {
    /// A message, under its clientID; in the order of the orders, again and again until there is an answer.
    Send(String, Value),
    Ask(Ask),
    Upload {
        number: u64,
        path: PathBuf,
    },
    Save {
        number: u64,
        from: String,
        file: FileBody,
        to: Option<PathBuf>,
    },
    Cancel(u64),
    /// Tries to connect now.
    Nudge,
    LogOut,
    Quit,
}

/// A call that is answered at once, or not at all.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ask {
    pub(super) what: What,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

/// What was asked, by which its answer is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A page of friends; the first one?
    Contacts(bool),
    Requests(bool),
    Groups,
    Pending,
    Search(String),
    Friend(String),
    NewGroup,
    Invite(String),
    Members(String),
    Leave(String),
    Recall(ChatId, String),
    /// Its effect comes as an event, or shows in the lists.
    Change,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why {
    /// R5's code; none if nobody answered.
    pub(super) code: Option<i64>,
    /// The other side's words, not cleaned.
    pub(super) msg: String,
}

/// Something that happened outside.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum News {
    Link(Link),
    /// An event of the inbox, at its cursor.
    Inbox(u64, Value),
    Answer(What, Result<Value, Why>),
    /// What became of a message, by its clientID.
    Sent(String, Result<Value, Why>),
    Transfer(u64, Progress),
    /// The log-in is no more.
    LoggedOut,
}

/// How far a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    Began {
        name: String,
        size: u64,
        kind: String,
    },
    At(u64),
    /// Goes on by itself.
    Broke(String),
    /// Is on the server, under this mediaID.
    Uploaded(String),
    Saved(PathBuf),
    Failed(String),
    Canceled,
}
