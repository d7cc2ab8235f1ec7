//! Running other programs and saying what is done and how long it took.

use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Done, or the sentence to end with.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command of ours ended early, for the person who called it.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<S: Into<String>> From<S> for Failure {
    fn from(sentence: S) -> Self {
        Self(sentence.into())
    }
}

/// The repository's root: as cargo says now, for the checkout may have moved since we were built.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let here = PathBuf::from(here);
    here.parent().map(PathBuf::from).unwrap_or(here)
}

/// What was built for the plugins and by the tools, whatever `CARGO_TARGET_DIR` says.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// The cargo that runs us, in the repository's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a program to its end; its output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let line = shown(command);
    println!("$ {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` failed: {status}").into()),
        Err(wrong) => Err(format!("`{line}` did not start: {wrong}").into()),
    }
}

/// What a program prints, or `None` if it is not there or failed.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

/// Like [`run`]; every line of its standard output is passed on and looked at.
pub(crate) fn each_line(command: &mut Command, mut look: impl FnMut(&str)) -> Outcome {
    let line = shown(command);
    println!("$ {line}");
    let not_started = |wrong: io::Error| Failure(format!("`{line}` did not start: {wrong}"));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(not_started)?;
    for text in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).split(b'\n')) {
        let text = text.map_err(|wrong| format!("`{line}`: its output cannot be read: {wrong}"))?;
        let text = String::from_utf8_lossy(&text);
        println!("{text}");
        look(&text);
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` failed: {status}").into()),
        Err(wrong) => Err(format!("`{line}` was lost: {wrong}").into()),
    }
}

/// A failed access to a file as a sentence.
pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.display().to_string();
    move |wrong| format!("{path}: {wrong}").into()
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    words.join(" ")
}
