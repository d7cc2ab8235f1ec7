//! `isthmus platform ca …`: the certificate authority's files, while the platform runs or not. A running platform looks at them
//! every few seconds. Each act that changes or copies something stands in the platform's audit log (`platform::acts`).

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, Subcommand};
use isthmus_net::Ca;
use isthmus_net::ca::{AuthorityFacts, CaError};
use serde_json::{Value, json};

use super::error::CliError;
use super::out::{Out, outline};
use crate::config::{PlatformConfig, Sources};
use crate::file::{PRIVATE, write_whole};
use crate::platform::acts::{self, Acts};
use crate::platform::permitted;

#[derive(Debug, Subcommand)]
pub(super) enum PlatformCommand {
    /// The certificate authority: root, issuer, roll-over.
    #[command(subcommand)]
    Ca(CaCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum CaCommand {
    /// Makes root and issuer, if they are not there yet. The platform's first start does the same.
    #[command(after_help = "Example: isthmus platform ca init --config platform.toml")]
    Init(CaTarget),
    /// Shows roots and issuers: which signs, until when, and whether the root's key is on this machine.
    #[command(after_help = "Example: isthmus platform ca show --config platform.toml")]
    Show(CaTarget),
    /// Writes the root, key and certificate, into a file; with --remove it goes offline.
    #[command(
        after_help = "Example: isthmus platform ca export --out /media/safe/root.pem --remove --config platform.toml"
    )]
    Export {
        /// Where to (mode 0600). Whoever reads it can be any server.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Takes the key from this machine once it is written.
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        target: CaTarget,
    },
    /// Brings a root's key back, or a root to a machine that has none.
    #[command(after_help = "Example: isthmus platform ca import /media/safe/root.pem --config platform.toml")]
    Import {
        /// What `export` wrote; `-` for standard input.
        file: PathBuf,
        #[command(flatten)]
        target: CaTarget,
    },
    /// Roll-over, first step: a new root, which servers learn to trust beside the present one.
    #[command(after_help = "Example: isthmus platform ca rollover --config platform.toml")]
    Rollover(CaTarget),
    /// Roll-over, second step, when all servers have learnt the new root: it signs from now on.
    #[command(after_help = "Example: isthmus platform ca activate --config platform.toml")]
    Activate(CaTarget),
    /// Roll-over, last step, when all servers have renewed: the old root is trusted no more.
    #[command(after_help = "Example: isthmus platform ca retire --config platform.toml")]
    Retire(CaTarget),
}

#[derive(Debug, Args)]
pub(super) struct CaTarget {
    /// The platform's configuration file.
    #[arg(long, env = "ISTHMUS_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(command: PlatformCommand, out: &Out) -> Result<(), CliError> {
    let PlatformCommand::Ca(command) = command;
    let now = SystemTime::now();
    match command {
        CaCommand::Init(target) => {
            let config = target.load()?;
            recorded(&config, Begun::of("platform.ca.init"), || {
                Ca::open_platform(&config.ca.dir, &config.domain, permitted(&config).as_ref(), now).map(drop)
            })?;
            show(&config, out)
        }
        CaCommand::Show(target) => show(&target.load()?, out),
        CaCommand::Export { out: file, remove, target } => export(&target.load()?, &file, remove, out),
        CaCommand::Import { file, target } => {
            let config = target.load()?;
            let pem = text(&file)?;
            let begun = Begun::of("platform.ca.import").with("file", file.display());
            recorded(&config, begun, || Ca::import_root(&config.ca.dir, &config.domain, &pem).map(drop))?;
            show(&config, out)
        }
        CaCommand::Rollover(target) => {
            let config = target.load()?;
            recorded(&config, Begun::of("platform.ca.rollover"), || {
                Ca::roll_over(&config.ca.dir, &config.domain, permitted(&config).as_ref(), now).map(drop)
            })?;
            show(&config, out)
        }
        CaCommand::Activate(target) => {
            let config = target.load()?;
            recorded(&config, Begun::of("platform.ca.activate"), || Ca::activate(&config.ca.dir).map(drop))?;
            show(&config, out)
        }
        CaCommand::Retire(target) => {
            let config = target.load()?;
            recorded(&config, Begun::of("platform.ca.retire"), || Ca::retire(&config.ca.dir).map(drop))?;
            show(&config, out)
        }
    }
}

/// An act that is to be recorded, with its facts.
pub(super) struct Begun {
    operation: &'static str,
    facts: Vec<(&'static str, String)>,
}

impl Begun {
    pub(super) fn of(operation: &'static str) -> Begun {
        Begun { operation, facts: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl std::fmt::Display) -> Begun {
        self.facts.push((name, value.to_string()));
        self
    }
}

/// Carries an act out, and records how it ended; one that could not be recorded is not begun.
pub(super) fn recorded<E: std::error::Error + 'static>(
    config: &PlatformConfig,
    begun: Begun,
    work: impl FnOnce() -> Result<(), E>,
) -> Result<(), CliError> {
    let acts = Acts::open(config).map_err(|error| CliError::chain(&error))?;
    let done = work().map_err(|error| CliError::chain(&error));
    let mut record = acts::record(begun.operation, config);
    for (name, value) in begun.facts {
        record = record.field(name, value);
    }
    if begun.operation.starts_with("platform.ca.")
        && let Ok(found) = Ca::inspect(&config.ca.dir, &config.domain, SystemTime::now())
        && let Some(signing) = found.first()
    {
        record = record.field("fingerprint", signing.fingerprint.clone());
    }
    if let Err(error) = &done {
        record = record.outcome("failed", 1).severity("warning").field("reason", error.to_string());
    }
    let noted = acts.note(&record);
    acts.close();
    noted.map_err(|error| CliError::chain(&error))?;
    done
}

fn failed(error: &CaError) -> CliError {
    CliError::chain(error)
}

impl CaTarget {
    fn load(&self) -> Result<PlatformConfig, CliError> {
        Ok(PlatformConfig::load(&Sources { file: Some(self.config.clone()), ..Sources::default() })?)
    }
}

/// Why a root was not exported.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error("the root could not be written")]
    File(#[from] std::io::Error),
}

fn export(config: &PlatformConfig, file: &Path, remove: bool, out: &Out) -> Result<(), CliError> {
    let dir = &config.ca.dir;
    if file.exists() {
        return Err(CliError::Usage(format!("{} is there already; name a new file", file.display())));
    }
    let begun = Begun::of("platform.ca.export").with("file", file.display()).with("removed", remove);
    recorded(config, begun, || {
        let pem = Ca::export_root(dir)?;
        write_whole(file, &pem, PRIVATE)?;
        if remove {
            Ca::remove_root_key(dir)?;
        }
        Ok::<_, ExportError>(())
    })?;
    show(config, out)
}

fn text(file: &Path) -> Result<String, CliError> {
    if file != Path::new("-") {
        return std::fs::read_to_string(file).map_err(|error| CliError::Usage(format!("{}: {error}", file.display())));
    }
    let mut text = String::new();
    std::io::stdin().take(64 * 1024).read_to_string(&mut text).map_err(|error| CliError::chain(&error))?;
    Ok(text)
}

fn show(config: &PlatformConfig, out: &Out) -> Result<(), CliError> {
    let found = Ca::inspect(&config.ca.dir, &config.domain, SystemTime::now()).map_err(|error| failed(&error))?;
    let authorities: Vec<Value> = found.iter().map(shown).collect();
    out.answer(&json!({"domain": config.domain, "authorities": authorities}), outline);
    Ok(())
}

fn shown(facts: &AuthorityFacts) -> Value {
    let ms = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    };
    json!({"folder": facts.folder.display().to_string(), "signs": facts.active, "rootKeyHere": facts.root_online,
        "rootNotAfterMs": ms(facts.root_end), "issuerNotAfterMs": ms(facts.issuer_end), "fingerprint": facts.fingerprint})
}
