//! Writing a blob, with pauses.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::PathBuf,
    sync::Arc,
};

use md5::{Digest, Md5};

use super::{
    BlobId, DraftId, Inner,
    piece::{Cipher, Mark, PIECE, fetch, place},
};
use crate::{StoreError, open::sync_folder, random::Random};

/// How many of the first bytes are kept at hand, for a look at the format.
pub const BEGINNING: usize = 64;

/// What the bytes so far come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// Bytes.
    pub size: u64,
    /// MD5.
    pub md5: [u8; 16],
    /// BLAKE3.
    pub blake3: [u8; 32],
    /// The first bytes, at most [`BEGINNING`].
    pub beginning: Vec<u8>,
}

/// The state of the sums at an offset.
#[derive(Clone, Default)]
pub(super) struct Running {
    pub(super) size: u64,
    md5: Md5,
    blake3: blake3::Hasher,
    beginning: Vec<u8>,
}

impl Running {
    fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.md5.update(bytes);
        self.blake3.update(bytes);
        let missing = BEGINNING - self.beginning.len();
        self.beginning.extend_from_slice(&bytes[..bytes.len().min(missing)]);
    }

    fn sums(&self) -> Sums {
        Sums {
            size: self.size,
            md5: self.md5.clone().finalize().into(),
            blake3: *self.blake3.finalize().as_bytes(),
            beginning: self.beginning.clone(),
        }
    }
}

/// Takes a draft's bytes in order. Everything blocks. Dropped without [`Writer::pause`], it loses the end that was not yet
/// written, at most one piece; the next writer goes on from what is there.
pub struct Writer {
    draft: DraftId,
    path: PathBuf,
    file: File,
    cipher: Cipher,
    /// Inner pieces in the file.
    pieces: u64,
    /// What comes after them, at most one piece.
    tail: Vec<u8>,
    running: Box<Running>,
    sealed: Vec<u8>,
    random: Random,
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({} at {})", self.draft, self.offset())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.inner.release(&self.draft);
    }
}

impl Writer {
    /// The caller has reserved the draft; it is released with the writer.
    pub(super) fn open(inner: &Arc<Inner>, draft: DraftId) -> Result<Writer, StoreError> {
        let path = inner.draft_path(&draft);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let release = || inner.release(&draft);
        let file = opened.map_err(StoreError::io("open the draft", &path)).inspect_err(|_| release())?;
        let found = Cipher::read(&inner.root, &file).map_err(StoreError::io("read the draft", &path));
        let mut random = Random::new();
        let (cipher, fresh) = match found.inspect_err(|_| release())? {
            Some(cipher) => (cipher, false),
            None => (Cipher::new(&inner.root, &mut random).inspect_err(|_| release())?, true),
        };
        let mut writer = Writer {
            draft,
            path,
            file,
            cipher,
            pieces: 0,
            tail: Vec::with_capacity(PIECE),
            running: Box::default(),
            sealed: Vec::new(),
            random,
            inner: inner.clone(),
        };
        if fresh {
            writer.start()?
        } else {
            writer.go_on()?
        }
        Ok(writer)
    }

    fn start(&mut self) -> Result<(), StoreError> {
        let made = self.file.set_len(0).and_then(|()| self.file.write_all_at(self.cipher.head(), 0));
        made.map_err(StoreError::io("write the draft", &self.path))?;
        sync_folder(&self.inner.drafts)
    }

    /// From where the draft was left: at once if its sums are known, else by reading what is there. What does not open (the
    /// end of a write that a crash cut) is written again.
    fn go_on(&mut self) -> Result<(), StoreError> {
        if let Some(running) = self.inner.parked(&self.draft) {
            let (pieces, rest) = (running.size / PIECE as u64, running.size % PIECE as u64);
            // A full end is kept open too: whether more follows is not known yet.
            let number = if rest == 0 && pieces > 0 { pieces - 1 } else { pieces };
            let mut tail = self.fetch(number)?;
            let known = running.size == 0
                || (self.cipher.open(number, Mark::Open, &mut tail)
                    && number * PIECE as u64 + tail.len() as u64 == running.size);
            if known {
                (self.pieces, *self.running) = (number, running);
                self.tail = if self.running.size == 0 { Vec::new() } else { tail };
                return Ok(());
            }
        }
        loop {
            let sealed = self.fetch(self.pieces)?;
            let (mut inner, mut open) = (sealed.clone(), sealed);
            if self.cipher.open(self.pieces, Mark::Inner, &mut inner) && inner.len() == PIECE {
                self.running.update(&inner);
                self.pieces += 1;
                continue;
            }
            let mut end = place(self.pieces);
            let length = open.len() as u64;
            if self.cipher.open(self.pieces, Mark::Open, &mut open) {
                self.running.update(&open);
                self.tail = open;
                end += length;
            }
            // What lies behind belongs to no upload any more, though its pieces may open.
            return self.file.set_len(end).map_err(StoreError::io("write the draft", &self.path));
        }
    }

    fn fetch(&self, number: u64) -> Result<Vec<u8>, StoreError> {
        fetch(&self.file, number).map_err(StoreError::io("read the draft", &self.path))
    }

    /// How many bytes have been taken: the next one goes there.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.running.size
    }

    /// What the bytes so far come to.
    #[must_use]
    pub fn sums(&self) -> Sums {
        self.running.sums()
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`]: the disk is full, for one. The draft stays as it was at a piece's end.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        self.running.update(bytes);
        while !bytes.is_empty() {
            // Only now is it certain that the piece is not the last.
            if self.tail.len() == PIECE {
                self.put(Mark::Inner)?;
                self.pieces += 1;
                self.tail.clear();
            }
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - self.tail.len()));
            self.tail.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    fn put(&mut self, mark: Mark<'_>) -> Result<(), StoreError> {
        let mut sealed = std::mem::take(&mut self.sealed);
        self.cipher.seal(self.pieces, mark, &self.tail, &mut self.random, &mut sealed)?;
        let written = self.file.write_all_at(&sealed, place(self.pieces));
        let end = place(self.pieces) + sealed.len() as u64;
        self.sealed = sealed;
        let trimmed = if matches!(mark, Mark::Inner) { Ok(()) } else { self.file.set_len(end) };
        written.and(trimmed).map_err(StoreError::io("write the draft", &self.path))
    }

    /// Makes everything taken so far durable, to go on later, after a restart too. Answers the offset.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn pause(mut self) -> Result<u64, StoreError> {
        self.put(Mark::Open)?;
        self.file.sync_all().map_err(StoreError::io("write the draft", &self.path))?;
        self.inner.park(self.draft, (*self.running).clone());
        Ok(self.offset())
    }

    /// Ends the blob and gives it its place: it is durable and whole under its ID, or not there.
    ///
    /// # Errors
    /// As [`Writer::write`]; the draft stays.
    pub fn finish(mut self) -> Result<BlobId, StoreError> {
        let id = self.inner.name(&self.running.blake3.finalize());
        self.put(Mark::Last(&id))?;
        self.file.sync_all().map_err(StoreError::io("write the draft", &self.path))?;
        let place = self.inner.make_place(&id)?;
        fs::rename(&self.path, &place).map_err(StoreError::io("put in place the blob", &place))?;
        self.inner.unpark(&self.draft);
        if let Some(folder) = place.parent() {
            File::open(folder).and_then(|f| f.sync_all()).map_err(StoreError::io("sync the folder", folder))?;
        }
        Ok(id)
    }

    /// Throws the draft away.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn discard(self) -> Result<(), StoreError> {
        self.inner.unpark(&self.draft);
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove the draft", &self.path)(e)),
            _ => Ok(()),
        }
    }
}
