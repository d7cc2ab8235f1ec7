//! The outbox (reading, section 5): letters to other servers, one ordered lane per conversation and peer.
//!
//! A letter refers to its message; it leaves its lane when the peer has kept the message, has refused it for good, or
//! its time is over, and the sender is told which in the same transaction.

use std::sync::Arc;

use isthmus_store::lane::{self, LaneId, Letter, LetterId};
use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{Code, MessageInfo, ServerId, UserId};

use crate::dedup::conversation;
use crate::error::Error;
use crate::inbox::{self, Delivery, Event, State};
use crate::row::Cut;
use crate::scene::{Scene, TimeId};
use crate::stored::{self, Stored};

const FORM: u8 = 1;

/// A letter that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its place: peer, conversation, number.
    pub id: LetterId,
    /// The message's record.
    pub record: TimeId,
    /// When it is given up, in milliseconds since 1970 UTC.
    pub expires_ms: u64,
    /// The local user to be told.
    pub sender: UserId,
    /// The message, if it is at hand: spares the worker a read right after the commit.
    pub message: Option<Arc<Stored>>,
}

/// What became of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The peer answered 0.
    Delivered,
    /// The peer, or our policy on the way out, refused it for good.
    Refused {
        /// The code.
        code: Code,
        /// Public words.
        message: String,
    },
    /// Its time is over.
    Expired,
}

impl Waiting {
    /// Takes a letter apart.
    ///
    /// # Errors
    /// If it is none of ours.
    pub fn parse(letter: Letter) -> Result<Self, StoreError> {
        let mut cut = Cut::new(&letter.body, "a letter");
        if cut.byte()? != FORM {
            return Err(cut.wrong());
        }
        let record = TimeId(cut.array()?);
        let expires_ms = cut.u64()?;
        let sender = UserId::parse(cut.text()?).map_err(|_| cut.wrong())?;
        Ok(Self { id: letter.id, record, expires_ms, sender, message: None })
    }

    /// The message that it carries.
    ///
    /// # Errors
    /// If storage fails.
    pub fn message(&self, reader: &(impl Reader + ?Sized)) -> Result<Arc<Stored>, Error> {
        self.message.as_ref().map_or_else(|| stored::expect(reader, &self.record), |m| Ok(Arc::clone(m)))
    }
}

pub(crate) fn enqueue(
    tx: &mut Tx<'_>,
    peer: &ServerId,
    info: &MessageInfo,
    stored: &Arc<Stored>,
    expires_ms: u64,
) -> Result<Waiting, Error> {
    let mut body = Vec::with_capacity(25 + info.send_id.as_str().len());
    body.push(FORM);
    body.extend_from_slice(&stored.id.0);
    body.extend_from_slice(&expires_ms.to_be_bytes());
    body.extend_from_slice(info.send_id.as_str().as_bytes());
    let lane = conversation(info.chat_scene, &info.send_id, &info.recv_id);
    let id = lane::enqueue(tx, &peer.folded(), &lane, &body)?;
    let sender = info.send_id.clone();
    Ok(Waiting { id, record: stored.id, expires_ms, sender, message: Some(Arc::clone(stored)) })
}

/// The first letter of every lane: where work goes on after a start.
///
/// # Errors
/// If storage fails.
pub fn heads(reader: &(impl Reader + ?Sized)) -> Result<Vec<Waiting>, StoreError> {
    lane::all(reader)?.into_iter().map(Waiting::parse).collect()
}

/// The letters of a lane from number `from` on, at most `limit`, in order.
///
/// # Errors
/// If storage fails.
pub fn of_lane(
    reader: &(impl Reader + ?Sized),
    lane: &LaneId,
    from: u64,
    limit: usize,
) -> Result<Vec<Waiting>, StoreError> {
    lane::of_lane(reader, lane, from, limit)?.into_iter().map(Waiting::parse).collect()
}

/// Takes a letter out of its lane and tells its sender what became of it. None if it was settled before.
///
/// # Errors
/// If storage fails.
pub fn settle(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    id: &LetterId,
    settlement: Settlement,
    audit: Option<Vec<u8>>,
) -> Result<Option<Delivery>, Error> {
    let Some(letter) = lane::get(tx, id)? else { return Ok(None) };
    let letter = Waiting::parse(letter)?;
    lane::remove(tx, id);
    let state = match settlement {
        Settlement::Delivered => State::Delivered,
        Settlement::Refused { code, message } => State::Refused { code, message },
        Settlement::Expired => State::Expired,
    };
    let receipt = Event::Receipt { message_id: letter.record.message_id(), state };
    let delivery = inbox::append(tx, &letter.sender, scene.now_ms, receipt)?;
    if let Some(record) = audit {
        tx.audit(record);
    }
    Ok(Some(delivery))
}

/// Puts a message into quarantine that was already waiting: policy changed while it did. None if it was settled before.
///
/// # Errors
/// If storage fails.
pub fn hold(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    id: &LetterId,
    hold: &crate::held::Hold,
    audit: Option<Vec<u8>>,
) -> Result<Option<Delivery>, Error> {
    let Some(letter) = lane::get(tx, id)? else { return Ok(None) };
    let letter = Waiting::parse(letter)?;
    lane::remove(tx, id);
    crate::held::put(tx, scene, &letter.record, crate::held::Way::Out, hold);
    let receipt = Event::Receipt { message_id: letter.record.message_id(), state: State::Held };
    let delivery = inbox::append(tx, &letter.sender, scene.now_ms, receipt)?;
    if let Some(record) = audit {
        tx.audit(record);
    }
    Ok(Some(delivery))
}
