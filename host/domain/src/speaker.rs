//! Whose user is it (R11), and may this server speak for them (R12).

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::call::{CallSpec, Relay};
use isthmus_wire::json::Fields;
use isthmus_wire::{ChatScene, Code, GroupId, ServerId, UserId};

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

/// An ID that has a home: a user's or a group's.
pub trait Homed {
    /// Keeps the memory of users' and groups' homes apart.
    const KIND: &'static str;
    /// The ID.
    fn text(&self) -> &str;
    /// The serverId that it names.
    fn hint(&self) -> Option<&str>;
}

impl Homed for UserId {
    const KIND: &'static str = "foreign";
    fn text(&self) -> &str {
        self.as_str()
    }
    fn hint(&self) -> Option<&str> {
        self.home_hint()
    }
}

impl Homed for GroupId {
    const KIND: &'static str = "foreign group";
    fn text(&self) -> &str {
        self.as_str()
    }
    fn hint(&self) -> Option<&str> {
        self.home_hint()
    }
}

/// The home of an ID (R11): what follows the last `@` if that names a registered server, else who presented it first.
///
/// # Errors
/// If storage fails.
pub fn home_of<I: Homed>(reader: &(impl Reader + ?Sized), own: &ServerId, id: &I) -> Result<Home, StoreError> {
    if let Some(hint) = id.hint() {
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

fn key<I: Homed>(reader: &(impl Reader + ?Sized), id: &I) -> [u8; 16] {
    half(reader.index_hash(I::KIND, id.text().as_bytes()))
}

fn presenter<I: Homed>(reader: &(impl Reader + ?Sized), id: &I) -> Result<Option<ServerId>, StoreError> {
    let Some(value) = reader.get(FOREIGN, &key(reader, id))? else { return Ok(None) };
    let text = std::str::from_utf8(&value).ok().and_then(|t| ServerId::parse(t).ok());
    text.map(Some).ok_or(StoreError::Malformed { what: "a foreign home" })
}

/// Whether `peer`, as its certificate names it, may act in the name of `id`, which stood in `field` (R12).
///
/// # Errors
/// 1104 if the ID is at home elsewhere; 1302 if that cannot be told before the platform was asked ([`Home::Ask`]).
pub fn may_speak<I: Homed>(
    reader: &(impl Reader + ?Sized),
    own: &ServerId,
    peer: &ServerId,
    id: &I,
    field: &str,
) -> Result<Claim, Error> {
    // A peer with a certificate is registered: no need to look.
    if names(peer, id) && !own.is(peer.as_str()) {
        return Ok(Claim::Settled);
    }
    match home_of(reader, own, id)? {
        Home::Server(home) if home == *peer => Ok(Claim::Settled),
        Home::Unknown => Ok(Claim::First),
        Home::Own | Home::Server(_) => {
            Err(Error::field(Code::MayNotActFor, field, format_args!("is not at home at {peer}")))
        }
        Home::Ask(named) => {
            Err(Error::field(Code::Overloaded, field, format_args!("whether {named} is registered is not known yet")))
        }
    }
}

fn names<I: Homed>(server: &ServerId, id: &I) -> bool {
    id.hint().is_some_and(|hint| server.is(hint))
}

/// Remembers for good who presented an ID first (R11).
pub fn remember<I: Homed>(tx: &mut Tx<'_>, peer: &ServerId, id: &I) {
    let key = key(tx, id);
    tx.put(FOREIGN, &key, peer.folded().as_bytes());
}

/// [`may_speak`] in the transaction that acts for `id`: remembers who presented it first.
///
/// # Errors
/// As [`may_speak`].
pub fn claim<I: Homed>(tx: &mut Tx<'_>, own: &ServerId, peer: &ServerId, id: &I, field: &str) -> Result<(), Error> {
    if may_speak(tx, own, peer, id, field)? == Claim::First {
        remember(tx, peer, id);
    }
    Ok(())
}

/// What [`check`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The peer may make this call.
    May,
    /// Whether this serverId is registered must be settled first; then ask again.
    Ask(ServerId),
}

/// R12 for any call between servers: may `peer` say what `fields` say of who acts? A field that is missing or malformed is
/// left to whoever reads the request: it never acts for anybody.
///
/// # Errors
/// 1104, naming the field.
pub fn check(
    reader: &(impl Reader + ?Sized),
    own: &ServerId,
    peer: &ServerId,
    spec: &CallSpec,
    fields: &Fields<'_>,
) -> Result<Finding, Error> {
    let Some(field) = spec.speaker else { return Ok(Finding::May) };
    let group = match spec.relay {
        Relay::Only(group) | Relay::Also(group) => fields.text_at(group),
        Relay::InGroups(group) if in_group(fields) => fields.text_at(group),
        Relay::InGroups(_) | Relay::Never => None,
    };
    if let Relay::Only(field) = spec.relay {
        return judge(reader, own, peer, group.and_then(|id| GroupId::parse(id).ok()).as_ref(), field);
    }
    let speaker = fields.text_at(field).and_then(|id| UserId::parse(id).ok());
    match judge(reader, own, peer, speaker.as_ref(), field) {
        Err(Error::Refused(refusal)) => match group.and_then(|id| GroupId::parse(id).ok()) {
            // Only a home that is known may relay: a peer cannot make itself one by naming a group.
            Some(group) if names(peer, &group) => Ok(Finding::May),
            Some(group) => match home_of(reader, own, &group)? {
                Home::Server(home) if home == *peer => Ok(Finding::May),
                Home::Ask(named) => Ok(Finding::Ask(named)),
                Home::Own | Home::Server(_) | Home::Unknown => Err(Error::Refused(refusal)),
            },
            None => Err(Error::Refused(refusal)),
        },
        finding => finding,
    }
}

fn in_group(fields: &Fields<'_>) -> bool {
    let scene = fields.text_at("messageInfo.chatScene");
    scene.is_some_and(|scene| scene.eq_ignore_ascii_case(ChatScene::Group.as_str()))
}

fn judge<I: Homed>(
    reader: &(impl Reader + ?Sized),
    own: &ServerId,
    peer: &ServerId,
    id: Option<&I>,
    field: &str,
) -> Result<Finding, Error> {
    let Some(id) = id else { return Ok(Finding::May) };
    if !names(peer, id)
        && let Home::Ask(named) = home_of(reader, own, id)?
    {
        return Ok(Finding::Ask(named));
    }
    may_speak(reader, own, peer, id, field).map(|_| Finding::May)
}
