//! Registered servers (§7.5.3, §7.5.4) and their certificates (R13).

use std::ops::Bound;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::call::registry::{Changes, Nodes};
use isthmus_wire::{Code, ServerId, ServerInfo, ServerStatus};
use serde::{Deserialize, Serialize};

use super::application::Issued;
use super::serial;
use crate::error::Error;
use crate::row;
use crate::scene::Scene;
use crate::table::{SERIALS, SERVERS};

const WHAT: &str = "a registered server";

/// A certificate issued to a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Lower-case hexadecimal.
    pub serial: String,
    /// Milliseconds since 1970 UTC.
    pub issued_ms: u64,
    /// End of validity.
    pub not_after_ms: u64,
    /// When it was revoked.
    pub revoked_ms: Option<u64>,
    /// The certified key's algorithm, as `ecdsa-p256`; empty in records older than this field.
    #[serde(default)]
    pub key_algorithm: String,
    /// The algorithm that the authority has signed with; empty as above.
    #[serde(default)]
    pub signature_algorithm: String,
}

/// A server that was approved once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// As it is told to everybody.
    pub info: ServerInfo,
    /// The owner (§7.5.1).
    pub owner_id: String,
    /// Milliseconds since 1970 UTC.
    pub registered_ms: u64,
    /// The newest chain, PEM.
    pub chain: String,
    /// Every certificate that may still be valid.
    pub certificates: Vec<Certificate>,
    /// The registry's serial when others had to hear of this server last.
    #[serde(default)]
    pub serial: u64,
}

/// What an administrator, or an approved application, does to a server's standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Refused by everybody until it is resumed.
    Suspend,
    /// Normal again.
    Resume,
    /// For good: its certificates are revoked, its ID never used again.
    Deregister,
}

impl Registration {
    pub(super) fn new(info: ServerInfo, owner_id: String, now_ms: u64) -> Self {
        Self { info, owner_id, registered_ms: now_ms, chain: String::new(), certificates: Vec::new(), serial: 0 }
    }

    /// Takes a new certificate in and forgets those that have expired.
    pub(super) fn add(&mut self, issued: Issued, now_ms: u64) {
        self.certificates.retain(|c| c.not_after_ms > now_ms);
        self.chain = issued.chain;
        self.certificates.push(Certificate {
            serial: issued.serial.to_ascii_lowercase(),
            issued_ms: now_ms,
            not_after_ms: issued.not_after_ms,
            revoked_ms: None,
            key_algorithm: issued.key_algorithm,
            signature_algorithm: issued.signature_algorithm,
        });
    }

    /// Takes changed fields over (§7.5.2).
    pub(super) fn apply(&mut self, changes: Changes) -> Result<(), Error> {
        if self.info.server_status == ServerStatus::Deregistered {
            return Err(Error::refused(Code::WrongState, "the server is deregistered, for good"));
        }
        let info = &mut self.info;
        let set = |slot: &mut String, new: Option<String>| {
            if let Some(new) = new {
                *slot = new;
            }
        };
        set(&mut info.server_name, changes.server_name);
        set(&mut info.server_address, changes.server_address);
        set(&mut info.contact_name, changes.contact_name);
        set(&mut info.contact_email, changes.contact_email);
        set(&mut info.contact_mobile, changes.contact_mobile);
        info.server_type = changes.server_type.or(info.server_type.take());
        info.area = changes.area.or(info.area.take());
        Ok(())
    }

    /// Changes the standing.
    pub(super) fn change(&mut self, change: Change, now_ms: u64) -> Result<(), Error> {
        use ServerStatus::{Deregistered, Normal, Suspended};
        let status = match (self.info.server_status, change) {
            (Deregistered, _) => return Err(Error::refused(Code::WrongState, "the server is deregistered, for good")),
            (Suspended, Change::Suspend) => {
                return Err(Error::refused(Code::AlreadyExists, "the server is suspended already"));
            }
            (Normal, Change::Resume) => return Err(Error::refused(Code::AlreadyExists, "the server is not suspended")),
            (Normal, Change::Suspend) => Suspended,
            (Suspended, Change::Resume) => Normal,
            (Normal | Suspended, Change::Deregister) => Deregistered,
        };
        self.info.server_status = status;
        if status == Deregistered {
            self.certificates.iter_mut().for_each(|c| c.revoked_ms = c.revoked_ms.or(Some(now_ms)));
        }
        Ok(())
    }
}

pub(super) fn put(tx: &mut Tx<'_>, registration: &Registration) {
    let key = registration.info.server_id.folded();
    if let Some(newest) = registration.certificates.last() {
        tx.put(SERIALS, newest.serial.as_bytes(), key.as_bytes());
    }
    tx.put_owned(SERVERS, key.as_bytes(), row::json(registration));
}

/// The registration of a serverId, whatever its standing.
///
/// # Errors
/// If storage fails.
pub fn find(reader: &(impl Reader + ?Sized), id: &ServerId) -> Result<Option<Registration>, StoreError> {
    reader.get(SERVERS, id.folded().as_bytes())?.map(|v| row::parse(&v, WHAT)).transpose()
}

pub(super) fn expect(reader: &(impl Reader + ?Sized), id: &ServerId) -> Result<Registration, Error> {
    find(reader, id)?.ok_or_else(|| Error::field(Code::NotFound, "serverId", format_args!("there is no server {id}")))
}

/// The registration of a server that may act now.
pub(super) fn active(reader: &(impl Reader + ?Sized), id: &ServerId) -> Result<Registration, Error> {
    let registration = expect(reader, id)?;
    match registration.info.server_status {
        ServerStatus::Normal => Ok(registration),
        ServerStatus::Suspended => Err(Error::refused(Code::WrongState, "the server is suspended")),
        ServerStatus::Deregistered => Err(Error::refused(Code::WrongState, "the server is deregistered")),
    }
}

/// Whether no server was ever registered.
///
/// # Errors
/// If storage fails.
pub fn is_empty(reader: &(impl Reader + ?Sized)) -> Result<bool, StoreError> {
    Ok(reader.scan(SERVERS, Bound::Unbounded, Bound::Unbounded, 1, false)?.is_empty())
}

/// Every registration, in order of the IDs.
///
/// # Errors
/// If storage fails.
pub fn all(reader: &(impl Reader + ?Sized)) -> Result<Vec<Registration>, StoreError> {
    let rows = reader.scan(SERVERS, Bound::Unbounded, Bound::Unbounded, usize::MAX, false)?;
    rows.iter().map(|(_, v)| row::parse(v, WHAT)).collect()
}

/// The server that a certificate's serial (hexadecimal) was issued to.
///
/// # Errors
/// If storage fails.
pub fn of_serial(reader: &(impl Reader + ?Sized), serial: &str) -> Result<Option<ServerId>, StoreError> {
    let Some(value) = reader.get(SERIALS, serial.to_ascii_lowercase().as_bytes())? else { return Ok(None) };
    let id = std::str::from_utf8(&value).ok().and_then(|t| ServerId::parse(t).ok());
    id.map(Some).ok_or(StoreError::Malformed { what: "a serial" })
}

/// Answers a query for servers and their addresses (§7.5.4, R16). Servers that are suspended or deregistered are told
/// too: their status is what others have to know. IDs that nobody has are left out.
///
/// # Errors
/// 1104 if `ownerID` is not the caller, 1004 or 1202 if the caller is not in good standing.
pub fn nodes(reader: &(impl Reader + ?Sized), caller: &ServerId, query: &Nodes) -> Result<Vec<ServerInfo>, Error> {
    if query.owner_id != *caller {
        return Err(Error::field(Code::MayNotActFor, "ownerID", "is not the server that asks"));
    }
    active(reader, caller)?;
    let found = match &query.node_ids {
        None => all(reader)?,
        Some(ids) => {
            let mut ids = ids.clone();
            ids.sort_unstable();
            ids.dedup();
            let mut found = Vec::with_capacity(ids.len());
            for id in &ids {
                found.extend(find(reader, id)?);
            }
            found
        }
    };
    let has = |text: &str, part: &Option<String>| {
        part.as_ref().is_none_or(|part| text.to_lowercase().contains(&part.to_lowercase()))
    };
    let matches =
        |info: &ServerInfo| has(&info.server_name, &query.server_name) && has(&info.server_address, &query.domain);
    Ok(found.into_iter().map(|r| r.info).filter(matches).collect())
}

/// Suspends, resumes or deregisters a server.
///
/// # Errors
/// 1004 if there is no such server, 1201 if it stands so already, 1202 if it is deregistered.
pub fn set_status(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    id: &ServerId,
    change: Change,
    audit: Vec<u8>,
) -> Result<Registration, Error> {
    let mut registration = expect(tx, id)?;
    registration.change(change, scene.now_ms)?;
    serial::publish(tx, &mut registration, scene.now_ms)?;
    tx.audit(audit);
    Ok(registration)
}

/// Notes the new certificate of a server that renewed its own; the old one stays valid until it expires.
///
/// # Errors
/// 1004 or 1202 if the server is not in good standing.
pub fn renew(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    caller: &ServerId,
    issued: Issued,
    audit: Vec<u8>,
) -> Result<Registration, Error> {
    let mut registration = active(tx, caller)?;
    registration.add(issued, scene.now_ms);
    put(tx, &registration);
    tx.audit(audit);
    Ok(registration)
}

/// Certificates that are revoked and would otherwise still be valid: what a revocation list holds.
///
/// # Errors
/// If storage fails.
pub fn revoked(reader: &(impl Reader + ?Sized), now_ms: u64) -> Result<Vec<Certificate>, StoreError> {
    let certificates = all(reader)?.into_iter().flat_map(|r| r.certificates);
    Ok(certificates.filter(|c| c.revoked_ms.is_some() && c.not_after_ms > now_ms).collect())
}
