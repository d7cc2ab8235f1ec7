//! A user's inbox: an append-only stream of events, read from a cursor.
//!
//! Cursors rise within a user's stream, with gaps; they are never given twice. A device acknowledges what it has
//! (design §4), and reading never depends on it: another device starts from 0.

use std::ops::Bound;
use std::sync::Arc;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{Code, MessageId, UserId};

use crate::account::user_key;
use crate::error::Error;
use crate::news::{self, News};
use crate::row::Cut;
use crate::scene::TimeId;
use crate::stored::{self, Stored};
use crate::table::{CURSORS, INBOX};

const COUNTER: &str = "isthmus.inbox";
const WHAT: &str = "an inbox event";

/// Where a message of one's own stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Kept here; on its way.
    Waiting,
    /// Kept by the recipient's server.
    Delivered,
    /// In quarantine.
    Held,
    /// Not delivered before its time was over.
    Expired,
    /// Refused for good, by the other server or by our policy.
    Refused {
        /// The code.
        code: Code,
        /// Public words.
        message: String,
    },
    /// Taken out of quarantine and thrown away.
    Dropped {
        /// Public words.
        message: String,
    },
}

impl State {
    /// One word, for JSON and logs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Delivered => "delivered",
            State::Held => "held",
            State::Expired => "expired",
            State::Refused { .. } => "refused",
            State::Dropped { .. } => "dropped",
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let (number, code, message) = match self {
            State::Waiting => (0, 0, ""),
            State::Delivered => (1, 0, ""),
            State::Held => (2, 0, ""),
            State::Expired => (3, 0, ""),
            State::Refused { code, message } => (4, code.number(), message.as_str()),
            State::Dropped { message } => (5, 0, message.as_str()),
        };
        out.push(number);
        if number >= 4 {
            out.extend_from_slice(&code.to_be_bytes());
            out.extend_from_slice(message.as_bytes());
        }
    }

    fn decode(cut: &mut Cut<'_>) -> Result<Self, StoreError> {
        let words = |cut: &mut Cut<'_>| -> Result<_, StoreError> {
            let code = Code::from_number(i32::from_be_bytes(cut.array()?));
            Ok((code, cut.text()?.to_owned()))
        };
        Ok(match cut.byte()? {
            0 => State::Waiting,
            1 => State::Delivered,
            2 => State::Held,
            3 => State::Expired,
            4 => words(cut).map(|(code, message)| State::Refused { code, message })?,
            5 => words(cut).map(|(_, message)| State::Dropped { message })?,
            _ => return Err(cut.wrong()),
        })
    }
}

/// Something that a user's devices should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody wrote.
    Message(Arc<Stored>),
    /// The user wrote, on one of the devices.
    Sent {
        /// What.
        message: Arc<Stored>,
        /// Where it stood then; receipts follow.
        state: State,
    },
    /// What became of a message that the user wrote.
    Receipt {
        /// Which.
        message_id: MessageId,
        /// What became of it.
        state: State,
    },
    /// Anything else.
    News(Arc<News>),
    /// A message that has since been erased.
    Gone,
}

/// An event and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Read on from here.
    pub cursor: u64,
    /// Milliseconds since 1970 UTC.
    pub time_ms: u64,
    /// What happened.
    pub event: Event,
}

/// An event on its way to a user's devices: what to push after the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// A local user.
    pub user: UserId,
    /// What to push.
    pub entry: Entry,
}

fn key(user: &[u8; 16], cursor: u64) -> [u8; 24] {
    let mut key = [0; 24];
    key[..16].copy_from_slice(user);
    key[16..].copy_from_slice(&cursor.to_be_bytes());
    key
}

/// Appends an event to a local user's stream.
pub(crate) fn append(tx: &mut Tx<'_>, user: &UserId, time_ms: u64, event: Event) -> Result<Delivery, Error> {
    let (kind, id, state) = match &event {
        Event::Message(message) => (1, message.id, None),
        Event::Sent { message, state } => (2, message.id, Some(state)),
        Event::Receipt { message_id, state } => {
            let id = TimeId::parse(message_id.as_str()).ok_or(StoreError::Malformed { what: "a messageID of ours" })?;
            (3, id, Some(state))
        }
        Event::News(news) => (4, news.id, None),
        Event::Gone => return Err(Error::Fault(StoreError::Malformed { what: WHAT })),
    };
    let mut value = Vec::with_capacity(26);
    value.push(kind);
    value.extend_from_slice(&time_ms.to_be_bytes());
    value.extend_from_slice(&id.0);
    if let Some(state) = state {
        state.encode(&mut value);
    }
    let cursor = tx.next(COUNTER)?;
    let place = key(&user_key(tx, user), cursor);
    tx.put_owned(INBOX, &place, value);
    Ok(Delivery { user: user.clone(), entry: Entry { cursor, time_ms, event } })
}

fn decode(reader: &(impl Reader + ?Sized), place: &[u8], value: &[u8]) -> Result<Entry, StoreError> {
    let cursor = place.get(16..).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
    let cursor = cursor.ok_or(StoreError::Malformed { what: WHAT })?;
    let mut cut = Cut::new(value, WHAT);
    let kind = cut.byte()?;
    let time_ms = cut.u64()?;
    let id = TimeId(cut.array()?);
    let event = match kind {
        1 => stored::get(reader, &id)?.map_or(Event::Gone, Event::Message),
        2 => {
            let state = State::decode(&mut cut)?;
            stored::get(reader, &id)?.map_or(Event::Gone, |message| Event::Sent { message, state })
        }
        3 => Event::Receipt { message_id: id.message_id(), state: State::decode(&mut cut)? },
        4 => news::get(reader, &id)?.map_or(Event::Gone, Event::News),
        _ => return Err(cut.wrong()),
    };
    Ok(Entry { cursor, time_ms, event })
}

/// At most `limit` events after the cursor `after` (0: from the first), in order.
///
/// # Errors
/// If storage fails.
pub fn read(
    reader: &(impl Reader + ?Sized),
    user: &UserId,
    after: u64,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let user = user_key(reader, user);
    let (from, to) = (key(&user, after), key(&user, u64::MAX));
    let rows = reader.scan(INBOX, Bound::Excluded(&from), Bound::Included(&to), limit, false)?;
    rows.iter().map(|(place, value)| decode(reader, place, value)).collect()
}

/// At most `limit` events before the cursor `before`, the last ones, in order.
///
/// # Errors
/// If storage fails.
pub fn read_before(
    reader: &(impl Reader + ?Sized),
    user: &UserId,
    before: u64,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let user = user_key(reader, user);
    let (from, to) = (key(&user, 0), key(&user, before));
    let rows = reader.scan(INBOX, Bound::Included(&from), Bound::Excluded(&to), limit, true)?;
    rows.iter().rev().map(|(place, value)| decode(reader, place, value)).collect()
}

/// The state that stands in one's own `Sent` event at this cursor.
pub(crate) fn state_at(reader: &(impl Reader + ?Sized), user: &UserId, cursor: u64) -> Result<State, StoreError> {
    let place = key(&user_key(reader, user), cursor);
    let row = reader.get(INBOX, &place)?.ok_or(StoreError::Malformed { what: WHAT })?;
    let mut cut = Cut::new(&row, WHAT);
    let (kind, _time, _id) = (cut.byte()?, cut.u64()?, cut.array::<16>()?);
    if kind == 2 { State::decode(&mut cut) } else { Err(cut.wrong()) }
}

/// The cursor of the last event, 0 if there is none.
///
/// # Errors
/// If storage fails.
pub fn head(reader: &(impl Reader + ?Sized), user: &UserId) -> Result<u64, StoreError> {
    let user = user_key(reader, user);
    let (from, to) = (key(&user, 0), key(&user, u64::MAX));
    let last = reader.scan(INBOX, Bound::Included(&from), Bound::Included(&to), 1, true)?;
    let cursor = last.first().and_then(|(place, _)| place.get(16..)?.try_into().ok());
    Ok(cursor.map_or(0, u64::from_be_bytes))
}

fn device_key(user: &[u8; 16], device: &TimeId) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(user);
    key[16..].copy_from_slice(&device.0);
    key
}

/// Notes that a device has everything up to `cursor`. Going back changes nothing.
///
/// # Errors
/// 1003 for a cursor beyond the stream's end.
pub fn ack(tx: &mut Tx<'_>, user: &UserId, device: &TimeId, cursor: u64) -> Result<(), Error> {
    if cursor <= acked(tx, user, device)? {
        return Ok(());
    }
    if cursor > head(tx, user)? {
        return Err(Error::field(Code::InvalidField, "cursor", "lies beyond the last event"));
    }
    let key = device_key(&user_key(tx, user), device);
    tx.put(CURSORS, &key, &cursor.to_be_bytes());
    Ok(())
}

/// Up to where a device has acknowledged.
///
/// # Errors
/// If storage fails.
pub fn acked(reader: &(impl Reader + ?Sized), user: &UserId, device: &TimeId) -> Result<u64, StoreError> {
    let key = device_key(&user_key(reader, user), device);
    let Some(value) = reader.get(CURSORS, &key)? else { return Ok(0) };
    Cut::new(&value, "a device's cursor").u64()
}
