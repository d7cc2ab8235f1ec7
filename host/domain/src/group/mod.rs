//! Groups (§7.7): the owner's server is the group's *main server* and alone decides and orders; every other server that has
//! members holds a [`mirror`] (§7.7.1, R22).
//!
//! Main's rules are in [`manage`], [`join`] and [`post`]; each leaves one letter per member server, whatever the number of
//! members. All that concerns a group goes to a server in one lane, so that changes and messages arrive in main's order.

pub mod join;
pub mod log;
pub mod manage;
pub mod member;
pub mod mirror;
mod notice;
pub mod open;
pub mod post;
pub mod recall;
mod row;
pub mod stamp;
pub mod ticket;
pub mod view;

pub use manage::{Act, NewGroup, Update, may_recall};
pub use member::{Member, has_member_at, same_group};
pub use row::{Base, Group, find, living, ours};
pub use stamp::Stamp;

use isthmus_store::Tx;
use isthmus_wire::call::group::Invite;
use isthmus_wire::{Code, GroupId, call, json};

use crate::done::Done;
use crate::errand::Errand;
use crate::error::Error;
use crate::outbox::Settlement;
use crate::scene::Scene;

/// What follows from the end of a group's errand: an invitation that did not arrive is told of, a notice is not (the mirror
/// finds out by itself).
pub(crate) fn settled(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    errand: &Errand,
    settlement: &Settlement,
) -> Result<Done, Error> {
    let words = match settlement {
        Settlement::Delivered => return Ok(Done::default()),
        Settlement::Refused { code, message } => (code.number(), message.as_str()),
        Settlement::Expired => (Code::PeerUnreachable.number(), "the other server was not reached in time"),
    };
    if errand.call != call::GROUP_INVITE.name {
        return Ok(Done::default());
    }
    let (Ok(group), Ok(body)) = (GroupId::parse(&errand.target), json::read::<Invite>(errand.body.as_bytes())) else {
        return Ok(Done::default());
    };
    join::invite_settled(tx, scene, &group, &body, words)
}
