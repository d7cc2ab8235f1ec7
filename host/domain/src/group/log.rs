//! A group's messages in main's order (R22), and reading them from a cursor (§7.7.9).
//!
//! The main server numbers the lines; a mirror numbers its own copy. A messageID stands in a group's log once.

use std::ops::Bound;
use std::sync::Arc;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::call::group::HISTORY_MAX;
use isthmus_wire::{Code, MessageId};

use super::row::{self as rows, Base, Group, Key};
use crate::error::Error;
use crate::row::Cut;
use crate::scene::TimeId;
use crate::stored::{self, Stored};
use crate::table::{LINES, LOG};

const WHAT: &str = "a line of a group's log";

/// What stands in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A message that members see.
    Shown,
    /// A message in quarantine (`held`).
    Held,
    /// A message that this server's policy refused: members here do not see it.
    Withheld,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) mark: Mark,
    /// The message's record.
    pub(crate) record: TimeId,
    /// The group's revision when main put it in order.
    pub(crate) revision: u64,
    pub(crate) message_id: MessageId,
}

/// A page of a group's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The newest message of the group; none if there is none.
    pub max: Option<MessageId>,
    /// The oldest.
    pub min: Option<MessageId>,
    /// In main's order.
    pub messages: Vec<Arc<Stored>>,
}

fn place(key: &Key, number: u64) -> [u8; 24] {
    let mut place = [0; 24];
    place[..16].copy_from_slice(key);
    place[16..].copy_from_slice(&number.to_be_bytes());
    place
}

/// The messageID first: IDs that rise with time make rows that are appended.
fn by_id(key: &Key, id: &MessageId) -> Vec<u8> {
    [id.as_str().as_bytes(), key.as_slice()].concat()
}

fn decode(place: &[u8], value: &[u8]) -> Result<Line, StoreError> {
    let mut cut = Cut::new(value, WHAT);
    let number = place.get(16..).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
    let mark = match cut.byte()? {
        0 => Mark::Shown,
        1 => Mark::Held,
        2 => Mark::Withheld,
        _ => return Err(cut.wrong()),
    };
    let revision = cut.u64()?;
    let record = TimeId(cut.array()?);
    let message_id = MessageId::parse(cut.text()?).map_err(|_| cut.wrong())?;
    Ok(Line { number: number.ok_or_else(|| cut.wrong())?, mark, record, revision, message_id })
}

fn write(tx: &mut Tx<'_>, key: &Key, line: &Line) {
    let mut value = Vec::with_capacity(61);
    value.push(match line.mark {
        Mark::Shown => 0,
        Mark::Held => 1,
        Mark::Withheld => 2,
    });
    value.extend_from_slice(&line.revision.to_be_bytes());
    value.extend_from_slice(&line.record.0);
    value.extend_from_slice(line.message_id.as_str().as_bytes());
    tx.put_owned(LOG, &place(key, line.number), value);
}

/// Adds a message at the end; answers its line's number.
pub(crate) fn append(
    tx: &mut Tx<'_>,
    key: &Key,
    revision: u64,
    message_id: &MessageId,
    record: TimeId,
    mark: Mark,
) -> Result<u64, StoreError> {
    let number = last(tx, key)?.map_or(0, |line| line.number) + 1;
    write(tx, key, &Line { number, mark, record, revision, message_id: message_id.clone() });
    tx.put(LINES, &by_id(key, message_id), &number.to_be_bytes());
    Ok(number)
}

/// The newest line.
pub(crate) fn last(reader: &(impl Reader + ?Sized), key: &Key) -> Result<Option<Line>, StoreError> {
    let row = reader.prefix(LOG, key, 1, true)?.pop();
    row.map(|(place, value)| decode(&place, &value)).transpose()
}

/// The line of a message.
pub(crate) fn find(
    reader: &(impl Reader + ?Sized),
    key: &Key,
    message_id: &MessageId,
) -> Result<Option<Line>, StoreError> {
    let Some(number) = reader.get(LINES, &by_id(key, message_id))? else { return Ok(None) };
    let place = place(key, Cut::new(&number, WHAT).u64()?);
    reader.get(LOG, &place)?.map(|value| decode(&place, &value)).transpose()
}

/// What was held is shown from now on.
pub(crate) fn show(tx: &mut Tx<'_>, key: &Key, line: Line) {
    write(tx, key, &Line { mark: Mark::Shown, ..line });
}

/// At most `limit` lines with numbers within the bounds.
fn lines(
    reader: &(impl Reader + ?Sized),
    key: &Key,
    from: Bound<u64>,
    to: Bound<u64>,
    limit: usize,
    reverse: bool,
) -> Result<Vec<Line>, StoreError> {
    let (from, to) = (from.map(|n| place(key, n)), to.map(|n| place(key, n)));
    let from = from.as_ref().map(<[u8; 24]>::as_slice);
    let to = to.as_ref().map(<[u8; 24]>::as_slice);
    let rows = reader.scan(LOG, from, to, limit, reverse)?;
    rows.iter().map(|(place, value)| decode(place, value)).collect()
}

/// Where the group's log ends, for what goes out next or is expected next.
pub(crate) fn position(reader: &(impl Reader + ?Sized), key: &Key, group: &Group) -> Result<Option<Base>, StoreError> {
    let stand = group.mirror.clone().unwrap_or(rows::Mirror { base: Some(Base::Start), ..rows::Mirror::default() });
    let last = last(reader, key)?.filter(|line| line.number > stand.floor);
    Ok(last.map(|line| Base::After(line.message_id)).or(stand.base))
}

/// What stands before a line: what a mirror must have had to take it.
pub(crate) fn before(reader: &(impl Reader + ?Sized), key: &Key, line: &Line) -> Result<Base, StoreError> {
    let before = lines(reader, key, Bound::Included(0), Bound::Excluded(line.number), 1, true)?.pop();
    Ok(before.map_or(Base::Start, |line| Base::After(line.message_id)))
}

/// Messages later than `after` (`size` > 0) or earlier (`size` < 0), none: from the oldest, from the newest; at most 200,
/// in main's order. Whether the asker may read it is the caller's question.
///
/// # Errors
/// 1004 for a cursor that is not in the group's log here.
pub fn history(
    reader: &(impl Reader + ?Sized),
    group: &Group,
    cursor: Option<&MessageId>,
    size: i32,
) -> Result<Page, Error> {
    let key = rows::key(reader, &group.id);
    let floor = group.mirror.as_ref().map_or(0, |mirror| mirror.floor);
    let at = match cursor {
        None => None,
        Some(id) => Some(
            find(reader, &key, id)?
                .filter(|line| line.number > floor)
                .ok_or_else(|| Error::field(Code::NotFound, "messageID", "is not among this group's messages here"))?,
        ),
    };
    let (later, many) = (size > 0, size.unsigned_abs().min(HISTORY_MAX.unsigned_abs()) as usize);
    let mut from = at.as_ref().filter(|_| later).map_or(floor, |line| line.number);
    let mut to = at.as_ref().filter(|_| !later).map_or(u64::MAX, |line| line.number);
    let mut messages = Vec::new();
    while messages.len() < many {
        let found = lines(reader, &key, Bound::Excluded(from), Bound::Excluded(to), many, !later)?;
        let Some(end) = found.last().map(|line| line.number) else { break };
        if later {
            from = end
        } else {
            to = end
        }
        for line in found.iter().filter(|line| line.mark == Mark::Shown) {
            let message = stored::get(reader, &line.record)?;
            messages.extend(message.filter(|message| !message.recalled && messages.len() < many));
        }
    }
    if !later {
        messages.reverse();
    }
    let (max, min) = ends(reader, &key, floor)?;
    Ok(Page { max, min, messages })
}

fn ends(
    reader: &(impl Reader + ?Sized),
    key: &Key,
    floor: u64,
) -> Result<(Option<MessageId>, Option<MessageId>), StoreError> {
    let (from, to) = (Bound::Excluded(floor), Bound::Included(u64::MAX));
    let max = lines(reader, key, from, to, 1, true)?.pop();
    let min = lines(reader, key, from, to, 1, false)?.pop();
    Ok((max.map(|line| line.message_id), min.map(|line| line.message_id)))
}
