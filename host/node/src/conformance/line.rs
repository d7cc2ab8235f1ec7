//! A caller that shows what a case wants shown: any certificate or none, TLS 1.2 or 1.3, HTTP/1.1 or 2, any bytes; and that tells what
//! came back, whatever it was.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use isthmus_wire::call::{CallSpec, Method as CallMethod};
use isthmus_wire::query;
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::SetupError;
use super::trust::{ChainOnly, Pair, provider};

/// For one call, its connection included.
const DEADLINE: Duration = Duration::from_secs(20);
/// The most of an answer that is looked at.
const ANSWER_MAX: usize = 8 << 20;

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Ask {
    pub(super) fn get(path: impl Into<String>) -> Ask {
        Ask { method: Method::GET, path: path.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// With a JSON body.
    pub(super) fn post(path: impl Into<String>, body: &Value) -> Ask {
        Ask::raw(path, "application/json;charset=utf-8", body.to_string())
    }

    /// `POST` with any body.
    pub(super) fn raw(path: impl Into<String>, media_type: &'static str, body: impl Into<Bytes>) -> Ask {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(media_type))]);
        Ask { method: Method::POST, path: path.into(), headers, body: body.into() }
    }

    /// A call of chapter 7; the fields of a GET travel in the query. `param` fills the path's `{…}`.
    pub(super) fn of(spec: &CallSpec, param: &str, fields: &Value) -> Ask {
        let path = spec.path_for(param);
        match spec.method {
            CallMethod::Post => Ask::post(path, fields),
            CallMethod::Get => Ask::get(with_query(&path, fields)),
        }
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Ask {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

fn with_query(path: &str, fields: &Value) -> String {
    let empty = serde_json::Map::new();
    let members = fields.as_object().unwrap_or(&empty);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let pairs: Vec<(&str, String)> = members.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", query::write(&pairs)) }
}

/// What came back.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) json: Option<Value>,
    pub(super) http2: bool,
}

impl Answer {
    /// `code`, a number or its decimal string (R1).
    pub(super) fn code(&self) -> Option<i64> {
        let code = self.json.as_ref()?.get("code")?;
        code.as_i64().or_else(|| code.as_str()?.trim().parse().ok())
    }

    pub(super) fn msg(&self) -> &str {
        self.json.as_ref().and_then(|json| json["msg"].as_str()).unwrap_or_default()
    }

    pub(super) fn is_success(&self) -> bool {
        self.status == 200 && self.code() == Some(0)
    }

    /// Refused for the caller's fault: neither success nor a fault of the target.
    pub(super) fn is_refusal(&self) -> bool {
        self.status < 500 && !matches!(self.code(), Some(0)) && (self.code().is_some() || self.status >= 400)
    }

    pub(super) fn field(&self, name: &str) -> &Value {
        self.json.as_ref().and_then(|json| json.get(name)).unwrap_or(&Value::Null)
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// No answer: what happened instead, with its causes.
#[derive(Debug, Clone)]
pub(super) struct NoAnswer(pub(super) String);

/// How a line presents itself.
pub(super) struct Shown<'a> {
    pub(super) pair: Option<&'a Pair>,
    pub(super) versions: &'static [&'static SupportedProtocolVersion],
    pub(super) alpn: &'static [&'static [u8]],
}

/// Both HTTP versions.
pub(super) const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];
/// HTTP/1.1 alone.
pub(super) const ONE: &[&[u8]] = &[b"http/1.1"];
/// HTTP/2 alone.
pub(super) const TWO: &[&[u8]] = &[b"h2"];

/// A way to one address under one presentation; a connection is kept while it lasts.
pub(super) struct Line {
    authority: String,
    host: String,
    port: u16,
    tls: Arc<ClientConfig>,
    live: Mutex<Option<Sender>>,
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// What a handshake said.
pub(super) struct Met {
    pub(super) leaf: Option<CertificateDer<'static>>,
    pub(super) version: String,
    pub(super) resumed: bool,
}

impl Line {
    /// To `url` (`https://host[:port]`), believing `roots`.
    ///
    /// # Errors
    /// [`SetupError::Url`], [`SetupError::Tls`].
    pub(super) fn new(url: &str, roots: &Arc<RootCertStore>, shown: &Shown<'_>) -> Result<Line, SetupError> {
        let bad = || SetupError::Url(url.to_owned());
        let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| bad())?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("https")).ok_or_else(bad)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let tls = Arc::new(config(roots, shown).map_err(|error| SetupError::Tls(error.to_string()))?);
        let port = authority.port_u16().unwrap_or(443);
        Ok(Line { authority: authority.to_string(), host, port, tls, live: Mutex::default() })
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}", self.authority)
    }

    /// One call. A connection that the other side has closed meanwhile is made anew, once.
    pub(super) async fn send(&self, ask: &Ask) -> Result<Answer, NoAnswer> {
        let exchange = async {
            let mut live = self.live.lock().await;
            if let Some(mut sender) = live.take() {
                let request = self.request(ask, &sender)?;
                match one_call(&mut sender, request).await {
                    Ok(answer) => {
                        *live = Some(sender);
                        return Ok(answer);
                    }
                    Err(error) if !never_began(&error) => return Err(no_answer(&error)),
                    Err(_) => {}
                }
            }
            let mut sender = self.connect().await?;
            let request = self.request(ask, &sender)?;
            let answer = one_call(&mut sender, request).await.map_err(|error| no_answer(&error))?;
            *live = Some(sender);
            Ok(answer)
        };
        let late = |_| NoAnswer(format!("nothing within {DEADLINE:?}"));
        tokio::time::timeout(DEADLINE, exchange).await.map_err(late)?
    }

    /// A handshake and nothing else.
    pub(super) async fn meet(&self) -> Result<Met, NoAnswer> {
        let stream = self.tls().await?;
        let session = stream.get_ref().1;
        let leaf = session.peer_certificates().and_then(<[_]>::first).map(|leaf| leaf.clone().into_owned());
        let version = session.protocol_version().map_or_else(String::new, |version| format!("{version:?}"));
        Ok(Met { leaf, version, resumed: session.handshake_kind() == Some(HandshakeKind::Resumed) })
    }

    fn request(&self, ask: &Ask, sender: &Sender) -> Result<Request<Full<Bytes>>, NoAnswer> {
        let one = matches!(sender, Sender::One(_));
        let uri = if one { ask.path.clone() } else { format!("https://{}{}", self.authority, ask.path) };
        let mut request = Request::builder().method(ask.method.clone()).uri(uri);
        if one {
            request = request.version(Version::HTTP_11).header(header::HOST, &self.authority);
        }
        let mut request = request.body(Full::new(ask.body.clone())).map_err(|error| NoAnswer(error.to_string()))?;
        request.headers_mut().extend(ask.headers.clone());
        Ok(request)
    }

    async fn tls(&self) -> Result<TlsStream<TcpStream>, NoAnswer> {
        let connecting = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from(self.host.clone()).map_err(std::io::Error::other)?;
            TlsConnector::from(self.tls.clone()).connect(name, stream).await
        };
        let late = |_| NoAnswer(format!("no handshake within {DEADLINE:?}"));
        tokio::time::timeout(DEADLINE, connecting).await.map_err(late)?.map_err(|error| no_answer(&error))
    }

    async fn connect(&self) -> Result<Sender, NoAnswer> {
        let stream = self.tls().await?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            let made = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
            let (sender, connection) = made.map_err(|error| no_answer(&error))?;
            tokio::spawn(connection);
            return Ok(Sender::Two(sender));
        }
        let made = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|error| no_answer(&error))?;
        tokio::spawn(connection);
        Ok(Sender::One(sender))
    }
}

fn config(roots: &Arc<RootCertStore>, shown: &Shown<'_>) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(shown.versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ChainOnly(roots.clone())));
    let mut config = match shown.pair.cloned() {
        Some(Pair { chain, key }) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = shown.alpn.iter().map(|name| name.to_vec()).collect();
    // Offered, so that a case can see whether the target takes it up.
    config.resumption = Resumption::in_memory_sessions(8);
    Ok(config)
}

async fn one_call(sender: &mut Sender, request: Request<Full<Bytes>>) -> Result<Answer, CallError> {
    let (response, http2) = match sender {
        Sender::One(sender) => {
            sender.ready().await?;
            (sender.send_request(request).await?, false)
        }
        Sender::Two(sender) => {
            sender.ready().await?;
            (sender.send_request(request).await?, true)
        }
    };
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(CallError::Body)?.to_bytes();
    let json = serde_json::from_slice(&body).ok();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body, json, http2 })
}

#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("the connection broke")]
    Http(#[from] hyper::Error),
    #[error("the answer broke off")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The connection was gone before the request was on it.
fn never_began(error: &CallError) -> bool {
    matches!(error, CallError::Http(error) if error.is_canceled() || error.is_closed())
}

fn no_answer(error: &(dyn std::error::Error + 'static)) -> NoAnswer {
    NoAnswer(crate::reply::chain(error))
}
