//! Up to where a user has read each conversation (§6.3): the same on all devices of the user.

use std::ops::Bound;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{Code, UserId};
use serde::{Deserialize, Serialize};

use crate::account::user_key;
use crate::error::Error;
use crate::inbox;
use crate::row::{json, parse};
use crate::table::MARKS;

const WHAT: &str = "a mark";
/// Marks of one user.
pub const MOST: usize = 4096;

/// What kind of conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Between two users.
    User,
    /// In a group.
    Group,
}

/// A conversation, and the cursor of the last event in it that has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Which kind.
    pub scene: Kind,
    /// The other user, or the group.
    pub id: String,
    /// In the user's inbox.
    pub cursor: u64,
}

fn key(reader: &(impl Reader + ?Sized), user: &UserId, mark: &Mark) -> [u8; 32] {
    let kind = match mark.scene {
        Kind::User => "user",
        Kind::Group => "group",
    };
    let of = format!("{kind}\0{}", mark.id);
    let mut key = [0; 32];
    key[..16].copy_from_slice(&user_key(reader, user));
    key[16..].copy_from_slice(&reader.index_hash("mark", of.as_bytes())[..16]);
    key
}

/// Notes what has been read. Going back changes nothing.
///
/// # Errors
/// 1003 for a cursor beyond the inbox's end, 1202 where there are [`MOST`] marks.
pub fn put(tx: &mut Tx<'_>, user: &UserId, mark: &Mark) -> Result<(), Error> {
    if mark.cursor > inbox::head(tx, user)? {
        return Err(Error::field(Code::InvalidField, "cursor", "lies beyond the last event"));
    }
    let key = key(tx, user, mark);
    let known = tx.get(MARKS, &key)?.map(|row| parse::<Mark>(&row, WHAT)).transpose()?;
    if known.is_none() && all(tx, user)?.len() >= MOST {
        return Err(Error::field(Code::WrongState, "id", format_args!("would be a mark beyond {MOST}")));
    }
    if known.is_none_or(|known| known.cursor < mark.cursor) {
        tx.put(MARKS, &key, &json(mark));
    }
    Ok(())
}

/// All marks of a user.
///
/// # Errors
/// If storage fails.
pub fn all(reader: &(impl Reader + ?Sized), user: &UserId) -> Result<Vec<Mark>, StoreError> {
    let user = user_key(reader, user);
    let (mut from, mut to) = ([0; 32], [u8::MAX; 32]);
    from[..16].copy_from_slice(&user);
    to[..16].copy_from_slice(&user);
    let rows = reader.scan(MARKS, Bound::Included(&from), Bound::Included(&to), MOST, false)?;
    rows.iter().map(|(_, row)| parse(row, WHAT)).collect()
}
