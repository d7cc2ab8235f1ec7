//! How somebody becomes a member (§7.7.4, §7.7.5): invited by a member and agreeing (R20), or applying and let in by the
//! owner, an admin or a ticket of theirs (R21). These are main's rules; [`open`] has the other side's.

use isthmus_store::Tx;
use isthmus_wire::call;
use isthmus_wire::call::group::{Invite, Notice, OperType, UserType};
use isthmus_wire::{Code, GroupId, ReqInfo, ServerId, UserId, UserInfo};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::log;
use super::manage::Act;
use super::member::{self, MEMBERS_MAX, Member, of_group};
use super::notice::{self, Change, plain};
use super::open;
use super::row::{self as rows, Base, Group};
use super::stamp::Stamp;
use super::ticket;
use crate::account::{self, user_key};
use crate::done::Done;
use crate::errand::Said;
use crate::error::Error;
use crate::inbox::{self, Event};
use crate::news;
use crate::row;
use crate::scene::Scene;
use crate::speaker::{self, Home};
use crate::table::{APPLIED, INVITED};

/// How long an invitation may be answered, and an application decided: a week, in milliseconds.
pub const OPEN_MS: u64 = 7 * 24 * 3600 * 1000;
/// The most users in one invitation.
pub const INVITED_MAX: usize = 500;
const WHAT: &str = "an invitation";

/// An invitation or application that main waits for an answer to.
#[derive(Serialize, Deserialize)]
struct Asked {
    user: UserInfo,
    home: ServerId,
    /// Who invited; none: the user applied.
    by: Option<UserInfo>,
    expires_ms: u64,
}

/// Somebody who applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applicant {
    /// Who, with the words that came along as the remark.
    pub user: UserInfo,
    /// When the application lapses.
    pub expires_ms: u64,
}

type Table = isthmus_store::Table;

fn asked(tx: &Tx<'_>, table: Table, group: &Group, user: &UserId, now_ms: u64) -> Result<Option<Asked>, Error> {
    let place = of_group(&rows::key(tx, &group.id), &user_key(tx, user));
    let found: Option<Asked> = tx.get(table, &place)?.map(|value| row::parse(&value, WHAT)).transpose()?;
    Ok(found.filter(|asked| asked.expires_ms > now_ms))
}

fn put(tx: &mut Tx<'_>, table: Table, group: &Group, asked: &Asked) {
    let place = of_group(&rows::key(tx, &group.id), &user_key(tx, &asked.user.user_id));
    tx.put_owned(table, &place, row::json(asked));
}

fn drop_asked(tx: &mut Tx<'_>, table: Table, group: &GroupId, user: &UserId) {
    let place = of_group(&rows::key(tx, group), &user_key(tx, user));
    tx.delete(table, &place);
}

use isthmus_store::Reader;

/// `groupreq` at the main server, step 1 (R20, R21): `inviter` invites `invited`, or applies if it is the only one of them.
///
/// # Errors
/// 1004, 1202, 1104 without such a group of ours, 1105 if the inviter may not invite, 1002, 1003 for the list, 1004 if none
/// of the invited is known, 1201 if all are members; for an application as `apply`.
pub fn request(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    act: &Act,
    inviter: &UserInfo,
    invited: &[UserInfo],
    home: &ServerId,
) -> Result<Done, Error> {
    match invited {
        [] => Err(Error::field(Code::MissingField, "inviteUsers", "is empty")),
        [only] if only.user_id == inviter.user_id => apply(tx, scene, act, only, home),
        many if many.len() > INVITED_MAX => {
            Err(Error::field(Code::InvalidField, "inviteUsers", format_args!("holds more than {INVITED_MAX}")))
        }
        many => invite(tx, scene, act, many),
    }
}

fn invite(tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, invited: &[UserInfo]) -> Result<Done, Error> {
    let mut group = rows::ours(tx, &act.group)?;
    let inviter = member::acting(tx, &group, &act.actor, "userID")?;
    if !group.open && !inviter.leads() {
        return Err(Error::refused(Code::NotPermitted, "only the group's owner and admins may invite"));
    }
    let (mut known, mut let_in, mut away) = (0, Vec::new(), Vec::<(ServerId, Vec<UserInfo>)>::new());
    let mut done = Done::default();
    for user in invited {
        let Some((user, home)) = whereabouts(tx, scene, user)? else { continue };
        known += 1;
        if member::get(tx, &group, &user.user_id)?.is_some() {
            continue;
        }
        // Who applied and is invited by those who decide has both words.
        if inviter.leads() && asked(tx, APPLIED, &group, &user.user_id, scene.now_ms)?.is_some() {
            let_in.push((user, home));
            continue;
        }
        let asked = Asked {
            user: plain(&user),
            home: home.clone(),
            by: Some(plain(&inviter.info)),
            expires_ms: scene.now_ms + OPEN_MS,
        };
        put(tx, INVITED, &group, &asked);
        if home == *scene.home {
            done.deliveries.extend(open::invited_here(tx, scene, &group.info(), &inviter.info, &user)?);
        } else if let Some((_, users)) = away.iter_mut().find(|(server, _)| *server == home) {
            users.push(plain(&user));
        } else {
            away.push((home, vec![plain(&user)]));
        }
    }
    if known == 0 {
        return Err(Error::field(Code::NotFound, "inviteUsers", "nobody among them is known"));
    }
    if away.is_empty() && let_in.is_empty() && done.deliveries.is_empty() {
        return all_there(tx, &group, invited);
    }
    for (server, users) in away {
        done.letters.push(step_two(tx, scene, &group, &inviter.info, &server, users, act.expires_ms)?);
    }
    if !let_in.is_empty() {
        done.extend(add(tx, scene, &mut group, &inviter.info, let_in, act.expires_ms)?);
    }
    Ok(done)
}

/// Nothing was left to do: repeated invitations are fine, members are not to be invited.
fn all_there(tx: &Tx<'_>, group: &Group, invited: &[UserInfo]) -> Result<Done, Error> {
    for user in invited {
        if member::get(tx, group, &user.user_id)?.is_none() {
            return Ok(Done::default());
        }
    }
    Err(Error::field(Code::AlreadyExists, "inviteUsers", "all of them are members"))
}

/// Who the invited is, and its home; none if nobody knows.
fn whereabouts(tx: &Tx<'_>, scene: &Scene<'_>, user: &UserInfo) -> Result<Option<(UserInfo, ServerId)>, Error> {
    match speaker::home_of(tx, scene.home, &user.user_id)? {
        Home::Own => {
            let Some(id) = account::local_id(scene.home, &user.user_id) else { return Ok(None) };
            let found = account::find_user(tx, &id)?.filter(|user| !user.disabled);
            Ok(found.map(|found| (open::person(&found), scene.home.clone())))
        }
        Home::Server(home) => Ok(Some((user.clone(), home))),
        Home::Ask(_) | Home::Unknown => Ok(None),
    }
}

fn step_two(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    group: &Group,
    inviter: &UserInfo,
    server: &ServerId,
    users: Vec<UserInfo>,
    expires_ms: u64,
) -> Result<crate::outbox::Waiting, Error> {
    let req_info = ReqInfo { group_info: group.info(), user_info: plain(inviter), invite_users: users };
    let mut said = vec![Said::new("group.text", "/reqInfo/groupInfo/groupName")];
    said.extend(Said::of_user("/reqInfo/userInfo", &req_info.user_info));
    for (at, user) in req_info.invite_users.iter().enumerate() {
        said.extend(Said::of_user(&format!("/reqInfo/inviteUsers/{at}"), user));
    }
    let body = Invite { req_info };
    let (to, by) = ((&group.id, server), &inviter.user_id);
    Ok(notice::errand(tx, scene, &call::GROUP_INVITE, to, by, &body, said, String::new(), expires_ms)?)
}

/// What became of an invitation's second step: one that did not arrive is open no more, and its inviter is told.
pub(crate) fn invite_settled(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    group: &GroupId,
    body: &Invite,
    words: (i32, &str),
) -> Result<Done, Error> {
    let mut done = Done::default();
    for user in &body.req_info.invite_users {
        drop_asked(tx, INVITED, group, &user.user_id);
        let answer = json!({"groupID": group, "user": user, "result": "failed", "code": words.0, "msg": words.1});
        tell_one(tx, scene, &body.req_info.user_info.user_id, "group.answer", answer, &mut done)?;
    }
    Ok(done)
}

fn tell_one(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    user: &UserId,
    kind: &str,
    body: serde_json::Value,
    done: &mut Done,
) -> Result<(), Error> {
    let Some(user) = account::local_id(scene.home, user) else { return Ok(()) };
    if account::is_enabled(tx, &user)? {
        let news = news::put(tx, scene, kind, body);
        done.deliveries.push(inbox::append(tx, &user, scene.now_ms, Event::News(news))?);
    }
    Ok(())
}

/// An application to join (R21): a ticket, or an open invitation, lets in at once; else owner and admins here are told.
/// The ticket stands in the applicant's `remark`.
///
/// # Errors
/// 1004, 1202 without such a group, and without a ticket for one that search does not find; 1201 if the applicant is a
/// member; 1202 for a ticket that is not good.
fn apply(tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, user: &UserInfo, home: &ServerId) -> Result<Done, Error> {
    let mut group = rows::ours(tx, &act.group)?;
    if member::get(tx, &group, &user.user_id)?.is_some() {
        return Err(Error::field(Code::AlreadyExists, "userID", "is a member already"));
    }
    let remark = user.remark.as_deref().unwrap_or_default();
    if ticket::is_one(remark) {
        let issuer = ticket::verify(tx, &group, remark, scene.now_ms)?;
        return add(tx, scene, &mut group, &issuer.info, vec![(user.clone(), home.clone())], act.expires_ms);
    }
    if let Some(Asked { by: Some(by), .. }) = asked(tx, INVITED, &group, &user.user_id, scene.now_ms)? {
        return add(tx, scene, &mut group, &by, vec![(user.clone(), home.clone())], act.expires_ms);
    }
    if !group.visible {
        return Err(Error::field(Code::NotFound, "groupID", format_args!("there is no group {} here", group.id)));
    }
    let again = asked(tx, APPLIED, &group, &user.user_id, scene.now_ms)?.is_some();
    let shown = UserInfo { phone_number: None, ..user.clone() };
    let expires_ms = scene.now_ms + OPEN_MS;
    let asked = Asked { user: shown.clone(), home: home.clone(), by: None, expires_ms };
    put(tx, APPLIED, &group, &asked);
    let mut done = Done::default();
    if !again {
        let body = json!({"groupID": group.id, "groupInfo": group.info(), "user": shown, "expiresMs": expires_ms});
        for local in member::locals(tx, &group)? {
            if member::get(tx, &group, &local)?.is_some_and(|member| member.leads()) {
                tell_one(tx, scene, &local, "group.request", body.clone(), &mut done)?;
            }
        }
    }
    Ok(done)
}

/// `grouprep` at the main server (§7.7.5): the invited user's answer.
///
/// # Errors
/// 1004, 1202, 1104 without such a group of ours, 1202 without an open invitation. A member who agrees again is told 0.
pub fn answer(tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, agree: bool) -> Result<Done, Error> {
    let mut group = rows::ours(tx, &act.group)?;
    if member::get(tx, &group, &act.actor)?.is_some() && agree {
        return Ok(Done::default());
    }
    let open = asked(tx, INVITED, &group, &act.actor, scene.now_ms)?;
    let Some(Asked { user, home, by: Some(by), .. }) = open else {
        return Err(Error::field(Code::WrongState, "userID", "there is no open invitation for this user"));
    };
    drop_asked(tx, INVITED, &group.id, &act.actor);
    let mut done = Done::default();
    let result = if agree { "agreed" } else { "declined" };
    let told = json!({"groupID": group.id, "groupInfo": group.info(), "user": user, "result": result});
    tell_one(tx, scene, &by.user_id, "group.answer", told, &mut done)?;
    if agree {
        done.extend(add(tx, scene, &mut group, &by, vec![(user, home)], act.expires_ms)?);
    } else {
        open::close(tx, &group.id, &act.actor);
    }
    Ok(done)
}

/// The decision on an application: by the owner or an admin.
///
/// # Errors
/// 1004, 1202, 1104 without such a group of ours, 1105 for whoever may not decide, 1202 without an open application.
pub fn decide(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    act: &Act,
    applicant: &UserId,
    agree: bool,
) -> Result<Done, Error> {
    let mut group = rows::ours(tx, &act.group)?;
    let decider = member::acting(tx, &group, &act.actor, "userID")?;
    if !decider.leads() {
        return Err(Error::refused(Code::NotPermitted, "only the group's owner and admins may decide"));
    }
    let Some(Asked { user, home, .. }) = asked(tx, APPLIED, &group, applicant, scene.now_ms)? else {
        return Err(Error::field(Code::WrongState, "userID", "there is no open application of this user"));
    };
    drop_asked(tx, APPLIED, &group.id, applicant);
    if agree {
        return add(tx, scene, &mut group, &decider.info, vec![(user, home)], act.expires_ms);
    }
    turned_down(tx, scene, &group, &decider, &user, &home, act.expires_ms)
}

/// The standard names no call for a refusal: the applicant's server alone is told what it is told of those who were
/// removed (`operType` 2).
fn turned_down(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    group: &Group,
    decider: &Member,
    user: &UserInfo,
    home: &ServerId,
    expires_ms: u64,
) -> Result<Done, Error> {
    let mut done = Done::default();
    open::close(tx, &group.id, &user.user_id);
    if home == scene.home {
        let told = json!({"groupID": group.id, "groupInfo": group.info(), "user": user, "result": "declined"});
        tell_one(tx, scene, &user.user_id, "group.answer", told, &mut done)?;
        return Ok(done);
    }
    let notice = Notice {
        group_info: group.info(),
        oper_type: OperType::Removed,
        oper_user: plain(&decider.info),
        grpset: None,
        users: vec![plain(user)],
    };
    let key = rows::key(tx, &group.id);
    let after = log::position(tx, &key, group)?.unwrap_or(Base::Start);
    let stamp = Stamp { revision: group.revision, after };
    done.letters.push(notice::send(tx, scene, home, &notice, &stamp, expires_ms)?);
    Ok(done)
}

/// Makes users members, and tells everybody.
fn add(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    group: &mut Group,
    actor: &UserInfo,
    users: Vec<(UserInfo, ServerId)>,
    expires_ms: u64,
) -> Result<Done, Error> {
    let many = u32::try_from(users.len()).unwrap_or(u32::MAX);
    if group.members.saturating_add(many) > MEMBERS_MAX {
        let words = format_args!("the group has {} members, and {MEMBERS_MAX} is the most", group.members);
        return Err(Error::field(Code::WrongState, "groupID", words));
    }
    let mut added = Vec::new();
    for (info, home) in users {
        drop_asked(tx, INVITED, &group.id, &info.user_id);
        drop_asked(tx, APPLIED, &group.id, &info.user_id);
        open::close(tx, &group.id, &info.user_id);
        let member = Member { info: plain(&info), kind: UserType::Member, home: Some(home) };
        if member::put(tx, scene.home, group, member)? {
            added.push(info);
        }
    }
    if added.is_empty() {
        return Ok(Done::default());
    }
    // Servers that are new to the group learn its settings with it.
    let change = Change { set: true, ..Change::new(OperType::Added, actor, added) };
    notice::announce(tx, scene, group, change, expires_ms)
}

/// Who applies to a group of ours.
///
/// # Errors
/// If storage fails.
pub fn applicants(
    reader: &(impl Reader + ?Sized),
    group: &Group,
    now_ms: u64,
) -> Result<Vec<Applicant>, isthmus_store::StoreError> {
    let rows = reader.prefix(APPLIED, &rows::key(reader, &group.id), usize::MAX, false)?;
    let mut found = Vec::new();
    for (_, value) in &rows {
        let Asked { user, expires_ms, .. } = row::parse(value, WHAT)?;
        if expires_ms > now_ms {
            found.push(Applicant { user, expires_ms });
        }
    }
    Ok(found)
}
