//! Acts of local users. If the other one is a local user too, both sides change in one transaction, and no network is
//! needed.

use isthmus_store::Tx;
use isthmus_wire::json::REMARK_MAX;
use isthmus_wire::{Code, ServerId, ServerStatus, UserId, UserInfo};
use serde_json::json;

use super::arrive::{self, Other};
use super::link::{Link, Stand};
use super::tell::{self, Line};
use super::{Reach, Turned, reach, row};
use crate::account::{self, User};
use crate::done::Done;
use crate::error::Error;
use crate::peer::{self, Standing};
use crate::profile::Eyes;
use crate::scene::Scene;
use crate::speaker::{self, Home};

/// An act of a local user.
#[derive(Debug, Clone)]
pub struct Act {
    /// Who acts, as the token says.
    pub user: UserId,
    /// The other one.
    pub other: UserId,
    /// When a call to the other one's server is given up, in milliseconds since 1970 UTC.
    pub expires_ms: u64,
    /// The audit record.
    pub audit: Vec<u8>,
}

/// The two of an act.
struct Pair {
    user: User,
    other: UserId,
    /// Where the other one is; none if that is nowhere any more.
    reach: Option<Reach>,
    expires_ms: u64,
}

impl Pair {
    fn of(tx: &Tx<'_>, act: &Act, reach: Option<Reach>) -> Result<Pair, Error> {
        let user = account::find_user(tx, &act.user)?.filter(|user| !user.disabled);
        let user = user.ok_or_else(|| Error::refused(Code::NoIdentity, "the user is disabled"))?;
        let other = match &reach {
            Some(Reach::Here(id)) => id.clone(),
            Some(Reach::Away(_)) | None => act.other.clone(),
        };
        if other == user.id {
            return Err(Error::field(Code::InvalidField, "userID", "is the user itself"));
        }
        Ok(Pair { user, other, reach, expires_ms: act.expires_ms })
    }

    fn line(&self) -> Option<Line<'_>> {
        let Some(Reach::Away(peer)) = &self.reach else { return None };
        Some(Line { peer, user: &self.user, other: &self.other, expires_ms: self.expires_ms })
    }

    /// The other one, if it is a local user.
    fn here(&self, tx: &Tx<'_>) -> Result<Option<User>, Error> {
        let Some(Reach::Here(id)) = &self.reach else { return Ok(None) };
        Ok(account::find_user(tx, id)?)
    }

    /// What the other one says of itself: local users by their profile.
    fn info(&self, tx: &Tx<'_>, link: &Link) -> Result<Option<UserInfo>, Error> {
        Ok(self.here(tx)?.map(|other| other.info(Eyes::Friend)).or_else(|| link.info.clone()))
    }
}

/// Asks somebody for friendship (§7.6.3). Who has been asked already is not asked again; to ask somebody who has asked is
/// to say yes.
///
/// # Errors
/// 1003 for the user itself or a remark that will not do, 1004 if the other one is nobody here and its home unknown, 1101 if
/// the user is disabled, 1202 if the other one's server is suspended or deregistered or a list is full, 1302 if its home must
/// first be asked of the platform.
pub fn ask(tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: Act, remark: Option<String>) -> Result<Turned, Error> {
    check_remark(remark.as_deref())?;
    let reach = reach(tx, scene.home, &act.other)?;
    let pair = Pair::of(tx, &act, Some(reach))?;
    tx.audit(act.audit);
    let link = row::link(tx, &pair.user.id, &pair.other)?;
    match link.stand {
        Stand::Friends | Stand::Asked => Ok(Turned { stand: link.stand, done: Done::default() }),
        Stand::Asks => agree(tx, scene, &pair, link),
        Stand::None => open(tx, scene, &pair, link, remark.filter(|words| !words.is_empty())),
    }
}

fn check_remark(remark: Option<&str>) -> Result<(), Error> {
    let odd = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    if remark.is_some_and(|words| words.len() > REMARK_MAX || words.chars().any(odd)) {
        return Err(Error::field(Code::InvalidField, "remark", "is too long or contains a control character"));
    }
    Ok(())
}

fn open(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    pair: &Pair,
    mut link: Link,
    remark: Option<String>,
) -> Result<Turned, Error> {
    link.open(Stand::Asked, remark.clone());
    let name = scene.mint();
    link.request = Some(name);
    row::turn(tx, scene, &pair.user.id, &mut link)?;
    let mut body = tell::body("out", &pair.other);
    if let Some(remark) = &remark {
        body["remark"] = json!(remark);
    }
    let mut done = Done::default();
    done.deliveries.push(tell::devices(tx, scene, &pair.user.id, tell::REQUEST, body)?);
    if let Some(line) = pair.line() {
        done.letters.push(line.request(tx, name, remark, link.turn)?);
    } else if let Some(other) = pair.here(tx)? {
        let info = pair.user.info(Eyes::Stranger);
        done.extend(arrive::request(tx, scene, &other, &Other { info: &info, far: None }, remark)?);
    }
    Ok(Turned { stand: Stand::Asked, done })
}

/// Answers a request (§7.6.4). The same answer again changes nothing.
///
/// # Errors
/// 1004 if the other one is nobody here and its home unknown, 1101 if the user is disabled, 1202 if the other one has no
/// open request, or, for a yes, its server is suspended or deregistered.
pub fn answer(tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: Act, yes: bool) -> Result<Turned, Error> {
    // A no needs nobody's consent, and nobody to hear it.
    let reach = if yes { Some(reach(tx, scene.home, &act.other)?) } else { anywhere(tx, scene.home, &act.other)? };
    let pair = Pair::of(tx, &act, reach)?;
    tx.audit(act.audit);
    let link = row::link(tx, &pair.user.id, &pair.other)?;
    match link.stand {
        Stand::Asks if yes => agree(tx, scene, &pair, link),
        Stand::Asks => turn_down(tx, scene, &pair, link),
        Stand::Friends if yes => Ok(Turned { stand: Stand::Friends, done: Done::default() }),
        Stand::None if !yes && link.mine == Some(false) => Ok(Turned { stand: Stand::None, done: Done::default() }),
        Stand::Friends | Stand::Asked | Stand::None => {
            let words = format_args!("there is no open request of {}", pair.other);
            Err(Error::field(Code::WrongState, "userID", words))
        }
    }
}

fn agree(tx: &mut Tx<'_>, scene: &mut Scene<'_>, pair: &Pair, mut link: Link) -> Result<Turned, Error> {
    link.stand = Stand::Friends;
    link.mine = Some(true);
    row::turn(tx, scene, &pair.user.id, &mut link)?;
    let mut body = tell::answer("out", &pair.other, true);
    if let Some(info) = pair.info(tx, &link)? {
        body = tell::with_info(body, &info);
    }
    let mut done = Done::default();
    done.deliveries.push(tell::devices(tx, scene, &pair.user.id, tell::ANSWER, body)?);
    if let Some(line) = pair.line() {
        done.letters.push(line.answer(tx, scene, link.their_request, true, Some(link.turn))?);
    } else if let Some(other) = pair.here(tx)? {
        let info = pair.user.info(Eyes::Friend);
        done.extend(arrive::answer(tx, scene, &other, &Other { info: &info, far: None }, true)?);
    }
    Ok(Turned { stand: Stand::Friends, done })
}

fn turn_down(tx: &mut Tx<'_>, scene: &mut Scene<'_>, pair: &Pair, mut link: Link) -> Result<Turned, Error> {
    link.stand = Stand::None;
    link.mine = Some(false);
    row::turn(tx, scene, &pair.user.id, &mut link)?;
    let body = tell::answer("out", &pair.other, false);
    let mut done = Done::default();
    done.deliveries.push(tell::devices(tx, scene, &pair.user.id, tell::ANSWER, body)?);
    if let Some(line) = pair.line() {
        done.letters.push(line.answer(tx, scene, link.their_request, false, None)?);
    } else if let Some(other) = pair.here(tx)? {
        let info = pair.user.info(Eyes::Stranger);
        done.extend(arrive::answer(tx, scene, &other, &Other { info: &info, far: None }, false)?);
    }
    Ok(Turned { stand: Stand::None, done })
}

/// Ends a friendship (§7.6.5), takes a request back, or refuses one. Where there is nothing to end it is done already.
///
/// # Errors
/// 1101 if the user is disabled, 1003 for the user itself.
pub fn delete(tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: Act) -> Result<Turned, Error> {
    let reach = anywhere(tx, scene.home, &act.other)?;
    let pair = Pair::of(tx, &act, reach)?;
    tx.audit(act.audit);
    let mut link = row::link(tx, &pair.user.id, &pair.other)?;
    let was = match link.stand {
        Stand::Asks => return turn_down(tx, scene, &pair, link),
        Stand::None => return Ok(Turned { stand: Stand::None, done: Done::default() }),
        Stand::Friends => "friends",
        Stand::Asked => "request",
    };
    link.stand = Stand::None;
    row::turn(tx, scene, &pair.user.id, &mut link)?;
    let mut body = tell::body("out", &pair.other);
    body["was"] = json!(was);
    let mut done = Done::default();
    done.deliveries.push(tell::devices(tx, scene, &pair.user.id, tell::DELETED, body)?);
    if let Some(line) = pair.line() {
        done.letters.push(line.delete(tx, scene)?);
    } else if let Some(other) = pair.here(tx)? {
        done.extend(arrive::deletion(tx, scene, &other.id, &pair.user.id, None)?);
    }
    Ok(Turned { stand: Stand::None, done })
}

/// Where the other one is, be it disabled or its server suspended; none if it is nowhere, or its server is no more.
fn anywhere(tx: &Tx<'_>, own: &ServerId, other: &UserId) -> Result<Option<Reach>, Error> {
    Ok(match speaker::home_of(tx, own, other)? {
        Home::Own => account::local_id(own, other).map(Reach::Here),
        Home::Server(peer) => match peer::standing(tx, &peer)? {
            Standing::Registered(ServerStatus::Deregistered) => None,
            Standing::Registered(ServerStatus::Normal | ServerStatus::Suspended)
            | Standing::Unknown
            | Standing::Unregistered => Some(Reach::Away(peer)),
        },
        Home::Ask(_) | Home::Unknown => None,
    })
}
