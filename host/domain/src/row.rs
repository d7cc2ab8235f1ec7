//! Rows that hold JSON, and cursors over bytes for those that do not.

use isthmus_store::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("our rows have string keys and no failing serializers")
}

pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| StoreError::Malformed { what })
}

/// Takes a row apart; every step fails where the bytes end.
pub(crate) struct Cut<'a> {
    pub(crate) rest: &'a [u8],
    what: &'static str,
}

impl<'a> Cut<'a> {
    pub(crate) fn new(rest: &'a [u8], what: &'static str) -> Self {
        Self { rest, what }
    }

    pub(crate) fn wrong(&self) -> StoreError {
        StoreError::Malformed { what: self.what }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.wrong())?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, StoreError> {
        self.array::<1>().map(|[b]| b)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, StoreError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A text with its length in two bytes before it.
    pub(crate) fn short_text(&mut self) -> Result<&'a str, StoreError> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        let (head, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.wrong())?;
        self.rest = rest;
        std::str::from_utf8(head).map_err(|_| self.wrong())
    }

    /// All that is left, as text.
    pub(crate) fn text(&mut self) -> Result<&'a str, StoreError> {
        std::str::from_utf8(std::mem::take(&mut self.rest)).map_err(|_| self.wrong())
    }
}

/// Writes what [`Cut::short_text`] reads; longer texts are cut at 64 KiB, which none of ours reaches.
pub(crate) fn put_short(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
}
