//! A toolchain that builds for WebAssembly: the one in use if it can, with rustup's help if
//! rustup can, else Debian's own packages.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{output, run};
use crate::{Say, ToolchainError, packages};

/// The target of pure Rust plugins: it knows no system interface at all.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Debian has no built standard library for [`TARGET`]: its sources are compiled along.
const DEBIAN: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];

/// Who builds the plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The cargo in use; its standard library for [`TARGET`] is there.
    Own,
    /// `/usr/bin/cargo` of Debian's packages.
    Debian,
}

impl Toolchain {
    /// Finds or installs a toolchain. `ISTHMUS_WASM_TOOLCHAIN=rustup|debian` takes the one and no other.
    /// What is done on the way is told to `say`.
    ///
    /// # Errors
    /// [`ToolchainError`] with what to install.
    pub fn provide(say: Say<'_>) -> Result<Self, ToolchainError> {
        match env::var("ISTHMUS_WASM_TOOLCHAIN").as_deref() {
            Ok("rustup") => by_rustup(say),
            Ok("debian") => by_debian(say),
            Ok(other) => Err(ToolchainError::Unknown(other.to_owned())),
            Err(_) => by_rustup(say).or_else(|why| {
                say(&format!("{why}; trying Debian's packages instead"));
                by_debian(say)
            }),
        }
    }

    /// What it is, for people.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::Own => format!("the Rust in use, with the target {TARGET}"),
            Self::Debian => format!("Debian's packages ({})", DEBIAN.join(", ")),
        }
    }

    /// `cargo build --release` for [`TARGET`], to be told where and what.
    #[must_use]
    pub fn build(self) -> Command {
        let mut command = match self {
            Self::Own => cargo(),
            Self::Debian => debian_cargo(),
        };
        // Flags meant for the host's programs: the plugins bring their own.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
        command.args(["build", "--release", "--target", TARGET]);
        if self == Self::Debian {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        command
    }
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn debian_cargo() -> Command {
    let mut command = Command::new("/usr/bin/cargo");
    let path = env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("/usr/bin:{path}"))
        .env("RUSTC", "/usr/bin/rustc")
        // `-Zbuild-std` is not stable; the sources are of the very same release.
        .env("RUSTC_BOOTSTRAP", "1");
    for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTDOC", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    command
}

fn by_rustup(say: Say<'_>) -> Result<Toolchain, ToolchainError> {
    if !has_target() {
        say(&format!("WebAssembly toolchain: asking rustup for the target {TARGET}"));
        run(Command::new("rustup").args(["target", "add", TARGET]))?;
        if !has_target() {
            return Err(ToolchainError::OtherRust);
        }
    }
    say(&format!("WebAssembly toolchain: {}", Toolchain::Own.words()));
    Ok(Toolchain::Own)
}

/// Whether the Rust in use has a standard library for [`TARGET`], wherever it came from.
fn has_target() -> bool {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--print", "target-libdir", "--target", TARGET]);
    output(&mut rustc).is_some_and(|folder| Path::new(folder.trim()).is_dir())
}

fn by_debian(say: Say<'_>) -> Result<Toolchain, ToolchainError> {
    if !packages::is_debian() {
        return Err(ToolchainError::None);
    }
    packages::install(&format!("a Rust that builds for {TARGET}"), &DEBIAN, say)?;
    say(&format!("WebAssembly toolchain: {}", Toolchain::Debian.words()));
    Ok(Toolchain::Debian)
}

/// Builds the package in `dir` into a core module; answers with the module, and the toolchain in words.
pub(crate) fn module(dir: &Path, name: &str, say: Say<'_>) -> Result<(PathBuf, String), ToolchainError> {
    let toolchain = Toolchain::provide(say)?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| dir.join("target"), PathBuf::from);
    run(toolchain.build().current_dir(dir).arg("--target-dir").arg(&target))?;
    let module = target.join(TARGET).join("release").join(format!("{}.wasm", name.replace('-', "_")));
    Ok((module, toolchain.words()))
}
