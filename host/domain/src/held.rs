//! Quarantine (design §2): messages that policy held, until an administrator releases or drops them.
//!
//! A held message is kept and recognised when it comes again; a peer that sent it was told 0. What an administrator
//! releases goes on without being judged again.

use std::ops::Bound;
use std::sync::Arc;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::Code;
use serde::{Deserialize, Serialize};

use crate::done::Done;
use crate::error::Error;
use crate::inbox::{self, Event, State};
use crate::message;
use crate::row;
use crate::scene::{Scene, TimeId};
use crate::stored::{self, Stored};
use crate::table::HELD;

const WHAT: &str = "a held message";

/// Why policy held it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// For machines.
    pub code: String,
    /// For people.
    pub text: String,
    /// Which plugin.
    pub plugin: String,
}

/// Which way a held message was going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// From another server to a local user.
    In,
    /// From a local user.
    Out,
}

/// A message in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Names it for release and drop.
    pub id: TimeId,
    /// Which way it was going.
    pub way: Way,
    /// Why it is here.
    pub hold: Hold,
    /// Since when, in milliseconds since 1970 UTC.
    pub since_ms: u64,
    /// The message.
    pub message: Arc<Stored>,
}

#[derive(Serialize, Deserialize)]
struct HeldRow {
    way: Way,
    hold: Hold,
    since_ms: u64,
}

pub(crate) fn put(tx: &mut Tx<'_>, scene: &Scene<'_>, id: &TimeId, way: Way, hold: &Hold) {
    let row = HeldRow { way, hold: hold.clone(), since_ms: scene.now_ms };
    tx.put_owned(HELD, &id.0, row::json(&row));
}

/// At most `limit` held messages after `after`, the oldest first.
///
/// # Errors
/// If storage fails.
pub fn list(reader: &(impl Reader + ?Sized), after: Option<&TimeId>, limit: usize) -> Result<Vec<Held>, Error> {
    let from = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.0.as_slice()));
    let rows = reader.scan(HELD, from, Bound::Unbounded, limit, false)?;
    rows.iter().map(|(key, value)| parse(reader, key, value)).collect()
}

fn parse(reader: &(impl Reader + ?Sized), key: &[u8], value: &[u8]) -> Result<Held, Error> {
    let id = TimeId(key.try_into().map_err(|_| StoreError::Malformed { what: WHAT })?);
    let HeldRow { way, hold, since_ms } = row::parse(value, WHAT)?;
    Ok(Held { id, way, hold, since_ms, message: stored::expect(reader, &id)? })
}

/// One held message.
///
/// # Errors
/// If storage fails.
pub fn get(reader: &(impl Reader + ?Sized), id: &TimeId) -> Result<Option<Held>, Error> {
    reader.get(HELD, &id.0)?.map(|value| parse(reader, &id.0, &value)).transpose()
}

pub(crate) fn is_held(reader: &(impl Reader + ?Sized), id: &TimeId) -> Result<bool, StoreError> {
    Ok(reader.get(HELD, &id.0)?.is_some())
}

fn take(tx: &mut Tx<'_>, id: &TimeId) -> Result<HeldRow, Error> {
    let value = tx.get(HELD, &id.0)?.ok_or_else(|| Error::refused(Code::NotFound, "no such message is held"))?;
    tx.delete(HELD, &id.0);
    Ok(row::parse(&value, WHAT)?)
}

/// Lets a held message go on; one of our own users' is given up at `expires_ms` if its recipient is elsewhere.
///
/// # Errors
/// 1004 if no such message is held or its recipient is no more, 1202 if the recipient's server is suspended or
/// deregistered.
pub fn release(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    id: &TimeId,
    expires_ms: u64,
    audit: Vec<u8>,
) -> Result<Done, Error> {
    let row = take(tx, id)?;
    let done = message::resume(tx, scene, id, row.way, expires_ms)?;
    tx.audit(audit);
    Ok(done)
}

/// Throws a held message away. Its sender is told `words` if it is one of our users; a peer was told 0 and is not.
///
/// # Errors
/// 1004 if no such message is held.
pub fn discard(tx: &mut Tx<'_>, scene: &Scene<'_>, id: &TimeId, words: &str, audit: Vec<u8>) -> Result<Done, Error> {
    let row = take(tx, id)?;
    let mut deliveries = Vec::new();
    if row.way == Way::Out {
        let info = stored::expect(tx, id)?.info()?;
        let state = State::Dropped { message: words.to_owned() };
        let receipt = Event::Receipt { message_id: info.message_id, state };
        deliveries.push(inbox::append(tx, &info.send_id, scene.now_ms, receipt)?);
    }
    tx.audit(audit);
    Ok(Done { deliveries, letters: Vec::new() })
}
