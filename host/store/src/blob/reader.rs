//! Reading a kept blob, anywhere in it.

use std::{
    fs::File,
    io,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use super::{
    BlobId,
    piece::{Cipher, Extent, Mark, PIECE, fetch},
};
use crate::{StoreError, keyring::Secret};

/// A kept blob. It can be read to its end even if it is deleted meanwhile. Reads block.
pub struct Blob {
    id: BlobId,
    path: PathBuf,
    file: File,
    cipher: Cipher,
    extent: Extent,
    /// The piece that was read in part last: small steps through a blob do not open a piece again and again.
    at_hand: Mutex<Option<(u64, Vec<u8>)>>,
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blob({}, {} bytes)", self.id, self.extent.size)
    }
}

impl Blob {
    /// The last piece is opened at once: it says that nothing is missing behind it and that this is the blob asked for.
    pub(super) fn open(root: &Secret, id: BlobId, path: PathBuf) -> Result<Option<Blob>, StoreError> {
        let file = match File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(StoreError::io("open the blob", &path))?,
        };
        let length = file.metadata().map_err(StoreError::io("open the blob", &path))?.len();
        let cipher = Cipher::read(root, &file).map_err(StoreError::io("read the blob", &path))?;
        let (Some(cipher), Some(extent)) = (cipher, Extent::of(length)) else {
            return Err(StoreError::DamagedBlob { path, piece: 0 });
        };
        let blob = Blob { id, path, file, cipher, extent, at_hand: Mutex::new(None) };
        blob.piece(extent.pieces - 1)?;
        Ok(Some(blob))
    }

    /// Its ID.
    #[must_use]
    pub fn id(&self) -> BlobId {
        self.id
    }

    /// Bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.extent.size
    }

    /// The bytes from `offset` on, `len` of them or as many as there are.
    ///
    /// # Errors
    /// [`StoreError::DamagedBlob`] if the file was altered there, [`StoreError::Io`].
    pub fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, StoreError> {
        let end = offset.saturating_add(len as u64).min(self.size());
        let mut at = offset;
        let mut out = Vec::with_capacity(usize::try_from(end.saturating_sub(offset)).unwrap_or(0));
        while at < end {
            let (number, skip) = (at / PIECE as u64, usize::try_from(at % PIECE as u64).unwrap_or(0));
            let wanted = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE - skip);
            if skip == 0 && wanted == PIECE {
                out.append(&mut self.piece(number)?);
            } else {
                self.part(number, skip, wanted, &mut out)?;
            }
            at += wanted as u64;
        }
        Ok(out)
    }

    fn part(&self, number: u64, skip: usize, wanted: usize, out: &mut Vec<u8>) -> Result<(), StoreError> {
        let mut at_hand = self.at_hand.lock().unwrap_or_else(PoisonError::into_inner);
        if at_hand.as_ref().is_none_or(|(held, _)| *held != number) {
            *at_hand = Some((number, self.piece(number)?));
        }
        let content = at_hand.as_ref().map_or(&[][..], |(_, content)| content);
        let damaged = || StoreError::DamagedBlob { path: self.path.clone(), piece: number };
        out.extend_from_slice(content.get(skip..skip + wanted).ok_or_else(damaged)?);
        Ok(())
    }

    fn piece(&self, number: u64) -> Result<Vec<u8>, StoreError> {
        let mut sealed = fetch(&self.file, number).map_err(StoreError::io("read the blob", &self.path))?;
        let last = number + 1 == self.extent.pieces;
        let mark = if last { Mark::Last(&self.id) } else { Mark::Inner };
        let whole = self.cipher.open(number, mark, &mut sealed) && (last || sealed.len() == PIECE);
        if whole { Ok(sealed) } else { Err(StoreError::DamagedBlob { path: self.path.clone(), piece: number }) }
    }
}
