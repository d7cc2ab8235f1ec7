//! A plugin's folder: in which language it is written, what it is called, how its component comes about.

use std::fs;
use std::path::{Path, PathBuf};

use crate::tools::Tools;
use crate::world::World;
use crate::{Say, ToolchainError, at, c, componentize, javascript, python, rust};

/// Languages that plugins are built from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A crate with the SDK; needs nothing of WASI.
    Rust,
    /// `plugin.js`, one ES module with what it imports beside it.
    JavaScript,
    /// `plugin.py`, one module with what it imports beside it.
    Python,
    /// `plugin.c` and all other `*.c` beside it.
    C,
}

/// A plugin's sources.
#[derive(Clone, Debug)]
pub struct Sources {
    dir: PathBuf,
    language: Language,
    name: String,
}

/// A component that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// Its size in bytes.
    pub bytes: usize,
    /// What built it, for people.
    pub toolchain: String,
}

/// Which file tells the language.
const SIGNS: [(&str, Language); 4] = [
    ("Cargo.toml", Language::Rust),
    ("plugin.js", Language::JavaScript),
    ("plugin.py", Language::Python),
    ("plugin.c", Language::C),
];

impl Sources {
    /// Looks at a folder.
    ///
    /// # Errors
    /// [`ToolchainError::NoPlugin`], [`ToolchainError::World`].
    pub fn of(dir: &Path) -> Result<Self, ToolchainError> {
        let dir = std::path::absolute(dir).map_err(at(dir, "cannot be found"))?;
        let sign = SIGNS.iter().find(|(file, _)| dir.join(file).is_file());
        let Some((_, language)) = sign else {
            let files = SIGNS.map(|(file, _)| file).join(", ");
            return Err(ToolchainError::NoPlugin { dir, said: format!("it holds none of {files}") });
        };
        let name = match language {
            Language::Rust => package(&dir)?,
            Language::JavaScript | Language::Python | Language::C => World::read(&dir)?.plugin,
        };
        Ok(Self { dir, language: *language, name })
    }

    /// The plugin's name: its package's, in Cargo.toml or in its WIT.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is written in.
    #[must_use]
    pub fn language(&self) -> Language {
        self.language
    }

    /// Builds the component into its place.
    ///
    /// # Errors
    /// [`ToolchainError`], with what to do where something can be done.
    pub fn build(&self, component: &Path, tools: &Tools, say: Say<'_>) -> Result<Built, ToolchainError> {
        if let Some(folder) = component.parent() {
            fs::create_dir_all(folder).map_err(at(folder, "cannot be made"))?;
        }
        let toolchain = match self.language {
            Language::Rust => {
                let (module, toolchain) = rust::module(&self.dir, &self.name, say)?;
                componentize(&module, component)?;
                toolchain
            }
            Language::JavaScript => finished(component, |out| javascript::component(&self.dir, out, tools, say))?,
            Language::Python => finished(component, |out| python::component(&self.dir, out, tools, say))?,
            Language::C => finished(component, |out| c::component(&self.dir, out, tools, say))?,
        };
        let size = fs::metadata(component).map_err(at(component, "was not built"))?.len();
        Ok(Built { bytes: usize::try_from(size).unwrap_or(usize::MAX), toolchain })
    }
}

/// Builds beside the component's place, then renames: nobody ever reads half of one.
fn finished(
    component: &Path,
    build: impl FnOnce(&Path) -> Result<String, ToolchainError>,
) -> Result<String, ToolchainError> {
    let component = std::path::absolute(component).map_err(at(component, "cannot be found"))?;
    let unfinished = component.with_extension(format!("{}.wasm", std::process::id()));
    let built = build(&unfinished);
    if built.is_ok() {
        fs::rename(&unfinished, &component).map_err(at(&component, "cannot be replaced"))?;
    } else if unfinished.exists() {
        fs::remove_file(&unfinished).map_err(at(&unfinished, "cannot be removed"))?;
    }
    built
}

/// The name of the package in `dir`.
fn package(dir: &Path) -> Result<String, ToolchainError> {
    let no_plugin = |said: String| ToolchainError::NoPlugin { dir: dir.to_owned(), said };
    let file = dir.join("Cargo.toml");
    let text = fs::read_to_string(&file).map_err(at(&file, "cannot be read"))?;
    let table: toml::Table = text.parse().map_err(|error| no_plugin(format!("Cargo.toml: {error}")))?;
    let name = table.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    name.map(str::to_owned).ok_or_else(|| no_plugin("its Cargo.toml names no package".to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const WIT: &str = "package local:no-links;\nworld hooks { import isthmus:policy/log@1.0.0; }\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_tells_its_language_and_its_name() {
        let policy = ("wit/deps/policy/policy.wit", include_str!("../../../wit/1.0.0/policy.wit"));
        for (sign, language) in SIGNS {
            let text = "[package]\nname = \"no-links\"\n";
            let folder = folder(&[(sign, text), ("wit/hooks.wit", WIT), policy]);
            let sources = Sources::of(folder.path()).unwrap();
            assert_eq!((sources.language(), sources.name()), (language, "no-links"));
        }
    }

    #[test]
    fn what_is_no_plugins_folder_is_told() {
        let said = |files: &[(&str, &str)]| Sources::of(folder(files).path()).unwrap_err().to_string();
        assert!(said(&[]).contains("it holds none of Cargo.toml, plugin.js, plugin.py, plugin.c"));
        assert!(said(&[("Cargo.toml", "")]).contains("names no package"));
        assert!(said(&[("plugin.js", ""), ("wit/hooks.wit", "package a:b")]).contains("wit"));
        let two = "package local:b;\nworld one {}\nworld two {}\n";
        assert!(said(&[("plugin.js", ""), ("wit/hooks.wit", two)]).contains("world"));
    }
}
