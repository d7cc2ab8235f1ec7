//! The root on disk: a private key that nobody else reads, and a certificate that never changes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rcgen::KeyPair;

use super::CaError;

pub(super) struct RootFiles {
    pub(super) key: PathBuf,
    pub(super) cert: PathBuf,
}

impl RootFiles {
    pub(super) fn of(dir: &Path) -> Self {
        Self { key: dir.join("ca.key"), cert: dir.join("ca.pem") }
    }

    /// The key on disk; or a new one, but never beside a certificate that it does not fit.
    pub(super) fn key_or_new(&self) -> Result<KeyPair, CaError> {
        match read(&self.key)? {
            Some(pem) => self.checked_key(&pem),
            None if self.cert.exists() => Err(CaError::KeyMissing { cert: self.cert.clone(), key: self.key.clone() }),
            None => {
                let key = KeyPair::generate().map_err(CaError::Make)?;
                write_new(&self.key, &key.serialize_pem(), 0o600)?;
                Ok(key)
            }
        }
    }

    /// The certificate on disk; or a new one for the key: the process may have ended between the two files.
    pub(super) fn certificate_or(&self, make: impl FnOnce() -> Result<String, CaError>) -> Result<String, CaError> {
        if let Some(pem) = read(&self.cert)? {
            return Ok(pem);
        }
        let pem = make()?;
        write_new(&self.cert, &pem, 0o644)?;
        Ok(pem)
    }

    fn checked_key(&self, pem: &str) -> Result<KeyPair, CaError> {
        let metadata = fs::metadata(&self.key).map_err(|source| fail("read", &self.key, source))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(CaError::KeyExposed { path: self.key.clone(), mode });
        }
        KeyPair::from_pem(pem).map_err(|error| CaError::Broken { path: self.key.clone(), reason: error.to_string() })
    }
}

fn fail(what: &'static str, path: &Path, source: io::Error) -> CaError {
    CaError::File { what, path: path.to_owned(), source }
}

fn read(path: &Path) -> Result<Option<String>, CaError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fail("read", path, error)),
    }
}

/// Whole or not at all, and on the disk before it is used.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), CaError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        fs::create_dir_all(dir)?;
        let draft = path.with_extension("new");
        let _ = fs::remove_file(&draft);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|source| fail("write", path, source))
}
