//! A user takes a message back (R7).

use std::sync::Arc;

use isthmus_domain::recall::{self, Recall};
use isthmus_domain::speaker::{self, Home};
use isthmus_domain::{Error, TimeId};
use isthmus_policy::Reason;
use isthmus_store::WriteError;
use isthmus_wire::code::{Code, Refusal};
use isthmus_wire::{Content, MessageId};

use super::Server;
use super::gate::{Cleared, Ruling};
use super::session::Caller;
use crate::clock;
use crate::reply::Problem;

impl Server {
    /// Recalls a message that the caller wrote: its recipients' devices are told, here or by their server.
    ///
    /// # Errors
    /// 1004 if the caller wrote no such message, 1202 when the window is over, 1102 or 1103 if the policy forbids it.
    pub(crate) async fn recall(self: &Arc<Self>, caller: &Caller, message_id: &str) -> Result<(), Problem> {
        let message_id =
            MessageId::parse(message_id).map_err(|e| Refusal::field(Code::INVALID_FIELD, "messageID", e))?;
        let view = self.store.view()?;
        let (_, info) = recall::own(&view, &caller.user, &message_id)?;
        let peer = match speaker::home_of(&view, &self.id, &info.recv_id)? {
            Home::Server(peer) => Some(peer),
            Home::Own | Home::Ask(_) | Home::Unknown => None,
        };
        drop(view);
        let id = TimeId::mint(clock::now_ms(), &mut clock::random);
        let content = Content::Repeal { message_id: message_id.clone() };
        let question =
            self.about_message(&caller.user, (info.chat_scene, info.recv_id.as_str()), peer.as_ref(), &content, &id);
        let cleared = match self.gate.rule(question, (), |(), _, _| ()).await? {
            Ruling::Cleared(cleared) => cleared,
            Ruling::Held(cleared, reason) => return Err(self.no_quarantine(cleared, reason).await),
            Ruling::Refused(refusal, trail) => return Err(self.refused(refusal, &trail).await),
        };
        let ((), mut trail, session) = cleared.into_parts();
        let (server, now, generation) = (self.clone(), clock::now_ms(), session.epoch());
        let delivery = &self.config.delivery;
        let act = Recall {
            id,
            actor: caller.user.clone(),
            message_id,
            window_ms: delivery.recall_s * 1000,
            expires_ms: now + delivery.expire_s * 1000,
            audit: trail.record(),
        };
        let rule = self.cleared(&session, now, move |tx, scene| recall::recall(tx, scene, act));
        let pending = self.store.submit(rule, move |done| server.after(done, generation)).await?;
        let outcome = pending.done().await;
        drop(session);
        match outcome {
            Ok(_) => Ok(()),
            Err(WriteError::Refused(Error::Refused(refusal))) => Err(self.failed(refusal, &mut trail).await),
            Err(error) => Err(error.into()),
        }
    }

    /// What can only be done or left (a recall, a change of a group) is not held for a review: it is refused in the
    /// policy's words.
    pub(crate) async fn no_quarantine<T>(&self, cleared: Cleared<T>, reason: Reason) -> Problem {
        let (_, mut trail, _) = cleared.into_parts();
        let text = if reason.text.is_empty() { "denied by content policy".to_owned() } else { reason.text };
        self.failed(Refusal::new(Code::DENIED_BY_CONTENT, text), &mut trail).await
    }
}
