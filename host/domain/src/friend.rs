//! Friends (§7.6.3–7.6.7, R18): symmetric, on both users' servers.
//!
//! Each local user has one row for everybody it has to do with. A friendship begins with a yes to an open request, or when
//! two requests cross, and ends on both sides with a delete. What concerns a user of another server goes there as an errand,
//! in one lane a pair, so that request, answer and delete arrive in the order in which they were made; whatever comes
//! twice changes nothing. If the other server refuses an errand for good, or its time is over, this side takes back what
//! the other never learnt, and the user is told.

mod arrive;
mod far;
mod link;
mod near;
mod row;
mod tell;

use isthmus_store::Tx;
use isthmus_wire::{Code, ServerId, ServerStatus, UserId};

use crate::account;
use crate::done::Done;
use crate::error::Error;
use crate::peer::{self, Standing};
use crate::speaker::{self, Home};

pub(crate) use far::settled;
pub use far::{Come, answered, asked, deleted};
pub use link::{Link, Stand};
pub use near::{Act, answer, ask, delete};
pub use row::{contacts, find, is_friend, known, requests};

/// The most people that one user has to do with: friends, open requests, and what is remembered of ended ones.
pub const LINKS_MAX: usize = 10_000;

/// What came of an act: where the two stand now, and what is to be done after the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    /// Where the user stands with the other one now.
    pub stand: Stand,
    /// Pushes and letters.
    pub done: Done,
}

/// Where the other one is.
enum Reach {
    /// A local user, in the one spelling of its ID.
    Here(UserId),
    /// A user of this server.
    Away(ServerId),
}

/// Finds the other one of a request or an answer.
fn reach(tx: &Tx<'_>, own: &ServerId, other: &UserId) -> Result<Reach, Error> {
    let nobody = || Error::field(Code::NotFound, "userID", format_args!("there is no user {other}"));
    match speaker::home_of(tx, own, other)? {
        Home::Own => enabled(tx, own, other, "userID").map(Reach::Here),
        Home::Server(peer) => match peer::standing(tx, &peer)? {
            Standing::Registered(ServerStatus::Suspended) => {
                Err(Error::field(Code::WrongState, "userID", format_args!("the server {peer} is suspended")))
            }
            Standing::Registered(ServerStatus::Deregistered) => {
                Err(Error::field(Code::WrongState, "userID", format_args!("the server {peer} is no more")))
            }
            Standing::Registered(ServerStatus::Normal) | Standing::Unknown | Standing::Unregistered => {
                Ok(Reach::Away(peer))
            }
        },
        Home::Ask(named) => {
            let words = format_args!("whether {named} is registered is not known yet; retry");
            Err(Error::field(Code::Overloaded, "userID", words))
        }
        Home::Unknown => Err(nobody()),
    }
}

/// A local user that is not disabled, in the one spelling of its ID.
fn enabled(tx: &Tx<'_>, own: &ServerId, id: &UserId, field: &str) -> Result<UserId, Error> {
    let nobody = || Error::field(Code::NotFound, field, format_args!("there is no user {id} here"));
    let user = account::local_id(own, id).ok_or_else(nobody)?;
    if account::is_enabled(tx, &user)? { Ok(user) } else { Err(nobody()) }
}
