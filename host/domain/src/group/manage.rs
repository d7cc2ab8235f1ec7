//! What a group's owner and admins do (§7.7.2, §7.7.6–7.7.10): acts of main, which alone decides.
//!
//! Creating, dissolving, transferring and naming admins are the owner's, who is a user of main; removing and changing may
//! come from an admin elsewhere.

use isthmus_store::Tx;
use isthmus_wire::call::group::{OperType, UserType};
use isthmus_wire::{Code, GroupId, GrpSet, MediaId, UserId, UserInfo};

use super::member::{self, Member};
use super::notice::{self, Change};
use super::row::{self as rows, Group};
use crate::account;
use crate::done::Done;
use crate::error::Error;
use crate::media::sight;
use crate::scene::Scene;

/// The longest name of a group, in characters.
pub const NAME_MAX: usize = 128;

/// A group to be.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// For people.
    pub name: String,
    /// The icon's file.
    pub icon: Option<MediaId>,
    /// Whether members may invite.
    pub open: bool,
    /// Whether search finds it.
    pub visible: bool,
}

/// Who acts on which group.
#[derive(Debug, Clone)]
pub struct Act {
    /// The group.
    pub group: GroupId,
    /// The user; R12 is settled.
    pub actor: UserId,
    /// When letters about it are given up, in milliseconds since 1970 UTC.
    pub expires_ms: u64,
}

/// What is to be changed; what is left out stays.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// For people.
    pub name: Option<String>,
    /// The icon's file, or none any more.
    pub icon: Option<Option<MediaId>>,
    /// Settings.
    pub set: Option<GrpSet>,
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return Err(Error::field(Code::MissingField, "groupName", "is missing or empty"));
    }
    if name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
        let wrong = "is longer than 128 characters or contains a control character";
        return Err(Error::field(Code::InvalidField, "groupName", wrong));
    }
    Ok(())
}

fn not_permitted(words: &str) -> Error {
    Error::refused(Code::NotPermitted, words)
}

/// Founds a group; `owner` is a user of this server.
///
/// # Errors
/// 1002 or 1003 for a name that will not do, 1101 if the user is disabled, 1004 or 1402 for an icon that is no picture of the
/// user's own.
pub fn create(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    owner: &UserInfo,
    new: NewGroup,
    expires_ms: u64,
) -> Result<(Group, Done), Error> {
    check_name(&new.name)?;
    if !account::is_enabled(tx, &owner.user_id)? {
        return Err(Error::refused(Code::NoIdentity, "the user is disabled"));
    }
    let id = format!("g-{}@{}", scene.mint().to_string().replace('-', ""), scene.home);
    let mut group = Group {
        id: GroupId::parse(&id).map_err(|e| Error::field(Code::InvalidField, "groupID", e))?,
        home: None,
        name: new.name,
        icon: new.icon,
        owner: owner.user_id.clone(),
        created: crate::row::date(scene.now_ms),
        open: new.open,
        visible: new.visible,
        dissolved: false,
        members: 0,
        revision: 0,
        tickets: 0,
        mirror: None,
    };
    if group.icon.is_some() {
        sight::publish(tx, &group.owner, &icon_place(&group), group.icon.as_ref())?;
    }
    let home = Some(scene.home.clone());
    member::put(tx, scene.home, &mut group, Member { info: owner.clone(), kind: UserType::Owner, home })?;
    let change = Change::new(OperType::Added, owner, vec![owner.clone()]);
    let done = notice::announce(tx, scene, &mut group, change, expires_ms)?;
    Ok((group, done))
}

/// The group, and the member who acts as its owner.
fn as_owner(tx: &Tx<'_>, act: &Act) -> Result<(Group, Member), Error> {
    let group = rows::ours(tx, &act.group)?;
    let member = member::acting(tx, &group, &act.actor, "userID")?;
    if member.kind != UserType::Owner {
        return Err(not_permitted("only the group's owner may do that"));
    }
    Ok((group, member))
}

/// Ends a group for good (§7.7.8).
///
/// # Errors
/// 1004, 1202 without such a group, 1105 if the actor is not its owner.
pub fn dissolve(tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act) -> Result<Done, Error> {
    let (mut group, owner) = as_owner(tx, act)?;
    group.dissolved = true;
    let change = Change::new(OperType::Dissolved, &owner.info, Vec::new());
    let done = notice::announce(tx, scene, &mut group, change, act.expires_ms)?;
    forget_members(tx, &mut group)?;
    Ok(done)
}

/// Of a dissolved group only the row and the log stay.
pub(crate) fn forget_members(tx: &mut Tx<'_>, group: &mut Group) -> Result<(), Error> {
    for member in member::all(tx, group)? {
        member::remove(tx, group, &member.info.user_id)?;
    }
    let key = rows::key(tx, &group.id);
    rows::put(tx, &key, group);
    Ok(())
}

/// Gives a group to another member at the owner's own server (§7.7.1); the old owner becomes a plain member.
///
/// # Errors
/// As [`dissolve`]; 1105 if the other is no member, 1003 if it is the owner itself or not at home here.
pub fn transfer(tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, to: &UserId) -> Result<Done, Error> {
    let (mut group, owner) = as_owner(tx, act)?;
    let heir = member::acting(tx, &group, to, "users")?;
    let wrong = if heir.home.as_ref() != Some(scene.home) {
        "a group can be transferred only to a member at its owner's own server"
    } else if heir.kind == UserType::Owner {
        "owns the group already"
    } else {
        member::set_kind(tx, &group, &owner.info.user_id, UserType::Member)?;
        member::set_kind(tx, &group, &heir.info.user_id, UserType::Owner)?;
        group.owner = heir.info.user_id.clone();
        let change = Change::new(OperType::Transferred, &owner.info, vec![heir.info]);
        return notice::announce(tx, scene, &mut group, change, act.expires_ms);
    };
    Err(Error::field(Code::InvalidField, "users", wrong))
}

/// Makes members admins (`admin`), or plain members again. Who is that already is passed over.
///
/// # Errors
/// As [`dissolve`]; 1105 for somebody who is no member, 1003 for the owner.
pub fn set_admins(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    act: &Act,
    users: &[UserId],
    admin: bool,
) -> Result<Done, Error> {
    let (mut group, owner) = as_owner(tx, act)?;
    let (kind, oper) =
        if admin { (UserType::Admin, OperType::AdminSet) } else { (UserType::Member, OperType::AdminUnset) };
    let mut changed = Vec::new();
    for user in users {
        let member = member::acting(tx, &group, user, "users")?;
        if member.kind == UserType::Owner {
            return Err(Error::field(Code::InvalidField, "users", "the owner is above admins"));
        }
        if member.kind != kind {
            member::set_kind(tx, &group, user, kind)?;
            changed.push(member.info);
        }
    }
    if changed.is_empty() {
        return Ok(Done::default());
    }
    notice::announce(tx, scene, &mut group, Change::new(oper, &owner.info, changed), act.expires_ms)
}

/// The public place of a group's icon.
fn icon_place(group: &Group) -> String {
    format!("icon\0{}", group.id)
}

/// Changes details or settings (§7.7.10): the owner and admins may.
///
/// # Errors
/// 1004, 1202 without such a group, 1105 if the actor is no owner or admin, 1002 or 1003 for a name that will not do;
/// for an icon of a local user as [`create`].
pub fn update(tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, update: Update) -> Result<Done, Error> {
    let mut group = rows::ours(tx, &act.group)?;
    let member = member::acting(tx, &group, &act.actor, "ownerID")?;
    if !member.leads() {
        return Err(not_permitted("only the group's owner and admins may change it"));
    }
    let before = group.clone();
    if let Some(name) = update.name {
        check_name(&name)?;
        group.name = name;
    }
    if let Some(icon) = update.icon.filter(|icon| *icon != group.icon) {
        // An admin elsewhere uploads to its own server, which every server may ask for it.
        let here = account::local_id(scene.home, &act.actor);
        sight::publish(tx, &act.actor, &icon_place(&group), icon.as_ref().filter(|_| here.is_some()))?;
        group.icon = icon;
    }
    if let Some(set) = update.set {
        (group.open, group.visible) = (set.is_allow.0, set.is_visible.0);
    }
    if group == before {
        return Ok(Done::default());
    }
    let set = (group.open, group.visible) != (before.open, before.visible);
    let change = Change { set, ..Change::new(OperType::Changed, &member.info, Vec::new()) };
    notice::announce(tx, scene, &mut group, change, act.expires_ms)
}

/// Removes members (§7.7.6): the owner anybody else, admins plain members. Who is no member is passed over.
///
/// # Errors
/// 1004, 1202 without such a group, 1105 if the actor may not, 1002 for an empty list, 1004 if none is a member.
pub fn remove(tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, users: &[UserId]) -> Result<Done, Error> {
    let mut group = rows::ours(tx, &act.group)?;
    let actor = member::acting(tx, &group, &act.actor, "userID")?;
    if !actor.leads() {
        return Err(not_permitted("only the group's owner and admins may remove members"));
    }
    if users.is_empty() {
        return Err(Error::field(Code::MissingField, "delMembers", "is empty"));
    }
    let mut gone = Vec::new();
    for user in users {
        let Some(member) = member::get(tx, &group, user)? else { continue };
        if member.kind == UserType::Owner || (member.leads() && actor.kind != UserType::Owner) {
            let words = format_args!("{user} can not be removed by this user");
            return Err(Error::field(Code::NotPermitted, "delMembers", words));
        }
        gone.extend(member::remove(tx, &mut group, user)?);
    }
    if gone.is_empty() {
        return Err(Error::field(Code::NotFound, "delMembers", "none of them is a member"));
    }
    parted(tx, scene, &mut group, &actor.info, gone, act.expires_ms)
}

/// Leaves a group (§7.7.7).
///
/// # Errors
/// 1004, 1202 without such a group, 1105 for its owner and for whoever is no member.
pub fn leave(tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act) -> Result<Done, Error> {
    let mut group = rows::ours(tx, &act.group)?;
    let member = member::acting(tx, &group, &act.actor, "userID")?;
    if member.kind == UserType::Owner {
        return Err(not_permitted("the owner transfers or dissolves the group instead"));
    }
    let gone = member::remove(tx, &mut group, &act.actor)?;
    parted(tx, scene, &mut group, &member.info, gone.into_iter().collect(), act.expires_ms)
}

/// Tells those who stay, and those who do not.
fn parted(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    group: &mut Group,
    actor: &UserInfo,
    gone: Vec<Member>,
    expires_ms: u64,
) -> Result<Done, Error> {
    let also = gone.iter().filter_map(|member| member.home.clone()).collect();
    let here = gone.iter().filter(|member| member.home.as_ref() == Some(scene.home));
    let told = here.map(|member| member.info.user_id.clone()).collect();
    let users = gone.into_iter().map(|member| member.info).collect();
    let change = Change { also, told, ..Change::new(OperType::Removed, actor, users) };
    notice::announce(tx, scene, group, change, expires_ms)
}

/// Whether `user` may recall what `sender` wrote in the group (R7): the sender, the owner and the admins. At a mirror: as
/// far as it knows; main decides.
///
/// # Errors
/// If storage fails.
pub fn may_recall(
    reader: &(impl isthmus_store::Reader + ?Sized),
    group: &GroupId,
    user: &UserId,
    sender: &UserId,
) -> Result<bool, isthmus_store::StoreError> {
    let Some(group) = rows::find(reader, group)?.filter(|group| !group.dissolved) else { return Ok(false) };
    let member = member::get(reader, &group, user)?;
    Ok(member.is_some_and(|member| member.leads() || user == sender))
}
