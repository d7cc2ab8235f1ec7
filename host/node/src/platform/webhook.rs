//! Notices to applicants and operators: an HTTPS address of the operator's is told what happened, and mails, calls or shows it.
//!
//! A notice is queued in the transaction of what it tells of, sent until somebody takes it (2xx), and given up when it is too old;
//! the first that waits goes first. Each is signed, so that the receiver knows whose it is.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use isthmus_domain::registry::notice::{self, Event, Notice, Room};
use isthmus_domain::registry::{Application, Registration};
use isthmus_domain::{AuditRecord, Scene, TimeId};
use isthmus_net::peer::is_private;
use isthmus_store::{StoreError, Tx};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsConnector;

use super::State;
use super::start::stopped;
use crate::client::trust;
use crate::clock;
use crate::config::Webhook;
use crate::reply::chain;

/// Names the notice, the same however often it comes.
const ID: &str = "isthmus-notice";
/// `t=<seconds since 1970>,v1=<hex of HMAC-SHA-256 over "t.body">`.
const SIGNATURE: &str = "isthmus-signature";
/// Without a wake the queue is looked at as often: the net below.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The queue's end in this process.
pub(super) struct Hook {
    config: Webhook,
    uri: Uri,
    key: hmac::Key,
    wake: Notify,
    /// What the last attempt came to, if it failed.
    failure: Mutex<Option<String>>,
}

/// Why a notice was not taken.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("the receiver cannot be reached: {0}")]
    Reach(#[from] std::io::Error),
    #[error("the receiver's certificate is not verified by webhook.ca: {0}")]
    Trust(#[from] crate::client::ClientError),
    #[error("the exchange with the receiver broke: {0}")]
    Http(#[from] hyper::Error),
    #[error("no request can be made: {0}")]
    Request(#[from] http::Error),
    #[error("the receiver answered with HTTP {0}")]
    Status(u16),
    #[error("the receiver did not answer within {0:?}")]
    Late(Duration),
}

impl Hook {
    /// None without a URL in the configuration.
    pub(super) fn new(config: &Webhook) -> Option<Arc<Hook>> {
        let uri = config.url.parse::<Uri>().ok().filter(|uri| uri.host().is_some())?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, config.secret.as_bytes());
        Some(Arc::new(Hook { config: config.clone(), uri, key, wake: Notify::new(), failure: Mutex::default() }))
    }

    /// Something may have been queued.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    fn failed(&self, words: Option<String>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }

    async fn send(&self, notice: &Notice, domain: &str) -> Result<(), SendError> {
        let within = Duration::from_millis(self.config.timeout_ms);
        match tokio::time::timeout(within, self.exchange(notice, domain)).await {
            Ok(result) => result,
            Err(_) => Err(SendError::Late(within)),
        }
    }

    async fn exchange(&self, notice: &Notice, domain: &str) -> Result<(), SendError> {
        let mut body = json!(notice);
        body["platform"] = json!(domain);
        let body = body.to_string();
        let host = self.uri.host().unwrap_or_default();
        let tcp = connect(host, self.uri.port_u16().unwrap_or(443), self.config.allow_private_addresses).await?;
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(std::io::Error::other)?;
        let mut tls = trust(&self.config.ca)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, tcp).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driving = tokio::spawn(connection);
        let answer = sender.send_request(self.request(notice, &body)?).await;
        driving.abort();
        let status = answer?.status();
        if status.is_success() { Ok(()) } else { Err(SendError::Status(status.as_u16())) }
    }

    fn request(&self, notice: &Notice, body: &str) -> Result<Request<Full<Bytes>>, http::Error> {
        let seconds = clock::now_ms() / 1000;
        let tag = hmac::sign(&self.key, format!("{seconds}.{body}").as_bytes());
        let authority = self.uri.authority().map(|at| at.as_str()).unwrap_or_default();
        Request::builder()
            .method(Method::POST)
            .uri(self.uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(header::HOST, authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(ID, notice.id.to_string())
            .header(SIGNATURE, format!("t={seconds},v1={}", hex::encode(tag.as_ref())))
            .body(Full::new(Bytes::from(body.to_owned())))
    }
}

/// Connects to what the host resolves to now: to private addresses only where the configuration allows it.
async fn connect(host: &str, port: u16, private_too: bool) -> std::io::Result<TcpStream> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((host, port)).await?;
    let open: Vec<SocketAddr> = found.filter(|at| private_too || !is_private(&at.ip())).collect();
    if open.is_empty() {
        let words = "it is in a private network (webhook.allow_private_addresses lets notices go there)";
        return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, words));
    }
    TcpStream::connect(open.as_slice()).await
}

/// What a rule may queue: a bound where there is somebody to tell, nothing where there is not.
#[derive(Clone, Copy)]
pub(super) struct Outbox(Option<usize>);

impl Outbox {
    pub(super) fn application(
        self,
        tx: &mut Tx<'_>,
        scene: &mut Scene<'_>,
        event: Event,
        application: &Application,
    ) -> Result<(), StoreError> {
        if self.0.is_none() {
            return Ok(());
        }
        let notice = Notice::of_application(tx, scene, event, application)?;
        self.put(tx, &notice)
    }

    pub(super) fn server(
        self,
        tx: &mut Tx<'_>,
        scene: &mut Scene<'_>,
        event: Event,
        of: &Registration,
        reason: &str,
    ) -> Result<(), StoreError> {
        if self.0.is_none() {
            return Ok(());
        }
        let notice = Notice::of_server(scene, event, of, reason);
        self.put(tx, &notice)
    }

    fn put(self, tx: &mut Tx<'_>, notice: &Notice) -> Result<(), StoreError> {
        let Some(most) = self.0 else { return Ok(()) };
        if notice::queue(tx, notice, most)? == Room::OldestDropped {
            tracing::warn!(most, "the oldest notice was dropped: as many wait as webhook.queue allows");
            tx.audit(lost("notice.dropped", notice.at_ms).to_json());
        }
        Ok(())
    }
}

impl State {
    /// For rules that have something to tell.
    pub(super) fn outbox(&self) -> Outbox {
        Outbox(self.hook.as_ref().map(|hook| hook.config.queue))
    }

    /// For the status: what waits, and why.
    pub(super) fn notices(&self) -> Result<Option<Value>, StoreError> {
        let Some(hook) = &self.hook else { return Ok(None) };
        let failure = hook.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut shown = json!({"waiting": self.store.read(notice::waiting)?});
        if let Some(words) = failure {
            shown["failure"] = json!(words);
        }
        Ok(Some(shown))
    }

    /// Looks for certificates that are about to expire, servers' and the platform's own.
    pub(super) async fn tell_of_expiry(&self) {
        let Some(hook) = &self.hook else { return };
        let (within, most) = (hook.config.expiry_hours * 3_600_000, hook.config.queue);
        let endings = self.endings();
        let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>| {
            for ending in &endings {
                notice::queue_ending(tx, scene, ending, most)?;
            }
            Ok(notice::queue_expiring(tx, scene, within, most)?)
        };
        let told = self.decide(rule).await;
        match told {
            Ok(_) => hook.wake(),
            Err(error) => tracing::error!(error = chain(&error), "certificates that expire could not be looked for"),
        }
    }

    async fn settled(&self, place: Vec<u8>, record: Option<Vec<u8>>) -> Result<(), crate::reply::Problem> {
        let settle = move |tx: &mut Tx<'_>| {
            notice::settle(tx, &place);
            if let Some(record) = record {
                tx.audit(record);
            }
            Ok::<_, StoreError>(())
        };
        Ok(self.store.write(settle).await?)
    }

    /// Sends the first that waits; how long to wait before the next, none: until there is one.
    async fn send_first(&self, hook: &Hook, failures: &mut u32) -> Result<Option<Duration>, crate::reply::Problem> {
        let Some((place, notice)) = self.store.read(notice::first)? else { return Ok(None) };
        if clock::now_ms().saturating_sub(notice.at_ms) > hook.config.expire_s * 1000 {
            tracing::warn!(notice = %notice.id, "a notice was given up: nobody took it in time");
            self.settled(place, Some(given_up(&notice))).await?;
            return Ok(Some(Duration::ZERO));
        }
        match hook.send(&notice, &self.config.domain).await {
            Ok(()) => {
                *failures = 0;
                hook.failed(None);
                self.settled(place, None).await?;
                Ok(Some(Duration::ZERO))
            }
            Err(error) => {
                if *failures == 0 {
                    tracing::warn!(error = chain(&error), "a notice was not taken; it is sent again");
                }
                hook.failed(Some(chain(&error)));
                *failures = failures.saturating_add(1);
                Ok(Some(pause(&hook.config, *failures)))
            }
        }
    }
}

/// Twice as long after each failure, up to a bound.
fn pause(config: &Webhook, failures: u32) -> Duration {
    let doubled = config.backoff_min_ms.saturating_mul(1 << failures.saturating_sub(1).min(20));
    Duration::from_millis(doubled.min(config.backoff_max_ms))
}

fn given_up(notice: &Notice) -> Vec<u8> {
    let of = notice.server.as_ref().map_or_else(|| "platform".to_owned(), |server| server.server_id.to_string());
    let record = lost("notice.expired", clock::now_ms()).target(of);
    record.field("notice", notice.id.to_string()).to_json()
}

fn lost<'a>(operation: &'static str, now_ms: u64) -> AuditRecord<'a> {
    let id = TimeId::mint(now_ms, &mut clock::random);
    let record = AuditRecord::new(id, now_ms, operation, "outbound").actor("platform");
    record.outcome("failed", 1).severity("warning")
}

/// Sends notices until the stop; what is queued then waits for the next start.
pub(super) async fn run(state: Arc<State>, hook: Arc<Hook>, stop: watch::Receiver<bool>) {
    let sending = async {
        let mut failures = 0;
        loop {
            let next = state.send_first(&hook, &mut failures).await.unwrap_or_else(|error| {
                tracing::error!(error = chain(&error), "the queue of notices cannot be read");
                Some(LOOK_EVERY)
            });
            match next {
                Some(pause) => tokio::time::sleep(pause).await,
                None => {
                    let _ = tokio::time::timeout(LOOK_EVERY, hook.wake.notified()).await;
                }
            }
        }
    };
    tokio::select! {
        () = sending => {}
        () = stopped(stop) => {}
    }
}

/// Whether the receiver could be verified at all: said at the start, not with the first notice.
pub(super) fn check(config: &Webhook) -> Result<(), PathBuf> {
    if config.url.is_empty() || trust(&config.ca).is_ok() { Ok(()) } else { Err(config.ca.clone()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_resolves_to_a_private_address_is_gone_to_only_where_that_is_allowed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]"] {
            let refused = connect(host, port, false).await.unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied, "{host}");
        }
        assert!(connect("localhost", port, true).await.is_ok());
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        let config = Webhook { backoff_min_ms: 100, backoff_max_ms: 1000, ..Webhook::default() };
        let pauses: Vec<_> = [1, 2, 3, 4, 5, 99].map(|n| pause(&config, n).as_millis()).into();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
    }
}
