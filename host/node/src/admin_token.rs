//! Administrators and their bearer tokens: three roles, kept apart (三员分立, §5.2).
//!
//! The data folder holds hashes only. The tokens themselves are written once, for the owner of the process, who hands them out
//! and may delete the file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::constant_time::verify_slices_are_equal;
pub use isthmus_domain::administrator::Role;
use serde::{Deserialize, Serialize};

use crate::file::{PRIVATE, write_whole};
use crate::token::{self, Kind, TokenHash};

/// One value for each role, as in both files.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PerRole {
    system: String,
    security: String,
    audit: String,
}

impl PerRole {
    fn each(mut value: impl FnMut(Role) -> String) -> PerRole {
        PerRole { system: value(Role::System), security: value(Role::Security), audit: value(Role::Audit) }
    }

    fn of(&self, role: Role) -> &str {
        match role {
            Role::System => &self.system,
            Role::Security => &self.security,
            Role::Audit => &self.audit,
        }
    }
}

/// Why tokens cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum AdminTokenError {
    /// The system's word on a file.
    #[error("administrators' tokens: {path} cannot be {doing}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// "read" or "written".
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "administrators' tokens: {path} is damaged; restore it, or delete it to have new tokens made at the next start"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> AdminTokenError {
    let path = path.to_owned();
    move |source| AdminTokenError::File { path, doing, source }
}

/// What is known of the tokens: their hashes.
#[derive(Debug)]
pub struct AdminTokens {
    hashes: Vec<(Role, TokenHash)>,
}

impl AdminTokens {
    /// Reads the hashes from `data_dir`; at the first start makes the tokens and writes them to `plain` (mode 0600).
    ///
    /// # Errors
    /// [`AdminTokenError`].
    pub fn open(data_dir: &Path, plain: &Path) -> Result<AdminTokens, AdminTokenError> {
        let path = data_dir.join("admin-tokens.sha256");
        match fs::read(&path) {
            Ok(bytes) => AdminTokens::parse(&bytes).ok_or(AdminTokenError::Damaged { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => AdminTokens::make(&path, plain),
            Err(error) => Err(failed(&path, "read")(error)),
        }
    }

    /// Makes new tokens in place of the old, which count until the process starts anew.
    ///
    /// # Errors
    /// [`AdminTokenError`].
    pub fn renew(data_dir: &Path, plain: &Path) -> Result<AdminTokens, AdminTokenError> {
        AdminTokens::make(&data_dir.join("admin-tokens.sha256"), plain)
    }

    /// The role of a bearer token, or `None`. Takes the same time for every well-formed token.
    #[must_use]
    pub fn verify(&self, bearer: &str) -> Option<Role> {
        let hash = token::recognise(Kind::Admin, bearer)?;
        let mut found = None;
        for (role, known) in &self.hashes {
            if verify_slices_are_equal(known, &hash).is_ok() {
                found = Some(*role);
            }
        }
        found
    }

    /// The role of an `Authorization: Bearer …` header.
    #[must_use]
    pub fn authorise(&self, headers: &http::HeaderMap) -> Option<Role> {
        let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, bearer) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| self.verify(bearer.trim()))?
    }

    fn parse(bytes: &[u8]) -> Option<AdminTokens> {
        let stored: PerRole = serde_json::from_slice(bytes).ok()?;
        let hash = |role: Role| {
            let mut hash = TokenHash::default();
            hex::decode_to_slice(stored.of(role), &mut hash).ok().map(|()| (role, hash))
        };
        Some(AdminTokens { hashes: Role::ALL.into_iter().map(hash).collect::<Option<_>>()? })
    }

    // The tokens are on the disk before their hashes: a stop in between makes new ones, never hashes that nobody has tokens for.
    fn make(path: &Path, plain: &Path) -> Result<AdminTokens, AdminTokenError> {
        let tokens = PerRole::each(|_| token::mint(Kind::Admin));
        write_private(plain, &tokens)?;
        let hashes = Role::ALL.map(|role| (role, token::hash(tokens.of(role)))).to_vec();
        write_private(path, &PerRole::each(|role| hex::encode(token::hash(tokens.of(role)))))?;
        tracing::info!(file = %plain.display(), "administrators' tokens were made; hand them out and delete the file");
        Ok(AdminTokens { hashes })
    }
}

/// The token of a role from the file that [`AdminTokens::open`] wrote.
///
/// # Errors
/// [`AdminTokenError`].
pub fn read_plain(plain: &Path, role: Role) -> Result<String, AdminTokenError> {
    let bytes = fs::read(plain).map_err(failed(plain, "read"))?;
    let tokens: PerRole =
        serde_json::from_slice(&bytes).map_err(|_| AdminTokenError::Damaged { path: plain.to_owned() })?;
    Ok(tokens.of(role).to_owned())
}

/// Writes whole or not at all, for the owner alone.
fn write_private(path: &Path, content: &PerRole) -> Result<(), AdminTokenError> {
    let text = serde_json::to_string_pretty(content).map_err(|e| failed(path, "written")(e.into()))?;
    write_whole(path, &text, PRIVATE).map_err(failed(path, "written"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn tokens_are_made_once_and_their_roles_recognised_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("admin-tokens.json");
        AdminTokens::open(dir.path(), &plain).unwrap();
        let first = read_plain(&plain, Role::Security).unwrap();
        let again = AdminTokens::open(dir.path(), &plain).unwrap();
        for role in Role::ALL {
            assert_eq!(again.verify(&read_plain(&plain, role).unwrap()), Some(role));
        }
        assert_eq!(again.verify(&token::mint(Kind::Admin)), None);
        assert_eq!(again.verify("isa_"), None);
        let renewed = AdminTokens::renew(dir.path(), &plain).unwrap();
        assert_eq!(renewed.verify(&first), None);
    }

    #[cfg(unix)]
    #[test]
    fn files_are_for_their_owner_alone_and_only_one_of_them_holds_tokens() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("admin-tokens.json");
        AdminTokens::open(dir.path(), &plain).unwrap();
        let hashes = dir.path().join("admin-tokens.sha256");
        for path in [&plain, &hashes] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(!fs::read_to_string(&hashes).unwrap().contains("isa_"));
        fs::write(&hashes, "{}").unwrap();
        assert!(matches!(AdminTokens::open(dir.path(), &plain), Err(AdminTokenError::Damaged { .. })));
    }

    #[test]
    fn the_bearer_scheme_is_read_without_regard_to_case() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("admin-tokens.json");
        let tokens = AdminTokens::open(dir.path(), &plain).unwrap();
        let secret = read_plain(&plain, Role::Audit).unwrap();
        let mut headers = http::HeaderMap::new();
        assert_eq!(tokens.authorise(&headers), None);
        headers.insert("authorization", format!("bearer {secret}").parse().unwrap());
        assert_eq!(tokens.authorise(&headers), Some(Role::Audit));
        headers.insert("authorization", secret.parse().unwrap());
        assert_eq!(tokens.authorise(&headers), None);
    }
}
