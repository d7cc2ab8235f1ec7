//! Debian's own packages: installed where we are root, else named in the one command that does it.

use std::fs;
use std::process::Command;

use crate::run::{output, run};
use crate::{Say, ToolchainError};

/// Installs what is missing of these packages, for `what` people know it by.
pub(crate) fn install(what: &str, packages: &[&str], say: Say<'_>) -> Result<(), ToolchainError> {
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_debian() {
        return Err(ToolchainError::NotDebian { what: what.to_owned() });
    }
    let install = format!("apt-get install --yes --no-install-recommends {}", missing.join(" "));
    if !is_root() {
        return Err(ToolchainError::NotRoot { what: what.to_owned(), install });
    }
    say(&format!("{what}: installing Debian's packages ({})", missing.join(", ")));
    run(Command::new("apt-get").arg("update"))?;
    run(Command::new("apt-get").args(install.split(' ').skip(1)).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn installed(package: &str) -> bool {
    let mut dpkg = Command::new("dpkg-query");
    dpkg.args(["--show", "--showformat=${db:Status-Status}", package]);
    output(&mut dpkg).is_some_and(|status| status.trim() == "installed")
}

pub(crate) fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release
        .lines()
        .filter(|line| line.starts_with("ID=") || line.starts_with("ID_LIKE="))
        .any(|line| line.contains("debian") || line.contains("ubuntu"))
}

fn is_root() -> bool {
    output(Command::new("id").arg("--user")).is_some_and(|id| id.trim() == "0")
}
