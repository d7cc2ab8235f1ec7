//! What a rule may know of the world: the time, some randomness, whose server this is.

use std::fmt;

use isthmus_wire::{MessageId, ServerId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The world of one rule.
pub struct Scene<'a> {
    /// Milliseconds since 1970 UTC.
    pub now_ms: u64,
    /// Fills a buffer with random bytes fit for secrets.
    pub random: &'a mut dyn FnMut(&mut [u8]),
    /// The server (or platform) that this is.
    pub home: &'a ServerId,
}

impl Scene<'_> {
    /// A new ID of this moment.
    pub fn mint(&mut self) -> TimeId {
        TimeId::mint(self.now_ms, &mut *self.random)
    }
}

/// An ID that sorts by the millisecond of its making (UUID version 7): rows keyed by it are appended, not scattered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeId(pub [u8; 16]);

impl TimeId {
    /// A new one: 48 bits of time, 74 random ones.
    pub fn mint(now_ms: u64, random: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut noise = [0; 10];
        random(&mut noise);
        Self(*uuid::Builder::from_unix_timestamp_millis(now_ms, &noise).as_uuid().as_bytes())
    }

    /// Reads the written form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        uuid::Uuid::try_parse(text).ok().map(|u| Self(*u.as_bytes()))
    }

    /// As a `messageID`.
    #[must_use]
    pub fn message_id(&self) -> MessageId {
        MessageId::parse(&self.to_string()).expect("36 characters of hexadecimal and hyphens")
    }
}

impl fmt::Display for TimeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

impl fmt::Debug for TimeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeId({self})")
    }
}

impl Serialize for TimeId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a UUID"))
    }
}
