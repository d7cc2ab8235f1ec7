//! A message whose file is here: its content is judged, then it is shown.

use std::sync::Arc;

use isthmus_domain::Error;
use isthmus_domain::media::pull::{self, Pull, Waiter};
use isthmus_domain::media::{self, MediaKey};
use isthmus_domain::message::Disposition;
use isthmus_domain::stored;
use isthmus_policy::{Event, Session};
use isthmus_store::{StoreError, WriteError};

use crate::clock;
use crate::reply::Problem;
use crate::server::Server;
use crate::server::gate::{PolicyOverloaded, Ruling};
use crate::server::trail::Trail;

impl Server {
    /// Hands one message over, or gives it up. False if the policy has no time for it now.
    pub(super) async fn hand_over(
        self: &Arc<Self>,
        key: &MediaKey,
        pull: &Pull,
        waiter: Waiter,
    ) -> Result<bool, Problem> {
        let view = self.store.view()?;
        let malformed = || StoreError::Malformed { what: "a message that waits for a file" };
        let media = media::get(&view, key)?.ok_or_else(malformed)?;
        let info = stored::get(&view, &waiter.record)?.ok_or_else(malformed)?.info()?;
        drop(view);
        let mut question = self.about_file(pull, info.send_id.as_str(), info.recv_id.as_str());
        question.call.attributes = vec![
            ("chatScene".to_owned(), info.chat_scene.as_str().to_owned()),
            ("messageType".to_owned(), info.message_type().as_str().to_owned()),
            ("messageID".to_owned(), info.message_id.to_string()),
        ];
        question.fields = vec![
            ("messageID".to_owned(), info.message_id.to_string()),
            ("mediaID".to_owned(), media.media_id.to_string()),
            ("mediaType".to_owned(), media.media_type.clone()),
        ];
        if waiter.judged {
            let session = self.policy.begin();
            let event = Event { call: question.call, outcome: "allowed".into(), code: 0, fields: question.fields };
            let trail = Trail::of_event(&session, event);
            return self.show(key, waiter, Disposition::Deliver, trail, session).await.map(|()| true);
        }
        // What the message says of its file was judged when it came.
        question.items = self.items(&media).await?.split_off(1);
        let ruling = match self.gate.rule(question, (), |(), _, _| ()).await {
            Ok(ruling) => ruling,
            Err(PolicyOverloaded) => return Ok(false),
        };
        match ruling {
            Ruling::Cleared(cleared) => {
                let ((), trail, session) = cleared.into_parts();
                self.show(key, waiter, Disposition::Deliver, trail, session).await?;
            }
            Ruling::Held(cleared, reason) => {
                let hold = Disposition::Hold(cleared.hold(reason));
                let ((), trail, session) = cleared.into_parts();
                self.show(key, waiter, hold, trail, session).await?;
            }
            Ruling::Refused(refusal, trail) => self.give_up(key, waiter.record, refusal, &trail).await?,
        }
        Ok(true)
    }

    async fn show(
        self: &Arc<Self>,
        key: &MediaKey,
        waiter: Waiter,
        disposition: Disposition,
        mut trail: Trail,
        session: Session,
    ) -> Result<(), Problem> {
        let (server, generation, file, audit) = (self.clone(), session.epoch(), *key, trail.record());
        let rule = move |tx: &mut isthmus_store::Tx<'_>, scene: &mut isthmus_domain::Scene<'_>| {
            pull::hand_over(tx, scene, &file, &waiter.record, disposition, audit)
        };
        // A policy that changed meanwhile refuses with 1302: the caller comes again.
        let rule = self.cleared(&session, clock::now_ms(), rule);
        let outcome = self.store.submit(rule, move |done| server.after(done, generation)).await?.done().await;
        drop(session);
        match outcome {
            Ok(_) => Ok(()),
            Err(WriteError::Refused(Error::Refused(refusal))) if refusal.code == isthmus_wire::Code::Overloaded => {
                Ok(())
            }
            Err(WriteError::Refused(Error::Refused(refusal))) => {
                trail.failed(refusal.code, &refusal.message);
                self.give_up(key, waiter.record, refusal, &trail).await
            }
            Err(error) => Err(error.into()),
        }
    }
}
