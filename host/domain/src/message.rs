//! Messages (§7.4.2): accepted from our own users, received from other servers.
//!
//! The policy has judged before; what it said comes in as the final content, a [`Disposition`] and the audit record
//! that is kept in the same transaction. Membership and standing are looked at here, where they cannot change.

use std::sync::Arc;

use isthmus_store::{Reader, Tx};
use isthmus_wire::{ChatScene, Code, Content, MessageId, MessageInfo, MessageType, ServerId, ServerStatus, UserId};

use crate::account;
use crate::dedup::{self, Digest};
use crate::done::Done;
use crate::error::Error;
use crate::group::{self, member, post};
use crate::held::{self, Hold, Way};
use crate::inbox::{self, Delivery, Event, State};
use crate::measure;
use crate::media::sight::{self, Viewer};
use crate::media::{self, MediaKey, pull};
use crate::outbox::{self, Waiting};
use crate::peer::{self, Standing};
use crate::recall;
use crate::scene::{Scene, TimeId};
use crate::speaker::{self, Claim, Home};
use crate::stored::{self, Stored};

/// What is to be done with a message that policy let live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Hand it on.
    Deliver,
    /// Into quarantine (`held`).
    Hold(Hold),
}

/// A message of a local user.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Minted by the caller, so that the audit record can name it; becomes the `messageID`.
    pub id: TimeId,
    /// The user, as the token says.
    pub sender: UserId,
    /// The client's own name for it, 1–128 bytes, unique per user: sent again, it is the same message. Names that rise
    /// with time (UUID version 7) cost least.
    pub client_msg_id: String,
    /// One to one, or in a group.
    pub chat_scene: ChatScene,
    /// The recipient; in a group its groupID.
    pub recv_id: UserId,
    /// What is to be sent, as policy left it.
    pub content: Content,
    /// The file that it carries ([`media::offer`]).
    pub media: Option<MediaKey>,
    /// Of what the client submitted: [`Digest::of`].
    pub digest: Digest,
    /// When delivery is given up, in milliseconds since 1970 UTC.
    pub expires_ms: u64,
    /// Policy's word.
    pub disposition: Disposition,
    /// The audit record.
    pub audit: Vec<u8>,
}

/// A message is on stable storage once the transaction is committed.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Names it from now on.
    pub message_id: MessageId,
    /// Cursor of the sender's own event.
    pub cursor: u64,
    /// Where it stands. Of a duplicate: where it stood when it was first accepted.
    pub state: State,
    /// It had been accepted before; nothing was written now, the audit record neither.
    pub duplicate: bool,
    /// What to push to whom.
    pub deliveries: Vec<Delivery>,
    /// The letters that wait for other servers: the recipient's, a group's main server or its members'.
    pub letters: Vec<Waiting>,
}

/// Which way a message goes.
enum Route {
    Here(UserId),
    Away(ServerId),
}

/// What was answered for this submission before, if it comes again. To be asked before policy is.
///
/// # Errors
/// 1201 if the client used the same name for other content.
pub fn submitted(
    reader: &(impl Reader + ?Sized),
    sender: &UserId,
    client_msg_id: &str,
    digest: &Digest,
) -> Result<Option<Accepted>, Error> {
    let Some((record, cursor)) = dedup::submitted(reader, sender, client_msg_id, digest)? else { return Ok(None) };
    let state = inbox::state_at(reader, sender, cursor)?;
    Ok(Some(Accepted {
        message_id: record.message_id(),
        cursor,
        state,
        duplicate: true,
        deliveries: Vec::new(),
        letters: Vec::new(),
    }))
}

/// Whether a peer's message was received before, and so is to be answered 0 at once. To be asked after R12
/// ([`speaker::may_speak`]) and before policy is.
///
/// # Errors
/// 1201 if the same key came with other content.
pub fn duplicate(reader: &(impl Reader + ?Sized), info: &MessageInfo, digest: &Digest) -> Result<bool, Error> {
    Ok(dedup::received(reader, info, digest)?.is_some())
}

fn check_client_id(id: &str) -> Result<(), Error> {
    if id.is_empty() {
        return Err(Error::field(Code::MissingField, "clientID", "is missing or empty"));
    }
    if id.len() > dedup::CLIENT_ID_MAX || id.chars().any(char::is_control) {
        return Err(Error::field(Code::InvalidField, "clientID", "is too long or contains a control character"));
    }
    Ok(())
}

/// The types that are carried so far.
fn check_type(kind: MessageType) -> Result<(), Error> {
    match kind {
        MessageType::Text | MessageType::Image | MessageType::Voice | MessageType::File => Ok(()),
        MessageType::Repeal => {
            Err(Error::field(Code::InvalidField, "messageInfo.messageType", "is not supported here yet"))
        }
    }
}

/// Where a message to `recv_id` goes.
fn route(tx: &Tx<'_>, own: &ServerId, recv_id: &UserId) -> Result<Route, Error> {
    let nobody = || Error::field(Code::NotFound, "recvID", format_args!("there is no user {recv_id}"));
    match speaker::home_of(tx, own, recv_id)? {
        Home::Own => {
            let user = account::local_id(own, recv_id).ok_or_else(nobody)?;
            if account::is_enabled(tx, &user)? { Ok(Route::Here(user)) } else { Err(nobody()) }
        }
        Home::Server(peer) => match peer::standing(tx, &peer)? {
            Standing::Registered(ServerStatus::Suspended) => {
                Err(Error::field(Code::WrongState, "recvID", format_args!("the server {peer} is suspended")))
            }
            Standing::Registered(ServerStatus::Deregistered) => {
                Err(Error::field(Code::WrongState, "recvID", format_args!("the server {peer} is no more")))
            }
            Standing::Registered(ServerStatus::Normal) | Standing::Unknown | Standing::Unregistered => {
                Ok(Route::Away(peer))
            }
        },
        Home::Ask(_) | Home::Unknown => Err(nobody()),
    }
}

/// Takes a message from a local user: record, the sender's own event, and the recipient's event or a letter to its
/// server, and the audit record, all or nothing.
///
/// # Errors
/// 1002 or 1003 for the client's name of it, 1004 if the recipient is nobody here and its home unknown, 1101 if the
/// sender is disabled, 1105 if it is muted, 1301 if it is limited and writes too much, 1201 if the client used the same name for other content, 1202 if the recipient's server is
/// suspended or deregistered.
pub fn accept(tx: &mut Tx<'_>, scene: &mut Scene<'_>, mut s: Submission) -> Result<Accepted, Error> {
    check_client_id(&s.client_msg_id)?;
    check_type(s.content.message_type())?;
    if let Some(before) = submitted(tx, &s.sender, &s.client_msg_id, &s.digest)? {
        return Ok(before);
    }
    measure::count(tx, &s.sender, scene.now_ms)?;
    if s.chat_scene == ChatScene::Group {
        return post::accept(tx, scene, s);
    }
    let route = route(tx, scene.home, &s.recv_id)?;
    media::attach(tx, scene, &s.sender, &s.id, &mut s.content, s.media)?;
    let recv_id = if let Route::Here(user) = &route { user.clone() } else { s.recv_id };
    let info = MessageInfo {
        send_id: s.sender,
        recv_id,
        chat_scene: ChatScene::User,
        message_id: s.id.message_id(),
        content: s.content,
    };
    let mut stored = Stored::new(s.id, scene.now_ms, &info);
    stored.client_msg_id = Some(s.client_msg_id);
    stored.put(tx);
    let stored = Arc::new(stored);
    let state = match (&s.disposition, &route) {
        (Disposition::Hold(_), _) => State::Held,
        (Disposition::Deliver, Route::Here(_)) => State::Delivered,
        (Disposition::Deliver, Route::Away(_)) => State::Waiting,
    };
    let sent = Event::Sent { message: Arc::clone(&stored), state: state.clone() };
    let mut deliveries = vec![inbox::append(tx, &info.send_id, scene.now_ms, sent)?];
    let cursor = deliveries[0].entry.cursor;
    let letter = match s.disposition {
        Disposition::Deliver => dispatch(tx, scene, &info, &stored, &route, s.expires_ms, &mut deliveries)?,
        Disposition::Hold(hold) => {
            held::put(tx, scene, &stored.id, Way::Out, &hold);
            None
        }
    };
    let name = stored.client_msg_id.as_deref().unwrap_or_default();
    dedup::note_submitted(tx, &info.send_id, name, &s.digest, &stored.id, cursor);
    tx.audit(s.audit);
    Ok(Accepted {
        message_id: info.message_id,
        cursor,
        state,
        duplicate: false,
        deliveries,
        letters: letter.into_iter().collect(),
    })
}

fn dispatch(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    info: &MessageInfo,
    stored: &Arc<Stored>,
    route: &Route,
    expires_ms: u64,
    deliveries: &mut Vec<Delivery>,
) -> Result<Option<Waiting>, Error> {
    match route {
        // Whoever writes to themselves has it already.
        Route::Here(user) if *user == info.send_id => Ok(None),
        Route::Here(user) => {
            media::sent(tx, info, &stored.id, &media::To::User(user));
            deliveries.push(inbox::append(tx, user, scene.now_ms, Event::Message(Arc::clone(stored)))?);
            Ok(None)
        }
        Route::Away(peer) => {
            media::sent(tx, info, &stored.id, &media::To::Server(peer));
            outbox::enqueue(tx, peer, info, stored, expires_ms).map(Some)
        }
    }
}

/// A message from another server.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Minted by the caller: names the record here.
    pub id: TimeId,
    /// The server, as its certificate says.
    pub peer: ServerId,
    /// The message, as policy left it.
    pub info: MessageInfo,
    /// Of the message as it came: [`Digest::of_message`].
    pub digest: Digest,
    /// When its file is given up, if it names one, in milliseconds since 1970 UTC.
    pub expires_ms: u64,
    /// Policy's word.
    pub disposition: Disposition,
    /// Of a recall: how long after the message came it may still come, in milliseconds.
    pub recall_within_ms: u64,
    /// The audit record.
    pub audit: Vec<u8>,
}

/// A peer may be told 0 once the transaction is committed.
#[derive(Debug, Clone)]
pub enum Received {
    /// Kept; what to push to whom (nothing if it is held or waits for its file).
    Kept(Done),
    /// Had been received before; nothing was written, the audit record neither.
    Duplicate,
}

/// Takes a message from another server: record, the recipient's event, the key of duplicates and the audit record.
///
/// # Errors
/// 1104 if the sender is not at home at the peer (R12), 1201 if the same key came with other content, 1004 if there is
/// no such recipient, 1302 if the sender's home must first be asked of the platform.
pub fn receive(tx: &mut Tx<'_>, scene: &mut Scene<'_>, m: Incoming) -> Result<Received, Error> {
    if m.info.chat_scene == ChatScene::Group {
        return post::receive(tx, scene, m);
    }
    let claim = speaker::may_speak(tx, scene.home, &m.peer, &m.info.send_id, "messageInfo.sendID")?;
    if duplicate(tx, &m.info, &m.digest)? {
        return Ok(Received::Duplicate);
    }
    let user = recipient(tx, scene.home, &m.info)?;
    if let Content::Repeal { message_id } = &m.info.content {
        let done = recall::receive(tx, scene, &m, message_id, m.recall_within_ms)?;
        dedup::note_received(tx, &m.info, &m.digest, &m.id);
        tx.audit(m.audit);
        return Ok(Received::Kept(done));
    }
    check_type(m.info.message_type())?;
    let mut stored = Stored::new(m.id, scene.now_ms, &m.info);
    stored.peer = Some(m.peer.as_str().to_owned());
    stored.put(tx);
    if claim == Claim::First {
        speaker::remember(tx, &m.peer, &m.info.send_id);
    }
    dedup::note_received(tx, &m.info, &m.digest, &stored.id);
    let mut done = Done::default();
    match m.disposition {
        Disposition::Deliver if pull::arrive(tx, scene, &stored.id, &m.info, m.expires_ms, false)? => {}
        Disposition::Deliver => {
            done.deliveries.push(inbox::append(tx, &user, scene.now_ms, Event::Message(Arc::new(stored)))?);
        }
        Disposition::Hold(hold) => held::put(tx, scene, &stored.id, Way::In, &hold),
    }
    tx.audit(m.audit);
    Ok(Received::Kept(done))
}

/// Shows a message of another server's user whose file is here.
pub(crate) fn deliver(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    stored: &Arc<Stored>,
    info: &MessageInfo,
) -> Result<Done, Error> {
    if info.chat_scene == ChatScene::Group {
        return post::deliver(tx, scene, stored, info);
    }
    let user = recipient(tx, scene.home, info)?;
    sight::show_message(tx, scene.home, info, &stored.id, &Viewer::User(&user))?;
    let delivery = inbox::append(tx, &user, scene.now_ms, Event::Message(Arc::clone(stored)))?;
    Ok(Done { deliveries: vec![delivery], ..Done::default() })
}

/// The local users who are told if a message cannot be shown.
pub(crate) fn local_recipients(tx: &Tx<'_>, own: &ServerId, info: &MessageInfo) -> Result<Vec<UserId>, Error> {
    if let Some(group) = info.group() {
        let group = group::find(tx, &group)?;
        return Ok(group.map(|group| member::locals(tx, &group)).transpose()?.unwrap_or_default());
    }
    match recipient(tx, own, info) {
        Ok(user) => Ok(vec![user]),
        Err(Error::Refused(_)) => Ok(Vec::new()),
        Err(fault) => Err(fault),
    }
}

/// The local user that a peer's message is for.
fn recipient(tx: &Tx<'_>, own: &ServerId, info: &MessageInfo) -> Result<UserId, Error> {
    let nobody =
        || Error::field(Code::NotFound, "messageInfo.recvID", format_args!("{} is not known here", info.recv_id));
    match info.chat_scene {
        ChatScene::Group => Err(nobody()),
        ChatScene::User => {
            let user = account::local_id(own, &info.recv_id).ok_or_else(nobody)?;
            if account::is_enabled(tx, &user)? { Ok(user) } else { Err(nobody()) }
        }
    }
}

/// Hands a message on that had been held, as if it had just come.
pub(crate) fn resume(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    id: &TimeId,
    way: Way,
    expires_ms: u64,
) -> Result<Done, Error> {
    let stored = stored::expect(tx, id)?;
    if stored.recalled {
        return Ok(Done::default());
    }
    let info = stored.info()?;
    if info.chat_scene == ChatScene::Group {
        return post::resume(tx, scene, &stored, &info, way, expires_ms);
    }
    let mut deliveries = Vec::new();
    match way {
        Way::In => {
            let user = recipient(tx, scene.home, &info)?;
            // What an administrator releases is not judged again, its file neither.
            if !pull::arrive(tx, scene, id, &info, expires_ms, true)? {
                deliveries.push(inbox::append(tx, &user, scene.now_ms, Event::Message(stored))?);
            }
            Ok(Done { deliveries, letters: Vec::new() })
        }
        Way::Out => {
            let route = route(tx, scene.home, &info.recv_id)?;
            let letter = dispatch(tx, scene, &info, &stored, &route, expires_ms, &mut deliveries)?;
            let state = if letter.is_some() { State::Waiting } else { State::Delivered };
            let receipt = Event::Receipt { message_id: info.message_id, state };
            deliveries.push(inbox::append(tx, &info.send_id, scene.now_ms, receipt)?);
            Ok(Done { deliveries, letters: letter.into_iter().collect() })
        }
    }
}
