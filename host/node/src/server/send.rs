//! A message from one of our own users: recognised, judged, kept, and then on its way.

use std::sync::Arc;

use isthmus_domain::group::{self, post};
use isthmus_domain::held::Hold;
use isthmus_domain::inbox::State;
use isthmus_domain::media::{self, Media, MediaKey};
use isthmus_domain::message::{self, Accepted, Disposition};
use isthmus_domain::speaker::{self, Home};
use isthmus_domain::{Digest, Error, TimeId};
use isthmus_policy::{Direction, Peer, Reason, Session};
use isthmus_store::{Pending, WriteError};
use isthmus_wire::code::{Code, Refusal};
use isthmus_wire::json::NAME_MAX;
use isthmus_wire::message::TEXT_MAX;
use isthmus_wire::{ChatScene, Content, MediaId, MessageId, MessageType, ServerId, UserId};
use serde::{Deserialize, Serialize};

use super::Server;
use super::gate::{self, Cleared, Question, Ruling};
use super::postman::judged_by;
use super::session::Caller;
use super::trail::Trail;
use crate::clock;
use crate::reply::Problem;

/// The operation, as policies and audit records name it.
pub(crate) const SEND: &str = "message.send";
/// A message that takes another one back (R7): policies may treat it otherwise.
const RECALL: &str = "message.recall";

/// What a client hands in.
#[derive(Debug, Deserialize)]
pub(crate) struct Submission {
    /// The client's own name for it; sent again, it is the same message.
    #[serde(rename = "clientID")]
    pub(crate) client_id: String,
    #[serde(rename = "recvID")]
    pub(crate) recv_id: String,
    /// In a group, `recvID` is its groupID.
    #[serde(default)]
    pub(crate) scene: Scene,
    /// Of a text message.
    #[serde(default)]
    pub(crate) text: String,
    /// Of any other: `image`, `voice` or `file`.
    #[serde(rename = "type", default)]
    pub(crate) kind: Option<String>,
    /// Its file: an upload of the sender's, or one that the sender was sent.
    #[serde(rename = "mediaID", default)]
    pub(crate) media_id: Option<String>,
    /// Seconds of a voice message.
    #[serde(default)]
    pub(crate) duration: Option<i64>,
}

/// `scene` of a client's message.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scene {
    /// One to one.
    #[default]
    User,
    /// In a group.
    Group,
}

impl From<Scene> for ChatScene {
    fn from(scene: Scene) -> ChatScene {
        match scene {
            Scene::User => ChatScene::User,
            Scene::Group => ChatScene::Group,
        }
    }
}

/// What the client is told.
#[derive(Debug, Serialize)]
pub(crate) struct Sent {
    #[serde(rename = "messageID")]
    pub(crate) message_id: MessageId,
    pub(crate) cursor: u64,
    /// `kept`, or `held` for a review.
    pub(crate) state: &'static str,
}

/// A message in the queue of the store.
pub(crate) enum Ticket {
    /// It had been accepted before.
    Known(Sent),
    /// Its commit is to come. The session is held until then.
    Queued { pending: Pending<Accepted, Error>, server: Arc<Server>, trail: Box<Trail>, session: Session },
}

/// Where a message goes, as far as policy is concerned.
struct Destination {
    scene: ChatScene,
    recv_id: UserId,
    digest: Digest,
    peer: Option<ServerId>,
    media: Option<MediaKey>,
}

impl Ticket {
    /// Waits for the commit: the message is kept then, whatever happens.
    pub(crate) async fn wait(self) -> Result<Sent, Problem> {
        match self {
            Ticket::Known(sent) => Ok(sent),
            Ticket::Queued { pending, server, mut trail, session } => {
                let outcome = match pending.done().await {
                    Ok(accepted) => Ok(sent(&accepted)),
                    Err(WriteError::Refused(Error::Refused(refusal))) => Err(server.failed(refusal, &mut trail).await),
                    Err(error) => Err(error.into()),
                };
                drop(session);
                outcome
            }
        }
    }
}

fn sent(accepted: &Accepted) -> Sent {
    let state = if accepted.state == State::Held { "held" } else { "kept" };
    Sent { message_id: accepted.message_id.clone(), cursor: accepted.cursor, state }
}

impl Server {
    /// Judges a message and queues it for the store, in the order of the calls. The answer comes with the ticket.
    pub(crate) async fn submit(self: &Arc<Self>, caller: &Caller, mut s: Submission) -> Result<Ticket, Problem> {
        check(&s)?;
        let (content, media) = self.said(caller, &mut s)?;
        let destination = self.destination(caller, &s.client_id, (s.scene.into(), &s.recv_id), &content);
        let mut to = match destination.await? {
            Ok(to) => to,
            Err(before) => return Ok(Ticket::Known(sent(&before))),
        };
        let id = TimeId::mint(clock::now_ms(), &mut clock::random);
        let mut question =
            self.about_message(&caller.user, (to.scene, to.recv_id.as_str()), to.peer.as_ref(), &content, &id);
        if let Some((key, media)) = media {
            to.media = Some(key);
            question.items.extend(Box::pin(self.items(&media)).await?);
        }
        let (cleared, disposition) = match self.gate.rule(question, content, rewrite).await? {
            Ruling::Cleared(cleared) => (cleared, Disposition::Deliver),
            Ruling::Held(cleared, reason) => {
                let hold = cleared.hold(reason);
                (cleared, Disposition::Hold(hold))
            }
            Ruling::Refused(refusal, trail) => return Err(self.refused(refusal, &trail).await),
        };
        self.queue(caller, s.client_id, id, to, cleared, disposition).await
    }

    async fn queue(
        self: &Arc<Self>,
        caller: &Caller,
        client_msg_id: String,
        id: TimeId,
        to: Destination,
        cleared: Cleared<Content>,
        disposition: Disposition,
    ) -> Result<Ticket, Problem> {
        let (content, trail, session) = cleared.into_parts();
        let now = clock::now_ms();
        let submission = message::Submission {
            id,
            sender: caller.user.clone(),
            client_msg_id,
            chat_scene: to.scene,
            recv_id: to.recv_id,
            content,
            media: to.media,
            digest: to.digest,
            expires_ms: now + self.config.delivery.expire_s * 1000,
            disposition,
            audit: trail.record(),
        };
        let (server, generation) = (self.clone(), session.epoch());
        let pending = self
            .store
            .submit(
                self.cleared(&session, now, move |tx, scene| message::accept(tx, scene, submission)),
                move |accepted| server.accepted(accepted, generation),
            )
            .await?;
        Ok(Ticket::Queued { pending, server: self.clone(), trail: Box::new(trail), session })
    }

    /// What is to be said, and the file that goes with it.
    fn said(&self, caller: &Caller, s: &mut Submission) -> Result<(Content, Option<(MediaKey, Media)>), Problem> {
        let Some(media_id) = &s.media_id else {
            return Ok((Content::Text { message: std::mem::take(&mut s.text) }, None));
        };
        let id = MediaId::parse(media_id).map_err(|e| Refusal::field(Code::INVALID_FIELD, "mediaID", e))?;
        let kind = match s.kind.as_deref() {
            Some("image") => MessageType::Image,
            Some("voice") => MessageType::Voice,
            Some("file") => MessageType::File,
            Some(_) => {
                let words = "with a mediaID must be `image`, `voice` or `file`";
                return Err(Refusal::field(Code::INVALID_FIELD, "type", words).into());
            }
            None => return Err(Refusal::field(Code::MISSING_FIELD, "type", "is missing").into()),
        };
        let view = self.store.view()?;
        let offer = media::offer(&view, &self.id, &caller.user, kind, &id, s.duration)?;
        Ok((offer.content, Some((offer.key, offer.media))))
    }

    /// After the commit, in commit order.
    fn accepted(self: &Arc<Self>, accepted: &Accepted, generation: u64) {
        if !accepted.duplicate {
            self.tally.sent();
        }
        self.deliver(&accepted.deliveries);
        for letter in &accepted.letters {
            self.post(letter.clone(), judged_by(letter, generation));
        }
    }

    /// Recipient, digest and route; or the answer that was given before.
    async fn destination(
        &self,
        caller: &Caller,
        client_id: &str,
        (scene, recv_id): (ChatScene, &str),
        content: &Content,
    ) -> Result<Result<Destination, Accepted>, Problem> {
        let recv_id = UserId::parse(recv_id).map_err(|e| Refusal::field(Code::INVALID_FIELD, "recvID", e))?;
        let look = || {
            let view = self.store.view()?;
            let digest = Digest::of(&view, scene, &recv_id, content);
            let before = message::submitted(&view, &caller.user, client_id, &digest)?;
            let home = match scene {
                ChatScene::User => speaker::home_of(&view, &self.id, &recv_id)?,
                // The rule refuses a group that is not known here.
                ChatScene::Group => group::find(&view, &post::addressed(&recv_id)?)?
                    .and_then(|group| group.home)
                    .map_or(Home::Own, Home::Server),
            };
            Ok::<_, Error>((digest, before, home))
        };
        let (digest, before, mut home) = look()?;
        if let Some(before) = before {
            return Ok(Err(before));
        }
        if let Home::Ask(named) = &home {
            self.addresses.settle(named).await;
            home = look()?.2;
        }
        let peer = match home {
            Home::Server(peer) => Some(peer),
            // The rule refuses what has no home.
            Home::Own | Home::Ask(_) | Home::Unknown => None,
        };
        Ok(Ok(Destination { scene, recv_id, digest, peer, media: None }))
    }

    /// The question about a message on its way out, or to a user of our own.
    pub(crate) fn about_message(
        &self,
        sender: &UserId,
        (scene, recv_id): (ChatScene, &str),
        peer: Option<&ServerId>,
        content: &Content,
        id: &TimeId,
    ) -> Question {
        let direction = if peer.is_some() { Direction::Outbound } else { Direction::Internal };
        let peer = peer.map(|id| self.peer_facts(id));
        message_question(direction, peer, (sender.as_str(), recv_id), scene, content, id.to_string())
    }

    /// What plugins are told of another server.
    pub(crate) fn peer_facts(&self, id: &ServerId) -> Peer {
        let info = self.addresses.cached(id);
        let (area, product) = info
            .map(|i| (i.area.clone().unwrap_or_default(), i.server_type.clone().unwrap_or_default()))
            .unwrap_or_default();
        Peer { id: id.as_str().to_owned(), area, product }
    }
}

impl<T> Cleared<T> {
    /// Why and by whom it is held.
    pub(crate) fn hold(&self, reason: Reason) -> Hold {
        Hold { code: reason.code, text: reason.text, plugin: self.decided_by() }
    }
}

/// The question about a message, whichever way it goes.
pub(crate) fn message_question(
    direction: Direction,
    peer: Option<Peer>,
    (actor, target): (&str, &str),
    scene: ChatScene,
    content: &Content,
    message_id: String,
) -> Question {
    let kind = content.message_type().as_str();
    let text = content.text().unwrap_or_default();
    let attributes = vec![
        ("chatScene".to_owned(), scene.as_str().to_owned()),
        ("messageType".to_owned(), kind.to_owned()),
        ("messageID".to_owned(), message_id.clone()),
    ];
    let recalled = if let Content::Repeal { message_id } = content { Some(message_id.to_string()) } else { None };
    let operation = if recalled.is_some() { RECALL } else { SEND };
    let mut call = gate::call(direction, operation, peer, actor, target);
    call.attributes = attributes;
    let is_text = content.message_type() == MessageType::Text;
    let mut items = Vec::new();
    if is_text {
        items.push(gate::text("message.text", text));
    }
    let mut fields = vec![("messageID".to_owned(), message_id), ("messageType".to_owned(), kind.to_owned())];
    if is_text {
        fields.push(("text".to_owned(), text.to_owned()));
    }
    if let Some(recalled) = recalled {
        let mut item = gate::text("message.repeal", "");
        item.attributes.push(("messageID".to_owned(), recalled.clone()));
        items.push(item);
        fields.push(("recalled".to_owned(), recalled));
    }
    Question { call, items, fields }
}

/// Puts a rewritten text in.
pub(crate) fn rewrite(content: &mut Content, item: usize, text: String) {
    match content {
        Content::Text { message } => *message = text,
        // The first item of a file is its name; its content is not rewritten.
        Content::Image(file) | Content::Voice(file) | Content::File(file) if item == 0 && is_name(&text) => {
            file.name = text;
        }
        Content::Image(_) | Content::Voice(_) | Content::File(_) | Content::Repeal { .. } => {}
    }
}

fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= NAME_MAX && !text.chars().any(char::is_control)
}

fn check(s: &Submission) -> Result<(), Refusal> {
    if s.media_id.is_some() && !s.text.is_empty() {
        return Err(Refusal::field(
            Code::INVALID_FIELD,
            "text",
            "does not go with a mediaID: send it as a message of its own",
        ));
    }
    if s.media_id.is_none() && s.kind.as_deref().is_some_and(|kind| kind != "text") {
        return Err(Refusal::field(Code::MISSING_FIELD, "mediaID", "is missing"));
    }
    if s.text.is_empty() && s.media_id.is_none() {
        return Err(Refusal::field(Code::MISSING_FIELD, "text", "is missing or empty"));
    }
    if s.text.len() > TEXT_MAX {
        return Err(Refusal::field(Code::INVALID_FIELD, "text", format_args!("is longer than {TEXT_MAX} bytes")));
    }
    if s.recv_id.is_empty() {
        return Err(Refusal::field(Code::MISSING_FIELD, "recvID", "is missing or empty"));
    }
    Ok(())
}
