//! Administrators' accounts (§5.2): three roles, kept apart (三员分立), and what each of their people proves itself with.

use std::ops::Bound;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::Code;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::row;
use crate::table::ADMINISTRATORS;

const WHAT: &str = "an administrator";

/// What an administrator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Users, servers, configuration.
    System,
    /// Policies, lists, held messages.
    Security,
    /// Reads and verifies the audit log, changes nothing.
    Audit,
}

impl Role {
    /// All three.
    pub const ALL: [Role; 3] = [Role::System, Role::Security, Role::Audit];

    /// `system`, `security`, `audit`: also the actor's name in audit records of whoever holds the role's token.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::Security => "security",
            Role::Audit => "audit",
        }
    }

    /// The name of the account that a new server has for the role. Other than the role's own name, so that audit records tell
    /// the person from the token.
    #[must_use]
    pub fn account(self) -> &'static str {
        match self {
            Role::System => "sysadmin",
            Role::Security => "secadmin",
            Role::Audit => "auditadmin",
        }
    }
}

/// What a log-in is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Secret {
    /// SHA-256 of a random password, hex. It opens nothing but the way to a password of one's own.
    OneTime(String),
    /// A PHC string; hashing is the caller's work.
    Password(String),
}

/// A second factor (RFC 6238: SHA-1, six digits, 30 s).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totp {
    /// What both sides share.
    pub secret: [u8; 20],
    /// The latest step whose code was used: none serves twice.
    pub step: u64,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Administrator {
    /// Names it, in audit records too.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What it proves itself with.
    pub secret: Secret,
    /// Since when, in milliseconds since 1970 UTC.
    pub secret_ms: u64,
    /// The second factor, if it has chosen one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp: Option<Totp>,
}

impl Administrator {
    /// Whether it has to choose a password before it does anything else.
    #[must_use]
    pub fn is_new(&self) -> bool {
        matches!(self.secret, Secret::OneTime(_))
    }
}

fn write(tx: &mut Tx<'_>, administrator: &Administrator) {
    tx.put_owned(ADMINISTRATORS, administrator.name.as_bytes(), row::json(administrator));
}

/// The account of this name.
///
/// # Errors
/// If storage fails.
pub fn find(reader: &(impl Reader + ?Sized), name: &str) -> Result<Option<Administrator>, StoreError> {
    reader.get(ADMINISTRATORS, name.as_bytes())?.map(|value| row::parse(&value, WHAT)).transpose()
}

/// All accounts.
///
/// # Errors
/// If storage fails.
pub fn list(reader: &(impl Reader + ?Sized)) -> Result<Vec<Administrator>, StoreError> {
    let rows = reader.scan(ADMINISTRATORS, Bound::Unbounded, Bound::Unbounded, usize::MAX, false)?;
    rows.iter().map(|(_, value)| row::parse(value, WHAT)).collect()
}

/// Makes an account, or lets somebody in who has lost password or second factor: with a one-time password (SHA-256, hex).
pub fn appoint(tx: &mut Tx<'_>, name: &str, role: Role, one_time: String, now_ms: u64) {
    let secret = Secret::OneTime(one_time);
    write(tx, &Administrator { name: name.to_owned(), role, secret, secret_ms: now_ms, totp: None });
}

fn change(tx: &mut Tx<'_>, name: &str, alter: impl FnOnce(&mut Administrator)) -> Result<(), Error> {
    let nobody = || Error::refused(Code::NotFound, "there is no such administrator");
    let mut administrator = find(tx, name)?.ok_or_else(nobody)?;
    alter(&mut administrator);
    write(tx, &administrator);
    Ok(())
}

/// Sets a password of one's own (a PHC string).
///
/// # Errors
/// 1004 if there is no such account.
pub fn set_password(tx: &mut Tx<'_>, name: &str, phc: String, now_ms: u64) -> Result<(), Error> {
    change(tx, name, |administrator| {
        administrator.secret = Secret::Password(phc);
        administrator.secret_ms = now_ms;
    })
}

/// Sets or removes the second factor.
///
/// # Errors
/// 1004 if there is no such account.
pub fn set_totp(tx: &mut Tx<'_>, name: &str, totp: Option<Totp>) -> Result<(), Error> {
    change(tx, name, |administrator| administrator.totp = totp)
}

/// A log-in proved what `seen` asks for: it counts only if the account is still the one that was looked at, and the code of
/// `step` was not used before.
///
/// # Errors
/// 1101 if the account has changed meanwhile or the code was used.
pub fn let_in(tx: &mut Tx<'_>, seen: &Administrator, step: Option<u64>) -> Result<(), Error> {
    let refused = || Error::refused(Code::NoIdentity, "name, password or code is wrong");
    let mut now = find(tx, &seen.name)?.ok_or_else(refused)?;
    if now.secret != seen.secret || now.totp.as_ref().map(|t| t.secret) != seen.totp.as_ref().map(|t| t.secret) {
        return Err(refused());
    }
    match (&mut now.totp, step) {
        (None, _) => Ok(()),
        (Some(totp), Some(step)) if step > totp.step => {
            totp.step = step;
            write(tx, &now);
            Ok(())
        }
        (Some(_), _) => Err(refused()),
    }
}
