//! `isthmus policy lists …`: lists are data with a revision of their own.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin::segment;
use super::error::CliError;
use super::out::{Column, Out, plain, table};
use super::target::Target;
use super::when;
use crate::admin_token::Role;

#[derive(Debug, Subcommand)]
pub(super) enum ListsCommand {
    /// Shows all lists, or the entries and latest changes of one.
    #[command(
        after_help = "Example: isthmus policy lists show --config server.toml\n         isthmus policy lists show blacklist --config server.toml"
    )]
    Show {
        /// Its name; all lists if left out.
        name: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Puts entries on a list. Answers once nothing is judged by the list as it was.
    #[command(
        after_help = "Example: isthmus policy lists add blacklist rival-1 'rival-2*' --why 'ticket 4711' --config server.toml"
    )]
    Add {
        /// The list's name.
        name: String,
        /// What to put on it.
        #[arg(required = true)]
        entries: Vec<String>,
        #[command(flatten)]
        act: Act,
    },
    /// Takes entries off a list.
    #[command(
        after_help = "Example: isthmus policy lists remove blacklist rival-1 --why 'they apologised' --config server.toml"
    )]
    Remove {
        /// The list's name.
        name: String,
        /// What to take off it.
        #[arg(required = true)]
        entries: Vec<String>,
        #[command(flatten)]
        act: Act,
    },
    /// Makes the lines of a file all its entries.
    #[command(
        after_help = "Example: isthmus policy lists set mask --file words.txt --why 'new words' --config server.toml"
    )]
    Set {
        /// The list's name.
        name: String,
        /// One entry a line, `#` begins a comment; `-` reads standard input.
        #[arg(long)]
        file: PathBuf,
        #[command(flatten)]
        act: Act,
    },
    /// Gives a list back to the bundle: what its file says holds again.
    #[command(
        after_help = "Example: isthmus policy lists reset blacklist --why 'as the bundle says' --config server.toml"
    )]
    Reset {
        /// The list's name.
        name: String,
        #[command(flatten)]
        act: Act,
    },
}

#[derive(Debug, Args)]
pub(super) struct Act {
    /// Why, for the list's history and the audit log.
    #[arg(long)]
    why: String,
    /// Only if the list is still at this revision, as `show` told it.
    #[arg(long)]
    revision: Option<u64>,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(command: ListsCommand, out: &Out) -> Result<(), CliError> {
    match command {
        ListsCommand::Show { name: None, target } => all(&target, out),
        ListsCommand::Show { name: Some(name), target } => one(&name, &target, out),
        ListsCommand::Add { name, entries, act } => change(&name, json!({"add": entries}), &act, out),
        ListsCommand::Remove { name, entries, act } => change(&name, json!({"remove": entries}), &act, out),
        ListsCommand::Set { name, file, act } => change(&name, json!({"set": lines(&file)?}), &act, out),
        ListsCommand::Reset { name, act } => change(&name, json!({"reset": true}), &act, out),
    }
}

fn all(target: &Target, out: &Out) -> Result<(), CliError> {
    const COLUMNS: &[Column<'_>] = &[
        ("LIST", |l| plain(&l["name"])),
        ("ENTRIES", |l| plain(&l["size"])),
        ("REVISION", |l| plain(&l["revision"])),
        ("SAID BY", |l| if l["of_bundle"] == true { "the bundle".to_owned() } else { "command".to_owned() }),
        ("LAST CHANGE", |l| {
            let edit = l["edits"].as_array().and_then(|edits| edits.last());
            edit.and_then(|edit| edit["at_ms"].as_u64()).map_or_else(|| "-".to_owned(), when::show)
        }),
    ];
    let answer = target.get(Role::Security, "/admin/v1/policy/lists")?;
    out.answer(&answer, |a| table(a, "lists", COLUMNS, "no lists"));
    Ok(())
}

fn one(name: &str, target: &Target, out: &Out) -> Result<(), CliError> {
    let answer = target.get(Role::Security, &format!("/admin/v1/policy/lists/{}", segment(name)))?;
    out.answer(&answer, |a| {
        let mut text = String::new();
        for edit in a["edits"].as_array().into_iter().flatten() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# {}", edited(edit));
        }
        for entry in a["entries"].as_array().into_iter().flatten() {
            let _ = writeln!(text, "{}", plain(entry));
        }
        text
    });
    Ok(())
}

fn edited(edit: &Value) -> String {
    let at = edit["at_ms"].as_u64().map_or_else(|| "-".to_owned(), when::show);
    let (added, removed) = (&edit["added"], &edit["removed"]);
    format!("revision {}, {at}, {}: +{added} -{removed}: {}", edit["revision"], plain(&edit["by"]), plain(&edit["why"]))
}

fn change(name: &str, mut body: Value, act: &Act, out: &Out) -> Result<(), CliError> {
    body["why"] = json!(act.why);
    if let Some(revision) = act.revision {
        body["revision"] = json!(revision);
    }
    let answer = act.target.post(Role::Security, &format!("/admin/v1/policy/lists/{}", segment(name)), &body)?;
    out.answer(&answer, |a| {
        let (added, removed) = (&a["added"], &a["removed"]);
        format!(
            "list {name} has {} entries at revision {} (+{added} -{removed}, {} µs); nothing is judged by it as it was",
            a["size"], a["revision"], a["micros"]
        )
    });
    Ok(())
}

fn lines(file: &Path) -> Result<Vec<String>, CliError> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map_err(|error| CliError::chain(&error))?;
    } else {
        text = std::fs::read_to_string(file)
            .map_err(|error| CliError::Usage(format!("{} cannot be read: {error}", file.display())))?;
    }
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    Ok(lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect())
}
