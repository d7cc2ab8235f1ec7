//! `isthmus policy …`: generations of a running server.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use super::admin::segment;
use super::error::CliError;
use super::out::{Column, Out, outline, plain, table};
use super::rehearse::{self, ReplayArgs, ShadowCommand, Which, broken, short};
use super::target::Target;
use super::what_if::{self, WhatIfArgs};
use super::when;
use crate::admin_token::Role;

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Shows the active generation: its plugins, their settings, state and figures.
    #[command(after_help = "Example: isthmus policy show --config server.toml")]
    Show(Target),
    /// Checks a bundle as activation would, and changes nothing.
    #[command(after_help = "Example: isthmus policy check ./policy --config server.toml")]
    Check {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        target: Target,
    },
    /// Keeps a bundle that could be activated, so that what is rehearsed and at last activated is the same.
    #[command(after_help = "Example: isthmus policy stage ./policy --why 'ticket 4711' --config server.toml")]
    Stage {
        /// The bundle's folder, as the server's machine sees it.
        dir: PathBuf,
        /// Why, for the audit log.
        #[arg(long, default_value = "")]
        why: String,
        #[command(flatten)]
        target: Target,
    },
    /// Keeps a bundle that lies on this machine, not on the server's: its files go with the request.
    #[command(
        after_help = "Example: isthmus policy upload ./policy --why 'ticket 4711' --url https://im.example:7446 --ca ca.pem"
    )]
    Upload {
        /// The bundle's folder on this machine.
        dir: PathBuf,
        /// Why, for the audit log.
        #[arg(long, default_value = "")]
        why: String,
        #[command(flatten)]
        target: Target,
    },
    /// Starts every plugin of a bundle and judges the bundle's own cases (tests.toml). Fails if one comes out otherwise.
    #[command(after_help = "Example: isthmus policy canary staged:1a2b3c --config server.toml")]
    Canary {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        target: Target,
    },
    /// A candidate judges live traffic beside the active policy, and changes nothing.
    #[command(subcommand)]
    Shadow(ShadowCommand),
    /// Judges recorded decisions anew: what would be otherwise under a candidate?
    #[command(
        after_help = "Example: isthmus policy replay ./policy --from 7d --config server.toml\n         isthmus policy replay staged:1a2b3c --json --config server.toml"
    )]
    Replay(Box<ReplayArgs>),
    /// Tells in words what differs between two bundles.
    #[command(
        after_help = "Example: isthmus policy diff 3 active --config server.toml\n         isthmus policy diff active ./policy --config server.toml"
    )]
    Diff {
        /// A generation's number, `active`, `staged:DIGEST`, or a folder.
        from: String,
        /// The same.
        to: String,
        #[command(flatten)]
        target: Target,
    },
    /// Activates a bundle; answers once nothing is judged by the old policy any more.
    #[command(
        after_help = "Example: isthmus policy activate ./policy --why 'block links, ticket 4711' --config server.toml"
    )]
    Activate {
        #[command(flatten)]
        which: Which,
        /// Why, for history and audit log.
        #[arg(long)]
        why: String,
        #[command(flatten)]
        target: Target,
    },
    /// Goes back to the generation before the active one, or to any that is kept.
    #[command(
        after_help = "Example: isthmus policy rollback --why 'false alarms' --config server.toml\n         isthmus policy rollback --to 12 --why 'false alarms' --config server.toml"
    )]
    Rollback {
        /// The generation's number, as `history` lists it.
        #[arg(long, value_name = "GENERATION")]
        to: Option<u64>,
        /// Why, for history and audit log.
        #[arg(long)]
        why: String,
        #[command(flatten)]
        target: Target,
    },
    /// Lists the generations: who activated what, when and why.
    #[command(after_help = "Example: isthmus policy history --config server.toml")]
    History(Target),
    /// Lists (black, white, keywords): shown and changed while requests are judged, without a new generation.
    #[command(subcommand)]
    Lists(super::lists::ListsCommand),
    /// Tells who decided about a message, and why; or what the active policy would say of one.
    #[command(
        after_help = "Example: isthmus policy explain 0190a3c2-5e0b --config server.toml\n         isthmus policy explain --from alice@north --to carol@south --text 'hello' --config server.toml"
    )]
    Explain {
        /// A messageID or the ID of a decision.
        #[arg(required_unless_present = "from", conflicts_with = "from")]
        id: Option<String>,
        #[command(flatten)]
        what_if: Box<WhatIfArgs>,
        #[command(flatten)]
        target: Target,
    },
}

pub(super) fn run(command: PolicyCommand, out: &Out) -> Result<(), CliError> {
    match command {
        PolicyCommand::Show(target) => {
            out.answer(&target.get(Role::Security, "/admin/v1/policy")?, outline);
            Ok(())
        }
        PolicyCommand::Check { which, target } => check(&which, &target, out),
        PolicyCommand::Stage { dir, why, target } => rehearse::stage(&dir, &why, &target, out),
        PolicyCommand::Upload { dir, why, target } => rehearse::upload(&dir, &why, &target, out),
        PolicyCommand::Canary { which, target } => rehearse::canary(&which, &target, out),
        PolicyCommand::Shadow(command) => rehearse::shadow(command, out),
        PolicyCommand::Replay(args) => rehearse::replay(&args, out),
        PolicyCommand::Diff { from, to, target } => rehearse::diff(&from, &to, &target, out),
        PolicyCommand::Activate { which, why, target } => {
            let mut body = which.body()?;
            body["why"] = json!(why);
            activated(&target.post(Role::Security, "/admin/v1/policy/activate", &body)?, out)
        }
        PolicyCommand::Rollback { to, why, target } => {
            let mut body = json!({"why": why});
            if let Some(to) = to {
                body["to"] = to.into();
            }
            activated(&target.post(Role::Security, "/admin/v1/policy/rollback", &body)?, out)
        }
        PolicyCommand::History(target) => history(&target, out),
        PolicyCommand::Lists(command) => super::lists::run(command, out),
        PolicyCommand::Explain { id: None, what_if, target } => what_if::what_if(&what_if, &target, out),
        PolicyCommand::Explain { id: Some(id), target, .. } => {
            let answer = target.get(Role::Security, &format!("/admin/v1/policy/explain/{}", segment(&id)))?;
            out.answer(&answer, outline);
            Ok(())
        }
    }
}

/// The server has another working directory.
pub(super) fn absolute(dir: &Path) -> Result<String, CliError> {
    let path = std::path::absolute(dir).map_err(|error| CliError::chain(&error))?;
    Ok(path.display().to_string())
}

fn check(which: &Which, target: &Target, out: &Out) -> Result<(), CliError> {
    let answer = target.post(Role::Security, "/admin/v1/policy/check", &which.body()?).map_err(broken)?;
    out.answer(&answer, |a| format!("the bundle is good\n{}", outline(a)));
    Ok(())
}

fn activated(answer: &Value, out: &Out) -> Result<(), CliError> {
    out.answer(answer, |a| {
        let number = a["number"].as_u64().or_else(|| a["generation"].as_u64()).unwrap_or_default();
        let micros = a["micros"].as_u64().unwrap_or_default();
        let drained =
            if a["drained"].as_bool() == Some(false) { ", old requests were ended by their deadline" } else { "" };
        format!("generation {number} is active ({micros} µs{drained}); nothing is judged by the one before it any more")
    });
    Ok(())
}

fn history(target: &Target, out: &Out) -> Result<(), CliError> {
    const COLUMNS: &[Column<'_>] = &[
        ("GENERATION", |h| plain(&h["number"])),
        ("STATE", |h| plain(&h["state"])),
        ("AT", |h| ["at_ms", "atMs"].iter().find_map(|n| h[*n].as_u64()).map_or_else(|| "-".to_owned(), when::show)),
        ("BY", |h| plain(&h["by"])),
        ("DIGEST", |h| plain(&h["digest"]).chars().take(12).collect()),
        ("WHY", |h| plain(&h["why"])),
    ];
    const STAGED: &[Column<'_>] = &[
        ("STAGED", |s| format!("staged:{}", short(&s["digest"]))),
        ("NAME", |s| plain(&s["name"])),
        ("AT", |s| s["at_ms"].as_u64().map_or_else(|| "-".to_owned(), when::show)),
        ("BY", |s| plain(&s["by"])),
        ("WHY", |s| plain(&s["why"])),
    ];
    let answer = target.get(Role::Security, "/admin/v1/policy/history")?;
    out.answer(&answer, |a| {
        let history = table(a, "history", COLUMNS, "no generations yet");
        let staged = table(a, "staged", STAGED, "");
        if staged.is_empty() { history } else { format!("{history}\n{staged}") }
    });
    Ok(())
}
