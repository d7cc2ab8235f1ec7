//! A message from another server: `POST /sns/chat/` (§7.4.2).
//!
//! Identity, standing and the right to speak (R12) were settled on the way here; a duplicate is
//! recognised before any policy sees it; "code 0" is said after the commit.

use std::sync::Arc;

use isthmus_domain::message::{self, Disposition, Incoming, Received};
use isthmus_domain::{Digest, Error, TimeId};
use isthmus_policy::{Direction, Event, Session};
use isthmus_store::WriteError;
use isthmus_wire::code::Refusal;
use isthmus_wire::{Code, Content, MessageInfo, ServerId};

use super::gate::Ruling;
use super::send::{message_question, rewrite};
use super::trail::Trail;
use super::turn::Turn;
use super::{Server, files};
use crate::clock;
use crate::reply::Problem;

/// What is known of a message before policy is asked.
enum Look {
    New(Digest),
    Duplicate,
}

/// How a message was judged, and its turn.
struct Judged<'a> {
    trail: &'a Trail,
    session: &'a Session,
    turn: &'a Turn,
}

impl Server {
    /// Receives one message; `Ok` is code 0: it is kept.
    pub(crate) async fn receive(
        self: &Arc<Self>,
        peer: &ServerId,
        info: MessageInfo,
        turn: &Turn,
    ) -> Result<(), Problem> {
        let digest = match self.look(&info) {
            Ok(Look::Duplicate) => return Ok(()),
            Ok(Look::New(digest)) => digest,
            Err(Error::Refused(refusal)) => return Err(self.turned_away(peer, &info, refusal).await),
            Err(fault) => return Err(fault.into()),
        };
        if let Some(file) = info.content.file()
            && u64::try_from(file.size).map_or(true, |size| size > self.max_file())
        {
            let words = format!("is more than the {} bytes that this server takes", self.max_file());
            let refusal = Refusal::field(Code::InvalidField, "messageInfo.content.size", words);
            return Err(self.turned_away(peer, &info, refusal).await);
        }
        let is_recall = matches!(info.content, Content::Repeal { .. });
        let facts = Some(self.peer_facts(peer));
        let mut question = message_question(
            Direction::Inbound,
            facts,
            (info.send_id.as_str(), info.recv_id.as_str()),
            info.chat_scene,
            &info.content,
            info.message_id.as_str().to_owned(),
        );
        // Its content is judged when it is here.
        question.items.extend(info.content.file().map(files::said));
        let ruling =
            self.gate.rule(question, info, |info, index, text| rewrite(&mut info.content, index, text)).await?;
        let (cleared, disposition) = match ruling {
            Ruling::Cleared(cleared) => (cleared, Disposition::Deliver),
            Ruling::Held(cleared, reason) if is_recall => return Err(self.no_quarantine(cleared, reason).await),
            Ruling::Held(cleared, reason) => {
                let hold = cleared.hold(reason);
                (cleared, Disposition::Hold(hold))
            }
            Ruling::Refused(refusal, trail) => {
                turn.over();
                return Err(self.refused(refusal, &trail).await);
            }
        };
        let (info, mut trail, session) = cleared.into_parts();
        let by = Judged { trail: &trail, session: &session, turn };
        let outcome = self.keep(peer, info, digest, disposition, by).await;
        drop(session);
        match outcome {
            Ok(()) => Ok(()),
            Err(WriteError::Refused(Error::Refused(refusal))) => Err(self.failed(refusal, &mut trail).await),
            Err(error) => Err(error.into()),
        }
    }

    async fn keep(
        self: &Arc<Self>,
        peer: &ServerId,
        info: MessageInfo,
        digest: Digest,
        disposition: Disposition,
        by: Judged<'_>,
    ) -> Result<(), WriteError<Error>> {
        let now = clock::now_ms();
        let id = TimeId::mint(now, &mut clock::random);
        let delivery = &self.config.delivery;
        let incoming = Incoming {
            id,
            peer: peer.clone(),
            info,
            digest,
            expires_ms: now + delivery.expire_s * 1000,
            disposition,
            // A recall that was made in time may be as late as any letter.
            recall_within_ms: (delivery.recall_s + delivery.expire_s) * 1000,
            audit: by.trail.record(),
        };
        let (server, generation, turn) = (self.clone(), by.session.epoch(), by.turn.clone());
        let rule = self.cleared(by.session, now, move |tx, scene| message::receive(tx, scene, incoming));
        let pending = self
            .store
            .submit(
                move |tx| turn.take(|| rule(tx)),
                move |received| {
                    if let Received::Kept(done) = received {
                        server.tally.received();
                        server.after(done, generation);
                    }
                },
            )
            .await?;
        by.turn.queued();
        pending.done().await.map(|_| ())
    }

    /// Duplicates, before policy.
    fn look(&self, info: &MessageInfo) -> Result<Look, Error> {
        let view = self.store.view()?;
        let digest = Digest::of_message(&view, info);
        if message::duplicate(&view, info, &digest)? {
            return Ok(Look::Duplicate);
        }
        Ok(Look::New(digest))
    }

    /// A message refused before the policy (a reused messageID): recorded all the same.
    pub(crate) async fn turned_away(&self, peer: &ServerId, info: &MessageInfo, refusal: Refusal) -> Problem {
        let content = Content::Text { message: String::new() };
        let mut question = message_question(
            Direction::Inbound,
            Some(self.peer_facts(peer)),
            (info.send_id.as_str(), info.recv_id.as_str()),
            info.chat_scene,
            &content,
            info.message_id.as_str().to_owned(),
        );
        question.fields.retain(|(name, _)| name != "text");
        let event = Event { call: question.call, outcome: "failed".into(), code: 0, fields: question.fields };
        let mut trail = Trail::of_event(&self.policy.begin(), event);
        self.failed(refusal, &mut trail).await
    }
}
