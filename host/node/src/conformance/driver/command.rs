//! A script: one run for each step, which it learns from its environment.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::{ActError, Sheet};

/// A script may drive a browser; it may not hang.
const DEADLINE: Duration = Duration::from_secs(120);

/// Runs `command` by the shell with `CONFORMANCE_STEP` and `CONFORMANCE_<ARGUMENT>` set. Exit status 0: done, and the answer is its
/// standard output; any other: not done, and its standard error says why.
pub(super) async fn act(command: &str, sheet: &Sheet) -> Result<String, ActError> {
    let mut run = Command::new("sh");
    run.arg("-c").arg(command).env("CONFORMANCE_STEP", sheet.name).stdin(Stdio::null());
    for (name, value) in &sheet.arguments {
        run.env(format!("CONFORMANCE_{name}"), value);
    }
    run.stdout(Stdio::piped()).stderr(Stdio::piped());
    let fail = |what: String| ActError(format!("--ask-command, step {}: {what}", sheet.name));
    let output = tokio::task::spawn_blocking(move || finish(run)).await;
    let output = output.map_err(|e| fail(e.to_string()))?.map_err(|e| fail(e.to_string()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(fail(format!("{}: {words}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs to its end, or until it is too late. A script that prints more than a pipe holds counts as one that hangs.
fn finish(mut run: Command) -> std::io::Result<Output> {
    let mut child = run.spawn()?;
    let began = Instant::now();
    while child.try_wait()?.is_none() {
        if began.elapsed() > DEADLINE {
            child.kill()?;
            return Err(std::io::Error::other(format!("took longer than {DEADLINE:?}")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::super::Act;
    use super::*;

    #[tokio::test]
    async fn a_script_learns_the_step_from_its_environment_and_answers_on_its_output() {
        let sheet = Act::SendText { from: "alice@north", to: "walter@west", text: "it's \"I\" $HOME" }.sheet();
        let said = act("echo \"$CONFORMANCE_STEP|$CONFORMANCE_FROM|$CONFORMANCE_TEXT\"", &sheet).await.unwrap();
        assert_eq!(said, "send-text|alice@north|it's \"I\" $HOME");
        let failed = act("echo no such user >&2; exit 3", &sheet).await.unwrap_err();
        assert!(failed.0.contains("send-text") && failed.0.contains("no such user"), "{failed}");
    }
}
