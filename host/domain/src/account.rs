//! Local users (§6.3 a, R11).

use std::ops::Bound;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{Code, MediaId, ServerId, UserId};
use serde::{Deserialize, Serialize};

use crate::dedup::half;
use crate::error::Error;
use crate::measure::{Kind, Measure};
use crate::profile;
use crate::row;
use crate::scene::Scene;
use crate::session;
use crate::table::USERS;

const WHAT: &str = "a user";
const DISABLED: u8 = 1;
/// There may be a measure that bounds what the user may do: the row has to be read whole.
const MEASURED: u8 = 2;

/// The longest local part, in characters.
pub const LOCAL_MAX: usize = 64;

/// A local user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// `local@serverId`.
    pub id: UserId,
    /// For people.
    pub name: String,
    /// A PHC string; hashing is the caller's work. None: no log-in by password.
    pub password_hash: Option<String>,
    /// May neither log in nor send nor receive.
    pub disabled: bool,
    /// Milliseconds since 1970 UTC.
    pub created_ms: u64,
    /// With country code, as 0086…; friends alone are told ([`profile`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// What the user says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// The portrait's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portrait: Option<MediaId>,
    /// No search finds it (R14).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// What administrators have done about its behaviour, the oldest first; some may have ended by their time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measures: Vec<Measure>,
}

/// Who is to be created.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// What stands before the `@`: 1–64 lower-case letters of any script, digits, `.`, `_`, `-`.
    pub local: String,
    /// For people.
    pub name: String,
    /// A PHC string.
    pub password_hash: Option<String>,
    /// With country code, as 0086… or +86….
    pub phone_number: Option<String>,
}

/// Where a user's rows lie. The server's part of the ID is taken without regard to case (R13).
pub(crate) fn user_key(reader: &(impl Reader + ?Sized), id: &UserId) -> [u8; 16] {
    let text = id.as_str();
    let hash = match id.home_hint() {
        Some(hint) if hint.bytes().any(|b| b.is_ascii_uppercase()) => {
            let local = &text[..text.len() - hint.len()];
            reader.index_hash("user", format!("{local}{}", hint.to_ascii_lowercase()).as_bytes())
        }
        _ => reader.index_hash("user", text.as_bytes()),
    };
    half(hash)
}

/// The one spelling of a local user's ID; none if the ID names another server or none.
#[must_use]
pub fn local_id(own: &ServerId, id: &UserId) -> Option<UserId> {
    let hint = id.home_hint().filter(|hint| own.is(hint))?;
    if hint == own.as_str() {
        return Some(id.clone());
    }
    let local = id.as_str().strip_suffix(hint)?;
    UserId::parse(&format!("{local}{own}")).ok()
}

fn check_local(local: &str) -> Result<(), Error> {
    if local.is_empty() {
        return Err(Error::field(Code::MissingField, "local", "is missing or empty"));
    }
    let legal = |c: char| (c.is_alphanumeric() && !c.is_uppercase()) || matches!(c, '.' | '_' | '-');
    let wrong = if local.chars().count() > LOCAL_MAX {
        "is longer than 64 characters"
    } else if !local.chars().all(legal) {
        "may hold only lower-case letters, digits, `.`, `_` and `-`"
    } else {
        return Ok(());
    };
    Err(Error::field(Code::InvalidField, "local", wrong))
}

/// Creates `local@serverId`.
///
/// # Errors
/// 1002 or 1003 for a local part, name or phone number that will not do, 1201 if there is such a user.
pub fn create_user(tx: &mut Tx<'_>, scene: &Scene<'_>, new: NewUser) -> Result<User, Error> {
    check_local(&new.local)?;
    profile::check_name(&new.name)?;
    let phone_number = new.phone_number.as_deref().map(profile::phone_number).transpose()?.flatten();
    let id = UserId::parse(&format!("{}@{}", new.local, scene.home))
        .map_err(|e| Error::field(Code::InvalidField, "local", e))?;
    if find_user(tx, &id)?.is_some() {
        return Err(Error::field(Code::AlreadyExists, "local", format_args!("there is a user {id} already")));
    }
    let user = User {
        id,
        name: new.name,
        password_hash: new.password_hash,
        disabled: false,
        created_ms: scene.now_ms,
        phone_number,
        remark: None,
        portrait: None,
        hidden: false,
        measures: Vec::new(),
    };
    write(tx, &user);
    Ok(user)
}

fn write(tx: &mut Tx<'_>, user: &User) {
    let bounded = user.measures.iter().any(|measure| measure.kind != Kind::Warn);
    let mut value = vec![if user.disabled { DISABLED } else { 0 } | if bounded { MEASURED } else { 0 }];
    value.extend_from_slice(&row::json(user));
    let key = user_key(tx, &user.id);
    tx.put_owned(USERS, &key, value);
}

/// The local user of this ID.
///
/// # Errors
/// If storage fails.
pub fn find_user(reader: &(impl Reader + ?Sized), id: &UserId) -> Result<Option<User>, StoreError> {
    let value = reader.get(USERS, &user_key(reader, id))?;
    value.map(|v| row::parse(v.get(1..).unwrap_or_default(), WHAT)).transpose()
}

/// Whether there is such a local user and it is not disabled. Cheaper than [`find_user`].
///
/// # Errors
/// If storage fails.
pub fn is_enabled(reader: &(impl Reader + ?Sized), id: &UserId) -> Result<bool, StoreError> {
    let value = reader.get(USERS, &user_key(reader, id))?;
    Ok(value.is_some_and(|v| v.first().is_some_and(|flags| flags & DISABLED == 0)))
}

/// The measures that are kept about a local user, warnings left out; none if there is no such user or it is disabled. As cheap
/// as [`is_enabled`] for whom there are none.
pub(crate) fn enabled_under(reader: &(impl Reader + ?Sized), id: &UserId) -> Result<Option<Vec<Measure>>, StoreError> {
    let Some(value) = reader.get(USERS, &user_key(reader, id))? else { return Ok(None) };
    let Some((flags, row)) = value.split_first() else { return Ok(None) };
    match flags {
        flags if flags & DISABLED != 0 => Ok(None),
        flags if flags & MEASURED == 0 => Ok(Some(Vec::new())),
        _ => {
            let mut measures = row::parse::<User>(row, WHAT)?.measures;
            measures.retain(|measure| measure.kind != Kind::Warn);
            Ok(Some(measures))
        }
    }
}

/// All local users, in no particular order.
///
/// # Errors
/// If storage fails.
pub fn list_users(reader: &(impl Reader + ?Sized)) -> Result<Vec<User>, StoreError> {
    let rows = reader.scan(USERS, Bound::Unbounded, Bound::Unbounded, usize::MAX, false)?;
    rows.iter().map(|(_, v)| row::parse(v.get(1..).unwrap_or_default(), WHAT)).collect()
}

pub(crate) fn change(tx: &mut Tx<'_>, id: &UserId, alter: impl FnOnce(&mut User)) -> Result<User, Error> {
    let mut user = find_user(tx, id)?
        .ok_or_else(|| Error::field(Code::NotFound, "userID", format_args!("there is no user {id}")))?;
    alter(&mut user);
    write(tx, &user);
    Ok(user)
}

/// Sets another password and logs the user out everywhere.
///
/// # Errors
/// 1004 if there is no such user.
pub fn set_password_hash(tx: &mut Tx<'_>, id: &UserId, hash: String) -> Result<User, Error> {
    let user = change(tx, id, |user| user.password_hash = Some(hash))?;
    session::revoke_all(tx, id)?;
    Ok(user)
}

/// Disables a user, and logs it out everywhere, or enables it again.
///
/// # Errors
/// 1004 if there is no such user.
pub fn set_disabled(tx: &mut Tx<'_>, id: &UserId, disabled: bool) -> Result<User, Error> {
    let user = change(tx, id, |user| user.disabled = disabled)?;
    if disabled {
        session::revoke_all(tx, id)?;
    }
    Ok(user)
}
