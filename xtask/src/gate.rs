//! The gate that every change has to pass. Cheap checks come first, the tests last.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::browser;
use crate::openapi;
use crate::plugins;
use crate::shell::{Outcome, at, cargo, each_line, output, root, run};
use crate::tools;

/// Seconds for which each fuzz target runs in the gate.
const FUZZ_SECONDS: u32 = 20;

const TEST: [&str; 2] = ["test", "--locked"];

/// Runs the whole gate and stops at the first step that fails. The last line counts the tests.
pub(crate) fn test() -> Outcome {
    let mut gate = Gate::default();
    gate.step("plugins", plugins::all)?;
    gate.step("format", format)?;
    gate.step("lints", lints)?;
    gate.step("documentation", documentation)?;
    gate.step("licences, bans, sources, advisories", deny)?;
    gate.step("fuzz targets, briefly", fuzz)?;
    gate.step("benches, each once", || run(cargo().args(TEST).args(["--workspace", "--bench", "*"])))?;
    gate.tests("tests of the plugins", in_plugins(cargo().args(TEST).arg("--workspace")))?;
    gate.step("table tests of the plugins", table_tests)?;
    gate.tests("examples in the documentation", cargo().args(TEST).args(["--workspace", "--doc"]))?;
    let code = ["--workspace", "--lib", "--bins", "--tests"];
    gate.tests("tests", cargo().args(TEST).args(code).arg("--no-fail-fast"))?;
    gate.step("made-up requests against the descriptions of the interfaces", openapi::check)?;
    gate.told("the web client in a browser", |look| browser::check(look))?;
    gate.close();
    Ok(())
}

/// What the gate has done so far.
#[derive(Default)]
struct Gate {
    durations: Vec<(&'static str, f64)>,
    tally: Tally,
}

impl Gate {
    /// One step: a heading, the work, its duration.
    fn step(&mut self, title: &'static str, work: impl FnOnce() -> Outcome) -> Outcome {
        println!("\n=== {title}");
        let begun = Instant::now();
        let outcome = work();
        let seconds = begun.elapsed().as_secs_f64();
        let verdict = if outcome.is_ok() { "done" } else { "FAILED" };
        println!("=== {title}: {verdict} in {seconds:.1} s");
        self.durations.push((title, seconds));
        outcome
    }

    fn tests(&mut self, title: &'static str, command: &mut Command) -> Outcome {
        self.told(title, |look| each_line(command, look))
    }

    /// Work that hands on every line its tests print, so that they are counted.
    fn told(&mut self, title: &'static str, work: impl FnOnce(&mut dyn FnMut(&str)) -> Outcome) -> Outcome {
        let mut tally = std::mem::take(&mut self.tally);
        let mut said = Said::default();
        let outcome = self.step(title, || {
            work(&mut |line| {
                tally.add(line);
                said.add(line);
            })
        });
        if outcome.is_err() {
            println!("{said}{tally}");
        }
        self.tally = tally;
        outcome
    }

    fn close(&self) {
        println!("\nThe gate is open.");
        for (title, seconds) in &self.durations {
            println!("{seconds:7.1} s  {title}");
        }
        println!("{:7.1} s  together\n", self.durations.iter().map(|(_, s)| s).sum::<f64>());
        println!("{}", self.tally);
    }
}

/// Lines kept of what one failed test said.
const LINES_OF_A_FAILURE: usize = 40;

/// What the failed tests said, to be said again at the very end: where logs are cut, their ends remain.
#[derive(Debug, Default)]
struct Said {
    lines: Vec<String>,
    /// Lines that are still taken of the failure under way.
    room: usize,
}

impl Said {
    /// A failure goes from `---- its name stdout ----` to the list of names that closes them all; of node's tests, from `not ok` to
    /// the next `ok`.
    fn add(&mut self, line: &str) {
        if line.starts_with("---- ") || line.starts_with("not ok ") {
            self.room = LINES_OF_A_FAILURE;
        } else if line == "failures:" || line.starts_with("test result: ") || line.starts_with("ok ") {
            self.room = 0;
        }
        if self.room > 0 {
            self.room -= 1;
            self.lines.push(line.chars().take(400).collect());
        }
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Tests counted from the closing lines of `cargo test` and of `node --test`.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    /// `test result: ok. 7 passed; 0 failed; 1 ignored; …` counts, any other line does not.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return self.add_of_node(line);
        };
        let words: Vec<&str> = result.split([' ', ';']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let count = pair[0].parse().unwrap_or(0);
            match pair[1] {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.skipped += count,
                _ => {}
            }
        }
    }
}

impl Tally {
    /// `# pass 7` counts, any other line does not.
    fn add_of_node(&mut self, line: &str) {
        let Some((what, count)) = line.strip_prefix("# ").and_then(|line| line.split_once(' ')) else {
            return;
        };
        let count = count.parse().unwrap_or(0);
        match what {
            "pass" => self.passed += count,
            "fail" => self.failed += count,
            "skipped" => self.skipped += count,
            _ => {}
        }
    }
}

/// `7 passed, 0 failed, 1 skipped`
impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// The benches, measured.
pub(crate) fn bench(args: &[String]) -> Outcome {
    plugins::build()?;
    run(cargo().args(["bench", "--locked", "--workspace", "--bench", "*", "--"]).args(args))
}

fn format() -> Outcome {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(in_plugins(cargo().args(["fmt", "--all", "--check"])))?;
    run(in_fuzz(cargo().args(["fmt", "--all", "--check"])))
}

fn lints() -> Outcome {
    let clippy = ["clippy", "--locked", "--workspace", "--all-targets"];
    run(cargo().args(clippy).args(["--", "-D", "warnings"]))?;
    run(in_plugins(cargo().args(clippy).args(["--", "-D", "warnings"])))
}

fn documentation() -> Outcome {
    let doc = ["doc", "--locked", "--workspace", "--no-deps"];
    run(cargo().args(doc).env("RUSTDOCFLAGS", "-D warnings"))?;
    run(in_plugins(cargo().args(doc).env("RUSTDOCFLAGS", "-D warnings")))
}

/// As a plugin's author runs them.
fn table_tests() -> Outcome {
    for name in plugins::tested()? {
        let component = plugins::component(&name);
        let test =
            ["run", "--locked", "--quiet", "--package", "isthmus-node", "--bin", "isthmus", "--", "plugin", "test"];
        run(cargo().args(test).arg(root().join("plugins").join(name)).arg("--component").arg(component))?;
    }
    Ok(())
}

/// The advisories come from the network: without it the rest is checked all the same.
fn deny() -> Outcome {
    let config = root().join("deny.toml");
    let with_advisories = fetch_advisories(&config)?;
    if !with_advisories {
        println!("The advisory database cannot be reached from here: advisories are NOT checked.");
    }
    for workspace in ["", "plugins"] {
        let mut check = tools::DENY.provide()?;
        check.arg("--manifest-path").arg(root().join(workspace).join("Cargo.toml"));
        check.arg("--config").arg(&config);
        check.args(["--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]);
        if with_advisories {
            check.arg("advisories");
        }
        run(&mut check)?;
    }
    Ok(())
}

fn fetch_advisories(config: &Path) -> Outcome<bool> {
    let mut fetch = tools::DENY.provide()?;
    fetch.current_dir(root()).arg("--config").arg(config).args(["fetch", "db"]);
    Ok(output(&mut fetch).is_some())
}

fn fuzz() -> Outcome {
    let toolchains = output(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
    let Some(nightly) = toolchains.lines().find_map(|line| {
        let name = line.split_whitespace().next()?;
        name.starts_with("nightly").then_some(name)
    }) else {
        println!("No nightly Rust is installed: the fuzz targets are NOT run.");
        return Ok(());
    };
    let mut fuzz = tools::FUZZ.provide()?;
    let list = output(on(&mut fuzz, nightly).args(["list", "--fuzz-dir", "."]));
    let list = list.ok_or("cargo-fuzz cannot list the targets in tests/fuzz")?;
    for target in list.lines() {
        let corpus = fuzz_folder().join("corpus").join(target);
        std::fs::create_dir_all(&corpus).map_err(at(&corpus))?;
        let mut fuzz = tools::FUZZ.provide()?;
        run(on(&mut fuzz, nightly)
            .args(["run", "--fuzz-dir", ".", target])
            .args([corpus, fuzz_folder().join("seeds").join(target)])
            .args(["--", "-verbosity=0", "-print_funcs=0"])
            .arg(format!("-max_total_time={FUZZ_SECONDS}")))?;
    }
    Ok(())
}

fn fuzz_folder() -> PathBuf {
    root().join("tests/fuzz")
}

/// The fuzz workspace with a nightly Rust.
fn on<'a>(command: &'a mut Command, nightly: &str) -> &'a mut Command {
    in_fuzz(command).env("RUSTUP_TOOLCHAIN", nightly).env_remove("CARGO").env_remove("RUSTC")
}

fn in_plugins(command: &mut Command) -> &mut Command {
    command.current_dir(root().join("plugins"))
}

fn in_fuzz(command: &mut Command) -> &mut Command {
    command.current_dir(fuzz_folder())
}

#[cfg(test)]
mod tests {
    use super::{LINES_OF_A_FAILURE, Said, Tally};

    #[test]
    fn what_failed_tests_said_is_kept_and_not_without_end() {
        let mut said = Said::default();
        said.add("test a ... FAILED");
        said.add("failures:");
        said.add("---- a stdout ----");
        (0..100).for_each(|n| said.add(&format!("line {n}")));
        for line in ["---- b stdout ----", "b's", "failures:", "    a", "test result: FAILED."] {
            said.add(line);
        }
        assert_eq!(said.lines.len(), LINES_OF_A_FAILURE + 2);
        assert!(said.to_string().ends_with("---- b stdout ----\nb's\n"));
    }

    #[test]
    fn closing_lines_of_cargo_test_are_added_up() {
        let mut tally = Tally::default();
        for line in [
            "running 8 tests",
            "test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1s",
            "    test result: ok. 9 passed; 9 failed; 9 ignored",
            "# pass 4",
            "# fail 1",
            "# Subtest: a name",
        ] {
            tally.add(line);
        }
        assert_eq!(tally, Tally { passed: 12, failed: 3, skipped: 1 });
        assert_eq!(tally.to_string(), "12 passed, 3 failed, 1 skipped");
    }
}
