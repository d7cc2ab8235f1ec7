//! Files on their way out: what a message of a local user may carry, and whom it is shown to.

use isthmus_store::{Reader, Tx};
use isthmus_wire::message::FileContent;
use isthmus_wire::{Code, Content, MediaId, MessageInfo, MessageType, ServerId, UserId};

use super::sight::{self, Viewer, find, may_see};
use super::{Media, MediaKey, format, get, insert, key_of, upload};
use crate::error::Error;
use crate::scene::{Scene, TimeId};
use crate::table::BLOB_MEDIA;

/// A file that a message may carry.
#[derive(Debug, Clone)]
pub struct Offer {
    /// As the message says it.
    pub content: Content,
    /// The file.
    pub key: MediaKey,
    /// The file.
    pub media: Media,
}

/// What a message of `sender` carries that names the file `id`: an upload of the sender's own, or one that the sender was
/// sent and passes on.
///
/// # Errors
/// 1002 for a voice message without `duration` (seconds), 1003 for a negative one or a type that carries no file, 1004 if the
/// sender may not see the file or it is not ready, 1402 if its format is not allowed for the type (R9).
pub fn offer(
    reader: &(impl Reader + ?Sized),
    own: &ServerId,
    sender: &UserId,
    kind: MessageType,
    id: &MediaId,
    duration: Option<i64>,
) -> Result<Offer, Error> {
    let (key, media) = find(reader, own, sender, id, None)?;
    format::check_message(&media, kind)?;
    if duration.is_some_and(|seconds| seconds < 0) {
        return Err(Error::field(Code::InvalidField, "duration", "must not be negative"));
    }
    let file = FileContent {
        size: i64::try_from(media.size).unwrap_or(i64::MAX),
        name: media.name.clone(),
        media_id: media.media_id.clone(),
        md5: media.md5.clone().unwrap_or_default(),
        duration: if kind == MessageType::Voice { duration } else { None },
    };
    let content = match kind {
        MessageType::Image => Content::Image(file),
        MessageType::Voice if duration.is_none() => {
            return Err(Error::field(Code::MissingField, "duration", "is missing"));
        }
        MessageType::Voice => Content::Voice(file),
        MessageType::File => Content::File(file),
        MessageType::Text | MessageType::Repeal => {
            return Err(Error::field(Code::InvalidField, "type", "carries no file"));
        }
    };
    Ok(Offer { content, key, media })
}

/// Ties a file to a message that is about to be kept: it is the sender's own then, under an ID of this server, so that whoever
/// gets the message may pull it here. Content without a file goes through.
///
/// # Errors
/// 1004 if the file is gone or no longer to be seen.
pub(crate) fn attach(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    sender: &UserId,
    record: &TimeId,
    content: &mut Content,
    key: Option<MediaKey>,
) -> Result<(), Error> {
    let (Content::Image(file) | Content::Voice(file) | Content::File(file)) = content else { return Ok(()) };
    let gone = || Error::field(Code::NotFound, "mediaID", "names no file that you may see");
    let key = key.ok_or_else(gone)?;
    let media = get(tx, &key)?.filter(|media| media.blob.is_some()).ok_or_else(gone)?;
    if !may_see(tx, sender, &key, &media)? {
        return Err(gone());
    }
    let key = if media.home.is_none() && media.owner == *sender {
        key
    } else {
        let (key, media_id) = copy(tx, scene, sender, media);
        file.media_id = media_id;
        key
    };
    sight::show(tx, &key, &Viewer::User(sender), &record.0);
    Ok(())
}

/// The same bytes under an ID of the sender's own.
fn copy(tx: &mut Tx<'_>, scene: &mut Scene<'_>, sender: &UserId, media: Media) -> (MediaKey, MediaId) {
    let media_id = upload::mint(scene);
    let key = key_of(tx, None, &media_id);
    let media = Media {
        media_id: media_id.clone(),
        home: None,
        owner: sender.clone(),
        touched_ms: scene.now_ms,
        counted: false,
        ..media
    };
    if let Some(blob) = &media.blob {
        tx.put(BLOB_MEDIA, &super::blob_key(blob, &key), &[]);
    }
    insert(tx, &key, &media);
    (key, media_id)
}

/// Whom a message of this server goes to.
pub(crate) enum To<'a> {
    /// A user here.
    User(&'a UserId),
    /// Another server.
    Server(&'a ServerId),
}

/// Lets whoever a message of ours goes to have its file.
pub(crate) fn sent(tx: &mut Tx<'_>, info: &MessageInfo, record: &TimeId, to: &To<'_>) {
    let Some(file) = info.content.file() else { return };
    let key = key_of(tx, None, &file.media_id);
    match to {
        To::User(user) => sight::show(tx, &key, &Viewer::User(user), &record.0),
        To::Server(peer) => sight::grant(tx, &key, peer, &record.0),
    }
}
