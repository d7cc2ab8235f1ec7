//! Files between clients, this server and others (§7.4.3–7.4.5): streamed both ways, never whole in memory.
//!
//! The rules say who may upload, see and pull what ([`isthmus_domain::media`]); here the bytes move.

mod fetch;
mod hand_over;
mod picture;
mod pull;
mod stream;
mod sweep;
mod upload;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use isthmus_domain::media::{self, Found, Media, MediaKey, format};
use isthmus_policy::{Body, Item};
use isthmus_store::StoreError;
use isthmus_store::blob::{Blob, BlobId, Sums};
use isthmus_wire::code::Code;
use isthmus_wire::message::FileContent;
use isthmus_wire::{Content, ServerId};
use tokio::sync::{Notify, OwnedSemaphorePermit, RwLock, Semaphore};

pub(crate) use stream::answer;
pub(crate) use upload::Announced;

use super::Server;
use super::gate;
use crate::reply::Problem;

/// How long a transfer waits for its turn.
const TURN_WAIT: Duration = Duration::from_secs(10);
/// Portraits of other servers fetched at a time.
const PICTURES: usize = 4;

/// What all who handle files share.
pub(crate) struct Files {
    /// Held for reading from a blob's getting its place until its medium is committed; for writing while blobs are collected:
    /// what was just put in place is not taken for rubbish.
    placing: RwLock<()>,
    /// Blobs that got a place and then no medium.
    loose: Mutex<Vec<BlobId>>,
    /// Uploads under way, each to be told that its client has come again.
    uploads: Mutex<HashMap<MediaKey, Arc<Notify>>>,
    /// Pulls under way, and from whom.
    pulls: Mutex<HashMap<MediaKey, ServerId>>,
    /// There may be a file to pull.
    wake: Notify,
    pictures: Semaphore,
    /// Turns of those who send or are sent bytes.
    transfers: Arc<Semaphore>,
}

impl Files {
    /// At most `transfers` of clients and other servers at a time.
    pub(crate) fn new(transfers: usize) -> Files {
        Files {
            placing: RwLock::default(),
            loose: Mutex::default(),
            uploads: Mutex::default(),
            pulls: Mutex::default(),
            wake: Notify::default(),
            pictures: Semaphore::new(PICTURES),
            transfers: Arc::new(Semaphore::new(transfers)),
        }
    }

    /// A message may have come that waits for a file.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    fn uploads(&self) -> MutexGuard<'_, HashMap<MediaKey, Arc<Notify>>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pulls(&self) -> MutexGuard<'_, HashMap<MediaKey, ServerId>> {
        self.pulls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave_loose(&self, blob: BlobId) {
        self.loose.lock().unwrap_or_else(PoisonError::into_inner).push(blob);
    }

    fn take_loose(&self) -> Vec<BlobId> {
        std::mem::take(&mut *self.loose.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Work on the disk, off the threads that serve others.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Panicked(error.to_string())),
    }
}

/// What plugins read of a file.
struct Readable(Arc<Blob>);

impl Body for Readable {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read(&self, offset: u64, len: u32) -> Vec<u8> {
        self.0.read(offset, usize::try_from(len).unwrap_or(usize::MAX)).unwrap_or_else(|error| {
            tracing::error!(error = crate::reply::chain(&error), "a file cannot be read for the policy");
            Vec::new()
        })
    }
}

fn found(blob: BlobId, sums: &Sums) -> Found {
    Found { blob, size: sums.size, md5: hex::encode(sums.md5), media_type: format::media_type(&sums.beginning) }
}

/// `file.metadata`: what a message says of its file.
pub(crate) fn metadata(name: &str, size: u64, md5: &str, media_type: &str) -> Item {
    let mut item = gate::text("file.metadata", name);
    item.attributes = vec![("size".to_owned(), size.to_string())];
    for (fact, value) in [("md5", md5), ("mediaType", media_type)] {
        if !value.is_empty() {
            item.attributes.push((fact.to_owned(), value.to_owned()));
        }
    }
    item
}

/// `file.content`: for bounded reads.
fn content(media: &Media, blob: Arc<Blob>) -> Item {
    let mut item = gate::text("file.content", &media.name);
    item.attributes = vec![
        ("size".to_owned(), media.size.to_string()),
        ("mediaType".to_owned(), media.media_type.clone()),
        ("md5".to_owned(), media.md5.clone().unwrap_or_default()),
    ];
    item.body = Some(Arc::new(Readable(blob)));
    item
}

/// What a message says of its file, as an item for the policy.
pub(crate) fn said(file: &FileContent) -> Item {
    metadata(&file.name, u64::try_from(file.size).unwrap_or_default(), &file.md5, "")
}

impl Server {
    /// The file of one of our own users' messages for the policy: what is said of it, and its content. Nothing for other
    /// messages.
    pub(crate) async fn own_file(&self, message: &Content) -> Result<Vec<Item>, StoreError> {
        let Some(file) = message.file() else { return Ok(Vec::new()) };
        let media = self.store.read(|view| media::get(view, &media::key_of(view, None, &file.media_id)))?;
        match media {
            Some(media) => self.items(&media).await,
            None => Ok(vec![said(file)]),
        }
    }

    /// A ready file for the policy.
    pub(crate) async fn items(&self, media: &Media) -> Result<Vec<Item>, StoreError> {
        let (size, md5) = (media.size, media.md5.as_deref().unwrap_or_default());
        let mut items = vec![metadata(&media.name, size, md5, &media.media_type)];
        if let Some(blob) = self.blob_of(media).await? {
            items.push(content(media, Arc::new(blob)));
        }
        Ok(items)
    }

    /// A ready file's bytes.
    pub(crate) async fn blob_of(&self, media: &Media) -> Result<Option<Blob>, StoreError> {
        let Some(id) = media.blob else { return Ok(None) };
        let blobs = self.store.blobs().clone();
        blocking(move || blobs.get(&id)).await
    }

    /// A turn to move bytes: each costs memory while it lasts.
    pub(crate) async fn transfer(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let turn = tokio::time::timeout(TURN_WAIT, self.files.transfers.clone().acquire_owned()).await;
        let busy = |_| Problem::refused(Code::OVERLOADED, "too many files are on their way; retry");
        turn.map_err(busy)?.map_err(Problem::fault)
    }

    /// What one user's files may come to, in bytes.
    pub(crate) fn user_quota(&self) -> u64 {
        match self.config.media.user_quota_mib {
            0 => u64::MAX,
            mib => mib << 20,
        }
    }

    /// The largest file taken, in bytes.
    pub(crate) fn max_file(&self) -> u64 {
        self.config.media.max_file_mib << 20
    }
}
