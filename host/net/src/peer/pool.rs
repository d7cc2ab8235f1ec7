//! The connections to one party: few with many calls each (HTTP/2), else one call at a time on each (HTTP/1.1).

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use tokio::sync::{Notify, watch};

use super::connect::{Link, Made, connect};
use super::{PeerAddress, PeerLimits, SendError, Step, as_http1};
use crate::http::Body;
use crate::tls::ClientTls;

/// How often a call is begun again on another connection, after one turned out to be closed before it was sent.
const TRIES: usize = 4;

/// All connections to one party at one address.
pub(super) struct Pool {
    to: PeerAddress,
    tls: watch::Receiver<Arc<ClientTls>>,
    limits: Arc<PeerLimits>,
    state: Mutex<State>,
    /// Who holds it makes a connection; who waits for it shares the outcome.
    connecting: tokio::sync::Mutex<Option<(u64, SendError)>>,
    attempts: AtomicU64,
    growing: AtomicBool,
    /// An HTTP/1.1 connection came back or ended.
    returned: Notify,
}

#[derive(Default)]
struct State {
    all: Vec<Arc<Conn>>,
    h2: Vec<(Arc<Conn>, http2::SendRequest<Body>)>,
    h1_idle: Vec<(Arc<Conn>, http1::SendRequest<Body>)>,
    closed: bool,
}

/// What is known of one connection.
struct Conn {
    tls: Arc<ClientTls>,
    http2: bool,
    calls: AtomicUsize,
    total: AtomicU64,
    /// No further calls.
    retired: AtomicBool,
    link: Arc<Link>,
}

enum Pick {
    Lease(Lease),
    Connect,
    Wait,
}

/// A connection, or a share of one, for one call.
pub(super) struct Lease {
    call: OneCall,
    pool: Weak<Pool>,
    sender: Sender,
}

/// Counted as long as it exists.
struct OneCall(Arc<Conn>);

impl Drop for OneCall {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

enum Sender {
    Http2(http2::SendRequest<Body>),
    Http1(http1::SendRequest<Body>),
}

impl Pool {
    pub(super) fn new(to: PeerAddress, tls: watch::Receiver<Arc<ClientTls>>, limits: Arc<PeerLimits>) -> Self {
        Self {
            to,
            tls,
            limits,
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::new(None),
            attempts: AtomicU64::new(0),
            growing: AtomicBool::new(false),
            returned: Notify::new(),
        }
    }

    pub(super) fn address(&self) -> &PeerAddress {
        &self.to
    }

    pub(super) fn len(&self) -> usize {
        self.state().all.len()
    }

    /// Sends, to the answer's head. Begun again only while it is certain that nothing was sent.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Body>,
    ) -> Result<(Response<Incoming>, Lease), SendError> {
        let mut tries = 0;
        loop {
            let mut lease = self.checkout().await?;
            tries += 1;
            let mut failed = match lease.try_send(request, &self.to).await {
                Ok(response) => return Ok((response, lease)),
                Err(failed) => failed,
            };
            match failed.unsent.take().filter(|_| tries < TRIES && lease.call.0.link.fault().is_none()) {
                Some(unsent) => request = unsent,
                None => return Err(lease.explain(&self.to, failed)),
            }
        }
    }

    async fn checkout(self: &Arc<Self>) -> Result<Lease, SendError> {
        loop {
            let seen = self.attempts.load(Ordering::SeqCst);
            match self.pick() {
                Pick::Lease(lease) => return Ok(lease),
                Pick::Wait => self.returned.notified().await,
                Pick::Connect => {
                    if let Some(lease) = self.connect_in_turn(seen).await? {
                        return Ok(lease);
                    }
                }
            }
        }
    }

    /// Waits for its turn and connects, unless another has done so, or has failed to, since `seen`.
    async fn connect_in_turn(self: &Arc<Self>, seen: u64) -> Result<Option<Lease>, SendError> {
        let mut last = self.connecting.lock().await;
        if let Some((attempt, error)) = &*last
            && *attempt > seen
        {
            return Err(error.clone());
        }
        match self.pick() {
            Pick::Lease(lease) => return Ok(Some(lease)),
            Pick::Wait => return Ok(None),
            Pick::Connect => {}
        }
        let tls = self.tls.borrow().clone();
        match connect(&self.to, &tls, &self.limits).await {
            Ok(made) => Ok(Some(self.adopt(made, tls))),
            Err(error) => {
                let attempt = self.attempts.fetch_add(1, Ordering::SeqCst) + 1;
                *last = Some((attempt, error.clone()));
                Err(error)
            }
        }
    }

    /// One connection more beside those that are full, while callers go on with what is there.
    fn grow(self: &Arc<Self>) {
        if self.growing.swap(true, Ordering::SeqCst) {
            return;
        }
        let pool = self.clone();
        tokio::spawn(async move {
            let tls = pool.tls.borrow().clone();
            match connect(&pool.to, &tls, &pool.limits).await {
                Ok(made) => drop(pool.adopt(made, tls)),
                Err(error) => tracing::debug!(to = %pool.to, %error, "no further connection"),
            }
            pool.growing.store(false, Ordering::SeqCst);
        });
    }

    fn pick(self: &Arc<Self>) -> Pick {
        let tls = self.tls.borrow().clone();
        let mut state = self.state();
        state.h2.retain(|(conn, sender)| Arc::ptr_eq(&conn.tls, &tls) && !sender.is_closed());
        state.h1_idle.retain(|(conn, sender)| Arc::ptr_eq(&conn.tls, &tls) && !sender.is_closed());
        if let Some((conn, sender)) = state.h1_idle.pop() {
            return Pick::Lease(self.lease(conn, Sender::Http1(sender)));
        }
        let least = state.h2.iter().min_by_key(|(conn, _)| conn.calls.load(Ordering::Relaxed));
        if let Some((conn, sender)) = least {
            let full = conn.calls.load(Ordering::Relaxed) >= self.limits.h2_streams;
            let lease = self.lease(conn.clone(), Sender::Http2(sender.clone()));
            if full && state.h2.len() < self.limits.h2_connections {
                self.grow();
            }
            return Pick::Lease(lease);
        }
        let h1 = state.all.iter().filter(|conn| !conn.http2 && Arc::ptr_eq(&conn.tls, &tls)).count();
        if h1 >= self.limits.h1_connections.max(1) { Pick::Wait } else { Pick::Connect }
    }

    fn lease(self: &Arc<Self>, conn: Arc<Conn>, sender: Sender) -> Lease {
        conn.calls.fetch_add(1, Ordering::Relaxed);
        conn.total.fetch_add(1, Ordering::Relaxed);
        Lease { call: OneCall(conn), pool: Arc::downgrade(self), sender }
    }

    /// Takes a new connection in and lets it live in a task of its own.
    fn adopt(self: &Arc<Self>, made: Made, tls: Arc<ClientTls>) -> Lease {
        let (http2, link) = match &made {
            Made::Http2(_, _, link) => (true, link.clone()),
            Made::Http1(_, _, link) => (false, link.clone()),
        };
        let conn = Arc::new(Conn {
            tls,
            http2,
            calls: AtomicUsize::new(0),
            total: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            link,
        });
        let keeper = Keeper { pool: Arc::downgrade(self), conn: conn.clone() };
        let (changes, idle) = (self.tls.clone(), self.limits.idle);
        let mut state = self.state();
        state.all.push(conn.clone());
        if state.closed {
            conn.link.end();
        }
        match made {
            Made::Http2(sender, connection, _) => {
                state.h2.push((conn.clone(), sender.clone()));
                tokio::spawn(keeper.live(connection, changes, idle));
                self.lease(conn, Sender::Http2(sender))
            }
            Made::Http1(sender, connection, _) => {
                tokio::spawn(keeper.live(connection, changes, idle));
                self.lease(conn, Sender::Http1(sender))
            }
        }
    }

    /// Ends every connection; calls under way fail.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.h2.clear();
        state.h1_idle.clear();
        state.all.iter().for_each(|conn| conn.link.end());
    }

    /// Gives a connection no further calls.
    fn retire(&self, conn: &Arc<Conn>) {
        let mut state = self.state();
        conn.retired.store(true, Ordering::SeqCst);
        state.h2.retain(|(other, _)| !Arc::ptr_eq(other, conn));
        state.h1_idle.retain(|(other, _)| !Arc::ptr_eq(other, conn));
    }

    fn forget(&self, conn: &Arc<Conn>) {
        self.retire(conn);
        self.state().all.retain(|other| !Arc::ptr_eq(other, conn));
        self.returned.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Lists of handles are whole at every moment: a panic elsewhere has not hurt them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    async fn try_send(&mut self, mut request: Request<Body>, to: &PeerAddress) -> Result<Response<Incoming>, Failed> {
        match &mut self.sender {
            Sender::Http2(sender) => sender.try_send_request(request).await.map_err(Failed::from),
            Sender::Http1(sender) => {
                if let Err(error) = sender.ready().await {
                    return Err(Failed { error, unsent: Some(request) });
                }
                let whole = request.uri().clone();
                as_http1(&mut request, to);
                let mut sent = sender.try_send_request(request).await.map_err(Failed::from);
                if let Err(Failed { unsent: Some(unsent), .. }) = &mut sent {
                    *unsent.uri_mut() = whole;
                }
                sent
            }
        }
    }

    /// The call is over, its answer read to the end: the next one may have the connection.
    pub(super) fn give_back(self) {
        let Self { call, pool, sender } = self;
        if let (Sender::Http1(sender), Some(pool)) = (sender, pool.upgrade()) {
            let mut state = pool.state();
            if !call.0.retired.load(Ordering::SeqCst) && !state.closed && !sender.is_closed() {
                state.h1_idle.push((call.0.clone(), sender));
            }
            drop(state);
            pool.returned.notify_one();
        }
    }

    /// The connection's own fault says more than the call's.
    fn explain(&self, to: &PeerAddress, failed: Failed) -> SendError {
        match self.call.0.link.fault() {
            Some(fault) => SendError::of(to, Step::Request, fault.clone()),
            None => SendError::of(to, Step::Request, failed.error),
        }
    }
}

/// A call that failed, with the request if nothing of it was sent.
struct Failed {
    error: hyper::Error,
    unsent: Option<Request<Body>>,
}

impl From<TrySendError<Request<Body>>> for Failed {
    fn from(mut error: TrySendError<Request<Body>>) -> Self {
        Self { unsent: error.take_message(), error: error.into_error() }
    }
}

/// Keeps one connection alive and takes it out of the pool when its time is over.
struct Keeper {
    pool: Weak<Pool>,
    conn: Arc<Conn>,
}

impl Keeper {
    async fn live<C>(self, connection: C, mut changes: watch::Receiver<Arc<ClientTls>>, idle: Duration)
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut connection = std::pin::pin!(connection);
        let mut checks = tokio::time::interval(idle / 2);
        checks.tick().await;
        let (mut total, mut watching) = (0, true);
        loop {
            tokio::select! {
                biased;
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection to a peer ended");
                    }
                    return;
                }
                // Calls under way end; then hyper closes, because nobody holds a sender any more.
                changed = changes.changed(), if watching => {
                    watching = false;
                    if changed.is_ok() {
                        self.retire();
                    }
                }
                _ = checks.tick() => {
                    let now = self.conn.total.load(Ordering::Relaxed);
                    if now == total && self.conn.calls.load(Ordering::Relaxed) == 0 {
                        self.retire();
                    }
                    total = now;
                }
            }
        }
    }

    fn retire(&self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.retire(&self.conn);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.forget(&self.conn);
        }
    }
}
