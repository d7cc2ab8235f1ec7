//! `data_dir/identity`: key, application, certificate, and what the platform has told of its roots and revocations.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use isthmus_net::Credentials;
use isthmus_wire::ServerId;
use serde::{Deserialize, Serialize};

use super::enroll::EnrollError;
use crate::file::{PRIVATE, write_whole};

/// A key and its certificate on their way to `key.pem` and `certificate.pem`.
const RENEWED: &str = "renewed.pem";
const LISTS: &str = "revocations.json";
const ROOTS: &str = "roots.json";

/// Revocation lists, one of each authority.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists {
    /// Grows from list to list; 0: none yet.
    pub(crate) number: u64,
    /// DER.
    pub(crate) der: Vec<Vec<u8>>,
}

/// As on the disk.
#[derive(Serialize, Deserialize)]
struct KeptLists {
    number: u64,
    lists: Vec<String>,
}

/// Roots that the platform has told, and from which file of the operator's they took their beginning.
#[derive(Serialize, Deserialize)]
struct KeptRoots {
    instead_of: String,
    roots: String,
}

/// The folder.
pub(crate) struct IdentityFolder {
    dir: PathBuf,
}

impl IdentityFolder {
    pub(crate) fn open(data_dir: &Path) -> Result<IdentityFolder, EnrollError> {
        let dir = data_dir.join("identity");
        fs::create_dir_all(&dir).map_err(|source| EnrollError::File { path: dir.clone(), doing: "made", source })?;
        Ok(IdentityFolder { dir })
    }

    /// The folder itself.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, EnrollError> {
        match fs::read_to_string(self.path(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(EnrollError::File { path: self.path(name), doing: "read", source }),
        }
    }

    /// Whole or not at all, for the owner's eyes only.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), EnrollError> {
        let path = self.path(name);
        write_whole(&path, text, PRIVATE).map_err(|source| EnrollError::File { path, doing: "written", source })
    }

    /// A renewed key and its certificate: one file first, since they are of use together only.
    pub(crate) fn put_credentials(&self, key: &str, chain: &str) -> Result<(), EnrollError> {
        self.write(RENEWED, &format!("{key}{chain}"))?;
        self.settle()
    }

    /// Takes a renewal up that was cut short.
    fn settle(&self) -> Result<(), EnrollError> {
        let Some(both) = self.read(RENEWED)? else { return Ok(()) };
        if let Some(at) = both.find("-----BEGIN CERTIFICATE-----") {
            self.write("key.pem", &both[..at])?;
            self.write("certificate.pem", &both[at..])?;
        }
        let path = self.path(RENEWED);
        fs::remove_file(&path).map_err(|source| EnrollError::File { path, doing: "removed", source })
    }

    /// The revocation lists that the platform gave last.
    pub(crate) fn lists(&self) -> Result<Lists, EnrollError> {
        let kept = self.read(LISTS)?.and_then(|text| serde_json::from_str::<KeptLists>(&text).ok());
        let Some(KeptLists { number, lists }) = kept else { return Ok(Lists::default()) };
        let der = lists.iter().filter_map(|list| STANDARD.decode(list).ok()).collect();
        Ok(Lists { number, der })
    }

    pub(crate) fn put_lists(&self, lists: &Lists) -> Result<(), EnrollError> {
        let kept =
            KeptLists { number: lists.number, lists: lists.der.iter().map(|list| STANDARD.encode(list)).collect() };
        self.write(LISTS, &serde_json::to_string(&kept).unwrap_or_default())
    }

    /// What is trusted: the roots that the platform has told, as long as the operator's file is the one they began with.
    pub(crate) fn roots(&self, configured: &str) -> Result<String, EnrollError> {
        let kept = self.read(ROOTS)?.and_then(|text| serde_json::from_str::<KeptRoots>(&text).ok());
        Ok(match kept {
            Some(kept) if kept.instead_of == configured => kept.roots,
            Some(_) | None => configured.to_owned(),
        })
    }

    pub(crate) fn put_roots(&self, configured: &str, roots: &str) -> Result<(), EnrollError> {
        let kept = KeptRoots { instead_of: configured.to_owned(), roots: roots.to_owned() };
        self.write(ROOTS, &serde_json::to_string(&kept).unwrap_or_default())
    }

    /// The credentials, once there is a certificate; checked against the clock and the ID.
    pub(crate) fn credentials(&self, own: &ServerId) -> Result<Option<Credentials>, EnrollError> {
        self.settle()?;
        let (Some(chain), Some(key)) = (self.read("certificate.pem")?, self.read("key.pem")?) else { return Ok(None) };
        let bad = |message: String| EnrollError::Certificate { path: self.dir.clone(), message };
        let credentials = Credentials::from_pem(&chain, &key).map_err(|e| bad(e.to_string()))?;
        let facts = credentials.facts().map_err(|e| bad(e.to_string()))?;
        if facts.identity.server() != Some(own) {
            return Err(bad(format!(
                "it belongs to {}, the configuration says server.id = {own:?}; give each server its own data folder",
                facts.identity
            )));
        }
        let now = SystemTime::now();
        if now < facts.not_before || now > facts.not_after {
            let (from, to, now) = (seconds(facts.not_before), seconds(facts.not_after), seconds(now));
            return Err(EnrollError::Clock { from, to, now });
        }
        Ok(Some(credentials))
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
