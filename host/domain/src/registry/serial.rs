//! The registry's serial: every change that others have to know of has a number, greater than all before it.
//!
//! Numbers are times where that is possible, so that a platform that was set back to an old copy goes on above what servers have
//! seen before.

use std::ops::Bound;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{ServerId, ServerInfo};

use super::server::{self, Registration};
use crate::table::{CHANGES, META};

const DIGEST: &[u8] = b"registry digest";
const MARK: &[u8] = b"registry mark";
const WHAT: &str = "a change of the registry";

/// A hash of what a server is told of another one.
#[must_use]
pub fn hash(info: &ServerInfo) -> [u8; 32] {
    *blake3::hash(&serde_json::to_vec(info).unwrap_or_default()).as_bytes()
}

/// Adds a hash to a digest, or takes it out again: the order of the servers does not matter.
pub fn mix(digest: &mut [u8; 32], hash: [u8; 32]) {
    digest.iter_mut().zip(hash).for_each(|(byte, other)| *byte ^= other);
}

/// The number of the last change; 0: none yet.
///
/// # Errors
/// If storage fails.
pub fn latest(reader: &(impl Reader + ?Sized)) -> Result<u64, StoreError> {
    let last = reader.scan(CHANGES, Bound::Unbounded, Bound::Unbounded, 1, true)?;
    last.first().map_or(Ok(0), |(key, _)| number(key))
}

/// The digest of all servers' records.
///
/// # Errors
/// If storage fails.
pub fn digest(reader: &(impl Reader + ?Sized)) -> Result<[u8; 32], StoreError> {
    Ok(reader.get(META, DIGEST)?.and_then(|kept| kept.try_into().ok()).unwrap_or_default())
}

fn number(key: &[u8]) -> Result<u64, StoreError> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| StoreError::Malformed { what: WHAT })
}

fn next(tx: &Tx<'_>, now_ms: u64) -> Result<u64, StoreError> {
    Ok(now_ms.max(latest(tx)? + 1))
}

/// Keeps a registration that others have to hear of.
pub(super) fn publish(tx: &mut Tx<'_>, registration: &mut Registration, now_ms: u64) -> Result<(), StoreError> {
    let (serial, before) = (next(tx, now_ms)?, server::find(tx, &registration.info.server_id)?);
    let mut digest = digest(tx)?;
    if let Some(before) = before.filter(|before| before.serial != 0) {
        mix(&mut digest, hash(&before.info));
        tx.delete(CHANGES, &before.serial.to_be_bytes());
    }
    mix(&mut digest, hash(&registration.info));
    tx.put(META, DIGEST, &digest);
    tx.put(CHANGES, &serial.to_be_bytes(), registration.info.server_id.folded().as_bytes());
    registration.serial = serial;
    server::put(tx, registration);
    Ok(())
}

/// A change that is no server's: of the authority, or of what is revoked.
///
/// # Errors
/// If storage fails.
pub fn touch(tx: &mut Tx<'_>, now_ms: u64) -> Result<u64, StoreError> {
    let serial = next(tx, now_ms)?;
    if let Some(before) = tx.get(META, MARK)? {
        tx.delete(CHANGES, &before);
    }
    tx.put(META, MARK, &serial.to_be_bytes());
    tx.put(CHANGES, &serial.to_be_bytes(), b"");
    Ok(serial)
}

/// Gives numbers to servers that were registered before there were any.
///
/// # Errors
/// If storage fails.
pub fn number_all(tx: &mut Tx<'_>, now_ms: u64) -> Result<(), StoreError> {
    let unnumbered = server::all(tx)?.into_iter().filter(|registration| registration.serial == 0);
    for mut registration in unnumbered.collect::<Vec<_>>() {
        publish(tx, &mut registration, now_ms)?;
    }
    Ok(())
}

/// What has changed after `since`, at most `limit` servers, and the serial up to which that is all.
///
/// # Errors
/// If storage fails.
pub fn since(reader: &(impl Reader + ?Sized), since: u64, limit: usize) -> Result<(Vec<ServerInfo>, u64), StoreError> {
    let from = since.to_be_bytes();
    let rows = reader.scan(CHANGES, Bound::Excluded(&from), Bound::Unbounded, limit, false)?;
    let upto = rows.last().map_or(Ok(since), |(key, _)| number(key))?;
    let mut found = Vec::with_capacity(rows.len());
    for (_, key) in rows.iter().filter(|(_, key)| !key.is_empty()) {
        let id = std::str::from_utf8(key).ok().and_then(|text| ServerId::parse(text).ok());
        let id = id.ok_or(StoreError::Malformed { what: WHAT })?;
        found.extend(server::find(reader, &id)?.map(|registration| registration.info));
    }
    Ok((found, upto))
}
