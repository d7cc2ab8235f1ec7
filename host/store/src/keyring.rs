//! The key ring: the secrets that open everything at rest. It lives outside the data folder, so that a copy of the data
//! alone (a backup, a stolen disk) tells nothing (§6.2 c).
//!
//! Master keys only wrap data keys; the data keys lie wrapped in the database and beside the audit log. A further
//! secret that never changes yields keys for other uses by label ([`KeyRing::derive`]).

use std::{
    fmt, fs, io,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf, rand,
};
use serde::{Deserialize, Serialize};

use crate::engine::DATABASE_FILE;

pub(crate) type Secret = [u8; 32];

const ALGORITHM: &str = "AES-256-GCM";
const HEADER: &str = "\
# Isthmus key ring. Whoever has this file can read the data; without it nobody can.
# Keep a copy apart from the backups of the data. Mode 0600, outside the data folder.
# To change the master key: add a [[master]] with a new id and 64 random hex digits (openssl rand -hex 32), name it in
# `current`, restart. Leave the old ones in place as long as backups from their time are kept.
";

/// Why a key ring cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// The file lies inside the folder whose contents it protects.
    #[error("the key ring {} lies inside the data folder {}: move it elsewhere, and name that place in the configuration", path.display(), data.display())]
    InsideData {
        /// The key ring.
        path: PathBuf,
        /// The data folder.
        data: PathBuf,
    },
    /// Others than the owner may read it.
    #[error("the key ring {} can be read by others (mode {mode:04o}): run `chmod 600 {}`", path.display(), path.display())]
    Exposed {
        /// The key ring.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is data, but no key ring.
    #[error("the key ring {} is missing, and the data in {} cannot be read without it: put it back from its copy", path.display(), data.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// The data folder.
        data: PathBuf,
    },
    /// It is not a key ring.
    #[error("the key ring {} is damaged ({what}): put it back from its copy", path.display())]
    Damaged {
        /// The key ring.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// It could not be read or made.
    #[error("could not {step} the key ring {}", path.display())]
    Io {
        /// What was tried.
        step: &'static str,
        /// The key ring.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The random source or the cipher failed.
    #[error("the cryptographic library failed while {0}")]
    Crypto(&'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingFile {
    version: u32,
    current: String,
    derivation: String,
    master: Vec<MasterFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MasterFile {
    id: String,
    algorithm: String,
    secret: String,
}

/// The opened key ring.
pub struct KeyRing {
    current: String,
    derivation: Secret,
    masters: Vec<(String, LessSafeKey)>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing(current {})", self.current)
    }
}

impl KeyRing {
    /// Opens the key ring at `path`, or makes one there (mode 0600) if neither it nor a database in `data_dir` exists.
    ///
    /// # Errors
    /// If it lies inside `data_dir`, is readable by others, is missing beside existing data, or is damaged.
    pub fn open_or_create(path: &Path, data_dir: &Path) -> Result<KeyRing, KeyRingError> {
        refuse_inside(path, data_dir)?;
        if !path.exists() {
            if data_dir.join(DATABASE_FILE).exists() {
                return Err(KeyRingError::Missing { path: path.into(), data: data_dir.into() });
            }
            create(path)?;
        }
        KeyRing::open(path)
    }

    /// Opens an existing key ring.
    ///
    /// # Errors
    /// If it is missing, readable by others, or damaged.
    pub fn open(path: &Path) -> Result<KeyRing, KeyRingError> {
        let io = |step| move |source| KeyRingError::Io { step, path: path.into(), source };
        let mode = fs::metadata(path).map_err(io("open"))?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyRingError::Exposed { path: path.into(), mode });
        }
        let text = fs::read_to_string(path).map_err(io("read"))?;
        KeyRing::parse(&text).map_err(|what| KeyRingError::Damaged { path: path.into(), what })
    }

    fn parse(text: &str) -> Result<KeyRing, String> {
        let file: RingFile = toml::from_str(text).map_err(|e| e.message().to_owned())?;
        if file.version != 1 {
            return Err(format!("its version is {}, this release reads 1", file.version));
        }
        let mut masters = Vec::with_capacity(file.master.len());
        for master in file.master {
            if master.algorithm != ALGORITHM {
                return Err(format!("master key `{}` is for `{}`, not {ALGORITHM}", master.id, master.algorithm));
            }
            if master.id.is_empty() || master.id.len() > 64 {
                return Err("a master key's id must have 1 to 64 bytes".to_owned());
            }
            let secret =
                secret(&master.secret).ok_or_else(|| format!("master key `{}` is not 64 hex digits", master.id))?;
            masters.push((master.id, cipher(&secret).map_err(|e| e.to_string())?));
        }
        if !masters.iter().any(|(id, _)| *id == file.current) {
            return Err(format!("its current master key `{}` is not in it", file.current));
        }
        let derivation = secret(&file.derivation).ok_or("`derivation` is not 64 hex digits")?;
        Ok(KeyRing { current: file.current, derivation, masters })
    }

    /// A 32-byte key for the use named by `label` (HKDF-SHA-256): the same for ever, and useless for any other label.
    #[must_use]
    pub fn derive(&self, label: &str) -> [u8; 32] {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"isthmus key ring 1").extract(&self.derivation);
        let mut key = [0; 32];
        prk.expand(&[label.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            .expect("32 bytes are within what HKDF-SHA-256 yields");
        key
    }

    /// Wraps `secret` under the current master key: id length, id, nonce, ciphertext and tag. `context` must be given
    /// again to open it.
    pub(crate) fn wrap(&self, secret: &Secret, context: &[u8]) -> Result<Vec<u8>, KeyRingError> {
        let key = self.master(&self.current).ok_or(KeyRingError::Crypto("wrapping a key"))?;
        let mut nonce = [0; 12];
        rand::fill(&mut nonce).map_err(|_| KeyRingError::Crypto("drawing a nonce"))?;
        let mut sealed = secret.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut sealed)
            .map_err(|_| KeyRingError::Crypto("wrapping a key"))?;
        let id = self.current.as_bytes();
        let mut wrapped = Vec::with_capacity(1 + id.len() + nonce.len() + sealed.len());
        wrapped.push(u8::try_from(id.len()).map_err(|_| KeyRingError::Crypto("naming a master key"))?);
        wrapped.extend_from_slice(id);
        wrapped.extend_from_slice(&nonce);
        wrapped.append(&mut sealed);
        Ok(wrapped)
    }

    /// Opens what [`KeyRing::wrap`] made, and says whether the current master key did it; `None` if this ring cannot.
    pub(crate) fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Option<(Secret, bool)> {
        let (length, rest) = wrapped.split_first()?;
        let (id, rest) = rest.split_at_checked(usize::from(*length))?;
        let (nonce, sealed) = rest.split_first_chunk::<12>()?;
        let id = std::str::from_utf8(id).ok()?;
        let mut buffer = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.master(id)?.open_in_place(nonce, Aad::from(context), &mut buffer).ok()?;
        Some((Secret::try_from(&*opened).ok()?, id == self.current))
    }

    fn master(&self, id: &str) -> Option<&LessSafeKey> {
        self.masters.iter().find(|(known, _)| known == id).map(|(_, key)| key)
    }
}

pub(crate) fn cipher(secret: &Secret) -> Result<LessSafeKey, KeyRingError> {
    let key = UnboundKey::new(&AES_256_GCM, secret).map_err(|_| KeyRingError::Crypto("preparing a key"))?;
    Ok(LessSafeKey::new(key))
}

fn secret(text: &str) -> Option<Secret> {
    let mut out = [0; 32];
    hex::decode_to_slice(text, &mut out).ok()?;
    Some(out)
}

/// Both paths are resolved as far as they exist, so that `..` and links do not hide where the file lies.
fn refuse_inside(path: &Path, data_dir: &Path) -> Result<(), KeyRingError> {
    let (ring, data) = (resolve(path), resolve(data_dir));
    if ring.starts_with(&data) {
        return Err(KeyRingError::InsideData { path: path.into(), data: data_dir.into() });
    }
    Ok(())
}

fn resolve(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for ancestor in absolute.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            let rest = absolute.strip_prefix(ancestor).unwrap_or(Path::new(""));
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    absolute
}

/// Written aside and linked into place: a half-written key ring never has the final name, and a second process that
/// starts at the same time does not replace the first one's.
fn create(path: &Path) -> Result<(), KeyRingError> {
    let io = |step| move |source| KeyRingError::Io { step, path: path.into(), source };
    let mut secrets = [[0_u8; 32]; 2];
    let mut tag = [0_u8; 4];
    for part in secrets.iter_mut().map(|s| &mut s[..]).chain([&mut tag[..]]) {
        rand::fill(part).map_err(|_| KeyRingError::Crypto("drawing a key"))?;
    }
    let id = format!("m-{}", hex::encode(tag));
    let file = RingFile {
        version: 1,
        current: id.clone(),
        derivation: hex::encode(secrets[0]),
        master: vec![MasterFile { id, algorithm: ALGORITHM.into(), secret: hex::encode(secrets[1]) }],
    };
    let text = toml::to_string(&file).map_err(|e| KeyRingError::Damaged { path: path.into(), what: e.to_string() })?;
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(io("make the folder of"))?;
    let aside = path.with_extension(format!("new-{}", hex::encode(tag)));
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(io("create"))?;
    let written = out
        .write_all(HEADER.as_bytes())
        .and_then(|()| out.write_all(text.as_bytes()))
        .and_then(|()| out.sync_all())
        .and_then(|()| match fs::hard_link(&aside, path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    let removed = fs::remove_file(&aside);
    written.and(removed).and_then(|()| fs::File::open(parent)?.sync_all()).map_err(io("write"))
}
