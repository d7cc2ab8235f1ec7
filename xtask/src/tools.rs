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

/// A program of PyPI's, at the version that the gate was tried with, in a virtual environment of its own.
pub(crate) struct PythonTool {
    name: &'static str,
    version: &'static str,
}

/// Requests made up from OpenAPI documents.
pub(crate) const SCHEMATHESIS: PythonTool = PythonTool { name: "schemathesis", version: "4.32.5" };

impl PythonTool {
    /// The program's path.
    pub(crate) fn provide(&self) -> Outcome<PathBuf> {
        let folder = target().join("tools").join(format!("{}-{}", self.name, self.version));
        let program = folder.join("bin").join(self.name);
        if output(Command::new(&program).arg("--version")).is_some() {
            return Ok(program);
        }
        println!("{} {} is not installed: installing it into target/tools", self.name, self.version);
        if output(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_none() {
            return Err("python3 with its venv is needed: install python3 and python3-venv and try again".into());
        }
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let wanted = format!("{}=={}", self.name, self.version);
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check", &wanted]))?;
        Ok(program)
    }
}
