//! Messages and files (§7.4).

use serde::Serialize;

use crate::id::MediaId;
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
