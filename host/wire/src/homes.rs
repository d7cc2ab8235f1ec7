//! Which server presented whom, beside the platform's answer to a search (reading, section 9; R11, R17): the standard's
//! `userInfos` do not say it, and an ID that names no server has no other home than the one that presented it first.
//!
//! Optional: without it such users are found and cannot be asked to be friends until their server has presented them.

use std::fmt::Write;

use crate::id::ServerId;

/// The header field: `3=west, 7=east`, places in `userInfos` from 0.
pub const HEADER: &str = "isthmus-homes";
/// Places that are told: the field stays below 8 KiB.
pub const MANY: usize = 100;

/// Writes the field; none if there is nothing to tell.
#[must_use]
pub fn write(homes: &[(usize, ServerId)]) -> Option<String> {
    let mut text = String::new();
    for (place, server) in homes.iter().take(MANY) {
        let comma = if text.is_empty() { "" } else { ", " };
        let _infallible = write!(text, "{comma}{place}={server}");
    }
    (!text.is_empty()).then_some(text)
}

/// Reads the field; what makes no sense is passed over.
#[must_use]
pub fn read(text: &str) -> Vec<(usize, ServerId)> {
    let pair = |pair: &str| {
        let (place, server) = pair.trim().split_once('=')?;
        Some((place.parse().ok()?, ServerId::parse(server).ok()?))
    };
    text.split(',').take(MANY).filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::{read, write};
    use crate::id::ServerId;

    #[test]
    fn what_is_written_is_read_and_nonsense_is_passed_over() {
        let server = |id: &str| ServerId::parse(id).expect("an ID");
        let homes = vec![(0, server("west")), (19, server("EAST_2"))];
        assert_eq!(write(&homes).as_deref(), Some("0=west, 19=EAST_2"));
        assert_eq!(read(&write(&homes).unwrap_or_default()), homes);
        assert_eq!(write(&[]), None);
        assert_eq!(read("x=west, 1=no server, 2, 3=east"), [(3, server("east"))]);
    }
}
