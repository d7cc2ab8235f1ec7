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

/// A call for a hook in packed form, and what else it is asked.
pub(crate) struct Packing<'a> {
    call: &'a Call,
    ends: Vec<u32>,
    texts: String,
}

impl<'a> Packing<'a> {
    pub(crate) fn of(call: &'a Call) -> Self {
        // Room for a message: the usual one is packed without growing.
        let packing = Self { call, ends: Vec::with_capacity(32), texts: String::with_capacity(512) };
        let packing = packing.and([&*call.operation, &call.actor, &call.target]);
        let packing = match &call.peer {
            Some(peer) => packing.and([&*peer.id, &peer.area, &peer.product]),
            None => packing,
        };
        packing.and_pairs(&call.attributes)
    }

    pub(crate) fn and<const N: usize>(mut self, texts: [&str; N]) -> Self {
        texts.into_iter().for_each(|text| self.push(text));
        self
    }

    pub(crate) fn and_pairs(mut self, pairs: &[(String, String)]) -> Self {
        for (name, value) in pairs {
            self.push(name);
            self.push(value);
        }
        self
    }

    fn push(&mut self, text: &str) {
        self.texts.push_str(text);
        // More would not fit into the guest's memory: lowering it fails.
        self.ends.push(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
    }

    pub(crate) fn lent(&self) -> types::Packed<'_> {
        types::Packed {
            direction: direction(self.call.direction),
            peer: self.call.peer.is_some(),
            attributes: u32::try_from(self.call.attributes.len()).unwrap_or(u32::MAX),
            time_ms: self.call.time_ms,
            ends: &self.ends,
            texts: &self.texts,
        }
    }
}
