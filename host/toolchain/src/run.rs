//! Running other programs. What they say goes to standard error: standard output is for answers.

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
