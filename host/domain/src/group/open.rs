//! Open questions of local users: invitations that they have not answered (R20, step 2), applications that nobody has
//! decided (R21).

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::call::group::Notice;
use isthmus_wire::record::UserInfo;
use isthmus_wire::{Code, GroupId, GroupInfo, ReqInfo, ServerId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::join::OPEN_MS;
use super::member::{self, of_group};
use super::notice::plain;
use super::row as rows;
use crate::account::{self, User, user_key};
use crate::done::Done;
use crate::error::Error;
use crate::inbox::{self, Delivery, Event};
use crate::news;
use crate::profile::Eyes;
use crate::row;
use crate::scene::Scene;
use crate::speaker;
use crate::table::PENDING_GROUPS;

const WHAT: &str = "an open invitation";

/// An invitation of, or application by, a local user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The group, as its main server described it; of an application perhaps only its ID.
    pub group: GroupId,
    /// Its details, if they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<GroupInfo>,
    /// Who invites; none: the user applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserInfo>,
    /// When it lapses, in milliseconds since 1970 UTC.
    pub expires_ms: u64,
}

/// A local user as others in a group learn it.
pub(crate) fn person(user: &User) -> UserInfo {
    UserInfo { remark: None, ..user.info(Eyes::Stranger) }
}

/// The same, by ID; none if there is no such enabled user.
///
/// # Errors
/// If storage fails.
pub fn person_of(reader: &(impl Reader + ?Sized), id: &UserId) -> Result<Option<UserInfo>, StoreError> {
    Ok(account::find_user(reader, id)?.filter(|user| !user.disabled).as_ref().map(person))
}

fn place(reader: &(impl Reader + ?Sized), group: &GroupId, user: &UserId) -> [u8; 32] {
    of_group(&user_key(reader, user), &rows::key(reader, group))
}

/// A local user's open question about a group.
///
/// # Errors
/// If storage fails.
pub fn get(
    reader: &(impl Reader + ?Sized),
    group: &GroupId,
    user: &UserId,
    now_ms: u64,
) -> Result<Option<Open>, StoreError> {
    let value = reader.get(PENDING_GROUPS, &place(reader, group, user))?;
    let open: Option<Open> = value.map(|value| row::parse(&value, WHAT)).transpose()?;
    Ok(open.filter(|open| open.expires_ms > now_ms))
}

/// A local user's open questions.
///
/// # Errors
/// If storage fails.
pub fn list(reader: &(impl Reader + ?Sized), user: &UserId, now_ms: u64) -> Result<Vec<Open>, StoreError> {
    let rows = reader.prefix(PENDING_GROUPS, &user_key(reader, user), usize::MAX, false)?;
    let mut found: Vec<Open> = Vec::with_capacity(rows.len());
    for (_, value) in &rows {
        found.push(row::parse(value, WHAT)?);
    }
    found.retain(|open| open.expires_ms > now_ms);
    Ok(found)
}

fn put(tx: &mut Tx<'_>, user: &UserId, open: &Open) {
    let place = place(tx, &open.group, user);
    tx.put_owned(PENDING_GROUPS, &place, row::json(open));
}

/// Nothing is open any more.
pub fn close(tx: &mut Tx<'_>, group: &GroupId, user: &UserId) {
    let place = place(tx, group, user);
    tx.delete(PENDING_GROUPS, &place);
}

/// Notes that a local user applied to a group of another server.
///
/// # Errors
/// 1201 if the user is a member.
pub fn applied(
    tx: &mut Tx<'_>,
    group: &GroupId,
    info: Option<GroupInfo>,
    user: &UserId,
    expires_ms: u64,
) -> Result<(), Error> {
    if let Some(known) = rows::find(tx, group)?
        && member::get(tx, &known, user)?.is_some()
    {
        return Ok(());
    }
    put(tx, user, &Open { group: group.clone(), info, by: None, expires_ms });
    Ok(())
}

/// A local user is invited. Nothing to push if the invitation was open already.
pub(crate) fn invited_here(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    info: &GroupInfo,
    by: &UserInfo,
    user: &UserInfo,
) -> Result<Option<Delivery>, Error> {
    let expires_ms = scene.now_ms + OPEN_MS;
    let id = &user.user_id;
    let again = get(tx, &info.group_id, id, scene.now_ms)?.is_some_and(|open| open.by.is_some());
    let by = plain(by);
    let open = Open { group: info.group_id.clone(), info: Some(info.clone()), by: Some(by.clone()), expires_ms };
    put(tx, id, &open);
    if again {
        return Ok(None);
    }
    let body = json!({"groupID": info.group_id, "groupInfo": info, "user": by, "expiresMs": expires_ms});
    let news = news::put(tx, scene, "group.invited", body);
    inbox::append(tx, id, scene.now_ms, Event::News(news)).map(Some)
}

/// A local user learns that an application was declined.
pub(crate) fn tell_declined(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    notice: &Notice,
    user: &UserId,
    done: &mut Done,
) -> Result<(), Error> {
    let info = &notice.group_info;
    let body = json!({"groupID": info.group_id, "groupInfo": info, "user": notice.oper_user, "result": "declined"});
    let news = news::put(tx, scene, "group.answer", body);
    done.deliveries.push(inbox::append(tx, user, scene.now_ms, Event::News(news))?);
    Ok(())
}

/// `groupreq` at the invited users' server, step 2 (R20): from the group's home.
///
/// # Errors
/// 1104 if `peer` is not the group's home, 1004 if nobody among the invited is a user here.
pub fn invited(tx: &mut Tx<'_>, scene: &mut Scene<'_>, peer: &ServerId, req: &ReqInfo) -> Result<Done, Error> {
    let group = &req.group_info.group_id;
    speaker::claim(tx, scene.home, peer, group, "reqInfo.groupInfo.groupID")?;
    let mirror = rows::find(tx, group)?;
    if mirror.as_ref().is_some_and(|mirror| mirror.home.as_ref() != Some(peer)) {
        let words = format_args!("{peer} is not the group's main server");
        return Err(Error::field(Code::MayNotActFor, "reqInfo.groupInfo.groupID", words));
    }
    let mut done = Done::default();
    let mut known = 0;
    for user in &req.invite_users {
        let Some(id) = account::local_id(scene.home, &user.user_id) else { continue };
        let Some(person) = person_of(tx, &id)? else { continue };
        known += 1;
        if let Some(mirror) = &mirror
            && member::get(tx, mirror, &id)?.is_some()
        {
            continue;
        }
        done.deliveries.extend(invited_here(tx, scene, &req.group_info, &req.user_info, &person)?);
    }
    if known == 0 {
        let words = "nobody among them is a user of this server";
        return Err(Error::field(Code::NotFound, "reqInfo.inviteUsers", words));
    }
    Ok(done)
}
