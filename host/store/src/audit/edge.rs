//! The right edge of the exported log: everything that appending to its files needs.

use std::path::Path;

use super::{
    bundle::{self, encode_entry},
    layout::{self, Kind, Output, Piece, WIDTH, damaged},
    merkle::{self, Frontier, Hash},
    pending::Salted,
};
use crate::{
    StoreError,
    seal::{Scratch, Seals},
};

/// Incomplete tiles and bundles, in memory.
#[derive(Clone, Default)]
pub(crate) struct Edge {
    pub(crate) frontier: Frontier,
    /// For each tile level, the hashes of its incomplete tile.
    levels: Vec<Vec<Hash>>,
    entries: Vec<u8>,
    frames: Vec<u8>,
}

impl Edge {
    /// Reads the edge of a log of `size` leaves from its files. Whether it has the root that it should is for the
    /// caller to check.
    pub(crate) fn load(dir: &Path, size: u64) -> Result<Edge, StoreError> {
        let mut edge = Edge::default();
        let mut hashes = size;
        for level in 0_u8.. {
            if hashes == 0 {
                break;
            }
            let piece = Piece { kind: Kind::Tile(level), n: hashes / WIDTH, width: hashes % WIDTH };
            edge.levels.push(tile(dir, piece)?);
            hashes /= WIDTH;
        }
        let width = size % WIDTH;
        if width > 0 {
            let piece = Piece { kind: Kind::Entries, n: size / WIDTH, width };
            edge.entries = entries(dir, piece)?;
            edge.frames = frames(dir, Piece { kind: Kind::Records, ..piece })?;
        }
        edge.frontier = Frontier::of_edge(size, &edge.levels);
        Ok(edge)
    }

    /// Appends a record; files that it completes are put out.
    pub(crate) fn append(
        &mut self,
        salted: &Salted,
        seals: &Seals,
        scratch: &mut Scratch,
        out: &mut Output<'_>,
    ) -> Result<(), StoreError> {
        let (index, entry) = (self.frontier.size(), salted.entry());
        let leaf = merkle::leaf(&entry);
        encode_entry(&entry, &mut self.entries);
        bundle::seal_record(seals, scratch, index, salted, &mut self.frames)?;
        self.frontier.push(leaf);
        self.add(0, leaf, out)
    }

    fn add(&mut self, level: u8, hash: Hash, out: &mut Output<'_>) -> Result<(), StoreError> {
        let place = usize::from(level);
        if self.levels.len() <= place {
            self.levels.resize(place + 1, Vec::new());
        }
        self.levels[place].push(hash);
        if self.levels[place].len() as u64 == WIDTH {
            if level == 0 {
                self.put_bundles(out, WIDTH)?;
                self.entries.clear();
                self.frames.clear();
            }
            self.put_tile(level, out)?;
            let full = std::mem::take(&mut self.levels[place]);
            self.add(level + 1, merkle::perfect(&full), out)?;
        }
        Ok(())
    }

    /// Puts out the incomplete files.
    pub(crate) fn put_partial(&self, out: &mut Output<'_>) -> Result<(), StoreError> {
        if !self.frontier.size().is_multiple_of(WIDTH) {
            self.put_bundles(out, self.frontier.size() % WIDTH)?;
        }
        (0_u8..)
            .zip(&self.levels)
            .filter(|(_, hashes)| !hashes.is_empty())
            .try_for_each(|(level, _)| self.put_tile(level, out))
    }

    fn put_bundles(&self, out: &mut Output<'_>, width: u64) -> Result<(), StoreError> {
        let n = (self.frontier.size() - 1) / WIDTH;
        out.put(&Piece { kind: Kind::Entries, n, width }.path(), &self.entries)?;
        out.put(&Piece { kind: Kind::Records, n, width }.path(), &bundle::encode_records(&self.frames))
    }

    fn put_tile(&self, level: u8, out: &mut Output<'_>) -> Result<(), StoreError> {
        let hashes = &self.levels[usize::from(level)];
        // The tile that the last leaf lies under; a full one is put out before the next begins.
        let n = ((self.frontier.size() - 1) >> (8 * u32::from(level))) / WIDTH;
        let n = if hashes.len() as u64 == WIDTH { n } else { (self.frontier.size() >> (8 * u32::from(level))) / WIDTH };
        out.put(&Piece { kind: Kind::Tile(level), n, width: hashes.len() as u64 }.path(), hashes.as_flattened())
    }

    /// The frames of the incomplete record bundle were rewritten on the disk.
    pub(crate) fn set_frames(&mut self, frames: Vec<u8>) {
        self.frames = frames;
    }
}

fn tile(dir: &Path, piece: Piece) -> Result<Vec<Hash>, StoreError> {
    if piece.width == 0 {
        return Ok(Vec::new());
    }
    let (path, bytes) = layout::read(dir, piece)?;
    let mut hashes = bundle::decode_hashes(&bytes).ok_or_else(|| damaged(&path, "is not a list of hashes"))?;
    cut(&mut hashes, piece, &path)?;
    Ok(hashes)
}

/// A superseding file is longer: only its beginning counts.
pub(crate) fn cut<T>(items: &mut Vec<T>, piece: Piece, path: &Path) -> Result<(), StoreError> {
    let width = usize::try_from(piece.width).unwrap_or(usize::MAX);
    if items.len() < width {
        return Err(damaged(path, format!("ends after {} of {width} parts", items.len())));
    }
    items.truncate(width);
    Ok(())
}

fn entries(dir: &Path, piece: Piece) -> Result<Vec<u8>, StoreError> {
    let (path, bytes) = layout::read(dir, piece)?;
    let mut entries = bundle::decode_entries(&bytes).ok_or_else(|| damaged(&path, "is not a list of entries"))?;
    cut(&mut entries, piece, &path)?;
    let mut out = Vec::with_capacity(bytes.len());
    entries.iter().for_each(|entry| encode_entry(entry, &mut out));
    Ok(out)
}

fn frames(dir: &Path, piece: Piece) -> Result<Vec<u8>, StoreError> {
    let (path, bytes) = layout::read(dir, piece)?;
    let frames = bundle::check_records(&bytes).map_err(|what| damaged(&path, what))?;
    let mut frames = bundle::split_frames(frames).ok_or_else(|| damaged(&path, "is cut off"))?;
    cut(&mut frames, piece, &path)?;
    let mut out = Vec::with_capacity(bytes.len());
    frames.into_iter().for_each(|frame| frame.copy(&mut out));
    Ok(out)
}
