//! Sends the first letters of many lanes in one request, to servers that offer to take them so
//! ([`isthmus_wire::letters`]); each is judged, answered and settled as if it had gone by itself.

use std::sync::Arc;

use bytes::Bytes;
use isthmus_store::lane::LaneId;
use isthmus_wire::ServerId;
use isthmus_wire::code::{Answer, Code};
use isthmus_wire::letters::{self, Answers, FRAMING, LetterAnswer, Offer};
use tokio::sync::oneshot;

use super::Server;
use super::bag::Bundle;
use super::outbox::Parcel;
use super::postman::{Answered, Attempt, Then, Unsent, refused, retry_after, together, understood, wait};
use super::road::{Leave, Road};
use crate::clock;

/// Letters of one lane in one request: a long backlog of one leaves room for others.
const OF_ONE_LANE: usize = 32;
/// What a letter's answer has as its status if one before it in its lane was not settled.
pub(super) const UNTOUCHED: u16 = 425;

impl Server {
    /// What this server takes, and sends, at once; none if its operator does not want it.
    pub(crate) fn offer(&self) -> Option<Offer> {
        let letters = self.config.delivery.batch_letters;
        (letters > 1).then(|| Offer { letters, bytes: self.config.limits.max_body_kib * 1024 })
    }

    /// Sends the lane's first letters with those of other lanes.
    pub(super) async fn attempt_together(
        self: &Arc<Self>,
        peer: &ServerId,
        road: &Arc<Road>,
        leave: Leave<'_>,
        lane: &LaneId,
        offer: Offer,
    ) -> Attempt {
        let generation = self.gate.epoch();
        let bodies = match self.cleared_together(peer, lane, offer).await {
            Ok(bodies) => bodies,
            Err(attempt) => return attempt,
        };
        let (answers, answered) = oneshot::channel();
        if road.bag.put(Bundle { bodies, generation, answers }) {
            self.runtime.spawn(self.clone().carry(peer.clone(), road.clone()));
        }
        match answered.await {
            Ok(answers) => self.concluded(peer, leave, answers),
            Err(_) => Then::Go.into(),
        }
    }

    /// Messages at the head of the lane that may leave, as many as the peer takes. What must not leave waits until it is
    /// the head.
    async fn cleared_together(&self, peer: &ServerId, lane: &LaneId, offer: Offer) -> Result<Vec<Bytes>, Attempt> {
        let mut room = offer.bytes;
        let mut bodies = Vec::new();
        let now = clock::now_ms();
        let fit = |parcel: &Parcel| together(&parcel.waiting) && parcel.waiting.expires_ms > now;
        for parcel in self.outbox.front(lane, OF_ONE_LANE.min(offer.letters)).into_iter().take_while(fit) {
            let body = match self.sheet_cleared(&parcel, peer).await {
                Ok((_, body)) => body,
                Err(attempt) if bodies.is_empty() => return Err(attempt),
                Err(_) => break,
            };
            room = room.saturating_sub(body.len() + FRAMING);
            if room == 0 && !bodies.is_empty() {
                break;
            }
            bodies.push(body);
        }
        Ok(bodies)
    }

    /// Carries what waits in the bag, request after request, until nothing does.
    async fn carry(self: Arc<Self>, peer: ServerId, road: Arc<Road>) {
        let mut carrying = road.bag.carry();
        loop {
            // One commit wakes many lanes: let all of them put their letters in.
            tokio::task::yield_now().await;
            let bundles = carrying.next();
            if bundles.is_empty() {
                return;
            }
            // A policy swapped since has not cleared them: their lanes ask it.
            let now = self.gate.epoch();
            let bundles: Vec<Bundle> = bundles.into_iter().filter(|bundle| bundle.generation == now).collect();
            if !bundles.is_empty() {
                self.carry_one(&peer, &road, bundles).await;
            }
        }
    }

    async fn carry_one(&self, peer: &ServerId, road: &Road, bundles: Vec<Bundle>) {
        let letters =
            bundles.iter().enumerate().flat_map(|(lane, b)| b.bodies.iter().map(move |body| (lane, &body[..])));
        let body = Bytes::from(letters::write(letters));
        let id = hex::encode(clock::random_bytes::<8>());
        let answer = match self.post_to(peer, letters::PATH, body, id, None).await {
            Ok(answer) => answer,
            Err(unsent) => return each(bundles, |_| unsent.answered()),
        };
        let status = answer.status.as_u16();
        if status == 429 || status == 503 {
            let wait = retry_after(&answer.headers);
            return each(bundles, |_| understood(status, wait, None));
        }
        let count = bundles.iter().map(|bundle| bundle.bodies.len()).sum::<usize>();
        match Answer::<Answers>::read(&answer.body) {
            Ok(Answer { code: Code::Success, body: Some(Answers { answers }), .. }) if answers.len() == count => {
                let mut answers = answers.into_iter();
                each(bundles, |_| answers.next().map_or(Answered::Untouched, meaning));
            }
            // Whatever it is, it is no answer to this; each letter by itself gets one.
            _ => road.bag.withdrawn(),
        }
    }
}

impl Unsent {
    fn answered(&self) -> Answered {
        match self {
            Unsent::Unknown(words) => Answered::Final(refused(Code::NOT_FOUND, words)),
            Unsent::Away(reason) => Answered::Nothing(None, reason.clone()),
        }
    }
}

fn meaning(answer: LetterAnswer) -> Answered {
    let LetterAnswer { status, code, msg, retry_after } = answer;
    if status == UNTOUCHED {
        return Answered::Untouched;
    }
    understood(status, retry_after.map(wait), Some(Answer { code, msg, body: None }))
}

/// Answers every letter; lanes that are gone need none.
fn each(bundles: Vec<Bundle>, mut answered: impl FnMut(&Bytes) -> Answered) {
    for Bundle { bodies, answers, .. } in bundles {
        let _ = answers.send(bodies.iter().map(&mut answered).collect());
    }
}
