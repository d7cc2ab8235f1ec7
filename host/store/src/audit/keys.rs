//! Wrapped data keys beside the log, so that its records open with the key ring alone, without the database.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::layout::{Output, damaged};
use crate::{
    KeyRing, StoreError,
    seal::{DataKey, Seals},
};

const ALGORITHM: &str = "AES-256-GCM";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    database: String,
    key: u32,
    algorithm: String,
    wrapped: String,
}

fn path(number: u32) -> PathBuf {
    PathBuf::from(format!("keys/{number}"))
}

fn encode(database: &str, key: &DataKey) -> Result<String, StoreError> {
    let file = KeyFile {
        database: database.into(),
        key: key.number,
        algorithm: ALGORITHM.into(),
        wrapped: STANDARD.encode(&key.wrapped),
    };
    serde_json::to_string(&file).map_err(|_| StoreError::Malformed { what: "a data key" })
}

/// Makes sure that every key of the store lies there as the store has it (it may have been wrapped anew).
pub(crate) fn publish(out: &mut Output<'_>, dir: &Path, database: &str, seals: &Seals) -> Result<(), StoreError> {
    for key in seals.all() {
        let (path, text) = (path(key.number), encode(database, &key)?);
        if fs::read(dir.join(&path)).ok().as_deref() != Some(text.as_bytes()) {
            out.put(&path, text.as_bytes())?;
        }
    }
    Ok(())
}

fn parse(file: &Path, text: &[u8]) -> Result<(String, u32, Vec<u8>), StoreError> {
    let parsed = || {
        let key: KeyFile = serde_json::from_slice(text).ok()?;
        // Only what we write ourselves, to the byte.
        let same = serde_json::to_vec(&key).ok()? == text && key.algorithm == ALGORITHM && path(key.key) == file;
        let wrapped = STANDARD.decode(&key.wrapped).ok()?;
        same.then_some((key.database, key.key, wrapped))
    };
    parsed().ok_or_else(|| damaged(file, "is not a wrapped data key"))
}

/// What the `keys` folder yields.
pub(crate) struct Loaded {
    pub(crate) seals: Option<Seals>,
    pub(crate) problems: Vec<StoreError>,
}

/// Opens all keys with the key ring; without one, only looks whether they are well formed.
pub(crate) fn load(dir: &Path, ring: Option<&KeyRing>) -> Loaded {
    let (mut keys, mut problems, mut database) = (Vec::new(), Vec::new(), None::<String>);
    for file in names(dir) {
        let one = fs::read(dir.join(&file))
            .map_err(StoreError::io("read", dir.join(&file)))
            .and_then(|text| parse(&file, &text));
        let opened = one.and_then(|(name, number, wrapped)| {
            if *database.get_or_insert_with(|| name.clone()) != name {
                return Err(damaged(&file, "is of another database than its neighbours"));
            }
            let Some(ring) = ring else { return Ok(()) };
            let (key, _, _) = DataKey::open(ring, &name, number, wrapped)?;
            keys.push(key);
            Ok(())
        });
        match opened {
            Err(StoreError::WrongKeyRing { .. }) => problems.push(damaged(&file, "does not open with this key ring")),
            Err(problem) => problems.push(problem),
            Ok(()) => {}
        }
    }
    Loaded { seals: Seals::new(database.as_deref().unwrap_or_default(), keys, [0; 32]), problems }
}

fn names(dir: &Path) -> Vec<PathBuf> {
    let listing: io::Result<Vec<_>> = fs::read_dir(dir.join("keys")).and_then(Iterator::collect);
    let names = listing.unwrap_or_default().into_iter().map(|e| Path::new("keys").join(e.file_name()));
    let mut names: Vec<_> = names.filter(|n| n.extension().is_none()).collect();
    names.sort();
    names
}
