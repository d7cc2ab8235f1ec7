//! Join tickets (R21): what a QR code carries. Main signs that an owner or admin lets whoever presents it in, until a
//! time; the applicant's server hands it over in the applicant's `remark`, a field of the standard, so that it works from
//! any server.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{Code, GroupId, UserId};

use super::member;
use super::row::{self as rows, Group};
use crate::error::Error;
use crate::row::{Cut, put_short};
use crate::scene::Scene;

/// How a ticket begins.
pub const PREFIX: &str = "isthmus-join:";
const WHAT: &str = "a join ticket";
/// The longest that a ticket may be good for: 30 days.
pub const LIFE_MAX_MS: u64 = 30 * 24 * 3600 * 1000;

struct Ticket {
    group: GroupId,
    issuer: UserId,
    expires_ms: u64,
    series: u32,
}

fn invalid(what: &str) -> Error {
    Error::field(Code::WrongState, "ticket", what)
}

fn open(text: &str) -> Option<(Vec<u8>, [u8; 32])> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim().strip_prefix(PREFIX)?).ok()?;
    let (body, mac) = bytes.split_last_chunk::<32>()?;
    Some((body.to_vec(), *mac))
}

fn read(body: &[u8]) -> Result<Ticket, StoreError> {
    let mut cut = Cut::new(body, WHAT);
    let expires_ms = cut.u64()?;
    let series = u32::from_be_bytes(cut.array()?);
    let _nonce: [u8; 8] = cut.array()?;
    let group = GroupId::parse(cut.short_text()?).map_err(|_| cut.wrong())?;
    let issuer = UserId::parse(cut.text()?).map_err(|_| cut.wrong())?;
    Ok(Ticket { group, issuer, expires_ms, series })
}

/// Whether a text is a ticket, good or not.
#[must_use]
pub fn is_one(text: &str) -> bool {
    text.trim().starts_with(PREFIX)
}

/// The group that a ticket names. Says nothing about whether it is good: only main can tell.
///
/// # Errors
/// 1003 if it is no ticket.
pub fn group_of(text: &str) -> Result<GroupId, Error> {
    let ticket = open(text).and_then(|(body, _)| read(&body).ok());
    ticket.map(|t| t.group).ok_or_else(|| Error::field(Code::InvalidField, "ticket", "is no join ticket"))
}

/// A ticket that `issuer`, owner or admin, signs by this server, good until `expires_ms`.
///
/// # Errors
/// 1004, 1202, 1104 without such a group of ours, 1105 for whoever is neither owner nor admin, 1003 for a time that lies
/// in the past or more than 30 days ahead.
pub fn issue(
    reader: &(impl Reader + ?Sized),
    scene: &mut Scene<'_>,
    group: &GroupId,
    issuer: &UserId,
    expires_ms: u64,
) -> Result<String, Error> {
    let group = rows::ours(reader, group)?;
    if !member::acting(reader, &group, issuer, "userID")?.leads() {
        return Err(Error::refused(Code::NotPermitted, "only the group's owner and admins may let others in"));
    }
    if expires_ms <= scene.now_ms || expires_ms > scene.now_ms + LIFE_MAX_MS {
        return Err(Error::field(Code::InvalidField, "expiresMs", "must be ahead, by 30 days at most"));
    }
    let mut body = expires_ms.to_be_bytes().to_vec();
    body.extend_from_slice(&group.tickets.to_be_bytes());
    let mut nonce = [0; 8];
    (scene.random)(&mut nonce);
    body.extend_from_slice(&nonce);
    put_short(&mut body, group.id.as_str());
    body.extend_from_slice(issuer.as_str().as_bytes());
    let mac = reader.index_hash(WHAT, &body);
    body.extend_from_slice(&mac);
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&body)))
}

/// Makes all tickets of a group void that are out.
///
/// # Errors
/// As [`issue`].
pub fn withdraw(tx: &mut Tx<'_>, group: &GroupId, user: &UserId) -> Result<(), Error> {
    let mut group = rows::ours(tx, group)?;
    if !member::acting(tx, &group, user, "userID")?.leads() {
        return Err(Error::refused(Code::NotPermitted, "only the group's owner and admins may withdraw tickets"));
    }
    group.tickets = group.tickets.wrapping_add(1);
    let key = rows::key(tx, &group.id);
    rows::put(tx, &key, &group);
    Ok(())
}

/// Who let the bearer in: owner or admin still.
///
/// # Errors
/// 1202 for a ticket that is forged, expired, withdrawn or of another group, or whose issuer may let nobody in any more.
pub(crate) fn verify(
    reader: &(impl Reader + ?Sized),
    group: &Group,
    text: &str,
    now_ms: u64,
) -> Result<member::Member, Error> {
    let (body, mac) = open(text).ok_or_else(|| invalid("is no join ticket"))?;
    let right = blake3::Hash::from_bytes(reader.index_hash(WHAT, &body));
    // Compares in constant time.
    if right != blake3::Hash::from_bytes(mac) {
        return Err(invalid("was not issued by this server"));
    }
    let ticket = read(&body)?;
    if ticket.group != group.id || ticket.series != group.tickets {
        return Err(invalid("is of another group or was withdrawn"));
    }
    if ticket.expires_ms <= now_ms {
        return Err(invalid("has expired"));
    }
    let issuer = member::get(reader, group, &ticket.issuer)?.filter(member::Member::leads);
    issuer.ok_or_else(|| invalid("was issued by somebody who may let nobody in any more"))
}
