//! Compiled plugins on disk, so that a start does not compile.
//!
//! Loading compiled code means running it: an entry is only ever loaded if its keyed blake3 says
//! that this server wrote it, under this name.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::kept::{sealed, unsealed};

const MAC_BYTES: usize = 32;
/// Entries that are kept.
const ENTRIES: usize = 400;

/// The compile cache of one server.
#[derive(Clone)]
pub(crate) struct Cache {
    /// None: nothing is kept.
    dir: Option<PathBuf>,
    key: [u8; 32],
}

/// What is known of a compiled plugin besides its code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// Warnings of its `validate-settings`: pointer and message.
    pub(crate) warnings: Vec<(String, String)>,
    /// Whether the code starts initialised. If not, `init` runs in each new instance.
    pub(crate) snapshot: bool,
    /// Lists that its `init` asked for: a snapshot holds as long as they stay the same.
    pub(crate) reads: Vec<String>,
}

impl Cache {
    pub(crate) fn new(dir: PathBuf, key: &[u8; 32]) -> Self {
        Self { dir: Some(dir), key: blake3::derive_key("isthmus policy compile cache v1", key) }
    }

    /// Keeps nothing.
    pub(crate) fn none() -> Self {
        Self { dir: None, key: [0; 32] }
    }

    /// Loads an entry. Anything wrong with it counts as its absence.
    pub(crate) fn load(&self, engine: &Engine, name: &str) -> Option<(Component, Known)> {
        let entry = fs::read(self.path(name)?).ok()?;
        let (mac, content) = entry.split_at_checked(MAC_BYTES)?;
        if self.mac(name, content) != blake3::Hash::from_slice(mac).ok()? {
            tracing::warn!(name, "a compile cache entry is not ours; compiled anew");
            return None;
        }
        let (length, rest) = content.split_first_chunk::<4>()?;
        let (known, code) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let known = serde_json::from_slice(known).ok()?;
        Some((deserialize(engine, code)?, known))
    }

    /// Which lists the `init` of a plugin asked for when it was prepared last.
    pub(crate) fn reads(&self, name: &str) -> Option<Vec<String>> {
        unsealed(&self.key, &fs::read_to_string(self.note(name)?).ok()?)
    }

    /// Notes them. Without the note the plugin is prepared anew, nothing else.
    pub(crate) fn note_reads(&self, name: &str, reads: &[String]) {
        let (Some(dir), Some(note)) = (&self.dir, self.note(name)) else { return };
        let sealed = sealed(&self.key, &reads);
        let noted = fs::create_dir_all(dir).and_then(|()| replace(&note, &[sealed.as_bytes()]));
        if let Err(error) = noted {
            tracing::warn!(name, %error, "what a plugin reads could not be noted");
        }
    }

    fn note(&self, name: &str) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(Path::new(name).with_extension("reads")))
    }

    /// Keeps an entry. A cache that cannot be written costs time, nothing else.
    pub(crate) fn keep(&self, name: &str, component: &Component, known: &Known) {
        if let Err(error) = self.write(name, component, known) {
            tracing::warn!(name, %error, "a compiled plugin could not be cached");
        }
    }

    fn write(&self, name: &str, component: &Component, known: &Known) -> std::io::Result<()> {
        let (Some(dir), Some(path)) = (&self.dir, self.path(name)) else { return Ok(()) };
        let code = component.serialize().map_err(std::io::Error::other)?;
        let known = serde_json::to_vec(known).map_err(std::io::Error::other)?;
        let length = u32::try_from(known.len()).map_err(std::io::Error::other)?;
        let mut content = Vec::with_capacity(4 + known.len() + code.len());
        content.extend_from_slice(&length.to_le_bytes());
        content.extend_from_slice(&known);
        content.extend_from_slice(&code);
        fs::create_dir_all(dir)?;
        replace(&path, &[self.mac(name, &content).as_bytes(), &content])?;
        prune(dir)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(Path::new(name).with_extension("cwasm")))
    }

    fn mac(&self, name: &str, content: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(name.as_bytes()).update(&[0]).update(content);
        hasher.finalize()
    }
}

/// The oldest entries go: what they hold can be compiled again.
fn prune(dir: &Path) -> std::io::Result<()> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        entries.push((entry.metadata()?.modified()?, entry.path()));
    }
    entries.sort();
    let surplus = entries.len().saturating_sub(ENTRIES);
    entries.drain(..surplus).try_for_each(|(_, path)| fs::remove_file(path))
}

fn replace(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = fs::File::create(&temporary)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    drop(file);
    fs::rename(&temporary, path)
}

/// The one unsafe place of the product.
#[allow(
    unsafe_code,
    reason = "wasmtime trusts compiled code; `load` has just proved by a keyed MAC that this \
              process's own key wrote it, and wasmtime itself checks engine and version"
)]
fn deserialize(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: `code` is what `Component::serialize` gave us, see above.
    unsafe { Component::deserialize(engine, code) }.ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::sandbox::engine::Sandbox;

    #[test]
    fn an_entry_that_is_not_ours_is_not_loaded() {
        let sandbox = Sandbox::shared().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().to_owned(), &[1; 32]);
        let component = sandbox.compile(b"\0asm\x0d\0\x01\0").unwrap();
        let known = Known { warnings: vec![("/a".into(), "b".into())], snapshot: true, reads: vec!["c".into()] };
        cache.keep("one", &component, &known);
        assert_eq!(cache.load(&sandbox.engine, "one").unwrap().1, known);

        let other = Cache::new(dir.path().to_owned(), &[2; 32]);
        assert!(other.load(&sandbox.engine, "one").is_none(), "another key");
        fs::copy(cache.path("one").unwrap(), cache.path("two").unwrap()).unwrap();
        assert!(cache.load(&sandbox.engine, "two").is_none(), "another name");
        let mut bytes = fs::read(cache.path("one").unwrap()).unwrap();
        for at in [0, MAC_BYTES, bytes.len() - 1] {
            bytes[at] ^= 1;
            fs::write(cache.path("one").unwrap(), &bytes).unwrap();
            assert!(cache.load(&sandbox.engine, "one").is_none(), "byte {at}");
            bytes[at] ^= 1;
        }
        fs::write(cache.path("one").unwrap(), &bytes[..10]).unwrap();
        assert!(cache.load(&sandbox.engine, "one").is_none(), "cut short");
    }
}
