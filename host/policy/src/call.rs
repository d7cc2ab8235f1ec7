//! What the host asks the plugins about: calls, items of content, events to be recorded.
//!
//! These mirror `wit/1.0.0/policy.wit` without any type of the WebAssembly engine, so that the
//! rest of the server never sees one.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Which way a call goes (T/CIIA 003—2019 §6.2 b: policy on every call, both ways).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From another server.
    Inbound,
    /// To another server.
    Outbound,
    /// Between this server and its own clients.
    Internal,
}

/// The other server of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// `serverId` as its certificate says (R13).
    pub id: String,
    /// `area` of its registration; empty if unknown.
    pub area: String,
    /// `serverType` of its registration; empty if unknown.
    pub product: String,
}

/// One operation that somebody wants carried out.
#[derive(Clone, Debug)]
pub struct Call {
    /// `message.send`, `user.login`, `address.query`, …
    pub operation: Cow<'static, str>,
    /// Which way it goes.
    pub direction: Direction,
    /// The other server; none for internal calls.
    pub peer: Option<Peer>,
    /// The user acting, as a userID; empty if none.
    pub actor: String,
    /// The userID, groupID or serverID that it is done to; empty if none.
    pub target: String,
    /// Now, in milliseconds since 1970 UTC.
    pub time_ms: u64,
    /// Further facts by name: `chatScene`, `messageType`, `messageID`, …
    pub attributes: Vec<(String, String)>,
}

/// A body too large to be handed over whole; plugins read it in bounded pieces.
pub trait Body: Send + Sync {
    /// Bytes.
    fn size(&self) -> u64;
    /// At most `len` bytes from `offset`; empty at the end.
    fn read(&self, offset: u64, len: u32) -> Vec<u8>;
}

/// One text or file that somebody wants to say.
#[derive(Clone)]
pub struct Item {
    /// `message.text`, `file.metadata`, `file.content`, `group.text`, `profile.text`,
    /// `friend.remark`, `answer.text` (what another server says when it refuses).
    pub kind: Cow<'static, str>,
    /// The text, whole; for a file its name. Empty where only `body` carries it.
    pub text: String,
    /// `size`, `mediaType`, … of a file.
    pub attributes: Vec<(String, String)>,
    /// The content, for kinds that have one.
    pub body: Option<Arc<dyn Body>>,
}

/// What happened, after its decision, and what would be recorded of it (§6.2 d).
#[derive(Clone, Debug)]
pub struct Event {
    /// What was asked for.
    pub call: Call,
    /// `allowed`, `denied`, `rejected`, `rewritten`, `held`, `failed`.
    pub outcome: Cow<'static, str>,
    /// The standard's or our code (R5; 0 success).
    pub code: u32,
    /// What would be recorded beside the call, by name: `text`, `reason`, …
    pub fields: Vec<(String, String)>,
}

/// A body while a plugin looks at it: what stands behind the `message.body` resource.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OpenBody;
