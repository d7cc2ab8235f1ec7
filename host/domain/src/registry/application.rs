//! Applications and their review (§5.2, §7.5.1–7.5.3, R15).

use std::ops::Bound;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::call::registry::{ApplicationAnswer, ApplicationState, Changes, Register, Update};
use isthmus_wire::{Code, ServerId, ServerInfo, ServerStatus};
use serde::{Deserialize, Serialize};

use super::server::{self, Change, Registration};
use super::{check, serial};
use crate::administrator::Role;
use crate::error::Error;
use crate::row;
use crate::scene::{Scene, TimeId};
use crate::table::{APPLICATIONS, PENDING};

const WHAT: &str = "an application";

/// What is applied for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Asked {
    /// §7.5.1
    Register {
        /// What to register.
        info: Box<ServerInfo>,
        /// The owner.
        owner_id: String,
        /// PEM; of it only the public key is used (R13).
        csr: String,
    },
    /// §7.5.2
    Update {
        /// The changes.
        changes: Box<Changes>,
        /// The server as it was then; none in records older than this field.
        #[serde(default)]
        before: Option<Box<ServerInfo>>,
    },
    /// §7.5.3
    Deregister {
        /// Why.
        reason: String,
    },
}

/// One administrator's word for an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Which administrator.
    pub by: String,
    /// In which role; none in records older than this field, whose `by` is the role.
    #[serde(default)]
    pub role: Option<Role>,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// In the reviewer's words, if there are any.
    pub reason: Option<String>,
}

/// What an administrator approves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approve {
    /// Which application.
    pub id: TimeId,
    /// Which administrator.
    pub by: String,
    /// In which role: two reviewers are two roles.
    pub role: Role,
    /// In the reviewer's words, if there are any.
    pub reason: Option<String>,
    /// How many administrators have to say so.
    pub reviewers: usize,
    /// With the last of them, for a registration: the certificate.
    pub issued: Option<Issued>,
}

/// An application, decided or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// `applicationId`.
    pub id: TimeId,
    /// For which server.
    pub server_id: ServerId,
    /// What for.
    pub asked: Asked,
    /// Where it stands.
    pub state: ApplicationState,
    /// When it came, in milliseconds since 1970 UTC.
    pub submitted_ms: u64,
    /// When it was decided.
    pub decided_ms: Option<u64>,
    /// By which administrator.
    pub decided_by: Option<String>,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// Who has approved it so far.
    #[serde(default)]
    pub approvals: Vec<Approval>,
    /// PEM chain, once approved.
    pub certificate: Option<String>,
    /// SHA-256 of the ticket.
    ticket: [u8; 32],
}

/// A certificate that the caller has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// PEM chain, the server's own first.
    pub chain: String,
    /// Hexadecimal.
    pub serial: String,
    /// End of validity, in milliseconds since 1970 UTC.
    pub not_after_ms: u64,
    /// The certified key's algorithm, as `ecdsa-p256`.
    pub key_algorithm: String,
    /// The algorithm that the authority has signed with.
    pub signature_algorithm: String,
}

fn put(tx: &mut Tx<'_>, application: &Application) {
    tx.put_owned(APPLICATIONS, &application.id.0, row::json(application));
}

fn submit(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    server_id: ServerId,
    asked: Asked,
    ticket: [u8; 32],
    audit: Vec<u8>,
) -> Result<Application, Error> {
    let key = server_id.folded();
    if tx.get(PENDING, key.as_bytes())?.is_some() {
        let what = format_args!("an application for {server_id} is pending already");
        return Err(Error::field(Code::AlreadyExists, "serverInfo.serverId", what));
    }
    let application = Application {
        id: scene.mint(),
        server_id,
        asked,
        state: ApplicationState::Pending,
        submitted_ms: scene.now_ms,
        decided_ms: None,
        decided_by: None,
        reason: None,
        approvals: Vec::new(),
        certificate: None,
        ticket,
    };
    tx.put(PENDING, key.as_bytes(), &application.id.0);
    put(tx, &application);
    tx.audit(audit);
    Ok(application)
}

/// Takes an application for registration (§7.5.1). `ticket` is the SHA-256 of the ticket that the applicant is told.
///
/// # Errors
/// 1003 for an address, e-mail or telephone number that is none; 1201 if the serverId is in use, was ever used, or is
/// applied for, whatever its case.
pub fn apply_register(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    asked: Register,
    ticket: [u8; 32],
    audit: Vec<u8>,
) -> Result<Application, Error> {
    let Register { server_info: mut info, owner_id, csr } = asked;
    info.server_address = check::server_info(&info)?;
    info.server_status = ServerStatus::Normal;
    refuse_used(tx, &info.server_id)?;
    let server_id = info.server_id.clone();
    submit(tx, scene, server_id, Asked::Register { info: Box::new(info), owner_id, csr }, ticket, audit)
}

fn refuse_used(tx: &Tx<'_>, id: &ServerId) -> Result<(), Error> {
    let what = match server::find(tx, id)?.map(|r| r.info.server_status) {
        None => return Ok(()),
        Some(ServerStatus::Deregistered) => "was used by a server that is no more",
        Some(ServerStatus::Normal | ServerStatus::Suspended) => "is registered already",
    };
    Err(Error::field(Code::AlreadyExists, "serverInfo.serverId", what))
}

/// Takes an application for a change (§7.5.2) from the server itself.
///
/// # Errors
/// 1104 if it names another server, 1003 for values that will not do, 1004 or 1202 if the server is not in good
/// standing, 1201 if another application of it is pending.
pub fn apply_update(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    caller: &ServerId,
    asked: Update,
    ticket: [u8; 32],
    audit: Vec<u8>,
) -> Result<Application, Error> {
    let mut changes = asked.changes;
    if asked.server_id.is_some_and(|id| id != *caller) {
        return Err(Error::field(Code::MayNotActFor, "serverInfo.serverId", "is not the server that asks"));
    }
    if let Some(address) = &mut changes.server_address {
        *address = check::address(address)?;
    }
    changes.contact_email.as_deref().map(check::email).transpose()?;
    changes.contact_mobile.as_deref().map(check::mobile).transpose()?;
    let before = Some(Box::new(server::active(tx, caller)?.info));
    submit(tx, scene, caller.clone(), Asked::Update { changes: Box::new(changes), before }, ticket, audit)
}

/// Takes an application for deregistration (§7.5.3) from the server itself.
///
/// # Errors
/// 1004 or 1202 if the server is not in good standing, 1201 if another application of it is pending.
pub fn apply_deregister(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    caller: &ServerId,
    reason: String,
    ticket: [u8; 32],
    audit: Vec<u8>,
) -> Result<Application, Error> {
    server::active(tx, caller)?;
    submit(tx, scene, caller.clone(), Asked::Deregister { reason }, ticket, audit)
}

/// One application, for the administrator.
///
/// # Errors
/// If storage fails.
pub fn get(reader: &(impl Reader + ?Sized), id: &TimeId) -> Result<Option<Application>, StoreError> {
    reader.get(APPLICATIONS, &id.0)?.map(|v| row::parse(&v, WHAT)).transpose()
}

/// Applications, the oldest first; of one state only if that is given.
///
/// # Errors
/// If storage fails.
pub fn list(reader: &(impl Reader + ?Sized), state: Option<ApplicationState>) -> Result<Vec<Application>, StoreError> {
    if state == Some(ApplicationState::Pending) {
        return pending(reader);
    }
    let rows = reader.scan(APPLICATIONS, Bound::Unbounded, Bound::Unbounded, usize::MAX, false)?;
    let all = rows.iter().map(|(_, v)| row::parse::<Application>(v, WHAT));
    all.filter(|a| a.as_ref().map_or(true, |a| state.is_none_or(|s| s == a.state))).collect()
}

fn pending(reader: &(impl Reader + ?Sized)) -> Result<Vec<Application>, StoreError> {
    let mut found = Vec::new();
    for (_, id) in reader.scan(PENDING, Bound::Unbounded, Bound::Unbounded, usize::MAX, false)? {
        let id = TimeId(id.try_into().map_err(|_| StoreError::Malformed { what: WHAT })?);
        found.push(get(reader, &id)?.ok_or(StoreError::Malformed { what: WHAT })?);
    }
    found.sort_unstable_by_key(|a| a.id);
    Ok(found)
}

/// What an applicant is told (R15). An unknown application and a wrong ticket are not told apart.
///
/// # Errors
/// 1004.
pub fn follow_up(
    reader: &(impl Reader + ?Sized),
    application_id: &str,
    ticket: [u8; 32],
) -> Result<ApplicationAnswer, Error> {
    let application = of_ticket(reader, application_id, ticket)?;
    Ok(ApplicationAnswer { state: application.state, reason: application.reason, certificate: application.certificate })
}

fn of_ticket(reader: &(impl Reader + ?Sized), application_id: &str, ticket: [u8; 32]) -> Result<Application, Error> {
    let found = match TimeId::parse(application_id) {
        Some(id) => get(reader, &id)?,
        None => None,
    };
    // blake3's hashes compare in constant time.
    let same = |a: &Application| blake3::Hash::from_bytes(a.ticket) == blake3::Hash::from_bytes(ticket);
    found
        .filter(same)
        .ok_or_else(|| Error::refused(Code::NotFound, "there is no such application, or the ticket is not its own"))
}

/// The server, in good standing, that was registered by the application whose ticket this is: who may have a certificate for the
/// key of its last one although that is over.
///
/// # Errors
/// 1004 as [`follow_up`]; 1202 if the server is not in good standing or its newest certificate is revoked.
pub fn returning(
    reader: &(impl Reader + ?Sized),
    application_id: &str,
    ticket: [u8; 32],
) -> Result<Registration, Error> {
    let application = of_ticket(reader, application_id, ticket)?;
    if application.state != ApplicationState::Approved || !matches!(application.asked, Asked::Register { .. }) {
        return Err(Error::refused(Code::WrongState, "this application has registered no server"));
    }
    let registration = server::active(reader, &application.server_id)?;
    if registration.certificates.last().is_none_or(|newest| newest.revoked_ms.is_some()) {
        return Err(Error::refused(Code::WrongState, "the certificate is revoked"));
    }
    Ok(registration)
}

fn undecided(reader: &(impl Reader + ?Sized), id: &TimeId) -> Result<Application, Error> {
    let application = get(reader, id)?.ok_or_else(|| Error::refused(Code::NotFound, "there is no such application"))?;
    match application.state {
        ApplicationState::Pending => Ok(application),
        ApplicationState::Approved => Err(Error::refused(Code::AlreadyExists, "it is approved already")),
        ApplicationState::Rejected => Err(Error::refused(Code::AlreadyExists, "it is rejected already")),
    }
}

fn decide(tx: &mut Tx<'_>, scene: &Scene<'_>, application: &mut Application, by: &str, state: ApplicationState) {
    application.state = state;
    application.decided_ms = Some(scene.now_ms);
    application.decided_by = Some(by.to_owned());
    tx.delete(PENDING, application.server_id.folded().as_bytes());
}

/// Approves an application; with the last of the reviewers it is carried out, and there is a registration. For a change of address
/// the certificate follows when the server renews it (its host is part of it, R13).
///
/// # Errors
/// 1004 if there is none, 1201 if it is decided already, this administrator has approved it already or the ID is taken, 1202 if
/// the server's standing does not permit it, 1002 if a registration comes without a certificate.
pub fn approve(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    approve: Approve,
    audit: Vec<u8>,
) -> Result<(Application, Option<Registration>), Error> {
    let Approve { id, by, role, reason, reviewers, issued } = approve;
    let mut application = undecided(tx, &id)?;
    let by_role = |earlier: &Approval| earlier.role.map_or(earlier.by == role.as_str(), |of| of == role);
    if application.approvals.iter().any(by_role) {
        let words = "an administrator of this role has approved it already: one of another has to";
        return Err(Error::refused(Code::AlreadyExists, words));
    }
    let reason = reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
    application.approvals.push(Approval { by: by.clone(), role: Some(role), at_ms: scene.now_ms, reason });
    if application.approvals.len() < reviewers {
        put(tx, &application);
        tx.audit(audit);
        return Ok((application, None));
    }
    decide(tx, scene, &mut application, &by, ApplicationState::Approved);
    let registration = carry_out(tx, scene, &mut application, issued)?;
    put(tx, &application);
    tx.audit(audit);
    Ok((application, Some(registration)))
}

fn carry_out(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    application: &mut Application,
    issued: Option<Issued>,
) -> Result<Registration, Error> {
    let mut registration = match &application.asked {
        Asked::Register { info, owner_id, .. } => {
            refuse_used(tx, &application.server_id)?;
            if issued.is_none() {
                return Err(Error::field(Code::MissingField, "certificate", "is missing"));
            }
            Registration::new((**info).clone(), owner_id.clone(), scene.now_ms)
        }
        Asked::Update { .. } | Asked::Deregister { .. } => server::expect(tx, &application.server_id)?,
    };
    if let Some(issued) = issued {
        application.certificate = Some(issued.chain.clone());
        registration.add(issued, scene.now_ms);
    }
    match &application.asked {
        Asked::Register { .. } => {}
        Asked::Update { changes, .. } => registration.apply((**changes).clone())?,
        Asked::Deregister { .. } => registration.change(Change::Deregister, scene.now_ms)?,
    }
    serial::publish(tx, &mut registration, scene.now_ms)?;
    Ok(registration)
}

/// Rejects an application; the applicant is told why.
///
/// # Errors
/// 1002 without a reason, 1004 if there is none, 1201 if it is decided already.
pub fn reject(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    id: &TimeId,
    by: &str,
    reason: &str,
    audit: Vec<u8>,
) -> Result<Application, Error> {
    if reason.trim().is_empty() {
        return Err(Error::field(Code::MissingField, "reason", "is missing or empty"));
    }
    let mut application = undecided(tx, id)?;
    decide(tx, scene, &mut application, by, ApplicationState::Rejected);
    application.reason = Some(reason.trim().to_owned());
    put(tx, &application);
    tx.audit(audit);
    Ok(application)
}
