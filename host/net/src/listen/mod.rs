//! Listeners: bind, accept, one task a connection, a graceful end.
//!
//! Invariants: the accept loop never ends on an error; a handshake never holds up another connection; every
//! connection that stands is in the registry and can be cut, a WebSocket too; no connection outlives [`serve`].

mod bind;
mod connection;
mod drive;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ::http::{Request, Response};
use bytes::Bytes;
use hyper::body::Incoming;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

pub(crate) use bind::tune;
pub use bind::{BindError, Listener};
pub use connection::{Connection, Connections, Counts};

use crate::identity::{Identity, PeerCertificate};
use connection::Clock;

/// How bytes travel.
#[derive(Clone, Debug)]
pub enum Transport {
    /// TLS with the newest settings of the channel at each handshake; connections that stand keep theirs.
    Tls(watch::Receiver<Arc<ServerConfig>>),
    /// In clear, HTTP/1.1 only: for an administrator's loopback.
    Plain,
}

/// What one listener grants. Times are upper bounds, kept within a quarter or a second, whichever is less.
#[derive(Clone, Debug)]
pub struct Limits {
    /// TLS handshake.
    pub handshake: Duration,
    /// From the first byte of an HTTP/1 head to its last.
    pub header: Duration,
    /// A connection without a request is closed after this.
    pub idle: Duration,
    /// A peer that does not read what we write is cut after this.
    pub stall: Duration,
    /// HTTP/2 ping on a quiet connection; cut if unanswered for `handshake`.
    pub ping: Duration,
    /// Connections at a time, handshakes included; more are closed at once.
    pub max_connections: usize,
    /// HTTP/2 requests at a time on one connection.
    pub h2_streams: u32,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// How long requests under way may go on after shutdown began.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(15),
            idle: Duration::from_secs(120),
            stall: Duration::from_secs(60),
            ping: Duration::from_secs(30),
            max_connections: 10_000,
            h2_streams: 256,
            header_bytes: 16 * 1024,
            grace: Duration::from_secs(10),
        }
    }
}

/// How a listener ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Connections that were still busy after the grace period and were cut.
    pub cut: usize,
}

/// What answers requests: any `Fn(Request<Incoming>, Arc<Connection>) -> impl Future<Output = Response<B>>`.
pub trait Service: Send + Sync + 'static {
    /// The answer's body.
    type Body: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;
    /// The answer to come.
    type Future: Future<Output = Response<Self::Body>> + Send + 'static;
    /// Begins to answer one request, which came on `connection`.
    fn call(&self, request: Request<Incoming>, connection: Arc<Connection>) -> Self::Future;
}

impl<S, F, B> Service for S
where
    S: Fn(Request<Incoming>, Arc<Connection>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
{
    type Body = B;
    type Future = F;

    fn call(&self, request: Request<Incoming>, connection: Arc<Connection>) -> F {
        self(request, connection)
    }
}

/// Everything that the tasks of one listener share.
struct Shared<S> {
    service: S,
    limits: Limits,
    connections: Connections,
    clock: Arc<Clock>,
}

/// Accepts until `shutdown` completes, then lets requests under way end within [`Limits::grace`] and cuts the rest.
///
/// `service` is called for every request with the connection that it came on. HTTP/2 and HTTP/1.1 by ALPN; upgrades
/// (WebSocket) on HTTP/1.1: the connection stays in the registry as long as the upgraded stream lives.
/// [`Connection::draining`] tells such a stream that the end is near.
pub async fn serve<S>(
    listener: Listener,
    transport: Transport,
    limits: Limits,
    connections: Connections,
    service: S,
    shutdown: impl Future<Output = ()> + Send,
) -> Ended
where
    S: Service,
{
    let slots = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
    let clock = Arc::new(Clock::new(&limits));
    let shared = Arc::new(Shared { service, limits, connections, clock });
    let sweeper = tokio::spawn(sweep(shared.clone()));
    accept(listener, &transport, &shared, &slots, shutdown).await;
    let ended = drain(&shared, &slots).await;
    sweeper.abort();
    ended
}

async fn accept<S>(
    listener: Listener,
    transport: &Transport,
    shared: &Arc<Shared<S>>,
    slots: &Arc<Semaphore>,
    shutdown: impl Future<Output = ()> + Send,
) where
    S: Service,
{
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let (stream, remote) = tokio::select! {
            biased;
            () = &mut shutdown => return,
            accepted = listener.accept() => accepted,
        };
        let counts = shared.connections.counts();
        counts.accepted.fetch_add(1, Ordering::Relaxed);
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            counts.refused_full.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%remote, "closed at once: as many connections as the limit allows stand already");
            continue;
        };
        // Taken here, not in the task: what was swapped in before a connection came is what judges it.
        let config = match transport {
            Transport::Tls(settings) => Some(settings.borrow().clone()),
            Transport::Plain => None,
        };
        tokio::spawn(connection(stream, remote, config, slot, shared.clone()));
    }
}

async fn connection<S>(
    stream: TcpStream,
    remote: SocketAddr,
    config: Option<Arc<ServerConfig>>,
    slot: OwnedSemaphorePermit,
    shared: Arc<Shared<S>>,
) where
    S: Service,
{
    bind::tune(&stream);
    let Some(config) = config else {
        let live = shared.connections.enter(&shared.clock, slot, remote, None, false);
        drive::http1(stream, live, shared).await;
        return;
    };
    let Some(stream) = handshake(stream, remote, config, &shared).await else { return };
    let tls = stream.get_ref().1;
    let http2 = tls.alpn_protocol() == Some(b"h2");
    let shown = tls.peer_certificates().and_then(<[_]>::first);
    let certificate = match shown.map(|leaf| PeerCertificate::read(leaf, None)).transpose() {
        Ok(certificate) => certificate,
        Err(error) => {
            // The verifier has read it before: this is a fault of ours, and nobody gets in by it.
            tracing::error!(%remote, %error, "a verified certificate cannot be read again");
            return;
        }
    };
    let live = shared.connections.enter(&shared.clock, slot, remote, certificate, http2);
    if http2 {
        drive::http2(stream, live, shared).await;
    } else {
        drive::http1(stream, live, shared).await;
    }
}

async fn handshake<S>(
    stream: TcpStream,
    remote: SocketAddr,
    config: Arc<ServerConfig>,
    shared: &Shared<S>,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let handshake = tokio_rustls::TlsAcceptor::from(config).accept(stream).into_fallible();
    let failed = match tokio::time::timeout(shared.limits.handshake, handshake).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err((error, stream))) => {
            tracing::debug!(%remote, %error, "TLS handshake failed");
            bind::linger(stream).await;
            &shared.connections.counts().handshake_failed
        }
        Err(_) => {
            tracing::debug!(%remote, limit = ?shared.limits.handshake, "TLS handshake took too long");
            &shared.connections.counts().handshake_timeout
        }
    };
    failed.fetch_add(1, Ordering::Relaxed);
    None
}

/// One task a listener watches all its connections: no timer for each, no clock on the way of a request.
async fn sweep<S>(shared: Arc<Shared<S>>) {
    let mut ticks = tokio::time::interval(shared.clock.period());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.clock.advance();
        shared.connections.sweep(&shared.clock);
    }
}

async fn drain<S>(shared: &Shared<S>, slots: &Semaphore) -> Ended {
    shared.clock.end();
    let ours = |connection: &Connection| connection.is_of(&shared.clock);
    shared.connections.drain_where(ours);
    let all = u32::try_from(shared.limits.max_connections).unwrap_or(u32::MAX);
    if tokio::time::timeout(shared.limits.grace, slots.acquire_many(all)).await.is_ok() {
        return Ended { cut: 0 };
    }
    let cut = shared.connections.close_where(ours);
    // Tasks have only to notice; a handler that blocks its thread is not waited for.
    let _ = tokio::time::timeout(Duration::from_secs(1), slots.acquire_many(all)).await;
    Ended { cut }
}

/// Who a connection belongs to, before anything was read from it.
fn identity_of(certificate: Option<&PeerCertificate>) -> Identity {
    certificate.map_or(Identity::Anonymous, |certificate| certificate.identity.clone())
}
