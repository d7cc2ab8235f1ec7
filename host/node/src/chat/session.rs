//! What the terminal client keeps on this machine: one sealed file a log-in, for its owner alone (0600).
//!
//! In the clear are the server's address, the user and how the key is derived; everything else (tokens, what was read, what is
//! not sent yet) is under AES-256-GCM, with the clear part as associated data. The key comes by argon2id (64 MiB, three passes, as
//! for administrators' passwords) from the account's password, so that one secret is enough, or with `--passphrase` from one of
//! its own: then a stolen file is no touchstone for guesses at the password. No message is kept: the server's inbox has them.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::random_bytes;
use crate::file::{PRIVATE, write_whole};

/// What a file may ask for at most: somebody else may have written it.
const MOST_KIB: u32 = 1024 * 1024;
const MOST_PASSES: u32 = 16;

/// Why a session cannot be kept or opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// The secret is another one, or the file was changed.
    #[error("{0}: this secret does not open it")]
    Secret(String),
    /// Not what we write.
    #[error("{0}: not a session of `isthmus chat` ({1}); move it away to log in anew")]
    Form(String, String),
    /// Two clients with one log-in would take each other's tokens.
    #[error("{0}: another `isthmus chat` has this session open; --session FILE begins one beside it")]
    Busy(String),
    /// The system's word.
    #[error("{0}: {1}")]
    File(String, io::Error),
    /// The library refuses.
    #[error("sealing the session: {0}")]
    Seal(&'static str),
}

/// What the secret of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Secret {
    /// The account's password.
    Password,
    /// One of its own.
    Passphrase,
}

/// The part in the clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) version: u32,
    /// `https://host:port`.
    pub(crate) server: String,
    pub(crate) user: String,
    /// The bundle that verifies the server.
    pub(crate) ca: PathBuf,
    pub(crate) secret: Secret,
    memory_kib: u32,
    passes: u32,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    head: Head,
    nonce: String,
    sealed: String,
}

/// The sealed part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) access: String,
    pub(crate) refresh: String,
    /// Cursors up to which chats were read.
    #[serde(default)]
    pub(crate) read: BTreeMap<String, u64>,
    /// Messages without an answer: clientID and body.
    #[serde(default)]
    pub(crate) unsent: Vec<(String, Value)>,
    /// What was being written, by chat.
    #[serde(default)]
    pub(crate) drafts: BTreeMap<String, String>,
}

/// An open session; the file is locked as long as it lives.
pub(crate) struct Keeper {
    path: PathBuf,
    head: Head,
    key: LessSafeKey,
    kept: Mutex<Kept>,
    _lock: File,
}

impl Head {
    /// For a new file.
    pub(crate) fn new(server: &str, user: &str, ca: &Path, secret: Secret) -> Head {
        Head {
            version: 1,
            server: server.to_owned(),
            user: user.to_owned(),
            ca: ca.to_owned(),
            secret,
            memory_kib: 64 * 1024,
            passes: 3,
            salt: BASE64.encode(random_bytes::<16>()),
        }
    }

    /// The clear part of a file.
    ///
    /// # Errors
    /// [`SessionError::File`], [`SessionError::Form`].
    pub(crate) fn read(path: &Path) -> Result<Head, SessionError> {
        Ok(read(path)?.head)
    }

    fn key(&self, path: &Path, secret: &str) -> Result<LessSafeKey, SessionError> {
        let form = |what: &str| SessionError::Form(named(path), what.to_owned());
        if self.version != 1 || self.memory_kib > MOST_KIB || self.passes > MOST_PASSES {
            return Err(form("another version, or a key that costs too much"));
        }
        let salt = BASE64.decode(&self.salt).map_err(|_| form("salt"))?;
        let params = Params::new(self.memory_kib, self.passes, 1, Some(32)).map_err(|_| form("key derivation"))?;
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(secret.as_bytes(), &salt, &mut key)
            .map_err(|_| form("salt"))?;
        let unbound = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| SessionError::Seal("no key"))?;
        key.fill(0);
        Ok(LessSafeKey::new(unbound))
    }

    fn bytes(&self) -> Result<Vec<u8>, SessionError> {
        serde_json::to_vec(self).map_err(|_| SessionError::Seal("the clear part cannot be written"))
    }
}

fn named(path: &Path) -> String {
    path.display().to_string()
}

fn read(path: &Path) -> Result<Sealed, SessionError> {
    let text = std::fs::read_to_string(path).map_err(|error| SessionError::File(named(path), error))?;
    serde_json::from_str(&text).map_err(|error| SessionError::Form(named(path), error.to_string()))
}

/// Takes the lock beside a session's file.
fn lock(path: &Path) -> Result<File, SessionError> {
    let fail = |error| SessionError::File(named(path), error);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fail)?;
    }
    let file = File::create(path.with_extension("lock")).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SessionError::Busy(named(path))),
        Err(TryLockError::Error(error)) => Err(fail(error)),
    }
}

impl Keeper {
    /// A new session in place of whatever is there.
    ///
    /// # Errors
    /// [`SessionError`].
    pub(crate) fn create(path: &Path, head: Head, secret: &str, kept: Kept) -> Result<Keeper, SessionError> {
        let lock = lock(path)?;
        let key = head.key(path, secret)?;
        let keeper = Keeper { path: path.to_owned(), head, key, kept: Mutex::new(kept), _lock: lock };
        keeper.change(|_| {})?;
        Ok(keeper)
    }

    /// The session that is there.
    ///
    /// # Errors
    /// [`SessionError`].
    pub(crate) fn open(path: &Path, secret: &str) -> Result<Keeper, SessionError> {
        let lock = lock(path)?;
        let Sealed { head, nonce, sealed } = read(path)?;
        let form = |what: &str| SessionError::Form(named(path), what.to_owned());
        let key = head.key(path, secret)?;
        let nonce = BASE64.decode(nonce).ok().and_then(|bytes| <[u8; 12]>::try_from(bytes).ok());
        let nonce = Nonce::assume_unique_for_key(nonce.ok_or_else(|| form("nonce"))?);
        let mut bytes = BASE64.decode(sealed).map_err(|_| form("sealed part"))?;
        let plain = key.open_in_place(nonce, Aad::from(head.bytes()?), &mut bytes);
        let plain = plain.map_err(|_| SessionError::Secret(named(path)))?;
        let kept = serde_json::from_slice(plain).map_err(|error| form(&error.to_string()))?;
        Ok(Keeper { path: path.to_owned(), head, key, kept: Mutex::new(kept), _lock: lock })
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    pub(crate) fn kept(&self) -> Kept {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what is kept, on the disk too.
    ///
    /// # Errors
    /// [`SessionError`]; the change stands in memory then.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Kept)) -> Result<(), SessionError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut kept);
        let mut bytes = serde_json::to_vec(&*kept).map_err(|_| SessionError::Seal("what is kept cannot be written"))?;
        let nonce: [u8; 12] = random_bytes();
        let aad = Aad::from(self.head.bytes()?);
        let sealing = self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes);
        sealing.map_err(|_| SessionError::Seal("no seal"))?;
        let file = Sealed { head: self.head.clone(), nonce: BASE64.encode(nonce), sealed: BASE64.encode(bytes) };
        let text = serde_json::to_string_pretty(&file).map_err(|_| SessionError::Seal("the file cannot be written"))?;
        write_whole(&self.path, &text, PRIVATE).map_err(|error| SessionError::File(named(&self.path), error))
    }

    /// The log-in is no more: neither is its file.
    pub(crate) fn forget(&self) {
        // What is left would open nothing.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The folder of all sessions: `$XDG_STATE_HOME/isthmus/chat`, by default below `~/.local/state`.
pub(crate) fn folder(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("isthmus/chat"))
}

/// The name of the file for a user at a server.
pub(crate) fn file_name(server: &str, user: &str) -> String {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@') { c } else { '_' }).collect()
    };
    let host = server.strip_prefix("https://").unwrap_or(server).trim_end_matches('/');
    format!("{}-at-{}.session", plain(user), plain(host))
}

/// The session that was used last.
pub(crate) fn latest(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let sessions = files.filter(|path| path.extension().is_some_and(|end| end == "session"));
    sessions.max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn head(secret: Secret) -> Head {
        // As cheap as argon2 allows: what it costs is not what is tested.
        Head {
            memory_kib: 8,
            passes: 1,
            ..Head::new("https://north:7444", "alice@north", Path::new("/ca.pem"), secret)
        }
    }

    fn kept() -> Kept {
        let unsent = vec![("t-1".to_owned(), serde_json::json!({"text": "not yet said"}))];
        Kept { access: "isa_access".into(), refresh: "isr_refresh".into(), unsent, ..Kept::default() }
    }

    #[test]
    fn a_session_opens_with_its_secret_alone_and_its_file_tells_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/alice.session");
        let keeper = Keeper::create(&path, head(Secret::Password), "right", kept()).unwrap();
        keeper.change(|kept| kept.read.extend([("user bob@north".to_owned(), 7)])).unwrap();
        let busy = Keeper::open(&path, "right").err().unwrap();
        assert!(matches!(busy, SessionError::Busy(_)), "{busy}");
        drop(keeper);
        let text = std::fs::read_to_string(&path).unwrap();
        for hidden in ["isa_access", "isr_refresh", "not yet said", "bob@north"] {
            assert!(!text.contains(hidden), "{hidden} in {text}");
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let wrong = Keeper::open(&path, "wrong").err().unwrap();
        assert!(matches!(wrong, SessionError::Secret(_)), "{wrong}");
        let again = Keeper::open(&path, "right").unwrap();
        assert_eq!(again.kept().read.get("user bob@north"), Some(&7));
        assert_eq!(again.kept().unsent, kept().unsent);
    }

    #[test]
    fn a_file_that_was_changed_does_not_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alice.session");
        drop(Keeper::create(&path, head(Secret::Passphrase), "right", kept()).unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        // Another server would be told the tokens.
        std::fs::write(&path, text.replace("https://north:7444", "https://evil:7444")).unwrap();
        let changed = Keeper::open(&path, "right").err().unwrap();
        assert!(matches!(changed, SessionError::Secret(_)), "{changed}");
        std::fs::write(&path, text.replace("\"memory_kib\": 8", "\"memory_kib\": 4000000000")).unwrap();
        let costly = Keeper::open(&path, "right").err().unwrap();
        assert!(matches!(costly, SessionError::Form(..)), "{costly}");
        std::fs::write(&path, "{}").unwrap();
        assert!(matches!(Head::read(&path), Err(SessionError::Form(..))));
    }

    #[test]
    fn every_log_in_has_a_file_of_its_own_and_the_last_one_used_is_found() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(latest(dir.path()), None);
        let name = file_name("https://im.example:7444/", "a/../b@north");
        assert_eq!(name, "a_.._b@north-at-im.example_7444.session");
        let path = dir.path().join(&name);
        drop(Keeper::create(&path, head(Secret::Password), "right", kept()).unwrap());
        assert_eq!(latest(dir.path()), Some(path));
        let home = |name: &str| (name == "HOME").then(|| "/home/a".to_owned());
        assert_eq!(folder(home), Some("/home/a/.local/state/isthmus/chat".into()));
    }
}
