//! From a plugin's sources to its component: finds or installs a toolchain that builds for
//! WebAssembly, builds the core module, makes a component of it.
//!
//! `isthmus plugin build` and `cargo xtask plugins` both work through this crate, so that a plugin of
//! an operator's is built exactly as those are that come with the binary.

mod component;
mod provide;
mod run;

pub use component::componentize;
pub use provide::{TARGET, Toolchain};
pub use run::run;

use std::path::PathBuf;

/// Why a plugin could not be built. Each says what to do where something can be done.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// The environment asks for a toolchain that does not exist.
    #[error("ISTHMUS_WASM_TOOLCHAIN is `{0}`: it can be `rustup`, `debian`, or left out")]
    Unknown(String),
    /// Neither rustup nor Debian's packages can help here.
    #[error("no toolchain for {TARGET}: install rustup (https://rustup.rs), then run `rustup target add {TARGET}`")]
    None,
    /// Debian's packages would help, but only root may install them.
    #[error("no toolchain for {TARGET}. Run this, then try again:\n\n    sudo apt-get update && sudo {0}\n")]
    NotRoot(String),
    /// rustup added the target to another Rust.
    #[error("rustup added {TARGET}, but not to the Rust in use: is `rustc` in PATH rustup's own?")]
    OtherRust,
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
    /// The module exports or imports what no plugin does.
    #[error("{path} is no module of a plugin: {said}")]
    Component {
        /// The module.
        path: PathBuf,
        /// What `wit-component` said.
        said: String,
    },
}
