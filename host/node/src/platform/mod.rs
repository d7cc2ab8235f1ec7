//! The role of the management platform (§5.2, §6.1, §7.5): registers servers, lets a person decide, certifies, answers queries
//! for addresses. No message ever passes through it.

pub(crate) mod acts;
mod admin;
mod admission;
mod api;
mod authority;
mod ending;
mod error;
mod guesses;
mod hall;
mod merge;
mod people;
mod registry;
mod search;
mod start;
mod tick;
mod webhook;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use isthmus_domain::{AuditRecord, Scene, TimeId};
use isthmus_net::ca::{Permitted, Revoked, Why};
use isthmus_net::{Ca, ClientAuth, ClientTls, Connections, Credentials, PeerClient, ServerTls, Trust};
use isthmus_store::{Store, Tx};
use isthmus_wire::ServerId;
use tokio::sync::{Semaphore, watch};

use crate::administrators::{Act, Administrators};
use crate::clock;
use crate::config::PlatformConfig;
use crate::reply::Problem;
use registry::Revocations;

pub use error::PlatformError;
pub use start::{Platform, Running, run};

/// Every route of the admin listener: what `docs/openapi/platform.json` describes. What servers and applicants ask is
/// chapter 7's, and described in `sns.json`.
///
/// # Errors
/// Rows that contradict each other; no platform starts with them.
pub fn admin_routes() -> Result<Vec<crate::route::Route>, matchit::InsertError> {
    Ok(admin::table()?.into_routes())
}

/// Where a platform leaves its root certificate for others to copy.
#[must_use]
pub fn root_file(data_dir: &Path) -> PathBuf {
    data_dir.join("ca").join("root.pem")
}

type TlsSender = watch::Sender<Arc<rustls::ServerConfig>>;
type PeerTlsSender = watch::Sender<Arc<ClientTls>>;

/// Everything that the handlers share.
struct State {
    config: PlatformConfig,
    /// Whose rules these are; in the audit log's words.
    home: ServerId,
    store: Store,
    /// Exchanged when its folder changes: a roll-over, a root that comes back.
    ca: ArcSwap<Ca>,
    /// The people of the three roles, and the roles' tokens.
    people: Administrators,
    servers: Connections,
    administrators: Connections,
    api_tls: TlsSender,
    admin_tls: TlsSender,
    /// Calls servers, with the platform's own certificate: to search (R17), and for nothing else.
    peers: PeerClient,
    peer_tls: PeerTlsSender,
    /// When the first of their certificates ends, in milliseconds since 1970 UTC.
    tls_end: AtomicU64,
    searches: Semaphore,
    searching: Semaphore,
    /// The registry's serial, for those who wait for the next.
    changes: watch::Sender<u64>,
    /// Places for them.
    waiting: Semaphore,
    /// What is revoked, as it is told.
    revocations: ArcSwap<Revocations>,
    stop: watch::Receiver<bool>,
    /// Whom notices go to, if anybody.
    hook: Option<Arc<webhook::Hook>>,
    /// Wrong tickets, by address.
    guesses: guesses::Guesses,
}

impl State {
    /// Runs a rule in one transaction, with time, randomness and home.
    async fn decide<T: Send + 'static>(
        &self,
        rule: impl FnOnce(&mut Tx<'_>, &mut Scene<'_>) -> Result<T, isthmus_domain::Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let home = self.home.clone();
        let written = self.store.write(move |tx| {
            let mut scene = Scene { now_ms: clock::now_ms(), random: &mut clock::random, home: &home };
            rule(tx, &mut scene)
        });
        let written = written.await?;
        if let Some(hook) = &self.hook {
            hook.wake();
        }
        Ok(written)
    }

    /// Keeps a record of what was refused to somebody whom we know (R12): it changed nothing else.
    async fn record_refusal(&self, record: AuditRecord<'_>, problem: &Problem) {
        let (_, code, words) = problem.public();
        let record = record.outcome("denied", code.number()).severity("warning").field("reason", words.to_owned());
        self.note(record.to_json()).await;
    }

    /// Writes an audit record by itself: of what changed nothing else.
    async fn note(&self, record: Vec<u8>) {
        let kept = self.store.write(move |tx| {
            tx.audit(record);
            Ok::<_, std::convert::Infallible>(())
        });
        if let Err(error) = kept.await {
            tracing::error!(error = crate::reply::chain(&error), "an audit record could not be written");
        }
    }

    /// The signing authority's revocation list, DER (R13).
    fn revocation_list(&self) -> Vec<u8> {
        self.revocations.load().der.first().cloned().unwrap_or_default()
    }

    /// From now on what is revoked cannot connect, and what `id` has open is closed.
    fn shut_out(&self, id: &ServerId) -> Result<(), PlatformError> {
        let (ca, lost) = (self.ca.load(), revoked(&self.store)?);
        self.revoke(&lost)?;
        self.api_tls.send_replace(api_settings(&self.config, &ca, &lost)?.settings);
        self.peer_tls.send_replace(peer_settings(&self.config, &ca, &lost)?.settings);
        self.servers.close_where(|connection| connection.identity.server() == Some(id));
        Ok(())
    }
}

/// The record of an act of administrators upon their own accounts.
fn chronicle(act: Act<'_>) -> Vec<u8> {
    let now_ms = clock::now_ms();
    let id = TimeId::mint(now_ms, &mut clock::random);
    let record = AuditRecord::new(id, now_ms, act.operation, "internal").actor(act.actor).target(act.target);
    match act.failed {
        None => record.to_json(),
        Some((code, words)) => {
            record.outcome("failed", code.number()).severity("warning").field("reason", words).to_json()
        }
    }
}

/// Begins a record of an act of the platform.
fn record<'a>(operation: &'static str, request: &str) -> AuditRecord<'a> {
    let now_ms = clock::now_ms();
    let id = TimeId::mint(now_ms, &mut clock::random);
    AuditRecord::new(id, now_ms, operation, "inbound").field("request", request.to_owned())
}

/// TLS settings with a fresh certificate of the platform's own, and its end.
struct Certified<T> {
    settings: Arc<T>,
    not_after: SystemTime,
}

/// When the first of these certificates ends, in milliseconds since 1970 UTC.
fn first_end(ends: [SystemTime; 3]) -> u64 {
    ends.into_iter().map(ending::millis).min().unwrap_or(u64::MAX)
}

fn api_settings(
    config: &PlatformConfig,
    ca: &Ca,
    lost: &Lost,
) -> Result<Certified<rustls::ServerConfig>, PlatformError> {
    let own = ca.issue_platform(&hosts(config), SystemTime::now(), config.ca.days)?;
    let trust = trust(ca, lost)?;
    let settings = ServerTls {
        credentials: Credentials::from_pem(&own.issued.chain_pem, &own.key_pem)?,
        client_auth: ClientAuth::Optional(trust),
        tls12: config.tls.allow_tls12,
    };
    Ok(Certified { settings: settings.build()?, not_after: own.issued.not_after })
}

/// Settings for calls to servers: a certificate of the platform's own, and what is revoked.
fn peer_settings(config: &PlatformConfig, ca: &Ca, lost: &Lost) -> Result<Certified<ClientTls>, PlatformError> {
    let own = ca.issue_platform(&hosts(config), SystemTime::now(), config.ca.days)?;
    let trust = trust(ca, lost)?;
    let credentials = Credentials::from_pem(&own.issued.chain_pem, &own.key_pem)?;
    let settings = ClientTls::new(&trust, Some(credentials), config.tls.allow_tls12)?;
    Ok(Certified { settings, not_after: own.issued.not_after })
}

/// Every trusted root, and what is revoked under each.
fn trust(ca: &Ca, (revoked, now_ms): &Lost) -> Result<Trust, PlatformError> {
    let lists = ca.crls(revoked, *now_ms, SystemTime::now(), tick::CRL_LIFE)?;
    let trust = Trust::from_pem(&ca.roots_pem())?.with_domain(ca.domain());
    Ok(trust.with_crls(lists.iter().map(Vec::as_slice))?)
}

fn admin_settings(config: &PlatformConfig, ca: &Ca) -> Result<Certified<rustls::ServerConfig>, PlatformError> {
    let own = ca.issue_listener(&hosts(config), SystemTime::now(), config.ca.days)?;
    let settings = ServerTls {
        credentials: Credentials::from_pem(&own.issued.chain_pem, &own.key_pem)?,
        client_auth: ClientAuth::None,
        tls12: config.tls.allow_tls12,
    };
    Ok(Certified { settings: settings.build()?, not_after: own.issued.not_after })
}

/// What the configuration names, and the addresses that the listeners have beside.
fn hosts(config: &PlatformConfig) -> Vec<String> {
    let mut hosts = config.hosts.clone();
    for address in [config.listen.api, config.listen.admin] {
        let host = address.ip().to_string();
        if !address.ip().is_unspecified() && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// What is revoked, and the number of a list made now: the time grows from list to list, over restarts too. To know it takes a look at
/// every server, so that it is looked for once for all that hangs on it.
type Lost = (Vec<Revoked>, u64);

fn revoked(store: &Store) -> Result<Lost, PlatformError> {
    let now_ms = clock::now_ms();
    Ok((store.read(|view| isthmus_domain::registry::revoked(view, now_ms))?.iter().map(entry).collect(), now_ms))
}

/// Opens the authority as the configuration has it; makes it if `new` allows that: a second root would orphan all that the first
/// has certified.
fn open_ca(config: &PlatformConfig, new: bool) -> Result<Ca, PlatformError> {
    if !new {
        Ca::inspect(&config.ca.dir, &config.domain, SystemTime::now())?;
    }
    Ok(Ca::open_platform(&config.ca.dir, &config.domain, permitted(config).as_ref(), SystemTime::now())?)
}

/// Where servers may be, and the platform itself.
pub(crate) fn permitted(config: &PlatformConfig) -> Option<Permitted> {
    let named = &config.ca.permitted_hosts;
    let all = named.iter().cloned().chain(hosts(config)).collect::<Vec<_>>();
    // Each was checked with the configuration.
    (!named.is_empty()).then(|| Permitted::parse(&config.domain, all.iter().map(String::as_str)).ok()).flatten()
}

fn entry(certificate: &isthmus_domain::registry::Certificate) -> Revoked {
    let at = std::time::Duration::from_millis(certificate.revoked_ms.unwrap_or_default());
    Revoked { serial: certificate.serial.clone(), at: SystemTime::UNIX_EPOCH + at, reason: Why::CessationOfOperation }
}

#[cfg(test)]
mod tests;
