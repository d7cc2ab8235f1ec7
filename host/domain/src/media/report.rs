//! The report that a file could not be had (reading, section 5: both users are told).
//!
//! The standard has no call for it. Between two servers of our make `POST /isthmus/v1/file/report` tells the sender's server; a
//! peer that does not say `isthmus` as its `serverType` is not asked, and its user learns nothing.

use isthmus_store::Tx;
use isthmus_wire::call::FILE_REPORT;
use isthmus_wire::call::message::FileReport;
use isthmus_wire::{Code, MessageInfo, Refusal, ServerId, UserId, json};
use serde_json::json;

use super::{key_of, sight};
use crate::account;
use crate::done::Done;
use crate::errand::Errand;
use crate::error::Error;
use crate::inbox::{self, Event};
use crate::outbox::{self, Waiting};
use crate::scene::{Scene, TimeId};
use crate::speaker::{self, Home};
use crate::{news, peer, stored};

/// The `serverType` of servers that take reports.
const OURS: &str = "isthmus";
/// Reports are no messages: one that could not be delivered for so long is of no use.
const EXPIRES_MS: u64 = 24 * 60 * 60 * 1000;

/// A report of another server.
pub type Report = FileReport;

/// Puts the report into the outbox, where the sender's server takes one.
pub(super) fn to_sender(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    info: &MessageInfo,
    user: &UserId,
    why: &Refusal,
) -> Result<Option<Waiting>, Error> {
    let Home::Server(home) = speaker::home_of(tx, scene.home, &info.send_id)? else { return Ok(None) };
    let known = peer::get(tx, &home)?.and_then(|peer| peer.info);
    if known.and_then(|info| info.server_type).as_deref() != Some(OURS) {
        return Ok(None);
    }
    let report = FileReport {
        message_id: info.message_id.clone(),
        user_id: user.clone(),
        code: why.code.number(),
        msg: why.message.clone(),
    };
    let errand = Errand {
        id: scene.mint(),
        call: FILE_REPORT.name.to_owned(),
        path: FILE_REPORT.path.to_owned(),
        body: String::from_utf8(json::write(&report)).expect("JSON is UTF-8"),
        actor: Some(user.clone()),
        target: info.send_id.as_str().to_owned(),
        said: Vec::new(),
        tag: String::new(),
    };
    let lane = [b"file report\0", user.as_str().as_bytes()].concat();
    outbox::errand(tx, &home, &lane, errand, scene.now_ms + EXPIRES_MS).map(Some)
}

/// Another server could not have, or did not let through, the file of a message of ours: the sender is told. The same report
/// again tells nothing new.
///
/// # Errors
/// 1004 if there is no such message, 1104 if it was not sent to that server.
pub fn reported(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    from: &ServerId,
    report: &Report,
    audit: Vec<u8>,
) -> Result<Done, Error> {
    let nothing = || Error::field(Code::NotFound, "messageID", "names no message of this server with a file");
    let record = TimeId::parse(report.message_id.as_str()).ok_or_else(nothing)?;
    let stored = stored::get(tx, &record)?.filter(|stored| stored.peer.is_none()).ok_or_else(nothing)?;
    let info = stored.info()?;
    let file = info.content.file().ok_or_else(nothing)?;
    let sender = account::local_id(scene.home, &info.send_id).ok_or_else(nothing)?;
    let key = key_of(tx, None, &file.media_id);
    if !sight::was_granted(tx, &key, from, &record)? {
        return Err(Error::field(Code::MayNotActFor, "messageID", format_args!("was not sent to {from}")));
    }
    let told = json!({
        "messageID": info.message_id, "recvID": info.recv_id, "chatScene": info.chat_scene.as_str(),
        "userID": report.user_id, "mediaID": file.media_id, "name": file.name,
        "code": report.code, "msg": report.msg,
    });
    let news = news::put(tx, scene, "file.failed", told);
    let delivery = inbox::append(tx, &sender, scene.now_ms, Event::News(news))?;
    // Who has given the file up needs it no more.
    sight::withdraw(tx, &key, from, &record);
    tx.audit(audit);
    Ok(Done { deliveries: vec![delivery], ..Done::default() })
}
