//! `isthmus plugin sign` and `verify`: who vouches for a bundle, or for one component.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use isthmus_policy::{Policy, Signers, TrustedKey, signed_plugin_text, signed_text, signers};
use serde_json::json;

use super::key::{SigningKey, id};
use super::{at, read};
use crate::cli::error::CliError;
use crate::cli::out::Out;
use crate::cli::target::Either;

#[derive(Debug, Args)]
pub(in crate::cli) struct SignArgs {
    /// A bundle's folder, or a component.
    path: PathBuf,
    /// The private key, as `keygen` wrote it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// A bundle's folder, or a component.
    path: PathBuf,
    /// A public key that counts, in hex; may be given several times.
    #[arg(long = "trust", value_name = "KEY")]
    trusted: Vec<String>,
    /// How many of the keys have to have signed.
    #[arg(long, value_name = "NUMBER")]
    needed: Option<usize>,
    /// Takes the keys and their number from this server's configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What is signed, and where its signatures lie.
struct Subject {
    text: String,
    file: PathBuf,
}

impl Subject {
    fn of(path: &Path) -> Result<Self, CliError> {
        if path.is_dir() {
            if !path.join("policy.toml").is_file() {
                let words = "holds no policy.toml: name a bundle's folder, or a component";
                return Err(CliError::Usage(format!("{} {words}", path.display())));
            }
            let digest = Policy::bundle_digest(path).map_err(|said| CliError::Usage(said.to_string()))?;
            return Ok(Self { text: signed_text(&digest), file: path.join("policy.sig") });
        }
        let digest = blake3::hash(&read(path)?).to_hex();
        Ok(Self { text: signed_plugin_text(digest.as_str()), file: signature_file(path) })
    }

    /// The first line: what the signatures below it are over.
    fn head(&self) -> String {
        format!("# {}", self.text)
    }

    fn signatures(&self) -> Result<String, CliError> {
        match fs::read_to_string(&self.file) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(at(&self.file)(error)),
        }
    }
}

fn signature_file(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

/// IDs of the keys that a component's signature file names, whether they are trusted or not.
pub(super) fn signers_of(component: &Path) -> Result<Vec<String>, CliError> {
    let subject = Subject::of(component)?;
    let found = signers(&subject.signatures()?, &subject.text, &[]).map_err(CliError::Plugin)?;
    Ok(found.unknown)
}

pub(super) fn sign(args: &SignArgs, out: &Out) -> Result<(), CliError> {
    let key = SigningKey::load(&args.key)?;
    let subject = Subject::of(&args.path)?;
    let (own, head) = (format!("ed25519 {} ", key.id()), subject.head());
    let before = subject.signatures()?;
    // Signatures over an earlier state would only make the bundle be refused.
    let still_good = before.lines().any(|line| line == head);
    let kept: Vec<&str> =
        before.lines().filter(|line| still_good && line.starts_with("ed25519 ") && !line.starts_with(&own)).collect();
    let line = key.line(&subject.text);
    let lines: Vec<&str> = [head.as_str()].into_iter().chain(kept.iter().copied()).chain([line.as_str()]).collect();
    fs::write(&subject.file, lines.join("\n") + "\n").map_err(at(&subject.file))?;
    let dropped = !still_good && before.lines().any(|line| line.starts_with("ed25519 "));
    out.answer(
        &json!({"file": subject.file, "id": key.id(), "signatures": kept.len() + 1, "dropped": dropped}),
        |_| {
            let words = if dropped { "; older signatures, over another state of the files, were dropped" } else { "" };
            format!("{}: {} signature(s), the newest by {}{words}", subject.file.display(), kept.len() + 1, key.id())
        },
    );
    Ok(())
}

pub(super) fn verify(args: &VerifyArgs, out: &Out) -> Result<(), CliError> {
    if args.trusted.is_empty() && args.config.is_none() {
        let words = "say whose signatures count: --trust KEY, as `keygen` printed it, or --config server.toml";
        return Err(CliError::Usage(words.to_owned()));
    }
    let (keys, configured) = trusted(args)?;
    let needed = args.needed.unwrap_or(configured);
    let subject = Subject::of(&args.path)?;
    let found = signers(&subject.signatures()?, &subject.text, &keys);
    let Signers { trusted, unknown } =
        found.map_err(|said| CliError::Plugin(format!("{}: {said}", subject.file.display())))?;
    let good = trusted.len() >= needed;
    let answer =
        json!({"good": good, "signers": trusted, "unknown": unknown, "needed": needed, "trusted_keys": keys.len()});
    out.answer(&answer, |_| {
        let mut text = match &trusted[..] {
            [] => "signed by no trusted key".to_owned(),
            ids => format!("signed by {}", ids.join(", ")),
        };
        let _ = write!(text, " (needed: {needed}, trusted keys: {})", keys.len());
        if !unknown.is_empty() {
            let _ = write!(text, "; and by keys that are not trusted: {}", unknown.join(", "));
        }
        text
    });
    if good {
        return Ok(());
    }
    let (path, signed) = (args.path.display(), trusted.len());
    Err(CliError::Plugin(if needed > keys.len() {
        format!("{path} can never be signed by enough: {needed} keys are needed, {} are trusted", keys.len())
    } else {
        format!(
            "{path} is signed by {signed} of the {needed} trusted keys that are needed: let an owner of one run `isthmus plugin sign`"
        )
    }))
}

fn trusted(args: &VerifyArgs) -> Result<(Vec<TrustedKey>, usize), CliError> {
    let mut keys = Vec::new();
    for text in &args.trusted {
        let mut key = [0; 32];
        hex::decode_to_slice(text, &mut key)
            .map_err(|_| CliError::Usage(format!("--trust {text}: write the 64 hex digits that `keygen` prints")))?;
        keys.push(TrustedKey { id: id(&key), key });
    }
    let Some(file) = &args.config else { return Ok((keys, 1)) };
    let Either::Server(config) = Either::load(file)? else {
        return Err(CliError::Usage(format!("{} is no server's configuration", file.display())));
    };
    keys.extend(config.policy.trusted_keys.iter().map(|key| TrustedKey { id: id(key), key: *key }));
    Ok((keys, config.policy.signatures_needed))
}
