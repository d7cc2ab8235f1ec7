//! Tools of the gate that a new machine does not have: taken where they are, else built once
//! into `target/tools`.

use std::path::PathBuf;
use std::process::Command;

use crate::shell::{Outcome, cargo, output, run, target};

/// A cargo subcommand, at the version that the gate was tried with.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

/// Licences, bans, sources, advisories.
pub(crate) const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };

/// Fuzz targets; needs a nightly Rust.
pub(crate) const FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };

impl Tool {
    /// The program, ready to be given its arguments.
    pub(crate) fn provide(&self) -> Outcome<Command> {
        if output(Command::new(self.name).arg("--version")).is_some() {
            return Ok(Command::new(self.name));
        }
        let built = self.built();
        let current = output(Command::new(&built).arg("--version"));
        if current.is_some_and(|text| text.split_whitespace().any(|word| word == self.version)) {
            return Ok(Command::new(built));
        }
        println!("{} is not installed: building {} into target/tools", self.name, self.version);
        run(cargo()
            .args(["install", "--locked", "--quiet", "--version", self.version])
            // Not optimised: it builds in a third of the time and runs for a second.
            .args(["--profile", "dev", self.name])
            .arg("--root")
            .arg(target().join("tools"))
            .arg("--target-dir")
            .arg(target().join("tools-build")))?;
        Ok(Command::new(built))
    }

    fn built(&self) -> PathBuf {
        target().join("tools/bin").join(self.name)
    }
}
