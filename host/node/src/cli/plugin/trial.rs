//! `isthmus plugin test` and `bench`: one plugin against its table tests, without a server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use isthmus_policy::{BenchReport, CaseReport, Trial};
use serde_json::{Value, json};

use super::build::build;
use super::{at, read};
use crate::cli::error::CliError;
use crate::cli::out::{Column, Out, plain, table};

#[derive(Debug, Args)]
pub(in crate::cli) struct TestArgs {
    #[command(flatten)]
    plugin: PluginArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct BenchArgs {
    #[command(flatten)]
    plugin: PluginArgs,
    /// How long each measuring lasts.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Fails too if the 99th percentile of a reused instance's calls takes longer.
    #[arg(long, value_name = "MICROSECONDS")]
    max_p99_us: Option<f64>,
}

#[derive(Debug, Args)]
struct PluginArgs {
    /// The plugin's folder, with its tests in tests/*.toml.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The component to try. Default: it is built from the folder first.
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
}

impl PluginArgs {
    fn trial(&self) -> Result<Trial, CliError> {
        let component = match &self.component {
            Some(file) => file.clone(),
            None => build(&self.dir, None)?.component,
        };
        Trial::new(read(&component)?).map_err(|error| CliError::chain(&error))
    }

    /// The table tests with their texts.
    fn tables(&self) -> Result<Vec<(PathBuf, String)>, CliError> {
        let folder = self.dir.join("tests");
        if !folder.is_dir() {
            let words = "is not there: name a plugin's folder, with its table tests in tests/*.toml";
            return Err(CliError::Usage(format!("{} {words}", folder.display())));
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(at(&folder))? {
            let path = entry.map_err(at(&folder))?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
        if files.is_empty() {
            return Err(CliError::Usage(format!("there is no table test (*.toml) in {}", folder.display())));
        }
        files.sort();
        files.into_iter().map(|path| Ok((path.clone(), std::fs::read_to_string(&path).map_err(at(&path))?))).collect()
    }
}

pub(super) fn test(args: &TestArgs, out: &Out) -> Result<(), CliError> {
    let tables = args.plugin.tables()?;
    let trial = args.plugin.trial()?;
    let mut files = Vec::new();
    for (path, text) in &tables {
        let cases = trial.table_test(text).map_err(|said| CliError::Plugin(format!("{}: {said}", path.display())))?;
        files.push((path, cases));
    }
    let cases = || files.iter().flat_map(|(_, cases)| cases);
    let failed = cases().filter(|case| !case.differences.is_empty()).count();
    let passed = cases().count() - failed;
    let listed: Vec<Value> = files.iter().map(|(path, cases)| json!({"file": path, "cases": cases})).collect();
    out.answer(&json!({"files": listed, "passed": passed, "failed": failed}), |_| {
        let files: String = files.iter().map(|(path, cases)| tested(path, cases)).collect();
        format!("{files}{passed} passed, {failed} failed")
    });
    match failed {
        0 => Ok(()),
        _ => Err(CliError::Plugin(format!("{failed} of {} cases do not hold", passed + failed))),
    }
}

/// A file's cases, those that do not hold with what differs.
fn tested(path: &Path, cases: &[CaseReport]) -> String {
    let mut text = format!("{}\n", path.display());
    for case in cases {
        if case.differences.is_empty() {
            text.push_str(&format!("  ok    {}\n", case.name));
            continue;
        }
        text.push_str(&format!("  FAIL  {} (line {})\n", case.name, case.line));
        for difference in &case.differences {
            text.push_str(&format!("        {}\n", difference.what));
            text.push_str(&marked('-', "expected", &difference.expected));
            text.push_str(&marked('+', "got", &difference.got));
        }
    }
    text
}

/// One side of a difference, each line with its mark.
fn marked(mark: char, side: &str, said: &str) -> String {
    let line = |(number, line): (usize, &str)| {
        let side = if number == 0 { side } else { "" };
        format!("        {mark} {side:9} {}\n", plain(&json!(line)))
    };
    said.lines().enumerate().map(line).collect()
}

pub(super) fn bench(args: &BenchArgs, out: &Out) -> Result<(), CliError> {
    let duration = Duration::try_from_secs_f64(args.seconds)
        .map_err(|_| CliError::Usage(format!("--seconds {}: that is no duration", args.seconds)))?;
    let tables = args.plugin.tables()?;
    let trial = args.plugin.trial()?;
    let (mut rows, mut over) = (Vec::new(), Vec::new());
    for (path, text) in &tables {
        let reports = trial.bench(text, duration);
        for report in reports.map_err(|said| CliError::Plugin(format!("{}: {said}", path.display())))? {
            over.extend(
                objection(&report, args.max_p99_us).map(|said| format!("{} ({}): {said}", path.display(), report.mode)),
            );
            rows.push(row(path, &report)?);
        }
    }
    out.answer(&json!({"benches": rows, "over": over}), |answer| {
        let measured = table(answer, "benches", COLUMNS, "nothing measured");
        if over.is_empty() { measured + "within its limits" } else { measured }
    });
    if over.is_empty() {
        return Ok(());
    }
    Err(CliError::Plugin(over.join("; ")))
}

const COLUMNS: &[Column<'_>] = &[
    ("TABLE", |r| plain(&r["file"])),
    ("INSTANCES", |r| plain(&r["mode"])),
    ("CALLS", |r| plain(&r["calls"])),
    ("P50 µs", |r| figure(&r["p50_us"], 1)),
    ("P99 µs", |r| figure(&r["p99_us"], 1)),
    ("MAX µs", |r| figure(&r["max_us"], 1)),
    ("OF TIME LIMIT", |r| percent(&r["time_share"])),
    ("MEMORY KiB", |r| (r["memory_bytes"].as_u64().unwrap_or_default() / 1024).to_string()),
    ("OF MEMORY LIMIT", |r| percent(&r["memory_share"])),
];

fn figure(value: &Value, digits: usize) -> String {
    format!("{:.digits$}", value.as_f64().unwrap_or_default())
}

fn percent(value: &Value) -> String {
    format!("{:.2} %", value.as_f64().unwrap_or_default() * 100.0)
}

fn row(path: &Path, report: &BenchReport) -> Result<Value, CliError> {
    let mut row = serde_json::to_value(report).map_err(|error| CliError::chain(&error))?;
    row["file"] = json!(path);
    row["time_share"] = json!(report.time_share());
    row["memory_share"] = json!(report.memory_share());
    Ok(row)
}

/// What is wrong with these figures.
fn objection(report: &BenchReport, max_p99_us: Option<f64>) -> Option<String> {
    if let Some((kind, count)) = report.faults.first() {
        return Some(format!("{count} of {} calls failed ({kind})", report.calls));
    }
    if report.over() {
        return Some("over its limits: raise [plugin.limits], or do less a call".to_owned());
    }
    let most = max_p99_us.filter(|most| report.mode == "reused" && report.p99_us > *most)?;
    Some(format!("the 99th percentile is {:.1} µs, over {most} µs", report.p99_us))
}
