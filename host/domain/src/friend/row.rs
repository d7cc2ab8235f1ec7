//! The rows of friends: one a local user and other one, sealed, the stand in front so that a question for friendship reads
//! no more than it must.

use std::ops::Bound;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{Code, ServerId, UserId};

use super::LINKS_MAX;
use super::link::{Link, Stand};
use crate::account::{local_id, user_key};
use crate::error::Error;
use crate::row;
use crate::scene::Scene;
use crate::table::{FRIEND_COUNTS, FRIENDS};

const WHAT: &str = "a friend's row";
/// Rows looked at in one step of a list.
const STEP: usize = 256;

fn key(reader: &(impl Reader + ?Sized), user: &UserId, other: &UserId) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(&user_key(reader, user));
    key[16..].copy_from_slice(&user_key(reader, other));
    key
}

fn parse(value: &[u8]) -> Result<Link, StoreError> {
    row::parse(value.get(1..).unwrap_or_default(), WHAT)
}

/// What a local user has to do with another one, if anything ever.
///
/// # Errors
/// If storage fails.
pub fn find(reader: &(impl Reader + ?Sized), user: &UserId, other: &UserId) -> Result<Option<Link>, StoreError> {
    reader.get(FRIENDS, &key(reader, user, other))?.map(|value| parse(&value)).transpose()
}

/// Whether the other one is a friend of a local user (§7.6.7).
///
/// # Errors
/// If storage fails.
pub fn is_friend(reader: &(impl Reader + ?Sized), user: &UserId, other: &UserId) -> Result<bool, StoreError> {
    let value = reader.get(FRIENDS, &key(reader, user, other))?;
    Ok(value.is_some_and(|v| v.first() == Some(&Stand::Friends.byte())))
}

/// Whether two users are friends, as far as this server knows: none if neither is a user of its own.
///
/// # Errors
/// If storage fails.
pub fn known(
    reader: &(impl Reader + ?Sized),
    own: &ServerId,
    one: &UserId,
    other: &UserId,
) -> Result<Option<bool>, StoreError> {
    let (user, other) = match (local_id(own, one), local_id(own, other)) {
        (Some(user), _) => (user, other),
        (None, Some(user)) => (user, one),
        (None, None) => return Ok(None),
    };
    is_friend(reader, &user, other).map(Some)
}

/// At most `limit` friends of a local user, after the one named `after`, in no particular order that stays the same.
///
/// # Errors
/// If storage fails.
pub fn contacts(
    reader: &(impl Reader + ?Sized),
    user: &UserId,
    after: Option<&UserId>,
    limit: usize,
) -> Result<Vec<Link>, StoreError> {
    list(reader, user, after, limit, |stand| stand == Stand::Friends.byte())
}

/// The same of open requests, both ways.
///
/// # Errors
/// If storage fails.
pub fn requests(
    reader: &(impl Reader + ?Sized),
    user: &UserId,
    after: Option<&UserId>,
    limit: usize,
) -> Result<Vec<Link>, StoreError> {
    list(reader, user, after, limit, |stand| stand == Stand::Asked.byte() || stand == Stand::Asks.byte())
}

fn list(
    reader: &(impl Reader + ?Sized),
    user: &UserId,
    after: Option<&UserId>,
    limit: usize,
    wanted: impl Fn(u8) -> bool,
) -> Result<Vec<Link>, StoreError> {
    let own = user_key(reader, user);
    let mut from = after.map_or_else(|| own.to_vec(), |other| key(reader, user, other).to_vec());
    let last = [own.as_slice(), &[0xFF; 16]].concat();
    let mut found = Vec::new();
    loop {
        let rows = reader.scan(FRIENDS, Bound::Excluded(&from), Bound::Included(&last), STEP, false)?;
        for (_, value) in rows.iter().filter(|(_, value)| value.first().is_some_and(|stand| wanted(*stand))) {
            found.push(parse(value)?);
            if found.len() >= limit {
                return Ok(found);
            }
        }
        match rows.last() {
            Some((key, _)) if rows.len() == STEP => from.clone_from(key),
            _ => return Ok(found),
        }
    }
}

/// The link as it is, or a new one.
pub(super) fn link(tx: &Tx<'_>, user: &UserId, other: &UserId) -> Result<Link, StoreError> {
    Ok(find(tx, user, other)?.unwrap_or_else(|| Link::to(other)))
}

/// Keeps a link as a new turn of it.
pub(super) fn turn(tx: &mut Tx<'_>, scene: &mut Scene<'_>, user: &UserId, link: &mut Link) -> Result<(), Error> {
    link.turn = scene.mint();
    link.since_ms = scene.now_ms;
    keep(tx, user, link)
}

/// Keeps a link whose stand has not changed.
pub(super) fn keep(tx: &mut Tx<'_>, user: &UserId, link: &Link) -> Result<(), Error> {
    let key = key(tx, user, &link.other);
    if tx.get(FRIENDS, &key)?.is_none() {
        count_one_more(tx, user)?;
    }
    let mut value = vec![link.stand.byte()];
    value.extend_from_slice(&row::json(link));
    tx.put_owned(FRIENDS, &key, value);
    Ok(())
}

/// Nobody makes a user's list grow without end: when it is full, what is remembered of ended links goes first.
fn count_one_more(tx: &mut Tx<'_>, user: &UserId) -> Result<(), Error> {
    let own = user_key(tx, user);
    let stored = tx.get(FRIEND_COUNTS, &own)?;
    let mut count = stored.and_then(|v| v.try_into().ok()).map_or(0, u32::from_be_bytes);
    if usize::try_from(count).is_ok_and(|count| count >= LINKS_MAX) {
        let rows = tx.prefix(FRIENDS, &own, usize::MAX, false)?;
        let ended = rows.iter().filter(|(_, value)| value.first() == Some(&Stand::None.byte()));
        for (key, _) in ended {
            tx.delete(FRIENDS, key);
            count = count.saturating_sub(1);
        }
        if usize::try_from(count).is_ok_and(|count| count >= LINKS_MAX) {
            let words = format_args!("{user} has {LINKS_MAX} friends and open requests; no more can be added");
            return Err(Error::field(Code::WrongState, "userID", words));
        }
    }
    tx.put_owned(FRIEND_COUNTS, &own, (count + 1).to_be_bytes().to_vec());
    Ok(())
}
