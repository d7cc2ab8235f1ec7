//! `isthmus server`: asked ([`Raw`]) and settled ([`ServerConfig`]).

use std::net::SocketAddr;
use std::path::PathBuf;

use isthmus_wire::ServerId;
use serde::Deserialize;

use super::problem::ConfigError;
use super::section::{
    AdminSessions, Audit, Client, DefaultAccess, Delivery, Limits, Log, Media, RawAdmin, Runtime, StoreTuning, Tls,
};
use super::settle::{Settle, check_audit, check_limits, check_store};
use super::source::{Layers, Sources};

/// Every key with its default and reason; also what the binary reads first.
pub const SERVER_DEFAULTS: &str = include_str!("../../../../config/server.toml");

/// What a server was asked to do, as text and numbers.
#[derive(Debug, Deserialize)]
struct Raw {
    data_dir: String,
    keyring: String,
    server: RawServer,
    listen: RawListen,
    platform: RawPlatform,
    tls: Tls,
    client: Client,
    delivery: Delivery,
    media: Media,
    store: StoreTuning,
    policy: RawPolicy,
    audit: Audit,
    admin: RawAdmin,
    limits: Limits,
    runtime: Runtime,
    log: Log,
}

#[derive(Debug, Deserialize)]
struct RawServer {
    id: String,
    name: String,
    address: String,
    area: String,
    product: String,
    owner: String,
    contact_name: String,
    contact_email: String,
    contact_mobile: String,
}

#[derive(Debug, Deserialize)]
struct RawListen {
    interconnect: String,
    client: String,
    admin: String,
}

#[derive(Debug, Deserialize)]
struct RawPlatform {
    url: String,
    ca: String,
    poll_ms: u64,
    refresh_s: u64,
    push: bool,
}

#[derive(Debug, Deserialize)]
struct RawPolicy {
    dir: String,
    watch: bool,
    allow_unsigned: bool,
    trusted_keys: Vec<String>,
    signatures_needed: usize,
    default_access: DefaultAccess,
    breaker_faults: u32,
    breaker_window_s: u64,
}

/// A server's settled configuration: parsed, checked, paths absolute.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// What the platform registers (§7.5.1).
    pub server: ServerIdentity,
    /// Everything but the keys.
    pub data_dir: PathBuf,
    /// The keys, outside of `data_dir`.
    pub keyring: PathBuf,
    /// The three listeners.
    pub listen: ServerListen,
    /// Where the platform is.
    pub platform: PlatformAt,
    /// TLS versions.
    pub tls: Tls,
    /// The client listener.
    pub client: Client,
    /// The outbox.
    pub delivery: Delivery,
    /// Files.
    pub media: Media,
    /// The database.
    pub store: StoreTuning,
    /// Policies and who may sign them.
    pub policy: PolicySource,
    /// The audit log.
    pub audit: Audit,
    /// Where the administrators' tokens are written once.
    pub admin_tokens: PathBuf,
    /// How long administrators stay logged in.
    pub admin_sessions: AdminSessions,
    /// Bounds of requests and connections.
    pub limits: Limits,
    /// Threads.
    pub runtime: Runtime,
    /// Logging.
    pub log: Log,
}

/// Who this server is, as registered (§7.5.1).
#[derive(Debug, Clone)]
pub struct ServerIdentity {
    /// serverId (R13).
    pub id: ServerId,
    /// serverName.
    pub name: String,
    /// serverAddress, `https://host[:port]`.
    pub address: String,
    /// Country or region, if told.
    pub area: Option<String>,
    /// serverType, if told.
    pub product: Option<String>,
    /// ownerId.
    pub owner: String,
    /// contactName.
    pub contact_name: String,
    /// contactEmail.
    pub contact_email: String,
    /// contactMobile, with country code.
    pub contact_mobile: String,
}

/// Addresses to bind; port 0 lets the system choose.
#[derive(Debug, Clone)]
pub struct ServerListen {
    /// Other servers, mutual TLS.
    pub interconnect: SocketAddr,
    /// This server's users.
    pub client: SocketAddr,
    /// Administrators.
    pub admin: SocketAddr,
}

/// The management platform as a server sees it.
#[derive(Debug, Clone)]
pub struct PlatformAt {
    /// `https://host:port` of its API, without a trailing slash.
    pub url: String,
    /// PEM file with its root certificate.
    pub ca: PathBuf,
    /// Between two looks at a pending application.
    pub poll_ms: u64,
    /// After which addresses and standing of peers are asked again.
    pub refresh_s: u64,
    /// Whether the platform is asked to answer as soon as something changes.
    pub push: bool,
}

/// Where policies come from.
#[derive(Debug, Clone)]
pub struct PolicySource {
    /// A bundle's folder; `None` for the bundle in the binary.
    pub dir: Option<PathBuf>,
    /// Whether a change of the folder activates it.
    pub watch: bool,
    /// Whether unsigned bundles are accepted.
    pub allow_unsigned: bool,
    /// Ed25519 public keys that count.
    pub trusted_keys: Vec<[u8; 32]>,
    /// How many of them must have signed a bundle.
    pub signatures_needed: usize,
    /// Where all plugins abstain and the bundle does not say.
    pub default_access: DefaultAccess,
    /// Failures of one plugin after which its generation is taken back; 0: never.
    pub breaker_faults: u32,
    /// Within how many seconds.
    pub breaker_window_s: u64,
}

impl ServerConfig {
    /// Reads all layers, names every unknown key, wrong type and impossible value.
    ///
    /// # Errors
    /// [`ConfigError`] lists all problems found, each with key, source and remedy.
    pub fn load(sources: &Sources) -> Result<ServerConfig, ConfigError> {
        let layers = Layers::merge("server", SERVER_DEFAULTS, sources)?;
        settle(layers.extract()?, &layers)
    }
}

fn settle(raw: Raw, layers: &Layers) -> Result<ServerConfig, ConfigError> {
    let mut s = Settle::new(layers);
    let data_dir = s.required_path("data_dir", &raw.data_dir);
    let keyring = s.beside("keyring", &raw.keyring, &data_dir, ".keyring");
    let config = ServerConfig {
        server: identity(&mut s, raw.server),
        listen: ServerListen {
            interconnect: s.socket("listen.interconnect", &raw.listen.interconnect),
            client: s.socket("listen.client", &raw.listen.client),
            admin: s.socket("listen.admin", &raw.listen.admin),
        },
        platform: PlatformAt {
            url: s.https("platform.url", &raw.platform.url),
            ca: s.required_path("platform.ca", &raw.platform.ca),
            poll_ms: s.at_least("platform.poll_ms", raw.platform.poll_ms, 50),
            refresh_s: s.at_least("platform.refresh_s", raw.platform.refresh_s, 1),
            push: raw.platform.push,
        },
        policy: policy(&mut s, &raw.policy),
        admin_sessions: raw.admin.sessions(&mut s),
        admin_tokens: s.path_or("admin.tokens", &raw.admin.tokens, data_dir.join("admin-tokens.json")),
        tls: raw.tls,
        client: raw.client,
        delivery: raw.delivery,
        media: raw.media,
        store: raw.store,
        audit: raw.audit,
        limits: raw.limits,
        runtime: raw.runtime,
        log: raw.log,
        data_dir,
        keyring,
    };
    check_ranges(&mut s, &config);
    s.finish(config)
}

fn identity(s: &mut Settle<'_>, raw: RawServer) -> ServerIdentity {
    let id = s.server_id("server.id", &raw.id);
    let or_id = |text: String| {
        if text.is_empty() { id.to_string() } else { text }
    };
    ServerIdentity {
        name: or_id(raw.name),
        owner: or_id(raw.owner),
        address: s.https("server.address", &raw.address),
        area: Some(raw.area).filter(|text| !text.is_empty()),
        product: Some(raw.product).filter(|text| !text.is_empty()),
        contact_name: s.required("server.contact_name", raw.contact_name),
        contact_email: s.required("server.contact_email", raw.contact_email),
        contact_mobile: s.required("server.contact_mobile", raw.contact_mobile),
        id,
    }
}

fn policy(s: &mut Settle<'_>, raw: &RawPolicy) -> PolicySource {
    let dir = s.path("policy.dir", &raw.dir);
    if raw.watch && dir.is_none() {
        s.wrong("policy.watch", "true", "there is no folder to watch", "set policy.dir too");
    }
    PolicySource {
        dir,
        watch: raw.watch,
        allow_unsigned: raw.allow_unsigned,
        signatures_needed: s.at_least("policy.signatures_needed", raw.signatures_needed, 1),
        trusted_keys: s.keys("policy.trusted_keys", &raw.trusted_keys),
        default_access: raw.default_access,
        breaker_faults: raw.breaker_faults,
        breaker_window_s: s.at_least("policy.breaker_window_s", raw.breaker_window_s, 1),
    }
}

fn check_ranges(s: &mut Settle<'_>, config: &ServerConfig) {
    let client = &config.client;
    s.at_least("client.token_ttl_s", client.token_ttl_s, 1);
    s.at_least("client.refresh_ttl_s", client.refresh_ttl_s, client.token_ttl_s);
    s.at_least("client.max_connections", client.max_connections, 1);
    s.at_least("client.push_buffer", client.push_buffer, 1);
    s.at_least("client.ping_s", client.ping_s, 1);
    s.at_least("client.max_message_bytes", client.max_message_bytes, 1024);
    let delivery = &config.delivery;
    s.at_least("delivery.expire_s", delivery.expire_s, 1);
    s.at_least("delivery.compare_s", delivery.compare_s, 1);
    s.at_least("delivery.held_expire_s", delivery.held_expire_s, 1);
    s.at_least("delivery.backoff_min_ms", delivery.backoff_min_ms, 1);
    s.at_least("delivery.backoff_max_ms", delivery.backoff_max_ms, delivery.backoff_min_ms);
    s.at_least("delivery.per_peer_in_flight", delivery.per_peer_in_flight, 1);
    s.at_least("delivery.batch_letters", delivery.batch_letters, 1);
    s.at_least("delivery.request_timeout_ms", delivery.request_timeout_ms, 1);
    let media = &config.media;
    s.at_least("media.max_file_mib", media.max_file_mib, 1);
    // Beyond this the sizes that JSON carries exactly end.
    s.at_most("media.max_file_mib", media.max_file_mib, 1 << 30);
    s.at_most("media.user_quota_mib", media.user_quota_mib, 1 << 30);
    s.at_least("media.unused_s", media.unused_s, 1);
    s.at_least("media.transfers", media.transfers, 1);
    s.at_least("media.pulls", media.pulls, 1);
    s.at_least("media.pulls_per_peer", media.pulls_per_peer, 1);
    s.at_least("media.idle_ms", media.idle_ms, 100);
    check_store(s, &config.store);
    check_audit(s, &config.audit);
    check_limits(s, &config.limits);
}
