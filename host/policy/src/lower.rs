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

/// Bytes of texts, and texts, that most calls have at most: room that need not grow while one is packed.
const USUAL: (usize, usize) = (1 << 10, 32);

/// Room for a call in packed form, used again by the next.
pub(crate) struct Packing {
    ends: Vec<u32>,
    texts: String,
}

impl Default for Packing {
    fn default() -> Self {
        Self { texts: String::with_capacity(USUAL.0), ends: Vec::with_capacity(USUAL.1) }
    }
}

impl Packing {
    /// A call for a hook in packed form, and what else it is asked: some texts, then names and values.
    pub(crate) fn pack<'a>(&'a mut self, call: &Call, texts: &[&str], pairs: &[(String, String)]) -> types::Packed<'a> {
        self.ends.clear();
        self.texts.clear();
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
            ends: &self.ends,
            texts: &self.texts,
        }
    }

    fn push<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        for text in texts {
            self.texts.push_str(text);
            // More would not fit into the guest's memory: lowering it fails.
            self.ends.push(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        }
    }

    fn push_pairs(&mut self, pairs: &[(String, String)]) {
        self.push(pairs.iter().flat_map(|(name, value)| [name.as_str(), value]));
    }

    /// Gives back what a large text took.
    pub(crate) fn rest(&mut self) {
        self.texts.clear();
        self.texts.shrink_to(KEPT_BYTES);
    }
}
