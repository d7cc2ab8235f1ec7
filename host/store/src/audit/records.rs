//! Reading records from the files.

use std::{
    collections::VecDeque,
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Numbered,
    bundle::{self, Content},
    edge::cut,
    export::{CHECKPOINT, KEY},
    keys,
    layout::{self, Kind, Piece, WIDTH, damaged},
    note::{self, Verifier},
};
use crate::{KeyRing, StoreError, seal::Seals};

/// The record bundles of a log with `size` leaves.
#[derive(Clone)]
pub(crate) struct RecordFiles {
    pub(crate) dir: PathBuf,
    pub(crate) seals: Arc<Seals>,
    pub(crate) size: u64,
}

impl RecordFiles {
    pub(crate) fn range(self, range: Range<u64>, reverse: bool) -> Records {
        let end = range.end.min(self.size);
        Records { files: self, left: range.start.min(end)..end, reverse, read: VecDeque::new() }
    }

    fn bundle(&self, n: u64) -> Result<Vec<Numbered>, StoreError> {
        let piece = Piece { kind: Kind::Records, n, width: WIDTH.min(self.size - n * WIDTH) };
        let (path, bytes) = layout::read(&self.dir, piece)?;
        let frames = bundle::check_records(&bytes).map_err(|what| damaged(&path, what))?;
        let mut frames = bundle::split_frames(frames).ok_or_else(|| damaged(&path, "is cut off"))?;
        cut(&mut frames, piece, &path)?;
        let opened = (n * WIDTH..).zip(frames).map(|(index, frame)| {
            let record = match frame.open(&self.seals, index) {
                Some(Content::Record(salted)) => Some(salted.record),
                Some(Content::Erased(_)) => None,
                None => return Err(damaged(&path, format!("holds a record ({index}) that does not open"))),
            };
            Ok(Numbered { index, record })
        });
        opened.collect()
    }
}

/// Iterator over exported records. A bundle that cannot be read is one error; the records after it follow.
pub struct Records {
    files: RecordFiles,
    left: Range<u64>,
    reverse: bool,
    read: VecDeque<Numbered>,
}

impl Iterator for Records {
    type Item = Result<Numbered, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.read.is_empty() {
            if self.left.is_empty() {
                return None;
            }
            let n = if self.reverse { (self.left.end - 1) / WIDTH } else { self.left.start / WIDTH };
            let wanted = self.left.start.max(n * WIDTH)..self.left.end.min((n + 1) * WIDTH);
            if self.reverse {
                self.left.end = wanted.start;
            } else {
                self.left.start = wanted.end;
            }
            match self.files.bundle(n) {
                Ok(records) => self.read.extend(records.into_iter().filter(|r| wanted.contains(&r.index))),
                Err(error) => return Some(Err(error)),
            }
        }
        let next = if self.reverse { self.read.pop_back() } else { self.read.pop_front() };
        next.map(Ok)
    }
}

/// The exported records with an index in `range` (cut to the log's size), from the last to the first with `reverse`.
/// Reads one bundle of 256 at a time. Does not verify the log: [`verify`](super::verify) does.
///
/// # Errors
/// If the key ring cannot be used or the log has no valid checkpoint.
pub fn records(dir: &Path, keyring: &Path, range: Range<u64>, reverse: bool) -> Result<Records, StoreError> {
    let ring = KeyRing::open(keyring)?;
    let text = |name: &str| fs::read_to_string(dir.join(name)).map_err(StoreError::io("read", dir.join(name)));
    let verifier = Verifier::decode(&text(KEY)?).ok_or_else(|| damaged(dir.join(KEY), "is not a verifier key"))?;
    let checked = note::check(&text(CHECKPOINT)?, &verifier).map_err(|what| damaged(dir.join(CHECKPOINT), what))?;
    let loaded = keys::load(dir, Some(&ring));
    let Some(seals) = loaded.seals else {
        let missing = damaged(dir.join("keys"), "holds no data key that this key ring opens");
        return Err(loaded.problems.into_iter().next().unwrap_or(missing));
    };
    Ok(RecordFiles { dir: dir.into(), seals: Arc::new(seals), size: checked.body.size }.range(range, reverse))
}
