//! A toolchain that builds for WebAssembly: the one in use if it can, with rustup's help if
//! rustup can, else Debian's own packages.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::shell::{Outcome, cargo, output, root, run};

/// The target of pure Rust plugins: it knows no system interface at all.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Debian has no built standard library for [`TARGET`]: its sources are compiled along.
const DEBIAN: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];

/// Who builds the plugins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Toolchain {
    /// The cargo that runs us; its standard library for [`TARGET`] is there.
    Own,
    /// `/usr/bin/cargo` of Debian's packages.
    Debian,
}

/// Finds or installs a toolchain, and says which.
pub(crate) fn provide() -> Outcome<Toolchain> {
    match env::var("ISTHMUS_WASM_TOOLCHAIN").as_deref() {
        Ok("rustup") => by_rustup(),
        Ok("debian") => by_debian(),
        Ok(other) => {
            Err(format!("ISTHMUS_WASM_TOOLCHAIN is `{other}`: it can be `rustup`, `debian`, or left out").into())
        }
        Err(_) => by_rustup().or_else(|why| {
            println!("{why}; trying Debian's packages instead");
            by_debian()
        }),
    }
}

fn by_rustup() -> Outcome<Toolchain> {
    if has_target() {
        println!("WebAssembly toolchain: the Rust in use has the target {TARGET}");
        return Ok(Toolchain::Own);
    }
    println!("WebAssembly toolchain: asking rustup for the target {TARGET}");
    run(Command::new("rustup").args(["target", "add", TARGET]).current_dir(root()))?;
    if !has_target() {
        return Err(format!("rustup added {TARGET}, but not to the Rust in use").into());
    }
    Ok(Toolchain::Own)
}

/// Whether the Rust in use has a standard library for [`TARGET`], wherever it came from.
fn has_target() -> bool {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(root());
    output(&mut rustc).is_some_and(|folder| Path::new(folder.trim()).is_dir())
}

fn by_debian() -> Outcome<Toolchain> {
    let missing: Vec<&str> = DEBIAN.into_iter().filter(|name| !installed(name)).collect();
    if missing.is_empty() {
        println!("WebAssembly toolchain: Debian's packages ({})", DEBIAN.join(", "));
        return Ok(Toolchain::Debian);
    }
    if !is_debian() {
        return Err(format!(
            "no toolchain for {TARGET}: install rustup (https://rustup.rs), then run \
             `rustup target add {TARGET}`"
        )
        .into());
    }
    let install = format!("apt-get install --yes --no-install-recommends {}", missing.join(" "));
    if !is_root() {
        return Err(format!(
            "no toolchain for {TARGET}. Run this, then try again:\n\n    \
             sudo apt-get update && sudo {install}\n"
        )
        .into());
    }
    println!("WebAssembly toolchain: installing Debian's packages ({})", missing.join(", "));
    run(Command::new("apt-get").arg("update"))?;
    run(Command::new("apt-get").args(install.split(' ').skip(1)).env("DEBIAN_FRONTEND", "noninteractive"))?;
    Ok(Toolchain::Debian)
}

fn installed(package: &str) -> bool {
    let mut dpkg = Command::new("dpkg-query");
    dpkg.args(["--show", "--showformat=${db:Status-Status}", package]);
    output(&mut dpkg).is_some_and(|status| status.trim() == "installed")
}

fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release
        .lines()
        .filter(|line| line.starts_with("ID=") || line.starts_with("ID_LIKE="))
        .any(|line| line.contains("debian") || line.contains("ubuntu"))
}

fn is_root() -> bool {
    output(Command::new("id").arg("--user")).is_some_and(|id| id.trim() == "0")
}

impl Toolchain {
    /// `cargo build` for [`TARGET`], to be told where and what.
    pub(crate) fn build(self) -> Command {
        let mut command = match self {
            Self::Own => cargo(),
            Self::Debian => debian_cargo(),
        };
        // Flags meant for the host's programs: the plugins bring their own.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
        command.args(["build", "--release", "--locked", "--target", TARGET]);
        if self == Self::Debian {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        command
    }
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
