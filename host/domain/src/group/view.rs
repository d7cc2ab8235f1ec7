//! What others may look at (§7.7.3, §7.7.9, §7.7.11, §7.7.12).

use std::ops::Bound;

use isthmus_store::{Reader, StoreError};
use isthmus_wire::call::group::{Found, HistoryAnswer};
use isthmus_wire::{Code, GroupId, GroupInfo, ServerId, UserId};

use super::log::Page;
use super::member;
use super::row::{self as rows, Group};
use crate::error::Error;
use crate::table::GROUPS;

/// Groups on a page of a search (R14).
pub const PAGE: usize = 20;
/// Stands for "no message" in `maxMessageID`, as it does in a cursor.
pub const NONE: &str = "-1";

/// Groups of this server that a search finds (§7.7.3): visible ones only. A `query` in double quotes is exact (name or
/// groupID); any other is a part of the name or the beginning of the groupID, whatever the case (R14).
///
/// # Errors
/// 1002 for an empty query, 1003 for a negative page.
pub fn search(reader: &(impl Reader + ?Sized), query: &str, page: i32) -> Result<Found, Error> {
    let wanted = Wanted::of(query.trim())?;
    let page_number =
        usize::try_from(page).map_err(|_| Error::field(Code::InvalidField, "page", "must not be negative"))?;
    let mut hits: Vec<GroupInfo> = Vec::new();
    for (_, value) in reader.scan(GROUPS, Bound::Unbounded, Bound::Unbounded, usize::MAX, false)? {
        let group = rows::parse(&value)?;
        if group.home.is_none() && group.visible && !group.dissolved && wanted.is(&group) {
            hits.push(group.info());
        }
    }
    if hits.is_empty() {
        return Ok(Found { pages: None, page: None, groups: Vec::new() });
    }
    hits.sort_by(|a, b| (&a.group_name, &a.group_id).cmp(&(&b.group_name, &b.group_id)));
    let pages = i32::try_from(hits.len().div_ceil(PAGE)).unwrap_or(i32::MAX);
    let groups = hits.into_iter().skip(page_number.saturating_mul(PAGE)).take(PAGE).collect();
    Ok(Found { pages: Some(pages), page: Some(page), groups })
}

enum Wanted {
    Exactly(String),
    Like(String),
}

impl Wanted {
    fn of(query: &str) -> Result<Self, Error> {
        let exact = query.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let text = exact.unwrap_or(query);
        if text.is_empty() {
            return Err(Error::field(Code::MissingField, "query", "is missing or empty"));
        }
        Ok(if exact.is_some() { Self::Exactly(text.to_owned()) } else { Self::Like(text.to_lowercase()) })
    }

    fn is(&self, group: &Group) -> bool {
        match self {
            Self::Exactly(text) => group.name == *text || group.id.as_str() == text,
            Self::Like(text) => {
                group.name.to_lowercase().contains(text) || group.id.as_str().to_lowercase().starts_with(text)
            }
        }
    }
}

/// A group that another server may look into: members' servers only, but everybody sees the details of a visible one.
///
/// # Errors
/// 1004 for a group that is not known here or not to be seen by the peer, 1202 for one that was dissolved, 1105 for a peer
/// without members where only `members` may look.
pub fn for_peer(reader: &(impl Reader + ?Sized), id: &GroupId, peer: &ServerId, members: bool) -> Result<Group, Error> {
    let group = rows::living(reader, id)?;
    if group.home.as_ref() == Some(peer) || member::surely_at(reader, &rows::key(reader, id), peer)? {
        return Ok(group);
    }
    if members {
        let words = format_args!("no user of {peer} is a member");
        return Err(Error::field(Code::NotPermitted, "groupID", words));
    }
    if group.visible && group.home.is_none() {
        return Ok(group);
    }
    Err(Error::field(Code::NotFound, "groupID", format_args!("there is no group {id} here")))
}

/// The same for a local user.
///
/// # Errors
/// As [`for_peer`].
pub fn for_user(reader: &(impl Reader + ?Sized), id: &GroupId, user: &UserId, members: bool) -> Result<Group, Error> {
    let group = rows::living(reader, id)?;
    if member::get(reader, &group, user)?.is_some() || (!members && group.visible && group.home.is_none()) {
        return Ok(group);
    }
    if members {
        return Err(Error::field(Code::NotPermitted, "groupID", format_args!("{user} is no member of the group")));
    }
    Err(Error::field(Code::NotFound, "groupID", format_args!("there is no group {id} here")))
}

impl Page {
    /// As §7.7.9 answers it.
    ///
    /// # Errors
    /// If storage holds something that is no message.
    pub fn answer(&self) -> Result<HistoryAnswer, StoreError> {
        let text = |id: &Option<isthmus_wire::MessageId>| id.as_ref().map_or(NONE, |id| id.as_str()).to_owned();
        let messages = self.messages.iter().map(|message| message.info()).collect::<Result<_, _>>()?;
        Ok(HistoryAnswer { max_message_id: text(&self.max), min_message_id: text(&self.min), messages })
    }
}
