//! Blobs (design §3): files of messages, content-addressed on disk, sealed, never whole in memory (§6.2 c).
//!
//! | below `blobs/` | holds |
//! |---|---|
//! | `ab/abcd…` | a kept blob under its [`BlobId`]: keyed BLAKE3 of the content, so that the same content lies there once and a name does not tell what it is |
//! | `drafts/…` | what is still being written |
//!
//! A draft gets its place when it is whole and synced, by a rename in the same file system. Who refers to a blob is the
//! caller's business: nothing is deleted here unasked.

mod piece;
mod reader;
mod writer;

use std::{
    collections::{HashMap, HashSet},
    fmt, fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use reader::Blob;
pub use writer::{BEGINNING, Sums, Writer};

use crate::{KeyRing, StoreError, keyring::Secret, open::sync_folder};
use writer::Running;

const DRAFTS: &str = "drafts";
/// Drafts whose sums are remembered between two writers, 2 KiB each; those of others are computed again.
const PARKED: usize = 512;

/// Names a blob: keyed BLAKE3 of its content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub [u8; 32]);

/// Names a draft; the caller's choice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DraftId(pub [u8; 16]);

macro_rules! hex_name {
    ($name:ident, $bytes:literal) => {
        impl $name {
            /// Reads the written form.
            #[must_use]
            pub fn parse(text: &str) -> Option<$name> {
                let mut id = [0; $bytes];
                // One spelling only: it is a file's name.
                let plain = !text.bytes().any(|b| b.is_ascii_uppercase());
                (plain && hex::decode_to_slice(text, &mut id).is_ok()).then_some($name(id))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

hex_name!(BlobId, 32);
hex_name!(DraftId, 16);

/// All blobs of a store. Clones are the same.
#[derive(Clone)]
pub struct Blobs {
    inner: Arc<Inner>,
}

impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blobs({})", self.inner.dir.display())
    }
}

struct Inner {
    dir: PathBuf,
    drafts: PathBuf,
    root: Secret,
    names: Secret,
    writing: Mutex<Writing>,
}

#[derive(Default)]
struct Writing {
    now: HashSet<DraftId>,
    parked: HashMap<DraftId, Running>,
}

impl Blobs {
    /// Opens the folder, or makes it (mode 0700). Blocking.
    pub(crate) fn open(dir: &Path, ring: &KeyRing) -> Result<Blobs, StoreError> {
        let drafts = dir.join(DRAFTS);
        if !drafts.exists() {
            make_folder(&drafts)?;
            sync_folder(dir)?;
        }
        let (root, names) = (ring.derive("blob keys"), ring.derive("blob names"));
        Ok(Blobs { inner: Arc::new(Inner { dir: dir.to_owned(), drafts, root, names, writing: Mutex::default() }) })
    }

    /// Goes on with a draft from where it was left, or begins it. None while another writer has it. Blocking: what is
    /// there is read again if this process has not written it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn write(&self, draft: DraftId) -> Result<Option<Writer>, StoreError> {
        if !self.inner.writing().now.insert(draft) {
            return Ok(None);
        }
        Writer::open(&self.inner, draft).map(Some)
    }

    /// Throws a draft away unless somebody writes it; one that is not there is no error. Says whether it is gone.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn discard(&self, draft: &DraftId) -> Result<bool, StoreError> {
        let mut writing = self.inner.writing();
        if writing.now.contains(draft) {
            return Ok(false);
        }
        writing.parked.remove(draft);
        remove(&self.inner.draft_path(draft)).map(|_| true)
    }

    /// A kept blob. Blocking.
    ///
    /// # Errors
    /// [`StoreError::DamagedBlob`] if the file was altered, as far as its beginning and end show; [`StoreError::Io`].
    pub fn get(&self, id: &BlobId) -> Result<Option<Blob>, StoreError> {
        Blob::open(&self.inner.root, *id, self.inner.place(id))
    }

    /// Deletes a blob; whoever reads it may go on. False if it was not there.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn delete(&self, id: &BlobId) -> Result<bool, StoreError> {
        remove(&self.inner.place(id))
    }

    /// All kept blobs, in no particular order.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn list(&self) -> Result<Vec<BlobId>, StoreError> {
        let mut found = Vec::new();
        for folder in names(&self.inner.dir)?.into_iter().filter(|name| name.len() == 2) {
            let blobs = names(&self.inner.dir.join(&folder))?;
            found.extend(blobs.iter().filter(|name| name.starts_with(&folder)).filter_map(|name| BlobId::parse(name)));
        }
        Ok(found)
    }

    /// Removes the drafts that `keep` does not want: those whose upload is no more. For the start. Says how many.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn clean(&self, keep: impl Fn(&DraftId) -> bool) -> Result<usize, StoreError> {
        let mut removed = 0;
        for name in names(&self.inner.drafts)? {
            match DraftId::parse(&name) {
                Some(draft) if keep(&draft) || !self.discard(&draft)? => {}
                Some(_) => removed += 1,
                None => removed += usize::from(remove(&self.inner.drafts.join(&name))?),
            }
        }
        Ok(removed)
    }

    /// The ID that content with this BLAKE3 has here.
    #[must_use]
    pub fn id_of(&self, blake3: &[u8; 32]) -> BlobId {
        self.inner.name(&blake3::Hash::from_bytes(*blake3))
    }
}

impl Inner {
    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, content: &blake3::Hash) -> BlobId {
        BlobId(*blake3::keyed_hash(&self.names, content.as_bytes()).as_bytes())
    }

    fn draft_path(&self, draft: &DraftId) -> PathBuf {
        self.drafts.join(draft.to_string())
    }

    fn place(&self, id: &BlobId) -> PathBuf {
        let name = id.to_string();
        self.dir.join(&name[..2]).join(name)
    }

    fn make_place(&self, id: &BlobId) -> Result<PathBuf, StoreError> {
        let place = self.place(id);
        if let Some(folder) = place.parent().filter(|folder| !folder.exists()) {
            make_folder(folder)?;
            sync_folder(folder)?;
        }
        Ok(place)
    }

    fn release(&self, draft: &DraftId) {
        self.writing().now.remove(draft);
    }

    /// The sums at the end of a paused draft, once.
    fn parked(&self, draft: &DraftId) -> Option<Running> {
        self.writing().parked.remove(draft)
    }

    fn park(&self, draft: DraftId, running: Running) {
        let mut writing = self.writing();
        if writing.parked.len() >= PARKED
            && let Some(any) = writing.parked.keys().next().copied()
        {
            writing.parked.remove(&any);
        }
        writing.parked.insert(draft, running);
    }

    fn unpark(&self, draft: &DraftId) {
        self.writing().parked.remove(draft);
    }
}

fn make_folder(dir: &Path) -> Result<(), StoreError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(StoreError::io("make the folder", dir))
}

fn remove(path: &Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(StoreError::io("remove", path)(e)),
    }
}

/// Names of the entries of a folder; those that are not UTF-8 are none of ours.
fn names(dir: &Path) -> Result<Vec<String>, StoreError> {
    let entries = fs::read_dir(dir).map_err(StoreError::io("list the folder", dir))?;
    let names = entries.filter_map(|entry| entry.map(|e| e.file_name().into_string().ok()).transpose());
    names.collect::<io::Result<_>>().map_err(StoreError::io("list the folder", dir))
}
