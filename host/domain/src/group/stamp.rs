//! What our own main servers tell our own mirrors beside the standard's fields, in a header of every call of a group:
//! its revision, and the message that stands before. So a mirror knows at once that it missed something. Servers that
//! know only the standard neither send nor need it.

use std::fmt;

use isthmus_store::{Reader, StoreError};
use isthmus_wire::{GroupId, MessageId, ServerId, path};

use super::log;
use super::member;
use super::row::{self as rows, Base, Group};

/// The header that carries it.
pub const HEADER: &str = "isthmus-group";

/// How many changes and which message precede this call in main's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// A notice: the revision that it makes. A message: the revision in which main ordered it. An answer: the revision now.
    pub revision: u64,
    /// What stands before it. An answer: what stood last when the asking server's first member came.
    pub after: Base,
}

impl Stamp {
    /// Reads the header; none if it is not ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Stamp> {
        let (revision, after) = text.split_once(' ')?;
        let after = match path::decode(after)?.as_str() {
            "-" => Base::Start,
            id => Base::After(MessageId::parse(id.strip_prefix('.')?).ok()?),
        };
        Some(Stamp { revision: revision.parse().ok()?, after })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = match &self.after {
            Base::Start => "-".to_owned(),
            Base::After(id) => format!(".{}", path::encode(id.as_str())),
        };
        write!(f, "{} {after}", self.revision)
    }
}

/// The stamp of a message that main put in order; none if this is not the group's main server or the message not in it.
///
/// # Errors
/// If storage fails.
pub fn of_message(
    reader: &(impl Reader + ?Sized),
    group: &GroupId,
    message: &MessageId,
) -> Result<Option<Stamp>, StoreError> {
    let key = rows::key(reader, group);
    if rows::at(reader, &key)?.is_none_or(|group| group.home.is_some()) {
        return Ok(None);
    }
    let Some(line) = log::find(reader, &key, message)? else { return Ok(None) };
    Ok(Some(Stamp { revision: line.revision, after: log::before(reader, &key, &line)? }))
}

/// The stamp of an answer about a group of ours to a server that has members.
///
/// # Errors
/// If storage fails.
pub fn of_answer(reader: &(impl Reader + ?Sized), group: &Group, peer: &ServerId) -> Result<Option<Stamp>, StoreError> {
    if group.home.is_some() {
        return Ok(None);
    }
    let began = member::began(reader, &rows::key(reader, &group.id), peer)?;
    Ok(began.map(|after| Stamp { revision: group.revision, after }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_whatever_the_message_is_called() {
        for after in [None, Some("-"), Some("-1"), Some("a b"), Some("消息/1 \u{1F600}"), Some("%2F")] {
            let after = after.map_or(Base::Start, |id| Base::After(MessageId::parse(id).unwrap()));
            let stamp = Stamp { revision: 7, after };
            assert!(stamp.to_string().is_ascii());
            assert_eq!(Stamp::parse(&stamp.to_string()), Some(stamp));
        }
        for other in ["", "7", "x -", "7 8", "7 %ff"] {
            assert_eq!(Stamp::parse(other), None, "{other:?}");
        }
    }
}
