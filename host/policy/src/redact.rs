//! Redactions: plugins say which field, the host does it, so that the key never leaves it.

use crate::bindings::isthmus::policy::types::Redaction;

/// Bytes of a keyed hash that are recorded: enough to tell values apart.
const HASH_BYTES: usize = 16;
/// What a hashed value begins with.
pub(crate) const HASHED: &str = "blake3k:";

/// What all audit plugins together want done, by field. Where two name the same field the one that
/// shows less holds: drop, then hash, then mask.
#[derive(Default)]
pub(crate) struct Redactions(Vec<(String, Redaction)>);

impl Redactions {
    pub(crate) fn add(&mut self, field: String, redaction: Redaction) {
        match self.0.iter_mut().find(|(name, _)| *name == field) {
            Some((_, kept)) if strength(redaction) > strength(*kept) => *kept = redaction,
            Some(_) => {}
            None => self.0.push((field, redaction)),
        }
    }

    /// The value as it may be recorded; none if it may not be.
    pub(crate) fn apply(&self, key: &[u8; 32], field: &str, value: &str) -> Option<String> {
        match self.0.iter().find(|(name, _)| name == field).map(|(_, redaction)| redaction) {
            None => Some(value.to_owned()),
            Some(Redaction::Drop) => None,
            Some(Redaction::Mask) => Some(mask(value)),
            Some(Redaction::Hash) => Some(hash(key, value)),
        }
    }
}

fn strength(redaction: Redaction) -> u8 {
    match redaction {
        Redaction::Mask => 0,
        Redaction::Hash => 1,
        Redaction::Drop => 2,
    }
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
    let hash = blake3::keyed_hash(key, value.as_bytes());
    [HASHED, &hash.to_hex()[..HASH_BYTES * 2]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }

    #[test]
    fn the_redaction_that_shows_less_holds() {
        use Redaction::{Drop, Hash, Mask};
        let cases = [([Mask, Hash], Hash), ([Hash, Mask], Hash), ([Drop, Mask], Drop), ([Hash, Drop], Drop)];
        for (asked, expected) in cases {
            let mut redactions = Redactions::default();
            asked.into_iter().for_each(|redaction| redactions.add("f".into(), redaction));
            assert_eq!(strength(redactions.0[0].1), strength(expected), "{asked:?}");
        }
    }
}
