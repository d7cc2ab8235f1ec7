//! Hands committed inbox events to the user's connected devices.
//!
//! A device connection owns a bounded queue. What does not fit is not lost: the connection is
//! told that it lags, and reads the inbox from its cursor instead. So the hub may drop, the
//! inbox never does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use isthmus_domain::{Entry, Event, State, Stored, TimeId};
use isthmus_wire::{MessageId, UserId};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// One event as it goes over the socket: its cursor and its JSON, made once for all devices.
#[derive(Clone, Debug)]
pub(crate) struct Pushed {
    /// Position in the user's inbox.
    pub(crate) cursor: u64,
    /// The event's JSON object.
    pub(crate) json: Arc<str>,
}

impl Pushed {
    /// An inbox event as clients see it. A message goes as it stands on the wire, without being read again.
    #[must_use]
    pub(crate) fn of(entry: &Entry) -> Pushed {
        let at = entry.time_ms;
        let json = match &entry.event {
            Event::Message(stored) | Event::Sent { message: stored, .. } if stored.recalled => recalled(at, stored),
            Event::Message(stored) => format!(r#"{{"kind":"message","atMs":{at},"message":{}}}"#, stored.wire),
            Event::Sent { message, state } => {
                let client = message.client_msg_id.as_deref().map_or(Value::Null, Value::from);
                let state = if *state == State::Held { "held" } else { "kept" };
                let wire = &message.wire;
                format!(r#"{{"kind":"sent","atMs":{at},"clientID":{client},"state":"{state}","message":{wire}}}"#)
            }
            Event::Receipt { message_id, state } => receipt(at, message_id, state).to_string(),
            Event::News(news) => {
                let mut value = Value::Object(news.body.clone());
                value["kind"] = news.kind.as_str().into();
                value["atMs"] = at.into();
                value.to_string()
            }
            Event::Gone => json!({"kind": "gone", "atMs": at}).to_string(),
        };
        Pushed { cursor: entry.cursor, json: json.into() }
    }
}

/// In place of a message that was taken back: who wrote what to whom, and no more.
fn recalled(at_ms: u64, stored: &Stored) -> String {
    let message: Value = serde_json::from_str(&stored.wire).unwrap_or_default();
    json!({
        "kind": "recalled", "atMs": at_ms, "messageID": message["messageID"], "sendID": message["sendID"],
        "recvID": message["recvID"], "chatScene": message["chatScene"],
    })
    .to_string()
}

fn receipt(at_ms: u64, message_id: &MessageId, state: &State) -> Value {
    let mut value = json!({"kind": "receipt", "atMs": at_ms, "messageID": message_id, "state": state.as_str()});
    match state {
        State::Refused { code, message } => {
            value["code"] = code.number().into();
            value["msg"] = message.as_str().into();
        }
        State::Dropped { message } => value["msg"] = message.as_str().into(),
        State::Waiting | State::Delivered | State::Held | State::Expired => {}
    }
    value
}

/// One connected device's queue.
pub(crate) struct Seat {
    id: u64,
    queue: Mutex<Vec<Pushed>>,
    bound: usize,
    lagging: AtomicBool,
    closed: AtomicBool,
    wake: Notify,
    /// The device (log-in) that this connection belongs to.
    pub(crate) device: TimeId,
}

/// What a connection finds when it wakes.
#[derive(Debug)]
pub(crate) enum Wake {
    /// These events, in the order of their commits.
    Events(Vec<Pushed>),
    /// Some did not fit: read the inbox.
    Lagging,
    /// The hub wants the connection closed (log-out, denied, shutdown).
    Closed,
}

impl Seat {
    /// Waits until there is something to do.
    pub(crate) async fn next(&self) -> Wake {
        loop {
            let woken = self.wake.notified();
            if self.closed.load(Ordering::Acquire) {
                return Wake::Closed;
            }
            let taken = std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner));
            if self.lagging.swap(false, Ordering::AcqRel) {
                return Wake::Lagging;
            }
            if !taken.is_empty() {
                return Wake::Events(taken);
            }
            woken.await;
        }
    }

    /// Adds what has come since to `events`, without waiting. A queue that overflowed is left for [`Seat::next`].
    pub(crate) fn take(&self, events: &mut Vec<Pushed>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked under the lock: what lies in the queue after an overflow follows a gap.
        if !self.lagging.load(Ordering::Acquire) {
            events.append(&mut queue);
        }
    }

    fn offer(&self, event: &Pushed) {
        {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            if queue.len() < self.bound {
                queue.push(event.clone());
            } else {
                queue.clear();
                self.lagging.store(true, Ordering::Release);
            }
        }
        self.wake.notify_one();
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

/// All connected devices, by user.
pub(crate) struct Hub {
    seats: Mutex<HashMap<UserId, Vec<Arc<Seat>>>>,
    next: AtomicU64,
    bound: usize,
}

/// A seat that leaves the hub when its connection ends.
pub(crate) struct Seated<'a> {
    hub: &'a Hub,
    user: UserId,
    /// The queue.
    pub(crate) seat: Arc<Seat>,
}

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        self.hub.leave(&self.user, self.seat.id);
    }
}

impl Hub {
    /// `bound`: events that one connection may have waiting.
    #[must_use]
    pub(crate) fn new(bound: usize) -> Hub {
        Hub { seats: Mutex::default(), next: AtomicU64::new(1), bound }
    }

    /// A new connection of `user`.
    pub(crate) fn join(&self, user: UserId, device: TimeId) -> Seated<'_> {
        let seat = Arc::new(Seat {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            queue: Mutex::default(),
            bound: self.bound,
            lagging: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            wake: Notify::new(),
            device,
        });
        self.locked().entry(user.clone()).or_default().push(seat.clone());
        Seated { hub: self, user, seat }
    }

    /// Whether anyone of `user` is connected: spares making JSON for nobody.
    pub(crate) fn listens(&self, user: &UserId) -> bool {
        self.locked().contains_key(user)
    }

    /// Offers an event to every device of `user`. Called after the commit, in commit order.
    pub(crate) fn publish(&self, user: &UserId, event: &Pushed) {
        if let Some(seats) = self.locked().get(user) {
            seats.iter().for_each(|seat| seat.offer(event));
        }
    }

    /// Closes the connections of `user`, or of one of its devices.
    pub(crate) fn close(&self, user: &UserId, device: Option<&TimeId>) {
        if let Some(seats) = self.locked().get(user) {
            seats.iter().filter(|s| device.is_none_or(|d| *d == s.device)).for_each(|s| s.close());
        }
    }

    /// Closes every connection: the server stops.
    pub(crate) fn close_all(&self) {
        self.locked().values().flatten().for_each(|s| s.close());
    }

    /// Connected devices.
    pub(crate) fn count(&self) -> usize {
        self.locked().values().map(Vec::len).sum()
    }

    fn leave(&self, user: &UserId, id: u64) {
        let mut seats = self.locked();
        if let Some(of_user) = seats.get_mut(user) {
            of_user.retain(|s| s.id != id);
            if of_user.is_empty() {
                seats.remove(user);
            }
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<UserId, Vec<Arc<Seat>>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
