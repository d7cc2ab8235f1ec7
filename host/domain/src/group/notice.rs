//! Main tells every member's server, and its own members, what changed (§7.7.13).

use isthmus_store::{StoreError, Tx};
use isthmus_wire::call::group::{Notice, OperType};
use isthmus_wire::call::{self, CallSpec};
use isthmus_wire::{GroupId, GrpSet, ServerId, UserId, UserInfo, json};
use serde::Serialize;
use serde_json::{Value, json};

use super::log;
use super::member;
use super::row::{self as rows, Base, Group};
use super::stamp::Stamp;
use crate::done::Done;
use crate::errand::{Errand, Said};
use crate::error::Error;
use crate::inbox::{self, Event};
use crate::news;
use crate::outbox::{self, Waiting};
use crate::scene::Scene;

/// Users in one notice; more go in several.
const USERS_MAX: usize = 200;
/// News about a group, as clients know it.
pub(crate) const NEWS: &str = "group.notice";

/// A change that main has made.
pub(crate) struct Change<'a> {
    pub(crate) oper: OperType,
    pub(crate) actor: &'a UserInfo,
    /// To whom it was done.
    pub(crate) users: Vec<UserInfo>,
    /// Whether the settings are told too.
    pub(crate) set: bool,
    /// Servers that are told though no member is at home there any more.
    pub(crate) also: Vec<ServerId>,
    /// Local users who are told though they are no members any more.
    pub(crate) told: Vec<UserId>,
}

impl<'a> Change<'a> {
    pub(crate) fn new(oper: OperType, actor: &'a UserInfo, users: Vec<UserInfo>) -> Self {
        Self { oper, actor, users, set: false, also: Vec::new(), told: Vec::new() }
    }
}

/// Who somebody is, as others in the group learn it: no phone number, no words.
pub(crate) fn plain(info: &UserInfo) -> UserInfo {
    UserInfo { phone_number: None, remark: None, ..info.clone() }
}

/// Numbers the change, keeps the group, and tells everybody.
pub(crate) fn announce(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    group: &mut Group,
    change: Change<'_>,
    expires_ms: u64,
) -> Result<Done, Error> {
    let key = rows::key(tx, &group.id);
    let mut servers = member::servers(tx, scene.home, &key)?;
    servers.extend(change.also.into_iter().filter(|server| server != scene.home));
    servers.sort();
    servers.dedup();
    let after = log::position(tx, &key, group)?.unwrap_or(Base::Start);
    let users: Vec<UserInfo> = change.users.iter().map(plain).collect();
    let mut done = Done::default();
    let parts: Vec<&[UserInfo]> = if users.is_empty() { vec![&[]] } else { users.chunks(USERS_MAX).collect() };
    for users in parts {
        group.revision += 1;
        let notice = Notice {
            group_info: group.info(),
            oper_type: change.oper,
            oper_user: plain(change.actor),
            grpset: change.set.then(|| group.set()),
            users: users.to_vec(),
        };
        let stamp = Stamp { revision: group.revision, after: after.clone() };
        for server in &servers {
            done.letters.push(send(tx, scene, server, &notice, &stamp, expires_ms)?);
        }
        let mut told = member::locals_at(tx, &key)?;
        told.extend(change.told.iter().cloned());
        tell(tx, scene, &told, &notice, &mut done)?;
    }
    rows::put(tx, &key, group);
    Ok(done)
}

/// A notice to one server, stamped. What a policy does not let out of it is replaced: a change must be told.
pub(crate) fn send(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    server: &ServerId,
    notice: &Notice,
    stamp: &Stamp,
    expires_ms: u64,
) -> Result<Waiting, StoreError> {
    let id = notice.group_info.group_id.as_str();
    let mut said = vec![Said::or("group.text", "/groupInfo/groupName", id)];
    said.extend(Said::of_user("/operUser", &notice.oper_user));
    for (at, user) in notice.users.iter().enumerate() {
        said.extend(Said::of_user(&format!("/users/{at}"), user));
    }
    let to = (&notice.group_info.group_id, server);
    errand(tx, scene, &call::GROUP_NOTICE, to, &notice.oper_user.user_id, notice, said, stamp.to_string(), expires_ms)
}

/// Any call that concerns a group, in the group's lane of a server.
#[allow(clippy::too_many_arguments, reason = "each is a different field of the errand")]
pub(crate) fn errand(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    spec: &CallSpec,
    (group, server): (&GroupId, &ServerId),
    actor: &UserId,
    body: &impl Serialize,
    said: Vec<Said>,
    tag: String,
    expires_ms: u64,
) -> Result<Waiting, StoreError> {
    let errand = Errand {
        id: scene.mint(),
        call: spec.name.to_owned(),
        path: spec.path.to_owned(),
        body: String::from_utf8(json::write(body)).map_err(|_| StoreError::Malformed { what: "an errand" })?,
        actor: Some(actor.clone()),
        target: group.as_str().to_owned(),
        said,
        tag,
    };
    outbox::errand(tx, server, &rows::lane(group), errand, expires_ms).map_err(|error| match error {
        Error::Fault(fault) => fault,
        Error::Refused(_) => StoreError::Malformed { what: "an errand" },
    })
}

/// Tells local users.
pub(crate) fn tell(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    users: &[UserId],
    notice: &Notice,
    done: &mut Done,
) -> Result<(), Error> {
    if users.is_empty() {
        return Ok(());
    }
    let news = news::put(tx, scene, NEWS, body(notice));
    for user in users {
        done.deliveries.push(inbox::append(tx, user, scene.now_ms, Event::News(news.clone()))?);
    }
    Ok(())
}

fn body(notice: &Notice) -> Value {
    // Another server may have said more of them.
    let users: Vec<UserInfo> = notice.users.iter().map(plain).collect();
    let mut body = json!({
        "groupID": notice.group_info.group_id, "groupInfo": notice.group_info, "operType": notice.oper_type,
        "operUser": plain(&notice.oper_user), "users": users,
    });
    if let Some(set) = &notice.grpset {
        body["grpset"] = set_json(set);
    }
    body
}

pub(crate) fn set_json(set: &GrpSet) -> Value {
    json!({"isAllow": set.is_allow, "isVisible": set.is_visible})
}
