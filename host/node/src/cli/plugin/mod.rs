//! `isthmus plugin …`: from nothing to a signed plugin, without a server.

mod build;
mod key;
mod new;
mod sign;
mod trial;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use isthmus_policy::Inspection;
use serde_json::{Value, json};

use super::error::CliError;
use super::out::{Out, plain};

#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Makes a folder with a new plugin in it, which builds and passes its tests at once.
    #[command(after_help = "Example: isthmus plugin new no-links --kind content")]
    New(new::NewArgs),
    /// Builds a plugin's component from its sources, and says with which toolchain.
    #[command(after_help = "Example: isthmus plugin build ./no-links")]
    Build(build::BuildArgs),
    /// Tells what a component is: what it can be asked, imports, needs and takes as settings, and who signed it.
    #[command(after_help = "Example: isthmus plugin inspect no-links/bundle/no-links.wasm")]
    Inspect {
        /// The component.
        file: PathBuf,
    },
    /// Runs a plugin's table tests (tests/*.toml), without a server.
    #[command(
        after_help = "Example: isthmus plugin test ./no-links\n         isthmus plugin test plugins/access-list --component access-list.wasm"
    )]
    Test(trial::TestArgs),
    /// Measures time and memory a call with the requests of the table tests; fails if the plugin exceeds its limits.
    #[command(after_help = "Example: isthmus plugin bench ./no-links --max-p99-us 100")]
    Bench(trial::BenchArgs),
    /// Makes a key for signing, and prints its public half for `policy.trusted_keys`.
    #[command(after_help = "Example: isthmus plugin keygen ops.key")]
    Keygen {
        /// The private key's file (PKCS#8); must not exist.
        file: PathBuf,
    },
    /// Signs a bundle (its policy.sig) or one component (FILE.sig), beside those who have signed it already.
    #[command(after_help = "Example: isthmus plugin sign ./no-links/bundle --key ops.key")]
    Sign(sign::SignArgs),
    /// Verifies who signed a bundle or component, as a server would.
    #[command(
        after_help = "Example: isthmus plugin verify ./no-links/bundle --config server.toml\n         isthmus plugin verify ./no-links/bundle --trust 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"
    )]
    Verify(sign::VerifyArgs),
}

pub(super) fn run(command: PluginCommand, out: &Out) -> Result<(), CliError> {
    match command {
        PluginCommand::New(args) => new::run(&args, out),
        PluginCommand::Build(args) => build::run(&args, out),
        PluginCommand::Inspect { file } => inspect(&file, out),
        PluginCommand::Test(args) => trial::test(&args, out),
        PluginCommand::Bench(args) => trial::bench(&args, out),
        PluginCommand::Keygen { file } => key::generate(&file, out),
        PluginCommand::Sign(args) => sign::sign(&args, out),
        PluginCommand::Verify(args) => sign::verify(&args, out),
    }
}

fn inspect(file: &Path, out: &Out) -> Result<(), CliError> {
    if file.is_dir() {
        let words = "is a folder: name its component, as bundle/NAME.wasm once it is built";
        return Err(CliError::Usage(format!("{} {words}", file.display())));
    }
    let wasm = read(file)?;
    let inspection = Inspection::of(&wasm).map_err(|error| CliError::chain(&error))?;
    let signers = sign::signers_of(file)?;
    let mut answer = serde_json::to_value(&inspection).map_err(|error| CliError::chain(&error))?;
    answer["file"] = json!(file);
    answer["signers"] = json!(signers);
    out.answer(&answer, in_words);
    if inspection.objections.is_empty() {
        return Ok(());
    }
    Err(CliError::Plugin(format!("{} would not run here: {}", file.display(), inspection.objections.join("; "))))
}

fn in_words(inspection: &Value) -> String {
    const ROWS: [(&str, &str); 8] = [
        ("can be asked", "kinds"),
        ("built against", "wit_version"),
        ("needs the grants", "grants"),
        ("imports", "imports"),
        ("bytes", "size"),
        ("blake3", "digest"),
        ("signed by", "signers"),
        ("objections", "objections"),
    ];
    let mut text: String =
        ROWS.iter().map(|(title, key)| format!("{title:18}{}\n", plain(&inspection[*key]))).collect();
    let schema = &inspection["settings_schema"];
    let settings = if schema.is_null() { "takes none, or describes none".to_owned() } else { format!("\n{schema:#}") };
    text.push_str(&format!("{:18}{settings}\n", "settings"));
    text
}

/// The whole of a file.
fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    if file.is_dir() {
        return Err(CliError::Usage(format!("{} is a folder: name a file in it", file.display())));
    }
    std::fs::read(file).map_err(|error| CliError::Usage(format!("{} cannot be read: {error}", file.display())))
}

/// A failed access to a file of the person's own.
fn at(path: &Path) -> impl FnOnce(std::io::Error) -> CliError {
    let path = path.display().to_string();
    move |error| CliError::Failed(format!("{path}: {error}"))
}
