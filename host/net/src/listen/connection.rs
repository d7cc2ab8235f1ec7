//! Connections that stand: who, since when, how to end them.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::{Limits, identity_of};
use crate::guarded::{Cut, Guard};
use crate::identity::{Identity, PeerCertificate};

const OPEN: u8 = 0;
const DRAINING: u8 = 1;
const CUT: u8 = 2;

/// One live connection, a WebSocket included. Identity and certificate are those of the handshake: whether the peer
/// is still welcome is asked on every request, by the gate.
pub struct Connection {
    /// Unique in the process.
    pub id: u64,
    /// Who it is.
    pub identity: Identity,
    /// From where.
    pub remote: SocketAddr,
    /// Serial number of the peer's certificate, lower-case hex.
    pub serial: Option<String>,
    /// When the peer's certificate ends.
    pub not_after: Option<SystemTime>,
    /// HTTP/2, else HTTP/1.1.
    pub http2: bool,
    pub(super) activity: Activity,
    state: AtomicU8,
    changed: Notify,
    cut: Cut,
    clock: Arc<Clock>,
}

/// Ticks of the listener's clock; 0: not now.
#[derive(Default)]
pub(super) struct Activity {
    requests: AtomicU32,
    idle_since: AtomicU32,
    head_since: AtomicU32,
    blocked_since: AtomicU32,
    draining_since: AtomicU32,
    upgraded: AtomicBool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({} from {}, {})", self.id, self.remote, self.identity)
    }
}

impl Connection {
    /// Cuts it now: requests under way on it get no answer.
    pub fn close(&self) {
        self.state.store(CUT, Ordering::SeqCst);
        self.changed.notify_waiters();
        self.cut.cut();
    }

    /// Lets requests under way end and takes no new ones.
    pub fn drain(&self) {
        // Never back from cut.
        if self.state.compare_exchange(OPEN, DRAINING, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.activity.draining_since.store(self.clock.now(), Ordering::Relaxed);
            self.changed.notify_waiters();
        }
    }

    /// Completes when the connection is to end, gracefully or not: a WebSocket says good-bye then.
    pub async fn draining(&self) {
        self.reached(DRAINING).await;
    }

    /// Whether it has been cut.
    pub fn is_closed(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CUT
    }

    /// Requests under way.
    pub fn requests(&self) -> u32 {
        self.activity.requests.load(Ordering::Relaxed)
    }

    pub(super) fn is_of(&self, clock: &Arc<Clock>) -> bool {
        Arc::ptr_eq(&self.clock, clock)
    }

    pub(super) async fn cut(&self) {
        self.reached(CUT).await;
    }

    async fn reached(&self, state: u8) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before looking, so that no change falls between.
            changed.as_mut().enable();
            if self.state.load(Ordering::SeqCst) >= state {
                return;
            }
            changed.await;
        }
    }

    /// A request begins; it ends when the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.activity.requests.fetch_add(1, Ordering::Relaxed);
        self.activity.head_since.store(0, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Bytes came in: perhaps the first of a head.
    fn has_read(&self) {
        if !self.http2 && self.requests() == 0 && self.activity.head_since.load(Ordering::Relaxed) == 0 {
            self.activity.head_since.store(self.clock.now(), Ordering::Relaxed);
        }
    }

    /// The peer takes no more bytes, or takes them again.
    fn write_blocked(&self, blocked: bool) {
        let since = self.activity.blocked_since.load(Ordering::Relaxed);
        if blocked && since == 0 {
            self.activity.blocked_since.store(self.clock.now(), Ordering::Relaxed);
        } else if !blocked && since != 0 {
            self.activity.blocked_since.store(0, Ordering::Relaxed);
        }
    }

    /// HTTP is over on this connection and another protocol goes on.
    pub(super) fn upgraded(&self) {
        self.activity.upgraded.store(true, Ordering::Relaxed);
    }

    fn sweep(&self, wall: SystemTime) {
        let now = self.clock.now();
        let past = |since: &AtomicU32, ticks| {
            let since = since.load(Ordering::Relaxed);
            since != 0 && now.saturating_sub(since) > ticks
        };
        let activity = &self.activity;
        if past(&activity.blocked_since, self.clock.stall) {
            tracing::debug!(connection = ?self, "cut: the peer does not read");
            return self.close();
        }
        // A long-lived connection is no way to outlive one's certificate.
        // It is good to the end of its last second.
        if self.not_after.is_some_and(|end| end + Duration::from_secs(1) <= wall) {
            self.drain();
        }
        if activity.upgraded.load(Ordering::Relaxed) || self.requests() > 0 {
            return;
        }
        if past(&activity.head_since, self.clock.header) {
            tracing::debug!(connection = ?self, "cut: the request's head takes too long");
            return self.close();
        }
        // A peer that never began to speak HTTP/2 does not hear that we want to end.
        if past(&activity.draining_since, self.clock.header) {
            return self.close();
        }
        if past(&activity.idle_since, self.clock.idle) {
            self.drain();
        }
    }
}

/// A request under way.
pub(super) struct Busy(Arc<Connection>);

impl Drop for Busy {
    fn drop(&mut self) {
        let activity = &self.0.activity;
        activity.idle_since.store(self.0.clock.now(), Ordering::Relaxed);
        activity.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A coarse clock for one listener: a relaxed load instead of a system call on each read and write.
pub(super) struct Clock {
    now: AtomicU32,
    ended: AtomicBool,
    period: Duration,
    header: u32,
    idle: u32,
    stall: u32,
}

impl Clock {
    pub(super) fn new(limits: &Limits) -> Self {
        let shortest = limits.header.min(limits.idle).min(limits.stall);
        let period = (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let ticks = |limit: Duration| u32::try_from(limit.as_nanos() / period.as_nanos()).unwrap_or(u32::MAX);
        Self {
            now: AtomicU32::new(1),
            ended: AtomicBool::new(false),
            period,
            header: ticks(limits.header),
            idle: ticks(limits.idle),
            stall: ticks(limits.stall),
        }
    }

    fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }

    pub(super) fn period(&self) -> Duration {
        self.period
    }

    pub(super) fn advance(&self) {
        self.now.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections that still come out of their handshake are drained at once.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

/// What happened on the listeners that share a registry, since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Closed at once, because the limit was reached.
    pub refused_full: AtomicU64,
    /// TLS handshakes that failed: no certificate, a bad one, no TLS at all.
    pub handshake_failed: AtomicU64,
    /// TLS handshakes that took too long.
    pub handshake_timeout: AtomicU64,
}

/// The live connections of one or more listeners.
#[derive(Clone, Default)]
pub struct Connections(Arc<Registry>);

#[derive(Default)]
struct Registry {
    live: Mutex<HashMap<u64, Arc<Connection>>>,
    counts: Counts,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connections({})", self.len())
    }
}

impl Connections {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts every connection that `condemned` names, and tells how many. A peer that is denied from now on loses what
    /// it has: call this after the decision holds, so that no new connection slips by.
    pub fn close_where(&self, condemned: impl Fn(&Connection) -> bool) -> usize {
        self.each(condemned, Connection::close)
    }

    /// As [`Connections::close_where`], but requests under way may end.
    pub fn drain_where(&self, condemned: impl Fn(&Connection) -> bool) -> usize {
        self.each(condemned, Connection::drain)
    }

    /// Those that stand now.
    pub fn snapshot(&self) -> Vec<Arc<Connection>> {
        self.live().values().cloned().collect()
    }

    /// How many stand.
    pub fn len(&self) -> usize {
        self.live().len()
    }

    /// Whether none stands.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counters for the metrics.
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    pub(super) fn enter(
        &self,
        clock: &Arc<Clock>,
        slot: OwnedSemaphorePermit,
        remote: SocketAddr,
        certificate: Option<PeerCertificate>,
        http2: bool,
    ) -> Live {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let connection = Arc::new(Connection {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            identity: identity_of(certificate.as_ref()),
            remote,
            not_after: certificate.as_ref().map(|certificate| certificate.not_after),
            serial: certificate.map(|certificate| certificate.serial),
            http2,
            activity: Activity { idle_since: AtomicU32::new(clock.now()), ..Activity::default() },
            state: AtomicU8::new(OPEN),
            changed: Notify::new(),
            cut: Cut::default(),
            clock: clock.clone(),
        });
        self.live().insert(connection.id, connection.clone());
        if clock.ended.load(Ordering::SeqCst) {
            connection.drain();
        }
        Live { connection, registry: self.0.clone(), _slot: slot }
    }

    pub(super) fn sweep(&self, clock: &Arc<Clock>) {
        let wall = SystemTime::now();
        self.each(|connection| connection.is_of(clock), |connection| connection.sweep(wall));
    }

    fn each(&self, chosen: impl Fn(&Connection) -> bool, act: impl Fn(&Connection)) -> usize {
        let chosen: Vec<_> = self.live().values().filter(|connection| chosen(connection)).cloned().collect();
        chosen.iter().for_each(|connection| act(connection));
        chosen.len()
    }

    fn live(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.0.live()
    }
}

impl Registry {
    fn live(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        // A map of handles is whole at every moment: a panic elsewhere has not hurt it.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds a connection's place in the registry and under the limit, as long as its bytes can flow.
pub(super) struct Live {
    pub(super) connection: Arc<Connection>,
    registry: Arc<Registry>,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.registry.live().remove(&self.connection.id);
    }
}

impl Guard for Live {
    fn cut(&self) -> &Cut {
        &self.connection.cut
    }

    fn has_read(&self) {
        self.connection.has_read();
    }

    fn write_blocked(&self, blocked: bool) {
        self.connection.write_blocked(blocked);
    }

    fn lingers(&self) -> bool {
        // Where we end what stands idle nobody is writing.
        self.connection.state.load(Ordering::SeqCst) == OPEN
    }
}
