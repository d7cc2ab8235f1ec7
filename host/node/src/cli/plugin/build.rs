//! `isthmus plugin build`: sources to component, by the toolchain that there is.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use isthmus_toolchain::{Sources, ToolchainError, Tools};
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
    let mut say = |said: &str| {
        let _ = writeln!(std::io::stderr(), "{said}");
    };
    let sources = Sources::of(dir).map_err(told)?;
    let bundle = dir.join("bundle");
    let folder = if bundle.is_dir() { bundle } else { dir.to_owned() };
    let component = out.map_or_else(|| folder.join(format!("{}.wasm", sources.name())), Path::to_owned);
    let tools = Tools::usual().map_err(told)?;
    let built = sources.build(&component, &tools, &mut say).map_err(told)?;
    Ok(Built { component, bytes: built.bytes, toolchain: built.toolchain })
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn told(error: ToolchainError) -> CliError {
    let chain = CliError::chain(&error);
    if matches!(error, ToolchainError::NoPlugin { .. }) { CliError::Usage(error.to_string()) } else { chain }
}
