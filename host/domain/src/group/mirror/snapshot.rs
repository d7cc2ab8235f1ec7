//! Details and members as main has them, for a mirror that missed something.

use std::collections::HashMap;

use isthmus_store::{StoreError, Tx};
use isthmus_wire::call::group::{InfoAnswer, Member as Shown, Notice, OperType, UserType};
use isthmus_wire::{GroupId, ServerId, UserId, UserInfo};

use super::super::log;
use super::super::manage::forget_members;
use super::super::member::{self, Member};
use super::super::notice as notices;
use super::super::row::{self as rows, Group};
use super::super::stamp::Stamp;
use super::notice::{awaken, founded, join};
use crate::account;
use crate::done::Done;
use crate::error::Error;
use crate::scene::Scene;
use crate::speaker;

/// Details and members as main has them now, asked for because something was missed. `stamp`: main's revision, of which an
/// older one than is known here changes nothing, and where this server's members' time began. Local users learn what they
/// missed.
///
/// # Errors
/// 1104 if the peer is not the group's main server.
pub fn snapshot(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    peer: &ServerId,
    id: &GroupId,
    info: &InfoAnswer,
    members: &[Shown],
    stamp: Option<&Stamp>,
) -> Result<Done, Error> {
    let revision = stamp.map(|stamp| stamp.revision);
    speaker::claim(tx, scene.home, peer, id, "groupID")?;
    let Some(details) = info.group_info.as_ref().filter(|details| details.group_id == *id) else {
        return Ok(Done::default());
    };
    let mut group = match rows::find(tx, id)? {
        None if !any_here(tx, scene, members)? => return Ok(Done::default()),
        None => founded(details, peer),
        Some(group) if group.dissolved => return Ok(Done::default()),
        Some(_) => rows::mirrored(tx, id, peer)?,
    };
    if revision.is_some_and(|revision| revision < group.revision) {
        return Ok(Done::default());
    }
    let changed = group.learn(details, info.grpset.as_ref());
    let key = rows::key(tx, id);
    let lived = member::any_local(tx, &key)?;
    let mut left: HashMap<UserId, Member> =
        member::all(tx, &group)?.into_iter().map(|member| (member.info.user_id.clone(), member)).collect();
    let mut came = Vec::new();
    for shown in members {
        let fresh = join(tx, scene, &mut group, &shown.user_info, shown.user_type)?;
        if !fresh && shown.user_type == UserType::Member {
            member::set_kind(tx, &group, &shown.user_info.user_id, UserType::Member)?;
        }
        let local = account::local_id(scene.home, &shown.user_info.user_id);
        if left.remove(local.as_ref().unwrap_or(&shown.user_info.user_id)).is_none() {
            came.push(shown.user_info.clone());
        }
    }
    let mut told = member::locals_at(tx, &key)?;
    let mut went = Vec::new();
    for (user, member) in left {
        member::remove(tx, &mut group, &user)?;
        if member.home.as_ref() == Some(scene.home) {
            told.push(user);
        }
        went.push(member.info);
    }
    if member::any_local(tx, &key)? && !lived {
        awaken(tx, &key, &mut group, stamp)?;
    }
    if log::position(tx, &key, &group)?.is_none() {
        group.stand().base = stamp.map(|stamp| stamp.after.clone());
    }
    let fresh = std::mem::take(&mut group.stand().fresh);
    if fresh {
        came.retain(|user: &UserInfo| account::local_id(scene.home, &user.user_id).is_some());
    }
    let changed = changed && !fresh;
    group.stand().stale = false;
    group.revision = revision.unwrap_or(group.revision);
    rows::put(tx, &key, &group);
    healed(tx, scene, &group, Missed { changed, came, went }, &told)
}

fn any_here(tx: &Tx<'_>, scene: &Scene<'_>, members: &[Shown]) -> Result<bool, StoreError> {
    for member in members {
        if let Some(id) = account::local_id(scene.home, &member.user_info.user_id)
            && account::is_enabled(tx, &id)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a snapshot brought.
struct Missed {
    changed: bool,
    came: Vec<UserInfo>,
    went: Vec<UserInfo>,
}

/// Tells local users what they missed; who did it is not known any more, so the owner stands for it.
fn healed(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    group: &Group,
    missed: Missed,
    told: &[UserId],
) -> Result<Done, Error> {
    let owner = member::get(tx, group, &group.owner)?.map(|member| member.info);
    let oper_user = owner.unwrap_or_else(|| UserInfo {
        user_id: group.owner.clone(),
        name: group.owner.as_str().to_owned(),
        phone_number: None,
        remark: None,
        portrait: None,
    });
    let mut done = Done::default();
    let came = missed.came.iter().map(notices::plain).collect();
    let lists = [(OperType::Added, came), (OperType::Removed, missed.went), (OperType::Changed, Vec::new())];
    for (oper_type, users) in lists {
        if users.is_empty() && !(oper_type == OperType::Changed && missed.changed) {
            continue;
        }
        let grpset = (oper_type == OperType::Changed).then(|| group.set());
        let notice = Notice { group_info: group.info(), oper_type, oper_user: oper_user.clone(), grpset, users };
        notices::tell(tx, scene, told, &notice, &mut done)?;
    }
    Ok(done)
}

/// Main says that the group is no more, or that nobody here is a member: what the mirror was never told.
///
/// # Errors
/// If storage fails.
pub fn ended(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    peer: &ServerId,
    id: &GroupId,
    dissolved: bool,
) -> Result<Done, Error> {
    let Some(mut group) = rows::find(tx, id)?.filter(|group| group.home.as_ref() == Some(peer) && !group.dissolved)
    else {
        return Ok(Done::default());
    };
    let told = member::locals(tx, &group)?;
    let mut went = Vec::new();
    for user in &told {
        went.extend(member::remove(tx, &mut group, user)?.map(|member| member.info));
    }
    group.dissolved |= dissolved;
    group.stand().stale = false;
    let key = rows::key(tx, id);
    rows::put(tx, &key, &group);
    let mut done = Done::default();
    let oper_type = if dissolved { OperType::Dissolved } else { OperType::Removed };
    if told.is_empty() && !dissolved {
        return Ok(done);
    }
    let users = if dissolved { Vec::new() } else { went };
    let by = UserInfo {
        user_id: group.owner.clone(),
        name: group.owner.as_str().to_owned(),
        phone_number: None,
        remark: None,
        portrait: None,
    };
    let notice = Notice { group_info: group.info(), oper_type, oper_user: by, grpset: None, users };
    notices::tell(tx, scene, &told, &notice, &mut done)?;
    if dissolved {
        forget_members(tx, &mut group)?;
    }
    Ok(done)
}
