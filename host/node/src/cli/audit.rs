//! `isthmus audit …`: search through a running process, verification from files alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use isthmus_store::audit::Report;
use serde_json::{Value, json};

use super::admin::segment;
use super::error::CliError;
use super::out::{Column, Out, plain, table};
use super::target::{Either, Target};
use super::when;
use crate::admin_token::Role;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Searches the records of a running server; all conditions given must hold.
    #[command(
        after_help = "Example: isthmus audit search --from 2h --operation message.send --outcome rejected --config server.toml"
    )]
    Search(Box<SearchArgs>),
    /// Verifies tree, checkpoint and records from the files alone, also while the server runs.
    #[command(
        after_help = "Example: isthmus audit verify --config server.toml\n         isthmus audit verify --dir backup/audit --keyring north.keyring"
    )]
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    /// Not before: 2026-05-01, 2026-05-01T12:30:00Z, or 30m, 2h, 7d (ago).
    #[arg(long, value_parser = when::read)]
    from: Option<u64>,
    /// Not after.
    #[arg(long, value_parser = when::read)]
    to: Option<u64>,
    /// Who acted or whom it met: a userID.
    #[arg(long)]
    user: Option<String>,
    /// The other server.
    #[arg(long)]
    peer: Option<String>,
    /// As message.send.
    #[arg(long)]
    operation: Option<String>,
    /// As allowed, denied, rejected, held.
    #[arg(long)]
    outcome: Option<String>,
    /// Words that occur in the record.
    #[arg(long)]
    text: Option<String>,
    /// Records at most, the newest first.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The log's folder (`audit` in the data folder).
    #[arg(long, conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// The key ring: records too are compared with their commitments then.
    #[arg(long, requires = "dir")]
    keyring: Option<PathBuf>,
    /// Configuration file of the platform or server that the log belongs to.
    #[arg(long, env = "ISTHMUS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(command: AuditCommand, out: &Out) -> Result<(), CliError> {
    match command {
        AuditCommand::Search(args) => search(&args, out),
        AuditCommand::Verify(args) => verify(&args, out),
    }
}

fn search(args: &SearchArgs, out: &Out) -> Result<(), CliError> {
    const COLUMNS: &[Column<'_>] = &[
        ("TIME", |r| {
            ["atMs", "at_ms", "timeMs", "time_ms"]
                .iter()
                .find_map(|n| r[*n].as_u64())
                .map_or_else(|| "-".to_owned(), when::show)
        }),
        ("OPERATION", |r| plain(&r["operation"])),
        ("OUTCOME", |r| plain(&r["outcome"])),
        ("CODE", |r| plain(&r["code"])),
        ("ACTOR", |r| plain(&r["actor"])),
        ("TARGET", |r| plain(&r["target"])),
        ("PEER", |r| plain(&r["peer"])),
        ("GENERATION", |r| plain(&r["generation"])),
        ("ID", |r| plain(&r["id"])),
    ];
    let answer = args.target.get(Role::Audit, &format!("/admin/v1/audit?{}", query(args)))?;
    out.answer(&answer, |a| table(a, "records", COLUMNS, "no record matches"));
    Ok(())
}

fn query(args: &SearchArgs) -> String {
    let number = |n: Option<u64>| n.map(|n| n.to_string());
    let parts = [
        ("from_ms", number(args.from)),
        ("to_ms", number(args.to)),
        ("user", args.user.clone()),
        ("peer", args.peer.clone()),
        ("operation", args.operation.clone()),
        ("outcome", args.outcome.clone()),
        ("text", args.text.clone()),
        ("limit", Some(args.limit.to_string())),
    ];
    let given = parts.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", segment(&value?))));
    given.collect::<Vec<_>>().join("&")
}

fn verify(args: &VerifyArgs, out: &Out) -> Result<(), CliError> {
    let (dir, keyring) = match (&args.dir, &args.config) {
        (Some(dir), _) => (dir.clone(), args.keyring.clone()),
        (None, Some(file)) => {
            let config = Either::load(file)?;
            (config.data_dir().join("audit"), Some(config.keyring().to_owned()))
        }
        (None, None) => return Err(CliError::Usage("name the log: --dir DATA/audit, or --config FILE".into())),
    };
    if !dir.is_dir() {
        return Err(CliError::Usage(format!(
            "{} is no folder; name the log's, which lies in the data folder",
            dir.display()
        )));
    }
    let spinner = ProgressBar::new_spinner().with_message(format!("verifying {}", dir.display()));
    spinner.enable_steady_tick(Duration::from_millis(100));
    let report = isthmus_store::audit::verify(&dir, keyring.as_deref());
    spinner.finish_and_clear();
    let report = report.map_err(|error| CliError::chain(&error))?;
    out.answer(&as_json(&report, &dir), |_| in_words(&report, keyring.is_some()));
    match report.problems.len() {
        0 => Ok(()),
        problems => Err(CliError::NotWhole { dir, problems }),
    }
}

fn as_json(report: &Report, dir: &Path) -> Value {
    let problem = |p: &isthmus_store::audit::Problem| json!({"file": p.file, "index": p.index, "what": p.what});
    json!({
        "dir": dir,
        "whole": report.problems.is_empty(),
        "origin": report.origin,
        "size": report.size,
        "root": hex::encode(report.root),
        "records": report.records,
        "erased": report.erased,
        "witnesses": report.witnesses,
        "problems": report.problems.iter().map(problem).collect::<Vec<_>>(),
    })
}

fn in_words(report: &Report, with_records: bool) -> String {
    let mut lines: Vec<String> = report.problems.iter().map(problem_in_words).collect();
    if lines.is_empty() {
        lines.push(format!("{}: whole", report.origin));
        lines.push(format!("{} records under root {}", report.size, hex::encode(report.root)));
        lines.push(if with_records {
            format!("{} records match their commitments, {} were erased on the record", report.records, report.erased)
        } else {
            "records themselves were not opened: give --keyring to compare them with their commitments".to_owned()
        });
    }
    lines.join("\n")
}

fn problem_in_words(problem: &isthmus_store::audit::Problem) -> String {
    let index = problem.index.map(|i| format!(", record {i}")).unwrap_or_default();
    format!("{}{index}: {}", problem.file.display(), problem.what)
}
