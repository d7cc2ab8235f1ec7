//! Calls as the bindings want them: each text by itself, or all of them in one piece.

use crate::bindings::isthmus::policy::types;
use crate::call::{Call, Direction};

/// Attributes as the plain hooks want them: borrowed.
pub(crate) fn pairs(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// A call for a plain hook.
pub(crate) fn call<'a>(call: &'a Call, attributes: &'a [(&'a str, &'a str)]) -> types::Call<'a> {
    types::Call {
        operation: &call.operation,
        direction: direction(call.direction),
        peer: call.peer.as_ref().map(|peer| types::Server { id: &peer.id, area: &peer.area, product: &peer.product }),
        actor: &call.actor,
        target: &call.target,
        time_ms: call.time_ms,
        attributes,
    }
}

fn direction(direction: Direction) -> types::Direction {
    match direction {
        Direction::Inbound => types::Direction::Inbound,
        Direction::Outbound => types::Direction::Outbound,
        Direction::Internal => types::Direction::Internal,
    }
}

/// Of an instance that waits for its next call, so many bytes of texts are kept at most.
const KEPT_BYTES: usize = 16 << 10;

/// A length's digits are to this base, the lowest first; those that are not its last have it added to them.
const BASE: usize = 64;

fn digit(value: usize) -> char {
    char::from(value as u8)
}

/// Bytes of texts that most calls have at most: room that need not grow while one is packed.
const USUAL: usize = 1 << 10;

/// Room for a call in packed form, used again by the next.
pub(crate) struct Packing(String);

impl Default for Packing {
    fn default() -> Self {
        Self(String::with_capacity(USUAL))
    }
}

impl Packing {
    /// A call for a hook in packed form, and what else it is asked: some texts, then names and values.
    pub(crate) fn pack<'a>(&'a mut self, call: &Call, texts: &[&str], pairs: &[(String, String)]) -> types::Packed<'a> {
        self.0.clear();
        let peer = call.peer.as_ref().map(|peer| [&*peer.id, &peer.area, &peer.product]);
        self.push([&*call.operation, &call.actor, &call.target]);
        self.push(peer.iter().flatten().copied());
        self.push_pairs(&call.attributes);
        self.push(texts.iter().copied());
        self.push_pairs(pairs);
        types::Packed {
            direction: direction(call.direction),
            peer: peer.is_some(),
            attributes: u32::try_from(call.attributes.len()).unwrap_or(u32::MAX),
            time_ms: call.time_ms,
            texts: &self.0,
        }
    }

    /// Each behind its length.
    fn push<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        for text in texts {
            let mut left = text.len();
            while left >= BASE {
                self.0.push(digit(BASE + left % BASE));
                left /= BASE;
            }
            self.0.push(digit(left));
            self.0.push_str(text);
        }
    }

    fn push_pairs(&mut self, pairs: &[(String, String)]) {
        self.push(pairs.iter().flat_map(|(name, value)| [name.as_str(), value]));
    }

    /// Gives back what a large text took.
    pub(crate) fn rest(&mut self) {
        self.0.clear();
        self.0.shrink_to(KEPT_BYTES);
    }
}
