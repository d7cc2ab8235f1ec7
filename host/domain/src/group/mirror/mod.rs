//! The mirror of a group whose main server is another (§7.7.1, R22): it shows its members what main put in order, in that
//! order, each message once, and leaves nothing out that its own policy lets through.
//!
//! A message is taken only where it follows what the mirror has. What comes with a [`Stamp`] says itself what it follows;
//! of a page of history each message follows the one before; and a main server that knows only the standard is believed as
//! long as the mirror has compared with it lately. Everything else is [`Taken::Behind`]: the caller asks main for what is
//! missing (`grpchat` from [`standing`]) and comes again. Details and members heal the same way, by [`snapshot`].

mod notice;
mod snapshot;

use std::sync::Arc;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{Code, Content, GroupId, MessageId, MessageInfo, ServerId, UserId};

use super::log::{self, Mark};
use super::member;
use super::post::{addressed, arrived};
use super::recall;
use super::row::{self as rows, Base, Group, Key};
use super::stamp::Stamp;
use crate::account;
use crate::dedup;
use crate::done::Done;
use crate::error::Error;
use crate::held::{self, Way};
use crate::message::{self, Disposition, Incoming};
use crate::scene::{Scene, TimeId};
use crate::speaker;
use crate::stored::{self, Stored};

pub use notice::{Noticed, notice};
pub use snapshot::{ended, snapshot};

/// What a message of main's is known to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follows {
    /// Main says it.
    Stamp(Stamp),
    /// It stands behind this in a page of main's history.
    After(Base),
    /// Nothing is said, and main was compared with lately.
    Unsaid,
}

/// What became of a message of main's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// In its place.
    Kept(Done),
    /// It was there already; nothing was written.
    Duplicate,
    /// Something before it is missing here, perhaps even that somebody here is a member.
    Behind,
}

/// Where a mirror stands, for whoever compares it with main.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its main server.
    pub home: ServerId,
    /// The last that it has; none: it does not know where its members' time began.
    pub position: Option<Base>,
    /// Details and members must be asked for.
    pub stale: bool,
    /// Users of this server are members.
    pub lives: bool,
}

/// How a mirror stands; none if the group is ours, unknown or dissolved.
///
/// # Errors
/// If storage fails.
pub fn standing(reader: &(impl Reader + ?Sized), id: &GroupId) -> Result<Option<Standing>, StoreError> {
    let key = rows::key(reader, id);
    let Some(group) = rows::at(reader, &key)?.filter(|group| !group.dissolved) else { return Ok(None) };
    let Some(home) = group.home.clone() else { return Ok(None) };
    let position = log::position(reader, &key, &group)?;
    let stale = group.mirror.as_ref().is_some_and(|mirror| mirror.stale);
    Ok(Some(Standing { home, position, stale, lives: member::any_local(reader, &key)? }))
}

/// The groups of other servers that local users are members of: those that must be compared now and then.
///
/// # Errors
/// If storage fails.
pub fn list(reader: &(impl Reader + ?Sized)) -> Result<Vec<(GroupId, ServerId)>, StoreError> {
    let rows = reader.prefix(crate::table::GROUPS, &[], usize::MAX, false)?;
    let mut found = Vec::new();
    for (place, value) in &rows {
        let group = rows::parse(value)?;
        let key: Key = place.as_slice().try_into().map_err(|_| StoreError::Malformed { what: "a group's key" })?;
        if let Some(home) = group.home.filter(|_| !group.dissolved)
            && member::any_local(reader, &key)?
        {
            found.push((group.id, home));
        }
    }
    Ok(found)
}

/// Whether a message of main's was received before, to be asked before policy is.
///
/// # Errors
/// If storage fails.
pub fn knows(reader: &(impl Reader + ?Sized), group: &GroupId, message: &MessageId) -> Result<bool, StoreError> {
    Ok(log::find(reader, &rows::key(reader, group), message)?.is_some())
}

/// Whether a message of main's can be taken now, to be asked before policy is: false where something before it is missing.
///
/// # Errors
/// If storage fails.
pub fn is_next(
    reader: &(impl Reader + ?Sized),
    peer: &ServerId,
    id: &GroupId,
    follows: &Follows,
) -> Result<bool, StoreError> {
    let key = rows::key(reader, id);
    let Some(group) = rows::at(reader, &key)? else { return Ok(false) };
    // What the rule refuses is not missing anything.
    if group.home.as_ref() != Some(peer) || group.dissolved {
        return Ok(true);
    }
    Ok(member::any_local(reader, &key)? && fits(reader, &key, &group, follows)?)
}

/// Whether a message follows what is here.
fn fits(reader: &(impl Reader + ?Sized), key: &Key, group: &Group, follows: &Follows) -> Result<bool, StoreError> {
    let after = match follows {
        Follows::Unsaid => return Ok(true),
        Follows::Stamp(stamp) if stamp.revision > group.revision => return Ok(false),
        Follows::Stamp(stamp) => &stamp.after,
        Follows::After(after) => after,
    };
    // Where nothing is known of what came before, members' time begins here.
    Ok(log::position(reader, key, group)?.is_none_or(|position| position == *after))
}

/// The mirror that takes a message of main's, and its rows' key; none where nobody here is known to be a member.
fn taking(tx: &Tx<'_>, own: &ServerId, info: &MessageInfo, peer: &ServerId) -> Result<Option<(Group, Key)>, Error> {
    let id = addressed(&info.recv_id)?;
    let _claim = speaker::may_speak(tx, own, peer, &id, "messageInfo.recvID")?;
    let key = rows::key(tx, &id);
    let Some(group) = rows::at(tx, &key)? else { return Ok(None) };
    if group.home.as_ref() != Some(peer) {
        let words = format_args!("{peer} is not the group's main server");
        return Err(Error::field(Code::MayNotActFor, "messageInfo.recvID", words));
    }
    if group.dissolved {
        return Err(Error::field(Code::WrongState, "messageInfo.recvID", "the group was dissolved"));
    }
    Ok(member::any_local(tx, &key)?.then_some((group, key)))
}

/// Takes a message that main has put in order.
///
/// # Errors
/// 1104 if the peer is not the group's main server, or says of a user of ours what that user never wrote; 1202 if the group
/// was dissolved; 1201 if the same message came with other content.
pub fn take(tx: &mut Tx<'_>, scene: &mut Scene<'_>, m: Incoming, follows: &Follows) -> Result<Taken, Error> {
    let Some((group, key)) = taking(tx, scene.home, &m.info, &m.peer)? else { return Ok(Taken::Behind) };
    if log::find(tx, &key, &m.info.message_id)?.is_some() || message::duplicate(tx, &m.info, &m.digest)? {
        return Ok(Taken::Duplicate);
    }
    if !fits(tx, &key, &group, follows)? {
        return Ok(Taken::Behind);
    }
    let stored = record(tx, scene, &m)?;
    dedup::note_received(tx, &m.info, &m.digest, &stored.id);
    let (mark, done) = match m.disposition {
        Disposition::Deliver => {
            let mut done = recall::follow(tx, scene, &m.info)?;
            done.extend(arrived(tx, scene, &key, &m.info, &stored, m.expires_ms)?);
            (Mark::Shown, done)
        }
        Disposition::Hold(hold) => {
            held::put(tx, scene, &stored.id, Way::In, &hold);
            (Mark::Held, Done::default())
        }
    };
    log::append(tx, &key, group.revision, &m.info.message_id, stored.id, mark)?;
    tx.audit(m.audit);
    Ok(Taken::Kept(done))
}

/// The record of a message: a new one, or the one of our own user who wrote it (unless main's policy rewrote it).
fn record(tx: &mut Tx<'_>, scene: &Scene<'_>, m: &Incoming) -> Result<Arc<Stored>, Error> {
    if let Some(sender) = account::local_id(scene.home, &m.info.send_id) {
        let own = own_message(tx, &sender, &m.info)?;
        if own.info()?.content == m.info.content {
            return Ok(own);
        }
    }
    let mut stored = Stored::new(m.id, scene.now_ms, &m.info);
    stored.peer = Some(m.peer.as_str().to_owned());
    stored.put(tx);
    Ok(Arc::new(stored))
}

/// What a user of ours wrote to the group under this messageID: main may pass it on, not invent it.
fn own_message(reader: &(impl Reader + ?Sized), sender: &UserId, info: &MessageInfo) -> Result<Arc<Stored>, Error> {
    let invented = || Error::field(Code::MayNotActFor, "messageInfo.sendID", "this user never wrote that");
    let record = TimeId::parse(info.message_id.as_str()).ok_or_else(invented)?;
    let own = stored::get(reader, &record)?.filter(|own| own.peer.is_none()).ok_or_else(invented)?;
    let said = own.info()?;
    let same = said.send_id == *sender && said.recv_id == info.recv_id && said.chat_scene == info.chat_scene;
    let kind = matches!(said.content, Content::Repeal { .. }) == matches!(info.content, Content::Repeal { .. });
    if same && kind { Ok(own) } else { Err(invented()) }
}

/// Leaves a message out that must not be shown here (this server's policy refused it, or nobody wrote it), so that what
/// follows it is known to follow. Nothing if it does not follow what is here.
///
/// # Errors
/// As [`take`].
pub fn withhold(
    tx: &mut Tx<'_>,
    own: &ServerId,
    peer: &ServerId,
    info: &MessageInfo,
    follows: &Follows,
) -> Result<(), Error> {
    let Some((group, key)) = taking(tx, own, info, peer)? else { return Ok(()) };
    if log::find(tx, &key, &info.message_id)?.is_none() && fits(tx, &key, &group, follows)? {
        let nothing = TimeId([0; 16]);
        log::append(tx, &key, group.revision, &info.message_id, nothing, Mark::Withheld)?;
    }
    Ok(())
}

/// Main's newest message, where the mirror does not know where its members' time began because its main server knows only
/// the standard.
///
/// # Errors
/// If storage fails.
pub fn begin(tx: &mut Tx<'_>, id: &GroupId, newest: Base) -> Result<(), Error> {
    let key = rows::key(tx, id);
    let Some(mut group) = rows::at(tx, &key)? else { return Ok(()) };
    if group.home.is_some() && log::position(tx, &key, &group)?.is_none() {
        group.stand().base = Some(newest);
        rows::put(tx, &key, &group);
    }
    Ok(())
}

/// Main does not know the last message that is here (it was restored from an older copy): what it has now goes on from here.
///
/// # Errors
/// If storage fails.
pub fn rebase(tx: &mut Tx<'_>, id: &GroupId, newest: Base) -> Result<(), Error> {
    let key = rows::key(tx, id);
    let Some(mut group) = rows::at(tx, &key)?.filter(|group| group.home.is_some()) else { return Ok(()) };
    let floor = log::last(tx, &key)?.map_or(0, |line| line.number);
    let stand = group.stand();
    (stand.floor, stand.base) = (floor, Some(newest));
    rows::put(tx, &key, &group);
    Ok(())
}
