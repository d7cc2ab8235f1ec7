//! One child process of the demo: a platform or a server, run as anybody would run it.
//!
//! A child ends when its standard input closes (`--until-stdin-closes`): so it stops gracefully without signals, and never
//! outlives a demo that was killed. It has a process group of its own, so that Ctrl-C reaches the demo alone and the demo decides
//! the order.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::DemoError;

const LOOK: Duration = Duration::from_millis(20);
/// Lines of a log that are shown when a child failed.
const TAIL: usize = 12;

/// A role's process, which may be down.
#[derive(Debug)]
pub struct Process {
    name: String,
    role: &'static str,
    config: PathBuf,
    log: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// A process that will run `isthmus ROLE --config CONFIG`; its output goes to `log`. Not started yet.
    #[must_use]
    pub fn new(name: &str, role: &'static str, config: PathBuf, log: PathBuf) -> Process {
        Process { name: name.to_owned(), role, config, log, child: Mutex::default() }
    }

    /// `platform`, `north`, `south`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Its process ID, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.locked().as_ref().map(Child::id)
    }

    /// Starts it.
    ///
    /// # Errors
    /// [`DemoError::File`] for the log or the executable.
    pub fn start(&self) -> Result<(), DemoError> {
        let executable = std::env::current_exe().map_err(DemoError::System)?;
        let log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(DemoError::at(&self.log))?;
        let errors = log.try_clone().map_err(DemoError::at(&self.log))?;
        let mut command = Command::new(&executable);
        command.arg(self.role).arg("--config").arg(&self.config).arg("--until-stdin-closes");
        command.stdin(Stdio::piped()).stdout(log).stderr(errors);
        // The demo's own settings for clients are none of a server's business.
        for name in ["ISTHMUS_CONFIG", "ISTHMUS_URL", "ISTHMUS_TOKEN", "ISTHMUS_CA"] {
            command.env_remove(name);
        }
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().map_err(DemoError::at(&executable))?;
        *self.locked() = Some(child);
        Ok(())
    }

    /// How it ended, if it did without being asked to. Told once.
    pub fn ended(&self) -> Option<ExitStatus> {
        let mut child = self.locked();
        let status = child.as_mut()?.try_wait().ok()??;
        *child = None;
        Some(status)
    }

    /// Asks it to stop, waits up to `grace`, then kills it. Whether it stopped by itself with success.
    pub async fn stop(&self, grace: Duration) -> bool {
        let Some(mut child) = self.locked().take() else { return true };
        drop(child.stdin.take());
        let deadline = Instant::now() + grace;
        while Instant::now() < deadline {
            match child.try_wait() {
                Ok(Some(status)) => return status.success(),
                Ok(None) => tokio::time::sleep(LOOK).await,
                Err(_) => break,
            }
        }
        end(child);
        false
    }

    /// SIGKILL, without warning, and reaps it.
    pub fn kill(&self) {
        if let Some(child) = self.locked().take() {
            end(child);
        }
    }

    /// The error for a child that did not come up.
    pub(super) fn not_ready(&self, what: String) -> DemoError {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        DemoError::NotReady { name: self.name.clone(), what, log: self.log.clone(), tail }
    }

    fn locked(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn end(mut child: Child) {
    // Both fail only for a child that is gone already.
    let _ = child.kill();
    let _ = child.wait();
}

/// Ends when this process's standard input closes: for a role that was started with `--until-stdin-closes`.
pub async fn stdin_closed() {
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    // A thread, because a blocking read of standard input cannot be cancelled and must not hold up the runtime's end.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        drop(sender);
    });
    let _ = receiver.await;
}
