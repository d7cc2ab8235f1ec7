//! Recall in a group (R7): by the sender, the owner and the admins, within the window. Main decides and puts the `repeal` in
//! order like any message; whoever gets it marks what was recalled.

use std::sync::Arc;

use isthmus_store::{Reader, Tx};
use isthmus_wire::{ChatScene, Code, Content, GroupId, MessageId, MessageInfo, UserId};

use super::log;
use super::member;
use super::post::{addressed, order};
use super::row::{self as rows, Group, Key};
use crate::done::Done;
use crate::error::Error;
use crate::inbox::{self, Event};
use crate::outbox;
use crate::recall::{Recall, in_time, mark, news_of};
use crate::scene::Scene;
use crate::stored::{self, Stored};

const FIELD: &str = "messageInfo.content.messageID";

/// What is to be recalled in a group.
struct Target {
    stored: Arc<Stored>,
    info: MessageInfo,
}

fn target(reader: &(impl Reader + ?Sized), key: &Key, message_id: &MessageId, field: &str) -> Result<Target, Error> {
    let nothing = || Error::field(Code::NotFound, field, "names no message of this group");
    let line = log::find(reader, key, message_id)?.ok_or_else(nothing)?;
    let stored = stored::get(reader, &line.record)?.ok_or_else(nothing)?;
    let info = stored.info()?;
    if matches!(info.content, Content::Repeal { .. }) {
        return Err(nothing());
    }
    Ok(Target { stored, info })
}

fn may(reader: &(impl Reader + ?Sized), group: &Group, user: &UserId, sender: &UserId) -> Result<(), Error> {
    let member = member::acting(reader, group, user, "messageInfo.sendID")?;
    if member.leads() || user == sender {
        return Ok(());
    }
    let words = "only its sender, the group's owner and its admins may recall a message";
    Err(Error::refused(Code::NotPermitted, words))
}

/// Whether a local user may recall a message of a group, to be asked before policy is.
///
/// # Errors
/// 1004 without such a message or group, 1105 for whoever may not, 1202 if the group was dissolved.
pub fn permitted(
    reader: &(impl Reader + ?Sized),
    group: &GroupId,
    actor: &UserId,
    message_id: &MessageId,
) -> Result<Group, Error> {
    let group = rows::living(reader, group)?;
    let target = target(reader, &rows::key(reader, &group.id), message_id, "messageID")?;
    may(reader, &group, actor, &target.info.send_id)?;
    Ok(group)
}

/// A local user recalls. At a mirror nothing is marked before main has decided.
///
/// # Errors
/// As [`permitted`]; 1202 when the window is over.
pub fn recall(tx: &mut Tx<'_>, scene: &mut Scene<'_>, group: &GroupId, recall: Recall) -> Result<Done, Error> {
    let group = permitted(tx, group, &recall.actor, &recall.message_id)?;
    let key = rows::key(tx, &group.id);
    let target = target(tx, &key, &recall.message_id, "messageID")?;
    if target.stored.recalled {
        return Ok(Done::default());
    }
    in_time(scene.now_ms, target.stored.time_ms, recall.window_ms, "messageID")?;
    let repeal = MessageInfo {
        send_id: recall.actor,
        recv_id: UserId::parse(group.id.as_str()).map_err(|e| Error::field(Code::InvalidField, "groupID", e))?,
        chat_scene: ChatScene::Group,
        message_id: recall.id.message_id(),
        content: Content::Repeal { message_id: recall.message_id },
    };
    let stored = Stored::new(recall.id, scene.now_ms, &repeal);
    stored.put(tx);
    let stored = Arc::new(stored);
    tx.audit(recall.audit);
    match &group.home {
        None => {
            let mut done = take_back(tx, scene, &key, &target)?;
            done.extend(order(tx, scene, &group, &repeal, &stored, recall.expires_ms)?);
            Ok(done)
        }
        Some(home) => {
            let letter = outbox::enqueue(tx, home, &repeal, &stored, recall.expires_ms)?;
            Ok(Done { deliveries: Vec::new(), letters: vec![letter] })
        }
    }
}

/// Main receives a `repeal` from a member's server: decides, and marks what is recalled. What is recalled already is so.
///
/// # Errors
/// 1004, 1105, 1202 as [`recall`].
pub(crate) fn decided(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    group: &Group,
    info: &MessageInfo,
    within_ms: u64,
) -> Result<Done, Error> {
    let Content::Repeal { message_id } = &info.content else { return Ok(Done::default()) };
    let key = rows::key(tx, &group.id);
    let target = target(tx, &key, message_id, FIELD)?;
    may(tx, group, &info.send_id, &target.info.send_id)?;
    if target.stored.recalled {
        return Ok(Done::default());
    }
    in_time(scene.now_ms, target.stored.time_ms, within_ms, FIELD)?;
    take_back(tx, scene, &key, &target)
}

/// A mirror follows what main decided. What is not here needs no recalling.
pub(crate) fn follow(tx: &mut Tx<'_>, scene: &mut Scene<'_>, info: &MessageInfo) -> Result<Done, Error> {
    let Content::Repeal { message_id } = &info.content else { return Ok(Done::default()) };
    let key = rows::key(tx, &addressed(&info.recv_id)?);
    match target(tx, &key, message_id, FIELD) {
        Ok(target) if !target.stored.recalled => take_back(tx, scene, &key, &target),
        Ok(_) | Err(Error::Refused(_)) => Ok(Done::default()),
        Err(fault) => Err(fault),
    }
}

/// Gone for users: marked, and every local member told.
fn take_back(tx: &mut Tx<'_>, scene: &mut Scene<'_>, key: &Key, target: &Target) -> Result<Done, Error> {
    mark(tx, scene.home, &target.stored)?;
    let news = news_of(tx, scene, &target.info);
    let mut done = Done::default();
    for user in member::locals_at(tx, key)? {
        done.deliveries.push(inbox::append(tx, &user, scene.now_ms, Event::News(Arc::clone(&news)))?);
    }
    Ok(done)
}
