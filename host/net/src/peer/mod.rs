//! The client between servers, and to the platform (T/CIIA 003—2019 §5.3 b, §6.1; R13).
//!
//! Invariants: nothing is sent to anybody but the party that was meant, whatever the address says; every wait has a
//! deadline; a peer that is down costs one connection attempt at a time, not one for each waiting request; a
//! connection is never used under TLS settings that have been replaced.

mod address;
mod connect;
mod error;
mod pool;
mod reach;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version, uri};
use hyper::body::Incoming;
use tokio::sync::watch;

pub use address::{AddressError, PeerAddress};
pub use error::{SendError, Step};
pub use reach::{is_private, is_private_host};

use crate::http::{Body, reply};
use crate::identity::Identity;
use crate::tls::ClientTls;
use pool::{Lease, Pool};

/// What one client grants its peers.
#[derive(Clone, Debug)]
pub struct PeerLimits {
    /// Name resolution and TCP connection.
    pub connect: Duration,
    /// TLS handshake, and the HTTP/2 preface.
    pub handshake: Duration,
    /// A whole call: waiting for a connection, making one, sending, and the answer to its last byte.
    pub request: Duration,
    /// Bytes of an answer's body.
    pub answer_bytes: usize,
    /// HTTP/2 connections to one peer.
    pub h2_connections: usize,
    /// Calls at a time on one HTTP/2 connection before another one is opened.
    pub h2_streams: usize,
    /// HTTP/1.1 connections to one peer that does not speak HTTP/2.
    pub h1_connections: usize,
    /// A connection without calls is closed after this. Less than peers grant, so that they never close first.
    pub idle: Duration,
    /// HTTP/2 ping on a connection, so that a peer that vanished is noticed; cut if unanswered for `handshake`.
    pub ping: Duration,
    /// Whether peers may be in private networks: if not, a name that resolves there is not called either.
    pub private_too: bool,
}

impl Default for PeerLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            request: Duration::from_secs(30),
            answer_bytes: 1024 * 1024,
            h2_connections: 2,
            h2_streams: 200,
            h1_connections: 16,
            idle: Duration::from_secs(60),
            ping: Duration::from_secs(20),
            private_too: true,
        }
    }
}

/// A peer's whole answer.
#[derive(Clone, Debug)]
pub struct PeerAnswer {
    /// HTTP status (R4).
    pub status: StatusCode,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body, at most [`PeerLimits::answer_bytes`].
    pub body: Bytes,
}

/// Calls servers and the platform. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct PeerClient(Arc<Inner>);

struct Inner {
    tls: watch::Receiver<Arc<ClientTls>>,
    limits: Arc<PeerLimits>,
    pools: Mutex<HashMap<Identity, Arc<Pool>>>,
}

impl PeerClient {
    /// `tls`: the newest settings are used for new connections; those made under older ones take no further calls.
    /// Needs a tokio runtime when it sends, not when it is made.
    pub fn new(tls: watch::Receiver<Arc<ClientTls>>, limits: PeerLimits) -> Self {
        Self(Arc::new(Inner { tls, limits: Arc::new(limits), pools: Mutex::default() }))
    }

    /// One call, to its whole answer. `path_and_query` begins with `/`. A body without Content-Type is JSON (§7.1).
    /// Any HTTP status is an answer; an error means that there was none.
    pub async fn send(
        &self,
        to: &PeerAddress,
        method: Method,
        path_and_query: &str,
        body: Bytes,
        headers: HeaderMap,
    ) -> Result<PeerAnswer, SendError> {
        let request = request(to, method, path_and_query, body, headers)?;
        let limit = self.0.limits.request;
        match tokio::time::timeout(limit, self.exchange(to, request)).await {
            Ok(result) => result,
            Err(_) => Err(SendError::Timeout { to: to.to_string(), step: Step::Request, after: limit }),
        }
    }

    /// One call whose answer is taken as it comes: a file (§7.4). [`PeerLimits::request`] holds until its head; the
    /// body is the caller's to bound. The connection is the call's as long as the answer's [`Streaming`] lives.
    pub async fn open(
        &self,
        to: &PeerAddress,
        method: Method,
        path_and_query: &str,
        body: Bytes,
        headers: HeaderMap,
    ) -> Result<Response<Streaming>, SendError> {
        let request = request(to, method, path_and_query, body, headers)?;
        let limit = self.0.limits.request;
        match tokio::time::timeout(limit, self.pool(to).send(request)).await {
            Ok(Ok((response, lease))) => Ok(response.map(|body| Streaming { body, lease: Some(lease) })),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(SendError::Timeout { to: to.to_string(), step: Step::Request, after: limit }),
        }
    }

    /// Gives up the connections to a party: calls under way on them fail. For a peer that is denied from now on.
    pub fn close(&self, party: &Identity) {
        let pool = self.pools().remove(party);
        if let Some(pool) = pool {
            pool.close();
        }
    }

    /// Gives up everything.
    pub fn close_all(&self) {
        let pools: Vec<_> = self.pools().drain().collect();
        pools.into_iter().for_each(|(_, pool)| pool.close());
    }

    /// Open connections, to all peers.
    pub fn connections(&self) -> usize {
        self.pools().values().map(|pool| pool.len()).sum()
    }

    async fn exchange(&self, to: &PeerAddress, request: Request<Body>) -> Result<PeerAnswer, SendError> {
        let (response, lease) = self.pool(to).send(request).await?;
        let (head, body) = response.into_parts();
        let body = crate::http::collect(body, self.0.limits.answer_bytes)
            .await
            .map_err(|error| SendError::of_body(to, error))?;
        lease.give_back();
        Ok(PeerAnswer { status: head.status, headers: head.headers, body })
    }

    /// The party's connections; new ones if its address has changed.
    fn pool(&self, to: &PeerAddress) -> Arc<Pool> {
        let mut pools = self.pools();
        if let Some(pool) = pools.get(to.party())
            && pool.address() == to
        {
            return pool.clone();
        }
        let pool = Arc::new(Pool::new(to.clone(), self.0.tls.clone(), self.0.limits.clone()));
        // The old pool's calls end on their own; nobody gets a connection from it again.
        pools.insert(to.party().clone(), pool.clone());
        pool
    }

    fn pools(&self) -> std::sync::MutexGuard<'_, HashMap<Identity, Arc<Pool>>> {
        // Each entry is whole by itself: a panic elsewhere has not hurt the map.
        self.0.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for PeerClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeerClient({} connections)", self.connections())
    }
}

/// An answer's body as it comes.
pub struct Streaming {
    body: Incoming,
    lease: Option<Lease>,
}

impl hyper::body::Body for Streaming {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let poll = std::pin::Pin::new(&mut this.body).poll_frame(cx);
        if matches!(poll, std::task::Poll::Ready(None))
            && let Some(lease) = this.lease.take()
        {
            lease.give_back();
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

fn request(
    to: &PeerAddress,
    method: Method,
    path_and_query: &str,
    body: Bytes,
    headers: HeaderMap,
) -> Result<Request<Body>, SendError> {
    let bad = |_| SendError::BadPath(path_and_query.to_owned());
    let path: PathAndQuery = path_and_query.parse().map_err(bad)?;
    let mut parts = uri::Parts::default();
    parts.scheme = Some(uri::Scheme::HTTPS);
    parts.authority = Some(to.authority().clone());
    parts.path_and_query = Some(path);
    let uri = Uri::from_parts(parts).map_err(|_| SendError::BadPath(path_and_query.to_owned()))?;
    let has_body = !body.is_empty();
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    if has_body {
        request.headers_mut().entry(CONTENT_TYPE).or_insert(reply::JSON);
    }
    Ok(request)
}

/// HTTP/1.1 wants the path alone and the authority as a header field.
fn as_http1(request: &mut Request<Body>, to: &PeerAddress) {
    *request.version_mut() = Version::HTTP_11;
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(path);
    }
    request.headers_mut().insert(HOST, to.host_header().clone());
}
