//! Plugins in other languages than Rust: the examples hold their tables in the sandbox, in fresh instances and in reused
//! ones, within the limits that every plugin has.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::path::Path;
use std::time::Duration;

use isthmus_policy::{Inspection, Trial};
use support::component;

struct Example {
    language: &'static str,
    kinds: &'static [&'static str],
    grants: &'static [&'static str],
    /// Whether it imports anything of WASI.
    wasi: bool,
    /// Whether it starts where `init` left it. If not, `init` runs in each new instance.
    snapshot: bool,
}

impl Example {
    fn holds(&self) {
        let Self { language, kinds, grants, wasi, snapshot } = self;
        let wasm = component(&format!("examples/{language}"));
        let inspection = Inspection::of(wasm).unwrap();
        assert!(inspection.objections.is_empty(), "{:?}", inspection.objections);
        assert_eq!(inspection.kinds, *kinds);
        assert_eq!(inspection.grants, *grants);
        assert_eq!(inspection.imports.iter().any(|import| import.starts_with("wasi:")), *wasi);
        assert!(inspection.settings_schema.is_some());

        let trial = Trial::new(wasm.to_vec()).unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/examples").join(language).join("tests");
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            let text = std::fs::read_to_string(&file).unwrap();
            for case in trial.table_test(&text).unwrap() {
                assert!(case.differences.is_empty(), "{}:{}: {:#?}", file.display(), case.line, case.differences);
            }
            for bench in trial.bench(&text, Duration::from_millis(200)).unwrap() {
                assert!(bench.faults.is_empty() && bench.memory_share() < 1.0, "{language}: {bench:?}");
                assert_eq!(bench.snapshot, *snapshot, "{language}");
            }
        }
    }
}

#[test]
fn javascript() {
    Example { language: "javascript", kinds: &["content"], grants: &["metrics"], wasi: true, snapshot: true }.holds();
}

#[test]
fn python() {
    Example { language: "python", kinds: &["access"], grants: &["lists"], wasi: true, snapshot: true }.holds();
}

#[test]
fn c() {
    Example { language: "c", kinds: &["content"], grants: &["log"], wasi: false, snapshot: true }.holds();
}
