//! A typed client of Isthmus' own interfaces (`/client/v1`, `/admin/v1`): what the command line,
//! the demo, the load driver and the tests speak through.

mod media;
mod socket;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub use media::Upload;
pub use socket::{Incoming, Socket};

/// Why a call had no answer that we understand.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL has no https scheme or no host.
    #[error("{0}: an address looks like https://host:port")]
    Address(String),
    /// The CA bundle cannot be read.
    #[error("CA bundle {path}: {message}")]
    Ca {
        /// Its path.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// Nobody answers there.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The URL.
        address: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// The connection broke, or spoke something else.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// The WebSocket broke.
    #[error("WebSocket: {0}")]
    Socket(#[from] Box<tokio_tungstenite::tungstenite::Error>),
    /// The answer is no JSON, or not within the time.
    #[error("{0}")]
    Answer(String),
    /// The server said no.
    #[error("{msg} (code {code}, HTTP {status})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// R5's code.
        code: i64,
        /// The server's words.
        msg: String,
    },
}

/// A call and its answer, for whoever watches an [`Api`].
#[derive(Debug)]
pub struct Exchange<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// Its path, with the query.
    pub path: &'a str,
    /// What came back, whole.
    pub answer: &'a Response<Bytes>,
}

/// Sees every answer before the caller does.
pub type Watcher = Arc<dyn Fn(&Exchange<'_>) + Send + Sync>;

/// Long enough to compile a policy on a machine that has much else to do.
const DEADLINE: Duration = Duration::from_secs(120);

/// One server's interface, with or without a bearer token.
#[derive(Clone)]
pub struct Api {
    base: Arc<Uri>,
    tls: Arc<rustls::ClientConfig>,
    token: Option<Arc<str>>,
    watcher: Option<Watcher>,
    live: Arc<Mutex<Option<SendRequest<Full<Bytes>>>>>,
}

/// A TLS client configuration that trusts the CAs of a PEM bundle alone.
///
/// # Errors
/// [`ClientError::Ca`].
pub fn trust(ca: &Path) -> Result<rustls::ClientConfig, ClientError> {
    let fail = |message: String| ClientError::Ca { path: ca.display().to_string(), message };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|e| fail(e.to_string()))? {
        let certificate = certificate.map_err(|e| fail(e.to_string()))?;
        roots.add(certificate).map_err(|e| fail(e.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| fail(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

impl Api {
    /// The interface at `base` (`https://host:port`), whose certificate `ca` verifies.
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::Ca`].
    pub fn new(base: &str, ca: &Path) -> Result<Api, ClientError> {
        let uri: Uri = base.parse().map_err(|_| ClientError::Address(base.to_owned()))?;
        if uri.scheme_str() != Some("https") || uri.host().is_none() {
            return Err(ClientError::Address(base.to_owned()));
        }
        Ok(Api { base: Arc::new(uri), tls: Arc::new(trust(ca)?), token: None, watcher: None, live: Arc::default() })
    }

    /// The same interface with a bearer token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Api {
        Api { token: Some(token.into()), ..self.clone() }
    }

    /// The same interface, with somebody who sees what comes of every call. Sockets are not watched.
    #[must_use]
    pub fn watched(&self, watcher: Watcher) -> Api {
        Api { watcher: Some(watcher), ..self.clone() }
    }

    /// A connection of its own to the same interface.
    #[must_use]
    pub fn apart(&self) -> Api {
        Api { live: Arc::default(), ..self.clone() }
    }

    /// `GET path`.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Refused`] where `code` is not 0.
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        accepted(self.call(Method::GET, path, None).await?)
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Refused`] where `code` is not 0.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        accepted(self.call(Method::POST, path, Some(body)).await?)
    }

    /// Any call: HTTP status and JSON answer as they are.
    ///
    /// # Errors
    /// [`ClientError`], but never [`ClientError::Refused`].
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value), ClientError> {
        let (status, bytes) = self.fetch(method, path, body).await?;
        let value = serde_json::from_slice(&bytes).map_err(|_| {
            ClientError::Answer(format!("HTTP {status} without JSON: {}", String::from_utf8_lossy(&bytes)))
        })?;
        Ok((status, value))
    }

    /// Any call: HTTP status and the answer's bytes.
    ///
    /// # Errors
    /// [`ClientError`], but never [`ClientError::Refused`].
    pub async fn fetch(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Bytes), ClientError> {
        let exchange = async {
            let mut sender = self.sender().await?;
            let request = self.request(method.clone(), path, body)?;
            let answer = sender.send_request(request).await?;
            let (head, bytes) = answer.into_parts();
            let answer = Response::from_parts(head, bytes.collect().await?.to_bytes());
            self.watch(&method, path, &answer);
            Ok((answer.status().as_u16(), answer.into_body()))
        };
        tokio::time::timeout(DEADLINE, exchange)
            .await
            .map_err(|_| ClientError::Answer(format!("{}: no answer within {DEADLINE:?}", self.base)))?
    }

    /// Any call with any body: the answer as it came, whole.
    ///
    /// # Errors
    /// [`ClientError`], but never [`ClientError::Refused`].
    pub async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Bytes>, ClientError> {
        let exchange = async {
            let mut sender = self.sender().await?;
            let mut request = self.request(method.clone(), path, None)?.map(|_| Full::new(body));
            request.headers_mut().extend(headers);
            let (head, body) = sender.send_request(request).await?.into_parts();
            let answer = Response::from_parts(head, body.collect().await?.to_bytes());
            self.watch(&method, path, &answer);
            Ok(answer)
        };
        tokio::time::timeout(DEADLINE, exchange)
            .await
            .map_err(|_| ClientError::Answer(format!("{}: no answer within {DEADLINE:?}", self.base)))?
    }

    /// The WebSocket at `path`, for push.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn socket(&self, path: &str) -> Result<Socket, ClientError> {
        let mut config = (*self.tls).clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let stream = self.connect(Arc::new(config)).await?;
        Socket::open(stream, &format!("wss://{}{path}", self.authority()), self.token.as_deref()).await
    }

    fn watch(&self, method: &Method, path: &str, answer: &Response<Bytes>) {
        if let Some(watcher) = &self.watcher {
            watcher(&Exchange { method, path, answer });
        }
    }

    fn authority(&self) -> String {
        self.base.authority().map(ToString::to_string).unwrap_or_default()
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder().method(method).uri(format!("https://{}{path}", self.authority()));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let bytes = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json;charset=utf-8");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        request.body(Full::new(bytes)).map_err(|e| ClientError::Answer(format!("{path}: {e}")))
    }

    async fn sender(&self) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        let mut live = self.live.lock().await;
        if let Some(sender) = live.as_ref().filter(|s| !s.is_closed()) {
            return Ok(sender.clone());
        }
        let mut config = (*self.tls).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = self.connect(Arc::new(config)).await?;
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        *live = Some(sender.clone());
        Ok(sender)
    }

    async fn connect(&self, tls: Arc<rustls::ClientConfig>) -> Result<TlsStream<TcpStream>, ClientError> {
        let host = self.base.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let fail = |source| ClientError::Connect { address: self.base.to_string(), source };
        let connecting = async {
            let stream = TcpStream::connect((host.as_str(), self.base.port_u16().unwrap_or(443))).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from(host.clone()).map_err(std::io::Error::other)?;
            TlsConnector::from(tls).connect(name, stream).await
        };
        match tokio::time::timeout(DEADLINE, connecting).await {
            Ok(stream) => stream.map_err(fail),
            Err(_) => Err(fail(std::io::ErrorKind::TimedOut.into())),
        }
    }
}

fn accepted((status, value): (u16, Value)) -> Result<Value, ClientError> {
    let code = value.get("code").and_then(Value::as_i64).unwrap_or(if status < 300 { 0 } else { 1 });
    if code == 0 && status < 300 {
        return Ok(value);
    }
    let msg = value.get("msg").and_then(Value::as_str).unwrap_or("no reason given").to_owned();
    Err(ClientError::Refused { status, code, msg })
}
