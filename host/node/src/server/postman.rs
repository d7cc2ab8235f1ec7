//! Sends what waits in the outbox, one task a lane; settles what was answered.
//!
//! A letter that another policy generation judged than the active one is judged again before it
//! leaves: after a swap nothing goes out that the old policy let through.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use isthmus_domain::errand::{Errand, Said};
use isthmus_domain::group::stamp;
use isthmus_domain::inbox::{self, Delivery};
use isthmus_domain::outbox::{self, Load, Settlement, Waiting};
use isthmus_domain::{Done, Error, Stored};
use isthmus_net::{PeerAddress, PeerAnswer};
use isthmus_policy::{Direction, Peer};
use isthmus_store::StoreError;
use isthmus_store::lane::LaneId;
use isthmus_wire::call::GROUP_NOTICE;
use isthmus_wire::code::{Answer, Code, Empty, Retry};
use isthmus_wire::letters::{self, Offer};
use isthmus_wire::{MessageInfo, ServerId, json};
use serde_json::Value;

use super::Server;
use super::addresses::AddressError;
use super::gate::{self, Question, Ruling};
use super::outbox::{Fate, Head, Outcome, Parcel, REFILL, Settlements};
use super::push::Pushed;
use super::road::{Backoff, Leave};
use super::send::{SEND, message_question, rewrite};
use super::session::Caller;
use crate::clock;
use crate::reply::chain;

/// What a letter says.
pub(super) enum Sheet {
    Message(Arc<Stored>),
    Errand(Arc<Errand>),
}

impl Sheet {
    fn path(&self) -> &str {
        match self {
            Sheet::Message(_) => "/sns/chat/",
            Sheet::Errand(errand) => &errand.path,
        }
    }

    fn body(&self) -> Bytes {
        match self {
            Sheet::Message(stored) => stored.chat_body().into(),
            Sheet::Errand(errand) => errand.body.clone().into(),
        }
    }

    /// Follows the call across servers.
    pub(super) fn id(&self) -> String {
        match self {
            Sheet::Message(stored) => stored.id.to_string(),
            Sheet::Errand(errand) => errand.id.to_string(),
        }
    }
}

fn chat_body(info: &MessageInfo) -> Bytes {
    [br#"{"messageInfo":"#.as_slice(), &json::write(info), b"}"].concat().into()
}

/// The question about a call to another server, with the texts in its body.
pub(crate) fn errand_question(errand: &Errand, body: &Value, peer: Option<Peer>) -> Question {
    let actor = errand.actor.as_ref().map_or("", |actor| actor.as_str());
    let call = gate::call(Direction::Outbound, errand.call.clone(), peer, actor, &errand.target);
    let at = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let items = decisive(errand).map(|said| gate::text(said.kind.clone(), at(&said.pointer))).collect();
    Question { call, items, fields: Vec::new() }
}

/// The texts without which an errand is not done.
fn decisive(errand: &Errand) -> impl Iterator<Item = &Said> {
    errand.said.iter().filter(|said| said.instead.is_none())
}

fn rewrite_errand(errand: &Errand, body: &mut Value, index: usize, text: String) {
    let place = decisive(errand).nth(index).and_then(|said| body.pointer_mut(&said.pointer));
    if let Some(place) = place {
        *place = text.into();
    }
}

/// What a group's main server passes on or tells was judged as it came, not as it leaves for this peer: it is judged anew.
pub(crate) fn judged_by(letter: &Waiting, generation: u64) -> u64 {
    match &letter.load {
        Load::Message { sender: None, .. } => 0,
        Load::Errand(errand) if errand.call.starts_with("group.") => 0,
        Load::Message { sender: Some(_), .. } | Load::Errand(_) => generation,
    }
}

/// Whether a letter may go with others in one request: what a group's main server passes on tells more beside it.
pub(super) fn together(letter: &Waiting) -> bool {
    matches!(letter.load, Load::Message { sender: Some(_), .. })
}

/// What one attempt came to: the fates of the lane's first letters, and what is to be done about the next one.
pub(super) struct Attempt {
    pub(super) over: Vec<Outcome>,
    pub(super) then: Then,
}

pub(super) enum Then {
    /// On with the lane.
    Go,
    /// The peer itself is away or busy: its road says when to try again.
    Away,
    /// The peer is well, this letter is not: wait in this lane alone.
    Later(Option<Duration>),
}

impl From<Outcome> for Attempt {
    fn from(outcome: Outcome) -> Attempt {
        Attempt { over: vec![outcome], then: Then::Go }
    }
}

impl From<Then> for Attempt {
    fn from(then: Then) -> Attempt {
        Attempt { over: Vec::new(), then }
    }
}

impl Server {
    /// Takes a letter that was just committed. Called in commit order.
    pub(crate) fn post(self: &Arc<Self>, waiting: Waiting, generation: u64) {
        let lane = waiting.id.lane.clone();
        if self.outbox.enqueue(Parcel { waiting: Arc::new(waiting), generation }) {
            self.runtime.spawn(self.clone().run_lane(lane));
        }
    }

    /// Starts the lanes that the database holds letters of.
    pub(crate) fn open_lanes(self: &Arc<Self>) -> Result<usize, StoreError> {
        let heads = self.store.read(outbox::heads)?;
        let lanes = heads.len();
        for head in heads {
            if self.outbox.open(head.id.lane.clone()) {
                self.runtime.spawn(self.clone().run_lane(head.id.lane));
            }
        }
        Ok(lanes)
    }

    /// Tells users' devices. Called in commit order.
    pub(crate) fn deliver(&self, deliveries: &[Delivery]) {
        for delivery in deliveries.iter().filter(|d| self.hub.listens(&d.user)) {
            self.hub.publish(&delivery.user, &Pushed::of(&delivery.entry));
        }
    }

    /// Does what a rule left to be done. Called in commit order.
    pub(crate) fn after(self: &Arc<Self>, done: &Done, generation: u64) {
        self.deliver(&done.deliveries);
        // Perhaps a message that waits for its file: to look costs next to nothing.
        self.files.wake();
        for letter in &done.letters {
            self.post(letter.clone(), judged_by(letter, generation));
        }
    }

    async fn run_lane(self: Arc<Self>, lane: LaneId) {
        let _running = self.outbox.running();
        let mut failures = 0;
        while !self.outbox.stopping() {
            match self.outbox.head(&lane) {
                Head::Empty => return,
                Head::InDatabase { after, skipped } => {
                    if let Err(error) = self.refill(&lane, after, skipped) {
                        tracing::error!(error = chain(&error), "a lane cannot be read; it is tried again");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
                Head::Letter(parcel) => {
                    let attempt = self.attempt(&parcel).await;
                    for mut outcome in attempt.over {
                        failures = 0;
                        self.admit_outcome(&parcel, &mut outcome).await;
                        self.outbox.close(&lane, outcome).await;
                    }
                    if let Then::Later(at_least) = attempt.then {
                        failures += 1;
                        let pause = self.backoff().after(failures, dice());
                        tokio::time::sleep(pause.max(at_least.unwrap_or_default())).await;
                    }
                }
            }
        }
    }

    /// The words of a peer that refused a letter are shown to its sender.
    async fn admit_outcome(&self, parcel: &Parcel, outcome: &mut Outcome) {
        // With a record it was our own policy.
        if let (Fate::Settled(Settlement::Refused { message, .. }), None) = (&mut outcome.fate, &outcome.audit)
            && let Ok(peer) = ServerId::parse(&parcel.waiting.id.lane.peer)
        {
            let operation = match &parcel.waiting.load {
                Load::Message { .. } => SEND.into(),
                Load::Errand(errand) => Cow::Owned(errand.call.clone()),
            };
            let words = self.admit_words(&peer, operation, std::mem::take(message)).await;
            *message = words.unwrap_or_default();
        }
    }

    fn refill(&self, lane: &LaneId, after: u64, skipped: u64) -> Result<(), StoreError> {
        let letters = self.store.read(|view| outbox::of_lane(view, lane, after + 1, REFILL))?;
        let more = letters.len() == REFILL;
        // Generation 0: whatever judged them before, they are judged again.
        let parcels = letters.into_iter().map(|w| Parcel { waiting: Arc::new(w), generation: 0 }).collect();
        self.outbox.refill(lane, parcels, more, skipped);
        Ok(())
    }

    async fn attempt(self: &Arc<Self>, parcel: &Parcel) -> Attempt {
        let waiting = &parcel.waiting;
        let Ok(peer) = ServerId::parse(&waiting.id.lane.peer) else {
            return refused(Code::INVALID_FIELD, "the recipient's server has no valid ID").into();
        };
        let road = self.outbox.road(&peer);
        let left = waiting.expires_ms.saturating_sub(clock::now_ms());
        if left == 0 {
            return Outcome { fate: Fate::Settled(Settlement::Expired), audit: None }.into();
        }
        let Ok(leave) = tokio::time::timeout(Duration::from_millis(left), road.leave()).await else {
            return Then::Away.into();
        };
        let Some(leave) = leave else { return Then::Away.into() };
        if let (Some(offer), true) = (road.bag.offer(), together(waiting)) {
            return self.attempt_together(&peer, &road, leave, &waiting.id.lane, offer).await;
        }
        let (sheet, body) = match self.sheet_cleared(parcel, &peer).await {
            Ok(cleared) => cleared,
            Err(attempt) => return attempt,
        };
        match self.stamp(waiting, &sheet) {
            Ok(stamp) => {
                let answered = self.send_to(&peer, sheet.path(), body, sheet.id(), stamp).await;
                self.concluded(&peer, leave, vec![answered])
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "a letter's place in its group cannot be read");
                Then::Later(Some(Duration::from_secs(60))).into()
            }
        }
    }

    /// What to send, as the active policy leaves it.
    pub(super) async fn sheet_cleared(&self, parcel: &Parcel, peer: &ServerId) -> Result<(Sheet, Bytes), Attempt> {
        let sheet = self.sheet(&parcel.waiting).map_err(|error| {
            tracing::error!(error = chain(&error), "a letter cannot be read");
            Attempt::from(Then::Later(Some(Duration::from_secs(60))))
        })?;
        let body = self.still_cleared(parcel, peer, &sheet).await?;
        Ok((sheet, body))
    }

    /// What the answers to a lane's first letters, in their order, mean for the lane and for the road. One that is no end
    /// ends the list: the letters after it were not carried out, or must come after it.
    pub(super) fn concluded(&self, peer: &ServerId, leave: Leave<'_>, answers: Vec<Answered>) -> Attempt {
        let mut attempt = Attempt::from(Then::Go);
        for answered in answers {
            match answered {
                Answered::Final(outcome) => attempt.over.push(outcome),
                Answered::Untouched if !attempt.over.is_empty() => break,
                Answered::Untouched => {
                    attempt.then = Then::Later(None);
                    break;
                }
                Answered::NotThisOne(at_least) => {
                    attempt.then = Then::Later(at_least);
                    break;
                }
                Answered::Nothing(at_least, reason) => {
                    attempt.then = Then::Away;
                    let failures = leave.failed(self.backoff(), dice(), at_least);
                    if failures == 1 {
                        tracing::warn!(%peer, reason, "peer not reached; its letters wait");
                    }
                    return attempt;
                }
            }
        }
        leave.arrived();
        attempt
    }

    /// The body to send: as it was judged, or as the active policy leaves it now.
    async fn still_cleared(&self, parcel: &Parcel, peer: &ServerId, sheet: &Sheet) -> Result<Bytes, Attempt> {
        let judged = parcel.generation == self.gate.epoch();
        let replaceable =
            matches!(sheet, Sheet::Errand(errand) if errand.said.iter().any(|said| said.instead.is_some()));
        if judged && !replaceable {
            return Ok(sheet.body());
        }
        let peer = self.peer_facts(peer);
        let ruling = match sheet {
            Sheet::Message(stored) => {
                let Ok(info) = stored.info() else { return Ok(sheet.body()) };
                let mut question = message_question(
                    Direction::Outbound,
                    Some(peer),
                    (info.send_id.as_str(), info.recv_id.as_str()),
                    info.chat_scene,
                    &info.content,
                    stored.id.to_string(),
                );
                match self.own_file(&info.content).await {
                    Ok(items) => question.items.extend(items),
                    Err(_) => return Err(Then::Later(None).into()),
                }
                let rewritten = |info: &mut MessageInfo, index, text| rewrite(&mut info.content, index, text);
                self.gate.rule(question, info, rewritten).await.map(|ruling| ruling.map(|info| chat_body(&info)))
            }
            Sheet::Errand(errand) => {
                let mut body = serde_json::from_str(&errand.body).unwrap_or_default();
                let question = errand_question(errand, &body, Some(peer));
                if self.admit_errand(errand, &mut body, question.call.clone()).await.is_err() {
                    return Err(Then::Later(None).into());
                }
                if judged {
                    return Ok(body.to_string().into());
                }
                let rewritten = |body: &mut Value, index, text| rewrite_errand(errand, body, index, text);
                self.gate.rule(question, body, rewritten).await.map(|ruling| ruling.map(|body| body.to_string().into()))
            }
        };
        match ruling {
            Ok(Ruling::Cleared(cleared)) => Ok(cleared.into_parts().0),
            Ok(Ruling::Held(cleared, reason)) => {
                let hold = cleared.hold(reason);
                let (_, trail, _) = cleared.into_parts();
                Err(Outcome { fate: Fate::Held(hold), audit: Some(trail.record()) }.into())
            }
            Ok(Ruling::Refused(refusal, trail)) => {
                let settlement = Settlement::Refused { code: refusal.code, message: refusal.message };
                Err(Outcome { fate: Fate::Settled(settlement), audit: Some(trail.record()) }.into())
            }
            Err(_) => Err(Then::Later(None).into()),
        }
    }

    /// What our own mirrors are told of a group's letters beside the standard's fields.
    fn stamp(&self, waiting: &Waiting, sheet: &Sheet) -> Result<Option<String>, StoreError> {
        match (&waiting.load, sheet) {
            (Load::Message { sender: None, .. }, Sheet::Message(stored)) => {
                let info = stored.info()?;
                let Some(group) = info.group() else { return Ok(None) };
                let stamp = self.store.read(|view| stamp::of_message(view, &group, &info.message_id))?;
                Ok(stamp.map(|stamp| stamp.to_string()))
            }
            (_, Sheet::Errand(errand)) if errand.call == GROUP_NOTICE.name => Ok(Some(errand.tag.clone())),
            (_, Sheet::Message(_) | Sheet::Errand(_)) => Ok(None),
        }
    }

    async fn send_to(
        &self,
        peer: &ServerId,
        path: &str,
        body: Bytes,
        request_id: String,
        stamp: Option<String>,
    ) -> Answered {
        match self.post_to(peer, path, body, request_id, stamp).await {
            Ok(answer) => {
                let retry_after = retry_after(&answer.headers);
                understood(answer.status.as_u16(), retry_after, Answer::<Empty>::read(&answer.body).ok())
            }
            Err(Unsent::Unknown(words)) => Answered::Final(refused(Code::NOT_FOUND, &words)),
            Err(Unsent::Away(reason)) => Answered::Nothing(None, reason),
        }
    }

    /// One POST to a server in good standing.
    pub(super) async fn post_to(
        &self,
        peer: &ServerId,
        path: &str,
        body: Bytes,
        request_id: String,
        stamp: Option<String>,
    ) -> Result<PeerAnswer, Unsent> {
        let info = self.addresses.admitted(peer).await.map_err(|error| match error {
            AddressError::Unknown(_) => Unsent::Unknown(error.to_string()),
            // A suspended server may come back, and the platform too.
            AddressError::Barred { .. } | AddressError::Unreachable(_) => Unsent::Away(error.to_string()),
        })?;
        let address =
            PeerAddress::server(peer, &info.server_address).map_err(|error| Unsent::Away(error.to_string()))?;
        let mut headers = HeaderMap::new();
        if let Some(value) = stamp.and_then(|stamp| HeaderValue::from_str(&stamp).ok()) {
            headers.insert(stamp::HEADER, value);
        }
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            headers.insert(crate::request::REQUEST_ID, value);
        }
        let sent = self.peers.send(&address, Method::POST, path, body, headers).await;
        let answer = sent.map_err(|error| Unsent::Away(chain(&error)))?;
        let offer = answer.headers.get(letters::OFFER).and_then(|value| value.to_str().ok()).and_then(Offer::parse);
        if let (Some(offer), Some(own)) = (offer, self.offer()) {
            let both = Offer { letters: offer.letters.min(own.letters), bytes: offer.bytes.min(own.bytes) };
            self.outbox.road(peer).bag.offered(both);
        }
        Ok(answer)
    }

    pub(crate) fn backoff(&self) -> Backoff {
        let delivery = &self.config.delivery;
        Backoff {
            min: Duration::from_millis(delivery.backoff_min_ms),
            max: Duration::from_millis(delivery.backoff_max_ms),
        }
    }

    fn sheet(&self, waiting: &Waiting) -> Result<Sheet, Error> {
        if let Load::Errand(errand) = &waiting.load {
            return Ok(Sheet::Errand(errand.clone()));
        }
        // Right after its commit a letter has its message with it.
        if let Load::Message { message: Some(stored), .. } = &waiting.load {
            return Ok(Sheet::Message(stored.clone()));
        }
        let stored = waiting.message(&self.store.view()?)?;
        Ok(Sheet::Message(stored.ok_or(StoreError::Malformed { what: "a letter" })?))
    }

    /// Notes up to where a device has read; many devices' notes share one transaction.
    pub(crate) fn acknowledge(&self, caller: &Caller, cursor: u64) {
        self.acks.note(caller, cursor);
    }

    /// Writes the acknowledgements that came since the last time.
    pub(crate) async fn write_acks(&self) {
        let noted = self.acks.take();
        if noted.is_empty() {
            return;
        }
        let rule = move |tx: &mut isthmus_store::Tx<'_>| {
            for ((user, device), cursor) in &noted {
                match inbox::ack(tx, user, device, *cursor) {
                    Ok(()) | Err(Error::Refused(_)) => {}
                    Err(fault) => return Err(fault),
                }
            }
            Ok(())
        };
        if let Err(error) = self.store.write(rule).await {
            tracing::warn!(error = chain(&error), "acknowledgements could not be kept; devices repeat them");
        }
    }

    /// Settles what the lanes hand over, many in one transaction, until the outbox is gone.
    pub(crate) async fn settle(self: Arc<Self>, mut settlements: Settlements) {
        loop {
            let batch = settlements.next().await;
            if batch.is_empty() {
                return;
            }
            let settled = batch.len();
            for (_, outcome) in &batch {
                metrics::counter!("isthmus_letters_total", "outcome" => outcome.label()).increment(1);
                self.tally.ended(outcome);
            }
            if let Err(error) = self.settle_batch(batch).await {
                tracing::error!(
                    error = chain(&error),
                    "letters could not be settled; they are sent again after a restart"
                );
            }
            self.outbox.done(settled);
        }
    }

    async fn settle_batch(
        self: &Arc<Self>,
        batch: Vec<(Parcel, Outcome)>,
    ) -> Result<(), isthmus_store::WriteError<Error>> {
        let (home, now, server) = (self.id.clone(), clock::now_ms(), self.clone());
        let rule = move |tx: &mut isthmus_store::Tx<'_>| {
            Server::scene(&home, now, |scene| {
                let mut all = Done::default();
                for (parcel, outcome) in batch {
                    let id = &parcel.waiting.id;
                    all.extend(match outcome.fate {
                        Fate::Settled(settlement) => outbox::settle(tx, scene, id, settlement, outcome.audit)?,
                        Fate::Held(hold) => outbox::hold(tx, scene, id, &hold, outcome.audit)?,
                    });
                }
                Ok::<_, Error>(all)
            })
        };
        // What follows from an end (a catch-up, say) was judged by nobody yet.
        self.store.submit(rule, move |done| server.after(done, 0)).await?.done().await.map(|_| ())
    }
}

/// What a peer's answer means for the letter and for the road.
#[derive(Debug)]
pub(crate) enum Answered {
    /// Delivered, or refused for good.
    Final(Outcome),
    /// Not carried out, because one before it was not settled.
    Untouched,
    /// The peer answers, but could not carry this one out.
    NotThisOne(Option<Duration>),
    /// No answer, or a plea for time.
    Nothing(Option<Duration>, String),
}

/// Why a peer has no answer for us.
pub(super) enum Unsent {
    /// The platform knows no such server.
    Unknown(String),
    /// Not to be had now.
    Away(String),
}

pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    seconds.map(wait)
}

pub(super) fn wait(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(3600))
}

pub(super) fn understood(status: u16, retry_after: Option<Duration>, answer: Option<Answer<Empty>>) -> Answered {
    if status == 429 || status == 503 {
        return Answered::Nothing(retry_after, format!("it asks for time (HTTP {status})"));
    }
    // A fault of theirs may pass; R4 gives it code 1 like any other failure.
    let Some(answer) = answer.filter(|_| status < 500) else { return Answered::NotThisOne(retry_after) };
    match answer.code.retry() {
        Retry::Done => Answered::Final(Outcome { fate: Fate::Settled(Settlement::Delivered), audit: None }),
        Retry::Never => Answered::Final(refused(answer.code, &answer.msg)),
        Retry::Later => Answered::Nothing(retry_after, format!("it asks for time (code {})", answer.code)),
    }
}

pub(super) fn refused(code: Code, msg: &str) -> Outcome {
    Outcome { fate: Fate::Settled(Settlement::Refused { code, message: msg.to_owned() }), audit: None }
}

pub(crate) fn dice() -> u32 {
    u32::from_be_bytes(clock::random_bytes())
}
