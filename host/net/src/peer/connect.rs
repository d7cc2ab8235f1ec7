//! One new connection to a party: TCP, TLS that proves who it is, HTTP/2 or HTTP/1.1.

use std::pin::Pin;
use std::sync::Arc;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::noting::{Fault, Noting};
use super::{PeerAddress, PeerLimits, SendError, Step};
use crate::http::Body;
use crate::tls::ClientTls;

/// What a peer may send ahead of us: files travel this way.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

type Io = TokioIo<Noting<TlsStream<TcpStream>>>;

/// A connection made: what sends on it, and what must be polled for it to live.
pub(super) enum Made {
    Http2(http2::SendRequest<Body>, http2::Connection<Io, Body, TokioExecutor>, Fault),
    Http1(http1::SendRequest<Body>, Pin<Box<http1::Connection<Io, Body>>>, Fault),
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
    let connecting = TcpStream::connect((to.host(), to.port()));
    match tokio::time::timeout(limits.connect, connecting).await {
        Ok(Ok(stream)) => {
            crate::listen::tune(&stream);
            Ok(stream)
        }
        Ok(Err(source)) => Err(SendError::Unreachable { to: to.to_string(), source: Arc::new(source) }),
        Err(_) => Err(SendError::Timeout { to: to.to_string(), step: Step::Connect, after: limits.connect }),
    }
}

async fn handshake(to: &PeerAddress, tls: &ClientTls, tcp: TcpStream) -> Result<TlsStream<TcpStream>, SendError> {
    // Only for SNI, which peers that are not ours compare with the Host: the verifier looks for the party's own name.
    let address =
        ServerName::try_from(to.host().to_owned()).map_err(|fault| SendError::of(to, Step::Handshake, fault))?;
    let config = Arc::new(tls.towards(to.party().clone()));
    TlsConnector::from(config).connect(address, tcp).await.map_err(|fault| SendError::of(to, Step::Handshake, fault))
}

async fn http2(to: &PeerAddress, stream: TlsStream<TcpStream>, limits: &PeerLimits) -> Result<Made, SendError> {
    let (stream, fault) = Noting::new(stream);
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
    Ok(Made::Http2(sender, connection, fault))
}

async fn http1(to: &PeerAddress, stream: TlsStream<TcpStream>) -> Result<Made, SendError> {
    let (stream, fault) = Noting::new(stream);
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| SendError::of(to, Step::Handshake, error))?;
    Ok(Made::Http1(sender, Box::pin(connection), fault))
}
