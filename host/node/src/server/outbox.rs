//! Carries letters to other servers: one ordered lane per conversation and peer (reading, section 5).
//!
//! The letter is durable before it comes here; this module only keeps the lanes moving. A lane
//! with something in it has one task; the task sends the head, and goes on to the next letter as
//! soon as the peer has answered. Taking the letter out of the database and telling its sender is
//! left to the settler, which does many in one transaction: should the process die in between, the
//! letter goes out again and the peer recognises it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use isthmus_domain::held::Hold;
use isthmus_domain::outbox::{Settlement, Waiting};
use isthmus_store::lane::LaneId;
use isthmus_wire::ServerId;
use tokio::sync::mpsc;

use super::road::Road;

/// Letters of one lane kept in memory; the rest stays in the database until these are gone.
const LANE_WINDOW: usize = 64;
/// Outcomes waiting for the settler.
const SETTLE_QUEUE: usize = 4096;
/// Outcomes settled in one transaction.
const SETTLE_BATCH: usize = 256;

/// A letter on its way: what is needed to send it without asking the database.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    /// The letter.
    pub(crate) waiting: Arc<Waiting>,
    /// The policy generation that cleared it; 0 if unknown.
    pub(crate) generation: u64,
}

/// How a letter ended.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It leaves its lane, and its sender is told.
    Settled(Settlement),
    /// The policy of now holds it.
    Held(Hold),
}

/// A letter's end, with the record of the decision where there was one.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) fate: Fate,
    pub(crate) audit: Option<Vec<u8>>,
}

impl Outcome {
    /// One word, for `/metrics`.
    pub(crate) fn label(&self) -> &'static str {
        match &self.fate {
            Fate::Settled(Settlement::Delivered) => "delivered",
            Fate::Settled(Settlement::Refused { .. }) => "refused",
            Fate::Settled(Settlement::Expired) => "expired",
            Fate::Held(_) => "held",
        }
    }
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Parcel>,
    /// The database holds more than `waiting`.
    more: bool,
    /// Letters left to the database so far: tells a refill that one came while it was reading.
    skipped: u64,
    /// The highest number taken in: a letter that a refill has brought already is not taken twice.
    last: u64,
}

/// All lanes and roads.
pub(crate) struct Outbox {
    lanes: Mutex<HashMap<LaneId, Lane>>,
    roads: Mutex<HashMap<ServerId, Arc<Road>>>,
    in_flight: usize,
    settled: mpsc::Sender<(Parcel, Outcome)>,
    /// Letters handed to the settler and not settled yet, and lane tasks that run.
    busy: AtomicUsize,
    stopping: AtomicBool,
}

/// What the settler takes from.
pub(crate) struct Settlements(mpsc::Receiver<(Parcel, Outcome)>);

impl Settlements {
    /// The next outcomes, in order; empty when the outbox is gone.
    pub(crate) async fn next(&mut self) -> Vec<(Parcel, Outcome)> {
        let mut batch = Vec::with_capacity(SETTLE_BATCH);
        self.0.recv_many(&mut batch, SETTLE_BATCH).await;
        batch
    }
}

impl Outbox {
    /// `in_flight`: letters under way to one peer at once.
    pub(crate) fn new(in_flight: usize) -> (Outbox, Settlements) {
        let (settled, receiver) = mpsc::channel(SETTLE_QUEUE);
        let outbox = Outbox {
            lanes: Mutex::default(),
            roads: Mutex::default(),
            in_flight,
            settled,
            busy: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        };
        (outbox, Settlements(receiver))
    }

    /// Takes a letter that has just been committed. Called in commit order. True: the lane was
    /// idle, and the caller starts its task.
    pub(crate) fn enqueue(&self, parcel: Parcel) -> bool {
        let mut lanes = self.lanes();
        let idle = !lanes.contains_key(&parcel.waiting.id.lane);
        let lane = lanes.entry(parcel.waiting.id.lane.clone()).or_default();
        if lane.more || lane.waiting.len() >= LANE_WINDOW {
            lane.more = true;
            lane.skipped += 1;
        } else if parcel.waiting.id.seq > lane.last {
            lane.last = parcel.waiting.id.seq;
            lane.waiting.push_back(parcel);
        }
        idle
    }

    /// Opens a lane that the database holds letters of (at start). True: start its task.
    pub(crate) fn open(&self, lane: LaneId) -> bool {
        let mut lanes = self.lanes();
        let idle = !lanes.contains_key(&lane);
        lanes.entry(lane).or_default().more = true;
        idle
    }

    /// The lane's head.
    pub(crate) fn head(&self, lane: &LaneId) -> Head {
        let mut lanes = self.lanes();
        let Some(state) = lanes.get(lane) else { return Head::Empty };
        match state.waiting.front() {
            Some(parcel) => Head::Letter(parcel.clone()),
            None if state.more => Head::InDatabase { after: state.last, skipped: state.skipped },
            None => {
                lanes.remove(lane);
                Head::Empty
            }
        }
    }

    /// The lane's first letters that memory holds, at most `limit`.
    pub(crate) fn front(&self, lane: &LaneId, limit: usize) -> Vec<Parcel> {
        let lanes = self.lanes();
        lanes.get(lane).map(|state| state.waiting.iter().take(limit).cloned().collect()).unwrap_or_default()
    }

    /// Puts in what the database holds after the last letter taken in; `more`: there is still more;
    /// `skipped`: as [`Head::InDatabase`] said before reading.
    pub(crate) fn refill(&self, lane: &LaneId, parcels: Vec<Parcel>, more: bool, skipped: u64) {
        if let Some(state) = self.lanes().get_mut(lane) {
            state.last = parcels.last().map_or(state.last, |p| p.waiting.id.seq);
            state.waiting.extend(parcels);
            state.more = more || state.skipped != skipped;
        }
    }

    /// Takes the lane's head out and hands its end to the settler.
    pub(crate) async fn close(&self, lane: &LaneId, outcome: Outcome) {
        let head = self.lanes().get_mut(lane).and_then(|state| state.waiting.pop_front());
        let Some(parcel) = head else { return };
        self.busy.fetch_add(1, Ordering::AcqRel);
        // The settler outlives the lanes; without it the letter stays in the database.
        if self.settled.send((parcel, outcome)).await.is_err() {
            self.done(1);
        }
    }

    /// A lane's task runs until the guard is dropped.
    pub(crate) fn running(&self) -> Running<'_> {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Running(self)
    }

    /// So many letters are settled.
    pub(crate) fn done(&self, letters: usize) {
        self.busy.fetch_sub(letters, Ordering::AcqRel);
    }

    /// Whether lanes shall end.
    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Ends the lanes after the letters that are under way, and waits until those are settled, `grace` at most.
    pub(crate) async fn stop(&self, grace: Duration) {
        self.stopping.store(true, Ordering::Release);
        self.roads.lock().unwrap_or_else(PoisonError::into_inner).values().for_each(|road| road.close());
        let deadline = tokio::time::Instant::now() + grace;
        while self.busy.load(Ordering::Acquire) > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The way to a peer.
    pub(crate) fn road(&self, peer: &ServerId) -> Arc<Road> {
        let mut roads = self.roads.lock().unwrap_or_else(PoisonError::into_inner);
        roads.entry(peer.clone()).or_insert_with(|| Arc::new(Road::new(self.in_flight))).clone()
    }

    /// Lanes that are not empty, and peers that are down.
    pub(crate) fn figures(&self) -> (usize, usize) {
        let roads = self.roads.lock().unwrap_or_else(PoisonError::into_inner);
        (self.lanes().len(), roads.values().filter(|r| r.is_down()).count())
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<LaneId, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Outbox::running`].
pub(crate) struct Running<'a>(&'a Outbox);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.done(1);
    }
}

/// What is at the head of a lane.
pub(crate) enum Head {
    /// This one.
    Letter(Parcel),
    /// Something that memory does not hold, with numbers above `after`.
    InDatabase { after: u64, skipped: u64 },
    /// Nothing: the lane is closed.
    Empty,
}

/// Refill size.
pub(crate) const REFILL: usize = LANE_WINDOW;
