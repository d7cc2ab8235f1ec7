//! `isthmus policy shadow|replay|diff|canary|stage`: what a candidate would do, before it does it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::admin::segment;
use super::error::CliError;
use super::out::{Column, Out, outline, plain, table};
use super::policy::absolute;
use super::target::Target;
use super::when;
use crate::admin_token::Role;

/// Between two looks at a replay.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A bundle: a folder, `staged:DIGEST`, a generation's number, or `active`.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// A bundle's folder as the server's machine sees it, `staged:DIGEST`, or a generation's number.
    bundle: String,
}

impl Which {
    /// As the server is told.
    pub(super) fn body(&self) -> Result<Value, CliError> {
        if let Some(digest) = self.bundle.strip_prefix("staged:") {
            return Ok(json!({"staged": digest}));
        }
        match self.bundle.parse::<u64>() {
            Ok(number) => Ok(json!({"generation": number})),
            Err(_) => Ok(json!({"dir": absolute(Path::new(&self.bundle))?})),
        }
    }
}

/// As a query names it.
fn side(text: &str) -> Result<String, CliError> {
    if text == "active" || text.starts_with("staged:") || text.parse::<u64>().is_ok() {
        return Ok(text.to_owned());
    }
    absolute(Path::new(text))
}

#[derive(Debug, Subcommand)]
pub(super) enum ShadowCommand {
    /// Lets a bundle judge live traffic beside the active policy; it changes nothing.
    #[command(
        after_help = "Example: isthmus policy shadow start ./policy --config server.toml\n         isthmus policy shadow start staged:1a2b3c --why 'ticket 4711' --config server.toml"
    )]
    Start {
        #[command(flatten)]
        which: Which,
        /// Why, for the audit log.
        #[arg(long, default_value = "")]
        why: String,
        #[command(flatten)]
        target: Target,
    },
    /// Tells where the two did not agree, and what was not put to the test.
    #[command(after_help = "Example: isthmus policy shadow report --config server.toml --json")]
    Report(Target),
    /// Ends it; the report stays until the server stops.
    #[command(after_help = "Example: isthmus policy shadow stop --config server.toml")]
    Stop(Target),
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// A bundle's folder as the server's machine sees it, `staged:DIGEST`, or a generation's number.
    #[arg(required_unless_present = "stop")]
    bundle: Option<String>,
    /// Ends the replay that is under way; what it found so far is shown.
    #[arg(long, conflicts_with = "bundle")]
    stop: bool,
    /// Not before: 2026-05-01, 2026-05-01T12:30:00Z, or 30m, 2h, 7d (ago).
    #[arg(long, value_parser = when::read)]
    from: Option<u64>,
    /// Not after.
    #[arg(long, value_parser = when::read)]
    to: Option<u64>,
    /// Of the newest records of the audit log, so many.
    #[arg(long, default_value_t = 100_000)]
    limit: u64,
    #[command(flatten)]
    target: Target,
}

pub(super) fn shadow(command: ShadowCommand, out: &Out) -> Result<(), CliError> {
    let path = "/admin/v1/policy/shadow";
    match command {
        ShadowCommand::Start { which, why, target } => {
            let mut body = which.body()?;
            body["why"] = json!(why);
            let answer = target.post(Role::Security, path, &body)?;
            out.answer(&answer, |a| {
                format!(
                    "{} ({}) judges beside the active policy; `policy shadow report` tells how",
                    plain(&a["name"]),
                    short(&a["digest"])
                )
            });
        }
        ShadowCommand::Report(target) => out.answer(&target.get(Role::Security, path)?, shadow_in_words),
        ShadowCommand::Stop(target) => {
            out.answer(&target.post(Role::Security, &format!("{path}/stop"), &json!({}))?, shadow_in_words);
        }
    }
    Ok(())
}

fn shadow_in_words(report: &Value) -> String {
    let time = |name: &str| report[name].as_u64().map_or_else(|| "-".to_owned(), when::show);
    let until = if report["running"] == true { "listens".to_owned() } else { format!("ended {}", time("until_ms")) };
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "shadow {} ({}), started {} by {}, {until}",
        plain(&report["name"]),
        short(&report["digest"]),
        time("since_ms"),
        plain(&report["by"])
    );
    if report["dropped"] != 0 {
        let _ = writeln!(text, "{} requests and events were left out: it had no time for them", report["dropped"]);
    }
    let _ = writeln!(text, "events whose records were compared: {}", report["events"]);
    text.push_str(&compared(report));
    text
}

/// What a comparison found, for people.
fn compared(report: &Value) -> String {
    const PLUGINS: &[Column<'_>] = &[
        ("PLUGIN", |p| plain(&p["plugin"])),
        ("ASKED", |p| plain(&p["calls"])),
        ("SAID", |p| {
            let said = p["verdicts"].as_array().into_iter().flatten();
            let said: Vec<_> = said.map(|v| format!("{} {}", plain(&v[0]), v[1])).collect();
            if p["calls"] == 0 { "nothing: it was not put to the test".to_owned() } else { said.join(", ") }
        }),
    ];
    const RECORDS: &[Column<'_>] = &[
        ("OF THE RECORD", |c| plain(&c["what"])),
        ("RECORDED", |c| plain(&c["recorded"])),
        ("CANDIDATE", |c| plain(&c["candidate"])),
        ("TIMES", |c| plain(&c["count"])),
        ("FOR EXAMPLE", |c| {
            let one = &c["examples"][0];
            let fault = one["candidate"]["fault"].as_str().map(|fault| format!(": {}", plain(&json!(fault))));
            example(one) + &fault.unwrap_or_default()
        }),
    ];
    let c = &report["comparison"];
    let mut text = if c["judged"] == 0 { "no request was judged\n".to_owned() } else { judged(c) };
    text.push('\n');
    text.push_str(&table(report, "plugins", PLUGINS, "the candidate has no plugins\n"));
    text.push('\n');
    text.push_str(&table(report, "records", RECORDS, "no record would be kept otherwise"));
    text
}

/// Where the two did not agree about requests, and what they were asked about.
fn judged(c: &Value) -> String {
    const WAYS: &[Column<'_>] = &[
        ("ACTIVE", |d| plain(&d["active"])),
        ("CANDIDATE", |d| plain(&d["candidate"])),
        ("TIMES", |d| plain(&d["count"])),
        ("FOR EXAMPLE", |d| example(&d["examples"][0])),
    ];
    let mut text = format!(
        "judged {}: agreed {} ({} for another reason), disagreed {}, candidate failed {}; {} µs a request instead of {} µs\n\n",
        c["judged"], c["agreed"], c["other_reason"], c["disagreed"], c["failed"], c["micros"][1], c["micros"][0]
    );
    text.push_str(&table(c, "disagreements", WAYS, "no disagreements\n"));
    for failure in c["failures"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "failed: {} on {}", plain(&failure["candidate"]["fault"]), example(failure));
    }
    text.push_str("\nseen:\n");
    for (what, count) in c["seen"].as_object().into_iter().flatten() {
        let _ = writeln!(text, "  {what}: {count}");
    }
    text
}

fn example(example: &Value) -> String {
    let (actor, target) = (plain(&example["actor"]), plain(&example["target"]));
    let by = |said: &Value| match (said["plugin"].as_str(), said["reason"].as_str()) {
        (Some(plugin), Some(reason)) => format!(" ({plugin}: {reason})"),
        (Some(plugin), None) => format!(" ({plugin})"),
        _ => String::new(),
    };
    let id = plain(&example["id"]);
    format!("{} {actor} -> {target}, {id}{}", plain(&example["operation"]), by(&example["candidate"]))
}

pub(super) fn replay(args: &ReplayArgs, out: &Out) -> Result<(), CliError> {
    let path = "/admin/v1/policy/replay";
    let Some(bundle) = args.bundle.clone() else {
        out.answer(&args.target.post(Role::Security, &format!("{path}/stop"), &json!({}))?, outline);
        return Ok(());
    };
    let mut body = Which { bundle }.body()?;
    for (name, value) in [("from_ms", args.from), ("to_ms", args.to), ("limit", Some(args.limit))] {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    let mut view = args.target.post(Role::Security, path, &body)?;
    let bar = ProgressBar::new(view["total"].as_u64().unwrap_or_default());
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} records, {per_sec}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    loop {
        view = args.target.get(Role::Security, path)?;
        bar.set_position(view["done"].as_u64().unwrap_or_default());
        if view["running"] != true {
            break;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    bar.finish_and_clear();
    if let Some(failed) = view["failed"].as_str() {
        return Err(CliError::Failed(failed.to_owned()));
    }
    out.answer(&view["report"], |report| {
        format!(
            "{} ({}) was asked about {} recorded decisions\n{}{}",
            plain(&report["name"]),
            short(&report["digest"]),
            report["decisions"],
            limits(report),
            compared(report)
        )
    });
    Ok(())
}

/// What a replay could not judge, and why: lines for those that there are.
fn limits(report: &Value) -> String {
    let lines = [
        ("not_named", "left out: their names were redacted in the log"),
        ("access_only", "judged by access alone: their texts were not kept"),
        ("undecided", "not decided: it depends on texts that were not kept"),
    ];
    let told = lines.iter().filter(|(name, _)| report[*name] != 0);
    told.map(|(name, words)| format!("{} {words}\n", report[*name])).collect()
}

pub(super) fn diff(from: &str, to: &str, target: &Target, out: &Out) -> Result<(), CliError> {
    let query = format!("from={}&to={}", segment(&side(from)?), segment(&side(to)?));
    let answer = target.get(Role::Security, &format!("/admin/v1/policy/diff?{query}"))?;
    out.answer(&answer, |a| {
        let changes = a["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let head =
            |side: &Value| format!("{} ({}, {})", plain(&side["what"]), plain(&side["name"]), short(&side["digest"]));
        let mut text = format!("from {}\nto   {}\n", head(&a["from"]), head(&a["to"]));
        for change in changes {
            let _ = writeln!(text, "- {}", plain(&change["words"]));
        }
        if changes.is_empty() {
            text.push_str("no differences\n");
        }
        text
    });
    Ok(())
}

pub(super) fn stage(dir: &Path, why: &str, target: &Target, out: &Out) -> Result<(), CliError> {
    let body = json!({"dir": absolute(dir)?, "why": why});
    staged(&target.post(Role::Security, "/admin/v1/policy/stage", &body).map_err(broken)?, out)
}

fn staged(answer: &Value, out: &Out) -> Result<(), CliError> {
    out.answer(answer, |a| format!("staged {} as staged:{}", plain(&a["name"]), short(&a["digest"])));
    Ok(())
}

/// A bundle from this machine.
pub(super) fn upload(dir: &Path, why: &str, target: &Target, out: &Out) -> Result<(), CliError> {
    let mut files = Vec::new();
    collect(dir, "", &mut files)?;
    if files.is_empty() {
        return Err(CliError::Usage(format!("{} holds no files: name a bundle's folder", dir.display())));
    }
    let body = json!({"files": files, "why": why});
    staged(&target.post(Role::Security, "/admin/v1/policy/upload", &body).map_err(broken)?, out)
}

/// The files below a folder, as the server is told them. Hidden ones are no part of a bundle.
fn collect(dir: &Path, prefix: &str, files: &mut Vec<Value>) -> Result<(), CliError> {
    let unreadable = |error| CliError::Usage(format!("{} cannot be read: {error}", dir.display()));
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let (path, at) = (entry.path(), format!("{prefix}{name}"));
        if path.is_dir() {
            collect(&path, &format!("{at}/"), files)?;
        } else {
            files
                .push(json!({"path": at, "base64": BASE64_STANDARD.encode(std::fs::read(&path).map_err(unreadable)?)}));
        }
    }
    Ok(())
}

/// A bundle that the server refused for what it is.
pub(super) fn broken(error: CliError) -> CliError {
    if let CliError::Refused { words, .. } = error { CliError::BundleBroken(words) } else { error }
}

pub(super) fn canary(which: &Which, target: &Target, out: &Out) -> Result<(), CliError> {
    let answer = target.post(Role::Security, "/admin/v1/policy/canary", &which.body()?).map_err(broken)?;
    let cases = answer["cases"].as_array().map(Vec::as_slice).unwrap_or_default();
    let differs = |case: &&Value| case["differs"].as_array().is_some_and(|differs| !differs.is_empty());
    let failed = cases.iter().filter(differs).count();
    out.answer(&answer, |a| {
        let plugins = a["plugins"].as_array().map_or(0, Vec::len);
        let mut text =
            format!("{plugins} plugins start; {} of {} cases as expected\n", cases.len() - failed, cases.len());
        for case in cases.iter().filter(differs) {
            let _ = writeln!(text, "tests.toml:{}: {}", case["line"], plain(&case["name"]));
            for line in case["differs"].as_array().into_iter().flatten() {
                let _ = writeln!(text, "    {}", plain(line));
            }
        }
        text
    });
    match failed {
        0 => Ok(()),
        failed => Err(CliError::BundleBroken(format!("{failed} of its own cases did not come out as expected"))),
    }
}

pub(super) fn short(digest: &Value) -> String {
    plain(digest).chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(judged: u64, records: &Value) -> String {
        let said = |outcome: &str| json!({"outcome": outcome});
        let example = json!({"operation": "message.send", "actor": "alice@north", "target": "carol@south", "id": "m-1",
            "active": said("allowed"), "candidate": {"outcome": "rejected", "plugin": "words", "reason": "keyword"}});
        let way = json!({"active": "allowed", "candidate": "rejected", "count": judged, "examples": [example]});
        let ways = if judged == 0 { json!([]) } else { json!([way]) };
        shadow_in_words(
            &json!({"running": true, "name": "strict", "digest": "0123456789abcdef", "by": "admin:security",
            "since_ms": 1_777_638_600_000_u64, "until_ms": 1_777_638_660_000_u64, "dropped": 0, "events": 1,
            "comparison": {"judged": judged, "agreed": 0, "other_reason": 0, "disagreed": judged, "failed": 0,
                "failures": [], "micros": [1.5, 2.5], "seen": {"message.send inbound": judged}, "disagreements": ways},
            "plugins": [{"plugin": "words", "calls": judged, "verdicts": [["reject", judged]]}], "records": records}),
        )
    }

    #[test]
    fn a_shadow_that_has_judged_nothing_yet_says_so() {
        let told = report(0, &json!([]));
        let expected = "shadow strict (0123456789ab), started 2026-05-01T12:30:00Z by admin:security, listens\n\
                        events whose records were compared: 1\nno request was judged\n\n\
                        PLUGIN  ASKED  SAID\nwords   0      nothing: it was not put to the test\n\n\
                        no record would be kept otherwise";
        assert_eq!(told, expected);
    }

    #[test]
    fn a_shadow_tells_of_requests_and_of_records() {
        let example = json!({"operation": "user.login", "actor": "alice@north", "target": "", "id": "",
            "active": {"outcome": "kept"}, "candidate": {"outcome": "failed", "plugin": "redact", "fault": "trap: out of bounds"}});
        let change =
            json!({"what": "detail", "recorded": "kept", "candidate": "failed", "count": 3, "examples": [example]});
        let told = report(2, &json!([change]));
        for line in [
            "judged 2: agreed 0 (0 for another reason), disagreed 2, candidate failed 0; 2.5 µs a request instead of 1.5 µs",
            "allowed  rejected   2      message.send alice@north -> carol@south, m-1 (words: keyword)",
            "\n\nseen:\n  message.send inbound: 2\n\n",
            "words   2      reject 2",
            "detail         kept      failed     3      user.login alice@north -> -, - (redact): trap: out of bounds",
        ] {
            assert!(told.contains(line), "{line} is not in\n{told}");
        }
    }
}
