//! A candidate is staged, tried, compared and rehearsed before it judges anybody.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use isthmus_policy::{Body, BundleSource, Direction, Event, Item, Policy, RecordChange, Recorded, Said, ShadowReport};
use support::{House, OPEN, call, text, with};

fn filter(action: &str, words: &str) -> String {
    with("content-filter", &format!("[[plugin.settings.keywords]]\naction = \"{action}\"\nwords = [{words}]\n"))
}

fn bundle(house: &House, name: &str, manifest: &str) -> PathBuf {
    house.bundle(name, &[("policy.toml", manifest)])
}

/// Judges a text as the node does.
fn judge(policy: &Policy, said: &str) -> &'static str {
    let (call, items) = (call(Direction::Inbound, "north"), [text(said)]);
    let judgement = policy.begin().judge(&call, &items);
    policy.overhear(&call, &items, &judgement);
    judgement.outcome()
}

fn once(policy: &Policy, judged: u64) -> ShadowReport {
    let began = Instant::now();
    loop {
        let report = policy.shadow_report().unwrap();
        if report.comparison.judged + report.dropped >= judged {
            return report;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{report:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_shadow_judges_what_the_active_policy_judges_and_changes_nothing() {
    let house = House::new();
    let policy = house.open();
    house.activate(&policy, &filter("mask", "\"secret\""));
    let stricter = bundle(&house, "stricter", &filter("reject", "\"secret\", \"plan\""));
    policy.shadow_start(&stricter, "ops").unwrap();
    let said: Vec<_> = ["hello", "a secret", "the plan", "hello again"].map(|said| judge(&policy, said)).into();
    assert_eq!(said, ["allowed", "rewritten", "allowed", "allowed"]);
    let report = once(&policy, 4);
    let c = &report.comparison;
    assert_eq!((c.judged, c.agreed, c.disagreed, c.failed, report.dropped), (4, 2, 2, 0, 0));
    let ways: Vec<_> = c.disagreements.iter().map(|d| (d.active.as_str(), d.candidate.as_str(), d.count)).collect();
    assert!(ways.contains(&("rewritten", "rejected", 1)) && ways.contains(&("allowed", "rejected", 1)), "{ways:?}");
    let example = &c.disagreements[0].examples[0];
    assert_eq!((example.actor.as_str(), example.candidate.plugin.as_deref()), ("alice@north", Some("it")));
    assert_eq!(c.seen["message.send inbound"], 4);
    let asked = report.plugins.iter().find(|plugin| plugin.plugin == "it").unwrap();
    assert_eq!(asked.calls, 4, "coverage: what the candidate's plugins said");
    let of_active = policy.stats().into_iter().find(|plugin| plugin.plugin == "it").unwrap();
    assert_eq!(of_active.calls, 4, "the figures of the active policy are its own");
    assert!(policy.shadow_stop().is_some_and(|report| !report.running));
    judge(&policy, "the plan");
    assert_eq!(policy.shadow_report().unwrap().comparison.judged, 4, "the report stays as it was");
    assert_eq!((policy.begin().generation(), policy.history().len()), (2, 2));
}

/// A file that knows how often it was read.
struct File(AtomicUsize);

impl Body for File {
    fn size(&self) -> u64 {
        6
    }

    fn read(&self, offset: u64, len: u32) -> Vec<u8> {
        self.0.fetch_add(1, Ordering::Relaxed);
        b"secret".iter().skip(offset as usize).take(len as usize).copied().collect()
    }
}

#[test]
fn a_shadow_judges_files_too_and_reads_them_itself() {
    let house = House::new();
    let policy = house.open();
    house.activate(&policy, OPEN);
    let reads_files = format!("{}[plugin.settings.text_files]\n", filter("reject", "\"secret\""));
    let granted = reads_files.replace("\"directory\"]", "\"directory\", \"message\"]");
    policy.shadow_start(&bundle(&house, "files", &granted), "ops").unwrap();
    let file = Arc::new(File(AtomicUsize::new(0)));
    let item = Item { kind: "file.content".into(), body: Some(file.clone()), ..text("plan.txt") };
    let call = call(Direction::Inbound, "north");
    let judgement = policy.begin().judge(&call, std::slice::from_ref(&item));
    assert_eq!((judgement.outcome(), file.0.load(Ordering::Relaxed)), ("allowed", 0));
    policy.overhear(&call, &[item], &judgement);
    let c = once(&policy, 1).comparison;
    assert_eq!((c.disagreements[0].active.as_str(), c.disagreements[0].candidate.as_str()), ("allowed", "rejected"));
    assert!(file.0.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_shadow_that_fails_or_is_slow_costs_requests_nothing() {
    let house = House::new();
    let policy = house.open();
    policy.shadow_start(&bundle(&house, "traps", &with("hostile/traps", "")), "ops").unwrap();
    assert_eq!(judge(&policy, "hello"), "allowed");
    let c = once(&policy, 1).comparison;
    assert_eq!((c.failed, c.disagreed), (1, 0), "errors are swallowed and counted");
    assert!(c.failures[0].candidate.fault.as_ref().unwrap().starts_with("trap"), "{:?}", c.failures);
    assert_eq!(policy.show().plugins.len(), 0);

    let slow = with("hostile/loops", "[plugin.limits]\ntime_ms = 200\n");
    policy.shadow_start(&bundle(&house, "loops", &slow), "ops").unwrap();
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for _ in 0..3_000 {
        let started = Instant::now();
        assert_eq!(judge(&policy, "hello"), "allowed");
        slowest = slowest.max(started.elapsed());
    }
    assert!(began.elapsed() < Duration::from_secs(5) && slowest < Duration::from_millis(500), "{slowest:?}");
    assert!(policy.shadow_stop().unwrap().dropped >= 1_900, "a bounded queue: the rest is counted");
}

/// Has an event recorded as the node does.
fn record(policy: &Policy, outcome: &'static str) {
    let fields = vec![("text".into(), "hello".into()), ("reason".into(), String::new())];
    let event = Event { call: call(Direction::Inbound, "north"), outcome: outcome.into(), code: 0, fields };
    let _ = policy.begin().audit(&event);
}

fn heard(policy: &Policy, events: u64) -> ShadowReport {
    let began = Instant::now();
    loop {
        let report = policy.shadow_report().unwrap();
        if report.events >= events {
            return report;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{report:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ways(records: &[RecordChange]) -> Vec<(&str, &str, &str, u64)> {
    records.iter().map(|c| (&*c.what, &*c.recorded, &*c.candidate, c.count)).collect()
}

#[test]
fn a_shadow_tells_what_would_be_recorded_otherwise_than_it_is() {
    let house = House::new();
    let policy = house.open();
    let rule = |settings: &str| with("audit-redact", &format!("[[plugin.settings.events]]\n{settings}\n"));
    house.activate(&policy, &rule("fields = { actor = \"hash\", text = \"mask\" }"));
    let candidate = "outcomes = [\"allowed\"]\nfields = { actor = \"hash\", target = \"mask\", text = \"drop\" }\n\
                     severity = \"notice\"\nsinks = [\"siem\", \"file\"]\n[[plugin.settings.events]]\noutcomes = [\"denied\"]\ndetail = false\n\
                     severity = \"info\"";
    policy.shadow_start(&bundle(&house, "quiet", &rule(candidate)), "ops").unwrap();
    for outcome in ["allowed", "allowed", "denied"] {
        record(&policy, outcome);
    }
    let report = heard(&policy, 3);
    let expected = [
        ("severity", "info", "notice", 2),
        ("sinks", "none", "file, siem", 2),
        ("target", "kept", "masked", 2),
        ("text", "masked", "left out", 2),
        ("detail", "kept", "left out", 1),
        ("severity", "warning", "info", 1),
    ];
    assert_eq!(ways(&report.records), expected, "what both do alike is no change");
    let example = &report.records[2].examples[0];
    assert_eq!((&*example.operation, &*example.target), ("message.send", "carol@south"));
    assert!(example.actor.starts_with("blake3k:"), "the report shows no more of people than the log: {example:?}");
    assert_eq!((&*example.active.outcome, &*example.candidate.outcome), ("kept", "masked"));
    assert_eq!(example.candidate.plugin.as_deref(), Some("it"));
    assert_eq!((report.comparison.judged, report.dropped), (0, 0));

    policy.shadow_start(&bundle(&house, "traps", &with("hostile/traps", "")), "ops").unwrap();
    record(&policy, "allowed");
    let records = heard(&policy, 1).records;
    assert_eq!(ways(&records), [("detail", "kept", "failed", 1)], "errors are swallowed and counted");
    assert!(records[0].examples[0].candidate.fault.as_ref().unwrap().starts_with("trap"), "{records:?}");

    let slow = with("hostile/loops", "[plugin.limits]\ntime_ms = 200\n");
    policy.shadow_start(&bundle(&house, "loops", &slow), "ops").unwrap();
    (0..3_000).for_each(|_| record(&policy, "allowed"));
    assert!(policy.shadow_stop().unwrap().dropped >= 1_900, "a bounded queue: the rest is counted");
}

fn recorded(policy: &Policy, said: &str, keep_text: bool) -> Recorded {
    let (call, items) = (call(Direction::Inbound, "north"), vec![text(said)]);
    let judgement = policy.begin().judge(&call, &items);
    Recorded {
        said: Said::from(&judgement),
        micros: judgement.micros(),
        items: if keep_text { items } else { Vec::new() },
        whole: keep_text,
        named: true,
        id: "m-1".into(),
        code: 0,
        severity: "info".into(),
        fields: vec![("text".into(), said.into()), ("reason".into(), String::new())],
        call,
    }
}

#[test]
fn a_replay_tells_what_would_have_been_decided_otherwise() {
    let house = House::new();
    let policy = house.open();
    house.activate(&policy, &filter("reject", "\"secret\""));
    let mut replay = policy.replay(&bundle(&house, "milder", &filter("hold", "\"secret\", \"plan\""))).unwrap();
    for (said, kept) in [("hello", true), ("secret", true), ("the plan", true), ("the plan", false), ("secret", false)]
    {
        replay.judge(&recorded(&policy, said, kept));
    }
    let mut hashed = recorded(&policy, "hello", true);
    hashed.named = false;
    replay.judge(&hashed);
    let report = replay.report();
    assert_eq!((report.decisions, report.not_named, report.access_only, report.undecided), (6, 1, 1, 1));
    let ways: Vec<_> =
        report.comparison.disagreements.iter().map(|d| (d.active.as_str(), d.candidate.as_str(), d.count)).collect();
    assert!(ways.contains(&("rejected", "held", 1)) && ways.contains(&("allowed", "held", 1)), "{ways:?}");
    assert_eq!((report.comparison.judged, report.comparison.agreed), (4, 2));
}

#[test]
fn a_replay_tells_what_would_have_been_recorded_otherwise() {
    let house = House::new();
    let policy = house.open();
    let events = "[[plugin.settings.events]]\noperations = [\"message.*\"]\noutcomes = [\"allowed\"]\n\
                  fields = { text = \"drop\", actor = \"hash\", target = \"mask\" }\nseverity = \"notice\"\n\
                  [[plugin.settings.events]]\noutcomes = [\"denied\"]\ndetail = false\nseverity = \"info\"\n";
    let mut replay = policy.replay(&bundle(&house, "quiet", &with("audit-redact", events))).unwrap();
    for _ in 0..3 {
        replay.judge(&recorded(&policy, "hello", true));
    }
    let mut denied = recorded(&policy, "hello", true);
    denied.said.outcome = "denied".into();
    replay.judge(&denied);
    let mut hashed = recorded(&policy, "hello", true);
    hashed.named = false;
    replay.judge(&hashed);
    let report = replay.report();
    let expected = [
        ("actor", "kept", "hashed", 3),
        ("severity", "info", "notice", 3),
        ("target", "kept", "masked", 3),
        ("text", "kept", "left out", 3),
        ("detail", "kept", "left out", 1),
    ];
    assert_eq!(ways(&report.records), expected, "the most frequent first; nobody is asked where names were redacted");

    let mut broken = policy.replay(&bundle(&house, "traps", &with("hostile/traps", ""))).unwrap();
    broken.judge(&recorded(&policy, "hello", true));
    let [change] = &broken.report().records[..] else { panic!("{:?}", broken.report()) };
    assert_eq!((&*change.what, &*change.candidate), ("detail", "failed"), "it is recorded whole");
    let mut open = policy.replay(&bundle(&house, "open", OPEN)).unwrap();
    open.judge(&recorded(&policy, "hello", true));
    assert!(open.report().records.is_empty(), "who has no audit plugin keeps all there is");
}

#[test]
fn what_was_staged_is_activated_whatever_became_of_its_folder() {
    let house = House::new();
    let policy = house.open();
    let dir = bundle(&house, "strict", &filter("reject", "\"secret\""));
    let (staged, report) = policy.stage(&dir, "ops", "later").unwrap();
    assert_eq!((report.plugins.len(), staged.digest.as_str()), (1, report.digest.as_str()));
    std::fs::remove_dir_all(dir).unwrap();
    drop(policy);
    let policy = house.open();
    assert_eq!(policy.staged().len(), 1, "it outlives the process");
    assert_eq!(judge(&policy, "secret"), "allowed", "it judges nobody yet");
    let source = BundleSource::Staged(staged.digest[..10].to_owned());
    policy.check(source.clone()).unwrap();
    let activation = policy.activate(source.clone(), "ops", "now").unwrap();
    assert_eq!((activation.digest, judge(&policy, "secret")), (staged.digest, "rejected"));
    assert!(policy.staged().is_empty());
    assert!(policy.check(source).unwrap_err().to_string().contains("no such bundle is staged"));
    let broken = bundle(&house, "broken", "name = ");
    assert!(policy.stage(&broken, "ops", "no").is_err() && policy.staged().is_empty());
}

#[test]
fn a_canary_runs_the_bundles_own_cases() {
    let house = House::new();
    let policy = house.open();
    let cases = "[[case]]\nname = \"a secret is masked\"\ntext = \"a secret\"\n\
                 expect = { verdict = \"rewrite\", rewrite = \"a ******\", plugin = \"it\" }\n\
                 [[case]]\nname = \"a plan is rejected\"\ncall = { direction = \"inbound\", peer = \"north\" }\n\
                 text = \"the plan\"\nexpect = \"reject\"\n";
    let dir = house.bundle("b", &[("policy.toml", &filter("mask", "\"secret\"")), ("tests.toml", cases)]);
    let report = policy.canary(&dir).unwrap();
    assert_eq!((report.cases.len(), report.failed(), report.check.plugins.len()), (2, 1, 1));
    assert_eq!(report.cases[1].differs, ["outcome: expected \"rejected\", found \"allowed\""]);
    assert_eq!((report.cases[1].line, policy.history().len()), (Some(6), 1));
    std::fs::write(dir.join("tests.toml"), "[[case]]\nname = \"x\"\n").unwrap();
    assert!(policy.canary(&dir).unwrap_err().to_string().contains("tests.toml:2"));
}

#[test]
fn a_diff_tells_in_words_what_changed() {
    let house = House::new();
    let policy = house.open();
    let one = |name: &str, more: &str| {
        format!("[[plugin]]\nname = \"{name}\"\ncomponent = \"builtin:content-filter\"\ngrants = [\"lists\"]\n{more}")
    };
    let words = "[[plugin.settings.keywords]]\naction = \"mask\"\nlist = \"words\"\n";
    let old = format!("{OPEN}{}{}{}", one("a", words), one("b", ""), one("c", ""));
    let more =
        words.replace("mask", "hold") + "[plugin.limits]\ntime_ms = 20\n[plugin.failure.content]\ninbound = \"open\"\n";
    let new =
        format!("{}{}{}{}", OPEN.replace("allow", "deny"), one("c", "reuse = true\n"), one("a", &more), one("d", ""));
    let old = house.bundle("old", &[("policy.toml", &old), ("lists/words.txt", "x\ny\n")]);
    let new = house.bundle("new", &[("policy.toml", &new), ("lists/words.txt", "x\nz\n"), ("tests.toml", "")]);
    policy.activate(&old, "ops", "old").unwrap();
    let diff = policy.diff(&BundleSource::Generation(2), &(&new).into()).unwrap();
    let words: Vec<&str> = diff.changes.iter().map(|change| change.words.as_str()).collect();
    let expected = [
        "where all access plugins abstain: deny instead of allow",
        "plugin `b` (builtin:content-filter) is gone from place 2",
        "plugin `c` moved from place 3 to 1",
        "plugin `c` now serves many calls with one instance",
        "plugin `a`: limit time_ms is 20 instead of 10",
        "plugin `a`: if it fails on content, inbound calls are let through instead of held",
        "plugin `a`: /keywords/0/action is \"hold\" instead of \"mask\"",
        "plugin `d` (builtin:content-filter) is new at place 3",
        "list `words`: 1 in (z), 1 out (y)",
        "file tests.toml is new",
    ];
    let moved = |words: &[&str]| words.iter().filter(|words| words.contains("moved")).count();
    assert_eq!(moved(&words), 1, "{words:#?}");
    for sentence in expected.iter().filter(|sentence| !sentence.contains("moved")) {
        assert!(words.contains(sentence), "{sentence} is not in {words:#?}");
    }
    assert!(policy.diff(&BundleSource::Generation(2), &(&old).into()).unwrap().changes.is_empty());
}

#[test]
fn a_what_if_is_judged_by_the_active_policy_and_leaves_no_trace() {
    let house = House::new();
    let policy = house.open();
    house.activate(&policy, &filter("mask", "\"secret\""));
    let (judgement, generation, lists) = policy.what_if(&call(Direction::Inbound, "north"), &[text("a secret")]);
    assert_eq!((judgement.outcome(), generation, lists), ("rewritten", 2, 0));
    assert_eq!(judgement.decided_by().map(|step| step.plugin.to_string()), Some("it".to_owned()));
    assert_eq!(policy.stats().iter().map(|plugin| plugin.calls).sum::<u64>(), 0);
    let origin = policy.origin(2).unwrap();
    assert_eq!((origin.why.as_str(), origin.component("it")), ("because", Some("builtin:content-filter")));
    assert_eq!(origin.setting("it", "/keywords/0/action").unwrap(), "mask");
}
