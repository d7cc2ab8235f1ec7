//! Outbox lanes (design §4): letters to a peer wait in order, one lane a conversation.
//!
//! A letter's key is peer, lane and number, so that lanes of a peer lie together and everything about the queue but the
//! letters' text is known without opening them. Numbers rise over all lanes and are never given twice: a late `remove`
//! never hits another letter.

use std::{ops::Bound, sync::Arc};

use crate::{Reader, StoreError, Tx, table::LETTERS, view::after_prefix};

const COUNTER: &str = "store.letters";

/// One ordered queue: a peer and a conversation (the first 16 bytes of its keyed hash).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId {
    /// The peer's server ID, at most 255 bytes, as given to [`enqueue`].
    pub peer: Arc<str>,
    /// The conversation.
    pub conversation: [u8; 16],
}

/// One letter, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LetterId {
    /// Where it waits.
    pub lane: LaneId,
    /// Rises within the lane, with gaps.
    pub seq: u64,
}

/// A waiting letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Which one.
    pub id: LetterId,
    /// What [`enqueue`] was given.
    pub body: Vec<u8>,
}

impl LaneId {
    /// The lane of a conversation with a peer.
    pub fn new(reader: &(impl Reader + ?Sized), peer: &str, conversation: &[u8]) -> LaneId {
        let hash = reader.index_hash("lane", conversation);
        let mut short = [0; 16];
        short.copy_from_slice(&hash[..16]);
        LaneId { peer: peer.into(), conversation: short }
    }

    fn key(&self) -> Vec<u8> {
        let mut key = peer_key(&self.peer);
        key.extend_from_slice(&self.conversation);
        key
    }
}

impl LetterId {
    fn key(&self) -> Vec<u8> {
        let mut key = self.lane.key();
        key.extend_from_slice(&self.seq.to_be_bytes());
        key
    }

    fn parse(key: &[u8]) -> Result<LetterId, StoreError> {
        let parts = || {
            let (length, rest) = key.split_first()?;
            let (peer, rest) = rest.split_at_checked(usize::from(*length))?;
            let (conversation, rest) = rest.split_first_chunk::<16>()?;
            let seq = u64::from_be_bytes(rest.try_into().ok()?);
            let lane = LaneId { peer: std::str::from_utf8(peer).ok()?.into(), conversation: *conversation };
            Some(LetterId { lane, seq })
        };
        parts().ok_or(StoreError::Malformed { what: "a letter's key" })
    }
}

/// Length and name; a name beyond 255 bytes cannot come from a server ID and is cut.
fn peer_key(peer: &str) -> Vec<u8> {
    let length = u8::try_from(peer.len()).unwrap_or(u8::MAX);
    let mut key = Vec::with_capacity(1 + usize::from(length) + 16 + 8);
    key.push(length);
    key.extend_from_slice(&peer.as_bytes()[..usize::from(length)]);
    key
}

/// Puts a letter at the end of the lane of `conversation` with `peer` (a canonical server ID, at most 64 bytes).
///
/// # Errors
/// If the engine fails.
pub fn enqueue(tx: &mut Tx<'_>, peer: &str, conversation: &[u8], letter: &[u8]) -> Result<LetterId, StoreError> {
    let lane = LaneId::new(tx, peer, conversation);
    let id = LetterId { lane, seq: tx.next(COUNTER)? };
    tx.put(LETTERS, &id.key(), letter);
    Ok(id)
}

/// Changes a waiting letter's body, keeping its place.
pub fn replace(tx: &mut Tx<'_>, id: &LetterId, letter: &[u8]) {
    tx.put(LETTERS, &id.key(), letter);
}

/// Takes a letter out; one that is gone already is no error.
pub fn remove(tx: &mut Tx<'_>, id: &LetterId) {
    tx.delete(LETTERS, &id.key());
}

/// The letter, if it still waits.
///
/// # Errors
/// If the engine fails or the letter does not open.
pub fn get(reader: &(impl Reader + ?Sized), id: &LetterId) -> Result<Option<Letter>, StoreError> {
    Ok(reader.get(LETTERS, &id.key())?.map(|body| Letter { id: id.clone(), body }))
}

/// The first letter of every lane that is not empty, peer by peer. One step a lane, however long the lanes are.
///
/// # Errors
/// If the engine fails or a letter does not open.
pub fn all(reader: &(impl Reader + ?Sized)) -> Result<Vec<Letter>, StoreError> {
    heads(reader, &[])
}

/// The first letter of every lane with `peer`.
///
/// # Errors
/// As [`all`].
pub fn of_peer(reader: &(impl Reader + ?Sized), peer: &str) -> Result<Vec<Letter>, StoreError> {
    heads(reader, &peer_key(peer))
}

fn heads(reader: &(impl Reader + ?Sized), prefix: &[u8]) -> Result<Vec<Letter>, StoreError> {
    let end = after_prefix(prefix);
    let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut from = Some(prefix.to_vec());
    let mut heads = Vec::new();
    while let Some(start) = from {
        let Some((key, body)) = reader.scan(LETTERS, Bound::Included(&start), to, 1, false)?.pop() else { break };
        let id = LetterId::parse(&key)?;
        from = after_prefix(&id.lane.key());
        heads.push(Letter { id, body });
    }
    Ok(heads)
}

/// At most `limit` letters of a lane with a number of at least `from`, in order.
///
/// # Errors
/// As [`all`].
pub fn of_lane(
    reader: &(impl Reader + ?Sized),
    lane: &LaneId,
    from: u64,
    limit: usize,
) -> Result<Vec<Letter>, StoreError> {
    let start = LetterId { lane: lane.clone(), seq: from }.key();
    let end = after_prefix(&lane.key());
    let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    reader
        .scan(LETTERS, Bound::Included(&start), to, limit, false)?
        .into_iter()
        .map(|(key, body)| Ok(Letter { id: LetterId::parse(&key)?, body }))
        .collect()
}

/// How many letters wait in a lane, counted up to `limit`.
///
/// # Errors
/// As [`all`].
pub fn depth(reader: &(impl Reader + ?Sized), lane: &LaneId, limit: usize) -> Result<usize, StoreError> {
    Ok(of_lane(reader, lane, 0, limit)?.len())
}
