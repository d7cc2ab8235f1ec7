//! What an act of somebody else does on a local user's side, whether the somebody is a local user too or of another server.

use isthmus_store::Tx;
use isthmus_wire::{Code, ServerId, UserId, UserInfo};
use serde_json::json;

use super::link::{self, Deed, Link, Stand};
use super::row;
use super::tell::{self, Line};
use crate::account::User;
use crate::done::Done;
use crate::error::Error;
use crate::scene::{Scene, TimeId};

/// A request without a name that comes again so soon after it was refused is the same one: its sender has not heard the
/// answer. It is also how often an answer is sent again.
pub(super) const AGAIN_MS: u64 = 60_000;

/// Who acts.
pub(super) struct Other<'a> {
    /// As it introduces itself.
    pub(super) info: &'a UserInfo,
    /// Its server; none for a local user.
    pub(super) far: Option<Far<'a>>,
}

/// A call of another server.
#[derive(Clone, Copy)]
pub(super) struct Far<'a> {
    pub(super) peer: &'a ServerId,
    /// The server's own name for the call, the same whenever it repeats it.
    pub(super) name: Option<TimeId>,
    /// Until when a call back is worth making, in milliseconds since 1970 UTC.
    pub(super) expires_ms: u64,
}

impl Far<'_> {
    /// Whether the link has heard this very call; now it has.
    fn again(self, link: &mut Link, deed: Deed) -> bool {
        let heard = self.name.map(|name| (deed, name));
        let again = heard.is_some() && link.heard == heard;
        link.heard = heard;
        again
    }
}

impl Other<'_> {
    fn id(&self) -> &UserId {
        &self.info.user_id
    }

    /// Of local users their own profile is asked whenever somebody looks.
    fn note(&self, link: &mut Link) {
        if self.far.is_some() {
            link.info = Some(self.info.clone());
        }
    }

    /// Whether an answer is one to the user's open request, as far as its name tells.
    fn answers(&self, link: &Link) -> bool {
        let name = self.far.and_then(|far| far.name).filter(|name| link::is_reply(*name));
        name.is_none_or(|name| link.request.map(link::reply_to) == Some(name))
    }

    /// Its server gives calls no names, so that a repeated one and a new one look the same.
    fn is_nameless(&self) -> bool {
        self.far.is_some_and(|far| far.name.is_none())
    }

    fn again(&self, link: &mut Link, deed: Deed) -> bool {
        self.far.is_some_and(|far| far.again(link, deed))
    }

    /// What others than friends may know of it.
    fn public(&self) -> UserInfo {
        UserInfo { phone_number: None, ..self.info.clone() }
    }

    fn line<'a>(&'a self, user: &'a User) -> Option<Line<'a>> {
        self.far.map(|far| Line { peer: far.peer, user, other: self.id(), expires_ms: far.expires_ms })
    }
}

/// The other one asks for friendship. Two requests that cross are a friendship, and a yes goes back, for a server that
/// does not see it so.
pub(super) fn request(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    user: &User,
    other: &Other<'_>,
    remark: Option<String>,
) -> Result<Done, Error> {
    let mut link = row::link(tx, &user.id, other.id())?;
    if other.again(&mut link, Deed::Request) {
        return Ok(Done::default());
    }
    link.their_request = other.far.and_then(|far| far.name);
    match link.stand {
        Stand::Friends => {
            other.note(&mut link);
            answer_again(tx, scene, user, other, &mut link, true)
        }
        Stand::Asks => {
            other.note(&mut link);
            link.remark = remark;
            row::keep(tx, &user.id, &link)?;
            Ok(Done::default())
        }
        Stand::Asked => cross(tx, scene, user, other, link),
        Stand::None if link.mine == Some(false) && other.is_nameless() && recent(scene, link.since_ms) => {
            answer_again(tx, scene, user, other, &mut link, false)
        }
        Stand::None => {
            link.open(Stand::Asks, remark);
            other.note(&mut link);
            row::turn(tx, scene, &user.id, &mut link)?;
            let mut body = tell::with_info(tell::body("in", other.id()), &other.public());
            if let Some(remark) = &link.remark {
                body["remark"] = json!(remark);
            }
            let delivery = tell::devices(tx, scene, &user.id, tell::REQUEST, body)?;
            Ok(Done { deliveries: vec![delivery], letters: Vec::new() })
        }
    }
}

fn recent(scene: &Scene<'_>, since_ms: u64) -> bool {
    scene.now_ms.saturating_sub(since_ms) < AGAIN_MS
}

/// The other server has not heard what was answered: it is said again, but not at every call.
fn answer_again(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    user: &User,
    other: &Other<'_>,
    link: &mut Link,
    agree: bool,
) -> Result<Done, Error> {
    let mut done = Done::default();
    if let Some(line) = other.line(user)
        && !recent(scene, link.again_ms)
    {
        link.again_ms = scene.now_ms;
        done.letters.push(line.answer(tx, scene, link.their_request, agree, None)?);
    }
    row::keep(tx, &user.id, link)?;
    Ok(done)
}

fn cross(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    user: &User,
    other: &Other<'_>,
    mut link: Link,
) -> Result<Done, Error> {
    // Nobody has answered yet: an answer that comes when this is over is none to that request.
    let mut done = befriend(tx, scene, user, other, &mut link, None)?;
    if let Some(line) = other.line(user) {
        done.letters.push(line.answer(tx, scene, link.their_request, true, None)?);
    }
    Ok(done)
}

fn befriend(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    user: &User,
    other: &Other<'_>,
    link: &mut Link,
    theirs: Option<bool>,
) -> Result<Done, Error> {
    link.stand = Stand::Friends;
    link.theirs = theirs;
    other.note(link);
    row::turn(tx, scene, &user.id, link)?;
    let body = tell::with_info(tell::answer("in", other.id(), true), other.info);
    let delivery = tell::devices(tx, scene, &user.id, tell::ANSWER, body)?;
    Ok(Done { deliveries: vec![delivery], letters: Vec::new() })
}

/// The other one answers a request of the user's.
pub(super) fn answer(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    user: &User,
    other: &Other<'_>,
    agree: bool,
) -> Result<Done, Error> {
    let mut link = row::link(tx, &user.id, other.id())?;
    if other.again(&mut link, Deed::Answer) {
        return Ok(Done::default());
    }
    let fits = other.answers(&link);
    match link.stand {
        Stand::Asked if !fits => Err(no_request(user, other)),
        Stand::Asked if agree => befriend(tx, scene, user, other, &mut link, Some(true)),
        Stand::Asked => {
            link.stand = Stand::None;
            link.theirs = Some(false);
            other.note(&mut link);
            row::turn(tx, scene, &user.id, &mut link)?;
            let body = tell::with_info(tell::answer("in", other.id(), false), &other.public());
            let delivery = tell::devices(tx, scene, &user.id, tell::ANSWER, body)?;
            Ok(Done { deliveries: vec![delivery], letters: Vec::new() })
        }
        Stand::Friends if agree => {
            other.note(&mut link);
            row::keep(tx, &user.id, &link)?;
            Ok(Done::default())
        }
        Stand::None if link.theirs == Some(agree) => Ok(Done::default()),
        Stand::Friends | Stand::Asks | Stand::None => Err(no_request(user, other)),
    }
}

fn no_request(user: &User, other: &Other<'_>) -> Error {
    Error::field(Code::WrongState, "userID", format_args!("{} has no open request to {}", user.id, other.id()))
}

/// The other one ends a friendship, or takes its request back. A request of the user's own stays open that the other one
/// has not answered: it was not known there yet when this was sent.
pub(super) fn deletion(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    user: &UserId,
    other: &UserId,
    far: Option<Far<'_>>,
) -> Result<Done, Error> {
    let mut link = row::link(tx, user, other)?;
    if far.is_some_and(|far| far.again(&mut link, Deed::Delete)) {
        return Ok(Done::default());
    }
    let was = match link.stand {
        Stand::Friends => "friends",
        Stand::Asks => "request",
        Stand::Asked => {
            row::keep(tx, user, &link)?;
            return Ok(Done::default());
        }
        Stand::None => return Ok(Done::default()),
    };
    link.stand = if link.crossed() { Stand::Asked } else { Stand::None };
    row::turn(tx, scene, user, &mut link)?;
    let mut body = tell::body("in", other);
    body["was"] = json!(was);
    let delivery = tell::devices(tx, scene, user, tell::DELETED, body)?;
    Ok(Done { deliveries: vec![delivery], letters: Vec::new() })
}
