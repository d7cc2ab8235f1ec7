//! `isthmus demo`: a platform and two servers on this machine, enrolled through the real interfaces, with users to try and,
//! with `--scripted`, a story that checks itself.
//!
//! Nothing here reaches into a server: the demo starts the binary's own roles as child processes, writes files that an operator
//! would write, and speaks HTTPS and WebSocket as a client would.

mod actor;
mod admin;
pub(crate) mod bundle;
mod cast;
mod config;
mod error;
mod folder;
mod process;
mod record;
mod say;
mod story;
mod tips;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use admin::Admin;
pub use cast::Cast;
pub use error::DemoError;
pub use folder::{Earlier, Folder};
pub use process::stdin_closed;
pub use record::{AdminTokens, DemoRecord, PlatformRecord, ServerRecord, UserRecord};
pub use say::{Say, Shape};

/// What `isthmus demo` was asked.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  \
    isthmus demo                      a platform and two servers to play with, until Ctrl-C\n  \
    isthmus demo --scripted           the whole story; exit code 0 only if each step went as it should\n  \
    isthmus demo --data D --json      as a program wants it; everything to drive it is in D/demo.json")]
pub struct DemoArgs {
    /// Data folder; one that a demo made is used again, with its users and messages. Without this option: `demo-data`,
    /// begun afresh.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// First of the ports, all on 127.0.0.1: the platform has PORT and PORT+1, north PORT+10 to +12, south PORT+20 to +22
    /// [default: 7700].
    #[arg(long, value_name = "PORT")]
    pub port_base: Option<u16>,
    /// Play the story, say at each step what was done, expected and what happened, stop everything.
    #[arg(long)]
    pub scripted: bool,
    /// One JSON object a line instead of text: the command line's `--json`.
    #[arg(skip)]
    pub json: bool,
}

const DEFAULT_PORT_BASE: u16 = 7700;
const DEFAULT_FOLDER: &str = "demo-data";
/// Between two looks whether the children still run.
const WATCH: Duration = Duration::from_millis(500);

/// Runs the demo until Ctrl-C, or the story. `false`: a step of the story did not go as it should, or a process had to be
/// killed.
///
/// # Errors
/// [`DemoError`]: it could not be brought up.
pub async fn run(args: &DemoArgs) -> Result<bool, DemoError> {
    let mut say = Say::to_stdout(args.json);
    let folder = match &args.data {
        Some(dir) => Folder::open(dir, Earlier::Reuse, args.port_base, DEFAULT_PORT_BASE)?,
        None => Folder::open(Path::new(DEFAULT_FOLDER), Earlier::Clear, args.port_base, DEFAULT_PORT_BASE)?,
    };
    say.heading(&format!("Isthmus demo in {}", folder.root().display()));
    let mut stop = std::pin::pin!(interrupted()?);
    let cast = tokio::select! {
        cast = Cast::start(folder, &mut say) => cast?,
        () = &mut stop => return Ok(false),
    };
    if args.scripted {
        return tokio::select! {
            told = story::tell(&cast, &mut say) => told,
            () = &mut stop => {
                cast.stop().await;
                Ok(false)
            }
        };
    }
    say.announce(&cast);
    tokio::select! {
        () = watch(&cast, &mut say) => {}
        () = &mut stop => {}
    }
    Ok(farewell(&cast, &mut say).await)
}

/// Ends at the first Ctrl-C or SIGTERM.
fn interrupted() -> Result<impl Future<Output = ()>, DemoError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DemoError::System)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(DemoError::System)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Says when a child is gone and how to have it back. Never ends: whoever killed it may want to start it by hand.
async fn watch(cast: &Cast, say: &mut Say) {
    loop {
        for (process, status) in cast.ended() {
            let role = if process.name() == "platform" { "platform" } else { "server" };
            let config = process.config().display();
            say.warn(&format!(
                "{} ended ({status}); to start it again: isthmus {role} --config {config}",
                process.name()
            ));
        }
        tokio::time::sleep(WATCH).await;
    }
}

async fn farewell(cast: &Cast, say: &mut Say) -> bool {
    say.heading("Stopping");
    let killed = cast.stop().await;
    if killed.is_empty() {
        say.progress("everything has stopped; the data stays");
    } else {
        say.warn(&format!("had to be killed: {}", killed.join(", ")));
    }
    killed.is_empty()
}
