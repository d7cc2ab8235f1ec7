//! Who may see a file: its owner, and whoever is shown something that refers to it.
//!
//! A *reference* is a message (its record) or a public place (a user's portrait, a group's icon). It lets users here see the file
//! and, where it was sent to another server, that server pull it (reading, section 5: only who was sent it may). When
//! the reference goes (a recall), so does what it allowed.

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{Code, GroupId, MediaId, MessageInfo, ServerId, UserId};

use super::{Found, Kind, Media, MediaKey, called, get, insert, key_of, make_ready};
use crate::account::user_key;
use crate::dedup::half;
use crate::error::Error;
use crate::scene::{Scene, TimeId};
use crate::speaker::{self, Home};
use crate::table::{MEDIA_GRANTS, MEDIA_PLACES, MEDIA_REFS};

/// Whom a reference lets see a file.
pub enum Viewer<'a> {
    /// A local user.
    User(&'a UserId),
    /// Whoever is a member when asking.
    Group(&'a GroupId),
    /// Every user here, and every server.
    Everybody,
}

const USER: u8 = b'u';
const GROUP: u8 = b'g';
const EVERYBODY: u8 = b'*';

fn of_kind(key: &MediaKey, kind: u8) -> [u8; 17] {
    let mut place = [kind; 17];
    place[..16].copy_from_slice(&key.0);
    place
}

fn place(reader: &(impl Reader + ?Sized), key: &MediaKey, viewer: &Viewer<'_>, reference: &[u8; 16]) -> Vec<u8> {
    let (kind, who) = match viewer {
        Viewer::User(user) => (USER, user_key(reader, user)),
        Viewer::Group(group) => (GROUP, half(reader.index_hash("group", group.as_str().as_bytes()))),
        Viewer::Everybody => (EVERYBODY, [0; 16]),
    };
    [&of_kind(key, kind)[..], &who, reference].concat()
}

/// Lets `viewer` see a file, because of a reference.
pub(crate) fn show(tx: &mut Tx<'_>, key: &MediaKey, viewer: &Viewer<'_>, reference: &[u8; 16]) {
    let row = place(tx, key, viewer, reference);
    let value = if let Viewer::Group(group) = viewer { group.as_str() } else { "" };
    tx.put(MEDIA_REFS, &row, value.as_bytes());
}

/// Whether anything refers to a file.
pub(super) fn is_referred_to(reader: &(impl Reader + ?Sized), key: &MediaKey) -> Result<bool, StoreError> {
    Ok(!reader.prefix(MEDIA_REFS, &key.0, 1, false)?.is_empty())
}

fn groups(reader: &(impl Reader + ?Sized), key: &MediaKey) -> Result<Vec<GroupId>, StoreError> {
    let rows = reader.prefix(MEDIA_REFS, &of_kind(key, GROUP), usize::MAX, false)?;
    let wrong = StoreError::Malformed { what: "a group that sees a file" };
    let ids = rows.iter().map(|(_, value)| GroupId::parse(std::str::from_utf8(value).ok()?).ok());
    let mut ids = ids.collect::<Option<Vec<_>>>().ok_or(wrong)?;
    ids.dedup();
    Ok(ids)
}

/// Whether a local user may see a file.
///
/// # Errors
/// If storage fails.
pub fn may_see(
    reader: &(impl Reader + ?Sized),
    user: &UserId,
    key: &MediaKey,
    media: &Media,
) -> Result<bool, StoreError> {
    if media.home.is_none() && media.owner == *user {
        return Ok(true);
    }
    let own = [&of_kind(key, USER)[..], &user_key(reader, user)].concat();
    for shown in [&own[..], &of_kind(key, EVERYBODY)] {
        if !reader.prefix(MEDIA_REFS, shown, 1, false)?.is_empty() {
            return Ok(true);
        }
    }
    for group in groups(reader, key)? {
        if in_group::user(reader, &group, user)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The ready file that a local user means by `id`. `from`, the sender of the message that named it, tells files of
/// different servers apart that have the same ID.
///
/// # Errors
/// 1004 if there is none that the user may see: whether there is one at all is not told.
pub fn find(
    reader: &(impl Reader + ?Sized),
    own: &ServerId,
    user: &UserId,
    id: &MediaId,
    from: Option<&UserId>,
) -> Result<(MediaKey, Media), Error> {
    let mut keys = match from.map(|from| speaker::home_of(reader, own, from)).transpose()? {
        None => called(reader, id)?,
        Some(Home::Own) => vec![key_of(reader, None, id)],
        Some(Home::Server(home)) => vec![key_of(reader, Some(&home), id)],
        Some(Home::Ask(_) | Home::Unknown) => Vec::new(),
    };
    if from.is_none() {
        // Ours are unguessable and come first.
        keys.insert(0, key_of(reader, None, id));
    }
    for key in keys {
        if let Some(media) = get(reader, &key)?.filter(|media| media.blob.is_some())
            && may_see(reader, user, &key, &media)?
        {
            return Ok((key, media));
        }
    }
    Err(Error::field(Code::NotFound, "mediaID", "names no file that you may see"))
}

fn grant_key(
    reader: &(impl Reader + ?Sized),
    key: &MediaKey,
    peer: &ServerId,
    reference: Option<&[u8; 16]>,
) -> Vec<u8> {
    let peer = half(reader.index_hash("peer", peer.folded().as_bytes()));
    [&key.0[..], &peer, reference.map_or(&[], |id| &id[..])].concat()
}

/// Lets another server pull a file, because it is sent a message that names it.
pub(crate) fn grant(tx: &mut Tx<'_>, key: &MediaKey, peer: &ServerId, reference: &[u8; 16]) {
    let row = grant_key(tx, key, peer, Some(reference));
    tx.put(MEDIA_GRANTS, &row, &[]);
}

/// Takes back what one message allowed one server.
pub(super) fn withdraw(tx: &mut Tx<'_>, key: &MediaKey, peer: &ServerId, record: &TimeId) {
    let row = grant_key(tx, key, peer, Some(&record.0));
    tx.delete(MEDIA_GRANTS, &row);
}

/// Whether a server was sent this very message with this file.
pub(super) fn was_granted(
    reader: &(impl Reader + ?Sized),
    key: &MediaKey,
    peer: &ServerId,
    record: &TimeId,
) -> Result<bool, StoreError> {
    if reader.get(MEDIA_GRANTS, &grant_key(reader, key, peer, Some(&record.0)))?.is_some() {
        return Ok(true);
    }
    groups_with(reader, key, peer)
}

fn groups_with(reader: &(impl Reader + ?Sized), key: &MediaKey, peer: &ServerId) -> Result<bool, StoreError> {
    for group in groups(reader, key)? {
        if in_group::server(reader, &group, peer)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The ready file that another server may pull (§7.4.5): one that was uploaded here and that it was sent. Portraits and icons
/// in use may be pulled by every server: every server may ask for the profile that names them.
///
/// # Errors
/// 1004 if there is no such file, 1104 if the server was not sent it.
pub fn pullable(reader: &(impl Reader + ?Sized), peer: &ServerId, id: &MediaId) -> Result<(MediaKey, Media), Error> {
    let key = key_of(reader, None, id);
    let media = get(reader, &key)?.filter(|media| media.blob.is_some());
    let media = media.ok_or_else(|| Error::field(Code::NotFound, "mediaID", "names no file of this server"))?;
    let granted = !reader.prefix(MEDIA_GRANTS, &grant_key(reader, &key, peer, None), 1, false)?.is_empty()
        || !reader.prefix(MEDIA_REFS, &of_kind(&key, EVERYBODY), 1, false)?.is_empty()
        || groups_with(reader, &key, peer)?;
    if granted {
        return Ok((key, media));
    }
    Err(Error::field(Code::MayNotActFor, "mediaID", format_args!("was not sent to {peer}")))
}

/// Takes back what a reference allowed: users and servers that have no other no longer get the file.
///
/// # Errors
/// If storage fails.
pub(crate) fn release(tx: &mut Tx<'_>, key: &MediaKey, reference: &[u8; 16]) -> Result<(), StoreError> {
    for table in [MEDIA_REFS, MEDIA_GRANTS] {
        let rows = tx.prefix(table, &key.0, usize::MAX, false)?;
        for (row, _) in rows.iter().filter(|(row, _)| row.ends_with(reference)) {
            tx.delete(table, row);
        }
    }
    Ok(())
}

/// Lets `viewer` see the file of a message, whoever sent it.
///
/// # Errors
/// If storage fails.
pub fn show_message(
    tx: &mut Tx<'_>,
    own: &ServerId,
    info: &MessageInfo,
    record: &TimeId,
    viewer: &Viewer<'_>,
) -> Result<(), StoreError> {
    if let Some(key) = key_of_message(tx, own, info)? {
        show(tx, &key, viewer, &record.0);
    }
    Ok(())
}

/// A message was recalled: whom it alone showed its file, no longer sees it; a server that has not pulled it no longer may.
///
/// # Errors
/// If storage fails.
pub fn recalled(tx: &mut Tx<'_>, own: &ServerId, info: &MessageInfo, record: &TimeId) -> Result<(), StoreError> {
    let Some(key) = key_of_message(tx, own, info)? else { return Ok(()) };
    super::pull::forget(tx, &key, record)?;
    release(tx, &key, &record.0)
}

/// The file that a message names: of the server at which its sender is at home.
fn key_of_message(
    reader: &(impl Reader + ?Sized),
    own: &ServerId,
    info: &MessageInfo,
) -> Result<Option<MediaKey>, StoreError> {
    let Some(file) = info.content.file() else { return Ok(None) };
    Ok(match speaker::home_of(reader, own, &info.send_id)? {
        Home::Own => Some(key_of(reader, None, &file.media_id)),
        Home::Server(home) => Some(key_of(reader, Some(&home), &file.media_id)),
        Home::Ask(_) | Home::Unknown => None,
    })
}

/// Puts a picture of `owner` in a public place (`portrait`, or an icon's group), instead of what was there.
///
/// # Errors
/// 1004 if it is no ready upload of the owner's, 1402 if it is no picture.
pub fn publish(tx: &mut Tx<'_>, owner: &UserId, place: &str, picture: Option<&MediaId>) -> Result<(), Error> {
    let key = picture.map(|id| picture_of(tx, owner, id)).transpose()?;
    Ok(put_in_place(tx, place, key.as_ref())?)
}

fn put_in_place(tx: &mut Tx<'_>, place: &str, key: Option<&MediaKey>) -> Result<(), StoreError> {
    let spot = half(tx.index_hash("media place", place.as_bytes()));
    if let Some(before) = tx.get(MEDIA_PLACES, &spot)? {
        let before = MediaKey::take(&before)?;
        release(tx, &before, &spot)?;
        tx.delete(MEDIA_PLACES, &spot);
    }
    if let Some(key) = key {
        show(tx, key, &Viewer::Everybody, &spot);
        tx.put(MEDIA_PLACES, &spot, &key.0);
    }
    Ok(())
}

/// A portrait of another server's user, as it is kept.
#[must_use]
pub fn portrait(peer: &ServerId, id: &MediaId, of: &UserId, found: &Found, now_ms: u64) -> Media {
    Media {
        media_id: id.clone(),
        home: Some(peer.clone()),
        owner: of.clone(),
        kind: Kind::Portrait,
        name: "portrait".to_owned(),
        size: found.size,
        md5: Some(found.md5.clone()),
        media_type: found.media_type.to_owned(),
        blob: Some(found.blob),
        touched_ms: now_ms,
        counted: false,
    }
}

/// Keeps the portrait of another server's user, for every user here, until it has another. `found`: what was fetched; none if
/// the file is here already.
///
/// # Errors
/// 1004 if it is not here after all, 1402 if it is no picture.
pub fn learn_portrait(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    peer: &ServerId,
    id: &MediaId,
    of: &UserId,
    found: Option<&Found>,
) -> Result<Media, Error> {
    let key = key_of(tx, Some(peer), id);
    let media = match (get(tx, &key)?, found) {
        (Some(media), _) if media.blob.is_some() => media,
        (before, Some(found)) => {
            let mut media = portrait(peer, id, of, found, scene.now_ms);
            if before.is_none() {
                insert(tx, &key, &media);
            }
            make_ready(tx, &key, &mut media, found, scene.now_ms);
            media
        }
        (_, None) => return Err(Error::field(Code::NotFound, "mediaID", "is not here")),
    };
    super::format::check(Kind::Portrait, &media.name, &media.media_type)?;
    put_in_place(tx, &format!("portrait {of}"), Some(&key))?;
    Ok(media)
}

fn picture_of(tx: &Tx<'_>, owner: &UserId, id: &MediaId) -> Result<MediaKey, Error> {
    let key = key_of(tx, None, id);
    let media = get(tx, &key)?.filter(|media| media.owner == *owner && media.blob.is_some());
    let media = media.ok_or_else(|| Error::field(Code::NotFound, "mediaID", "names no finished upload of yours"))?;
    super::format::check(Kind::Portrait, &media.name, &media.media_type)?;
    Ok(key)
}

/// What groups know: who is in them.
mod in_group {
    use super::{GroupId, Reader, ServerId, StoreError, UserId};
    use crate::group::{self, member};

    pub(super) fn user(reader: &(impl Reader + ?Sized), group: &GroupId, user: &UserId) -> Result<bool, StoreError> {
        let Some(group) = group::find(reader, group)? else { return Ok(false) };
        Ok(member::get(reader, &group, user)?.is_some())
    }

    pub(super) fn server(
        reader: &(impl Reader + ?Sized),
        group: &GroupId,
        peer: &ServerId,
    ) -> Result<bool, StoreError> {
        group::has_member_at(reader, group, peer)
    }
}
