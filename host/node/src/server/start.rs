//! From a configuration to a running server, and back.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Request;
use hyper::body::Incoming;
use isthmus_domain::directory::Index;
use isthmus_net::ca::{CaError, IssueError};
use isthmus_net::{
    BindError, Ca, ClientAuth, Connection, Connections, Credentials, Limits, Listener, PeerClient, PeerLimits,
    ServerTls, TlsError, Transport, Trust,
};
use isthmus_policy::{Breaker, BundleSource, Event, Policy, PolicyError, PolicyOptions, TrustedKey};
use isthmus_store::{Options, Store, StoreError};
use isthmus_wire::ServerId;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::accounts::internal;
use super::addresses::Addresses;
use super::antechamber::Antechamber;
use super::channel::{Channel, NewsError};
use super::enroll::{EnrollError, IdentityFolder, ca_unusable, enroll};
use super::files::Files;
use super::gate::Gate;
use super::groups::Groups;
use super::link::PlatformLink;
use super::outbox::{Outbox, Settlements};
use super::push::Hub;
use super::replays::Replays;
use super::session::{Acks, Sessions};
use super::stage::Stage;
use super::tally::Tally;
use super::trail::Trail;
use super::{Directory, Listeners, Server, acts, admin, client, sns};
use crate::admin_token::{AdminTokenError, Role, read_plain};
use crate::administrators::{Act, Administrators, Of};
use crate::config::ServerConfig;
use crate::password::{PasswordError, Passwords};
use crate::reply::Problem;
use crate::{clock, shipped};

/// Life of the listeners' own certificates; they are issued anew at each start.
const LISTENER_DAYS: u32 = 397;

const LISTENER_CA: &str = "listener-ca";

/// The PEM file of the authority that signs a server's client and admin listeners.
#[must_use]
pub fn listener_ca(data_dir: &std::path::Path) -> PathBuf {
    data_dir.join(LISTENER_CA).join("ca.pem")
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port is taken, or not ours to take.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// No interconnect certificate.
    #[error(transparent)]
    Enroll(#[from] EnrollError),
    /// Certificate, roots and revocations do not go together.
    #[error("the interconnect identity cannot be used: {0}")]
    Channel(Box<dyn std::error::Error + Send + Sync>),
    /// Data or keys.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No usable policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The listeners' own CA.
    #[error("the listeners' own certificate authority")]
    Ca(#[from] CaError),
    /// The listeners' certificates.
    #[error("the listeners' certificates cannot be issued")]
    Issue(#[from] IssueError),
    /// Administrators' tokens.
    #[error(transparent)]
    Tokens(#[from] AdminTokenError),
    /// Administrators' accounts.
    #[error("the administrators' accounts cannot be made")]
    Administrators(#[source] Box<Problem>),
    /// Password hashing.
    #[error(transparent)]
    Passwords(#[from] PasswordError),
    /// A table of routes contradicts itself: a mistake in the program.
    #[error("routes: {0}")]
    Routes(#[from] matchit::InsertError),
    /// The data folder.
    #[error("data_dir {path} cannot be made: {source}")]
    DataDir {
        /// Its path.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
}

impl From<NewsError> for StartError {
    fn from(error: NewsError) -> StartError {
        StartError::Channel(crate::reply::chain(&error).into())
    }
}

/// A server that runs in this process.
pub struct RunningServer {
    /// Its ID.
    pub server_id: ServerId,
    /// `https://…` of the listener for other servers.
    pub interconnect: String,
    /// `https://…` of the listener for clients.
    pub client: String,
    /// `https://…` of the listener for administrators.
    pub admin: String,
    /// PEM bundle that verifies the client and admin listeners.
    pub ca: PathBuf,
    /// The file with the administrators' tokens.
    pub admin_tokens: PathBuf,
    server: Arc<Server>,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
    chores: JoinSet<()>,
}

/// Runs a server until `shutdown` completes, then stops it gracefully.
///
/// # Errors
/// [`StartError`].
pub async fn run(config: ServerConfig, shutdown: impl Future<Output = ()>) -> Result<(), StartError> {
    let mut shutdown = std::pin::pin!(shutdown);
    let running = tokio::select! {
        running = Server::start(config) => running?,
        () = &mut shutdown => return Ok(()),
    };
    shutdown.await;
    tracing::info!("stopping");
    running.stop().await;
    Ok(())
}

/// What the three listeners are bound to.
struct Bound {
    interconnect: Listener,
    client: Listener,
    admin: Listener,
}

impl Bound {
    async fn bind(config: &ServerConfig) -> Result<Bound, BindError> {
        let listen = &config.listen;
        Ok(Bound {
            interconnect: Listener::bind(listen.interconnect, "interconnect").await?,
            client: Listener::bind(listen.client, "client").await?,
            admin: Listener::bind(listen.admin, "admin").await?,
        })
    }
}

/// TLS of the listeners for clients and administrators.
type LocalTls = watch::Sender<Arc<rustls::ServerConfig>>;

impl Server {
    /// Binds, enrolls (waiting for the platform's decision if need be), opens what is on the disk and serves.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: ServerConfig) -> Result<RunningServer, StartError> {
        make_data_dir(&config)?;
        // A port that is taken is told before anybody is asked to approve anything; but who is not admitted yet does
        // not accept connections that it could not serve.
        drop(Bound::bind(&config).await?);
        let local = watch::channel(local_tls(&config)?).0;
        let (roots, stage) = (roots(&config)?, Arc::new(Stage::default()));
        let folder = IdentityFolder::open(&config.data_dir)?;
        let trust = Trust::from_pem(&folder.roots(&roots)?).map_err(|error| ca_unusable(&config, &error))?;
        let waiting = Antechamber::open(&config, local.subscribe(), stage.clone()).await?;
        let enrolled = enroll(&config, &folder, &trust, &stage).await;
        waiting.close().await;
        let channel = Arc::new(Channel::open(folder, roots, enrolled?, config.tls.allow_tls12)?);
        let bound = Bound::bind(&config).await?;
        stage.serving();
        let (server, settlements) = open(config, channel, stage)?;
        acts::catch_up(&server.store, &server.policy).await?;
        server.administrators.appoint_first().await.map_err(|problem| StartError::Administrators(problem.into()))?;
        let running = RunningServer::serve(&server, bound, local, settlements)?;
        tracing::info!(
            server = %running.server_id, interconnect = running.interconnect, client = running.client,
            admin = running.admin, "serving"
        );
        Ok(running)
    }
}

fn make_data_dir(config: &ServerConfig) -> Result<(), StartError> {
    std::fs::create_dir_all(&config.data_dir)
        .map_err(|source| StartError::DataDir { path: config.data_dir.clone(), source })
}

/// The operator's file of roots.
fn roots(config: &ServerConfig) -> Result<String, EnrollError> {
    let pem = std::fs::read_to_string(&config.platform.ca).map_err(|error| ca_unusable(config, &error))?;
    Trust::from_pem(&pem).map_err(|error| ca_unusable(config, &error))?;
    Ok(pem)
}

fn local_tls(config: &ServerConfig) -> Result<Arc<rustls::ServerConfig>, StartError> {
    let dir = config.data_dir.join(LISTENER_CA);
    let now = SystemTime::now();
    let ca = Ca::open_or_create(&dir, "listeners.isthmus.internal", now)?;
    let issued = ca.issue_listener(&listener_hosts(config), now, LISTENER_DAYS)?;
    let credentials = Credentials::from_pem(&issued.issued.chain_pem, &issued.key_pem)?;
    Ok(ServerTls { credentials, client_auth: ClientAuth::None, tls12: config.tls.allow_tls12 }.build()?)
}

/// Names under which clients and administrators may reach us: what we listen on, and what the address says.
fn listener_hosts(config: &ServerConfig) -> Vec<String> {
    let mut hosts = vec!["localhost".to_owned()];
    let address: Option<http::Uri> = config.server.address.parse().ok();
    let named = address.as_ref().and_then(http::Uri::host).map(|host| host.trim_matches(['[', ']']).to_owned());
    hosts.extend(named);
    for address in [config.listen.client, config.listen.admin] {
        let ip = address.ip();
        hosts.push(if ip.is_unspecified() { "127.0.0.1".to_owned() } else { ip.to_string() });
    }
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

fn open(
    config: ServerConfig,
    channel: Arc<Channel>,
    stage: Arc<Stage>,
) -> Result<(Arc<Server>, Settlements), StartError> {
    let id = config.server.id.clone();
    let store = Store::open(&store_options(&config))?;
    let link = Arc::new(PlatformLink::new(channel.peers(), &config.platform.url, id.clone(), stage.clone())?);
    let addresses = Arc::new(Addresses::open(store.clone(), link)?);
    let policy = Arc::new(Policy::open(policy_options(&config, &store, addresses.clone()))?);
    let delivery = &config.delivery;
    let limits = PeerLimits { request: Duration::from_millis(delivery.request_timeout_ms), ..PeerLimits::default() };
    let (outbox, settlements) = Outbox::new(delivery.per_peer_in_flight);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let passwords = Passwords::new(cores)?;
    let administrators = administrators(&config, &store, &passwords, &policy)?;
    let server = Server {
        gate: Gate::new(policy.clone()),
        replays: Replays::default(),
        hub: Hub::new(config.client.push_buffer),
        peers: PeerClient::new(channel.peers(), limits),
        sessions: Sessions::default(),
        acks: Acks::default(),
        files: Files::new(config.media.transfers),
        passwords,
        people: Arc::new(store.read(Index::open)?),
        searches: Arc::new(Semaphore::new(cores.max(2))),
        groups: Groups::default(),
        administrators,
        tally: Tally::new(clock::now_ms()),
        disk: tokio::sync::Mutex::default(),
        connections: Listeners::default(),
        runtime: tokio::runtime::Handle::current(),
        config,
        id,
        store,
        policy,
        outbox,
        addresses,
        channel,
        stage,
    };
    Ok((Arc::new(server), settlements))
}

/// Their own acts pass the audit plugins as every act does.
fn administrators(
    config: &ServerConfig,
    store: &Store,
    passwords: &Passwords,
    policy: &Arc<Policy>,
) -> Result<Administrators, AdminTokenError> {
    let policy = policy.clone();
    let chronicle = move |act: Act<'_>| {
        let call = internal(act.operation, act.actor, act.target);
        let event = Event { call, outcome: "allowed".into(), code: 0, fields: Vec::new() };
        let mut trail = Trail::of_event(&policy.begin(), event);
        if let Some((code, words)) = act.failed {
            trail.failed(code, words);
        }
        trail.record()
    };
    let of = Of {
        what: "serverId",
        name: config.server.id.as_str(),
        data_dir: &config.data_dir,
        tokens: &config.admin_tokens,
        sessions: config.admin_sessions,
    };
    Administrators::open(&of, store.clone(), passwords.clone(), Box::new(chronicle))
}

fn store_options(config: &ServerConfig) -> Options {
    let id = config.server.id.folded();
    let tuning = &config.store;
    let mut options = Options::new(&config.data_dir, &config.keyring, &id, &format!("{id}/isthmus"));
    options.cache_bytes = tuning.cache_mib << 20;
    options.queue = tuning.queue;
    options.max_batch = tuning.max_batch;
    options.gather = Duration::from_micros(tuning.gather_us);
    options.check_integrity = tuning.check_integrity;
    options
}

fn policy_options(config: &ServerConfig, store: &Store, addresses: Arc<Addresses>) -> PolicyOptions {
    let source = &config.policy;
    let trusted_keys =
        source.trusted_keys.iter().map(|key| TrustedKey { id: hex::encode(&key[..8]), key: *key }).collect();
    // Without a folder of its own a server begins with the bundle in the binary, which needs no signature.
    let default_bundle = source.dir.clone().map_or_else(|| BundleSource::Files(shipped::bundle()), BundleSource::Dir);
    PolicyOptions {
        dir: config.data_dir.join("policy"),
        key: store.keyring().derive("policy cache"),
        trusted_keys,
        signatures_needed: source.signatures_needed,
        allow_unsigned: source.allow_unsigned,
        builtins: shipped::SHIPPED,
        default_bundle,
        services: Arc::new(Directory { own: config.server.id.clone(), store: store.clone(), addresses }),
        redaction_key: store.keyring().derive("audit redaction"),
        breaker: Breaker { faults: source.breaker_faults, window: Duration::from_secs(source.breaker_window_s) },
    }
}

impl RunningServer {
    fn serve(
        server: &Arc<Server>,
        bound: Bound,
        local: LocalTls,
        settlements: Settlements,
    ) -> Result<RunningServer, StartError> {
        let (stop, stopped) = watch::channel(false);
        let url = |addr: SocketAddr| format!("https://{addr}");
        let mut running = RunningServer {
            server_id: server.id.clone(),
            interconnect: url(bound.interconnect.addr()),
            client: url(bound.client.addr()),
            admin: url(bound.admin.addr()),
            ca: listener_ca(&server.config.data_dir),
            admin_tokens: server.config.admin_tokens.clone(),
            server: server.clone(),
            stop,
            listeners: JoinSet::new(),
            chores: JoinSet::new(),
        };
        running.listen(bound, &local, &stopped)?;
        running.chores.spawn(server.clone().settle(settlements));
        running.chores.spawn(server.clone().chores(local));
        if server.config.platform.push {
            running.chores.spawn(server.clone().watch_registry());
        }
        running.chores.spawn(server.clone().pull_files());
        running.chores.spawn(server.clone().heal_mirrors());
        running.chores.spawn(server.clone().watch_breaker());
        if server.config.policy.watch {
            running.chores.spawn(server.clone().watch_policy());
        }
        let lanes = server.open_lanes()?;
        if lanes > 0 {
            tracing::info!(lanes, "letters of an earlier run go on");
        }
        Ok(running)
    }

    fn listen(&mut self, bound: Bound, local: &LocalTls, stopped: &watch::Receiver<bool>) -> Result<(), StartError> {
        let server = self.server.clone();
        let limits = limits(&server.config);
        let client_limits = Limits { max_connections: server.config.client.max_connections, ..limits.clone() };
        let of = server.clone();
        let service = move |request: Request<Incoming>, on: Arc<Connection>| sns::serve(of.clone(), request, on);
        let live = server.connections.interconnect.clone();
        self.spawn(
            bound.interconnect,
            Transport::Tls(server.channel.interconnect()),
            limits.clone(),
            live,
            service,
            stopped,
        );

        let (of, table) = (server.clone(), Arc::new(client::table()?));
        let service = move |request: Request<Incoming>, _| client::serve(of.clone(), table.clone(), request);
        let live = server.connections.client.clone();
        self.spawn(bound.client, Transport::Tls(local.subscribe()), client_limits, live, service, stopped);

        let (of, table) = (server.clone(), Arc::new(admin::table()?));
        let service =
            move |request: Request<Incoming>, on: Arc<Connection>| admin::serve(of.clone(), table.clone(), request, on);
        let live = server.connections.admin.clone();
        self.spawn(bound.admin, Transport::Tls(local.subscribe()), limits, live, service, stopped);
        Ok(())
    }

    fn spawn<S: isthmus_net::listen::Service>(
        &mut self,
        listener: Listener,
        transport: Transport,
        limits: Limits,
        live: Connections,
        service: S,
        stopped: &watch::Receiver<bool>,
    ) {
        let mut stopped = stopped.clone();
        self.listeners.spawn(async move {
            let shutdown = async move {
                // A sender that is gone means stop as well.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            isthmus_net::serve(listener, transport, limits, live, service, shutdown).await;
        });
    }

    /// The token of an administrator's role, from the file written at the first start.
    ///
    /// # Errors
    /// The file is gone or damaged.
    pub fn admin_token(&self, role: Role) -> Result<String, AdminTokenError> {
        read_plain(&self.admin_tokens, role)
    }

    /// Renews the interconnect certificate now, as the server does by itself at half of its life.
    ///
    /// # Errors
    /// In words.
    pub async fn renew(&self) -> Result<(), String> {
        self.server.renew().await
    }

    /// Serial number of the interconnect certificate, lower-case hex.
    #[must_use]
    pub fn certificate_serial(&self) -> String {
        self.server.channel.facts().map(|facts| facts.serial).unwrap_or_default()
    }

    /// Lanes that are not empty.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.server.outbox.figures().0
    }

    /// Stops: no new connections, requests under way finish within the grace period, what was answered by peers is
    /// settled, the audit log is signed, the database closed.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        self.server.hub.close_all();
        while self.listeners.join_next().await.is_some() {}
        let grace = Duration::from_millis(self.server.config.limits.grace_ms);
        self.server.outbox.stop(grace).await;
        self.server.peers.close_all();
        self.server.write_acks().await;
        self.chores.shutdown().await;
        let store = self.server.store.clone();
        let closed = tokio::task::spawn_blocking(move || {
            if let Err(error) = store.checkpoint(clock::now_ms()) {
                tracing::warn!(
                    error = crate::reply::chain(&error),
                    "no checkpoint at the end; the next start makes it"
                );
            }
            store.close();
        });
        if closed.await.is_err() {
            tracing::error!("closing the database panicked");
        }
    }
}

fn limits(config: &ServerConfig) -> Limits {
    let limits = &config.limits;
    Limits {
        handshake: Duration::from_millis(limits.handshake_ms),
        header: Duration::from_millis(limits.header_ms),
        max_connections: limits.max_connections,
        grace: Duration::from_millis(limits.grace_ms),
        ..Limits::default()
    }
}
