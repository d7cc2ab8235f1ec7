//! `isthmus plugin build`: sources to component, by the toolchain that there is.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use isthmus_toolchain::{TARGET, Toolchain, componentize};
use serde_json::json;

use super::read;
use crate::cli::error::CliError;
use crate::cli::out::Out;

#[derive(Debug, Args)]
pub(in crate::cli) struct BuildArgs {
    /// The plugin's folder.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Where the component goes. Default: into the folder's bundle, if it has one.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A component that was built.
pub(super) struct Built {
    pub(super) component: PathBuf,
    bytes: usize,
    toolchain: String,
}

pub(super) fn run(args: &BuildArgs, out: &Out) -> Result<(), CliError> {
    let built = build(&args.dir, args.out.as_deref())?;
    let digest = blake3::hash(&read(&built.component)?).to_hex().to_string();
    let answer =
        json!({"component": built.component, "bytes": built.bytes, "digest": digest, "toolchain": built.toolchain});
    out.answer(&answer, |_| {
        format!(
            "{}: {} KiB, blake3 {digest}\nbuilt by {}",
            built.component.display(),
            built.bytes / 1024,
            built.toolchain
        )
    });
    Ok(())
}

/// Builds the plugin in `dir`. What is done on the way is said on standard error.
pub(super) fn build(dir: &Path, out: Option<&Path>) -> Result<Built, CliError> {
    let name = package(dir)?;
    let mut say = |said: &str| {
        let _ = writeln!(std::io::stderr(), "{said}");
    };
    let toolchain = Toolchain::provide(&mut say).map_err(|error| CliError::chain(&error))?;
    let dir = std::path::absolute(dir).map_err(|error| CliError::chain(&error))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| dir.join("target"), PathBuf::from);
    let mut command = toolchain.build();
    command.current_dir(&dir).arg("--target-dir").arg(&target);
    isthmus_toolchain::run(&mut command).map_err(|error| CliError::chain(&error))?;
    let module = target.join(TARGET).join("release").join(format!("{}.wasm", name.replace('-', "_")));
    let bundle = dir.join("bundle");
    let folder = if bundle.is_dir() { bundle } else { dir };
    let component = out.map_or_else(|| folder.join(format!("{name}.wasm")), Path::to_owned);
    let bytes = componentize(&module, &component).map_err(|error| CliError::chain(&error))?;
    Ok(Built { component, bytes, toolchain: toolchain.words() })
}

/// The name of the package in `dir`.
fn package(dir: &Path) -> Result<String, CliError> {
    let file = dir.join("Cargo.toml");
    let no_plugin = |said: String| CliError::Usage(format!("{} is no plugin's folder: {said}", dir.display()));
    let text = std::fs::read_to_string(&file).map_err(|error| no_plugin(format!("{}: {error}", file.display())))?;
    let table: toml::Table = text.parse().map_err(|error| no_plugin(format!("Cargo.toml: {error}")))?;
    let name = table.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    name.map(str::to_owned).ok_or_else(|| no_plugin("its Cargo.toml names no package".to_owned()))
}
