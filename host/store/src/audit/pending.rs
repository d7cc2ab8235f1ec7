//! Records that are committed but not yet exported: one sealed row a batch, keyed by its first leaf index.

use super::merkle::{self, Hash};
use crate::{StoreError, random::Random};

/// 16 random bytes beside each record, so that a commitment cannot be tried out against guessed records.
pub(crate) type Salt = [u8; 16];

/// A record with its salt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Salted {
    pub(crate) salt: Salt,
    pub(crate) record: Vec<u8>,
}

impl Salted {
    pub(crate) fn entry(&self) -> Hash {
        merkle::commitment(&self.salt, &self.record)
    }
}

/// A batch's row: for each record its length (u32), its salt and itself. Returns the row and the entries.
pub(crate) fn encode(records: &[Vec<u8>], random: &mut Random) -> Result<(Vec<u8>, Vec<Hash>), StoreError> {
    let mut row = Vec::with_capacity(records.iter().map(|r| r.len() + 20).sum());
    let mut entries = Vec::with_capacity(records.len());
    for record in records {
        let salt: Salt = random.take()?;
        let length =
            u32::try_from(record.len()).map_err(|_| StoreError::Malformed { what: "an audit record of 4 GiB" })?;
        row.extend_from_slice(&length.to_be_bytes());
        row.extend_from_slice(&salt);
        row.extend_from_slice(record);
        entries.push(merkle::commitment(&salt, record));
    }
    Ok((row, entries))
}

pub(crate) fn decode(mut row: &[u8]) -> Result<Vec<Salted>, StoreError> {
    let mut records = Vec::new();
    while !row.is_empty() {
        let (salted, rest) = one(row).ok_or(StoreError::Malformed { what: "a batch of audit records" })?;
        records.push(salted);
        row = rest;
    }
    Ok(records)
}

fn one(row: &[u8]) -> Option<(Salted, &[u8])> {
    let (length, rest) = row.split_first_chunk::<4>()?;
    let (salt, rest) = rest.split_first_chunk::<16>()?;
    let (record, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((Salted { salt: *salt, record: record.to_vec() }, rest))
}

pub(crate) fn index(key: &[u8]) -> Result<u64, StoreError> {
    key.try_into()
        .map(u64::from_be_bytes)
        .map_err(|_| StoreError::Malformed { what: "the key of a batch of audit records" })
}
