//! `isthmus demo`, with all that it needs built first.

use std::os::unix::process::CommandExt;

use crate::plugins;
use crate::shell::{Outcome, cargo};

/// Becomes the demo: signals, standard streams and the exit code are its own.
pub(crate) fn run(args: &[String]) -> Outcome {
    plugins::build()?;
    let (release, args) = match args.split_first() {
        Some((first, rest)) if first == "--release" => (true, rest),
        _ => (false, args),
    };
    let mut command = cargo();
    command.args(["run", "--locked", "--package", "isthmus-node", "--bin", "isthmus"]);
    if release {
        command.arg("--release");
    }
    // Where the person is, not where the repository is: `--data DIR` is meant from there.
    command.arg("--manifest-path").arg(crate::shell::root().join("Cargo.toml"));
    if let Ok(here) = std::env::current_dir() {
        command.current_dir(here);
    }
    let wrong = command.args(["--", "demo"]).args(args).exec();
    Err(format!("cargo did not start: {wrong}").into())
}
