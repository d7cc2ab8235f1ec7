//! Recall of messages (`repeal`, R7): by their sender, within a window. What was recalled is gone for users; the record
//! stays, marked, and so does the audit.

use std::sync::Arc;

use isthmus_store::{Reader, Tx};
use isthmus_wire::{ChatScene, Code, Content, MessageId, MessageInfo, ServerId, UserId};
use serde_json::json;

use crate::account;
use crate::dedup;
use crate::done::Done;
use crate::error::Error;
use crate::held;
use crate::inbox::{self, Event};
use crate::media::sight;
use crate::message::Incoming;
use crate::news::{self, News};
use crate::outbox;
use crate::scene::{Scene, TimeId};
use crate::speaker::{self, Home};
use crate::stored::{self, Stored};

/// A recall by a local user.
#[derive(Debug, Clone)]
pub struct Recall {
    /// Minted by the caller: becomes the `messageID` of the `repeal` message.
    pub id: TimeId,
    /// Who recalls, as the token says.
    pub actor: UserId,
    /// What.
    pub message_id: MessageId,
    /// How long after it was accepted a message may be recalled, in milliseconds.
    pub window_ms: u64,
    /// When telling the other server is given up, in milliseconds since 1970 UTC.
    pub expires_ms: u64,
    /// The audit record.
    pub audit: Vec<u8>,
}

/// The message that a local user wants to recall, and wrote.
///
/// # Errors
/// 1004 if the user wrote no such message.
pub fn own(
    reader: &(impl Reader + ?Sized),
    actor: &UserId,
    message_id: &MessageId,
) -> Result<(Arc<Stored>, MessageInfo), Error> {
    let nothing = || Error::field(Code::NotFound, "messageID", "you wrote no such message");
    let id = TimeId::parse(message_id.as_str()).ok_or_else(nothing)?;
    let stored = stored::get(reader, &id)?.filter(|stored| stored.peer.is_none()).ok_or_else(nothing)?;
    let info = stored.info()?;
    if info.send_id != *actor {
        return Err(nothing());
    }
    Ok((stored, info))
}

/// Recalls a message of one's own: it is marked, both users' devices are told, and the recipient's server if it is
/// another. Again is no error and changes nothing.
///
/// # Errors
/// 1004 as [`own`], 1202 when the window is over.
pub fn recall(tx: &mut Tx<'_>, scene: &mut Scene<'_>, recall: Recall) -> Result<Done, Error> {
    let (stored, info) = own(tx, &recall.actor, &recall.message_id)?;
    if stored.recalled {
        return Ok(Done::default());
    }
    in_time(scene.now_ms, stored.time_ms, recall.window_ms, "messageID")?;
    mark(tx, scene.home, &stored)?;
    tx.audit(recall.audit);
    let news = news_of(tx, scene, &info);
    let mut done = Done::default();
    done.deliveries.push(inbox::append(tx, &info.send_id, scene.now_ms, Event::News(Arc::clone(&news)))?);
    match speaker::home_of(tx, scene.home, &info.recv_id)? {
        Home::Own if info.recv_id != info.send_id && !held::is_held(tx, &stored.id)? => {
            done.deliveries.push(inbox::append(tx, &info.recv_id, scene.now_ms, Event::News(news))?);
        }
        // What is held never left.
        Home::Server(peer) if !held::is_held(tx, &stored.id)? => {
            let content = Content::Repeal { message_id: recall.message_id };
            let repeal = MessageInfo { message_id: recall.id.message_id(), content, ..info };
            let kept = Stored::new(recall.id, scene.now_ms, &repeal);
            kept.put(tx);
            done.letters.push(outbox::enqueue(tx, &peer, &repeal, &Arc::new(kept), recall.expires_ms)?);
        }
        Home::Own | Home::Server(_) | Home::Ask(_) | Home::Unknown => {}
    }
    Ok(done)
}

/// A recall from another server, of a message that it sent before. Whether it comes again was asked already.
///
/// # Errors
/// 1004 if no such message came from that sender to that recipient, 1202 later than `latest_ms` after it came.
pub(crate) fn receive(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    m: &Incoming,
    recalled: &MessageId,
    latest_ms: u64,
) -> Result<Done, Error> {
    const FIELD: &str = "messageInfo.content.messageID";
    let nothing = || Error::field(Code::NotFound, FIELD, "names no message of this sender to this recipient");
    let record = dedup::original(tx, &m.info, recalled)?.ok_or_else(nothing)?;
    let stored = stored::expect(tx, &record)?;
    in_time(scene.now_ms, stored.time_ms, latest_ms, FIELD)?;
    if stored.recalled {
        return Ok(Done::default());
    }
    mark(tx, scene.home, &stored)?;
    let mut done = Done::default();
    if m.info.chat_scene == ChatScene::User
        && !held::is_held(tx, &record)?
        && let Some(user) = account::local_id(scene.home, &m.info.recv_id)
    {
        let info = MessageInfo { message_id: recalled.clone(), ..m.info.clone() };
        let news = news_of(tx, scene, &info);
        done.deliveries.push(inbox::append(tx, &user, scene.now_ms, Event::News(news))?);
    }
    Ok(done)
}

pub(crate) fn in_time(now_ms: u64, since_ms: u64, window_ms: u64, field: &str) -> Result<(), Error> {
    if now_ms.saturating_sub(since_ms) <= window_ms {
        return Ok(());
    }
    Err(Error::field(Code::WrongState, field, "is too old to be recalled"))
}

/// Marks a message as recalled: nobody is shown it any more, nor its file because of it.
pub(crate) fn mark(tx: &mut Tx<'_>, own: &ServerId, stored: &Stored) -> Result<(), Error> {
    Stored { recalled: true, ..stored.clone() }.put(tx);
    Ok(sight::recalled(tx, own, &stored.info()?, &stored.id)?)
}

/// `info` with the recalled message's own ID.
pub(crate) fn news_of(tx: &mut Tx<'_>, scene: &mut Scene<'_>, info: &MessageInfo) -> Arc<News> {
    let body = json!({
        "messageID": info.message_id, "sendID": info.send_id, "recvID": info.recv_id,
        "chatScene": info.chat_scene.as_str(),
    });
    news::put(tx, scene, "recalled", body)
}
