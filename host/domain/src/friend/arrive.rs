//! What an act of somebody else does on a local user's side, whether the somebody is a local user too or of another server.

use isthmus_store::Tx;
use isthmus_wire::{Code, ServerId, UserId, UserInfo};
use serde_json::json;

use super::link::{Link, Stand};
use super::tell::{self, Line};
use super::row;
use crate::account::User;
use crate::done::Done;
use crate::error::Error;
use crate::scene::Scene;

/// A request that comes again so soon after it was refused is the same one: its sender has not heard the answer. It is also
/// how often an answer is sent again.
pub(super) const AGAIN_MS: u64 = 60_000;

/// Who acts.
pub(super) struct Other<'a> {
    /// As it introduces itself.
    pub(super) info: &'a UserInfo,
    /// Its server and until when a call to it is worth making; none for a local user.
    pub(super) far: Option<(&'a ServerId, u64)>,
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

    /// What others than friends may know of it.
    fn public(&self) -> UserInfo {
        UserInfo { phone_number: None, ..self.info.clone() }
    }

    fn line<'a>(&'a self, user: &'a User) -> Option<Line<'a>> {
        self.far.map(|(peer, expires_ms)| Line { peer, user, other: self.id(), expires_ms })
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
        Stand::None if link.mine == Some(false) && other.far.is_some() && recent(scene, link.since_ms) => {
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
        done.letters.push(line.answer(tx, scene, agree, None)?);
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
    let mut done = befriend(tx, scene, user, other, &mut link)?;
    if let Some(line) = other.line(user) {
        done.letters.push(line.answer(tx, scene, true, None)?);
    }
    Ok(done)
}

fn befriend(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    user: &User,
    other: &Other<'_>,
    link: &mut Link,
) -> Result<Done, Error> {
    link.stand = Stand::Friends;
    link.theirs = Some(true);
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
    match link.stand {
        Stand::Asked if agree => befriend(tx, scene, user, other, &mut link),
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
        Stand::Friends | Stand::Asks | Stand::None => {
            let words = format_args!("{} has no open request to {}", user.id, other.id());
            Err(Error::field(Code::WrongState, "userID", words))
        }
    }
}

/// The other one ends a friendship, or takes its request back. A request of the user's own stays open: it was made after
/// the friendship that is meant.
pub(super) fn deletion(tx: &mut Tx<'_>, scene: &mut Scene<'_>, user: &UserId, other: &UserId) -> Result<Done, Error> {
    let mut link = row::link(tx, user, other)?;
    let was = match link.stand {
        Stand::Friends => "friends",
        Stand::Asks => "request",
        Stand::Asked | Stand::None => return Ok(Done::default()),
    };
    link.stand = Stand::None;
    row::turn(tx, scene, user, &mut link)?;
    let mut body = tell::body("in", other);
    body["was"] = json!(was);
    let delivery = tell::devices(tx, scene, user, tell::DELETED, body)?;
    Ok(Done { deliveries: vec![delivery], letters: Vec::new() })
}
