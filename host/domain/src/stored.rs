//! A message as it is kept: its wire form, once, with where it came from. Everything else refers to it.

use std::sync::Arc;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{MessageInfo, json};

use crate::error::Error;
use crate::row::{Cut, put_short};
use crate::scene::TimeId;
use crate::table::MESSAGES;

const FORM: u8 = 1;
/// As [`FORM`], recalled.
const RECALLED: u8 = 2;
const WHAT: &str = "a message";

/// A message on stable storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The record's own ID. Of a message of our own users it is also the `messageID`.
    pub id: TimeId,
    /// When it was accepted or received, in milliseconds since 1970 UTC.
    pub time_ms: u64,
    /// The server it came from; none for our own users' messages.
    pub peer: Option<String>,
    /// What our own user's client called it.
    pub client_msg_id: Option<String>,
    /// Its sender took it back: no user is shown it any more (R7).
    pub recalled: bool,
    /// `messageInfo` as JSON, as it goes on the wire.
    pub wire: String,
}

impl Stored {
    /// Takes a message over.
    #[must_use]
    pub fn new(id: TimeId, time_ms: u64, info: &MessageInfo) -> Self {
        let wire = String::from_utf8(json::write(info)).expect("JSON is UTF-8");
        Self { id, time_ms, peer: None, client_msg_id: None, recalled: false, wire }
    }

    /// The message itself.
    ///
    /// # Errors
    /// If what is stored is no message.
    pub fn info(&self) -> Result<MessageInfo, StoreError> {
        json::read(self.wire.as_bytes()).map_err(|_| StoreError::Malformed { what: WHAT })
    }

    /// The body of `POST /sns/chat` (§7.4.2).
    #[must_use]
    pub fn chat_body(&self) -> Vec<u8> {
        let (head, tail) = (br#"{"messageInfo":"#, b"}");
        [head.as_slice(), self.wire.as_bytes(), tail].concat()
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.wire.len() + 80);
        out.push(if self.recalled { RECALLED } else { FORM });
        out.extend_from_slice(&self.time_ms.to_be_bytes());
        put_short(&mut out, self.peer.as_deref().unwrap_or(""));
        put_short(&mut out, self.client_msg_id.as_deref().unwrap_or(""));
        out.extend_from_slice(self.wire.as_bytes());
        out
    }

    fn decode(id: TimeId, bytes: &[u8]) -> Result<Self, StoreError> {
        let mut cut = Cut::new(bytes, WHAT);
        let recalled = match cut.byte()? {
            FORM => false,
            RECALLED => true,
            _ => return Err(cut.wrong()),
        };
        let time_ms = cut.u64()?;
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let peer = some(cut.short_text()?);
        let client_msg_id = some(cut.short_text()?);
        Ok(Self { id, time_ms, peer, client_msg_id, recalled, wire: cut.text()?.to_owned() })
    }

    pub(crate) fn put(&self, tx: &mut Tx<'_>) {
        tx.put_owned(MESSAGES, &self.id.0, self.encode());
    }
}

/// The message of a record, if it is there.
///
/// # Errors
/// If storage fails.
pub fn get(reader: &(impl Reader + ?Sized), id: &TimeId) -> Result<Option<Arc<Stored>>, StoreError> {
    reader.get(MESSAGES, &id.0)?.map(|bytes| Stored::decode(*id, &bytes).map(Arc::new)).transpose()
}

pub(crate) fn expect(reader: &(impl Reader + ?Sized), id: &TimeId) -> Result<Arc<Stored>, Error> {
    get(reader, id)?.ok_or(Error::Fault(StoreError::Malformed { what: "a reference to a message" }))
}
