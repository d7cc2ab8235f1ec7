//! What main tells its mirrors by notices (§7.7.13), and who comes and goes by them.

use isthmus_store::{StoreError, Tx};
use isthmus_wire::call::group::{Notice, OperType, UserType};
use isthmus_wire::{Code, GroupInfo, ServerId, UserId, UserInfo};

use super::super::log;
use super::super::manage::forget_members;
use super::super::member::{self, Member};
use super::super::notice as notices;
use super::super::open;
use super::super::row::{self as rows, Group, Key, Mirror};
use super::super::stamp::Stamp;
use crate::account;
use crate::done::Done;
use crate::error::Error;
use crate::scene::Scene;
use crate::speaker::{self, Home};

/// Where a user is at home, as far as an ID tells.
pub(super) fn home(tx: &Tx<'_>, own: &ServerId, id: &UserId) -> Result<Option<ServerId>, StoreError> {
    Ok(match speaker::home_of(tx, own, id)? {
        Home::Own => Some(own.clone()),
        Home::Server(home) | Home::Ask(home) => Some(home),
        Home::Unknown => None,
    })
}

/// A mirror that begins: its first local member came.
pub(super) fn founded(info: &GroupInfo, peer: &ServerId) -> Group {
    Group {
        id: info.group_id.clone(),
        home: Some(peer.clone()),
        name: info.group_name.clone(),
        icon: info.group_icon.clone(),
        owner: info.create_user.clone(),
        created: info.create_time.clone(),
        open: true,
        visible: false,
        dissolved: false,
        members: 0,
        revision: 0,
        tickets: 0,
        mirror: Some(Mirror { stale: true, fresh: true, ..Mirror::default() }),
    }
}

/// What a notice came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noticed {
    /// What to push.
    pub done: Done,
    /// Details and members must be asked of main.
    pub stale: bool,
}

/// `grpnotify` (§7.7.13) from the group's main server. A notice that changes nothing here is told to nobody.
///
/// # Errors
/// 1104 if the peer is not the group's main server.
pub fn notice(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    peer: &ServerId,
    notice: &Notice,
    stamp: Option<&Stamp>,
) -> Result<Noticed, Error> {
    let id = &notice.group_info.group_id;
    speaker::claim(tx, scene.home, peer, id, "groupInfo.groupID")?;
    let known = rows::find(tx, id)?;
    if let Some(group) = &known
        && group.home.as_ref() != Some(peer)
    {
        let words = format_args!("{peer} is not the group's main server");
        return Err(Error::field(Code::MayNotActFor, "groupInfo.groupID", words));
    }
    let mut done = turned_down(tx, scene, notice)?;
    let concerns = here(tx, scene, &notice.users)?;
    let mut group = match known {
        Some(group) => group,
        None if notice.oper_type == OperType::Added && !concerns.is_empty() => founded(&notice.group_info, peer),
        // Whoever is told of a group that it does not know has missed something, or has no part in it: main knows.
        None => return Ok(Noticed { stale: done.deliveries.is_empty(), done }),
    };
    let seen = stamp.is_some_and(|stamp| stamp.revision <= group.revision);
    if group.dissolved || seen {
        return Ok(Noticed { done, stale: false });
    }
    let key = rows::key(tx, id);
    let lived = member::any_local(tx, &key)?;
    let before = if lived { member::locals_at(tx, &key)? } else { Vec::new() };
    let changed = apply(tx, scene, &mut group, notice)?;
    let lives = member::any_local(tx, &key)?;
    if lives && !lived {
        awaken(tx, &key, &mut group, stamp)?;
    }
    number(&mut group, stamp, lived);
    let counted = i32::try_from(group.members).is_ok_and(|many| many == notice.group_info.group_member_num);
    let stale = lives && !group.dissolved && (group.stand().stale || !counted);
    group.stand().stale = stale;
    rows::put(tx, &key, &group);
    if changed {
        let mut told = before;
        told.extend(member::locals_at(tx, &key)?);
        told.sort();
        told.dedup();
        notices::tell(tx, scene, &told, notice, &mut done)?;
    }
    if group.dissolved {
        forget_members(tx, &mut group)?;
    }
    Ok(Noticed { done, stale })
}

/// Members' time begins: with what main had then, if it says so.
pub(super) fn awaken(tx: &Tx<'_>, key: &Key, group: &mut Group, stamp: Option<&Stamp>) -> Result<(), StoreError> {
    let floor = log::last(tx, key)?.map_or(0, |line| line.number);
    let base = stamp.map(|stamp| stamp.after.clone());
    group.mirror = Some(Mirror { floor, base, stale: true, fresh: true });
    Ok(())
}

/// A notice that is not the next one tells of others that were missed.
fn number(group: &mut Group, stamp: Option<&Stamp>, lived: bool) {
    let Some(stamp) = stamp else { return };
    if lived && stamp.revision > group.revision + 1 {
        group.stand().stale = true;
    }
    group.revision = stamp.revision;
}

/// Those of the users who are enabled users of this server.
fn here(tx: &Tx<'_>, scene: &Scene<'_>, users: &[UserInfo]) -> Result<Vec<UserId>, StoreError> {
    let mut found = Vec::new();
    for user in users {
        if let Some(id) = account::local_id(scene.home, &user.user_id)
            && account::is_enabled(tx, &id)?
        {
            found.push(id);
        }
    }
    Ok(found)
}

/// "Removed" of somebody who only applied: main's way to say no (R21).
fn turned_down(tx: &mut Tx<'_>, scene: &mut Scene<'_>, notice: &Notice) -> Result<Done, Error> {
    let mut done = Done::default();
    if notice.oper_type != OperType::Removed {
        return Ok(done);
    }
    let id = &notice.group_info.group_id;
    for user in here(tx, scene, &notice.users)? {
        if open::get(tx, id, &user, scene.now_ms)?.is_some() {
            open::close(tx, id, &user);
            open::tell_declined(tx, scene, notice, &user, &mut done)?;
        }
    }
    Ok(done)
}

/// Does to the mirror what main did to the group. False if nothing is different now.
fn apply(tx: &mut Tx<'_>, scene: &mut Scene<'_>, group: &mut Group, notice: &Notice) -> Result<bool, Error> {
    let old_owner = group.owner.clone();
    let mut changed = group.learn(&notice.group_info, notice.grpset.as_ref());
    match notice.oper_type {
        OperType::Added => {
            for user in &notice.users {
                changed |= join(tx, scene, group, user, UserType::Member)?;
            }
        }
        OperType::Removed => {
            for user in &notice.users {
                changed |= member::remove(tx, group, &user.user_id)?.is_some();
            }
        }
        OperType::Dissolved => {
            group.dissolved = true;
            changed = true;
        }
        OperType::AdminSet | OperType::AdminUnset => {
            let admin = notice.oper_type == OperType::AdminSet;
            let kind = if admin { UserType::Admin } else { UserType::Member };
            for user in &notice.users {
                changed |= rank(tx, group, &user.user_id, kind)?;
            }
        }
        OperType::Transferred => {
            let heir = group.owner.clone();
            changed |= rank(tx, group, &heir, UserType::Owner)?;
            if old_owner != heir {
                rank(tx, group, &old_owner, UserType::Member)?;
            }
        }
        OperType::Changed => {}
    }
    Ok(changed)
}

fn rank(tx: &mut Tx<'_>, group: &mut Group, user: &UserId, kind: UserType) -> Result<bool, Error> {
    match member::get(tx, group, user)? {
        Some(member) if member.kind == kind => Ok(false),
        Some(_) => Ok(member::set_kind(tx, group, user, kind)?),
        None => {
            group.stand().stale = true;
            Ok(false)
        }
    }
}

/// A member, in the one spelling of its ID if it is ours. False if it was one.
pub(super) fn join(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    group: &mut Group,
    user: &UserInfo,
    kind: UserType,
) -> Result<bool, Error> {
    let mut info = notices::plain(user);
    let home = home(tx, scene.home, &info.user_id)?;
    if home.as_ref() == Some(scene.home) {
        let Some(id) = account::local_id(scene.home, &info.user_id) else { return Ok(false) };
        let Some(person) = open::person_of(tx, &id)? else { return Ok(false) };
        info = person;
        open::close(tx, &group.id, &id);
    }
    if let Some(before) = member::get(tx, group, &info.user_id)? {
        // An added one that is here already keeps its standing.
        let kind = if kind == UserType::Member { before.kind } else { kind };
        member::put(tx, scene.home, group, Member { info, kind, home })?;
        return Ok(false);
    }
    Ok(member::put(tx, scene.home, group, Member { info, kind, home })?)
}
