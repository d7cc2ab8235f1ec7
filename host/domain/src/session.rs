//! Log-ins (§6.3 a): a device each, with a short access token and a refresh token that changes with every use.
//!
//! Tokens are stored as SHA-256 only and live no longer than their device's row: to revoke a device is to delete
//! that row. A refresh token used a second time has been stolen from one of its two users: the device is revoked.

use std::ops::Bound;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{Code, UserId};
use serde::{Deserialize, Serialize};

use crate::account::{self, user_key};
use crate::error::Error;
use crate::measure;
use crate::profile;
use crate::row::{self, Cut};
use crate::scene::{Scene, TimeId};
use crate::table::{DEVICES, TOKENS};

const WHAT: &str = "a device";
const ACCESS: u8 = 1;
const REFRESH: u8 = 2;
const USED: u8 = 3;

/// SHA-256 of a token.
pub type TokenHash = [u8; 32];

/// A token to be kept.
#[derive(Debug, Clone, Copy)]
pub struct Grant {
    /// SHA-256 of the token.
    pub sha256: TokenHash,
    /// End of its life, in milliseconds since 1970 UTC.
    pub expires_ms: u64,
}

/// One log-in of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// New with each log-in.
    pub id: TimeId,
    /// As the client called itself.
    pub name: String,
    /// Log-in, in milliseconds since 1970 UTC.
    pub created_ms: u64,
    /// The last refresh.
    pub refreshed_ms: u64,
    /// When the refresh token expires, and with it the log-in.
    pub expires_ms: u64,
}

/// Who stands behind a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The user.
    pub user: UserId,
    /// The log-in.
    pub device: TimeId,
    /// When the token presented expires.
    pub expires_ms: u64,
}

/// What came of a refresh. A revocation must be kept although the caller is refused: so it is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// The new tokens are valid, the refresh token presented no more.
    Renewed(Session),
    /// It had been used before: the device is revoked. 1101 for the caller.
    Reused(Session),
    /// Unknown, expired or revoked. 1101 for the caller.
    Invalid,
}

fn key(user: &[u8; 16], device: &TimeId) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(user);
    key[16..].copy_from_slice(&device.0);
    key
}

struct Token {
    kind: u8,
    session: Session,
}

fn put_token(tx: &mut Tx<'_>, kind: u8, grant: &Grant, user: &UserId, device: &TimeId) {
    let mut value = Vec::with_capacity(25 + user.as_str().len());
    value.push(kind);
    value.extend_from_slice(&grant.expires_ms.to_be_bytes());
    value.extend_from_slice(&device.0);
    value.extend_from_slice(user.as_str().as_bytes());
    tx.put_owned(TOKENS, &grant.sha256, value);
}

fn parse_token(value: &[u8]) -> Result<Token, StoreError> {
    let mut cut = Cut::new(value, "a token");
    let kind = cut.byte()?;
    let expires_ms = cut.u64()?;
    let device = TimeId(cut.array()?);
    let user = UserId::parse(cut.text()?).map_err(|_| cut.wrong())?;
    Ok(Token { kind, session: Session { user, device, expires_ms } })
}

fn device(reader: &(impl Reader + ?Sized), session: &Session) -> Result<Option<Device>, StoreError> {
    let value = reader.get(DEVICES, &key(&user_key(reader, &session.user), &session.device))?;
    value.map(|v| row::parse(&v, WHAT)).transpose()
}

fn put_device(tx: &mut Tx<'_>, user: &UserId, device: &Device) {
    let key = key(&user_key(tx, user), &device.id);
    tx.put_owned(DEVICES, &key, row::json(device));
}

/// Begins a log-in; the caller has checked the password.
///
/// # Errors
/// 1101 if there is no such user or it is disabled, 1105 if it is suspended.
pub fn log_in(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    user: &UserId,
    device_name: &str,
    access: &Grant,
    refresh: &Grant,
) -> Result<Session, Error> {
    if !account::is_enabled(tx, user)? {
        return Err(Error::refused(Code::NoIdentity, "user or password is wrong"));
    }
    measure::may_enter(tx, user, scene.now_ms)?;
    let name = device_name.chars().filter(|c| !c.is_control()).take(profile::NAME_MAX).collect();
    let device = Device {
        id: scene.mint(),
        name,
        created_ms: scene.now_ms,
        refreshed_ms: scene.now_ms,
        expires_ms: refresh.expires_ms,
    };
    put_device(tx, user, &device);
    put_token(tx, ACCESS, access, user, &device.id);
    put_token(tx, REFRESH, refresh, user, &device.id);
    Ok(Session { user: user.clone(), device: device.id, expires_ms: access.expires_ms })
}

/// Who presents this access token; none if it is unknown, expired or revoked or the user disabled.
///
/// # Errors
/// If storage fails.
pub fn authenticate(
    reader: &(impl Reader + ?Sized),
    access: &TokenHash,
    now_ms: u64,
) -> Result<Option<Session>, StoreError> {
    let Some(value) = reader.get(TOKENS, access)? else { return Ok(None) };
    let Token { kind, session } = parse_token(&value)?;
    let valid = kind == ACCESS && is_live(reader, &session, now_ms)?;
    Ok(valid.then_some(session))
}

/// Whether a session still stands: to be asked again for connections that outlive a request.
///
/// # Errors
/// If storage fails.
pub fn is_live(reader: &(impl Reader + ?Sized), session: &Session, now_ms: u64) -> Result<bool, StoreError> {
    Ok(now_ms < session.expires_ms
        && reader.get(DEVICES, &key(&user_key(reader, &session.user), &session.device))?.is_some()
        && account::is_enabled(reader, &session.user)?)
}

/// Exchanges a refresh token for new tokens.
///
/// # Errors
/// If storage fails; refusals are [`Rotation`]s.
pub fn rotate(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    refresh: &TokenHash,
    new_access: &Grant,
    new_refresh: &Grant,
) -> Result<Rotation, Error> {
    let Some(value) = tx.get(TOKENS, refresh)? else { return Ok(Rotation::Invalid) };
    let Token { kind, session } = parse_token(&value)?;
    let Some(mut device) = device(tx, &session)? else { return Ok(Rotation::Invalid) };
    if kind == USED {
        revoke(tx, &session.user, &session.device)?;
        return Ok(Rotation::Reused(session));
    }
    if kind != REFRESH || !is_live(tx, &session, scene.now_ms)? {
        return Ok(Rotation::Invalid);
    }
    let used = Grant { sha256: *refresh, expires_ms: session.expires_ms };
    put_token(tx, USED, &used, &session.user, &session.device);
    put_token(tx, ACCESS, new_access, &session.user, &session.device);
    put_token(tx, REFRESH, new_refresh, &session.user, &session.device);
    device.refreshed_ms = scene.now_ms;
    device.expires_ms = new_refresh.expires_ms;
    put_device(tx, &session.user, &device);
    Ok(Rotation::Renewed(Session { expires_ms: new_access.expires_ms, ..session }))
}

/// A user's log-ins, the oldest first.
///
/// # Errors
/// If storage fails.
pub fn devices(reader: &(impl Reader + ?Sized), user: &UserId) -> Result<Vec<Device>, StoreError> {
    let rows = reader.prefix(DEVICES, &user_key(reader, user), usize::MAX, false)?;
    rows.iter().map(|(_, value)| row::parse(value, WHAT)).collect()
}

/// Ends one log-in. False if there was none.
///
/// # Errors
/// If storage fails.
pub fn revoke(tx: &mut Tx<'_>, user: &UserId, device: &TimeId) -> Result<bool, Error> {
    let key = key(&user_key(tx, user), device);
    let there = tx.get(DEVICES, &key)?.is_some();
    tx.delete(DEVICES, &key);
    Ok(there)
}

/// Ends all log-ins of a user; says which.
///
/// # Errors
/// If storage fails.
pub fn revoke_all(tx: &mut Tx<'_>, user: &UserId) -> Result<Vec<TimeId>, Error> {
    let all = devices(tx, user)?;
    for device in &all {
        revoke(tx, user, &device.id)?;
    }
    Ok(all.into_iter().map(|d| d.id).collect())
}

/// Deletes dead tokens and expired devices among the next `limit` tokens after `from`; where to go on, `None` at the end.
/// To be called now and then, in small steps.
///
/// # Errors
/// If storage fails.
pub fn sweep(tx: &mut Tx<'_>, now_ms: u64, from: Option<TokenHash>, limit: usize) -> Result<Option<TokenHash>, Error> {
    let start = from.as_ref().map_or(Bound::Unbounded, |hash| Bound::Excluded(hash.as_slice()));
    let rows = tx.scan(TOKENS, start, Bound::Unbounded, limit, false)?;
    for (hash, value) in &rows {
        let Token { kind, session } = parse_token(value)?;
        let expired = session.expires_ms <= now_ms;
        let device = device(tx, &session)?;
        if expired || device.is_none() {
            tx.delete(TOKENS, hash);
        }
        if kind == REFRESH && device.is_some_and(|d| d.expires_ms <= now_ms) {
            revoke(tx, &session.user, &session.device)?;
        }
    }
    let last = if rows.len() < limit { None } else { rows.last() };
    Ok(last.and_then(|(hash, _)| hash.as_slice().try_into().ok()))
}
