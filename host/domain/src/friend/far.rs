//! Acts of users of other servers, and what becomes of errands to them.

use isthmus_store::Tx;
use isthmus_wire::call::user::{Add, Delete, Respond};
use isthmus_wire::call::{USER_ADD, USER_ANSWER};
use isthmus_wire::{Code, ServerId, UserId};
use serde_json::json;

use super::arrive::{self, Far, Other};
use super::link::Stand;
use super::{enabled, row, tell};
use crate::account::{self, User};
use crate::done::Done;
use crate::errand::Errand;
use crate::error::Error;
use crate::outbox::Settlement;
use crate::scene::{Scene, TimeId};
use crate::speaker;

/// A call of another server.
#[derive(Debug, Clone)]
pub struct Come {
    /// The server, as its certificate says.
    pub peer: ServerId,
    /// Its own name for the call, if it gave one that is unique (a UUID): with the same name it is the same call again.
    pub name: Option<TimeId>,
    /// When a call back is given up, in milliseconds since 1970 UTC.
    pub expires_ms: u64,
    /// The audit record.
    pub audit: Vec<u8>,
}

impl Come {
    fn far(&self) -> Far<'_> {
        Far { peer: &self.peer, name: self.name, expires_ms: self.expires_ms }
    }
}

/// The local user that a peer's call is about.
fn local(tx: &Tx<'_>, own: &ServerId, id: &UserId) -> Result<User, Error> {
    let id = enabled(tx, own, id, "userID")?;
    let nobody = || Error::field(Code::NotFound, "userID", format_args!("there is no user {id} here"));
    account::find_user(tx, &id)?.ok_or_else(nobody)
}

/// `POST /sns/add/users` (§7.6.3): a user of `peer` asks. Comes it again, nothing changes.
///
/// # Errors
/// 1104 if the asker is not at home at the peer (R12), 1004 if there is nobody to be asked, 1202 if that user's list is
/// full, 1302 if the asker's home must first be asked of the platform.
pub fn asked(tx: &mut Tx<'_>, scene: &mut Scene<'_>, come: Come, add: Add) -> Result<Done, Error> {
    speaker::claim(tx, scene.home, &come.peer, &add.user_info.user_id, "userInfo.userID")?;
    let user = local(tx, scene.home, &add.user_id)?;
    let other = Other { info: &add.user_info, far: Some(come.far()) };
    let done = arrive::request(tx, scene, &user, &other, add.remark)?;
    tx.audit(come.audit);
    Ok(done)
}

/// `POST /sns/rsp/users` (§7.6.4): a user of `peer` answers. Comes the same answer again, nothing changes.
///
/// # Errors
/// 1104 if the answerer is not at home at the peer (R12), 1004 if there is no such asker here, 1202 if it has no open
/// request (R18), 1302 as [`asked`].
pub fn answered(tx: &mut Tx<'_>, scene: &mut Scene<'_>, come: Come, respond: &Respond) -> Result<Done, Error> {
    speaker::claim(tx, scene.home, &come.peer, &respond.user_info.user_id, "userInfo.userID")?;
    let user = local(tx, scene.home, &respond.user_id)?;
    let other = Other { info: &respond.user_info, far: Some(come.far()) };
    let done = arrive::answer(tx, scene, &user, &other, respond.is_agree.0)?;
    tx.audit(come.audit);
    Ok(done)
}

/// `POST /sns/del/users` (§7.6.5): a user of `peer` ends a friendship or takes a request back. Where there is none it is
/// done already.
///
/// # Errors
/// 1104 if the requester is not at home at the peer (R12), 1004 if there is no such user here, 1302 as [`asked`].
pub fn deleted(tx: &mut Tx<'_>, scene: &mut Scene<'_>, come: Come, delete: &Delete) -> Result<Done, Error> {
    speaker::claim(tx, scene.home, &come.peer, &delete.requester_id, "requesterID")?;
    let user = enabled(tx, scene.home, &delete.user_id, "userID")?;
    let done = arrive::deletion(tx, scene, &user, &delete.requester_id, Some(come.far()))?;
    tx.audit(come.audit);
    Ok(done)
}

/// What follows from the end of an errand: a request or a yes that the other server never took is taken back, if nothing
/// has happened between the two since, and the user is told.
pub(crate) fn settled(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    errand: &Errand,
    settlement: &Settlement,
) -> Result<Done, Error> {
    let (state, refusal) = match settlement {
        // 1201: the other server has it already.
        Settlement::Delivered | Settlement::Refused { code: Code::AlreadyExists, .. } => return Ok(Done::default()),
        Settlement::Refused { code, message } => ("refused", Some((code, message))),
        Settlement::Expired => ("expired", None),
    };
    let (Some(user), Ok(other)) = (&errand.actor, UserId::parse(&errand.target)) else { return Ok(Done::default()) };
    let Some(mut link) = row::find(tx, user, &other)? else { return Ok(Done::default()) };
    if link.turn.to_string() != errand.tag {
        return Ok(Done::default());
    }
    let kind = match (errand.call.as_str(), link.stand) {
        (call, Stand::Asked) if call == USER_ADD.name => tell::REQUEST,
        (call, Stand::Friends) if call == USER_ANSWER.name => tell::ANSWER,
        _ => return Ok(Done::default()),
    };
    link.open(Stand::None, None);
    row::turn(tx, scene, user, &mut link)?;
    let mut body = tell::body("out", &other);
    body["state"] = json!(state);
    if let Some((code, message)) = refusal {
        (body["code"], body["msg"]) = (json!(code.number()), json!(message));
    }
    let delivery = tell::devices(tx, scene, user, kind, body)?;
    Ok(Done { deliveries: vec![delivery], letters: Vec::new() })
}
