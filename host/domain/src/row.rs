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

/// RFC 3339 in UTC (R10).
pub(crate) fn date(ms: u64) -> String {
    let (days, of_day) = (ms / 86_400_000, ms / 1000 % 86_400);
    // Years begin in March here, so that a leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn r10_times_are_written_as_rfc_3339_in_utc() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(951_826_154_999), "2000-02-29T12:09:14Z");
        assert_eq!(date(1_700_000_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(date(4_107_542_399_000), "2100-02-28T23:59:59Z");
    }
}
