//! `isthmus platform` and `isthmus server`: a process until it is asked to stop.

use std::path::PathBuf;

use clap::Args;

use super::error::CliError;
use crate::config::{Log, LogFormat, PlatformConfig, Runtime, ServerConfig, Sources};
use crate::{clock, demo, platform, server, telemetry};

const EXAMPLE: &str = "Example: isthmus platform --config platform.toml\n         isthmus server --config server.toml --set log.level=debug\n\nEvery key can be set in the file, as ISTHMUS_SECTION__KEY, or by --set, in rising order of precedence; `--defaults` prints all keys with their defaults and reasons.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct RoleArgs {
    /// The configuration file.
    #[arg(long, env = "ISTHMUS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// One key on top of everything else; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
    /// Reads and checks the configuration, and does nothing else.
    #[arg(long)]
    check: bool,
    /// Prints the documented defaults, ready to be a configuration file.
    #[arg(long, conflicts_with_all = ["config", "set", "check"])]
    defaults: bool,
    /// Stops when standard input closes: for a process that must not outlive the one that started it.
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, as store.queue=8192")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

impl RoleArgs {
    fn sources(self) -> Sources {
        Sources { flags: self.set, ..Sources::of_process(self.config) }
    }
}

pub(super) fn platform(args: RoleArgs) -> Result<(), CliError> {
    if args.defaults {
        return print(crate::config::PLATFORM_DEFAULTS);
    }
    let (check, stdin) = (args.check, args.until_stdin_closes);
    let config = PlatformConfig::load(&args.sources())?;
    if check {
        return print("the configuration is good");
    }
    prepare(&config.log)?;
    let runtime = runtime(&config.runtime)?;
    runtime.block_on(async { platform::run(config, asked_to_stop(stdin)).await }).map_err(|e| CliError::chain(&e))
}

pub(super) fn server(args: RoleArgs) -> Result<(), CliError> {
    if args.defaults {
        return print(crate::config::SERVER_DEFAULTS);
    }
    let (check, stdin) = (args.check, args.until_stdin_closes);
    let config = ServerConfig::load(&args.sources())?;
    if check {
        return print("the configuration is good");
    }
    prepare(&config.log)?;
    let runtime = runtime(&config.runtime)?;
    runtime.block_on(async { server::run(config, asked_to_stop(stdin)).await }).map_err(|e| CliError::chain(&e))
}

fn print(text: &str) -> Result<(), CliError> {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{}", text.trim_end()).map_err(|error| CliError::chain(&error))
}

/// 2025-01-01: no machine that runs this release has an honest clock before it.
const EARLIEST_MS: u64 = 1_735_689_600_000;

fn prepare(log: &Log) -> Result<(), CliError> {
    telemetry::init(log).map_err(|error| CliError::Usage(error.to_string()))?;
    if clock::now_ms() < EARLIEST_MS {
        return Err(CliError::Failed(
            "this machine's clock stands before 2025, so that no certificate would be valid: set it (`timedatectl`, or an NTP service) and start again".into(),
        ));
    }
    Ok(())
}

/// Warnings and faults only, for commands that drive other processes and speak for themselves.
pub(super) fn quiet() -> Result<(), CliError> {
    let log = Log { format: LogFormat::Text, level: "warn".to_owned() };
    telemetry::init(&log).map_err(|error| CliError::Usage(error.to_string()))
}

fn runtime(config: &Runtime) -> Result<tokio::runtime::Runtime, CliError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if config.workers > 0 {
        builder.worker_threads(config.workers);
    }
    builder.enable_all().build().map_err(|error| CliError::chain(&error))
}

/// Completes at SIGINT or SIGTERM, or when standard input closes where that was asked for. A second signal ends the process at once.
async fn asked_to_stop(stdin: bool) {
    tokio::select! {
        () = signalled() => {}
        () = demo::stdin_closed(), if stdin => {}
    }
    tracing::info!("stopping");
    tokio::spawn(async {
        signalled().await;
        tracing::warn!("asked a second time: ending at once");
        std::process::exit(130);
    });
}

#[cfg(unix)]
async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signalled() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
