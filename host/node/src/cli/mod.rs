//! The command line: what was asked, whom to ask, and how the answer is shown.
//!
//! Commands that administer a running process are clients of its admin listener and can do no more than its HTTP interface does.

mod admin;
mod audit;
mod ca;
mod chat;
mod conformance;
mod error;
mod lists;
mod out;
mod overview;
mod play;
mod plugin;
mod policy;
mod registry;
mod rehearse;
mod role;
mod target;
mod users;
mod what_if;
mod when;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use error::CliError;
use out::Out;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 refused by the other side, \
                          4 nobody answers there, 5 a verification found something wrong.";

/// An instant-messaging server whose security policy its operator writes (T/CIIA 003—2019).
#[derive(Debug, Parser)]
#[command(name = "isthmus", version, propagate_version = true, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    /// Answers in JSON, one document on standard output.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings up a platform and two servers to try, or plays the whole story.
    Demo(crate::demo::DemoArgs),
    /// Runs a management platform from one configuration file, or tends its certificate authority.
    Platform(PlatformArgs),
    /// Runs an IM server from one configuration file.
    Server(role::RoleArgs),
    /// Administers a running platform or server.
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Shows, checks and exchanges a running server's security policy.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Writes, builds, tests, measures and signs policy plugins; needs no server.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Searches the audit log, and verifies it from its files alone.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Chats in the terminal, as a user of a server.
    #[command(after_help = chat::EXAMPLES)]
    Chat(chat::ChatArgs),
    /// Measures throughput, latency and cost of messages between two servers.
    Bench(crate::bench::BenchArgs),
    /// Tests any implementation of the standard from outside, as a peer server.
    Conformance(Box<conformance::ConformanceArgs>),
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
struct PlatformArgs {
    #[command(subcommand)]
    command: Option<ca::PlatformCommand>,
    #[command(flatten)]
    role: role::RoleArgs,
}

/// The whole of the binary.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Out::new(cli.json);
    let done = match cli.command {
        Command::Demo(args) => play::demo(&args, cli.json),
        Command::Chat(args) => chat::run(args),
        Command::Bench(args) => play::bench(&args, cli.json),
        Command::Conformance(args) => conformance::run(&args, cli.json),
        Command::Platform(PlatformArgs { command: Some(command), .. }) => ca::run(command, &out),
        Command::Platform(args) => role::platform(args.role),
        Command::Server(args) => role::server(args),
        Command::Admin(command) => admin::run(command, &out),
        Command::Policy(command) => policy::run(command, &out),
        Command::Plugin(command) => plugin::run(command, &out),
        Command::Audit(command) => audit::run(command, &out),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out.failure(&error);
            ExitCode::from(error.exit())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_commands_are_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example_in_its_help() {
        fn check(command: &clap::Command, path: &str) {
            let leaf = command.get_subcommands().next().is_none();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(!leaf || help.contains("Example"), "`{path}` has no example");
            command.get_subcommands().for_each(|sub| check(sub, &format!("{path} {}", sub.get_name())));
        }
        let command = super::Cli::command();
        command.get_subcommands().for_each(|sub| check(sub, sub.get_name()));
    }
}
