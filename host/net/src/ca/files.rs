//! An authority on disk: private keys that nobody else reads, and their certificates.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rcgen::KeyPair;

use super::CaError;

/// A key and its certificate.
pub(super) struct Pair {
    pub(super) key: PathBuf,
    pub(super) cert: PathBuf,
}

impl Pair {
    pub(super) fn root(dir: &Path) -> Self {
        Self { key: dir.join("ca.key"), cert: dir.join("ca.pem") }
    }

    pub(super) fn issuer(dir: &Path) -> Self {
        Self { key: dir.join("issuer.key"), cert: dir.join("issuer.pem") }
    }

    /// The key, if it is here.
    pub(super) fn key(&self) -> Result<Option<KeyPair>, CaError> {
        read(&self.key)?.map(|pem| self.checked_key(&pem)).transpose()
    }

    /// The certificate, if it is here.
    pub(super) fn certificate(&self) -> Result<Option<String>, CaError> {
        read(&self.cert)
    }

    /// Puts a certificate in the place of one that it follows, or of none.
    pub(super) fn put_certificate(&self, pem: &str) -> Result<(), CaError> {
        write_new(&self.cert, pem, 0o644)
    }

    /// Puts a key where none is.
    pub(super) fn put_key(&self, pem: &str) -> Result<(), CaError> {
        write_new(&self.key, pem, 0o600)
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

pub(super) fn fail(what: &'static str, path: &Path, source: io::Error) -> CaError {
    CaError::File { what, path: path.to_owned(), source }
}

pub(super) fn read(path: &Path) -> Result<Option<String>, CaError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fail("read", path, error)),
    }
}

/// Whole or not at all, and on the disk before it is used.
pub(super) fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), CaError> {
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
