//! The kit's own interconnect listener: records what the target calls, answers as a small polite server does ([`people`]), and
//! misbehaves when a case says so ([`Turn`]).

mod io;
mod people;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use isthmus_wire::call::{self, CallSpec};
use isthmus_wire::json::Json;
use rustls::server::NoServerSessionStorage;
use rustls::{RootCertStore, ServerConfig};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub(super) use io::Fault;
use io::{Faulty, Switch};
pub(super) use people::{Group, People, Shelf};

use super::SetupError;
use super::trust::{Pair, callers, provider, server_of};

/// The most of a request that is looked at.
const REQUEST_MAX: usize = 8 << 20;

/// One call of the target.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    /// Which of chapter 7's calls, if it is one.
    pub(super) call: Option<&'static str>,
    /// Method, path and query as they came.
    pub(super) line: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) json: Value,
    /// Whether a certificate of the platform was shown.
    pub(super) certified: bool,
    /// The server that it names as R13 says.
    pub(super) server: Option<String>,
}

impl Heard {
    /// A value of the body by its JSON pointer (`/messageInfo/sendID`).
    pub(super) fn at(&self, pointer: &str) -> &Value {
        self.json.pointer(pointer).unwrap_or(&Value::Null)
    }

    pub(super) fn text(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_default()
    }

    pub(super) fn param(&self, name: &str) -> &str {
        self.query.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }
}

/// What is done with the next call of a kind, instead of the polite answer.
#[derive(Debug, Clone)]
pub(super) enum Turn {
    /// `{code, msg}` with HTTP 200.
    Code(i64),
    /// Any status and JSON body.
    Status(u16, String),
    /// The polite answer, later.
    Slow(Duration),
    /// The polite answer, its bytes treated so.
    Fault(Fault),
    /// The polite answer with every number as a string (R1).
    Strings,
}

/// Which certificate the listener shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shows {
    /// The peer's own.
    Own,
    /// That of the second server.
    Second,
    /// One of an authority that nobody believes.
    Stranger,
}

/// Settings of new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Face {
    shows: Shows,
    http1_only: bool,
}

#[derive(Default)]
struct Mind {
    heard: Vec<Heard>,
    turns: HashMap<&'static str, VecDeque<Turn>>,
    always: HashMap<&'static str, Turn>,
}

struct Shared {
    mind: Mutex<Mind>,
    people: Mutex<People>,
    face: Mutex<Face>,
    news: Notify,
    /// Counts up when all connections shall end.
    reset: watch::Sender<u64>,
    tls: HashMap<Face, TlsAcceptor>,
}

/// The listener, running.
pub(super) struct Stage {
    shared: Arc<Shared>,
    running: JoinHandle<()>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is kept here is left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    /// Begins to listen. `pairs`: the certificates that can be shown.
    ///
    /// # Errors
    /// [`SetupError::Listen`], [`SetupError::Tls`].
    pub(super) async fn open(
        listen: SocketAddr,
        roots: &Arc<RootCertStore>,
        pairs: &[(Shows, &Pair)],
        people: People,
    ) -> Result<Stage, SetupError> {
        let listener =
            TcpListener::bind(listen).await.map_err(|source| SetupError::Listen { address: listen, source })?;
        let mut tls = HashMap::new();
        for (shows, pair) in pairs {
            for http1_only in [false, true] {
                tls.insert(Face { shows: *shows, http1_only }, acceptor(roots, pair, http1_only)?);
            }
        }
        let (reset, _) = watch::channel(0);
        let face = Mutex::new(Face { shows: Shows::Own, http1_only: false });
        let people = Mutex::new(people);
        let shared = Arc::new(Shared { mind: Mutex::default(), people, face, news: Notify::new(), reset, tls });
        let running = tokio::spawn(accept(listener, shared.clone()));
        Ok(Stage { shared, running })
    }

    /// Forgets every turn and face: polite from now on.
    pub(super) fn calm(&self) {
        let mut mind = locked(&self.shared.mind);
        mind.turns.clear();
        mind.always.clear();
        drop(mind);
        self.face(Shows::Own, false);
    }

    /// Certificate and HTTP versions from now on; ends standing connections if that changes anything.
    pub(super) fn face(&self, shows: Shows, http1_only: bool) {
        let face = Face { shows, http1_only };
        if std::mem::replace(&mut *locked(&self.shared.face), face) != face {
            self.shared.reset.send_modify(|times| *times += 1);
        }
    }

    /// The next calls of this name are answered so, one each.
    pub(super) fn turns(&self, call: &CallSpec, turns: impl IntoIterator<Item = Turn>) {
        locked(&self.shared.mind).turns.entry(call.name).or_default().extend(turns);
    }

    /// Every call of this name is answered so.
    pub(super) fn always(&self, call: &CallSpec, turn: Turn) {
        locked(&self.shared.mind).always.insert(call.name, turn);
    }

    /// From here on, for [`Stage::since`].
    pub(super) fn mark(&self) -> usize {
        locked(&self.shared.mind).heard.len()
    }

    /// What was heard of a call after a mark.
    pub(super) fn since(&self, mark: usize, call: &CallSpec) -> Vec<Heard> {
        let mind = locked(&self.shared.mind);
        mind.heard.iter().skip(mark).filter(|heard| heard.call == Some(call.name)).cloned().collect()
    }

    /// Waits for a call.
    pub(super) async fn wait(
        &self,
        mark: usize,
        call: &CallSpec,
        within: Duration,
        fits: impl Fn(&Heard) -> bool,
    ) -> Option<Heard> {
        let looking = async {
            loop {
                let mut news = std::pin::pin!(self.shared.news.notified());
                // Registered before looking, so that no call falls between.
                news.as_mut().enable();
                if let Some(heard) = self.since(mark, call).into_iter().find(&fits) {
                    return heard;
                }
                news.await;
            }
        };
        tokio::time::timeout(within, looking).await.ok()
    }

    /// What the polite answers are made of.
    pub(super) fn people(&self) -> MutexGuard<'_, People> {
        locked(&self.shared.people)
    }
}

fn acceptor(roots: &Arc<RootCertStore>, pair: &Pair, http1_only: bool) -> Result<TlsAcceptor, SetupError> {
    let wrong = |error: rustls::Error| SetupError::Tls(error.to_string());
    let Pair { chain, key } = pair.clone();
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(wrong)?
        .with_client_cert_verifier(callers(roots.clone())?)
        .with_single_cert(chain, key)
        .map_err(wrong)?;
    let offers: &[&[u8]] = if http1_only { super::line::ONE } else { super::line::BOTH };
    config.alpn_protocols = offers.iter().map(|name| name.to_vec()).collect();
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, shared.clone()))),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Who is at the other end.
#[derive(Clone)]
struct Caller {
    certified: bool,
    server: Option<String>,
    switch: Switch,
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let face = *locked(&shared.face);
    let Some(acceptor) = shared.tls.get(&face) else { return };
    let mut reset = shared.reset.subscribe();
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let switch = Switch::default();
    let caller = Caller { certified: leaf.is_some(), server: leaf.and_then(server_of), switch: switch.clone() };
    let service = service_fn(|request| answer(shared.clone(), caller.clone(), request));
    let builder = auto::Builder::new(TokioExecutor::new());
    let serving = builder.serve_connection(TokioIo::new(Faulty::new(stream, switch)), service);
    tokio::select! {
        _ = serving => {}
        _ = reset.changed() => {}
    }
}

async fn answer(
    shared: Arc<Shared>,
    caller: Caller,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let heard = hear(request, &caller).await;
    let name = heard.call.unwrap_or_default();
    let turn = {
        let mut mind = locked(&shared.mind);
        let next = mind.turns.get_mut(name).and_then(VecDeque::pop_front);
        let turn = next.or_else(|| mind.always.get(name).cloned());
        mind.heard.push(heard.clone());
        turn
    };
    shared.news.notify_waiters();
    let polite = || locked(&shared.people).answer(&heard);
    Ok(match turn {
        None => polite(),
        Some(Turn::Code(code)) => people::json(200, &serde_json::json!({"code": code, "msg": format!("said {code}")})),
        Some(Turn::Status(status, body)) => people::json_text(status, body),
        Some(Turn::Slow(time)) => {
            tokio::time::sleep(time).await;
            polite()
        }
        Some(Turn::Fault(fault)) => {
            caller.switch.set(fault);
            polite()
        }
        Some(Turn::Strings) => people::numbers_as_strings(polite()).await,
    })
}

async fn hear(request: Request<Incoming>, caller: &Caller) -> Heard {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, REQUEST_MAX).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let found = call::find(head.method.as_str(), head.uri.path()).ok();
    let mut query = pairs(head.uri.query().unwrap_or_default());
    let param = found.as_ref().and_then(|found| found.param.clone());
    query.extend(param.map(|(name, value)| (name.to_owned(), value)));
    Heard {
        call: found.map(|found| found.spec.name),
        line: format!("{} {}", head.method, head.uri.path_and_query().map_or("", |path| path.as_str())),
        query,
        headers: head.headers,
        json: serde_json::from_slice(&body).unwrap_or_default(),
        body,
        certified: caller.certified,
        server: caller.server.clone(),
    }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let members = isthmus_wire::query::parse(query).unwrap_or_default();
    let text = |json: Json<'static>| if let Json::Text(text) = json { text.into_owned() } else { String::new() };
    members.into_iter().map(|(name, value)| (name.into_owned(), text(value))).collect()
}
