//! Where the log's files lie (C2SP tlog-tiles), how they are written, and how they are found again.
//!
//! | file | holds |
//! |---|---|
//! | `checkpoint` | the signed state of the log |
//! | `key.pub` | the verifier key of its signature |
//! | `tile/<level>/<n>[.p/<w>]` | 256 (or `w`) hashes |
//! | `tile/entries/<n>[.p/<w>]` | the entries below tile 0/n, each with its length (u16) |
//! | `records/<n>[.p/<w>]` | salts and records of the same leaves, sealed ([`super::bundle`]) |
//! | `keys/<number>` | wrapped data keys |
//!
//! A file is written aside, synced, renamed, and not changed again (save to erase a record): a longer partial file has
//! another name. The rename of `checkpoint` is the one switch from the old state to the new.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::AuditError;
use crate::StoreError;

/// Hashes in a tile, entries and records in a bundle.
pub(crate) const WIDTH: u64 = 256;

/// The kinds of numbered files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tile(u8),
    Entries,
    Records,
}

/// A full or partial tile or bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) kind: Kind,
    pub(crate) n: u64,
    /// 1 to 256; below 256 it is partial.
    pub(crate) width: u64,
}

impl Piece {
    pub(crate) fn path(self) -> PathBuf {
        let full = self.full();
        if self.width == WIDTH { full } else { partial_folder(&full).join(self.width.to_string()) }
    }

    /// The tile level; 0 for bundles.
    pub(crate) fn level(self) -> u8 {
        match self.kind {
            Kind::Tile(level) => level,
            Kind::Entries | Kind::Records => 0,
        }
    }

    fn full(self) -> PathBuf {
        let folder = match self.kind {
            Kind::Tile(level) => format!("tile/{level}"),
            Kind::Entries => "tile/entries".to_owned(),
            Kind::Records => "records".to_owned(),
        };
        PathBuf::from(format!("{folder}/{}", grouped(self.n)))
    }
}

/// In groups of three digits, all but the last with an `x`: 1234067 is `x001/x234/067`.
fn grouped(mut n: u64) -> String {
    let mut text = format!("{:03}", n % 1000);
    while n >= 1000 {
        n /= 1000;
        text = format!("x{:03}/{text}", n % 1000);
    }
    text
}

fn partial_folder(full: &Path) -> PathBuf {
    let mut name = full.as_os_str().to_owned();
    name.push(".p");
    PathBuf::from(name)
}

/// All pieces of `kind` of a log with `size` leaves.
pub(crate) fn pieces(kind: Kind, size: u64) -> impl Iterator<Item = Piece> {
    let hashes = match kind {
        Kind::Tile(level) => size.checked_shr(8 * u32::from(level)).unwrap_or(0),
        Kind::Entries | Kind::Records => size,
    };
    (0..hashes.div_ceil(WIDTH)).map(move |n| Piece { kind, n, width: WIDTH.min(hashes - n * WIDTH) })
}

/// Reads `piece`, or a longer file of the same number if it was superseded meanwhile. Answers the path that was read,
/// relative to `dir`.
pub(crate) fn read(dir: &Path, piece: Piece) -> Result<(PathBuf, Vec<u8>), StoreError> {
    let mut missing = io::Error::from(io::ErrorKind::NotFound);
    // A running server may replace the file between looking and reading.
    for _ in 0..5 {
        for path in candidates(dir, piece) {
            match fs::read(dir.join(&path)) {
                Ok(bytes) => return Ok((path, bytes)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => missing = e,
                Err(source) => return Err(StoreError::Io { step: "read", path: dir.join(path), source }),
            }
        }
    }
    Err(StoreError::Io { step: "read", path: dir.join(piece.path()), source: missing })
}

fn candidates(dir: &Path, piece: Piece) -> Vec<PathBuf> {
    let mut paths = vec![piece.path()];
    if piece.width < WIDTH {
        let longer = widths(dir, piece).into_iter().filter(|w| *w > piece.width);
        paths.extend(longer.map(|width| Piece { width, ..piece }.path()));
        paths.push(piece.full());
    }
    paths
}

/// Widths of the partial files of the same number, ascending.
fn widths(dir: &Path, piece: Piece) -> BTreeSet<u64> {
    let names = fs::read_dir(dir.join(partial_folder(&piece.full()))).into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Removes partial files that `piece` supersedes. What stays after a failure is only clutter.
pub(crate) fn tidy(dir: &Path, piece: Piece) {
    for width in widths(dir, piece).into_iter().filter(|w| *w < piece.width) {
        let _ = fs::remove_file(dir.join(Piece { width, ..piece }.path()));
    }
    if piece.width == WIDTH {
        let _ = fs::remove_dir(dir.join(partial_folder(&piece.full())));
    }
}

/// Writes files so that none is ever half there, and remembers which folders must be synced.
pub(crate) struct Output<'d> {
    dir: &'d Path,
    folders: BTreeSet<PathBuf>,
}

impl<'d> Output<'d> {
    pub(crate) fn new(dir: &'d Path) -> Output<'d> {
        Output { dir, folders: BTreeSet::new() }
    }

    pub(crate) fn put(&mut self, relative: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.dir.join(relative);
        let folder = path.parent().unwrap_or(self.dir).to_owned();
        self.make(&folder)?;
        let mut aside = path.clone().into_os_string();
        aside.push(".new");
        write_synced(Path::new(&aside), bytes)
            .and_then(|()| fs::rename(&aside, &path))
            .map_err(StoreError::io("write", path))?;
        self.folders.insert(folder);
        Ok(())
    }

    fn make(&mut self, folder: &Path) -> Result<(), StoreError> {
        if folder.is_dir() {
            return Ok(());
        }
        if let Some(parent) = folder.parent() {
            self.make(parent)?;
            self.folders.insert(parent.to_owned());
        }
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other.map_err(StoreError::io("make the folder", folder)),
        }
    }

    /// After this, all that was put is on the disk.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        while let Some(folder) = self.folders.pop_first() {
            fs::File::open(&folder).and_then(|f| f.sync_all()).map_err(StoreError::io("sync the folder", folder))?;
        }
        Ok(())
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

pub(crate) fn damaged(file: impl Into<PathBuf>, what: impl Into<String>) -> StoreError {
    AuditError::Damaged { file: file.into(), what: what.into() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_tlog_tiles() {
        let path = |kind, n, width| Piece { kind, n, width }.path().to_string_lossy().into_owned();
        assert_eq!(path(Kind::Tile(0), 0, 256), "tile/0/000");
        assert_eq!(path(Kind::Tile(3), 1_234_067, 256), "tile/3/x001/x234/067");
        assert_eq!(path(Kind::Tile(1), 1000, 7), "tile/1/x001/000.p/7");
        assert_eq!(path(Kind::Entries, 273, 112), "tile/entries/273.p/112");
        assert_eq!(path(Kind::Records, 5, 256), "records/005");
    }

    #[test]
    fn the_pieces_of_a_log_are_those_of_the_specification_example() {
        // C2SP tlog-tiles: a tree of size 70,000.
        let of = |kind| pieces(kind, 70_000).map(|p| (p.n, p.width)).collect::<Vec<_>>();
        assert_eq!(of(Kind::Tile(0)).len(), 274);
        assert_eq!(of(Kind::Tile(0)).last(), Some(&(273, 112)));
        assert_eq!(of(Kind::Tile(1)), [(0, 256), (1, 17)]);
        assert_eq!(of(Kind::Tile(2)), [(0, 1)]);
        assert_eq!(of(Kind::Tile(3)), []);
    }
}
