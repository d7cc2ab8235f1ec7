//! The web client in a real browser (`tests/browser`): Debian's Chromium, driven by playwright-core, over `isthmus demo`.

use std::path::PathBuf;
use std::process::Command;

use crate::plugins;
use crate::shell::{Outcome, cargo, each_line, output, root, run, target};

/// What drives the browser, and the browser: programs, and Debian's packages that hold them. Without the fonts the browser shows
/// boxes for Chinese and for emoji.
const PROGRAMS: [&str; 3] = ["node", "npm", "chromium"];
const PACKAGES: [&str; 5] = ["nodejs", "npm", "chromium", "fonts-noto-cjk", "fonts-noto-color-emoji"];

/// Builds the binary, provides everything else and runs the tests file by file: each has a ground of its own. `look` is told every
/// line that they print.
pub(crate) fn check(mut look: impl FnMut(&str)) -> Outcome {
    provide()?;
    plugins::build()?;
    run(cargo().args(["build", "--locked", "--package", "isthmus-node", "--bin", "isthmus"]))?;
    let folder = root().join("tests/browser");
    run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"]).current_dir(&folder))?;
    let mut failed = Vec::new();
    for file in test_files(&folder)? {
        let mut test = Command::new("node");
        test.current_dir(&folder).args(["--test", "--test-reporter=tap"]).arg(&file);
        test.env("ISTHMUS_BIN", binary()).env("ISTHMUS_SHOTS", target().join("browser"));
        if let Err(failure) = each_line(&mut test, &mut look) {
            failed.push(failure.to_string());
        }
    }
    println!("Screenshots are in {}", target().join("browser").display());
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ").into()) }
}

fn test_files(folder: &std::path::Path) -> Outcome<Vec<String>> {
    let entries = std::fs::read_dir(folder).map_err(crate::shell::at(folder))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut files: Vec<String> = names.filter(|name| name.ends_with(".test.mjs")).collect();
    files.sort();
    Ok(files)
}

/// Where cargo puts the binary.
fn binary() -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(target, |folder| root().join(folder));
    folder.join("debug/isthmus")
}

/// The programs, from where they are or from Debian's packages.
fn provide() -> Outcome {
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|name| !there(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let install = format!("apt-get install --yes --no-install-recommends {}", PACKAGES.join(" "));
    let words = missing.join(", ");
    if !there("apt-get") {
        return Err(format!("{words}: not installed, and needed to test the web client").into());
    }
    if output(Command::new("id").arg("-u")).is_none_or(|id| id.trim() != "0") {
        return Err(format!("{words}: not installed, and needed to test the web client: sudo {install}").into());
    }
    println!("{words}: not installed: installing Debian's packages");
    run(Command::new("apt-get").args(["update", "--quiet"]))?;
    run(Command::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "--quiet", "--yes", "--no-install-recommends"])
        .args(PACKAGES))
}

fn there(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
