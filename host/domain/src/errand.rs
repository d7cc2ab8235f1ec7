//! Errands: calls to other servers that must not be lost (a friend's answer, a group's notice). They wait in ordered lanes
//! of the outbox like messages, and are judged again before they leave if the policy changed meanwhile.

use isthmus_store::Tx;
use isthmus_wire::{UserId, UserInfo};
use serde::{Deserialize, Serialize};

use crate::done::Done;
use crate::error::Error;
use crate::friend;
use crate::group;
use crate::outbox::Settlement;
use crate::scene::{Scene, TimeId};

/// A text in an errand's body that the content policy judges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The item's kind: `friend.remark`, `group.text`, …
    pub kind: String,
    /// JSON pointer into the body.
    pub pointer: String,
    /// What goes in its place if the policy does not let it out: an ID for a name, nothing (the field is left out) for
    /// other words. None: the call itself is refused then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

impl Said {
    /// A text without which the call is not made.
    #[must_use]
    pub fn new(kind: &str, pointer: impl Into<String>) -> Said {
        Said { kind: kind.to_owned(), pointer: pointer.into(), instead: None }
    }

    /// A text that may be replaced.
    #[must_use]
    pub fn or(kind: &str, pointer: impl Into<String>, instead: impl Into<String>) -> Said {
        Said { instead: Some(instead.into()), ..Said::new(kind, pointer) }
    }

    /// Name and own words of the user at `pointer`.
    #[must_use]
    pub fn of_user(pointer: &str, info: &UserInfo) -> Vec<Said> {
        let mut said = vec![Said::or("profile.text", format!("{pointer}/name"), info.user_id.as_str())];
        if info.remark.is_some() {
            said.push(Said::or("profile.text", format!("{pointer}/remark"), ""));
        }
        said
    }
}

/// One call to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// Names it in logs of both servers.
    pub id: TimeId,
    /// Name of its [`CallSpec`](isthmus_wire::call::CallSpec).
    pub call: String,
    /// The path, its parameter filled in.
    pub path: String,
    /// The body, JSON.
    pub body: String,
    /// In whose name; the local user who is told if it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<UserId>,
    /// To whom or what it is done: a userID or groupID.
    pub target: String,
    /// Texts for the content policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<Said>,
    /// Whatever its module wants to find again when it is settled.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tag: String,
}

/// What follows from an errand's end, in the transaction that takes it out of its lane.
///
/// # Errors
/// If storage fails.
pub(crate) fn settled(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    errand: &Errand,
    settlement: &Settlement,
) -> Result<Done, Error> {
    match errand.call.as_str() {
        call if call.starts_with("friend.") => friend::settled(tx, scene, errand, settlement),
        call if call.starts_with("group.") => group::settled(tx, scene, errand, settlement),
        _ => Ok(Done::default()),
    }
}
