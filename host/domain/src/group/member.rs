//! Who belongs to a group (§7.7.12, R19), and at which servers they are at home.

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::call::group::{Member as Shown, UserType};
use isthmus_wire::{Code, GroupId, MessageId, ServerId, UserId, UserInfo};
use serde::{Deserialize, Serialize};

use super::log;
use super::row::{self as rows, Base, Group, Key};
use crate::account::{self, user_key};
use crate::error::Error;
use crate::row::{self, Cut};
use crate::table::{LOCALS, MEMBERS, OF_USER, PLACES};

const WHAT: &str = "a group's member";

/// The most members of a group that this server is the main server of.
pub const MEMBERS_MAX: u32 = 10_000;

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who. No phone number: that is for friends (R14).
    pub info: UserInfo,
    /// Standing.
    pub kind: UserType,
    /// The member's home as far as it is known.
    pub home: Option<ServerId>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    info: UserInfo,
    kind: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    home: Option<ServerId>,
}

fn number(kind: UserType) -> u8 {
    match kind {
        UserType::Member => 1,
        UserType::Admin => 2,
        UserType::Owner => 3,
    }
}

fn parse(value: &[u8]) -> Result<Member, StoreError> {
    let Row { info, kind, home } = row::parse(value, WHAT)?;
    let kind = match kind {
        1 => UserType::Member,
        2 => UserType::Admin,
        3 => UserType::Owner,
        _ => return Err(StoreError::Malformed { what: WHAT }),
    };
    Ok(Member { info, kind, home })
}

impl Member {
    /// Whether the member may administer the group.
    #[must_use]
    pub fn leads(&self) -> bool {
        matches!(self.kind, UserType::Owner | UserType::Admin)
    }

    /// As §7.7.12 shows it.
    #[must_use]
    pub fn shown(self) -> Shown {
        Shown { user_type: self.kind, user_info: self.info }
    }
}

pub(crate) fn of_group(key: &Key, user: &[u8; 16]) -> [u8; 32] {
    let mut both = [0; 32];
    both[..16].copy_from_slice(key);
    both[16..].copy_from_slice(user);
    both
}

/// A group's member of this ID.
///
/// # Errors
/// If storage fails.
pub fn get(reader: &(impl Reader + ?Sized), group: &Group, user: &UserId) -> Result<Option<Member>, StoreError> {
    at(reader, &rows::key(reader, &group.id), user)
}

pub(crate) fn at(reader: &(impl Reader + ?Sized), key: &Key, user: &UserId) -> Result<Option<Member>, StoreError> {
    reader.get(MEMBERS, &of_group(key, &user_key(reader, user)))?.map(|value| parse(&value)).transpose()
}

/// The member that acts, or 1105.
///
/// # Errors
/// 1105, naming `field`.
pub fn acting(reader: &(impl Reader + ?Sized), group: &Group, user: &UserId, field: &str) -> Result<Member, Error> {
    get(reader, group, user)?
        .ok_or_else(|| Error::field(Code::NotPermitted, field, format_args!("{user} is no member of the group")))
}

/// All members, in no particular order.
///
/// # Errors
/// If storage fails.
pub fn all(reader: &(impl Reader + ?Sized), group: &Group) -> Result<Vec<Member>, StoreError> {
    let key = rows::key(reader, &group.id);
    reader.prefix(MEMBERS, &key, usize::MAX, false)?.iter().map(|(_, value)| parse(value)).collect()
}

/// The members that are users of this server.
///
/// # Errors
/// If storage fails.
pub fn locals(reader: &(impl Reader + ?Sized), group: &Group) -> Result<Vec<UserId>, StoreError> {
    locals_at(reader, &rows::key(reader, &group.id))
}

pub(crate) fn locals_at(reader: &(impl Reader + ?Sized), key: &Key) -> Result<Vec<UserId>, StoreError> {
    let read = |value: &[u8]| {
        let mut cut = Cut::new(value, WHAT);
        UserId::parse(cut.text()?).map_err(|_| cut.wrong())
    };
    reader.prefix(LOCALS, key, usize::MAX, false)?.iter().map(|(_, value)| read(value)).collect()
}

/// Whether any user of this server is a member.
pub(crate) fn any_local(reader: &(impl Reader + ?Sized), key: &Key) -> Result<bool, StoreError> {
    Ok(!reader.prefix(LOCALS, key, 1, false)?.is_empty())
}

/// The other servers that have members.
pub(crate) fn servers(reader: &(impl Reader + ?Sized), own: &ServerId, key: &Key) -> Result<Vec<ServerId>, StoreError> {
    let rows = reader.prefix(PLACES, key, usize::MAX, false)?;
    let names = rows.iter().filter_map(|(place, _)| std::str::from_utf8(place.get(16..)?).ok());
    Ok(names.filter_map(|name| ServerId::parse(name).ok()).filter(|server| server != own).collect())
}

fn place(key: &Key, home: Option<&ServerId>) -> Vec<u8> {
    let mut place = key.to_vec();
    if let Some(home) = home {
        place.extend_from_slice(home.folded().as_bytes());
    }
    place
}

fn count(reader: &(impl Reader + ?Sized), place: &[u8]) -> Result<u32, StoreError> {
    let value = reader.get(PLACES, place)?;
    value.map_or(Ok(0), |value| Cut::new(&value, WHAT).array().map(u32::from_be_bytes))
}

/// What stood last in the group's log when a server's first member came.
pub(crate) fn began(reader: &(impl Reader + ?Sized), key: &Key, server: &ServerId) -> Result<Option<Base>, StoreError> {
    let Some(value) = reader.get(PLACES, &place(key, Some(server)))? else { return Ok(None) };
    let mut cut = Cut::new(&value, WHAT);
    let _count: [u8; 4] = cut.array()?;
    let after = cut.text()?;
    if after.is_empty() {
        return Ok(Some(Base::Start));
    }
    MessageId::parse(after).map(|id| Some(Base::After(id))).map_err(|_| cut.wrong())
}

fn count_by(tx: &mut Tx<'_>, key: &Key, home: Option<&ServerId>, by: i32) -> Result<(), StoreError> {
    let place = place(key, home);
    let mut value = match tx.get(PLACES, &place)? {
        Some(value) => value,
        None => {
            let last = log::last(tx, key)?;
            [&[0; 4], last.as_ref().map_or("", |line| line.message_id.as_str()).as_bytes()].concat()
        }
    };
    let many = Cut::new(&value, WHAT).array().map(u32::from_be_bytes)?.saturating_add_signed(by);
    if many == 0 {
        tx.delete(PLACES, &place);
        return Ok(());
    }
    value[..4].copy_from_slice(&many.to_be_bytes());
    tx.put_owned(PLACES, &place, value);
    Ok(())
}

/// Whether a server has a member in the group, as far as is known here: for whoever pulls a group's file (§7.4.4). Where
/// a member's home is not known, any server may be it.
///
/// # Errors
/// If storage fails.
pub fn has_member_at(reader: &(impl Reader + ?Sized), group: &GroupId, server: &ServerId) -> Result<bool, StoreError> {
    let key = rows::key(reader, group);
    Ok(count(reader, &place(&key, Some(server)))? > 0 || count(reader, &place(&key, None))? > 0)
}

/// As [`has_member_at`], for certain.
pub(crate) fn surely_at(reader: &(impl Reader + ?Sized), key: &Key, server: &ServerId) -> Result<bool, StoreError> {
    Ok(count(reader, &place(key, Some(server)))? > 0)
}

/// Writes a member, new or changed, and counts it. True if it is new.
pub(crate) fn put(tx: &mut Tx<'_>, own: &ServerId, group: &mut Group, member: Member) -> Result<bool, StoreError> {
    let key = rows::key(tx, &group.id);
    let id = member.info.user_id.clone();
    let user = user_key(tx, &id);
    let before = at(tx, &key, &id)?;
    let mut info = member.info;
    info.phone_number = None;
    let home = member.home;
    if before.as_ref().is_none_or(|before| before.home != home) {
        if let Some(before) = &before {
            count_by(tx, &key, before.home.as_ref(), -1)?;
        }
        count_by(tx, &key, home.as_ref(), 1)?;
    }
    let local = home.as_ref() == Some(own);
    tx.put_owned(MEMBERS, &of_group(&key, &user), row::json(&Row { info, kind: number(member.kind), home }));
    if before.is_some() {
        return Ok(false);
    }
    group.members += 1;
    if local {
        tx.put(LOCALS, &of_group(&key, &user), id.as_str().as_bytes());
        tx.put(OF_USER, &of_group(&user, &key), group.id.as_str().as_bytes());
    }
    Ok(true)
}

/// Gives a member another standing. False if there is no such member.
pub(crate) fn set_kind(tx: &mut Tx<'_>, group: &Group, user: &UserId, kind: UserType) -> Result<bool, StoreError> {
    let key = rows::key(tx, &group.id);
    let Some(member) = at(tx, &key, user)? else { return Ok(false) };
    let row = Row { info: member.info, kind: number(kind), home: member.home };
    let place = of_group(&key, &user_key(tx, user));
    tx.put_owned(MEMBERS, &place, row::json(&row));
    Ok(true)
}

/// Takes a member out. None if there is no such member.
pub(crate) fn remove(tx: &mut Tx<'_>, group: &mut Group, user: &UserId) -> Result<Option<Member>, StoreError> {
    let key = rows::key(tx, &group.id);
    let Some(member) = at(tx, &key, user)? else { return Ok(None) };
    let user = user_key(tx, user);
    tx.delete(MEMBERS, &of_group(&key, &user));
    tx.delete(LOCALS, &of_group(&key, &user));
    tx.delete(OF_USER, &of_group(&user, &key));
    count_by(tx, &key, member.home.as_ref(), -1)?;
    group.members = group.members.saturating_sub(1);
    Ok(Some(member))
}

/// The groups of a local user.
///
/// # Errors
/// If storage fails.
pub fn groups_of(reader: &(impl Reader + ?Sized), user: &UserId) -> Result<Vec<Group>, StoreError> {
    let rows = reader.prefix(OF_USER, &user_key(reader, user), usize::MAX, false)?;
    let mut groups = Vec::with_capacity(rows.len());
    for (place, _) in &rows {
        let key: Option<Key> = place.get(16..).and_then(|key| key.try_into().ok());
        let key = key.ok_or(StoreError::Malformed { what: WHAT })?;
        groups.extend(rows::at(reader, &key)?);
    }
    Ok(groups)
}

/// Whether two users are members of one group, as far as is known here: at least one of them is ours.
///
/// # Errors
/// If storage fails.
pub fn same_group(reader: &(impl Reader + ?Sized), own: &ServerId, a: &UserId, b: &UserId) -> Result<bool, StoreError> {
    let Some((local, other)) =
        account::local_id(own, a).map(|a| (a, b.clone())).or_else(|| account::local_id(own, b).map(|b| (b, a.clone())))
    else {
        return Ok(false);
    };
    let other = user_key(reader, &other);
    for (place, _) in reader.prefix(OF_USER, &user_key(reader, &local), usize::MAX, false)? {
        let key: Key = place.get(16..).and_then(|k| k.try_into().ok()).ok_or(StoreError::Malformed { what: WHAT })?;
        if reader.get(MEMBERS, &of_group(&key, &other))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
