//! Quarantine (design §2): messages that policy held, until an administrator releases or drops them.
//!
//! A held message is kept and recognised when it comes again; a peer that sent it was told 0. What an administrator
//! releases goes on without being judged again. What nobody decides in time is given up, and its sender told.
//!
//! Order: a held message holds nobody up; what is written after it in its conversation is delivered before it. Messages that
//! are released reach the recipient in the order in which they were written: one that is released while an older one of its
//! conversation is still held waits until that one is released, dropped or given up.

use std::ops::Bound;
use std::sync::Arc;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::Code;
use serde::{Deserialize, Serialize};

use crate::dedup::conversation;
use crate::done::Done;
use crate::error::Error;
use crate::inbox::{self, Event, State};
use crate::message;
use crate::row;
use crate::scene::{Scene, TimeId};
use crate::stored::{self, Stored};
use crate::table::{HELD, HELD_ORDER};

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
    /// It is released, and waits for the decision on an older one of its conversation.
    pub released: bool,
    /// The message.
    pub message: Arc<Stored>,
}

#[derive(Serialize, Deserialize)]
struct HeldRow {
    way: Way,
    hold: Hold,
    since_ms: u64,
    /// Released: when it is given up once it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
}

/// The message's record must be written before.
pub(crate) fn put(tx: &mut Tx<'_>, scene: &Scene<'_>, id: &TimeId, way: Way, hold: &Hold) {
    let row = HeldRow { way, hold: hold.clone(), since_ms: scene.now_ms, expires_ms: None };
    tx.put_owned(HELD, &id.0, row::json(&row));
    // A row without its place in the order waits for nobody and keeps nobody waiting.
    if let Ok(Some(place)) = place(tx, id) {
        tx.put_owned(HELD_ORDER, &place, Vec::new());
    }
}

/// A message's place among the held ones of its conversation.
fn place(reader: &(impl Reader + ?Sized), id: &TimeId) -> Result<Option<[u8; 32]>, Error> {
    let Some(stored) = stored::get(reader, id)? else { return Ok(None) };
    let info = stored.info()?;
    let name = conversation(info.chat_scene, &info.send_id, &info.recv_id);
    let mut place = [0; 32];
    place[..16].copy_from_slice(&reader.index_hash("held", &name)[..16]);
    place[16..].copy_from_slice(&id.0);
    Ok(Some(place))
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

/// How many messages wait for a decision; no more than `most` are counted.
///
/// # Errors
/// If storage fails.
pub fn waiting(reader: &(impl Reader + ?Sized), most: usize) -> Result<usize, Error> {
    let rows = reader.scan(HELD, Bound::Unbounded, Bound::Unbounded, most, false)?;
    let rows: Vec<HeldRow> = rows.iter().map(|(_, value)| row::parse(value, WHAT)).collect::<Result<_, _>>()?;
    Ok(rows.iter().filter(|row| row.expires_ms.is_none()).count())
}

fn parse(reader: &(impl Reader + ?Sized), key: &[u8], value: &[u8]) -> Result<Held, Error> {
    let id = TimeId(key.try_into().map_err(|_| StoreError::Malformed { what: WHAT })?);
    let HeldRow { way, hold, since_ms, expires_ms } = row::parse(value, WHAT)?;
    let released = expires_ms.is_some();
    Ok(Held { id, way, hold, since_ms, released, message: stored::expect(reader, &id)? })
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

/// What came of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// What is to be done after the commit.
    pub done: Done,
    /// The older message of the conversation that it waits for; none if it has gone on.
    pub waits_for: Option<TimeId>,
}

fn read(tx: &Tx<'_>, id: &TimeId) -> Result<HeldRow, Error> {
    let value = tx.get(HELD, &id.0)?.ok_or_else(|| Error::refused(Code::NotFound, "no such message is held"))?;
    Ok(row::parse(&value, WHAT)?)
}

fn remove(tx: &mut Tx<'_>, id: &TimeId) -> Result<(), Error> {
    if let Some(place) = place(tx, id)? {
        tx.delete(HELD_ORDER, &place);
    }
    tx.delete(HELD, &id.0);
    Ok(())
}

/// Lets a held message go on, once no older one of its conversation is undecided; one of our own users' is given up at
/// `expires_ms` if its recipient is elsewhere.
///
/// # Errors
/// 1004 if no such message is held or its recipient is no more, 1202 if it is released already or the recipient's server is
/// suspended or deregistered.
pub fn release(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    id: &TimeId,
    expires_ms: u64,
    audit: Vec<u8>,
) -> Result<Released, Error> {
    let mut row = read(tx, id)?;
    if row.expires_ms.is_some() {
        return Err(Error::refused(Code::WrongState, "it is released, and waits for an older one of its conversation"));
    }
    row.expires_ms = Some(expires_ms);
    tx.put_owned(HELD, &id.0, row::json(&row));
    let mut done = Done::default();
    let mut waits_for = None;
    match place(tx, id)?.filter(|place| tx.get(HELD_ORDER, place).is_ok_and(|row| row.is_some())) {
        Some(place) => {
            waits_for = go_on(tx, scene, &place, Some(id), &mut done)?.filter(|_| is_held(tx, id).unwrap_or(true))
        }
        None => {
            remove(tx, id)?;
            done.extend(message::resume(tx, scene, id, row.way, expires_ms)?);
        }
    }
    tx.audit(audit);
    Ok(Released { done, waits_for })
}

/// Lets released messages of a conversation go on, in their order, up to the first that is not decided, which is answered.
/// Of one that cannot go on any more its sender is told; only for `must` that is an error.
fn go_on(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    place: &[u8; 32],
    must: Option<&TimeId>,
    done: &mut Done,
) -> Result<Option<TimeId>, Error> {
    let (mut from, mut to) = (*place, *place);
    from[16..].fill(0);
    to[16..].fill(0xff);
    loop {
        let first = tx.scan(HELD_ORDER, Bound::Included(&from[..]), Bound::Included(&to[..]), 1, false)?;
        let Some((key, _)) = first.first() else { return Ok(None) };
        let id = TimeId(key[16..].try_into().map_err(|_| StoreError::Malformed { what: WHAT })?);
        let row = read(tx, &id)?;
        let Some(expires_ms) = row.expires_ms else { return Ok(Some(id)) };
        remove(tx, &id)?;
        match message::resume(tx, scene, &id, row.way, expires_ms) {
            Ok(more) => done.extend(more),
            Err(Error::Refused(refusal)) if must != Some(&id) => {
                let state = State::Refused { code: refusal.code, message: refusal.message };
                tell_sender(tx, scene, &id, row.way, state, done)?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A local sender is told what became of its message; a peer was told 0 and is not.
fn tell_sender(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    id: &TimeId,
    way: Way,
    state: State,
    done: &mut Done,
) -> Result<(), Error> {
    if way == Way::Out {
        let info = stored::expect(tx, id)?.info()?;
        let receipt = Event::Receipt { message_id: info.message_id, state };
        done.deliveries.push(inbox::append(tx, &info.send_id, scene.now_ms, receipt)?);
    }
    Ok(())
}

/// Ends a message in quarantine; those that waited for it go on.
fn end(tx: &mut Tx<'_>, scene: &mut Scene<'_>, id: &TimeId, state: State) -> Result<Done, Error> {
    let row = read(tx, id)?;
    let place = place(tx, id)?;
    remove(tx, id)?;
    let mut done = Done::default();
    tell_sender(tx, scene, id, row.way, state, &mut done)?;
    if let Some(place) = place {
        go_on(tx, scene, &place, None, &mut done)?;
    }
    Ok(done)
}

/// Throws a held message away. Its sender is told `words` if it is one of our users; a peer was told 0 and is not.
///
/// # Errors
/// 1004 if no such message is held.
pub fn discard(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    id: &TimeId,
    words: &str,
    audit: Vec<u8>,
) -> Result<Done, Error> {
    let done = end(tx, scene, id, State::Dropped { message: words.to_owned() })?;
    tx.audit(audit);
    Ok(done)
}

/// Messages among the next `limit` after `after` that nobody has decided about since `before_ms`, and where to go on; none
/// at the end.
///
/// # Errors
/// If storage fails.
pub fn overdue(
    reader: &(impl Reader + ?Sized),
    before_ms: u64,
    after: Option<&TimeId>,
    limit: usize,
) -> Result<(Vec<Held>, Option<TimeId>), Error> {
    let page = list(reader, after, limit)?;
    let next = page.last().filter(|_| page.len() == limit).map(|held| held.id);
    Ok((page.into_iter().filter(|held| !held.released && held.since_ms < before_ms).collect(), next))
}

/// Gives up messages that nobody has decided about, each with its audit record. One that was decided meanwhile is left out.
///
/// # Errors
/// If storage fails.
pub fn expire(tx: &mut Tx<'_>, scene: &mut Scene<'_>, overdue: Vec<(TimeId, Vec<u8>)>) -> Result<Done, Error> {
    let mut done = Done::default();
    for (id, audit) in overdue {
        match read(tx, &id) {
            Ok(row) if row.expires_ms.is_none() => {
                done.extend(end(tx, scene, &id, State::Expired)?);
                tx.audit(audit);
            }
            Ok(_) | Err(Error::Refused(_)) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(done)
}
