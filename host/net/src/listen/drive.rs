//! HTTP on one connection, until it ends, is drained or is cut.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Busy, Connection, Live};
use super::{Limits, Service, Shared};
use crate::guarded::Guarded;

/// hyper's smallest: both buffers of an idle HTTP/1 connection together 16 KiB.
const H1_BUFFER: usize = 8 * 1024;
/// What a peer may send ahead of us on one stream, and on a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

pub(super) async fn http1<T, S>(stream: T, live: Live, shared: Arc<Shared<S>>)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service,
{
    let connection = live.connection.clone();
    let io = TokioIo::new(Guarded::new(stream, live));
    let served = h1_builder(&shared.limits).serve_connection(io, service(connection.clone(), shared)).with_upgrades();
    drive(served, http1::UpgradeableConnection::graceful_shutdown, &connection).await;
    // If its bytes still flow, they are a WebSocket's now.
    connection.upgraded();
}

pub(super) async fn http2<T, S>(stream: T, live: Live, shared: Arc<Shared<S>>)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service,
{
    let connection = live.connection.clone();
    let io = TokioIo::new(Guarded::new(stream, live));
    let served = h2_builder(&shared.limits).serve_connection(io, service(connection.clone(), shared));
    drive(served, http2::Connection::graceful_shutdown, &connection).await;
}

fn h1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // hyper's header timeout also counts the wait for a next request: the sweeper tells the two apart.
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes.max(H1_BUFFER))
        .half_close(false);
    builder
}

fn h2_builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.handshake);
    builder
}

#[expect(clippy::type_complexity, reason = "one use; a name would hide what hyper asks for")]
fn service<S: Service>(
    connection: Arc<Connection>,
    shared: Arc<Shared<S>>,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response<Counted<S::Body>>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Counted<S::Body>>, Infallible>> + Send,
> {
    service_fn(move |request| {
        let busy = connection.begin();
        let answer = shared.service.call(request, connection.clone());
        async move { Ok(answer.await.map(|body| Counted { body, _busy: busy })) }
    })
}

/// An answer's body: the request is under way until its last byte.
struct Counted<B> {
    body: B,
    _busy: Busy,
}

impl<B: Body + Unpin> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn drive<C>(served: C, drain: impl Fn(Pin<&mut C>), connection: &Connection)
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut served = pin!(served);
    let mut cut = pin!(connection.cut());
    {
        let mut draining = pin!(connection.draining());
        tokio::select! {
            biased;
            ended = &mut served => return log(ended, connection),
            () = &mut draining => drain(served.as_mut()),
        }
    }
    tokio::select! {
        biased;
        () = &mut cut => {}
        ended = &mut served => log(ended, connection),
    }
}

fn log(ended: hyper::Result<()>, connection: &Connection) {
    if let Err(error) = ended {
        tracing::debug!(?connection, %error, "connection ended");
    }
}
