//! `isthmus admin suspend`, `resume`, `deregister`, `certificates`: the standing of the platform's servers.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin::segment;
use super::error::CliError;
use super::out::{Column, Out, plain, table};
use super::target::Target;
use super::when;
use crate::admin_token::Role;

#[derive(Debug, Subcommand)]
pub(super) enum RegistryCommand {
    /// Suspends a server: all others refuse it as soon as they hear of it, within a minute.
    #[command(after_help = "Example: isthmus admin suspend west --reason 'spam from there' --config platform.toml")]
    Suspend(Standing),
    /// Lets a suspended server take part again.
    #[command(after_help = "Example: isthmus admin resume west --reason 'it was a mistake' --config platform.toml")]
    Resume(Standing),
    /// Ends a server for good: its certificates are revoked, its ID is never used again.
    #[command(
        after_help = "Example: isthmus admin deregister west --reason 'the contract has ended' --config platform.toml"
    )]
    Deregister(Standing),
    /// Lists the servers' certificates that have not expired, and which of them are revoked.
    #[command(after_help = "Example: isthmus admin certificates --config platform.toml")]
    Certificates(Target),
}

#[derive(Debug, Args)]
pub(super) struct Standing {
    /// The server's ID, as `servers` lists it.
    server: String,
    /// Why, for the audit log.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(command: RegistryCommand, out: &Out) -> Result<(), CliError> {
    match command {
        RegistryCommand::Suspend(asked) => change(&asked, "suspend", "is suspended", out),
        RegistryCommand::Resume(asked) => change(&asked, "resume", "takes part again", out),
        RegistryCommand::Deregister(asked) => change(&asked, "deregister", "is deregistered", out),
        RegistryCommand::Certificates(target) => certificates(&target, out),
    }
}

fn change(asked: &Standing, verb: &str, done: &str, out: &Out) -> Result<(), CliError> {
    let path = format!("/admin/v1/servers/{}/{verb}", segment(&asked.server));
    let answer = asked.target.post(Role::System, &path, &json!({"reason": asked.reason}))?;
    out.answer(&answer, |a| format!("{} {done}", plain(&a["serverId"])));
    Ok(())
}

fn certificates(target: &Target, out: &Out) -> Result<(), CliError> {
    const COLUMNS: &[Column<'_>] = &[
        ("SERIAL", |c| plain(&c["serial"])),
        ("SERVER", |c| plain(&c["serverId"])),
        ("ISSUED", |c| moment(&c["issuedMs"])),
        ("UNTIL", |c| moment(&c["notAfterMs"])),
        ("REVOKED", |c| moment(&c["revokedMs"])),
        ("KEY", |c| plain(&c["keyAlgorithm"])),
    ];
    let answer = target.get(Role::System, "/admin/v1/certificates")?;
    out.answer(&answer, |a| table(a, "certificates", COLUMNS, "no certificates"));
    Ok(())
}

fn moment(ms: &Value) -> String {
    ms.as_u64().map_or_else(|| "-".to_owned(), when::show)
}
