//! A group as it is kept, by its main server and by mirrors, and where its rows lie.

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::record::YesNo;
use isthmus_wire::{Code, GroupId, GroupInfo, GrpSet, MediaId, ServerId, UserId};
use serde::{Deserialize, Serialize};

use crate::dedup::half;
use crate::error::Error;
use crate::row;
use crate::table::GROUPS;

const WHAT: &str = "a group";

/// Where a group's rows lie.
pub(crate) type Key = [u8; 16];

/// A group (§7.7.1): the group itself at its owner's server, a mirror of it elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Ours are `g-<unique>@serverId` (R11).
    pub id: GroupId,
    /// Its main server; none: this one.
    pub home: Option<ServerId>,
    /// For people.
    pub name: String,
    /// The icon's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<MediaId>,
    /// A user of the main server.
    pub owner: UserId,
    /// RFC 3339 if it is ours (R10).
    pub created: String,
    /// `isAllow`: whether members may invite.
    pub open: bool,
    /// `isVisible`: whether search finds it.
    pub visible: bool,
    /// For good.
    pub dissolved: bool,
    /// How many members are known here.
    pub members: u32,
    /// Rises with every change of details or members, at the main server. A mirror: of the last change that it has.
    pub revision: u64,
    /// Part of every join ticket: raising it makes those that are out void.
    #[serde(default)]
    pub tickets: u32,
    /// What only mirrors have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
}

/// Where a mirror stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// Lines up to this one are of an earlier membership: nobody here reads them.
    pub floor: u64,
    /// Main's newest message when users of ours became members; none: not known yet. Its own inner none: there was none.
    pub base: Option<Base>,
    /// Something was missed: details and members must be asked of the main server.
    pub stale: bool,
    /// It has never had them: what they bring is no news.
    #[serde(default)]
    pub fresh: bool,
}

/// A place in main's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Base {
    /// Before the first message.
    Start,
    /// After this one.
    After(isthmus_wire::MessageId),
}

/// Where a group's rows lie. The server's part of the ID is taken without regard to case (R13).
pub(crate) fn key(reader: &(impl Reader + ?Sized), id: &GroupId) -> Key {
    let text = id.as_str();
    let hash = match id.home_hint() {
        Some(hint) if hint.bytes().any(|b| b.is_ascii_uppercase()) => {
            let local = &text[..text.len() - hint.len()];
            reader.index_hash("group", format!("{local}{}", hint.to_ascii_lowercase()).as_bytes())
        }
        _ => reader.index_hash("group", text.as_bytes()),
    };
    half(hash)
}

/// The group of this ID, ours or mirrored.
///
/// # Errors
/// If storage fails.
pub fn find(reader: &(impl Reader + ?Sized), id: &GroupId) -> Result<Option<Group>, StoreError> {
    at(reader, &key(reader, id))
}

pub(crate) fn at(reader: &(impl Reader + ?Sized), key: &Key) -> Result<Option<Group>, StoreError> {
    reader.get(GROUPS, key)?.map(|value| parse(&value)).transpose()
}

pub(crate) fn parse(value: &[u8]) -> Result<Group, StoreError> {
    row::parse(value, WHAT)
}

pub(crate) fn put(tx: &mut Tx<'_>, key: &Key, group: &Group) {
    tx.put_owned(GROUPS, key, row::json(group));
}

fn unknown(id: &GroupId) -> Error {
    Error::field(Code::NotFound, "groupID", format_args!("there is no group {id} here"))
}

fn alive(group: Group) -> Result<Group, Error> {
    if group.dissolved {
        return Err(Error::field(Code::WrongState, "groupID", "the group was dissolved"));
    }
    Ok(group)
}

/// A group that is not dissolved, ours or mirrored.
///
/// # Errors
/// 1004 if there is none, 1202 if it was dissolved.
pub fn living(reader: &(impl Reader + ?Sized), id: &GroupId) -> Result<Group, Error> {
    find(reader, id)?.ok_or_else(|| unknown(id)).and_then(alive)
}

/// A living group whose main server this is.
///
/// # Errors
/// As [`living`]; 1104 for a group of another server.
pub fn ours(reader: &(impl Reader + ?Sized), id: &GroupId) -> Result<Group, Error> {
    let group = living(reader, id)?;
    match &group.home {
        None => Ok(group),
        Some(home) => {
            Err(Error::field(Code::MayNotActFor, "groupID", format_args!("the group's main server is {home}")))
        }
    }
}

/// The mirror of a group whose main server `peer` is.
///
/// # Errors
/// 1004 if there is none, 1104 if another server, this one for instance, is its main server.
pub(crate) fn mirrored(reader: &(impl Reader + ?Sized), id: &GroupId, peer: &ServerId) -> Result<Group, Error> {
    let group = find(reader, id)?.ok_or_else(|| unknown(id))?;
    if group.home.as_ref() == Some(peer) {
        return Ok(group);
    }
    Err(Error::field(Code::MayNotActFor, "groupID", format_args!("{peer} is not the group's main server")))
}

impl Group {
    /// `groupInfo` (§7.2.3).
    #[must_use]
    pub fn info(&self) -> GroupInfo {
        GroupInfo {
            group_id: self.id.clone(),
            group_name: self.name.clone(),
            group_member_num: i32::try_from(self.members).unwrap_or(i32::MAX),
            create_user: self.owner.clone(),
            create_time: self.created.clone(),
            group_icon: self.icon.clone(),
        }
    }

    /// `grpset` (§7.2.4).
    #[must_use]
    pub fn set(&self) -> GrpSet {
        GrpSet { is_allow: YesNo(self.open), is_visible: YesNo(self.visible) }
    }

    /// Takes over what another server says of the group.
    pub(crate) fn learn(&mut self, info: &GroupInfo, set: Option<&GrpSet>) -> bool {
        let before = self.clone();
        self.name.clone_from(&info.group_name);
        self.icon.clone_from(&info.group_icon);
        self.owner.clone_from(&info.create_user);
        self.created.clone_from(&info.create_time);
        if let Some(set) = set {
            (self.open, self.visible) = (set.is_allow.0, set.is_visible.0);
        }
        *self != before
    }

    /// Where a mirror stands; a group of our own stands nowhere.
    pub(crate) fn stand(&mut self) -> &mut Mirror {
        self.mirror.get_or_insert_default()
    }
}

/// The lane in which all that concerns a group goes to a server, so that its order holds.
pub(crate) fn lane(id: &GroupId) -> Vec<u8> {
    [b"group\0", id.as_str().as_bytes()].concat()
}
