//! `isthmus plugin new`: a folder that builds and tests at once, wherever it lies.
//!
//! The SDK and the interface go along as sources (`vendor/isthmus-plugin`, `wit`): a plugin builds without this
//! repository, and goes on building against the interface that it was written for.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::at;
use crate::cli::error::CliError;
use crate::cli::out::Out;

#[derive(Debug, Args)]
pub(in crate::cli) struct NewArgs {
    /// The plugin's name: lower-case letters, digits, `-`.
    name: String,
    /// What it is asked.
    #[arg(long, value_enum)]
    kind: Kind,
    /// The language it is written in.
    #[arg(long, value_enum, default_value = "rust")]
    lang: Lang,
    /// Where its folder is made.
    #[arg(long, default_value = ".", value_name = "DIR")]
    into: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// May this be done at all?
    Access,
    /// May this be said?
    Content,
    /// How is this recorded?
    Audit,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Lang {
    Rust,
}

/// Its own part of a new plugin's folder.
struct Template {
    source: &'static str,
    schema: &'static str,
    cases: &'static str,
    settings: &'static str,
}

macro_rules! template {
    ($kind:literal) => {
        Template {
            source: include_str!(concat!("template/", $kind, ".rs")),
            schema: include_str!(concat!("template/", $kind, ".schema.json")),
            cases: include_str!(concat!("template/", $kind, ".cases.toml")),
            settings: include_str!(concat!("template/", $kind, ".settings.toml")),
        }
    };
}

impl Kind {
    fn template(self) -> Template {
        match self {
            Self::Access => template!("access"),
            Self::Content => template!("content"),
            Self::Audit => template!("audit"),
        }
    }
}

/// The SDK's sources, by their place below its folder.
const SDK: &[(&str, &str)] = &[
    ("src/bindings.rs", include_str!("../../../../../plugins/sdk/src/bindings.rs")),
    ("src/body.rs", include_str!("../../../../../plugins/sdk/src/body.rs")),
    ("src/host.rs", include_str!("../../../../../plugins/sdk/src/host.rs")),
    ("src/lib.rs", include_str!("../../../../../plugins/sdk/src/lib.rs")),
    ("src/pattern.rs", include_str!("../../../../../plugins/sdk/src/pattern.rs")),
    ("src/plugin.rs", include_str!("../../../../../plugins/sdk/src/plugin.rs")),
    ("src/reply.rs", include_str!("../../../../../plugins/sdk/src/reply.rs")),
    ("src/settings.rs", include_str!("../../../../../plugins/sdk/src/settings.rs")),
    ("src/testing.rs", include_str!("../../../../../plugins/sdk/src/testing.rs")),
];
const SDK_MANIFEST: &str = include_str!("../../../../../plugins/sdk/Cargo.toml");
const PLUGINS_MANIFEST: &str = include_str!("../../../../../plugins/Cargo.toml");
/// The versions that the SDK was tried with; cargo drops what a plugin does not use.
const LOCK: &str = include_str!("../../../../../plugins/Cargo.lock");
const CARGO_CONFIG: &str = include_str!("../../../../../plugins/.cargo/config.toml");
const WIT: &str = include_str!("../../../../../wit/1.0.0/policy.wit");

pub(super) fn run(args: &NewArgs, out: &Out) -> Result<(), CliError> {
    let name = checked(&args.name)?;
    let Lang::Rust = args.lang;
    let folder = args.into.join(name);
    if folder.exists() {
        return Err(CliError::Usage(format!("{} is there already: take another name, or --into", folder.display())));
    }
    for (path, text) in files(name, args.kind)? {
        write(&folder.join(path), &text)?;
    }
    out.answer(&json!({"folder": folder, "name": name}), |_| {
        let here = folder.display();
        format!(
            "{here} is ready:\n  {here}/src/lib.rs          what it judges\n  {here}/src/schema.json     its settings\n  \
             {here}/tests/cases.toml   what it has to answer\n  {here}/bundle             the bundle to activate\n\n\
             isthmus plugin test {here}"
        )
    });
    Ok(())
}

fn checked(name: &str) -> Result<&str, CliError> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let sound = name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(letter);
    if sound && name != "isthmus-plugin" && name != "test" {
        return Ok(name);
    }
    Err(CliError::Usage(format!(
        "`{name}` is no name for a plugin: 1 to 64 lower-case letters, digits and `-`, a letter first"
    )))
}

/// All files of the folder, by their place in it.
fn files(name: &str, kind: Kind) -> Result<Vec<(PathBuf, String)>, CliError> {
    let Template { source, schema, cases, settings } = kind.template();
    let policy = include_str!("template/policy.toml");
    let mut files: Vec<(PathBuf, String)> = [
        ("Cargo.toml", include_str!("template/Cargo.toml").to_owned()),
        ("Cargo.lock", LOCK.to_owned()),
        (".cargo/config.toml", CARGO_CONFIG.to_owned()),
        (".gitignore", "/target\n/bundle/*.wasm\n".to_owned()),
        ("README.md", include_str!("template/README.md").to_owned()),
        ("src/lib.rs", source.to_owned()),
        ("src/schema.json", schema.to_owned()),
        ("tests/cases.toml", cases.to_owned()),
        ("bundle/policy.toml", format!("{policy}{settings}")),
        ("vendor/isthmus-plugin/Cargo.toml", sdk_manifest()?),
        ("wit/1.0.0/policy.wit", WIT.to_owned()),
    ]
    .map(|(path, text)| (PathBuf::from(path), text.replace("{{name}}", name)))
    .into();
    files.extend(SDK.iter().map(|(path, text)| (Path::new("vendor/isthmus-plugin").join(path), (*text).to_owned())));
    Ok(files)
}

/// The SDK's manifest without the workspace that it has here.
fn sdk_manifest() -> Result<String, CliError> {
    let read = |text: &str| text.parse::<toml::Table>().map_err(|error| CliError::chain(&error));
    let (mut own, workspace) = (read(SDK_MANIFEST)?, read(PLUGINS_MANIFEST)?);
    own.remove("lints");
    for section in ["package", "dependencies"] {
        let inherited = workspace["workspace"].get(section).and_then(toml::Value::as_table);
        for (key, value) in own.get_mut(section).and_then(toml::Value::as_table_mut).into_iter().flatten() {
            let from_workspace = value.get("workspace").is_some();
            if let Some(inherited) = inherited.and_then(|table| table.get(key.as_str())).filter(|_| from_workspace) {
                *value = inherited.clone();
            }
        }
    }
    Ok(own.to_string())
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(at(folder))?;
    fs::write(path, text).map_err(at(path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_sdk_goes_along_whole_and_without_this_workspace() {
        let manifest = sdk_manifest().unwrap();
        assert!(!manifest.contains("workspace"), "{manifest}");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/sdk/src");
        let mut sources: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| format!("src/{}", entry.unwrap().file_name().display()))
            .collect();
        sources.sort();
        let known: Vec<&str> = SDK.iter().map(|(path, _)| *path).collect();
        assert_eq!(sources, known);
    }

    #[test]
    fn only_names_that_cargo_and_a_bundle_take_are_taken() {
        for (name, taken) in
            [("no-links", true), ("a", true), ("", false), ("No", false), ("1st", false), ("a/b", false)]
        {
            assert_eq!(checked(name).is_ok(), taken, "{name}");
        }
    }

    #[test]
    fn every_file_of_a_new_plugin_is_filled_in() {
        for kind in [Kind::Access, Kind::Content, Kind::Audit] {
            let files = files("no-links", kind).unwrap();
            assert!(files.iter().all(|(_, text)| !text.contains("{{")), "{kind:?}");
            assert!(files.iter().any(|(path, text)| path == Path::new("Cargo.toml") && text.contains("\"no-links\"")));
        }
    }
}
