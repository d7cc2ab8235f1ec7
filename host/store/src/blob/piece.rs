//! A blob's file: a head, then its content in sealed pieces.
//!
//! Head: the format's name and a salt (32 random bytes), from which, with the key ring, the file's own key is made.
//! Piece: nonce (12 random bytes), ciphertext of at most [`PIECE`] bytes, tag (16 bytes), under AES-256-GCM. The
//! associated data are the head, the piece's number and what it is. The last piece also carries the blob's ID, and only
//! the last says that it is the last: a file that was cut, put in another order, mixed with another's pieces or given
//! another's name does not open.

use std::{fs::File, io, os::unix::fs::FileExt};

use aws_lc_rs::{
    aead::{Aad, LessSafeKey, Nonce},
    hkdf,
};

use super::BlobId;
use crate::{
    StoreError,
    keyring::{self, KeyRingError, Secret},
    random::Random,
};

/// Bytes of content in every piece but the last.
pub(super) const PIECE: usize = 64 * 1024;
const NONCE: usize = 12;
const TAG: usize = 16;
const AROUND: usize = NONCE + TAG;
/// Bytes of a full piece in the file.
pub(super) const SEALED: usize = PIECE + AROUND;
const MAGIC: [u8; 8] = *b"ISTHBLB1";
pub(super) const HEAD: usize = MAGIC.len() + 32;

/// What a piece is.
#[derive(Clone, Copy)]
pub(super) enum Mark<'a> {
    /// Full, and not the last.
    Inner,
    /// The end of an upload that pauses: it is sealed anew when more comes.
    Open,
    /// The end of this blob.
    Last(&'a BlobId),
}

/// Where the pieces of a file of this length lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Pieces, the last included; at least one.
    pub(super) pieces: u64,
    /// Bytes of content.
    pub(super) size: u64,
}

impl Extent {
    /// None for a length that no file of ours has.
    pub(super) fn of(length: u64) -> Option<Extent> {
        let body = length.checked_sub(HEAD as u64)?;
        let pieces = body.div_ceil(SEALED as u64).max(1);
        let last = (body - (pieces - 1) * SEALED as u64).checked_sub(AROUND as u64)?;
        Some(Extent { pieces, size: (pieces - 1) * PIECE as u64 + last })
    }
}

/// Where a piece begins in the file.
pub(super) fn place(number: u64) -> u64 {
    HEAD as u64 + number * SEALED as u64
}

/// What seals and opens the pieces of one file.
pub(super) struct Cipher {
    head: [u8; HEAD],
    key: LessSafeKey,
}

impl Cipher {
    /// For a new file.
    pub(super) fn new(root: &Secret, random: &mut Random) -> Result<Cipher, StoreError> {
        let mut head = [0; HEAD];
        head[..MAGIC.len()].copy_from_slice(&MAGIC);
        head[MAGIC.len()..].copy_from_slice(&random.take::<32>()?);
        Cipher::of(root, head)
    }

    /// For a file that begins with `head`; none if it is no blob.
    pub(super) fn read(root: &Secret, file: &File) -> Result<Option<Cipher>, io::Error> {
        let mut head = [0; HEAD];
        match file.read_exact_at(&mut head, 0) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let known = head.starts_with(&MAGIC);
        Ok(known.then(|| Cipher::of(root, head).ok()).flatten())
    }

    fn of(root: &Secret, head: [u8; HEAD]) -> Result<Cipher, StoreError> {
        let fault = |_| KeyRingError::Crypto("making a blob's key");
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &head[MAGIC.len()..]).extract(root);
        let mut key = [0; 32];
        prk.expand(&[b"isthmus blob"], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut key)).map_err(fault)?;
        Ok(Cipher { head, key: keyring::cipher(&key)? })
    }

    pub(super) fn head(&self) -> &[u8; HEAD] {
        &self.head
    }

    fn aad(&self, number: u64, mark: Mark<'_>) -> Vec<u8> {
        let (what, id) = match mark {
            Mark::Inner => (0, &[][..]),
            Mark::Open => (1, &[][..]),
            Mark::Last(id) => (2, &id.0[..]),
        };
        [&self.head[..], &number.to_be_bytes(), &[what], id].concat()
    }

    /// Seals `plain` as piece `number` into `out`.
    pub(super) fn seal(
        &self,
        number: u64,
        mark: Mark<'_>,
        plain: &[u8],
        random: &mut Random,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let nonce = random.take::<NONCE>()?;
        out.clear();
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let aad = self.aad(number, mark);
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut out[NONCE..])
            .map_err(|_| KeyRingError::Crypto("sealing a blob"))?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens a piece in place: what is left in `sealed` is its content. False if it is not this piece, whole.
    pub(super) fn open(&self, number: u64, mark: Mark<'_>, sealed: &mut Vec<u8>) -> bool {
        let Some((nonce, body)) = sealed.split_first_chunk_mut::<NONCE>() else { return false };
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let Ok(plain) = self.key.open_in_place(nonce, Aad::from(self.aad(number, mark)), body) else { return false };
        let length = plain.len();
        sealed.copy_within(NONCE..NONCE + length, 0);
        sealed.truncate(length);
        true
    }
}

/// The bytes of piece `number` as they lie in the file; short or empty at its end.
pub(super) fn fetch(file: &File, number: u64) -> Result<Vec<u8>, io::Error> {
    let mut sealed = vec![0; SEALED];
    let mut filled = 0;
    while filled < SEALED {
        match file.read_at(&mut sealed[filled..], place(number) + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    sealed.truncate(filled);
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_length_tells_the_contents_size() {
        let check = |size: usize, pieces: u64| {
            let last = size - (pieces as usize - 1) * PIECE;
            let length = place(pieces - 1) + (last + AROUND) as u64;
            assert_eq!(Extent::of(length), Some(Extent { pieces, size: size as u64 }), "{size}");
        };
        check(0, 1);
        check(1, 1);
        check(PIECE - 1, 1);
        check(PIECE, 1);
        check(PIECE + 1, 2);
        check(3 * PIECE, 3);
        for impossible in [0, HEAD, HEAD + AROUND - 1, HEAD + SEALED + 1, HEAD + SEALED + AROUND - 1] {
            assert_eq!(Extent::of(impossible as u64), None, "{impossible}");
        }
    }
}
