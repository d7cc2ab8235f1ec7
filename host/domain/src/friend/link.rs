//! Where a local user stands with somebody, and how that changes.

use isthmus_wire::{UserId, UserInfo};
use serde::{Deserialize, Serialize};

use crate::scene::TimeId;

/// Where a local user stands with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stand {
    /// Nothing between them, or nothing any more.
    None,
    /// The local user has asked and waits for an answer.
    Asked,
    /// The other one has asked and waits.
    Asks,
    /// Friends.
    Friends,
}

impl Stand {
    /// One word, for JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Stand::None => "none",
            Stand::Asked => "asked",
            Stand::Asks => "asks",
            Stand::Friends => "friends",
        }
    }

    pub(super) const fn byte(self) -> u8 {
        match self {
            Stand::None => 0,
            Stand::Asked => 1,
            Stand::Asks => 2,
            Stand::Friends => 3,
        }
    }
}

/// What a call of another server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Deed {
    Request,
    Answer,
    Delete,
}

/// What a local user has to do with another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other one.
    pub other: UserId,
    /// As it introduced itself last; none of a user of another server that has not yet, and of local users, whose own
    /// profile says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<UserInfo>,
    /// Where they stand.
    pub stand: Stand,
    /// The words with the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// Since when they stand so, in milliseconds since 1970 UTC.
    pub since_ms: u64,
    /// Names this turn: an errand that fails later takes back only what it was sent for.
    pub(super) turn: TimeId,
    /// The name under which the user's own request went to the other server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<TimeId>,
    /// The name under which the other one's request came, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) their_request: Option<TimeId>,
    /// The other server's last call about the two, if it named it: what it did and the name. The same again is the same
    /// call again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) heard: Option<(Deed, TimeId)>,
    /// When an answer was last sent again to a request that came again, in milliseconds since 1970 UTC.
    #[serde(default)]
    pub(super) again_ms: u64,
    /// What the local user said to the last request of the other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mine: Option<bool>,
    /// What the other one said to the last request of the local user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) theirs: Option<bool>,
}

impl Link {
    /// Somebody unheard of.
    pub(super) fn to(other: &UserId) -> Link {
        Link {
            other: other.clone(),
            info: None,
            stand: Stand::None,
            remark: None,
            since_ms: 0,
            turn: TimeId([0; 16]),
            request: None,
            their_request: None,
            heard: None,
            again_ms: 0,
            mine: None,
            theirs: None,
        }
    }

    /// Friends because two requests crossed, and the other one's answer to the user's own has not come yet.
    pub(super) fn crossed(&self) -> bool {
        self.stand == Stand::Friends && self.mine.is_none() && self.theirs.is_none()
    }

    /// A request opens: what was said to earlier ones is forgotten.
    pub(super) fn open(&mut self, stand: Stand, remark: Option<String>) {
        self.stand = stand;
        self.remark = remark;
        (self.mine, self.theirs) = (None, None);
    }
}

/// How names of answers begin.
const REPLY: &[u8; 4] = b"isth";

/// The name of an answer to the request of this name: a UUID (version 8) that whoever asked can make too, and so knows which
/// of its requests is answered. Chapter 7 has no field for that, and after a partition an answer may come when its request
/// has been taken back and made anew.
pub(super) fn reply_to(request: TimeId) -> TimeId {
    let mut name = [0; 16];
    name.copy_from_slice(&blake3::derive_key("isthmus friend answer", &request.0)[..16]);
    name[..4].copy_from_slice(REPLY);
    name[6] = name[6] & 0x0F | 0x80;
    name[8] = name[8] & 0x3F | 0x80;
    TimeId(name)
}

/// Whether a call's name says which request it answers.
pub(super) fn is_reply(name: TimeId) -> bool {
    name.0.starts_with(REPLY) && name.0[6] >> 4 == 8
}
