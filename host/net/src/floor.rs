//! What a mutual-TLS request costs on this machine, to compare the product's figures with: bare hyper, and the same
//! through [`crate::serve`] and [`crate::PeerClient`]. Both ends in this process.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use isthmus_wire::ServerId;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::http::{collect, reply};
use crate::identity::Identity;
use crate::{
    Ca, ClientAuth, ClientTls, Connection, Connections, Credentials, Limits, Listener, PeerAddress, PeerClient,
    PeerLimits, ServerTls, Transport, Trust, serve,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// By which way requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One HTTP/2 connection of hyper's, and nothing of ours but the TLS settings.
    Bare,
    /// Our listener and our client.
    Ours,
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// Requests answered in a second.
    pub per_second: f64,
    /// CPU time of a request, both ends, in microseconds; none where `/proc` does not tell.
    pub cpu_micros: Option<f64>,
}

/// A server and a client on loopback, connected. POST of `body_bytes`, an answer of 24 bytes.
pub struct Rig {
    caller: Caller,
    body: Bytes,
}

#[derive(Clone)]
enum Caller {
    Bare(SendRequest<Full<Bytes>>, String),
    Ours(PeerClient, PeerAddress),
}

const ANSWER: &[u8] = br#"{"code":0,"msg":"kept"}"#;
const PATH: &str = "/sns/chat/";

impl Rig {
    /// Starts both ends; they end with the runtime.
    pub async fn new(way: Way, body_bytes: usize) -> Result<Self, BoxError> {
        let (server, client) = settings()?;
        let caller = match way {
            Way::Bare => bare(server, &client).await?,
            Way::Ours => ours(server, client).await?,
        };
        Ok(Self { caller, body: Bytes::from(vec![b'x'; body_bytes]) })
    }

    /// `requests` in all, `in_flight` at a time.
    pub async fn run(&self, requests: usize, in_flight: usize) -> Result<Duration, BoxError> {
        let left = Arc::new(AtomicUsize::new(requests));
        let began = Instant::now();
        let lanes: Vec<_> = (0..in_flight)
            .map(|_| {
                let (mut caller, body, left) = (self.caller.clone(), self.body.clone(), left.clone());
                tokio::spawn(async move {
                    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                        caller.call(body.clone()).await?;
                    }
                    Ok::<_, BoxError>(())
                })
            })
            .collect();
        for lane in lanes {
            lane.await??;
        }
        Ok(began.elapsed())
    }

    /// As [`Rig::run`], after a tenth of it to warm up, with what it cost.
    pub async fn measure(&self, requests: usize, in_flight: usize) -> Result<Floor, BoxError> {
        self.run(requests / 10, in_flight).await?;
        let before = cpu();
        let elapsed = self.run(requests, in_flight).await?;
        let spent = before.zip(cpu()).map(|(before, after)| after.saturating_sub(before));
        #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
        let count = requests as f64;
        Ok(Floor {
            per_second: count / elapsed.as_secs_f64(),
            cpu_micros: spent.map(|spent| spent.as_secs_f64() * 1e6 / count),
        })
    }
}

impl Caller {
    async fn call(&mut self, body: Bytes) -> Result<(), BoxError> {
        let (status, body) = match self {
            Self::Bare(sender, uri) => {
                let request = Request::post(uri.as_str()).header("content-type", reply::JSON).body(Full::new(body))?;
                let (head, body) = sender.send_request(request).await?.into_parts();
                (head.status, body.collect().await?.to_bytes())
            }
            Self::Ours(peer, to) => {
                let answer = peer.send(to, Method::POST, PATH, body, HeaderMap::new()).await?;
                (answer.status, answer.body)
            }
        };
        if status == StatusCode::OK && body == ANSWER { Ok(()) } else { Err("another answer".into()) }
    }
}

fn settings() -> Result<(Arc<ServerConfig>, Arc<ClientTls>), BoxError> {
    let ca = Ca::in_memory("floor.example", SystemTime::now())?;
    let trust = Trust::from_pem(ca.root_pem())?.with_domain(ca.domain());
    let credentials = |name: &str| -> Result<Credentials, BoxError> {
        let (key, csr) = crate::csr::new_key_and_csr(name)?;
        let issued = ca.issue_server(&csr, &ServerId::parse(name)?, "127.0.0.1", SystemTime::now(), 1)?;
        Ok(Credentials::from_pem(&issued.chain_pem, &key)?)
    };
    let client_auth = ClientAuth::Required(trust.clone());
    let server = ServerTls { credentials: credentials("south")?, client_auth, tls12: false }.build()?;
    Ok((server, ClientTls::new(&trust, Some(credentials("north")?), false)?))
}

async fn ours(server: Arc<ServerConfig>, client: Arc<ClientTls>) -> Result<Caller, BoxError> {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), "floor").await?;
    let to = PeerAddress::server(&ServerId::parse("south")?, &format!("https://{}", listener.addr()))?;
    let service = |request: Request<Incoming>, _: Arc<Connection>| async move {
        match crate::read_body(request.into_body(), 64 * 1024, Duration::from_secs(10)).await {
            Ok(_) => reply::json(StatusCode::OK, ANSWER),
            Err(error) => reply::json(StatusCode::BAD_REQUEST, error.to_string()),
        }
    };
    let transport = Transport::Tls(watch::channel(server).1);
    let limits = Limits::default();
    tokio::spawn(serve(listener, transport, limits, Connections::new(), service, std::future::pending()));
    Ok(Caller::Ours(PeerClient::new(watch::channel(client).1, PeerLimits::default()), to))
}

async fn bare(server: Arc<ServerConfig>, client: &ClientTls) -> Result<Caller, BoxError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let tls = tokio_rustls::TlsAcceptor::from(server).accept(tcp).await?;
        let service = service_fn(|request: Request<Incoming>| async move {
            let answer = match collect(request.into_body(), 64 * 1024).await {
                Ok(_) => Response::new(Full::new(Bytes::from_static(ANSWER))),
                Err(error) => Response::new(Full::new(Bytes::from(error.to_string()))),
            };
            Ok::<_, Infallible>(answer)
        });
        let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        http.serve_connection(TokioIo::new(tls), service).await?;
        Ok::<_, BoxError>(())
    });
    let tcp = TcpStream::connect(addr).await?;
    tcp.set_nodelay(true)?;
    let config = Arc::new(client.towards(Identity::Server(ServerId::parse("south")?)));
    let tls = tokio_rustls::TlsConnector::from(config).connect("localhost".try_into()?, tcp).await?;
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await?;
    tokio::spawn(connection);
    Ok(Caller::Bare(sender, format!("https://{addr}{PATH}")))
}

/// CPU time of this process: user and system, from `/proc/self/stat` in hundredths of a second.
fn cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses that may hold spaces; utime and stime are the 14th and 15th.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * 10))
}
