//! Duplicates (reading, section 5): the same key with the same content is answered as the first was, with other
//! content refused with 1201. The content is meant as it came, before a policy rewrote it, so that this can be
//! asked before the policy is.

use isthmus_store::{Reader, Tx};
use isthmus_wire::{ChatScene, Code, Content, MessageId, MessageInfo, UserId, json};

use crate::account::user_key;
use crate::error::Error;
use crate::row::Cut;
use crate::scene::TimeId;
use crate::table::{DEDUP, SUBMITTED};

/// What a message said, keyed with the store's index key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 16]);

impl Digest {
    /// Of a message to `recv_id`, as it came.
    pub fn of(reader: &(impl Reader + ?Sized), scene: ChatScene, recv_id: &UserId, content: &Content) -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(scene.as_str().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(recv_id.as_str().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(content.message_type().as_str().as_bytes());
        bytes.extend_from_slice(&json::write(content));
        Self(half(reader.index_hash("content", &bytes)))
    }

    /// Of a message from a peer, as it came.
    pub fn of_message(reader: &(impl Reader + ?Sized), info: &MessageInfo) -> Self {
        Self::of(reader, info.chat_scene, &info.recv_id, &info.content)
    }
}

pub(crate) fn half(hash: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}

/// Names a conversation in one direction, for lanes and keys.
pub(crate) fn conversation(scene: ChatScene, send_id: &UserId, recv_id: &UserId) -> Vec<u8> {
    let (scene, send, recv) = (scene.as_str(), send_id.as_str(), recv_id.as_str());
    [scene.as_bytes(), b"\0", send.as_bytes(), b"\0", recv.as_bytes()].concat()
}

/// The messageID first: IDs that rise with time, as ours do, make rows that are appended, whatever the conversation. A
/// commit of many messages then touches a page or two instead of one a conversation.
fn received_key(reader: &(impl Reader + ?Sized), info: &MessageInfo) -> Vec<u8> {
    key(reader, info, matches!(info.content, Content::Repeal { .. }), &info.message_id)
}

fn key(reader: &(impl Reader + ?Sized), info: &MessageInfo, repeal: bool, message_id: &MessageId) -> Vec<u8> {
    let name = conversation(info.chat_scene, &info.send_id, &info.recv_id);
    let mut key = Vec::with_capacity(17 + message_id.as_str().len());
    key.push(u8::from(repeal));
    key.extend_from_slice(message_id.as_str().as_bytes());
    key.extend_from_slice(&half(reader.index_hash("conversation", &name)));
    key
}

/// The record of the message that a peer sent before, if this is it again.
///
/// # Errors
/// 1201 if it said something else then.
pub fn received(reader: &(impl Reader + ?Sized), info: &MessageInfo, digest: &Digest) -> Result<Option<TimeId>, Error> {
    let Some(row) = reader.get(DEDUP, &received_key(reader, info))? else { return Ok(None) };
    let mut cut = Cut::new(&row, "a duplicate's row");
    same(cut.array()?, digest, "messageInfo.messageID")?;
    Ok(Some(TimeId(cut.array()?)))
}

/// The record of the message with this ID in the conversation of `info`.
pub(crate) fn original(
    reader: &(impl Reader + ?Sized),
    info: &MessageInfo,
    message_id: &MessageId,
) -> Result<Option<TimeId>, Error> {
    let Some(row) = reader.get(DEDUP, &key(reader, info, false, message_id))? else { return Ok(None) };
    let mut cut = Cut::new(&row, "a duplicate's row");
    let _digest: [u8; 16] = cut.array()?;
    Ok(Some(TimeId(cut.array()?)))
}

pub(crate) fn note_received(tx: &mut Tx<'_>, info: &MessageInfo, digest: &Digest, record: &TimeId) {
    let key = received_key(tx, info);
    tx.put_owned(DEDUP, &key, [digest.0, record.0].concat());
}

fn same(stored: [u8; 16], digest: &Digest, field: &str) -> Result<(), Error> {
    if stored == digest.0 {
        return Ok(());
    }
    Err(Error::field(Code::AlreadyExists, field, "was used for another message already"))
}

/// The longest name that a client may give its message, in bytes.
pub const CLIENT_ID_MAX: usize = 128;

/// The client's name first, as in [`received_key`].
fn submitted_key(reader: &(impl Reader + ?Sized), user: &UserId, client_msg_id: &str) -> Vec<u8> {
    [client_msg_id.as_bytes(), &user_key(reader, user)].concat()
}

/// Record and cursor of the message that the user's client submitted before, if this is it again.
///
/// # Errors
/// 1201 if it said something else then.
pub(crate) fn submitted(
    reader: &(impl Reader + ?Sized),
    user: &UserId,
    client_msg_id: &str,
    digest: &Digest,
) -> Result<Option<(TimeId, u64)>, Error> {
    let Some(row) = reader.get(SUBMITTED, &submitted_key(reader, user, client_msg_id))? else { return Ok(None) };
    let mut cut = Cut::new(&row, "a submission's row");
    same(cut.array()?, digest, "clientID")?;
    let record = TimeId(cut.array()?);
    Ok(Some((record, cut.u64()?)))
}

pub(crate) fn note_submitted(
    tx: &mut Tx<'_>,
    user: &UserId,
    client_msg_id: &str,
    digest: &Digest,
    record: &TimeId,
    cursor: u64,
) {
    let key = submitted_key(tx, user, client_msg_id);
    tx.put_owned(SUBMITTED, &key, [digest.0.as_slice(), &record.0, &cursor.to_be_bytes()].concat());
}
