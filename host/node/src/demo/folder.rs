//! The demo's data folder: who made it, on which ports, and what lies where.
//!
//! ```text
//! DIR/.isthmus-demo      marks the folder as a demo's and names its ports; locked while one runs
//! DIR/demo.json          see `record`
//! DIR/processes.json     process IDs of the running demo
//! DIR/platform/          platform.toml, data/, data.keyring, log
//! DIR/north/, DIR/south/ server.toml, data/, data.keyring, policy/ (watched), log
//! ```

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::DemoError;
use crate::file::{PRIVATE, write_whole};

const MARK: &str = ".isthmus-demo";
/// Everything a demo writes below its folder, beside the mark.
const OURS: &[&str] = &["demo.json", "processes.json", "ca.pem", "platform", "north", "south", "bundles", "tampered"];
/// The last port is base + 22.
const PORTS: u16 = 22;

/// What to do with a folder in which an earlier demo ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// Its servers, users and messages live on.
    Reuse,
    /// Everything that demo wrote is deleted.
    Clear,
}

/// The folder, locked for this process.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    ports: Ports,
    _lock: File,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    port_base: u16,
}

impl Folder {
    /// Opens or makes the folder `root`. `asked` is `--port-base`, `otherwise` its default.
    ///
    /// # Errors
    /// [`DemoError::Foreign`], [`DemoError::Busy`], [`DemoError::OtherPorts`], [`DemoError::PortBase`],
    /// [`DemoError::File`].
    pub fn open(root: &Path, earlier: Earlier, asked: Option<u16>, otherwise: u16) -> Result<Folder, DemoError> {
        std::fs::create_dir_all(root).map_err(DemoError::at(root))?;
        let root = root.canonicalize().map_err(DemoError::at(root))?;
        let path = root.join(MARK);
        if !path.exists() && !is_empty(&root)? {
            return Err(DemoError::Foreign(root));
        }
        let mut mark = lock(&root, &path)?;
        let mut text = String::new();
        mark.read_to_string(&mut text).map_err(DemoError::at(&path))?;
        let mut made = serde_json::from_str::<Mark>(&text).ok().map(|m| m.port_base);
        if earlier == Earlier::Clear {
            clear(&root)?;
            made = None;
        }
        let base = match (made, asked) {
            (Some(made), Some(asked)) if made != asked => {
                return Err(DemoError::OtherPorts { folder: root, made });
            }
            (made, asked) => made.or(asked).unwrap_or(otherwise),
        };
        let ports = Ports::from(base)?;
        write_mark(&mut mark, base).map_err(DemoError::at(&path))?;
        Ok(Folder { root, ports, _lock: mark })
    }

    /// Its absolute path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The ports of everything in it.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The folder of `platform`, `north` or `south`.
    #[must_use]
    pub fn of(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Where `demo.json` is.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.root.join("demo.json")
    }
}

/// Ports counted from one base, all on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    base: u16,
}

impl Ports {
    /// Base 7700: platform 7700 and 7701, north 7710 to 7712, south 7720 to 7722.
    ///
    /// # Errors
    /// [`DemoError::PortBase`].
    pub fn from(base: u16) -> Result<Ports, DemoError> {
        match base.checked_add(PORTS) {
            Some(_) if base > 0 => Ok(Ports { base }),
            _ => Err(DemoError::PortBase(base)),
        }
    }

    /// The platform's API and administration.
    #[must_use]
    pub fn platform(self) -> [u16; 2] {
        [self.base, self.base + 1]
    }

    /// Interconnect, client and admin listeners of the `index`th server (0 north, 1 south).
    #[must_use]
    pub fn server(self, index: u16) -> [u16; 3] {
        let first = self.base + 10 * (index + 1);
        [first, first + 1, first + 2]
    }
}

/// Writes a file that its owner alone may read.
///
/// # Errors
/// [`DemoError::File`].
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), DemoError> {
    write_whole(path, text, PRIVATE).map_err(DemoError::at(path))
}

/// Copies a folder with everything below it; `into` must not exist yet.
///
/// # Errors
/// [`DemoError::File`].
pub(super) fn copy_folder(from: &Path, into: &Path) -> Result<(), DemoError> {
    std::fs::create_dir_all(into).map_err(DemoError::at(into))?;
    for entry in std::fs::read_dir(from).map_err(DemoError::at(from))? {
        let entry = entry.map_err(DemoError::at(from))?;
        let (source, target) = (entry.path(), into.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            std::fs::copy(&source, &target).map_err(DemoError::at(&source))?;
        }
    }
    Ok(())
}

fn is_empty(folder: &Path) -> Result<bool, DemoError> {
    Ok(std::fs::read_dir(folder).map_err(DemoError::at(folder))?.next().is_none())
}

fn lock(root: &Path, path: &Path) -> Result<File, DemoError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(DemoError::at(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DemoError::Busy(root.to_owned())),
        Err(TryLockError::Error(source)) => Err(DemoError::at(path)(source)),
    }
}

fn write_mark(file: &mut File, port_base: u16) -> std::io::Result<()> {
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(&serde_json::to_vec(&Mark { port_base })?)
}

fn clear(root: &Path) -> Result<(), DemoError> {
    for name in OURS {
        let path = root.join(name);
        let gone = match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => std::fs::remove_dir_all(&path),
            Ok(_) => std::fs::remove_file(&path),
            Err(_) => Ok(()),
        };
        gone.map_err(DemoError::at(&path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn a_folder_that_no_demo_made_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
        for earlier in [Earlier::Reuse, Earlier::Clear] {
            let refused = Folder::open(dir.path(), earlier, None, 7700);
            assert!(matches!(refused, Err(DemoError::Foreign(_))), "{refused:?}");
        }
        assert!(dir.path().join("thesis.txt").exists());
    }

    #[test]
    fn an_earlier_demos_folder_keeps_its_ports_and_refuses_others() {
        let dir = tempfile::tempdir().unwrap();
        drop(Folder::open(dir.path(), Earlier::Reuse, Some(9000), 7700).unwrap());
        let again = Folder::open(dir.path(), Earlier::Reuse, None, 7700).unwrap();
        assert_eq!(again.ports().platform(), [9000, 9001]);
        drop(again);
        let moved = Folder::open(dir.path(), Earlier::Reuse, Some(7700), 7700);
        assert!(matches!(moved, Err(DemoError::OtherPorts { made: 9000, .. })), "{moved:?}");
    }

    #[test]
    fn two_demos_never_share_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Folder::open(dir.path(), Earlier::Reuse, None, 7700).unwrap();
        let second = Folder::open(dir.path(), Earlier::Clear, None, 7700);
        assert!(matches!(second, Err(DemoError::Busy(_))), "{second:?}");
    }

    #[test]
    fn clearing_takes_only_what_a_demo_wrote() {
        let dir = tempfile::tempdir().unwrap();
        drop(Folder::open(dir.path(), Earlier::Reuse, Some(9000), 7700).unwrap());
        std::fs::create_dir(dir.path().join("north")).unwrap();
        std::fs::write(dir.path().join("notes.txt"), "mine").unwrap();
        let fresh = Folder::open(dir.path(), Earlier::Clear, None, 7700).unwrap();
        assert!(!dir.path().join("north").exists() && dir.path().join("notes.txt").exists());
        assert_eq!(fresh.ports().server(1), [7720, 7721, 7722]);
    }

    #[test]
    fn all_ports_are_below_the_highest_there_is() {
        assert!(Ports::from(u16::MAX - 22).is_ok());
        assert!(matches!(Ports::from(u16::MAX - 21), Err(DemoError::PortBase(_))));
        assert!(matches!(Ports::from(0), Err(DemoError::PortBase(_))));
    }
}
