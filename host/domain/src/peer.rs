//! Other servers as the platform last described them (§7.5.4): the address cache.
//!
//! That a serverId is *not* registered is remembered too: R11 looks at what follows an ID's last `@`.

use std::ops::Bound;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{ServerId, ServerInfo, ServerStatus};
use serde::{Deserialize, Serialize};

use crate::row;
use crate::table::PEERS;

const WHAT: &str = "a peer";

/// What is known about a serverId.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// None: the platform knows no such server.
    pub info: Option<ServerInfo>,
    /// When the platform said so, in milliseconds since 1970 UTC.
    pub fetched_ms: u64,
}

/// How a serverId stands, without reading all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Never asked for.
    Unknown,
    /// The platform knows no such server.
    Unregistered,
    /// It does.
    Registered(ServerStatus),
}

/// Keeps what the platform said about a server.
pub fn put(tx: &mut Tx<'_>, info: &ServerInfo, fetched_ms: u64) {
    let key = info.server_id.folded();
    let status = match info.server_status {
        ServerStatus::Normal => b'0',
        ServerStatus::Suspended => b'1',
        ServerStatus::Deregistered => b'2',
    };
    write(tx, &key, status, &Peer { info: Some(info.clone()), fetched_ms });
}

/// Keeps that the platform knows no such server.
pub fn put_absent(tx: &mut Tx<'_>, id: &ServerId, fetched_ms: u64) {
    write(tx, &id.folded(), b'-', &Peer { info: None, fetched_ms });
}

fn write(tx: &mut Tx<'_>, key: &str, standing: u8, peer: &Peer) {
    let mut value = vec![standing];
    value.extend_from_slice(&row::json(peer));
    tx.put_owned(PEERS, key.as_bytes(), value);
}

/// What is known about a server.
///
/// # Errors
/// If storage fails.
pub fn get(reader: &(impl Reader + ?Sized), id: &ServerId) -> Result<Option<Peer>, StoreError> {
    reader.get(PEERS, id.folded().as_bytes())?.map(|value| parse(&value)).transpose()
}

fn parse(value: &[u8]) -> Result<Peer, StoreError> {
    row::parse(value.get(1..).unwrap_or_default(), WHAT)
}

/// How a server stands.
///
/// # Errors
/// If storage fails.
pub fn standing(reader: &(impl Reader + ?Sized), id: &ServerId) -> Result<Standing, StoreError> {
    let Some(value) = reader.get(PEERS, id.folded().as_bytes())? else { return Ok(Standing::Unknown) };
    match value.first() {
        Some(b'0') => Ok(Standing::Registered(ServerStatus::Normal)),
        Some(b'1') => Ok(Standing::Registered(ServerStatus::Suspended)),
        Some(b'2') => Ok(Standing::Registered(ServerStatus::Deregistered)),
        Some(b'-') => Ok(Standing::Unregistered),
        _ => Err(StoreError::Malformed { what: WHAT }),
    }
}

/// All that are known, in order of their IDs.
///
/// # Errors
/// If storage fails.
pub fn list(reader: &(impl Reader + ?Sized)) -> Result<Vec<Peer>, StoreError> {
    let rows = reader.scan(PEERS, Bound::Unbounded, Bound::Unbounded, usize::MAX, false)?;
    rows.iter().map(|(_, value)| parse(value)).collect()
}
