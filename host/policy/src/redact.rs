//! Redactions: plugins say which field, the host does it, so that the key never leaves it.

use crate::bindings::isthmus::policy::types::Redaction;
use crate::call::Event;

/// Bytes of a keyed hash that are recorded: enough to tell values apart.
const HASH_BYTES: usize = 16;
/// What a hashed value begins with.
pub(crate) const HASHED: &str = "blake3k:";

/// Places of an event's fields, as bits of a number: `actor`, `target`, the first field, …
pub(crate) const ACTOR: usize = 0;
pub(crate) const TARGET: usize = 1;
pub(crate) const FIRST: usize = 2;
/// Of that field and of all after it: then more is redacted, never less.
const LAST: usize = 63;

/// What audit plugins want done, by the places of an event's fields. Where they want different things of one field the one
/// that shows less holds: drop, then hash, then mask.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Redactions {
    pub(crate) drop: u64,
    pub(crate) hash: u64,
    pub(crate) mask: u64,
}

impl Redactions {
    /// Those of an event's fields that have these names.
    pub(crate) fn named(event: &Event, redactions: Vec<(String, Redaction)>) -> Self {
        let mut all = Self::default();
        for (field, redaction) in redactions {
            let kind = match redaction {
                Redaction::Drop => &mut all.drop,
                Redaction::Hash => &mut all.hash,
                Redaction::Mask => &mut all.mask,
            };
            let names = ["actor", "target"].into_iter().chain(event.fields.iter().map(|(name, _)| name.as_str()));
            let places = names.enumerate().filter(|(_, name)| *name == field);
            *kind |= places.fold(0, |bits, (place, _)| bits | bit(place));
        }
        all
    }

    pub(crate) fn join(&mut self, more: Self) {
        self.drop |= more.drop;
        self.hash |= more.hash;
        self.mask |= more.mask;
    }

    /// The value as it may be recorded; none if it may not be.
    pub(crate) fn apply(self, key: &[u8; 32], place: usize, value: &str) -> Option<String> {
        let wanted = |places: u64| places & bit(place) != 0;
        if wanted(self.drop) {
            return None;
        }
        Some(if wanted(self.hash) {
            hash(key, value)
        } else if wanted(self.mask) {
            mask(value)
        } else {
            value.to_owned()
        })
    }
}

fn bit(place: usize) -> u64 {
    1 << place.min(LAST)
}

/// First and last character kept, the rest as `*`; of two characters or fewer nothing is kept.
fn mask(value: &str) -> String {
    let length = value.chars().count();
    value.chars().enumerate().map(|(at, c)| if length > 2 && (at == 0 || at == length - 1) { c } else { '*' }).collect()
}

fn hash(key: &[u8; 32], value: &str) -> String {
    if value.is_empty() {
        return String::new();
    }
    let hash = *blake3::keyed_hash(key, value.as_bytes()).as_bytes();
    let four_bits = |at: usize| hash[at / 2] >> (4 - at % 2 * 4) & 15;
    let digits: [u8; 2 * HASH_BYTES] = std::array::from_fn(|at| b"0123456789abcdef"[usize::from(four_bits(at))]);
    [HASHED, std::str::from_utf8(&digits).unwrap_or_default()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Call, Direction};

    #[test]
    fn a_mask_keeps_the_first_and_last_character() {
        for (value, expected) in [("alice", "a***e"), ("王小芳", "王*芳"), ("ab", "**"), ("a", "*"), ("", "")] {
            assert_eq!(mask(value), expected);
        }
    }

    #[test]
    fn equal_values_hash_alike_under_one_key_only() {
        let (one, two) = ([1; 32], [2; 32]);
        assert_eq!(hash(&one, "alice"), hash(&one, "alice"));
        assert_ne!(hash(&one, "alice"), hash(&one, "alicf"));
        assert_ne!(hash(&one, "alice"), hash(&two, "alice"));
        assert!(!hash(&one, "alice").contains("alice"));
        let expected = &blake3::keyed_hash(&one, b"alice").to_hex()[..32];
        assert_eq!(hash(&one, "alice").strip_prefix(HASHED), Some(expected));
    }

    #[test]
    fn the_redaction_that_shows_less_holds() {
        let (mask, hash) =
            (Redactions { mask: 2, ..Redactions::default() }, Redactions { hash: 2, ..Redactions::default() });
        let drop = Redactions { drop: 2, ..Redactions::default() };
        let shown = |asked: &[Redactions]| {
            let mut all = Redactions::default();
            asked.iter().for_each(|redactions| all.join(*redactions));
            assert_eq!(all.apply(&[1; 32], ACTOR, "alice").as_deref(), Some("alice"), "another field");
            all.apply(&[1; 32], TARGET, "alice").map(|value| value.replace("***", ""))
        };
        let hashed = Some(super::hash(&[1; 32], "alice"));
        assert_eq!(shown(&[]).as_deref(), Some("alice"));
        assert_eq!(shown(&[mask]).as_deref(), Some("ae"));
        assert_eq!((shown(&[mask, hash]), shown(&[hash, mask])), (hashed.clone(), hashed));
        assert_eq!((shown(&[drop, mask]), shown(&[hash, drop])), (None, None));
    }

    fn call() -> Call {
        Call {
            operation: "message.send".into(),
            direction: Direction::Inbound,
            peer: None,
            actor: String::new(),
            target: String::new(),
            time_ms: 0,
            attributes: Vec::new(),
        }
    }

    #[test]
    fn named_fields_are_found_wherever_they_are() {
        use Redaction::{Drop, Hash, Mask};
        let named = |fields: usize, redactions: &[(&str, Redaction)]| {
            let fields =
                (0..fields).map(|number| (number.to_string(), String::new())).chain([("0".into(), String::new())]);
            let event = Event { call: call(), outcome: "allowed".into(), code: 0, fields: fields.collect() };
            let redactions = redactions.iter().map(|(name, redaction)| ((*name).to_owned(), *redaction)).collect();
            Redactions::named(&event, redactions)
        };
        let got = named(3, &[("actor", Hash), ("target", Mask), ("0", Drop), ("2", Hash), ("9", Drop)]);
        assert_eq!(got, Redactions { drop: 0b10_0100, hash: 0b1_0001, mask: 0b10 });
        let got = named(100, &[("61", Drop), ("99", Mask)]);
        assert_eq!((got.drop, got.mask), (1 << 63, 1 << 63), "the last place stands for all that have none");
        assert_eq!(got.apply(&[1; 32], FIRST + 80, "x"), None);
    }
}
