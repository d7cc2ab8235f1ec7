//! Letters to one peer that go in one request, if it offers to take them so ([`isthmus_wire::letters`]).
//!
//! A lane puts in the letters that it would send next and waits for their answers. Whoever finds nobody carrying starts
//! a carrier; while its request is under way the next letters gather, so that the more there is to send, the more goes
//! together.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use isthmus_wire::letters::{FRAMING, Offer};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::postman::Answered;

/// Requests under way at once: one is judged over there while another one commits.
const CARRIERS: usize = 2;
/// A peer that offered and then could not is believed again after this.
const DISTRUST: Duration = Duration::from_secs(60);

/// The next letters of one lane.
pub(crate) struct Bundle {
    /// As `POST /sns/chat/` would carry them.
    pub(crate) bodies: Vec<Bytes>,
    /// The policy that cleared them, as [`Parcel::generation`](super::outbox::Parcel).
    pub(crate) generation: u64,
    /// One answer a letter. Dropped where nothing was sent: the lane looks anew.
    pub(crate) answers: oneshot::Sender<Vec<Answered>>,
}

impl Bundle {
    fn bytes(&self) -> usize {
        self.bodies.iter().map(|body| body.len() + FRAMING).sum()
    }
}

#[derive(Default)]
struct State {
    offer: Option<Offer>,
    distrusted_until: Option<Instant>,
    /// One bundle a lane at most, each with its place on the road: bounded by those.
    waiting: VecDeque<Bundle>,
    carriers: usize,
}

/// What waits to go to one peer.
#[derive(Default)]
pub(crate) struct Bag(Mutex<State>);

/// A carrier's right to carry; given back when it is dropped.
pub(crate) struct Carrying<'a>(Option<&'a Bag>);

impl Bag {
    /// The peer takes letters together.
    pub(crate) fn offered(&self, offer: Offer) {
        let mut state = self.locked();
        if state.distrusted_until.is_none_or(|until| until <= Instant::now()) {
            state.offer = Some(offer);
        }
    }

    /// It does not, after all: what waits goes letter by letter.
    pub(crate) fn withdrawn(&self) {
        let mut state = self.locked();
        state.offer = None;
        state.distrusted_until = Some(Instant::now() + DISTRUST);
        state.waiting.clear();
    }

    /// What the peer takes at once.
    pub(crate) fn offer(&self) -> Option<Offer> {
        self.locked().offer
    }

    /// Puts in a lane's letters. True: the caller starts a carrier.
    pub(crate) fn put(&self, bundle: Bundle) -> bool {
        let mut state = self.locked();
        if state.offer.is_none() {
            return false;
        }
        state.waiting.push_back(bundle);
        let start = state.carriers < CARRIERS;
        state.carriers += usize::from(start);
        start
    }

    /// The carrier that [`Bag::put`] asked for.
    pub(crate) fn carry(&self) -> Carrying<'_> {
        Carrying(Some(self))
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Carrying<'_> {
    /// What goes in the next request; empty, and the carrier is done, where nothing waits.
    pub(crate) fn next(&mut self) -> Vec<Bundle> {
        let Some(bag) = self.0 else { return Vec::new() };
        let mut state = bag.locked();
        let mut taken = Vec::new();
        let (mut letters, mut bytes) = (0, 0);
        while let (Some(offer), Some(bundle)) = (state.offer, state.waiting.front()) {
            (letters, bytes) = (letters + bundle.bodies.len(), bytes + bundle.bytes());
            // A bundle alone was made to fit.
            if !taken.is_empty() && (letters > offer.letters || bytes > offer.bytes) {
                break;
            }
            taken.extend(state.waiting.pop_front());
        }
        if taken.is_empty() {
            state.carriers -= 1;
            self.0 = None;
        }
        taken
    }
}

impl Drop for Carrying<'_> {
    fn drop(&mut self) {
        if let Some(bag) = self.0 {
            bag.locked().carriers -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    fn bundle(letters: usize) -> (Bundle, oneshot::Receiver<Vec<Answered>>) {
        let (answers, wait) = oneshot::channel();
        (Bundle { bodies: vec![Bytes::from_static(b"{}"); letters], generation: 1, answers }, wait)
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_holds_as_many_bundles_as_the_peer_takes_and_one_at_least() {
        let bag = Bag::default();
        assert!(!bag.put(bundle(1).0), "nothing was offered");
        bag.offered(Offer { letters: 4, bytes: 10_000 });
        assert!(bag.put(bundle(3).0));
        assert!(bag.put(bundle(1).0), "a second carrier may go beside the first");
        assert!(!bag.put(bundle(5).0));
        let mut carrying = bag.carry();
        assert_eq!(carrying.next().len(), 2);
        assert_eq!(carrying.next().len(), 1);
        assert!(carrying.next().is_empty());
        assert!(bag.put(bundle(1).0), "the carrier that ended makes room for another");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_when_an_offer_is_withdrawn_goes_back_and_the_peer_is_not_believed_at_once() {
        let bag = Bag::default();
        let offer = Offer { letters: 4, bytes: 10_000 };
        bag.offered(offer);
        let (waiting, answers) = bundle(1);
        assert!(bag.put(waiting));
        bag.withdrawn();
        assert!(answers.await.is_err());
        bag.offered(offer);
        assert_eq!(bag.offer(), None);
        tokio::time::advance(DISTRUST).await;
        bag.offered(offer);
        assert_eq!(bag.offer(), Some(offer));
    }

    #[tokio::test]
    async fn a_carrier_that_dies_makes_room() {
        let bag = Bag::default();
        bag.offered(Offer { letters: 1, bytes: 100 });
        assert!(bag.put(bundle(1).0) && bag.put(bundle(1).0) && !bag.put(bundle(1).0));
        drop(bag.carry());
        assert!(bag.put(bundle(1).0));
    }
}
