//! `isthmus policy …`: generations of a running server.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use super::admin::segment;
use super::error::CliError;
use super::out::{Column, Out, outline, plain, table};
use super::target::Target;
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
        /// The bundle's folder, as the server's machine sees it.
        dir: PathBuf,
        #[command(flatten)]
        target: Target,
    },
    /// Activates a bundle; answers once nothing is judged by the old policy any more.
    #[command(
        after_help = "Example: isthmus policy activate ./policy --why 'block links, ticket 4711' --config server.toml"
    )]
    Activate {
        /// The bundle's folder, as the server's machine sees it.
        dir: PathBuf,
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
    /// Tells who decided about a message, and why.
    #[command(after_help = "Example: isthmus policy explain 0190a3c2-5e0b --config server.toml")]
    Explain {
        /// A messageID or the ID of a decision.
        id: String,
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
        PolicyCommand::Check { dir, target } => check(&dir, &target, out),
        PolicyCommand::Activate { dir, why, target } => {
            let body = json!({"dir": absolute(&dir)?, "why": why});
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
        PolicyCommand::Explain { id, target } => {
            let answer = target.get(Role::Security, &format!("/admin/v1/policy/explain/{}", segment(&id)))?;
            out.answer(&answer, outline);
            Ok(())
        }
    }
}

/// The server has another working directory.
fn absolute(dir: &Path) -> Result<String, CliError> {
    let path = std::path::absolute(dir).map_err(|error| CliError::chain(&error))?;
    Ok(path.display().to_string())
}

fn check(dir: &Path, target: &Target, out: &Out) -> Result<(), CliError> {
    let checked = target.post(Role::Security, "/admin/v1/policy/check", &json!({"dir": absolute(dir)?}));
    let answer = checked.map_err(|error| {
        if let CliError::Refused { words, .. } = error { CliError::BundleBroken(words) } else { error }
    })?;
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
    let answer = target.get(Role::Security, "/admin/v1/policy/history")?;
    out.answer(&answer, |a| table(a, "history", COLUMNS, "no generations yet"));
    Ok(())
}
