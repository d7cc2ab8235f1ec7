//! Whose user is it (R11), and may this server speak for them (R12).

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{Code, ServerId, UserId};

use crate::dedup::half;
use crate::error::Error;
use crate::peer::{self, Standing};
use crate::table::FOREIGN;

/// Where an ID is at home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// Here.
    Own,
    /// At another server.
    Server(ServerId),
    /// Whether this serverId, which the ID names, is registered has yet to be asked of the platform
    /// ([`peer::put`] or [`peer::put_absent`] settles it).
    Ask(ServerId),
    /// It names no registered server and none has presented it.
    Unknown,
}

/// What a server gained by presenting an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Claim {
    /// It is the home.
    Settled,
    /// It is the first to present the ID: the rule must [`remember`] it.
    First,
}

/// The home of an ID (R11): what follows the last `@` if that names a registered server, else who presented it first.
///
/// # Errors
/// If storage fails.
pub fn home_of(reader: &(impl Reader + ?Sized), own: &ServerId, id: &UserId) -> Result<Home, StoreError> {
    if let Some(hint) = id.home_hint() {
        if own.is(hint) {
            return Ok(Home::Own);
        }
        if let Ok(named) = ServerId::parse(hint) {
            match peer::standing(reader, &named)? {
                Standing::Registered(_) => return Ok(Home::Server(named)),
                Standing::Unknown => return Ok(Home::Ask(named)),
                Standing::Unregistered => {}
            }
        }
    }
    Ok(presenter(reader, id)?.map_or(Home::Unknown, Home::Server))
}

fn key(reader: &(impl Reader + ?Sized), id: &UserId) -> [u8; 16] {
    half(reader.index_hash("foreign", id.as_str().as_bytes()))
}

fn presenter(reader: &(impl Reader + ?Sized), id: &UserId) -> Result<Option<ServerId>, StoreError> {
    let Some(value) = reader.get(FOREIGN, &key(reader, id))? else { return Ok(None) };
    let text = std::str::from_utf8(&value).ok().and_then(|t| ServerId::parse(t).ok());
    text.map(Some).ok_or(StoreError::Malformed { what: "a foreign home" })
}

/// Whether `peer`, as its certificate names it, may act in the name of `id`, which stood in `field` (R12).
///
/// # Errors
/// 1104 if the ID is at home elsewhere; 1302 if that cannot be told before the platform was asked ([`Home::Ask`]).
pub fn may_speak(
    reader: &(impl Reader + ?Sized),
    own: &ServerId,
    peer: &ServerId,
    id: &UserId,
    field: &str,
) -> Result<Claim, Error> {
    // A peer with a certificate is registered: no need to look.
    if id.home_hint().is_some_and(|hint| peer.is(hint)) && !own.is(peer.as_str()) {
        return Ok(Claim::Settled);
    }
    match home_of(reader, own, id)? {
        Home::Server(home) if home == *peer => Ok(Claim::Settled),
        Home::Unknown => Ok(Claim::First),
        Home::Own | Home::Server(_) => {
            Err(Error::field(Code::MayNotActFor, field, format_args!("is not a user of {peer}")))
        }
        Home::Ask(named) => {
            Err(Error::field(Code::Overloaded, field, format_args!("whether {named} is registered is not known yet")))
        }
    }
}

/// Remembers for good who presented an ID first (R11).
pub fn remember(tx: &mut Tx<'_>, peer: &ServerId, id: &UserId) {
    let key = key(tx, id);
    tx.put(FOREIGN, &key, peer.folded().as_bytes());
}
