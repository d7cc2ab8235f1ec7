//! Messages and files (§7.4).

use serde::Serialize;

use crate::id::{MediaId, MessageId, UserId};
use crate::json::{Fields, Read, ReadError};
use crate::message::MessageInfo;
use crate::query;

/// `POST /sns/chat` (§7.4.2). Answered by an [`crate::Answer`] without fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Send {
    /// The message.
    pub message_info: MessageInfo,
}

impl Read for Send {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { message_info: f.record("messageInfo")? })
    }
}

/// `GET /sns/download/file` (§7.4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Which file.
    pub media_id: MediaId,
}

impl Download {
    /// The query string.
    #[must_use]
    pub fn to_query(&self) -> String {
        query::write(&[("mediaID", self.media_id.as_str())])
    }
}

impl Read for Download {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { media_id: f.id("mediaID")? })
    }
}

/// `POST /isthmus/v1/file/report`, ours: the file of a message could not be had, or may not be shown, at its recipient's
/// server. Answered by an [`crate::Answer`] without fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// The message that named the file.
    #[serde(rename = "messageID")]
    pub message_id: MessageId,
    /// Who does not get it.
    #[serde(rename = "userID")]
    pub user_id: UserId,
    /// Why, as R5 numbers it.
    pub code: i32,
    /// Why, in public words.
    pub msg: String,
}

impl Read for FileReport {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            message_id: f.id("messageID")?,
            user_id: f.id("userID")?,
            code: f.int("code")?,
            msg: f.optional_text("msg", REASON_MAX)?.unwrap_or_default().to_owned(),
        })
    }
}

/// The longest reason, in bytes.
const REASON_MAX: usize = 2048;
