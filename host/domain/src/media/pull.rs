//! Files on their way in (§7.4.3): a message that names one is kept at once and shown when the file is here.
//!
//! A *pull* is a file that is to be fetched from the server whose user sent it; any number of messages wait for it. Each
//! message is judged, checked against the file (size, md5, R9) and handed over or given up by itself. All of it survives a
//! restart.

use std::ops::Bound;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::message::FileContent;
use isthmus_wire::{Code, MessageInfo, Refusal, ServerId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Found, Kind, Media, MediaKey, format, get, insert, key_of, make_ready, report, upload};
use crate::done::Done;
use crate::error::Error;
use crate::held::{self, Way};
use crate::inbox::{self, Event};
use crate::message::{self, Disposition};
use crate::news;
use crate::row;
use crate::scene::{Scene, TimeId};
use crate::speaker::{self, Home};
use crate::stored;
use crate::table::{PULL_DUE, PULL_WAITERS, PULLS};

const WHAT: &str = "a pull";

/// A file to be fetched, or fetched and to be handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// From whom.
    pub peer: ServerId,
    /// Attempts that failed.
    pub tries: u32,
    /// When to try next, in milliseconds since 1970 UTC.
    pub next_ms: u64,
    /// When it is given up, in milliseconds since 1970 UTC.
    pub expires_ms: u64,
}

/// A message that waits for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiter {
    /// Its record.
    pub record: TimeId,
    /// Whether content policy has nothing more to say: an administrator released it.
    pub judged: bool,
}

fn due_key(next_ms: u64, key: &MediaKey) -> [u8; 24] {
    let mut place = [0; 24];
    place[..8].copy_from_slice(&next_ms.to_be_bytes());
    place[8..].copy_from_slice(&key.0);
    place
}

fn waiter_key(key: &MediaKey, record: &TimeId) -> [u8; 32] {
    let mut place = [0; 32];
    place[..16].copy_from_slice(&key.0);
    place[16..].copy_from_slice(&record.0);
    place
}

/// A pull, if it is still to be done.
///
/// # Errors
/// If storage fails.
pub fn find(reader: &(impl Reader + ?Sized), key: &MediaKey) -> Result<Option<Pull>, StoreError> {
    reader.get(PULLS, &key.0)?.map(|value| row::parse(&value, WHAT)).transpose()
}

/// The pulls that are to be tried first, at most `limit`, with the time of each.
///
/// # Errors
/// If storage fails.
pub fn next(reader: &(impl Reader + ?Sized), limit: usize) -> Result<Vec<(u64, MediaKey)>, StoreError> {
    let rows = reader.scan(PULL_DUE, Bound::Unbounded, Bound::Unbounded, limit, false)?;
    let parse = |place: &[u8]| {
        let (at, key) = place.split_first_chunk::<8>().ok_or(StoreError::Malformed { what: WHAT })?;
        Ok((u64::from_be_bytes(*at), MediaKey::take(key)?))
    };
    rows.iter().map(|(place, _)| parse(place)).collect()
}

/// At most `limit` of the messages that wait for a file, the oldest first.
///
/// # Errors
/// If storage fails.
pub fn waiters(reader: &(impl Reader + ?Sized), key: &MediaKey, limit: usize) -> Result<Vec<Waiter>, StoreError> {
    let rows = reader.prefix(PULL_WAITERS, &key.0, limit, false)?;
    let parse = |place: &[u8], value: &[u8]| {
        let record = place[16..].try_into().map_err(|_| StoreError::Malformed { what: WHAT })?;
        Ok(Waiter { record: TimeId(record), judged: value == [1] })
    };
    rows.iter().map(|(place, value)| parse(place, value)).collect()
}

fn write(tx: &mut Tx<'_>, key: &MediaKey, pull: &Pull) {
    tx.put(PULL_DUE, &due_key(pull.next_ms, key), &[]);
    tx.put_owned(PULLS, &key.0, row::json(pull));
}

fn remove(tx: &mut Tx<'_>, key: &MediaKey, pull: &Pull) {
    tx.delete(PULL_DUE, &due_key(pull.next_ms, key));
    tx.delete(PULLS, &key.0);
}

/// Lets a message that was just kept wait for its file, fetched until `expires_ms`. False if it has none, or one that lies
/// here because a user of ours sent it.
pub(crate) fn arrive(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    record: &TimeId,
    info: &MessageInfo,
    expires_ms: u64,
    judged: bool,
) -> Result<bool, Error> {
    let Some(file) = info.content.file() else { return Ok(false) };
    let peer = match speaker::home_of(tx, scene.home, &info.send_id)? {
        Home::Server(peer) => peer,
        Home::Own => return Ok(false),
        Home::Ask(_) | Home::Unknown => {
            return Err(Error::field(Code::NotFound, "messageInfo.sendID", "has no known home to fetch the file from"));
        }
    };
    let key = key_of(tx, Some(&peer), &file.media_id);
    if get(tx, &key)?.is_none() {
        insert(tx, &key, &announced(&peer, info, file, scene.now_ms));
    }
    let before = find(tx, &key)?;
    if let Some(before) = &before {
        remove(tx, &key, before);
    }
    let tries = before.as_ref().map_or(0, |before| before.tries);
    // A peer that is known to be away is not tried sooner for one message more.
    let next_ms = before.as_ref().map_or(scene.now_ms, |before| before.next_ms);
    let expires_ms = before.map_or(expires_ms, |before| before.expires_ms.max(expires_ms));
    write(tx, &key, &Pull { peer, tries, next_ms, expires_ms });
    tx.put(PULL_WAITERS, &waiter_key(&key, record), &[u8::from(judged)]);
    Ok(true)
}

fn announced(peer: &ServerId, info: &MessageInfo, file: &FileContent, now_ms: u64) -> Media {
    let kind = match info.content.message_type() {
        isthmus_wire::MessageType::Image => Kind::Image,
        isthmus_wire::MessageType::Voice => Kind::Voice,
        isthmus_wire::MessageType::File | isthmus_wire::MessageType::Text | isthmus_wire::MessageType::Repeal => {
            Kind::File
        }
    };
    Media {
        media_id: file.media_id.clone(),
        home: Some(peer.clone()),
        owner: info.send_id.clone(),
        kind,
        name: file.name.clone(),
        size: u64::try_from(file.size).unwrap_or_default(),
        md5: Some(file.md5.clone()),
        media_type: String::new(),
        blob: None,
        touched_ms: now_ms,
        counted: false,
    }
}

/// Notes that an attempt failed: the next is at `next_ms`. Nothing if the pull is over.
///
/// # Errors
/// If storage fails.
pub fn defer(tx: &mut Tx<'_>, key: &MediaKey, next_ms: u64, failed: bool) -> Result<(), StoreError> {
    let Some(pull) = find(tx, key)? else { return Ok(()) };
    remove(tx, key, &pull);
    write(tx, key, &Pull { tries: pull.tries.saturating_add(u32::from(failed)), next_ms, ..pull });
    Ok(())
}

/// Notes that the file is here.
///
/// # Errors
/// 1401 if its size or md5 differ from what was announced first.
pub fn fetched(tx: &mut Tx<'_>, scene: &Scene<'_>, key: &MediaKey, found: &Found) -> Result<Media, Error> {
    let missing = || Error::refused(Code::NotFound, "the file is not waited for any more");
    let mut media = get(tx, key)?.ok_or_else(missing)?;
    if media.blob.is_none() {
        upload::same(&media, found)?;
        make_ready(tx, key, &mut media, found, scene.now_ms);
    }
    Ok(media)
}

/// Whether a message says of its file what the file is.
fn check(media: &Media, info: &MessageInfo, file: &FileContent) -> Result<(), Error> {
    let found = u64::try_from(file.size) == Ok(media.size) && media.md5.as_deref() == Some(&*file.md5);
    if !found {
        return Err(Error::refused(
            Code::ContentMismatch,
            "the file is not as large as the message says, or its md5 differs",
        ));
    }
    // The name too is the message's: R8's *.mp4.
    let named = Media { name: file.name.clone(), ..media.clone() };
    format::check_message(&named, info.content.message_type())
}

/// Hands a message over whose file is here: shown to its recipient, or into quarantine. Nothing if it waits no more.
///
/// # Errors
/// 1401 or 1402 if the file is not what the message says, 1004 if the recipient is no more: then it is to be given up.
pub fn hand_over(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    key: &MediaKey,
    record: &TimeId,
    disposition: Disposition,
    audit: Vec<u8>,
) -> Result<Done, Error> {
    if !take(tx, key, record)? {
        return Ok(Done::default());
    }
    let media = get(tx, key)?.ok_or(StoreError::Malformed { what: WHAT })?;
    let stored = stored::expect(tx, record)?;
    let info = stored.info()?;
    if let Some(file) = info.content.file() {
        check(&media, &info, file)?;
    }
    let done = match disposition {
        Disposition::Deliver => message::deliver(tx, scene, &stored, &info)?,
        Disposition::Hold(hold) => {
            held::put(tx, scene, record, Way::In, &hold);
            Done::default()
        }
    };
    tx.audit(audit);
    Ok(done)
}

/// Takes a message out of the wait; the last takes the pull with it. False if it did not wait.
fn take(tx: &mut Tx<'_>, key: &MediaKey, record: &TimeId) -> Result<bool, StoreError> {
    let place = waiter_key(key, record);
    if tx.get(PULL_WAITERS, &place)?.is_none() {
        return Ok(false);
    }
    tx.delete(PULL_WAITERS, &place);
    if waiters(tx, key, 1)?.is_empty()
        && let Some(pull) = find(tx, key)?
    {
        remove(tx, key, &pull);
    }
    Ok(true)
}

/// Gives a message up whose file cannot be had or may not be shown: its recipient is told, and its sender by way of the sender's
/// server if that is one of our make. Nothing if it waits no more.
///
/// # Errors
/// If storage fails.
pub fn give_up(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    key: &MediaKey,
    record: &TimeId,
    why: &Refusal,
    audit: Vec<u8>,
) -> Result<Done, Error> {
    if !take(tx, key, record)? {
        return Ok(Done::default());
    }
    let info = stored::expect(tx, record)?.info()?;
    let mut done = Done::default();
    for user in message::local_recipients(tx, scene.home, &info)? {
        let body = told(&info, why);
        let news = news::put(tx, scene, "file.failed", body);
        done.deliveries.push(inbox::append(tx, &user, scene.now_ms, Event::News(news))?);
        done.letters.extend(report::to_sender(tx, scene, &info, &user, why)?);
    }
    if find(tx, key)?.is_none()
        && let Some(media) = get(tx, key)?.filter(|media| media.blob.is_none())
    {
        // The next message that names it begins anew.
        upload::forget_row(tx, key, &media)?;
    }
    tx.audit(audit);
    Ok(done)
}

fn told(info: &MessageInfo, why: &Refusal) -> serde_json::Value {
    let file = info.content.file();
    json!({
        "messageID": info.message_id, "sendID": info.send_id, "recvID": info.recv_id,
        "chatScene": info.chat_scene.as_str(), "messageType": info.message_type().as_str(),
        "mediaID": file.map(|file| &file.media_id), "name": file.map(|file| &file.name),
        "code": why.code.number(), "msg": why.message,
    })
}

/// Stops waiting for the file of a message that was recalled. Nothing if it does not wait.
///
/// # Errors
/// If storage fails.
pub(crate) fn forget(tx: &mut Tx<'_>, key: &MediaKey, record: &TimeId) -> Result<(), StoreError> {
    take(tx, key, record).map(|_| ())
}
