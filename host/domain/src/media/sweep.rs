//! Collection: uploads that nobody ended or used, files that nothing refers to any more.

use std::ops::Bound;

use isthmus_store::blob::{BlobId, DraftId};
use isthmus_store::{Reader, Tx};

use super::{Media, MediaKey, WHAT, blob_key, is_used, pull, sight, upload};
use crate::error::Error;
use crate::row;
use crate::table::{BLOB_MEDIA, MEDIA};

/// What a step of the sweep left to be removed from the disk, after its commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Where to go on; none at the end.
    pub next: Option<MediaKey>,
    /// Drafts of uploads and pulls that are no more.
    pub drafts: Vec<DraftId>,
    /// Blobs that no medium refers to any more.
    pub blobs: Vec<BlobId>,
}

/// Forgets what is not needed among the next `limit` media after `from`: what nothing refers to and nothing happened to since
/// `before_ms`. To be called now and then, while nobody gives a draft its place.
///
/// # Errors
/// If storage fails.
pub fn sweep(tx: &mut Tx<'_>, before_ms: u64, from: Option<MediaKey>, limit: usize) -> Result<Swept, Error> {
    let start = from.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(&key.0[..]));
    let rows = tx.scan(MEDIA, start, Bound::Unbounded, limit, false)?;
    let mut swept = Swept::default();
    for (place, value) in &rows {
        let (key, media) = (MediaKey::take(place)?, row::parse::<Media>(value, WHAT)?);
        let idle = media.touched_ms < before_ms;
        if idle && !sight::is_referred_to(tx, &key)? && pull::find(tx, &key)?.is_none() {
            forget(tx, &key, &media, &mut swept)?;
        }
    }
    if rows.len() == limit
        && let Some((place, _)) = rows.last()
    {
        swept.next = Some(MediaKey::take(place)?);
    }
    Ok(swept)
}

fn forget(tx: &mut Tx<'_>, key: &MediaKey, media: &Media, swept: &mut Swept) -> Result<(), Error> {
    upload::forget_row(tx, key, media)?;
    let Some(blob) = media.blob else {
        swept.drafts.push(key.draft());
        return Ok(());
    };
    tx.delete(BLOB_MEDIA, &blob_key(&blob, key));
    if !is_used(tx, &blob)? {
        swept.blobs.push(blob);
    }
    Ok(())
}
