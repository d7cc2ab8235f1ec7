//! Media (§7.3.3–7.3.5, §7.4.3–7.4.5): files that messages, portraits and group icons refer to.
//!
//! A file is uploaded by a local user or pulled from the server whose user sent it; then it is *ready*: its blob lies in
//! the store. Who may see it follows from what refers to it ([`sight`]); what nothing refers to is collected ([`sweep`]).

pub mod format;
mod offer;
pub mod pull;
mod report;
pub mod sight;
pub mod sweep;
mod upload;

use std::fmt;

use isthmus_store::blob::{BlobId, DraftId};
use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{MediaId, ServerId, UserId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::dedup::half;
use crate::row;
use crate::table::{BLOB_MEDIA, MEDIA, MEDIA_NAMES};

pub use offer::{Offer, offer};
pub(crate) use offer::{To, attach, sent};
pub use report::{Report, reported};
pub use upload::{
    Begun, Bounds, NewMedia, OPEN_MAX, abandon, acceptable, begin, complete, same, touch, uploading, used,
};

const WHAT: &str = "a medium";

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A picture of a message.
    Image,
    /// A voice recording.
    Voice,
    /// Anything.
    File,
    /// A user's portrait.
    Portrait,
    /// A group's icon.
    Icon,
}

/// Where a medium's rows lie, and the name of its draft.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaKey(pub [u8; 16]);

impl MediaKey {
    /// The draft that its bytes are written to.
    #[must_use]
    pub fn draft(&self) -> DraftId {
        DraftId(self.0)
    }

    /// The medium that a draft belongs to.
    #[must_use]
    pub fn of_draft(draft: &DraftId) -> MediaKey {
        MediaKey(draft.0)
    }

    fn take(bytes: &[u8]) -> Result<MediaKey, StoreError> {
        bytes.try_into().map(MediaKey).map_err(|_| StoreError::Malformed { what: WHAT })
    }
}

impl fmt::Debug for MediaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MediaKey({})", self.draft())
    }
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Its name between servers.
    pub media_id: MediaId,
    /// The server that it is pulled from; none for what was uploaded here.
    pub home: Option<ServerId>,
    /// Who uploaded it, or sent it first.
    pub owner: UserId,
    /// What it is for.
    pub kind: Kind,
    /// For people; never a path on disk.
    pub name: String,
    /// Bytes, as announced; of a ready file as they are.
    pub size: u64,
    /// 32 hexadecimal digits: as announced, if it was; of a ready file as it is.
    pub md5: Option<String>,
    /// By its content (R9); empty until it is ready.
    pub media_type: String,
    /// Its bytes, once it is ready.
    #[serde(with = "blob_id")]
    pub blob: Option<BlobId>,
    /// When something last happened to it, in milliseconds since 1970 UTC.
    pub touched_ms: u64,
    /// Whether it counts among what its owner has uploaded ([`used`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub counted: bool,
}

mod blob_id {
    use super::{BlobId, Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &Option<BlobId>, s: S) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => s.collect_str(id),
            None => s.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<BlobId>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        let wrong = || serde::de::Error::custom("no blob's ID");
        text.map(|text| BlobId::parse(&text).ok_or_else(wrong)).transpose()
    }
}

/// What a ready file's content came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its bytes.
    pub blob: BlobId,
    /// How many.
    pub size: u64,
    /// 32 hexadecimal digits.
    pub md5: String,
    /// [`format::media_type`] of its beginning.
    pub media_type: &'static str,
}

/// Where a medium's rows lie: `home` is none for what was uploaded here. Different servers may use the same mediaID.
#[must_use]
pub fn key_of(reader: &(impl Reader + ?Sized), home: Option<&ServerId>, id: &MediaId) -> MediaKey {
    let home = home.map(ServerId::folded).unwrap_or_default();
    MediaKey(half(reader.index_hash("media", &[home.as_bytes(), b"\0", id.as_str().as_bytes()].concat())))
}

/// A medium.
///
/// # Errors
/// If storage fails.
pub fn get(reader: &(impl Reader + ?Sized), key: &MediaKey) -> Result<Option<Media>, StoreError> {
    reader.get(MEDIA, &key.0)?.map(|value| row::parse(&value, WHAT)).transpose()
}

fn put(tx: &mut Tx<'_>, key: &MediaKey, media: &Media) {
    tx.put_owned(MEDIA, &key.0, row::json(media));
}

fn insert(tx: &mut Tx<'_>, key: &MediaKey, media: &Media) {
    let place = name_key(tx, &media.media_id, Some(key));
    tx.put(MEDIA_NAMES, &place, &[]);
    put(tx, key, media);
}

/// Notes what a file's content is: it is ready from now on.
fn make_ready(tx: &mut Tx<'_>, key: &MediaKey, media: &mut Media, found: &Found, now_ms: u64) {
    media.blob = Some(found.blob);
    media.size = found.size;
    media.md5 = Some(found.md5.clone());
    found.media_type.clone_into(&mut media.media_type);
    media.touched_ms = now_ms;
    tx.put(BLOB_MEDIA, &blob_key(&found.blob, key), &[]);
    put(tx, key, media);
}

fn name_key(reader: &(impl Reader + ?Sized), id: &MediaId, key: Option<&MediaKey>) -> Vec<u8> {
    let name = half(reader.index_hash("media name", id.as_str().as_bytes()));
    [&name[..], key.map_or(&[], |key| &key.0[..])].concat()
}

/// The media that servers call by this ID.
fn called(reader: &(impl Reader + ?Sized), id: &MediaId) -> Result<Vec<MediaKey>, StoreError> {
    /// More servers than these do not happen to choose the same ID.
    const MANY: usize = 16;
    let rows = reader.prefix(MEDIA_NAMES, &name_key(reader, id, None), MANY, false)?;
    rows.iter().map(|(place, _)| MediaKey::take(&place[16..])).collect()
}

fn blob_key(blob: &BlobId, key: &MediaKey) -> [u8; 48] {
    let mut place = [0; 48];
    place[..32].copy_from_slice(&blob.0);
    place[32..].copy_from_slice(&key.0);
    place
}

/// Whether any medium refers to a blob.
///
/// # Errors
/// If storage fails.
pub fn is_used(reader: &(impl Reader + ?Sized), blob: &BlobId) -> Result<bool, StoreError> {
    Ok(!reader.prefix(BLOB_MEDIA, &blob.0, 1, false)?.is_empty())
}
