//! The contents of entry bundles and record bundles.
//!
//! A record bundle is a line that names its format, then for each leaf a frame: kind (0 record, 1 erased), length
//! (u32), a sealed value (salt and record, or the note on its erasure) bound to kind and leaf index; at the end the
//! BLAKE3 hash of all before, so that rot is found even without the key ring.

use super::{merkle::Hash, pending::Salted};
use crate::{
    StoreError,
    seal::{OVERHEAD, Scratch, Seals},
};

const FORMAT: &[u8] = b"isthmus audit records 1, AES-256-GCM, BLAKE3\n";
const RECORD: u8 = 0;
const ERASED: u8 = 1;

pub(crate) fn encode_entry(entry: &Hash, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 32]);
    out.extend_from_slice(entry);
}

/// The entries of a bundle; `None` if it is anything but entries of 32 bytes.
pub(crate) fn decode_entries(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (entries, tail) = bytes.as_chunks::<34>();
    if !tail.is_empty() {
        return None;
    }
    entries.iter().map(|e| e.strip_prefix(&[0, 32])?.try_into().ok()).collect()
}

pub(crate) fn decode_hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, tail) = bytes.as_chunks::<32>();
    tail.is_empty().then(|| hashes.to_vec())
}

/// What stands in a record bundle for one leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Record(Salted),
    Erased(Vec<u8>),
}

/// A frame, still sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    kind: u8,
    sealed: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(crate) fn open(self, seals: &Seals, index: u64) -> Option<Content> {
        let plain = seals.open(&place(self.kind, index), self.sealed)?;
        match self.kind {
            RECORD => {
                let (salt, record) = plain.split_first_chunk::<16>()?;
                Some(Content::Record(Salted { salt: *salt, record: record.to_vec() }))
            }
            ERASED => Some(Content::Erased(plain)),
            _ => None,
        }
    }

    pub(crate) fn copy(self, out: &mut Vec<u8>) {
        out.push(self.kind);
        out.extend_from_slice(&u32::try_from(self.sealed.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(self.sealed);
    }

    fn split(bytes: &'a [u8]) -> Option<(Frame<'a>, &'a [u8])> {
        let (kind, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (sealed, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        Some((Frame { kind: *kind, sealed }, rest))
    }
}

fn place(kind: u8, index: u64) -> [u8; 22] {
    let mut place = *b"audit-record\0K01234567";
    place[13] = kind;
    place[14..].copy_from_slice(&index.to_be_bytes());
    place
}

pub(crate) fn seal_record(
    seals: &Seals,
    scratch: &mut Scratch,
    index: u64,
    salted: &Salted,
    out: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let mut plain = Vec::with_capacity(16 + salted.record.len());
    plain.extend_from_slice(&salted.salt);
    plain.extend_from_slice(&salted.record);
    seal(seals, scratch, RECORD, index, &plain, out)
}

pub(crate) fn seal_erased(
    seals: &Seals,
    scratch: &mut Scratch,
    index: u64,
    note: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), StoreError> {
    seal(seals, scratch, ERASED, index, note, out)
}

fn seal(
    seals: &Seals,
    scratch: &mut Scratch,
    kind: u8,
    index: u64,
    plain: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let length = u32::try_from(plain.len() + OVERHEAD)
        .map_err(|_| StoreError::Malformed { what: "an audit record of 4 GiB" })?;
    out.push(kind);
    out.extend_from_slice(&length.to_be_bytes());
    let start = out.len();
    out.resize(start + plain.len() + OVERHEAD, 0);
    seals.seal_into(&seals.current(), &place(kind, index), plain, &mut out[start..], scratch)
}

/// A record bundle of these frames.
pub(crate) fn encode_records(frames: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FORMAT.len() + frames.len() + 32);
    out.extend_from_slice(FORMAT);
    out.extend_from_slice(frames);
    let hash = blake3::hash(&out);
    out.extend_from_slice(hash.as_bytes());
    out
}

/// The frames of a record bundle, as one piece; or what is wrong with the file.
pub(crate) fn check_records(bytes: &[u8]) -> Result<&[u8], &'static str> {
    let (body, hash) = bytes.split_last_chunk::<32>().ok_or("is too short")?;
    if blake3::hash(body) != blake3::Hash::from_bytes(*hash) {
        return Err("does not match its own hash");
    }
    body.strip_prefix(FORMAT).ok_or("has an unknown format")
}

/// The frames one by one; ends early with `None` at one that is cut off.
pub(crate) fn split_frames(mut frames: &[u8]) -> Option<Vec<Frame<'_>>> {
    let mut out = Vec::new();
    while !frames.is_empty() {
        let (frame, rest) = Frame::split(frames)?;
        out.push(frame);
        frames = rest;
    }
    Some(out)
}

/// The bytes between format line and hash, whether or not the hash is right: to say *which* record was damaged.
pub(crate) fn raw_frames(bytes: &[u8]) -> Option<&[u8]> {
    bytes.strip_prefix(FORMAT)?.split_last_chunk::<32>().map(|(frames, _)| frames)
}
