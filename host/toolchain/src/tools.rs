//! Tools that a machine does not have: npm's and PyPI's packages, each at one version with its checksum, installed once
//! into a folder of ours.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{output, run};
use crate::{Say, ToolchainError, at, packages};

/// The folder that tools are installed into.
#[derive(Clone, Debug)]
pub struct Tools(PathBuf);

impl Tools {
    /// This folder.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// `ISTHMUS_TOOLS`, else a folder below the user's cache.
    ///
    /// # Errors
    /// [`ToolchainError::NoFolder`].
    pub fn usual() -> Result<Self, ToolchainError> {
        let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        named("ISTHMUS_TOOLS")
            .or_else(|| Some(named("XDG_CACHE_HOME")?.join("isthmus/tools")))
            .or_else(|| Some(named("HOME")?.join(".cache/isthmus/tools")))
            .map(Self)
            .ok_or(ToolchainError::NoFolder)
    }

    /// A place for what the tools keep themselves.
    pub(crate) fn cache(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// PyPI's packages in a virtual environment of their own; answers with its folder.
    pub(crate) fn pypi(&self, name: &str, requirements: &str, say: Say<'_>) -> Result<PathBuf, ToolchainError> {
        self.provide(name, &[requirements], |folder| {
            say(&format!("{}: installing into {}", first_word(requirements), folder.display()));
            if output(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_none() {
                packages::install("python3 with its venv", &["python3", "python3-venv"], say)?;
            }
            run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
            let file = folder.join("requirements.txt");
            fs::write(&file, requirements).map_err(at(&file, "cannot be written"))?;
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"];
            run(Command::new(folder.join("bin/python")).args(pip).args(["--require-hashes", "--requirement"]).arg(file))
        })
    }

    /// npm's packages as a lock file says; answers with the folder that holds `node_modules`.
    pub(crate) fn npm(&self, name: &str, package: &str, lock: &str, say: Say<'_>) -> Result<PathBuf, ToolchainError> {
        self.provide(name, &[package, lock], |folder| {
            say(&format!("{name} toolchain: installing into {}", folder.display()));
            let there = |program: &str| output(Command::new(program).arg("--version")).is_some();
            if !there("node") || !there("npm") {
                packages::install("node with npm", &["nodejs", "npm"], say)?;
            }
            for (file, text) in [("package.json", package), ("package-lock.json", lock)] {
                let file = folder.join(file);
                fs::write(&file, text).map_err(at(&file, "cannot be written"))?;
            }
            run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(folder))
        })
    }

    /// Installs with `install` unless that was done before; other versions lie beside it. Whoever comes at the same time
    /// waits.
    fn provide(
        &self,
        name: &str,
        wanted: &[&str],
        install: impl FnOnce(&Path) -> Result<(), ToolchainError>,
    ) -> Result<PathBuf, ToolchainError> {
        let mut hasher = blake3::Hasher::new();
        for text in wanted {
            hasher.update(text.as_bytes());
        }
        let tools = std::path::absolute(&self.0).map_err(at(&self.0, "cannot be found"))?;
        let folder = tools.join(format!("{name}-{}", &hasher.finalize().to_hex()[..12]));
        let done = folder.join("installed");
        if done.is_file() {
            return Ok(folder);
        }
        fs::create_dir_all(&tools).map_err(at(&tools, "cannot be made"))?;
        let lock = folder.with_extension("lock");
        let lock = File::create(&lock).and_then(|file| file.lock().map(|()| file)).map_err(at(&lock, "not locked"))?;
        if !done.is_file() {
            if folder.exists() {
                fs::remove_dir_all(&folder).map_err(at(&folder, "cannot be removed"))?;
            }
            fs::create_dir_all(&folder).map_err(at(&folder, "cannot be made"))?;
            install(&folder)?;
            fs::write(&done, "").map_err(at(&done, "cannot be written"))?;
        }
        drop(lock);
        Ok(folder)
    }
}

/// `name==version` of a requirements file.
pub(crate) fn first_word(requirements: &str) -> &str {
    requirements.split_whitespace().next().unwrap_or_default()
}
