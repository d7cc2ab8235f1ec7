//! The shipped plugins hold their own table tests, and a table test tells what does not hold.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::path::Path;
use std::time::Duration;

use isthmus_policy::{Inspection, Trial};
use support::component;

fn tables(plugin: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins").join(plugin).join("tests");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.display().to_string(), std::fs::read_to_string(&path).unwrap())
    };
    std::fs::read_dir(folder).unwrap().map(read).collect()
}

fn holds(plugin: &str, least: usize) {
    let trial = Trial::new(component(plugin).to_vec()).unwrap();
    let mut cases = 0;
    for (file, text) in tables(plugin) {
        for case in trial.table_test(&text).unwrap_or_else(|said| panic!("{file}: {said}")) {
            assert!(case.differences.is_empty(), "{file}:{}: {}: {:#?}", case.line, case.name, case.differences);
            cases += 1;
        }
    }
    assert!(cases >= least, "{plugin} has {cases} cases only");
}

#[test]
fn access_list_holds_its_table() {
    holds("access-list", 7);
}

#[test]
fn rate_guard_holds_its_table() {
    holds("rate-guard", 10);
}

#[test]
fn content_filter_holds_its_tables() {
    holds("content-filter", 22);
}

#[test]
fn dlp_cn_holds_its_table() {
    holds("dlp-cn", 14);
}

#[test]
fn audit_redact_holds_its_table() {
    holds("audit-redact", 5);
}

#[test]
fn what_does_not_hold_is_told_with_its_line() {
    let trial = Trial::new(component("dlp-cn").to_vec()).unwrap();
    let cases = trial
        .table_test(
            "settings.mobile = \"mask\"\n[[case]]\nname = \"one\"\ntext = \"13812345678\"\n\
             expect = { verdict = \"pass\", labels = [\"card\"] }\n[[case]]\nname = \"two\"\nexpect = \"deny\"\n\
             [[case]]\nname = \"three\"\nsettings.mobil = \"mask\"\ntext = \"x\"\nexpect = \"pass\"\n",
        )
        .unwrap();
    let told: Vec<(u32, Vec<&str>)> =
        cases.iter().map(|c| (c.line, c.differences.iter().map(|d| d.what.as_str()).collect())).collect();
    assert_eq!(told, [(3, vec!["verdict", "labels"]), (7, vec!["request"]), (10, vec!["settings"])]);
    assert_eq!(cases[0].differences[0].expected, "\"pass\"");
    assert_eq!(cases[0].differences[0].got, "\"rewrite\"");
    assert!(cases[1].differences[0].got.contains("no access hook"), "{:?}", cases[1]);
    assert!(cases[2].differences[0].got.contains("did you mean `mobile`"), "{:?}", cases[2]);
}

#[test]
fn a_bench_measures_both_ways_of_running_and_the_memory() {
    let trial = Trial::new(component("dlp-cn").to_vec()).unwrap();
    let (_, text) = tables("dlp-cn").remove(0);
    let reports = trial.bench(&text, Duration::from_millis(100)).unwrap();
    assert_eq!(reports.iter().map(|r| r.mode).collect::<Vec<_>>(), ["fresh", "reused"]);
    for report in reports {
        assert!(report.snapshot && report.calls > 10 && report.requests > 5, "{report:?}");
        assert!(report.p50_us > 0.0 && report.p50_us <= report.p99_us, "{report:?}");
        assert!(report.memory_bytes >= 65_536 && report.memory_share() < 1.0, "{report:?}");
    }
}

#[test]
fn a_bench_of_a_plugin_over_its_limits_says_so() {
    let trial = Trial::new(component("hostile/loops").to_vec()).unwrap();
    let text = "limits.time_ms = 1\n[[case]]\nname = \"x\"\nexpect = \"fault\"\n";
    let reports = trial.bench(text, Duration::from_millis(20)).unwrap();
    assert!(reports[0].over() && reports[0].faults[0].0 == "timeout", "{reports:?}");
    let case = &trial.table_test(text).unwrap()[0];
    assert!(case.differences.is_empty(), "{case:?}");
}

#[test]
fn an_inspection_tells_what_a_component_is() {
    let seen = Inspection::of(component("rate-guard")).unwrap();
    assert_eq!((seen.kinds, seen.wit_version.as_deref()), (vec!["access"], Some("1.0.0")));
    assert_eq!(seen.grants, ["counters", "lists"]);
    assert_eq!(seen.settings_schema.unwrap()["title"], "rate-guard");
    assert!(seen.objections.is_empty());

    let broken = Inspection::of(b"hello").unwrap();
    assert!(broken.objections[0].contains("not a WebAssembly component"), "{broken:?}");
}
