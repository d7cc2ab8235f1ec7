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
            again_ms: 0,
            mine: None,
            theirs: None,
        }
    }

    /// A request opens: what was said to earlier ones is forgotten.
    pub(super) fn open(&mut self, stand: Stand, remark: Option<String>) {
        self.stand = stand;
        self.remark = remark;
        (self.mine, self.theirs) = (None, None);
    }
}
