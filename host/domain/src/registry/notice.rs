//! Notices to whoever tells applicants and operators (a webhook): queued with the decision that they tell of, until somebody has
//! taken them.

use std::ops::Bound;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{ServerId, ServerInfo, ServerStatus};
use serde::{Deserialize, Serialize};

use super::application::{Application, Asked};
use super::server::{self, Registration};
use crate::row;
use crate::scene::{Scene, TimeId};
use crate::table::{EXPIRY_TOLD, NOTICES};

const WHAT: &str = "a notice";
const DAY_MS: u64 = 24 * 3_600_000;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Somebody applies (§7.5.1–7.5.3).
    #[serde(rename = "application.received")]
    Received,
    /// An application is granted and carried out.
    #[serde(rename = "application.approved")]
    Approved,
    /// An application is declined, with the reason.
    #[serde(rename = "application.rejected")]
    Rejected,
    /// A server is refused by everybody until it is resumed.
    #[serde(rename = "server.suspended")]
    Suspended,
    /// It is normal again.
    #[serde(rename = "server.resumed")]
    Resumed,
    /// It is gone for good.
    #[serde(rename = "server.deregistered")]
    Deregistered,
    /// Its certificate is about to expire: it has not renewed by itself.
    #[serde(rename = "certificate.expiring")]
    Expiring,
    /// The platform's own issuer ends, after which nobody is certified.
    #[serde(rename = "issuer.expiring")]
    IssuerExpiring,
    /// The certificate of the platform's own listeners ends: it could not renew it.
    #[serde(rename = "listener.expiring")]
    ListenerExpiring,
}

/// Whom it concerns, and how a person of theirs is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Concerned {
    /// Its ID.
    pub server_id: ServerId,
    /// Its name, address and contacts, if it is registered or applies to be.
    #[serde(flatten)]
    pub contact: Option<Contact>,
}

/// §7.5.1's words on how a server and its people are reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "they are the standard's names")]
pub struct Contact {
    pub server_name: String,
    pub server_address: String,
    pub contact_name: String,
    pub contact_email: String,
    pub contact_mobile: String,
}

/// Which application it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// `applicationId`.
    pub application_id: TimeId,
    /// `register`, `update`, `deregister`.
    pub kind: String,
}

/// A notice that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// The same however often it is sent.
    pub id: TimeId,
    /// What is told.
    pub event: Event,
    /// When it happened, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Whom it concerns; none: the platform itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Concerned>,
    /// The application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<About>,
    /// In the administrator's or the server's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// End of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after_ms: Option<u64>,
    /// What the platform's administrators can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// A certificate of the platform's own that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Which: [`Event::IssuerExpiring`] or [`Event::ListenerExpiring`].
    pub event: Event,
    /// When, in milliseconds since 1970 UTC.
    pub not_after_ms: u64,
    /// What to do.
    pub remedy: String,
}

/// What a queued notice did to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// There was a place.
    Free,
    /// The oldest gave way.
    OldestDropped,
}

fn contact(info: &ServerInfo) -> Contact {
    Contact {
        server_name: info.server_name.clone(),
        server_address: info.server_address.clone(),
        contact_name: info.contact_name.clone(),
        contact_email: info.contact_email.clone(),
        contact_mobile: info.contact_mobile.clone(),
    }
}

impl Notice {
    fn new(scene: &mut Scene<'_>, event: Event, info: &ServerInfo) -> Notice {
        let server = Concerned { server_id: info.server_id.clone(), contact: Some(contact(info)) };
        let (id, at_ms) = (scene.mint(), scene.now_ms);
        let server = Some(server);
        Notice { id, event, at_ms, server, application: None, reason: None, not_after_ms: None, remedy: None }
    }

    /// About an application, as it stands now.
    ///
    /// # Errors
    /// If storage fails.
    pub fn of_application(
        reader: &(impl Reader + ?Sized),
        scene: &mut Scene<'_>,
        event: Event,
        application: &Application,
    ) -> Result<Notice, StoreError> {
        let (kind, info) = match &application.asked {
            Asked::Register { info, .. } => ("register", Some((**info).clone())),
            Asked::Update { .. } => ("update", None),
            Asked::Deregister { .. } => ("deregister", None),
        };
        let known = match info {
            Some(info) => Some(info),
            None => server::find(reader, &application.server_id)?.map(|known| known.info),
        };
        let server = Concerned { server_id: application.server_id.clone(), contact: known.as_ref().map(contact) };
        let asked = if let Asked::Deregister { reason } = &application.asked { Some(reason.clone()) } else { None };
        Ok(Notice {
            id: scene.mint(),
            event,
            at_ms: scene.now_ms,
            server: Some(server),
            application: Some(About { application_id: application.id, kind: kind.to_owned() }),
            reason: application.reason.clone().or(asked),
            not_after_ms: None,
            remedy: None,
        })
    }

    /// About a server's standing, with the administrator's words.
    pub fn of_server(scene: &mut Scene<'_>, event: Event, of: &Registration, reason: &str) -> Notice {
        let mut notice = Notice::new(scene, event, &of.info);
        notice.reason = Some(reason.trim().to_owned()).filter(|reason| !reason.is_empty());
        notice
    }
}

/// Puts a notice behind the others; of more than `most` the oldest gives way.
///
/// # Errors
/// If storage fails.
pub fn queue(tx: &mut Tx<'_>, notice: &Notice, most: usize) -> Result<Room, StoreError> {
    let last = tx.scan(NOTICES, Bound::Unbounded, Bound::Unbounded, 1, true)?;
    let last = last.first().and_then(|(key, _)| key.as_slice().try_into().ok()).map_or(0, u64::from_be_bytes);
    let key = notice.at_ms.max(last + 1);
    let mut room = Room::Free;
    let waiting = tx.scan(NOTICES, Bound::Unbounded, Bound::Unbounded, most.max(1), false)?;
    if waiting.len() >= most
        && let Some((oldest, _)) = waiting.first()
    {
        tx.delete(NOTICES, oldest);
        room = Room::OldestDropped;
    }
    tx.put_owned(NOTICES, &key.to_be_bytes(), row::json(notice));
    Ok(room)
}

/// The notice that waits longest, and its place.
///
/// # Errors
/// If storage fails.
pub fn first(reader: &(impl Reader + ?Sized)) -> Result<Option<(Vec<u8>, Notice)>, StoreError> {
    let first = reader.scan(NOTICES, Bound::Unbounded, Bound::Unbounded, 1, false)?;
    first.into_iter().next().map(|(key, value)| Ok((key, row::parse(&value, WHAT)?))).transpose()
}

/// How many wait.
///
/// # Errors
/// If storage fails.
pub fn waiting(reader: &(impl Reader + ?Sized)) -> Result<usize, StoreError> {
    Ok(reader.scan(NOTICES, Bound::Unbounded, Bound::Unbounded, usize::MAX, false)?.len())
}

/// Takes a notice out: it was taken, or has waited for too long.
pub fn settle(tx: &mut Tx<'_>, place: &[u8]) {
    tx.delete(NOTICES, place);
}

/// Queues a notice for each server in good standing whose newest certificate ends within `within_ms`, once a certificate; how many.
///
/// # Errors
/// If storage fails.
pub fn queue_expiring(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    within_ms: u64,
    most: usize,
) -> Result<usize, StoreError> {
    let mut told = 0;
    for registration in server::all(tx)? {
        let Some(newest) = registration.certificates.last() else { continue };
        let standing = registration.info.server_status == ServerStatus::Normal;
        let soon = newest.not_after_ms <= scene.now_ms.saturating_add(within_ms);
        let key = registration.info.server_id.folded();
        let is_told = |told: Vec<u8>| told == newest.serial.as_bytes();
        if !standing || !soon || tx.get(EXPIRY_TOLD, key.as_bytes())?.is_some_and(is_told) {
            continue;
        }
        let mut notice = Notice::new(scene, Event::Expiring, &registration.info);
        notice.not_after_ms = Some(newest.not_after_ms);
        queue(tx, &notice, most)?;
        tx.put(EXPIRY_TOLD, key.as_bytes(), newest.serial.as_bytes());
        told += 1;
    }
    Ok(told)
}

/// Queues a notice for a certificate of the platform's own, and again each time that half of what was left has passed, down to a
/// day: what was given up because nobody took it must not have been the only word. Whether it did.
///
/// # Errors
/// If storage fails.
pub fn queue_ending(tx: &mut Tx<'_>, scene: &mut Scene<'_>, ending: &Ending, most: usize) -> Result<bool, StoreError> {
    // No server's ID has a full stop in it.
    let key: &[u8] = if ending.event == Event::IssuerExpiring { b"issuer." } else { b"listener." };
    let left_ms = ending.not_after_ms.saturating_sub(scene.now_ms);
    let told = tx.get(EXPIRY_TOLD, key)?.and_then(|row| row::parse::<(u64, u64)>(&row, WHAT).ok());
    if told
        .is_some_and(|(end_ms, then_ms)| end_ms == ending.not_after_ms && (then_ms <= DAY_MS || left_ms > then_ms / 2))
    {
        return Ok(false);
    }
    let notice = Notice {
        id: scene.mint(),
        event: ending.event,
        at_ms: scene.now_ms,
        server: None,
        application: None,
        reason: None,
        not_after_ms: Some(ending.not_after_ms),
        remedy: Some(ending.remedy.clone()),
    };
    queue(tx, &notice, most)?;
    tx.put_owned(EXPIRY_TOLD, key, row::json(&(ending.not_after_ms, left_ms)));
    Ok(true)
}
