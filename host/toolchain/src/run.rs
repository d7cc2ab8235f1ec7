//! Running other programs. What they say goes to standard error: standard output is for answers.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::ToolchainError;

/// Runs a program to its end.
///
/// # Errors
/// [`ToolchainError::NotStarted`], [`ToolchainError::Failed`].
pub fn run(command: &mut Command) -> Result<(), ToolchainError> {
    let line = shown(command);
    match command.stdin(Stdio::null()).stdout(std::io::stderr()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(ToolchainError::Failed { line, status }),
        Err(source) => Err(ToolchainError::NotStarted { line, source }),
    }
}

/// Runs a program that tells of each step, of files with passing names among them: what it says on standard output is shown only if
/// it fails.
pub(crate) fn run_quietly(command: &mut Command) -> Result<(), ToolchainError> {
    let line = shown(command);
    match command.stdin(Stdio::null()).stderr(Stdio::inherit()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            // Where standard error is closed there is nobody to tell.
            let _ = std::io::stderr().write_all(&output.stdout);
            Err(ToolchainError::Failed { line, status: output.status })
        }
        Err(source) => Err(ToolchainError::NotStarted { line, source }),
    }
}

/// What a program prints, or `None` if it is not there or failed.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    words.join(" ")
}
