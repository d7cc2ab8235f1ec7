//! Identifiers (R11, R13): opaque text with a bound, cheap to clone.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest foreign ID, in bytes of UTF-8 (R11).
pub const ID_MAX: usize = 256;
/// The longest `serverId`, in characters (§7.2.1).
pub const SERVER_ID_MAX: usize = 64;

/// Why a text is no identifier; reads after "the ID ".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// Longer than the kind allows.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// A control character.
    #[error("contains a control character")]
    Control,
    /// For a `serverId`: something beside letters, digits, `_` and `-`.
    #[error("may hold only letters, digits, `_` and `-`")]
    Character,
}

/// What the tolerant reader needs of an identifier.
pub trait Id: Sized {
    /// Checks and takes over `text`.
    ///
    /// # Errors
    /// What is wrong with it.
    fn parse(text: &str) -> Result<Self, InvalidId>;
}

fn check_opaque(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > ID_MAX {
        return Err(InvalidId::TooLong(ID_MAX));
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidId::Control);
    }
    Ok(())
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// 1–256 bytes of UTF-8 without control characters (R11).
            ///
            /// # Errors
            /// What is wrong with `text`.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                check_opaque(text).map(|()| Self(Arc::from(text)))
            }
        }

        common!($name);
    };
}

macro_rules! common {
    ($name:ident) => {
        impl $name {
            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl Id for $name {
            fn parse(text: &str) -> Result<Self, InvalidId> {
                $name::parse(text)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), &*self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                Self::parse(&text).map_err(|e| D::Error::custom(format!("the ID {e}")))
            }
        }
    };
}

opaque_id!(
    /// A `userID` (§7.2.2, R11): ours are `local@serverId`, foreign ones have any form.
    UserId
);
opaque_id!(
    /// A `groupID` (§7.2.3, R11): ours are `g-<unique>@serverId`.
    GroupId
);
opaque_id!(
    /// A `mediaID` (§7.3.3, R11): ours are unguessable.
    MediaId
);
opaque_id!(
    /// A `messageID` (§7.3.1), unique within its conversation.
    MessageId
);

/// What follows the last `@`, if it can be a serverId.
fn after_at(text: &str) -> Option<&str> {
    let (_, tail) = text.rsplit_once('@')?;
    (check_server(tail).is_ok()).then_some(tail)
}

impl UserId {
    /// The serverId that the ID itself names: the part after the last `@` (R11). A hint only: whether
    /// such a server is registered is for the reader to know.
    #[must_use]
    pub fn home_hint(&self) -> Option<&str> {
        after_at(&self.0)
    }
}

impl GroupId {
    /// As [`UserId::home_hint`].
    #[must_use]
    pub fn home_hint(&self) -> Option<&str> {
        after_at(&self.0)
    }
}

impl Borrow<str> for UserId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A `serverId` (§7.2.1): 1–64 of letters, digits, `_`, `-`. IDs that differ only in case are one ID
/// (R13): they compare and hash equal, while each keeps its spelling.
#[derive(Clone)]
pub struct ServerId(Arc<str>);

fn check_server(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > SERVER_ID_MAX {
        return Err(InvalidId::TooLong(SERVER_ID_MAX));
    }
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if text.bytes().all(legal) { Ok(()) } else { Err(InvalidId::Character) }
}

impl ServerId {
    /// Checks and takes over `text` (§7.2.1).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        check_server(text).map(|()| Self(Arc::from(text)))
    }

    /// The one spelling under which it is stored and compared: lower case.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Whether `other` names this server (R13).
    #[must_use]
    pub fn is(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }

    fn lower(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|b| b.to_ascii_lowercase())
    }
}

common!(ServerId);

impl PartialEq for ServerId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}
impl Eq for ServerId {}
impl PartialOrd for ServerId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for ServerId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.lower().cmp(other.lower())
    }
}
impl Hash for ServerId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.lower() {
            state.write_u8(byte);
        }
        state.write_u8(0xff);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_server_id_is_letters_digits_underscore_hyphen_at_most_64() {
        let long = "a".repeat(65);
        let cases: [(&str, Option<InvalidId>); 8] = [
            ("vrv_linkdood", None),
            ("North-1", None),
            (&long[..64], None),
            (&long, Some(InvalidId::TooLong(64))),
            ("", Some(InvalidId::Empty)),
            ("a b", Some(InvalidId::Character)),
            ("a.b", Some(InvalidId::Character)),
            ("北", Some(InvalidId::Character)),
        ];
        for (text, wrong) in cases {
            assert_eq!(ServerId::parse(text).err(), wrong, "{text:?}");
        }
    }

    #[test]
    fn r13_server_ids_that_differ_only_in_case_are_one_and_keep_their_spelling() {
        let (a, b) = (ServerId::parse("North").unwrap(), ServerId::parse("nORTH").unwrap());
        assert_eq!(a, b);
        assert_eq!(a.cmp(&b), Ordering::Equal);
        assert_eq!([a.clone(), b.clone()].into_iter().collect::<HashSet<_>>().len(), 1);
        assert_eq!((a.as_str(), b.as_str()), ("North", "nORTH"));
    }

    #[test]
    fn r11_a_foreign_id_is_1_to_256_bytes_without_control_characters() {
        let longest = "é".repeat(128);
        let too_long = format!("{longest}x");
        let cases: [(&str, Option<InvalidId>); 8] = [
            ("13800138000", None),
            ("张三@北京", None),
            ("😀 with space", None),
            ("שלום@a", None),
            (&longest, None),
            (&too_long, Some(InvalidId::TooLong(256))),
            ("", Some(InvalidId::Empty)),
            ("a\u{0}b", Some(InvalidId::Control)),
        ];
        for (text, wrong) in cases {
            assert_eq!(UserId::parse(text).err(), wrong, "{text:?}");
        }
    }

    #[test]
    fn r11_the_home_hint_is_the_part_after_the_last_at() {
        let cases = [
            ("alice@north", Some("north")),
            ("a@b@south", Some("south")),
            ("alice", None),
            ("alice@", None),
            ("alice@mail.example.com", None),
            ("@north", Some("north")),
        ];
        for (text, hint) in cases {
            assert_eq!(UserId::parse(text).unwrap().home_hint(), hint, "{text}");
        }
    }
}
