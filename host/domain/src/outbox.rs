//! The outbox (reading, section 5): letters to other servers, one ordered lane per conversation and peer.
//!
//! A letter refers to its message or holds another call; it leaves its lane when the peer has answered 0, has refused it
//! for good, or its time is over, and what follows from that (the sender is told) is in the same transaction.

use std::sync::Arc;

use isthmus_store::lane::{self, LaneId, Letter, LetterId};
use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::call::MESSAGE_SEND;
use isthmus_wire::{Code, MessageInfo, ServerId, UserId};

use crate::dedup::conversation;
use crate::done::Done;
use crate::errand::{self, Errand};
use crate::error::Error;
use crate::inbox::{self, Event, State};
use crate::row::{self, Cut};
use crate::scene::{Scene, TimeId};
use crate::stored::{self, Stored};

const WHAT: &str = "a letter";
/// A message whose sender is told what becomes of it.
const MESSAGE: u8 = 1;
const ERRAND: u8 = 2;
/// A message that nobody waits for an answer to.
const RELAY: u8 = 3;

/// A letter that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its place: peer, conversation, number.
    pub id: LetterId,
    /// When it is given up, in milliseconds since 1970 UTC.
    pub expires_ms: u64,
    /// What it carries.
    pub load: Load,
}

/// What a letter carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Load {
    /// A message: `POST /sns/chat`.
    Message {
        /// The message's record.
        record: TimeId,
        /// The local user to be told; none for a group's message that its main server passes on.
        sender: Option<UserId>,
        /// The message, if it is at hand: spares the worker a read right after the commit.
        message: Option<Arc<Stored>>,
    },
    /// Any other call.
    Errand(Arc<Errand>),
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
        let mut cut = Cut::new(&letter.body, WHAT);
        let form = cut.byte()?;
        let expires_ms = cut.u64()?;
        let load = match form {
            MESSAGE => {
                let record = TimeId(cut.array()?);
                let sender = UserId::parse(cut.text()?).map_err(|_| cut.wrong())?;
                Load::Message { record, sender: Some(sender), message: None }
            }
            RELAY => Load::Message { record: TimeId(cut.array()?), sender: None, message: None },
            ERRAND => Load::Errand(Arc::new(row::parse(cut.rest, WHAT)?)),
            _ => return Err(cut.wrong()),
        };
        Ok(Self { id: letter.id, expires_ms, load })
    }

    /// The message that it carries, if it is one.
    ///
    /// # Errors
    /// If storage fails.
    pub fn message(&self, reader: &(impl Reader + ?Sized)) -> Result<Option<Arc<Stored>>, Error> {
        match &self.load {
            Load::Message { message: Some(message), .. } => Ok(Some(Arc::clone(message))),
            Load::Message { record, message: None, .. } => stored::expect(reader, record).map(Some),
            Load::Errand(_) => Ok(None),
        }
    }

    /// The call's name.
    #[must_use]
    pub fn call(&self) -> &str {
        match &self.load {
            Load::Message { .. } => MESSAGE_SEND.name,
            Load::Errand(errand) => &errand.call,
        }
    }

    /// The record that it carries: a message's, or the errand's own.
    #[must_use]
    pub fn record(&self) -> TimeId {
        match &self.load {
            Load::Message { record, .. } => *record,
            Load::Errand(errand) => errand.id,
        }
    }

    /// The local user in whose name it goes.
    #[must_use]
    pub fn actor(&self) -> Option<&UserId> {
        match &self.load {
            Load::Message { sender, .. } => sender.as_ref(),
            Load::Errand(errand) => errand.actor.as_ref(),
        }
    }
}

/// Puts a message into its conversation's lane of `peer`; its sender is told what becomes of it.
pub(crate) fn enqueue(
    tx: &mut Tx<'_>,
    peer: &ServerId,
    info: &MessageInfo,
    stored: &Arc<Stored>,
    expires_ms: u64,
) -> Result<Waiting, Error> {
    let lane = conversation(info.chat_scene, &info.send_id, &info.recv_id);
    post(tx, peer, &lane, stored, Some(&info.send_id), expires_ms)
}

/// Puts a message into the lane `lane` of `peer`; `sender` is told what becomes of it.
pub(crate) fn post(
    tx: &mut Tx<'_>,
    peer: &ServerId,
    lane: &[u8],
    stored: &Arc<Stored>,
    sender: Option<&UserId>,
    expires_ms: u64,
) -> Result<Waiting, Error> {
    let mut body = head(if sender.is_some() { MESSAGE } else { RELAY }, expires_ms);
    body.extend_from_slice(&stored.id.0);
    body.extend_from_slice(sender.map(|s| s.as_str().as_bytes()).unwrap_or_default());
    let id = lane::enqueue(tx, &peer.folded(), lane, &body)?;
    let load = Load::Message { record: stored.id, sender: sender.cloned(), message: Some(Arc::clone(stored)) };
    Ok(Waiting { id, expires_ms, load })
}

/// Puts a call into the lane `lane` of `peer`.
///
/// # Errors
/// If storage fails.
pub fn errand(
    tx: &mut Tx<'_>,
    peer: &ServerId,
    lane: &[u8],
    errand: Errand,
    expires_ms: u64,
) -> Result<Waiting, Error> {
    let mut body = head(ERRAND, expires_ms);
    body.extend_from_slice(&row::json(&errand));
    let id = lane::enqueue(tx, &peer.folded(), lane, &body)?;
    Ok(Waiting { id, expires_ms, load: Load::Errand(Arc::new(errand)) })
}

fn head(form: u8, expires_ms: u64) -> Vec<u8> {
    let mut body = Vec::with_capacity(64);
    body.push(form);
    body.extend_from_slice(&expires_ms.to_be_bytes());
    body
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

/// Takes a letter out of its lane, and does what follows from its end: a message's sender is told. Nothing if it was
/// settled before.
///
/// # Errors
/// If storage fails.
pub fn settle(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    id: &LetterId,
    settlement: Settlement,
    audit: Option<Vec<u8>>,
) -> Result<Done, Error> {
    let Some(letter) = lane::get(tx, id)? else { return Ok(Done::default()) };
    let letter = Waiting::parse(letter)?;
    lane::remove(tx, id);
    let done = match letter.load {
        Load::Message { record, sender: Some(sender), .. } => receipt(tx, scene, &record, &sender, settlement.into())?,
        Load::Message { sender: None, .. } => Done::default(),
        Load::Errand(errand) => errand::settled(tx, scene, &errand, &settlement)?,
    };
    if let Some(record) = audit {
        tx.audit(record);
    }
    Ok(done)
}

impl From<Settlement> for State {
    fn from(settlement: Settlement) -> State {
        match settlement {
            Settlement::Delivered => State::Delivered,
            Settlement::Refused { code, message } => State::Refused { code, message },
            Settlement::Expired => State::Expired,
        }
    }
}

fn receipt(tx: &mut Tx<'_>, scene: &Scene<'_>, record: &TimeId, sender: &UserId, state: State) -> Result<Done, Error> {
    let receipt = Event::Receipt { message_id: record.message_id(), state };
    let delivery = inbox::append(tx, sender, scene.now_ms, receipt)?;
    Ok(Done { deliveries: vec![delivery], letters: Vec::new() })
}

/// Puts a message into quarantine that was already waiting: policy changed while it did. Nothing if it was settled before.
/// An errand has no quarantine: it is refused in the policy's words.
///
/// # Errors
/// If storage fails.
pub fn hold(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    id: &LetterId,
    hold: &crate::held::Hold,
    audit: Option<Vec<u8>>,
) -> Result<Done, Error> {
    let Some(letter) = lane::get(tx, id)? else { return Ok(Done::default()) };
    let letter = Waiting::parse(letter)?;
    lane::remove(tx, id);
    let done = match letter.load {
        Load::Message { record, sender, .. } => {
            crate::held::put(tx, scene, &record, crate::held::Way::Out, hold);
            sender.map(|sender| receipt(tx, scene, &record, &sender, State::Held)).transpose()?.unwrap_or_default()
        }
        Load::Errand(errand) => {
            let refused = Settlement::Refused { code: Code::DeniedByContent, message: hold.text.clone() };
            errand::settled(tx, scene, &errand, &refused)?
        }
    };
    if let Some(record) = audit {
        tx.audit(record);
    }
    Ok(done)
}
