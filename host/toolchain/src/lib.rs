//! From a plugin's sources to its component: finds or installs what builds for WebAssembly, builds, makes a component.
//!
//! `isthmus plugin build` and `cargo xtask plugins` both work through this crate, so that a plugin of
//! an operator's is built exactly as those are that come with the repository.

mod c;
mod component;
mod javascript;
mod packages;
mod python;
mod run;
mod rust;
mod sources;
mod tools;
mod world;

pub use component::componentize;
pub use run::run;
pub use rust::{TARGET, Toolchain};
pub use sources::{Built, Language, Sources};
pub use tools::Tools;

use std::path::PathBuf;

/// Is told what is done, in sentences for people.
pub type Say<'a> = &'a mut dyn FnMut(&str);

/// Why a plugin could not be built. Each says what to do where something can be done.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// The folder holds no plugin.
    #[error("{dir} is no plugin's folder: {said}")]
    NoPlugin {
        /// The folder.
        dir: PathBuf,
        /// What is missing.
        said: String,
    },
    /// The environment asks for a toolchain that does not exist.
    #[error("ISTHMUS_WASM_TOOLCHAIN is `{0}`: it can be `rustup`, `debian`, or left out")]
    Unknown(String),
    /// Neither rustup nor Debian's packages can help here.
    #[error("no toolchain for {TARGET}: install rustup (https://rustup.rs), then run `rustup target add {TARGET}`")]
    None,
    /// A program is needed that only the system's own packages bring, and this is no Debian.
    #[error("{what} is needed: install it with your system's packages, then try again")]
    NotDebian {
        /// What.
        what: String,
    },
    /// Debian's packages would help, but only root may install them.
    #[error("{what} is needed. Run this, then try again:\n\n    sudo apt-get update && sudo {install}\n")]
    NotRoot {
        /// What.
        what: String,
        /// The command.
        install: String,
    },
    /// rustup added the target to another Rust.
    #[error("rustup added {TARGET}, but not to the Rust in use: is `rustc` in PATH rustup's own?")]
    OtherRust,
    /// Nowhere to put tools.
    #[error("there is no folder for tools: set ISTHMUS_TOOLS to one")]
    NoFolder,
    /// A program was not there, or its output could not be read.
    #[error("`{line}` did not start")]
    NotStarted {
        /// The command line.
        line: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program failed; what it said stands above.
    #[error("`{line}` failed: {status}")]
    Failed {
        /// The command line.
        line: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// A file could not be read or written.
    #[error("{path}: {action}")]
    File {
        /// Which.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// What a plugin exports and imports is not described, or not as it should be.
    #[error("{path}: {said}")]
    World {
        /// Its `wit` folder.
        path: PathBuf,
        /// What is wrong.
        said: String,
    },
    /// The module exports or imports what no plugin does.
    #[error("{path} is no module of a plugin: {said}")]
    Component {
        /// The module.
        path: PathBuf,
        /// What `wit-component` said.
        said: String,
    },
}

/// A failed access to a file.
fn at(path: &std::path::Path, action: &'static str) -> impl FnOnce(std::io::Error) -> ToolchainError {
    let path = path.to_owned();
    move |source| ToolchainError::File { path, action, source }
}
