//! A bundle's files, read once: what was checked is what runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::{MANIFEST, SIGNATURE};
use crate::lists::{List, Lists};
use crate::options::BundleSource;

/// All files of a bundle together.
const MAX_BYTES: u64 = 256 << 20;
const MAX_FILES: usize = 1_000;
/// `lists/NAME.txt`, `components/x.wasm`: one folder deep, no deeper.
const MAX_DEPTH: usize = 2;

/// Files by their path in the bundle, with `/`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files(pub(crate) BTreeMap<String, Arc<[u8]>>);

impl Files {
    /// # Errors
    /// The file that could not be read, and why.
    pub(crate) fn read(source: &BundleSource) -> Result<Self, Diagnostic> {
        match source {
            BundleSource::Files(files) => {
                Ok(Self(files.iter().map(|(path, bytes)| (path.clone(), bytes.as_slice().into())).collect()))
            }
            BundleSource::Staged(_) | BundleSource::Generation(_) => {
                Err(Diagnostic::error(MANIFEST, format!("{source} is kept by a running policy, not in a folder")))
            }
            BundleSource::Dir(dir) => {
                let mut reading = Reading { files: Self::default(), left: MAX_BYTES };
                reading.folder(dir, "", 1)?;
                Ok(reading.files)
            }
        }
    }

    pub(crate) fn text(&self, path: &str) -> Result<&str, Diagnostic> {
        let bytes = self.0.get(path).ok_or_else(|| Diagnostic::error(path, "is missing"))?;
        std::str::from_utf8(bytes).map_err(|error| Diagnostic::error(path, format!("is not UTF-8: {error}")))
    }

    /// blake3 over paths and contents, the signature's own file left out.
    pub(crate) fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for (path, bytes) in self.0.iter().filter(|(path, _)| *path != SIGNATURE) {
            hasher.update(path.as_bytes()).update(&[0]).update(blake3::hash(bytes).as_bytes());
        }
        hasher.finalize()
    }

    /// What a signature is over: the folder as its author signed it, without what the server put beside it.
    pub(crate) fn signed_digest(&self) -> blake3::Hash {
        let own = self.0.iter().filter(|(path, _)| !path.contains(':'));
        Self(own.map(|(path, bytes)| (path.clone(), bytes.clone())).collect()).digest()
    }

    /// The lists that the bundle carries.
    pub(crate) fn lists(&self, diagnostics: &mut Vec<Diagnostic>) -> Lists {
        let mut lists = Lists::default();
        for path in self.0.keys() {
            let Some(name) = list_name(path) else { continue };
            match self.text(path) {
                Ok(text) => lists.put(name, List::new(entries(text))),
                Err(diagnostic) => diagnostics.push(diagnostic),
            }
        }
        lists
    }
}

fn list_name(path: &str) -> Option<&str> {
    path.strip_prefix("lists/")?.strip_suffix(".txt")
}

/// One entry a line; `#` begins a comment line; white space around an entry does not count.
fn entries(text: &str) -> Vec<String> {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

struct Reading {
    files: Files,
    left: u64,
}

impl Reading {
    fn folder(&mut self, dir: &Path, prefix: &str, depth: usize) -> Result<(), Diagnostic> {
        let broken = |error: std::io::Error| {
            let file = if prefix.is_empty() { MANIFEST } else { prefix };
            Diagnostic::error(file, format!("cannot be read in {}: {error}", dir.display()))
        };
        for entry in fs::read_dir(dir).map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // `builtin:` names are ours.
            if name.starts_with('.') || name.ends_with('~') || name.contains(':') {
                continue;
            }
            let path = format!("{prefix}{name}");
            let kind = fs::metadata(entry.path()).map_err(broken)?;
            if kind.is_dir() && depth < MAX_DEPTH {
                self.folder(&entry.path(), &format!("{path}/"), depth + 1)?;
            } else if kind.is_file() {
                self.file(&entry.path(), path, kind.len())?;
            }
        }
        Ok(())
    }

    fn file(&mut self, file: &Path, path: String, size: u64) -> Result<(), Diagnostic> {
        if self.files.0.len() >= MAX_FILES {
            return Err(Diagnostic::error(path, format!("is one file too many: a bundle has at most {MAX_FILES}")));
        }
        self.left = self.left.checked_sub(size).ok_or_else(|| {
            Diagnostic::error(path.as_str(), format!("makes the bundle larger than {} MiB", MAX_BYTES >> 20))
        })?;
        let bytes =
            fs::read(file).map_err(|error| Diagnostic::error(path.as_str(), format!("cannot be read: {error}")))?;
        self.files.0.insert(path, bytes.into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_list_has_one_entry_a_line() {
        let list = List::new(entries("\u{feff}north\r\n# comment\n\n  south \nnorth"));
        assert_eq!(list.entries(), ["north", "south", "north"]);
        assert!(list.contains("south") && !list.contains("# comment"));
    }

    #[test]
    fn the_digest_covers_paths_and_contents_but_not_the_signature() {
        let files = |files: &[(&str, &str)]| {
            let owned = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
            Files::read(&BundleSource::Files(owned.collect())).unwrap().digest()
        };
        let one = files(&[("policy.toml", "a"), ("lists/x.txt", "b")]);
        assert_eq!(one, files(&[("lists/x.txt", "b"), ("policy.toml", "a"), ("policy.sig", "c")]));
        assert_ne!(one, files(&[("policy.toml", "a"), ("lists/y.txt", "b")]));
        assert_ne!(one, files(&[("policy.toml", "a"), ("lists/x.txt", "c")]));
    }
}
