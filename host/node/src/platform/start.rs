//! A platform's beginning and end.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use isthmus_domain::registry;
use isthmus_net::{Ca, Connections, Listener, PeerClient, PeerLimits, Transport, serve};
use isthmus_store::{Options, Store};
use isthmus_wire::ServerId;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::guesses::Guesses;
use super::{
    PlatformError, State, admin, admin_settings, api, api_settings, chronicle, first_end, hall, open_ca, peer_settings,
    revoked, root_file, search, tick, webhook,
};
use crate::admin_token::{Role, read_plain};
use crate::administrators::{Administrators, Of};
use crate::clock;
use crate::config::PlatformConfig;
use crate::file::{PUBLIC, write_whole};
use crate::password::Passwords;

/// Servers that wait for a change of the registry at a time.
const WAITING: usize = 20_000;

/// Starts platforms.
pub struct Platform;

/// A platform that runs in this process.
pub struct Running {
    api: SocketAddr,
    admin: SocketAddr,
    admin_token: String,
    ca_pem: PathBuf,
    store: Store,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// Runs a platform until `shutdown` completes, then lets requests under way end.
///
/// # Errors
/// [`PlatformError`], with the remedy.
pub async fn run(config: PlatformConfig, shutdown: impl Future<Output = ()>) -> Result<(), PlatformError> {
    let running = Platform::start(config).await?;
    tracing::info!(api = %running.api_url(), admin = %running.admin_url(), ca = %running.ca_pem.display(), "the platform is ready");
    shutdown.await;
    running.stop().await;
    Ok(())
}

impl Platform {
    /// Opens everything, binds both ports (0: any free one) and answers once requests are taken.
    ///
    /// # Errors
    /// [`PlatformError`], with the remedy.
    pub async fn start(config: PlatformConfig) -> Result<Running, PlatformError> {
        webhook::check(&config.webhook).map_err(PlatformError::WebhookCa)?;
        let opening = config.clone();
        let opened = tokio::task::spawn_blocking(move || Opened::open(&opening)).await??;
        let api_listener = Listener::bind(config.listen.api, "listen.api").await?;
        let admin_listener = Listener::bind(config.listen.admin, "listen.admin").await?;
        let lost = revoked(&opened.store)?;
        let api_own = api_settings(&config, &opened.ca, &lost)?;
        let admin_own = admin_settings(&config, &opened.ca)?;
        let peer_own = peer_settings(&config, &opened.ca, &lost)?;
        let tls_end = AtomicU64::new(first_end([api_own.not_after, admin_own.not_after, peer_own.not_after]));
        let (api_tls, _) = watch::channel(api_own.settings);
        let (admin_tls, _) = watch::channel(admin_own.settings);
        let (peer_tls, peers) = watch::channel(peer_own.settings);
        let (stop, stopping) = watch::channel(false);
        let latest = opened.store.read(registry::latest)?;
        let (api, admin) = (api_listener.addr(), admin_listener.addr());
        // Deleted once the operator has handed the tokens out; then nobody in this process needs it either.
        let admin_token = read_plain(&config.admin_tokens, Role::System).unwrap_or_default();
        let ca_pem = root_file(&config.data_dir);
        let store = opened.store.clone();
        let state = Arc::new(State {
            home: ServerId::parse("platform").expect("eight letters are a serverId"),
            store: opened.store,
            ca: ArcSwap::from_pointee(opened.ca),
            people: opened.people,
            servers: Connections::new(),
            administrators: Connections::new(),
            api_tls,
            admin_tls,
            peers: PeerClient::new(
                peers,
                PeerLimits {
                    request: search::EACH,
                    private_too: config.registry.allow_private_addresses,
                    ..PeerLimits::default()
                },
            ),
            peer_tls,
            tls_end,
            searches: Semaphore::new(search::SEARCHES),
            searching: Semaphore::new(search::AT_ONCE),
            changes: watch::channel(latest).0,
            waiting: Semaphore::new(WAITING),
            revocations: ArcSwap::default(),
            stop: stopping,
            guesses: Guesses::default(),
            hook: webhook::Hook::new(&config.webhook),
            config,
        });
        state.revoke(&lost)?;
        let numbered = state.store.write(|tx| registry::number_all(tx, clock::now_ms())).await;
        numbered.map_err(|error| PlatformError::Numbering(error.to_string()))?;
        state.people.appoint_first().await.map_err(|problem| PlatformError::Administrators(problem.into()))?;
        state.take_acts().await;
        let mut tasks = JoinSet::new();
        spawn_api(&mut tasks, &state, api_listener, stop.subscribe())?;
        spawn_admin(&mut tasks, &state, admin_listener, stop.subscribe())?;
        if let Some(hook) = state.hook.clone() {
            tasks.spawn(webhook::run(state.clone(), hook, stop.subscribe()));
        }
        tasks.spawn(tick::run(state, stop.subscribe()));
        Ok(Running { api, admin, admin_token, ca_pem, store, stop, tasks })
    }
}

/// What lies on the disk.
struct Opened {
    store: Store,
    ca: Ca,
    people: Administrators,
}

impl Opened {
    fn open(config: &PlatformConfig) -> Result<Opened, PlatformError> {
        let store = Store::open(&store_options(config))?;
        let ca = open_ca(config, store.read(registry::is_empty)?)?;
        publish(&root_file(&config.data_dir), &ca.roots_pem())?;
        let people = people(config, &store)?;
        Ok(Opened { store, ca, people })
    }
}

pub(super) fn store_options(config: &PlatformConfig) -> Options {
    let tuning = &config.store;
    let origin = format!("{}/platform", config.domain);
    Options {
        cache_bytes: tuning.cache_mib << 20,
        queue: tuning.queue,
        max_batch: tuning.max_batch,
        gather: std::time::Duration::from_micros(tuning.gather_us),
        check_integrity: tuning.check_integrity,
        ..Options::new(&config.data_dir, &config.keyring, "platform", &origin)
    }
}

fn people(config: &PlatformConfig, store: &Store) -> Result<Administrators, PlatformError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let of = Of {
        what: "domain",
        name: &config.domain,
        data_dir: &config.data_dir,
        tokens: &config.admin_tokens,
        sessions: config.admin_sessions,
    };
    Ok(Administrators::open(&of, store.clone(), Passwords::new(cores)?, Box::new(chronicle))?)
}

/// The root certificate where others copy it from: whole or not at all.
pub(super) fn publish(path: &Path, pem: &str) -> Result<(), PlatformError> {
    if fs::read_to_string(path).is_ok_and(|found| found == pem) {
        return Ok(());
    }
    write_whole(path, pem, PUBLIC).map_err(|source| PlatformError::File { path: path.to_owned(), source })
}

fn spawn_api(
    tasks: &mut JoinSet<()>,
    state: &Arc<State>,
    listener: Listener,
    stop: watch::Receiver<bool>,
) -> Result<(), PlatformError> {
    let (table, shared) = (Arc::new(api::table()?), state.clone());
    let service = move |request, connection| api::serve(shared.clone(), table.clone(), request, connection);
    let (tls, limits) = (Transport::Tls(state.api_tls.subscribe()), hall::limits(&state.config.limits));
    let connections = state.servers.clone();
    tasks.spawn(async move {
        serve(listener, tls, limits, connections, service, stopped(stop)).await;
    });
    Ok(())
}

fn spawn_admin(
    tasks: &mut JoinSet<()>,
    state: &Arc<State>,
    listener: Listener,
    stop: watch::Receiver<bool>,
) -> Result<(), PlatformError> {
    let (table, shared) = (Arc::new(admin::table()?), state.clone());
    let service = move |request, connection| admin::serve(shared.clone(), table.clone(), request, connection);
    let (tls, limits) = (Transport::Tls(state.admin_tls.subscribe()), hall::limits(&state.config.limits));
    let connections = state.administrators.clone();
    tasks.spawn(async move {
        serve(listener, tls, limits, connections, service, stopped(stop)).await;
    });
    Ok(())
}

pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that nobody can ask for a stop any more, which is one.
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Running {
    /// `https://127.0.0.1:port` of the API, with the real port.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("https://{}", self.api)
    }

    /// `https://127.0.0.1:port` of the administration, with the real port.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("https://{}", self.admin)
    }

    /// Where the API listens.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Where the administration listens.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The system administrator's token; empty if its file was deleted.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// PEM file of the root certificate.
    #[must_use]
    pub fn ca_pem(&self) -> &Path {
        &self.ca_pem
    }

    /// Stops accepting, lets requests under way end, signs the audit log a last time, closes the store.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the platform ended badly");
            }
        }
        let store = self.store.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || store.close()).await {
            tracing::error!(%error, "the store was not closed");
        }
        tracing::info!("the platform has stopped");
    }
}
