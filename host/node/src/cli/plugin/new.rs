//! `isthmus plugin new`: a folder that builds and tests at once, wherever it lies.
//!
//! The SDK and the interface go along as sources (`vendor`, `wit`): a plugin builds without this
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
    /// With the SDK: the smallest and fastest.
    Rust,
    /// QuickJS within.
    #[value(alias = "javascript")]
    Js,
    /// CPython within.
    Python,
    /// With wit-bindgen's bindings.
    C,
}

/// Its own part of a new plugin's folder.
struct Template {
    rust: &'static str,
    javascript: &'static str,
    python: &'static str,
    c: &'static str,
    schema: &'static str,
    cases: &'static str,
    settings: &'static str,
}

macro_rules! template {
    ($kind:literal) => {
        Template {
            rust: include_str!(concat!("template/", $kind, ".rs")),
            javascript: include_str!(concat!("template/javascript/", $kind, ".js")),
            python: include_str!(concat!("template/python/", $kind, ".py")),
            c: include_str!(concat!("template/c/", $kind, ".c")),
            schema: include_str!(concat!("template/", $kind, ".schema.json")),
            cases: include_str!(concat!("template/", $kind, ".cases.toml")),
            settings: include_str!(concat!("template/", $kind, ".settings.toml")),
        }
    };
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Content => "content",
            Self::Audit => "audit",
        }
    }

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
    ("src/answered.rs", include_str!("../../../../../plugins/sdk/src/answered.rs")),
    ("src/asked.rs", include_str!("../../../../../plugins/sdk/src/asked.rs")),
    ("src/bindings.rs", include_str!("../../../../../plugins/sdk/src/bindings.rs")),
    ("src/body.rs", include_str!("../../../../../plugins/sdk/src/body.rs")),
    ("src/glue.rs", include_str!("../../../../../plugins/sdk/src/glue.rs")),
    ("src/heap.rs", include_str!("../../../../../plugins/sdk/src/heap.rs")),
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
/// What helps a plugin in C to read its settings.
const C_VENDORED: [(&str, &str); 2] = [
    ("vendor/settings.h", include_str!("../../../../../plugins/examples/c/vendor/settings.h")),
    ("vendor/jsmn.h", include_str!("../../../../../plugins/examples/c/vendor/jsmn.h")),
];
const CARGO_CONFIG: &str = include_str!("../../../../../plugins/.cargo/config.toml");
const WIT: &str = include_str!("../../../../../wit/1.0.0/policy.wit");

pub(super) fn run(args: &NewArgs, out: &Out) -> Result<(), CliError> {
    let name = checked(&args.name)?;
    let folder = args.into.join(name);
    if folder.exists() {
        return Err(CliError::Usage(format!("{} is there already: take another name, or --into", folder.display())));
    }
    for (path, text) in files(name, args.kind, args.lang)? {
        write(&folder.join(path), &text)?;
    }
    out.answer(&json!({"folder": folder, "name": name}), |_| {
        let here = folder.display();
        let source = args.lang.source();
        format!(
            "{here} is ready:\n  {here}/{source:20} what it judges, and its settings\n  \
             {here}/tests/cases.toml     what it has to answer\n  {here}/bundle/              the bundle to activate\n\n\
             try it: isthmus plugin test {here}"
        )
    });
    Ok(())
}

fn checked(name: &str) -> Result<&str, CliError> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let word = |word: &str| word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(letter);
    let sound = name.len() <= 64 && name.split('-').all(word);
    if sound && name != "isthmus-plugin" && name != "test" {
        return Ok(name);
    }
    Err(CliError::Usage(format!(
        "`{name}` is no name for a plugin: 1 to 64 lower-case letters, digits and `-`, each word with a letter first"
    )))
}

impl Lang {
    /// Where a plugin's own code is.
    fn source(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::Js => "plugin.js",
            Self::Python => "plugin.py",
            Self::C => "plugin.c",
        }
    }

    /// What its table in policy.toml has on account of the language.
    fn manifest(self) -> &'static str {
        match self {
            Self::Rust | Self::C => "",
            Self::Js | Self::Python => include_str!("template/interpreted.toml"),
        }
    }

    /// What the folder has on account of the language.
    fn files(self, template: &Template) -> Result<Vec<(&'static str, String)>, CliError> {
        const POLICY: &str = "wit/deps/isthmus-policy/policy.wit";
        let in_world = |source: &str, schema: &str| {
            let world = include_str!("template/hooks.wit").to_owned();
            vec![
                ("wit/hooks.wit", world),
                (POLICY, WIT.to_owned()),
                (self.source(), source.replace("{{schema}}", schema.trim_end())),
            ]
        };
        Ok(match self {
            Self::Rust => vec![
                ("Cargo.toml", include_str!("template/Cargo.toml").to_owned()),
                ("Cargo.lock", LOCK.to_owned()),
                (".cargo/config.toml", CARGO_CONFIG.to_owned()),
                ("src/lib.rs", template.rust.to_owned()),
                ("src/schema.json", template.schema.to_owned()),
                ("vendor/isthmus-plugin/Cargo.toml", sdk_manifest()?),
                ("wit/1.0.0/policy.wit", WIT.to_owned()),
            ],
            Self::Js => in_world(template.javascript, template.schema),
            Self::Python => in_world(template.python, template.schema),
            Self::C => {
                let mut files = in_world(template.c, &c_text(template.schema));
                files.extend(C_VENDORED.map(|(path, text)| (path, text.to_owned())));
                files
            }
        })
    }
}

/// A text as C writes it, a line a line.
fn c_text(text: &str) -> String {
    let line = |line: &str| format!("    \"{}\\n\"", line.replace('\\', "\\\\").replace('"', "\\\""));
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}

/// All files of the folder, by their place in it.
fn files(name: &str, kind: Kind, lang: Lang) -> Result<Vec<(PathBuf, String)>, CliError> {
    let template = kind.template();
    let policy = include_str!("template/policy.toml");
    let own = [
        (".gitignore", "/target\n/bindings\n/bundle/*.wasm\n".to_owned()),
        ("README.md", include_str!("template/README.md").to_owned()),
        ("tests/cases.toml", template.cases.to_owned()),
        ("bundle/policy.toml", format!("{policy}{}{}", lang.manifest(), template.settings)),
    ];
    let filled = |text: String| {
        let text = text.replace("{{name}}", name).replace("{{kind}}", kind.name());
        text.replace("{{source}}", lang.source())
    };
    let all = own.into_iter().chain(lang.files(&template)?);
    let mut files: Vec<(PathBuf, String)> = all.map(|(path, text)| (PathBuf::from(path), filled(text))).collect();
    if let Lang::Rust = lang {
        let vendored =
            |(path, text): &(&str, &str)| (Path::new("vendor/isthmus-plugin").join(path), (*text).to_owned());
        files.extend(SDK.iter().map(vendored));
    }
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
        for (name, taken) in [
            ("no-links", true),
            ("a", true),
            ("", false),
            ("No", false),
            ("1st", false),
            ("a-1", false),
            ("a/b", false),
        ] {
            assert_eq!(checked(name).is_ok(), taken, "{name}");
        }
    }

    #[test]
    fn every_file_of_a_new_plugin_is_filled_in() {
        for kind in [Kind::Access, Kind::Content, Kind::Audit] {
            for lang in Lang::value_variants() {
                let files = files("no-links", kind, *lang).unwrap();
                assert!(files.iter().all(|(_, text)| !text.contains("{{")), "{kind:?} {lang:?}");
                let manifest = if let Lang::Rust = lang { "Cargo.toml" } else { "wit/hooks.wit" };
                let named = |(path, text): &(PathBuf, String)| path == Path::new(manifest) && text.contains("no-links");
                assert!(files.iter().any(named), "{kind:?} {lang:?}");
            }
        }
    }

    #[test]
    fn a_schema_is_written_as_c_writes_texts() {
        assert_eq!(c_text("{\n \"a\": \"\\\\d\" }\n"), "    \"{\\n\"\n    \" \\\"a\\\": \\\"\\\\\\\\d\\\" }\\n\"");
    }
}
