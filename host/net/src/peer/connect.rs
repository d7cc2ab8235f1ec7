//! One new connection to a party: TCP, TLS that proves who it is, HTTP/2 or HTTP/1.1.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{PeerAddress, PeerLimits, SendError, Step};
use crate::guarded::{Cut, Guard, Guarded};
use crate::http::Body;
use crate::tls::ClientTls;

/// What a peer may send ahead of us: files travel this way.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// Boxed: hyper makes the task of each HTTP/2 call as large as the connection's own, stream included.
type Io = TokioIo<Box<Guarded<TlsStream<TcpStream>, Arc<Link>>>>;

/// What can be done to a connection, and what befell it.
#[derive(Default)]
pub(super) struct Link {
    cut: Cut,
    /// HTTP/2 passes on a fault's words only, and a TLS 1.3 server refuses our certificate after the handshake, so that
    /// the fault meets the first call.
    fault: OnceLock<rustls::Error>,
}

impl Link {
    pub(super) fn end(&self) {
        self.cut.cut();
    }

    pub(super) fn fault(&self) -> Option<&rustls::Error> {
        self.fault.get()
    }
}

impl Guard for Arc<Link> {
    fn cut(&self) -> &Cut {
        &self.cut
    }

    fn failed(&self, error: &io::Error) {
        if let Some(fault) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            let _ = self.fault.set(fault.clone());
        }
    }
}

/// A connection made: what sends on it, and what must be polled for it to live.
pub(super) enum Made {
    Http2(http2::SendRequest<Body>, http2::Connection<Io, Body, TokioExecutor>, Arc<Link>),
    Http1(http1::SendRequest<Body>, Pin<Box<http1::Connection<Io, Body>>>, Arc<Link>),
}

pub(super) async fn connect(to: &PeerAddress, tls: &ClientTls, limits: &PeerLimits) -> Result<Made, SendError> {
    let tcp = tcp(to, limits).await?;
    let handshake = async {
        let stream = handshake(to, tls, tcp).await?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            http2(to, stream, limits).await
        } else {
            http1(to, stream).await
        }
    };
    match tokio::time::timeout(limits.handshake, handshake).await {
        Ok(result) => result,
        Err(_) => Err(SendError::Timeout { to: to.to_string(), step: Step::Handshake, after: limits.handshake }),
    }
}

async fn tcp(to: &PeerAddress, limits: &PeerLimits) -> Result<TcpStream, SendError> {
    let connecting = async {
        if limits.private_too {
            return TcpStream::connect((to.host(), to.port())).await;
        }
        public(to).await
    };
    match tokio::time::timeout(limits.connect, connecting).await {
        Ok(Ok(stream)) => {
            crate::listen::tune(&stream);
            Ok(stream)
        }
        Ok(Err(source)) => Err(SendError::Unreachable { to: to.to_string(), source: Arc::new(source) }),
        Err(_) => Err(SendError::Timeout { to: to.to_string(), step: Step::Connect, after: limits.connect }),
    }
}

/// Connects to a public address of the host: looked at after its name was resolved, and connected to without asking again.
async fn public(to: &PeerAddress) -> io::Result<TcpStream> {
    let found: Vec<_> = tokio::net::lookup_host((to.host(), to.port())).await?.collect();
    let open: Vec<_> = found.into_iter().filter(|address| !super::is_private(&address.ip())).collect();
    if open.is_empty() {
        let words = "its address is in a private network, where this process does not go";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, words));
    }
    TcpStream::connect(open.as_slice()).await
}

async fn handshake(to: &PeerAddress, tls: &ClientTls, tcp: TcpStream) -> Result<TlsStream<TcpStream>, SendError> {
    // Only for SNI, which peers that are not ours compare with the Host: the verifier looks for the party's own name.
    let address =
        ServerName::try_from(to.host().to_owned()).map_err(|fault| SendError::of(to, Step::Handshake, fault))?;
    let config = Arc::new(tls.towards(to.party().clone()));
    TlsConnector::from(config).connect(address, tcp).await.map_err(|fault| SendError::of(to, Step::Handshake, fault))
}

async fn http2(to: &PeerAddress, stream: TlsStream<TcpStream>, limits: &PeerLimits) -> Result<Made, SendError> {
    let link = Arc::new(Link::default());
    let stream = Box::new(Guarded::new(stream, link.clone()));
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.handshake)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| SendError::of(to, Step::Handshake, error))?;
    Ok(Made::Http2(sender, connection, link))
}

async fn http1(to: &PeerAddress, stream: TlsStream<TcpStream>) -> Result<Made, SendError> {
    let link = Arc::new(Link::default());
    let stream = Box::new(Guarded::new(stream, link.clone()));
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| SendError::of(to, Step::Handshake, error))?;
    Ok(Made::Http1(sender, Box::pin(connection), link))
}
