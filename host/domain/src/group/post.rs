//! Messages in groups (R22): a member's server posts to main; main checks membership, puts them in order, keeps them, and
//! posts each once to every server that has members, the sender's own among them, so that all have one order.
//!
//! The sender's devices see `sent`, and the receipt once main has kept the message; its place among the others is the
//! group's history's to tell.

use std::sync::Arc;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{ChatScene, Code, Content, GroupId, MessageInfo, ServerId, ServerStatus, UserId};

use super::log::{self, Mark};
use super::member;
use super::recall;
use super::row::{self as rows, Group};
use crate::account;
use crate::dedup;
use crate::done::Done;
use crate::error::Error;
use crate::held::{self, Way};
use crate::inbox::{self, Event, State};
use crate::media::pull;
use crate::media::sight::{self, Viewer};
use crate::media::{self, To};
use crate::message::{self, Accepted, Disposition, Incoming, Received, Submission};
use crate::outbox;
use crate::peer::{self, Standing};
use crate::scene::{Scene, TimeId};
use crate::speaker;
use crate::stored::Stored;

/// The group that a message is for.
///
/// # Errors
/// 1003 if the recipient is no groupID.
pub fn addressed(recv_id: &UserId) -> Result<GroupId, Error> {
    GroupId::parse(recv_id.as_str()).map_err(|e| Error::field(Code::InvalidField, "recvID", e))
}

/// Whether this server is the main server of a group, there or not: else what comes about it is for a mirror.
///
/// # Errors
/// If storage fails.
pub fn is_main(reader: &(impl Reader + ?Sized), own: &ServerId, id: &GroupId) -> Result<bool, StoreError> {
    Ok(match rows::find(reader, id)? {
        Some(group) => group.home.is_none(),
        None => id.home_hint().is_some_and(|hint| own.is(hint)),
    })
}

/// A local member writes.
pub(crate) fn accept(tx: &mut Tx<'_>, scene: &mut Scene<'_>, mut s: Submission) -> Result<Accepted, Error> {
    let group = rows::living(tx, &addressed(&s.recv_id)?)?;
    member::acting(tx, &group, &s.sender, "recvID")?;
    if let Some(home) = &group.home {
        reachable(tx, home)?;
    }
    media::attach(tx, scene, &s.sender, &s.id, &mut s.content, s.media)?;
    let info = MessageInfo {
        send_id: s.sender,
        recv_id: UserId::parse(group.id.as_str()).map_err(|e| Error::field(Code::InvalidField, "recvID", e))?,
        chat_scene: ChatScene::Group,
        message_id: s.id.message_id(),
        content: s.content,
    };
    let mut stored = Stored::new(s.id, scene.now_ms, &info);
    stored.client_msg_id = Some(s.client_msg_id);
    stored.put(tx);
    let stored = Arc::new(stored);
    let state = match (&s.disposition, &group.home) {
        (Disposition::Hold(_), _) => State::Held,
        (Disposition::Deliver, None) => State::Delivered,
        (Disposition::Deliver, Some(_)) => State::Waiting,
    };
    let sent = Event::Sent { message: Arc::clone(&stored), state: state.clone() };
    let mut done = Done::default();
    done.deliveries.push(inbox::append(tx, &info.send_id, scene.now_ms, sent)?);
    let cursor = done.deliveries[0].entry.cursor;
    match s.disposition {
        Disposition::Deliver => done.extend(forward(tx, scene, &group, &info, &stored, s.expires_ms)?),
        Disposition::Hold(hold) => held::put(tx, scene, &stored.id, Way::Out, &hold),
    }
    let name = stored.client_msg_id.as_deref().unwrap_or_default();
    dedup::note_submitted(tx, &info.send_id, name, &s.digest, &stored.id, cursor);
    tx.audit(s.audit);
    Ok(Accepted {
        message_id: info.message_id,
        cursor,
        state,
        duplicate: false,
        deliveries: done.deliveries,
        letters: done.letters,
    })
}

fn reachable(tx: &Tx<'_>, home: &ServerId) -> Result<(), Error> {
    let gone = match peer::standing(tx, home)? {
        Standing::Registered(ServerStatus::Suspended) => "is suspended",
        Standing::Registered(ServerStatus::Deregistered) => "is no more",
        Standing::Registered(ServerStatus::Normal) | Standing::Unknown | Standing::Unregistered => return Ok(()),
    };
    Err(Error::field(Code::WrongState, "recvID", format_args!("the group's main server {home} {gone}")))
}

/// A local user's message goes into main's order, here or at the main server. Its file is for whoever is a member.
fn forward(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    group: &Group,
    info: &MessageInfo,
    stored: &Arc<Stored>,
    expires_ms: u64,
) -> Result<Done, Error> {
    sight::show_message(tx, scene.home, info, &stored.id, &Viewer::Group(&group.id))?;
    match &group.home {
        None => order(tx, scene, group, info, stored, expires_ms),
        Some(home) => {
            media::sent(tx, info, &stored.id, &To::Server(home));
            let letter = outbox::enqueue(tx, home, info, stored, expires_ms)?;
            Ok(Done { deliveries: Vec::new(), letters: vec![letter] })
        }
    }
}

/// Puts a kept message in order: a line of the log, an event for each local member, a letter for each other server.
pub(crate) fn order(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    group: &Group,
    info: &MessageInfo,
    stored: &Arc<Stored>,
    expires_ms: u64,
) -> Result<Done, Error> {
    let key = rows::key(tx, &group.id);
    log::append(tx, &key, group.revision, &info.message_id, stored.id, Mark::Shown)?;
    let mut done = arrived(tx, scene, &key, info, stored, expires_ms)?;
    let lane = rows::lane(&group.id);
    for server in member::servers(tx, scene.home, &key)? {
        done.letters.push(outbox::post(tx, &server, &lane, stored, None, expires_ms)?);
    }
    Ok(done)
}

/// Shows a message that was just kept, or lets it wait for its file; a recall was told already.
pub(crate) fn arrived(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    key: &rows::Key,
    info: &MessageInfo,
    stored: &Arc<Stored>,
    expires_ms: u64,
) -> Result<Done, Error> {
    if matches!(info.content, Content::Repeal { .. }) || pull::arrive(tx, scene, &stored.id, info, expires_ms, false)? {
        return Ok(Done::default());
    }
    hand_out(tx, scene, key, info, stored)
}

/// The file of a message is here: its members see both now.
pub(crate) fn deliver(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    stored: &Arc<Stored>,
    info: &MessageInfo,
) -> Result<Done, Error> {
    let group = addressed(&info.recv_id)?;
    sight::show_message(tx, scene.home, info, &stored.id, &Viewer::Group(&group))?;
    let key = rows::key(tx, &group);
    hand_out(tx, scene, &key, info, stored)
}

/// An event for each local member but the sender, whose devices have `sent`.
pub(crate) fn hand_out(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    key: &rows::Key,
    info: &MessageInfo,
    stored: &Arc<Stored>,
) -> Result<Done, Error> {
    let mut done = Done::default();
    for user in member::locals_at(tx, key)? {
        if user != info.send_id {
            done.deliveries.push(inbox::append(tx, &user, scene.now_ms, Event::Message(Arc::clone(stored)))?);
        }
    }
    Ok(done)
}

/// What stands in a group's log already can not be written again.
fn unused(reader: &(impl Reader + ?Sized), key: &rows::Key, info: &MessageInfo) -> Result<(), Error> {
    match log::find(reader, key, &info.message_id)? {
        None => Ok(()),
        Some(_) => {
            let words = "was used for another message of this group already";
            Err(Error::field(Code::AlreadyExists, "messageInfo.messageID", words))
        }
    }
}

/// A member's server posts to main.
///
/// # Errors
/// 1004, 1202, 1104 without such a group of ours; 1104 if the sender is not at home at the peer (R12); 1105 if the sender
/// is no member; 1201 if the messageID stands for another message in this group; of a recall as [`recall::recall`].
pub(crate) fn receive(tx: &mut Tx<'_>, scene: &mut Scene<'_>, m: Incoming) -> Result<Received, Error> {
    speaker::claim(tx, scene.home, &m.peer, &m.info.send_id, "messageInfo.sendID")?;
    if message::duplicate(tx, &m.info, &m.digest)? {
        return Ok(Received::Duplicate);
    }
    let id = addressed(&m.info.recv_id)?;
    if rows::find(tx, &id)?.is_none() {
        return Err(Error::field(Code::NotFound, "messageInfo.recvID", format_args!("there is no group {id} here")));
    }
    let group = rows::ours(tx, &id)?;
    let sender = member::acting(tx, &group, &m.info.send_id, "messageInfo.sendID")?;
    if sender.home.as_ref() != Some(&m.peer) {
        let words = format_args!("is not a member at home at {}", m.peer);
        return Err(Error::field(Code::MayNotActFor, "messageInfo.sendID", words));
    }
    let info = ordered(m.id, m.info.clone());
    unused(tx, &rows::key(tx, &group.id), &info)?;
    let mut stored = Stored::new(m.id, scene.now_ms, &info);
    stored.peer = Some(m.peer.as_str().to_owned());
    stored.put(tx);
    let stored = Arc::new(stored);
    dedup::note_received(tx, &m.info, &m.digest, &stored.id);
    let mut done = Done::default();
    match m.disposition {
        Disposition::Deliver => {
            done.extend(recall::decided(tx, scene, &group, &info, m.recall_within_ms)?);
            done.extend(order(tx, scene, &group, &info, &stored, m.expires_ms)?);
        }
        Disposition::Hold(hold) => held::put(tx, scene, &stored.id, Way::In, &hold),
    }
    tx.audit(m.audit);
    Ok(Received::Kept(done))
}

/// A messageID stands in a group once, and R7's second form repeats the recalled one: such a repeal gets its record's.
fn ordered(id: TimeId, mut info: MessageInfo) -> MessageInfo {
    if let Content::Repeal { message_id } = &info.content
        && *message_id == info.message_id
    {
        info.message_id = id.message_id();
    }
    info
}

/// What was held goes on as if it had just come.
pub(crate) fn resume(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    stored: &Arc<Stored>,
    info: &MessageInfo,
    way: Way,
    expires_ms: u64,
) -> Result<Done, Error> {
    let group = rows::living(tx, &addressed(&info.recv_id)?)?;
    let key = rows::key(tx, &group.id);
    let line = log::find(tx, &key, &info.message_id)?;
    let mut done = match (line, &group.home) {
        (None, _) if way == Way::Out || group.home.is_none() => forward(tx, scene, &group, info, stored, expires_ms)?,
        (Some(line), Some(_)) if line.mark == Mark::Held => {
            log::show(tx, &key, line);
            arrived(tx, scene, &key, info, stored, expires_ms)?
        }
        // Main has it in order already; what its way to one server held is not shown there.
        (Some(_) | None, _) => Done::default(),
    };
    if way == Way::Out
        && let Some(sender) = account::local_id(scene.home, &info.send_id)
    {
        let state = if group.home.is_some() { State::Waiting } else { State::Delivered };
        let receipt = Event::Receipt { message_id: info.message_id.clone(), state };
        done.deliveries.push(inbox::append(tx, &sender, scene.now_ms, receipt)?);
    }
    Ok(done)
}
