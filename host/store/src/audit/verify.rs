//! Verifying the log from its files alone.
//!
//! From the entries every hash is computed again and compared with the tiles; the root must be the one that the
//! checkpoint signs. Where entries and tiles differ, the checkpoint's root says which of them is wrong. With the key
//! ring, every record must open and match its entry, and the checkpoint's key must be the one that the key ring yields.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Hash,
    bundle::{self, Content},
    export::{CHECKPOINT, KEY},
    keys,
    layout::{self, Kind, Piece, WIDTH},
    merkle::{self, Frontier},
    note::{self, Body, Signer, Verifier},
};
use crate::{KeyRing, StoreError, seal::Seals};

/// Problems beyond this number are only counted.
const LISTED: usize = 1000;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// In which file, relative to the audit folder.
    pub file: PathBuf,
    /// At which leaf, where that can be said.
    pub index: Option<u64>,
    /// What, in plain words.
    pub what: String,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Leaves that the checkpoint covers.
    pub size: u64,
    /// Root of the tree, as recomputed from the entries.
    pub root: Hash,
    /// The log's name, from the checkpoint.
    pub origin: String,
    /// Names of further signers (witnesses) on the checkpoint; their signatures are not checked here.
    pub witnesses: Vec<String>,
    /// Records that match their commitments; 0 without a key ring.
    pub records: u64,
    /// Records that were erased by the operator; 0 without a key ring.
    pub erased: u64,
    /// Everything that is wrong; empty if the log is whole.
    pub problems: Vec<Problem>,
    /// Further problems, not listed.
    pub unlisted: u64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem(&mut self, file: impl Into<PathBuf>, index: Option<u64>, what: impl Into<String>) {
        if self.problems.len() < LISTED {
            self.problems.push(Problem { file: file.into(), index, what: what.into() });
        } else {
            self.unlisted += 1;
        }
    }

    fn unreadable(&mut self, dir: &Path, file: PathBuf, error: &StoreError) {
        let cause = std::error::Error::source(error).map(|e| format!(": {e}")).unwrap_or_default();
        self.problem(file.strip_prefix(dir).map(Path::to_owned).unwrap_or(file), None, format!("{error}{cause}"));
    }
}

/// Verifies the log in `dir` (`…/audit`); with a key ring also each record against its commitment. Works while a server
/// writes to it. Memory: 64 bytes for every 256 leaves.
///
/// # Errors
/// If the key ring cannot be used. Whatever is wrong with the log is in the report.
pub fn verify(dir: &Path, keyring: Option<&Path>) -> Result<Report, StoreError> {
    let ring = keyring.map(KeyRing::open).transpose()?;
    let mut report = Report::default();
    let Some(body) = checkpoint(dir, ring.as_ref(), &mut report)? else { return Ok(report) };
    let loaded = keys::load(dir, ring.as_ref());
    for problem in loaded.problems {
        report.unreadable(dir, "keys".into(), &problem);
    }
    if ring.is_some() && loaded.seals.is_none() {
        report.problem("keys", None, "holds no data key that this key ring opens");
    }
    let seals = loaded.seals.filter(|_| ring.is_some());
    let mut walk = Walk {
        dir,
        seals: seals.as_ref(),
        report: &mut report,
        from_entries: Side::default(),
        from_tiles: Side::default(),
        differ: Vec::new(),
    };
    for (entries, records) in layout::pieces(Kind::Entries, body.size).zip(layout::pieces(Kind::Records, body.size)) {
        walk.piece(entries, records);
    }
    walk.judge(&body);
    Ok(report)
}

/// Reads `key.pub` and `checkpoint`. A checkpoint whose signature is wrong still says a size to look at.
fn checkpoint(dir: &Path, ring: Option<&KeyRing>, report: &mut Report) -> Result<Option<Body>, StoreError> {
    let mut read = |name: &str| match fs::read_to_string(dir.join(name)) {
        Ok(text) => Some(text),
        Err(e) => {
            report.problem(name, None, format!("cannot be read: {e}"));
            None
        }
    };
    let (Some(key), Some(note)) = (read(KEY), read(CHECKPOINT)) else { return Ok(None) };
    let Some(verifier) = Verifier::decode(&key) else {
        report.problem(KEY, None, "is not a verifier key");
        return Ok(None);
    };
    if let Some(ring) = ring
        && Signer::derive(ring, &verifier.name).ok().as_ref().map(Signer::verifier) != Some(&verifier)
    {
        report.problem(KEY, None, "is not the key that this key ring yields for the log");
    }
    let checked = match note::check(&note, &verifier) {
        Ok(checked) => checked,
        Err(what) => {
            report.problem(CHECKPOINT, None, what);
            return Ok(None);
        }
    };
    report.size = checked.body.size;
    report.origin.clone_from(&checked.body.origin);
    report.witnesses = checked.witnesses;
    Ok(Some(checked.body))
}

/// A tree computed from one of the two sources.
#[derive(Default)]
struct Side {
    frontier: Frontier,
    /// Roots of full tiles of level 0.
    tiles: Vec<Hash>,
}

impl Side {
    fn add(&mut self, hashes: &[Hash]) {
        hashes.iter().for_each(|hash| self.frontier.push(*hash));
        if hashes.len() as u64 == WIDTH {
            self.tiles.push(merkle::perfect(hashes));
        }
    }
}

struct Walk<'a> {
    dir: &'a Path,
    seals: Option<&'a Seals>,
    report: &'a mut Report,
    from_entries: Side,
    from_tiles: Side,
    /// Leaves whose entry and tile disagree: index, entries file, tile file.
    differ: Vec<(u64, PathBuf, PathBuf)>,
}

impl Walk<'_> {
    fn piece(&mut self, entries: Piece, records: Piece) {
        let tile = Piece { kind: Kind::Tile(0), ..entries };
        let listed = self.list(entries, bundle::decode_entries);
        let hashes = self.list(tile, bundle::decode_hashes);
        let leaves = listed.as_ref().map(|(_, entries)| entries.iter().map(|e| merkle::leaf(e)).collect::<Vec<_>>());
        // Where one source is unreadable, the other stands in: its root still tells whether it is right.
        let (a, b) = (leaves.as_ref(), hashes.as_ref().map(|(_, hashes)| hashes));
        self.from_entries.add(a.or(b).map_or(&[], |h| &h[..]));
        self.from_tiles.add(b.or(a).map_or(&[], |h| &h[..]));
        if let (Some((entries_file, _)), Some(leaves), Some((tile_file, hashes))) = (&listed, &leaves, &hashes) {
            let pairs = (entries.n * WIDTH..).zip(leaves.iter().zip(hashes));
            let differ = pairs.filter(|(_, (leaf, hash))| leaf != hash);
            self.differ.extend(differ.take(LISTED).map(|(index, _)| (index, entries_file.clone(), tile_file.clone())));
        }
        self.records(records, listed.as_ref().map(|(_, entries)| &entries[..]));
    }

    fn list(&mut self, piece: Piece, decode: fn(&[u8]) -> Option<Vec<Hash>>) -> Option<(PathBuf, Vec<Hash>)> {
        let (path, bytes) = self.read(piece)?;
        let mut hashes = decode(&bytes).unwrap_or_default();
        // A file of another name is one that a running server has put in the place of this one, and longer.
        let (held, exact) = (hashes.len() as u64, path == piece.path());
        if held < piece.width || exact && held > piece.width {
            self.report.problem(path, Some(piece.n * WIDTH), format!("is not a list of {} hashes", piece.width));
            return None;
        }
        hashes.truncate(usize::try_from(piece.width).unwrap_or(usize::MAX));
        Some((path, hashes))
    }

    fn read(&mut self, piece: Piece) -> Option<(PathBuf, Vec<u8>)> {
        match layout::read(self.dir, piece) {
            Ok(read) => Some(read),
            Err(error) => {
                self.report.unreadable(self.dir, piece.path(), &error);
                None
            }
        }
    }

    fn records(&mut self, piece: Piece, entries: Option<&[Hash]>) {
        let Some((path, bytes)) = self.read(piece) else { return };
        let sound = bundle::check_records(&bytes);
        let frames = bundle::raw_frames(&bytes).and_then(bundle::split_frames).unwrap_or_default();
        let before = self.report.problems.len();
        if (frames.len() as u64) < piece.width && sound.is_ok() {
            self.report.problem(&path, None, format!("holds {} records of {}", frames.len(), piece.width));
        }
        if let Some(seals) = self.seals {
            let width = usize::try_from(piece.width).unwrap_or(usize::MAX);
            for (at, (index, frame)) in (piece.n * WIDTH..).zip(frames.into_iter().take(width)).enumerate() {
                self.record(&path, index, frame.open(seals, index), entries.map(|e| e[at]));
            }
        }
        // Only where no single record could be blamed.
        if let Err(what) = sound
            && self.report.problems.len() == before
        {
            self.report.problem(path, None, what);
        }
    }

    fn record(&mut self, path: &Path, index: u64, content: Option<Content>, entry: Option<Hash>) {
        match content {
            None => self.report.problem(
                path,
                Some(index),
                "the record does not open: altered, moved, or sealed by a missing key",
            ),
            Some(Content::Erased(_)) => self.report.erased += 1,
            Some(Content::Record(salted)) if entry.is_none_or(|entry| entry == salted.entry()) => {
                self.report.records += 1
            }
            Some(Content::Record(_)) => {
                self.report.problem(path, Some(index), "the record does not match its entry in the log")
            }
        }
    }

    fn judge(mut self, body: &Body) {
        let (entries_hold, tiles_hold) =
            (self.from_entries.frontier.root() == body.root, self.from_tiles.frontier.root() == body.root);
        for (index, entries, tile) in std::mem::take(&mut self.differ) {
            match (entries_hold, tiles_hold) {
                (true, _) => self.report.problem(
                    tile,
                    Some(index),
                    "the hash is not that of the entry, which the checkpoint confirms",
                ),
                (false, true) => self.report.problem(
                    entries,
                    Some(index),
                    "the entry is not the one whose hash the checkpoint confirms",
                ),
                (false, false) => self.report.problem(
                    entries,
                    Some(index),
                    format!("the entry and its hash in {} differ", tile.display()),
                ),
            }
        }
        if !entries_hold && !tiles_hold {
            self.report.problem(
                CHECKPOINT,
                None,
                "signs another root than that of the entries: the log was rewritten or cut",
            );
        }
        self.report.root = self.from_entries.frontier.root();
        let lower = if tiles_hold && !entries_hold { self.from_tiles.tiles } else { self.from_entries.tiles };
        Upper { dir: self.dir, report: self.report }.check(lower, body.size);
    }
}

/// The tiles above level 0.
struct Upper<'a> {
    dir: &'a Path,
    report: &'a mut Report,
}

impl Upper<'_> {
    fn check(mut self, mut lower: Vec<Hash>, size: u64) {
        for level in 1..8 {
            let mut roots = Vec::new();
            for (piece, computed) in layout::pieces(Kind::Tile(level), size).zip(lower.chunks(256)) {
                self.report_tile(piece, computed);
                if computed.len() as u64 == WIDTH {
                    roots.push(merkle::perfect(computed));
                }
            }
            lower = roots;
        }
    }

    fn report_tile(&mut self, piece: Piece, computed: &[Hash]) {
        let (path, bytes) = match layout::read(self.dir, piece) {
            Ok(read) => read,
            Err(error) => return self.report.unreadable(self.dir, piece.path(), &error),
        };
        let stored = bundle::decode_hashes(&bytes).unwrap_or_default();
        if stored.len() < computed.len() {
            return self.report.problem(path, None, format!("is not a list of {} hashes", computed.len()));
        }
        for (at, _) in computed.iter().zip(&stored).enumerate().filter(|(_, (a, b))| a != b) {
            let span = 1_u64 << (8 * piece.level());
            let first = (piece.n * WIDTH + at as u64).saturating_mul(span);
            self.report.problem(
                &path,
                Some(first),
                format!("the hash over leaves {first} and after is not that of the tiles below"),
            );
        }
    }
}
