//! What users' devices and other servers are told of friends.

use isthmus_store::Tx;
use isthmus_wire::call::user::{Add, Delete, Respond};
use isthmus_wire::call::{CallSpec, USER_ADD, USER_ANSWER, USER_DELETE};
use isthmus_wire::record::YesNo;
use isthmus_wire::{ServerId, UserId, UserInfo, json};
use serde_json::{Value, json};

use super::link::reply_to;
use crate::account::User;
use crate::errand::{Errand, Said};
use crate::error::Error;
use crate::inbox::{self, Delivery, Event};
use crate::news;
use crate::outbox::{self, Waiting};
use crate::profile::Eyes;
use crate::scene::{Scene, TimeId};

/// Somebody asked, or a request of the user's own failed.
pub(super) const REQUEST: &str = "friend.request";
/// A request was answered, or an answer of the user's own failed.
pub(super) const ANSWER: &str = "friend.answer";
/// A friendship ended, or a request was taken back.
pub(super) const DELETED: &str = "friend.deleted";

/// Tells a local user's devices.
pub(super) fn devices(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    user: &UserId,
    kind: &str,
    body: Value,
) -> Result<Delivery, Error> {
    let news = news::put(tx, scene, kind, body);
    inbox::append(tx, user, scene.now_ms, Event::News(news))
}

/// News of an act of the user's own (`out`) or of the other one's (`in`).
pub(super) fn body(direction: &str, other: &UserId) -> Value {
    json!({"direction": direction, "userID": other})
}

/// 1 yes, 2 no, as in §7.6.4.
pub(super) fn answer(direction: &str, other: &UserId, agree: bool) -> Value {
    let mut body = body(direction, other);
    body["isAgree"] = json!(YesNo(agree));
    body
}

/// The other one's words of itself.
pub(super) fn with_info(mut body: Value, info: &UserInfo) -> Value {
    body["userInfo"] = json!(info);
    body
}

/// Calls about `user` and `other` to the other one's server, in one lane.
pub(super) struct Line<'a> {
    pub(super) peer: &'a ServerId,
    pub(super) user: &'a User,
    pub(super) other: &'a UserId,
    pub(super) expires_ms: u64,
}

impl Line<'_> {
    /// `POST /sns/add/users`, under this name. If it fails, `turn` is taken back.
    pub(super) fn request(
        &self,
        tx: &mut Tx<'_>,
        name: TimeId,
        remark: Option<String>,
        turn: TimeId,
    ) -> Result<Waiting, Error> {
        let mut said: Vec<Said> = remark.iter().map(|_| Said::new("friend.remark", "/remark")).collect();
        let add = Add { user_id: self.other.clone(), remark, user_info: self.user.info(Eyes::Stranger) };
        said.extend(Said::of_user("/userInfo", &add.user_info));
        self.errand(tx, name, &USER_ADD, json::write(&add), said, Some(turn))
    }

    /// `POST /sns/rsp/users`, to the request of this name. A friend learns the phone number. If it fails, `turn` is taken
    /// back.
    pub(super) fn answer(
        &self,
        tx: &mut Tx<'_>,
        scene: &mut Scene<'_>,
        to: Option<TimeId>,
        agree: bool,
        turn: Option<TimeId>,
    ) -> Result<Waiting, Error> {
        let eyes = if agree { Eyes::Friend } else { Eyes::Stranger };
        let respond = Respond { user_id: self.other.clone(), is_agree: YesNo(agree), user_info: self.user.info(eyes) };
        let name = to.map_or_else(|| scene.mint(), reply_to);
        let said = Said::of_user("/userInfo", &respond.user_info);
        self.errand(tx, name, &USER_ANSWER, json::write(&respond), said, turn)
    }

    /// `POST /sns/del/users`.
    pub(super) fn delete(&self, tx: &mut Tx<'_>, scene: &mut Scene<'_>) -> Result<Waiting, Error> {
        let delete = Delete { user_id: self.other.clone(), requester_id: self.user.id.clone() };
        let name = scene.mint();
        self.errand(tx, name, &USER_DELETE, json::write(&delete), Vec::new(), None)
    }

    fn errand(
        &self,
        tx: &mut Tx<'_>,
        id: TimeId,
        spec: &CallSpec,
        body: Vec<u8>,
        said: Vec<Said>,
        turn: Option<TimeId>,
    ) -> Result<Waiting, Error> {
        let errand = Errand {
            id,
            call: spec.name.to_owned(),
            path: spec.path.to_owned(),
            body: String::from_utf8(body).expect("JSON is UTF-8"),
            actor: Some(self.user.id.clone()),
            target: self.other.to_string(),
            said,
            tag: turn.map(|turn| turn.to_string()).unwrap_or_default(),
        };
        let lane = [b"friend", self.user.id.as_str().as_bytes(), self.other.as_str().as_bytes()].join(&0);
        outbox::errand(tx, self.peer, &lane, errand, self.expires_ms)
    }
}
