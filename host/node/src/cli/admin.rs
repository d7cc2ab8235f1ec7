//! `isthmus admin …`: the platform's applications and servers, a server's users, outbox and held messages.

use std::io::Read;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::ca::{Begun, recorded};
use super::error::CliError;
use super::out::{Column, Out, outline, plain, table};
use super::registry::{self, RegistryCommand};
use super::target::{Either, Target};
use super::when;
use crate::admin_token::{AdminTokens, Role, read_plain};

#[derive(Debug, Subcommand)]
pub(super) enum AdminCommand {
    /// Lists applications to the platform.
    #[command(after_help = "Example: isthmus admin applications --config platform.toml --pending")]
    Applications {
        /// Only those that wait for a decision.
        #[arg(long)]
        pending: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Approves an application; the platform issues the certificate at once.
    #[command(after_help = "Example: isthmus admin approve a-7f3c --config platform.toml")]
    Approve {
        /// The application's ID, as `applications` lists it.
        id: String,
        /// Why, for the audit log.
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        target: Target,
    },
    /// Rejects an application. The applicant is told the reason.
    #[command(
        after_help = "Example: isthmus admin reject a-7f3c --reason 'the contact does not answer' --config platform.toml"
    )]
    Reject {
        /// The application's ID, as `applications` lists it.
        id: String,
        /// Why, in words for the applicant.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        target: Target,
    },
    /// Lists the platform's registered servers.
    #[command(after_help = "Example: isthmus admin servers --config platform.toml")]
    Servers(Target),
    #[command(flatten)]
    Registry(RegistryCommand),
    /// Shows the administrators' tokens of a platform or server on this machine.
    #[command(
        after_help = "Example: isthmus admin tokens --config server.toml\n         isthmus admin tokens --config server.toml --renew"
    )]
    Tokens(TokensArgs),
    /// A server's users.
    #[command(subcommand)]
    Users(UsersCommand),
    /// Shows what waits for other servers.
    #[command(after_help = "Example: isthmus admin outbox --config server.toml")]
    Outbox(Target),
    /// Messages in quarantine.
    #[command(subcommand)]
    Held(HeldCommand),
    /// Shows a server's state in figures.
    #[command(after_help = "Example: isthmus admin status --config server.toml --json")]
    Status(Target),
}

#[derive(Debug, Args)]
pub(super) struct TokensArgs {
    /// Makes new tokens in place of the old. The running process takes them at its next start.
    #[arg(long)]
    renew: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
pub(super) enum UsersCommand {
    /// Lists them.
    #[command(after_help = "Example: isthmus admin users list --config server.toml")]
    List(Target),
    /// Creates one. The password is read from ISTHMUS_PASSWORD or from standard input.
    #[command(
        after_help = "Example: isthmus admin users add alice --name 'Alice Wu' --config server.toml < password.txt"
    )]
    Add {
        /// The part of the userID before the `@`.
        local: String,
        /// The name people see.
        #[arg(long)]
        name: String,
        /// With country code, as 008613800138000. Friends alone see it.
        #[arg(long)]
        phone: Option<String>,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum HeldCommand {
    /// Lists them.
    #[command(after_help = "Example: isthmus admin held list --config server.toml")]
    List(Target),
    /// Lets one go on to its recipient.
    #[command(after_help = "Example: isthmus admin held release h-12 --config server.toml")]
    Release {
        /// As `list` shows it.
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Drops one; its sender is told.
    #[command(after_help = "Example: isthmus admin held drop h-12 --config server.toml")]
    Drop {
        /// As `list` shows it.
        id: String,
        #[command(flatten)]
        target: Target,
    },
}

pub(super) fn run(command: AdminCommand, out: &Out) -> Result<(), CliError> {
    match command {
        AdminCommand::Applications { pending, target } => applications(pending, &target, out),
        AdminCommand::Approve { id, reason, target } => {
            decide(&target, &id, "approve", &json!({"reason": reason}), out)
        }
        AdminCommand::Reject { id, reason, target } => decide(&target, &id, "reject", &json!({"reason": reason}), out),
        AdminCommand::Servers(target) => servers(&target, out),
        AdminCommand::Registry(command) => registry::run(command, out),
        AdminCommand::Tokens(args) => tokens(&args, out),
        AdminCommand::Users(UsersCommand::List(target)) => users(&target, out),
        AdminCommand::Users(UsersCommand::Add { local, name, phone, target }) => {
            add_user(&target, &local, &name, phone.as_deref(), out)
        }
        AdminCommand::Outbox(target) => show(&target, Role::System, "/admin/v1/outbox", out),
        AdminCommand::Held(HeldCommand::List(target)) => show(&target, Role::Security, "/admin/v1/held", out),
        AdminCommand::Held(HeldCommand::Release { id, target }) => held(&target, &id, "release", out),
        AdminCommand::Held(HeldCommand::Drop { id, target }) => held(&target, &id, "drop", out),
        AdminCommand::Status(target) => show(&target, Role::System, "/admin/v1/status", out),
    }
}

fn show(target: &Target, role: Role, path: &str, out: &Out) -> Result<(), CliError> {
    out.answer(&target.get(role, path)?, outline);
    Ok(())
}

fn applications(pending: bool, target: &Target, out: &Out) -> Result<(), CliError> {
    const COLUMNS: &[Column<'_>] = &[
        ("APPLICATION", |a| plain(&a["applicationId"])),
        ("STATE", |a| plain(&a["state"])),
        ("WHAT", |a| plain(&a["kind"])),
        ("SERVER", |a| plain(&a["serverInfo"]["serverId"])),
        ("ADDRESS", |a| plain(&a["serverInfo"]["serverAddress"])),
        ("CONTACT", |a| plain(&a["serverInfo"]["contactName"])),
        ("SINCE", |a| a["createdMs"].as_u64().map_or_else(|| "-".to_owned(), when::show)),
    ];
    let path = if pending { "/admin/v1/applications?state=pending" } else { "/admin/v1/applications" };
    let answer = target.get(Role::System, path)?;
    out.answer(&answer, |a| table(a, "applications", COLUMNS, "no applications"));
    Ok(())
}

fn decide(target: &Target, id: &str, verb: &str, body: &Value, out: &Out) -> Result<(), CliError> {
    let path = format!("/admin/v1/applications/{}/{verb}", segment(id));
    let answer = target.post(Role::System, &path, body)?;
    let done = if verb == "approve" { "approved" } else { "rejected" };
    out.answer(&answer, |a| format!("{done} {id}{}", server_of(a)));
    Ok(())
}

fn server_of(answer: &Value) -> String {
    answer["serverId"].as_str().map(|id| format!(" of server {id}")).unwrap_or_default()
}

fn servers(target: &Target, out: &Out) -> Result<(), CliError> {
    const COLUMNS: &[Column<'_>] = &[
        ("SERVER", |s| plain(&s["serverId"])),
        ("NAME", |s| plain(&s["serverName"])),
        ("STANDING", |s| standing(&s["serverStatus"])),
        ("ADDRESS", |s| plain(&s["serverAddress"])),
        ("AREA", |s| plain(&s["area"])),
        ("CERTIFICATE UNTIL", |s| s["notAfterMs"].as_u64().map_or_else(|| "-".to_owned(), when::show)),
    ];
    let answer = target.get(Role::System, "/admin/v1/servers")?;
    out.answer(&answer, |a| table(a, "servers", COLUMNS, "no servers are registered"));
    Ok(())
}

fn standing(status: &Value) -> String {
    match status.as_str() {
        Some("0") => "normal".to_owned(),
        Some("1") => "suspended".to_owned(),
        Some("2") => "deregistered".to_owned(),
        _ => plain(status),
    }
}

fn tokens(args: &TokensArgs, out: &Out) -> Result<(), CliError> {
    let config = args.target.config()?;
    let plain_file = config.admin_tokens();
    if args.renew {
        let renew = || AdminTokens::renew(config.data_dir(), plain_file).map(drop);
        match &config {
            Either::Platform(platform) => recorded(platform, Begun::of("platform.tokens.renew"), renew)?,
            Either::Server(_) => renew()?,
        }
    }
    let of = |role| read_plain(plain_file, role);
    let answer = json!({"system": of(Role::System)?, "security": of(Role::Security)?, "audit": of(Role::Audit)?,
        "file": plain_file.display().to_string()});
    out.answer(&answer, outline);
    Ok(())
}

fn users(target: &Target, out: &Out) -> Result<(), CliError> {
    const COLUMNS: &[Column<'_>] = &[("USER", |u| plain(&u["userID"])), ("NAME", |u| plain(&u["name"]))];
    let answer = target.get(Role::System, "/admin/v1/users")?;
    out.answer(&answer, |a| table(a, "users", COLUMNS, "no users yet"));
    Ok(())
}

fn add_user(target: &Target, local: &str, name: &str, phone: Option<&str>, out: &Out) -> Result<(), CliError> {
    let password = password()?;
    let mut body = json!({"userID": local, "name": name, "password": password});
    if let Some(phone) = phone {
        body["phoneNumber"] = json!(phone);
    }
    let answer = target.post(Role::System, "/admin/v1/users", &body)?;
    out.answer(&answer, |a| format!("created {}", a["userID"].as_str().unwrap_or(local)));
    Ok(())
}

fn password() -> Result<String, CliError> {
    if let Ok(password) = std::env::var("ISTHMUS_PASSWORD") {
        return Ok(password);
    }
    let mut text = String::new();
    std::io::stdin().take(4096).read_to_string(&mut text).map_err(|error| CliError::chain(&error))?;
    let password = text.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        return Err(CliError::Usage("no password: write it to standard input or into ISTHMUS_PASSWORD".into()));
    }
    Ok(password)
}

fn held(target: &Target, id: &str, verb: &str, out: &Out) -> Result<(), CliError> {
    let answer = target.post(Role::Security, &format!("/admin/v1/held/{}/{verb}", segment(id)), &json!({}))?;
    let done = if verb == "drop" { "dropped" } else { "released" };
    out.answer(&answer, |_| format!("{done} {id}"));
    Ok(())
}

/// One segment of a path.
pub(super) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
