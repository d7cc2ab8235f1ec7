//! Uploads by local users (§7.4.3): announced, written in pieces, checked at their end.

use isthmus_store::{StoreError, Tx};
use isthmus_wire::json::NAME_MAX;
use isthmus_wire::{Code, MediaId, UserId};

use super::{Found, Kind, Media, MediaKey, WHAT, format, get, insert, key_of, make_ready};
use crate::account::user_key;
use crate::error::Error;
use crate::measure;
use crate::row::Cut;
use crate::scene::Scene;
use crate::table::{MEDIA, MEDIA_NAMES, MEDIA_OPEN, MEDIA_USED};

/// Uploads that a user may have begun and not ended.
pub const OPEN_MAX: usize = 64;

/// What a client announces.
#[derive(Debug, Clone)]
pub struct NewMedia {
    /// What it is for.
    pub kind: Kind,
    /// For people: 1–256 bytes, no control characters.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// 32 hexadecimal digits, if the client knows them.
    pub md5: Option<String>,
}

/// An upload that may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Names its rows and its draft.
    pub key: MediaKey,
    /// Names it for everybody else: 160 random bits.
    pub media_id: MediaId,
}

fn check(new: &NewMedia, max: u64) -> Result<(), Error> {
    if new.name.trim().is_empty() {
        return Err(Error::field(Code::MissingField, "name", "is missing or empty"));
    }
    if new.name.len() > NAME_MAX || new.name.chars().any(char::is_control) {
        return Err(Error::field(Code::InvalidField, "name", "is too long or contains a control character"));
    }
    if new.size > max {
        return Err(Error::field(Code::InvalidField, "size", format_args!("is more than {max} bytes")));
    }
    let hex = |md5: &String| md5.len() == 32 && md5.bytes().all(|b| b.is_ascii_hexdigit());
    if !new.md5.as_ref().is_none_or(hex) {
        return Err(Error::field(Code::InvalidField, "md5", "must be 32 hexadecimal digits"));
    }
    Ok(())
}

/// How much may be uploaded, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Of one file.
    pub file: u64,
    /// Of all files of one user that are kept, those under way among them.
    pub user: u64,
}

/// Begins an upload.
///
/// # Errors
/// 1002 or 1003 for what was announced, 1101 if the user is disabled, 1105 if it is muted, 1202 if the user's files would come to more than
/// allowed, 1301 with [`OPEN_MAX`] uploads begun already.
pub fn begin(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    owner: &UserId,
    new: NewMedia,
    bounds: Bounds,
) -> Result<Begun, Error> {
    check(&new, bounds.file)?;
    measure::may_write(tx, owner, scene.now_ms)?;
    let user = user_key(tx, owner);
    if isthmus_store::Reader::prefix(tx, MEDIA_OPEN, &user, OPEN_MAX, false)?.len() >= OPEN_MAX {
        let words = format!("{OPEN_MAX} uploads are begun and not ended: end some of them first");
        return Err(Error::refused(Code::TooManyRequests, words));
    }
    let used = used(tx, owner)?;
    if used.saturating_add(new.size) > bounds.user {
        let words = format_args!(
            "is too much: your files come to {used} of {} bytes; give up uploads that you do not need, or ask the \
             administrator for more (media.user_quota_mib)",
            bounds.user
        );
        return Err(Error::field(Code::WrongState, "size", words));
    }
    put_used(tx, &user, used + new.size);
    let media_id = mint(scene);
    let key = key_of(tx, None, &media_id);
    let media = Media {
        media_id: media_id.clone(),
        home: None,
        owner: owner.clone(),
        kind: new.kind,
        name: new.name,
        size: new.size,
        md5: new.md5.map(|md5| md5.to_ascii_lowercase()),
        media_type: String::new(),
        blob: None,
        touched_ms: scene.now_ms,
        counted: true,
    };
    insert(tx, &key, &media);
    tx.put(MEDIA_OPEN, &open_key(&user, &key), &[]);
    Ok(Begun { key, media_id })
}

/// Bytes of a user's uploads that are kept: whole, or announced and under way. What was passed on counts for nobody, its
/// bytes being here already.
///
/// # Errors
/// If storage fails.
pub fn used(reader: &(impl isthmus_store::Reader + ?Sized), owner: &UserId) -> Result<u64, StoreError> {
    let value = reader.get(MEDIA_USED, &user_key(reader, owner))?;
    value.map_or(Ok(0), |value| Cut::new(&value, WHAT).u64())
}

fn put_used(tx: &mut Tx<'_>, user: &[u8; 16], bytes: u64) {
    match bytes {
        0 => tx.delete(MEDIA_USED, user),
        bytes => tx.put(MEDIA_USED, user, &bytes.to_be_bytes()),
    }
}

/// A new mediaID: 160 random bits (R11).
pub(super) fn mint(scene: &mut Scene<'_>) -> MediaId {
    use std::fmt::Write;
    let mut noise = [0; 20];
    (scene.random)(&mut noise);
    let mut text = String::with_capacity(42);
    text.push_str("m-");
    noise.iter().for_each(|byte| write!(text, "{byte:02x}").expect("writing into a String does not fail"));
    MediaId::parse(&text).expect("hexadecimal digits are an ID")
}

fn open_key(user: &[u8; 16], key: &MediaKey) -> [u8; 32] {
    let mut place = [0; 32];
    place[..16].copy_from_slice(user);
    place[16..].copy_from_slice(&key.0);
    place
}

/// The user's own upload of this ID, ended or not.
///
/// # Errors
/// 1004 if there is none.
pub fn uploading(
    reader: &(impl isthmus_store::Reader + ?Sized),
    owner: &UserId,
    id: &MediaId,
) -> Result<(MediaKey, Media), Error> {
    let key = key_of(reader, None, id);
    match get(reader, &key)? {
        Some(media) if media.owner == *owner => Ok((key, media)),
        Some(_) | None => Err(Error::field(Code::NotFound, "mediaID", "names no upload of yours")),
    }
}

/// Ends an upload: its content is what was announced and of an allowed format, or it is not taken.
///
/// # Errors
/// 1004 if it was given up meanwhile, 1401 if size or md5 differ from what was announced, 1402 if its format is not
/// allowed for its kind (R9).
pub fn complete(tx: &mut Tx<'_>, scene: &Scene<'_>, key: &MediaKey, found: &Found) -> Result<Media, Error> {
    let mut media = get(tx, key)?.ok_or_else(|| Error::refused(Code::NotFound, "the upload was given up"))?;
    if media.blob.is_some() {
        return Ok(media);
    }
    acceptable(&media, found)?;
    let user = user_key(tx, &media.owner);
    tx.delete(MEDIA_OPEN, &open_key(&user, key));
    make_ready(tx, key, &mut media, found, scene.now_ms);
    Ok(media)
}

/// Whether an upload may end so.
///
/// # Errors
/// 1401 or 1402, as [`complete`].
pub fn acceptable(announced: &Media, found: &Found) -> Result<(), Error> {
    same(announced, found)?;
    format::check(announced.kind, &announced.name, found.media_type)
}

/// Whether a file is what was announced.
///
/// # Errors
/// 1401.
pub fn same(announced: &Media, found: &Found) -> Result<(), Error> {
    if announced.size != found.size {
        let words = format!("the file has {} bytes, not the {} announced", found.size, announced.size);
        return Err(Error::refused(Code::ContentMismatch, words));
    }
    if announced.md5.as_ref().is_some_and(|md5| *md5 != found.md5) {
        return Err(Error::refused(Code::ContentMismatch, "the file's md5 is not the one announced"));
    }
    Ok(())
}

/// Notes that an upload goes on: it is not collected meanwhile.
///
/// # Errors
/// If storage fails.
pub fn touch(tx: &mut Tx<'_>, scene: &Scene<'_>, key: &MediaKey) -> Result<(), StoreError> {
    if let Some(mut media) = get(tx, key)?.filter(|media| media.blob.is_none()) {
        media.touched_ms = scene.now_ms;
        super::put(tx, key, &media);
    }
    Ok(())
}

/// Gives an upload up that is not ended; its draft is the caller's to discard. None there is no error.
///
/// # Errors
/// If storage fails.
pub fn abandon(tx: &mut Tx<'_>, key: &MediaKey) -> Result<(), StoreError> {
    if let Some(media) = get(tx, key)?.filter(|media| media.blob.is_none()) {
        forget_row(tx, key, &media)?;
    }
    Ok(())
}

pub(super) fn forget_row(tx: &mut Tx<'_>, key: &MediaKey, media: &Media) -> Result<(), StoreError> {
    let user = user_key(tx, &media.owner);
    let name = super::name_key(tx, &media.media_id, Some(key));
    tx.delete(MEDIA_OPEN, &open_key(&user, key));
    tx.delete(MEDIA_NAMES, &name);
    tx.delete(MEDIA, &key.0);
    if media.counted {
        let left = used(tx, &media.owner)?.saturating_sub(media.size);
        put_used(tx, &user, left);
    }
    Ok(())
}
