//! `isthmus admin …`: the platform's applications and servers; a server's administrators, peers, outbox and held messages.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::ca::{Begun, recorded};
use super::error::CliError;
use super::out::{Column, Out, outline, plain, table};
use super::overview::overview;
use super::registry::{self, RegistryCommand};
use super::target::{Either, Target};
use super::users::{self, UsersCommand};
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
    /// Shows one application: who applies for what and, for a change, old and new side by side.
    #[command(after_help = "Example: isthmus admin application a-7f3c --config platform.toml")]
    Application {
        /// The application's ID, as `applications` lists it.
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Approves an application; the platform issues the certificate with the last reviewer's word.
    #[command(
        after_help = "Example: isthmus admin approve a-7f3c --reason 'their office answers' --config platform.toml"
    )]
    Approve {
        /// The application's ID, as `applications` lists it.
        id: String,
        /// What it was decided on, for the audit log and the other reviewer.
        #[arg(long, default_value = "")]
        reason: String,
        /// As the second of two reviewers: the security administrator.
        #[arg(long)]
        second: bool,
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
    /// The administrators' accounts of a server.
    #[command(subcommand)]
    Administrators(AdministratorsCommand),
    /// Lists the other servers: whether they are up, what waits for them, until when their certificates hold.
    #[command(after_help = "Example: isthmus admin peers --config server.toml")]
    Peers(Target),
    /// Shows how a server fares, at a glance: state, policy, users, connections, queues, disk, audit log.
    #[command(after_help = "Example: isthmus admin overview --config server.toml --json")]
    Overview(Target),
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
pub(super) enum AdministratorsCommand {
    /// Lists them: who they are, and whether they have chosen a password and a second factor.
    #[command(after_help = "Example: isthmus admin administrators list --config server.toml")]
    List(Target),
    /// Gives an account a new one-time password, which is shown once. Takes the token of the account's own role.
    #[command(after_help = "Example: isthmus admin administrators reset sysadmin --config server.toml")]
    Reset {
        /// The account's name, as `list` shows it.
        name: String,
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
    #[command(after_help = "Example: isthmus admin held drop h-12 --reason 'no advertisements' --config server.toml")]
    Drop {
        /// As `list` shows it.
        id: String,
        /// Why, in words for its sender.
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        target: Target,
    },
}

pub(super) fn run(command: AdminCommand, out: &Out) -> Result<(), CliError> {
    match command {
        AdminCommand::Applications { pending, target } => applications(pending, &target, out),
        AdminCommand::Application { id, target } => application(&target, &id, out),
        AdminCommand::Approve { id, reason, second, target } => {
            let role = if second { Role::Security } else { Role::System };
            decide(&target, role, &id, "approve", &reason, out)
        }
        AdminCommand::Reject { id, reason, target } => decide(&target, Role::System, &id, "reject", &reason, out),
        AdminCommand::Servers(target) => servers(&target, out),
        AdminCommand::Registry(command) => registry::run(command, out),
        AdminCommand::Tokens(args) => tokens(&args, out),
        AdminCommand::Users(command) => users::run(command, out),
        AdminCommand::Administrators(AdministratorsCommand::List(target)) => administrators(&target, out),
        AdminCommand::Administrators(AdministratorsCommand::Reset { name, target }) => {
            reset_administrator(&target, &name, out)
        }
        AdminCommand::Peers(target) => peers(&target, out),
        AdminCommand::Overview(target) => overview(&target, out),
        AdminCommand::Outbox(target) => show(&target, Role::System, "/admin/v1/outbox", out),
        AdminCommand::Held(HeldCommand::List(target)) => show(&target, Role::Security, "/admin/v1/held", out),
        AdminCommand::Held(HeldCommand::Release { id, target }) => held(&target, &id, "release", &json!({}), out),
        AdminCommand::Held(HeldCommand::Drop { id, reason, target }) => {
            held(&target, &id, "drop", &json!({"reason": reason}), out)
        }
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
        ("CHANGES", |a| changes(a)),
        ("SINCE", |a| a["createdMs"].as_u64().map_or_else(|| "-".to_owned(), when::show)),
    ];
    let path = if pending { "/admin/v1/applications?state=pending" } else { "/admin/v1/applications" };
    let answer = target.get(Role::System, path)?;
    out.answer(&answer, |a| table(a, "applications", COLUMNS, "no applications"));
    Ok(())
}

/// Old and new in one line.
fn changes(application: &Value) -> String {
    let changes = application["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let each = changes.iter().map(|c| format!("{}: {} -> {}", plain(&c["field"]), plain(&c["old"]), plain(&c["new"])));
    plain(&json!(each.collect::<Vec<_>>().join("; ")))
}

fn application(target: &Target, id: &str, out: &Out) -> Result<(), CliError> {
    const CHANGES: &[Column<'_>] = &[
        ("FIELD", |c| plain(&c["field"])),
        ("REGISTERED", |c| plain(&c["old"])),
        ("APPLIED FOR", |c| plain(&c["new"])),
    ];
    let answer = target.get(Role::System, "/admin/v1/applications")?;
    let all = answer["applications"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = all.iter().find(|one| one["applicationId"] == id).cloned();
    let found =
        found.ok_or_else(|| CliError::Usage(format!("there is no application {id}; `applications` lists them")))?;
    out.answer(&found, |found| {
        let mut rest = found.clone();
        let changes = rest.as_object_mut().and_then(|members| members.remove("changes"));
        let Some(changes) = changes else { return outline(&rest) };
        format!("{}\n{}", outline(&rest), table(&json!({"changes": changes}), "changes", CHANGES, "nothing changes"))
    });
    Ok(())
}

fn decide(target: &Target, role: Role, id: &str, verb: &str, why: &str, out: &Out) -> Result<(), CliError> {
    let path = format!("/admin/v1/applications/{}/{verb}", segment(id));
    let answer = target.post(role, &path, &json!({"reason": why}))?;
    let done = match (verb, answer["state"].as_str()) {
        ("approve", Some("pending")) => "the other reviewer's word is waited for on",
        ("approve", _) => "approved",
        _ => "rejected",
    };
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

fn peers(target: &Target, out: &Out) -> Result<(), CliError> {
    const COLUMNS: &[Column<'_>] = &[
        ("SERVER", |p| plain(&p["serverId"])),
        ("STANDING", |p| standing(&p["status"])),
        ("STATE", |p| if p["down"] == true { "down".to_owned() } else { "up".to_owned() }),
        ("LETTERS", |p| plain(&p["letters"])),
        ("LAST CONTACT", |p| p["lastContactMs"].as_u64().map_or_else(|| "-".to_owned(), when::show)),
        ("CERTIFICATE UNTIL", |p| p["certificate"]["untilMs"].as_u64().map_or_else(|| "-".to_owned(), when::show)),
        ("ADDRESS", |p| plain(&p["address"])),
    ];
    let answer = target.get(Role::System, "/admin/v1/peers")?;
    out.answer(&answer, |a| table(a, "peers", COLUMNS, "no other server is known yet"));
    Ok(())
}

fn administrators(target: &Target, out: &Out) -> Result<(), CliError> {
    const COLUMNS: &[Column<'_>] = &[
        ("NAME", |a| plain(&a["name"])),
        ("ROLE", |a| plain(&a["role"])),
        ("PASSWORD", |a| if a["isNew"] == true { "one-time".to_owned() } else { "own".to_owned() }),
        ("SINCE", |a| a["passwordMs"].as_u64().map_or_else(|| "-".to_owned(), when::show)),
        ("SECOND FACTOR", |a| if a["totp"] == true { "yes".to_owned() } else { "no".to_owned() }),
    ];
    let answer = target.get(Role::System, "/admin/v1/administrators")?;
    out.answer(&answer, |a| table(a, "administrators", COLUMNS, "no administrators"));
    Ok(())
}

/// Each role helps its own accounts alone: the token is chosen by the account's role.
fn reset_administrator(target: &Target, name: &str, out: &Out) -> Result<(), CliError> {
    let known = target.get(Role::System, "/admin/v1/administrators")?;
    let of = known["administrators"].as_array().into_iter().flatten().find(|one| one["name"] == name);
    let role = of.and_then(|one| Role::ALL.into_iter().find(|role| one["role"] == role.as_str()));
    let path = format!("/admin/v1/administrators/{}/reset", segment(name));
    let answer = target.post(role.unwrap_or(Role::System), &path, &json!({}))?;
    out.answer(&answer, |a| format!("{name} logs in once with {} and chooses a password then", plain(&a["password"])));
    Ok(())
}

fn held(target: &Target, id: &str, verb: &str, body: &Value, out: &Out) -> Result<(), CliError> {
    let answer = target.post(Role::Security, &format!("/admin/v1/held/{}/{verb}", segment(id)), body)?;
    let done = if verb == "drop" { "dropped" } else { "released" };
    out.answer(&answer, |_| format!("{done} {id}"));
    Ok(())
}

/// One segment of a path.
pub(super) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
