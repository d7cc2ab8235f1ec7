//! Keys that sign: Ed25519, PKCS#8 in PEM, readable by their owner alone.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{at, read};
use crate::cli::error::CliError;
use crate::cli::out::Out;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// A key pair with its names.
pub(super) struct SigningKey(Ed25519KeyPair);

/// How `policy.sig` names a key: the first 16 hex digits of its public half.
pub(super) fn id(public: &[u8]) -> String {
    hex::encode(&public[..public.len().min(8)])
}

impl SigningKey {
    /// Reads a private key as `keygen` (or `openssl genpkey -algorithm ed25519`) writes it.
    pub(super) fn load(file: &Path) -> Result<Self, CliError> {
        let wrong =
            || CliError::Usage(format!("{} is no Ed25519 key: make one with `isthmus plugin keygen`", file.display()));
        let text = String::from_utf8(read(file)?).map_err(|_| wrong())?;
        let base64: String = text.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        let pkcs8 = STANDARD.decode(base64).map_err(|_| wrong())?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8).map(Self).map_err(|_| wrong())
    }

    pub(super) fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    pub(super) fn id(&self) -> String {
        id(self.public())
    }

    /// A line of a signature file.
    pub(super) fn line(&self, text: &str) -> String {
        format!("ed25519 {} {}", self.id(), STANDARD.encode(self.0.sign(text.as_bytes()).as_ref()))
    }
}

pub(super) fn generate(file: &Path, out: &Out) -> Result<(), CliError> {
    if file.exists() {
        let words = "is there already, and what it signed would be worth nothing without it: name a new file";
        return Err(CliError::Usage(format!("{} {words}", file.display())));
    }
    let random = aws_lc_rs::rand::SystemRandom::new();
    let failed = |_| CliError::Failed("the system gave no randomness for a key".to_owned());
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?;
    let pem = format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(pkcs8.as_ref()));
    let mut created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(at(file))?;
    created.write_all(pem.as_bytes()).and_then(|()| created.sync_all()).map_err(at(file))?;
    let key = SigningKey::load(file)?;
    let public = hex::encode(key.public());
    out.answer(&json!({"file": file, "id": key.id(), "public_key": public}), |_| {
        format!(
            "{} holds the private key: keep it where the server is not\npublic key {public}\n\n\
             In server.toml:\n  [policy]\n  trusted_keys = [\"{public}\"]",
            file.display()
        )
    });
    Ok(())
}
