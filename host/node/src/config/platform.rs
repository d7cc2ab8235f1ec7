//! `isthmus platform`: asked ([`Raw`]) and settled ([`PlatformConfig`]).

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::problem::ConfigError;
use super::section::{AdminSessions, Audit, Limits, Log, Millis, RawAdmin, Runtime, Seconds, StoreTuning, Tls};
use super::settle::{Settle, check_audit, check_limits, check_store};
use super::source::{Layers, Sources};

/// Every key with its default and reason; also what the binary reads first.
pub const PLATFORM_DEFAULTS: &str = include_str!("../../../../config/platform.toml");

/// Bytes of a webhook's secret.
const SECRET_MIN: usize = 32;
/// Below the days that an issuer has left when it is signed anew by itself.
const ISSUER_EXPIRY_MOST: u64 = 270;

/// What a platform was asked to do, as text and numbers.
#[derive(Debug, Deserialize)]
struct Raw {
    domain: String,
    data_dir: String,
    keyring: String,
    hosts: Vec<String>,
    listen: RawListen,
    ca: RawCa,
    registry: RegistryRules,
    tls: Tls,
    store: StoreTuning,
    audit: Audit,
    admin: RawAdmin,
    webhook: RawWebhook,
    limits: Limits,
    runtime: Runtime,
    log: Log,
}

#[derive(Debug, Deserialize)]
struct RawListen {
    api: String,
    admin: String,
}

#[derive(Debug, Deserialize)]
struct RawCa {
    dir: String,
    days: u32,
    permitted_hosts: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct RawWebhook {
    url: String,
    secret: Secret,
    ca: String,
    allow_private_addresses: bool,
    queue: usize,
    expire_s: Seconds,
    backoff_min_ms: Millis,
    backoff_max_ms: Millis,
    timeout_ms: Millis,
    expiry_hours: u64,
    issuer_expiry_days: u64,
}

/// Text that no log shows.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// As a key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// `[webhook]`: who is told what happens to applications and servers.
#[derive(Debug, Clone, Default)]
pub struct Webhook {
    /// Where notices are posted to; empty: nowhere.
    pub url: String,
    /// Key of the signatures.
    pub secret: Secret,
    /// PEM file that verifies the receiver.
    pub ca: PathBuf,
    /// Whether the receiver may be in a private network.
    pub allow_private_addresses: bool,
    /// Notices that wait at a time.
    pub queue: usize,
    /// How long one waits at most.
    pub expire_s: Seconds,
    /// Pause after the first failure.
    pub backoff_min_ms: Millis,
    /// The longest pause.
    pub backoff_max_ms: Millis,
    /// For one attempt, answer included.
    pub timeout_ms: Millis,
    /// How long before its end a certificate that was not renewed is told of.
    pub expiry_hours: u64,
    /// How long before its end the platform's own issuer is told of.
    pub issuer_expiry_days: u64,
}

/// A platform's settled configuration.
#[derive(Debug, Clone)]
pub struct PlatformConfig {
    /// Servers are certified as `<serverId>.ic.<domain>` (R13). Lower case.
    pub domain: String,
    /// Everything but the keys.
    pub data_dir: PathBuf,
    /// The keys, outside of `data_dir`.
    pub keyring: PathBuf,
    /// Names and addresses in the platform's TLS certificate.
    pub hosts: Vec<String>,
    /// The two listeners.
    pub listen: PlatformListen,
    /// The certificate authority.
    pub ca: CaRules,
    /// What may be registered.
    pub registry: RegistryRules,
    /// TLS versions.
    pub tls: Tls,
    /// The database.
    pub store: StoreTuning,
    /// The audit log.
    pub audit: Audit,
    /// Where the administrators' tokens are written once.
    pub admin_tokens: PathBuf,
    /// How long administrators stay logged in.
    pub admin_sessions: AdminSessions,
    /// Whom notices go to.
    pub webhook: Webhook,
    /// Bounds of requests and connections.
    pub limits: Limits,
    /// Threads.
    pub runtime: Runtime,
    /// Logging.
    pub log: Log,
}

/// Addresses to bind; port 0 lets the system choose.
#[derive(Debug, Clone)]
pub struct PlatformListen {
    /// Servers and applicants.
    pub api: SocketAddr,
    /// Administrators.
    pub admin: SocketAddr,
}

/// `[ca]`
#[derive(Debug, Clone)]
pub struct CaRules {
    /// Where the authorities lie, outside of `data_dir`.
    pub dir: PathBuf,
    /// Days that an interconnect certificate is valid.
    pub days: u32,
    /// Domains, addresses and networks in which servers may be; empty: everywhere.
    pub permitted_hosts: Vec<String>,
}

/// `[registry]`
#[derive(Debug, Clone, Deserialize)]
pub struct RegistryRules {
    /// Whether a server's address may be private, loopback or link-local.
    pub allow_private_addresses: bool,
    /// Applications that wait for review at a time.
    pub max_pending: usize,
    /// Administrators who have to approve an application: 1 (system) or 2 (system and security).
    pub reviewers: usize,
}

impl PlatformConfig {
    /// Reads all layers, names every unknown key, wrong type and impossible value.
    ///
    /// # Errors
    /// [`ConfigError`] lists all problems found, each with key, source and remedy.
    pub fn load(sources: &Sources) -> Result<PlatformConfig, ConfigError> {
        let layers = Layers::merge("platform", PLATFORM_DEFAULTS, sources)?;
        settle(layers.extract()?, &layers)
    }
}

fn settle(raw: Raw, layers: &Layers) -> Result<PlatformConfig, ConfigError> {
    let mut s = Settle::new(layers);
    let data_dir = s.required_path("data_dir", &raw.data_dir);
    let keyring = s.beside("keyring", &raw.keyring, &data_dir, ".keyring");
    let config = PlatformConfig {
        domain: s.domain("domain", &raw.domain),
        hosts: s.hosts("hosts", raw.hosts),
        listen: PlatformListen {
            api: s.socket("listen.api", &raw.listen.api),
            admin: s.socket("listen.admin", &raw.listen.admin),
        },
        admin_sessions: raw.admin.sessions(&mut s),
        admin_tokens: s.path_or("admin.tokens", &raw.admin.tokens, data_dir.join("admin-tokens.json")),
        ca: CaRules {
            dir: s.beside("ca.dir", &raw.ca.dir, &data_dir, ".ca"),
            days: raw.ca.days,
            permitted_hosts: raw.ca.permitted_hosts,
        },
        webhook: webhook(&mut s, raw.webhook),
        registry: raw.registry,
        tls: raw.tls,
        store: raw.store,
        audit: raw.audit,
        limits: raw.limits,
        runtime: raw.runtime,
        log: raw.log,
        data_dir,
        keyring,
    };
    if let Err(host) = isthmus_net::ca::Permitted::parse("", config.ca.permitted_hosts.iter().map(String::as_str)) {
        let remedy = "write domains, addresses, or networks as 10.0.0.0/8";
        s.wrong("ca.permitted_hosts", &host, "this is neither a domain nor a network", remedy);
    }
    s.at_least("ca.days", config.ca.days, 1);
    s.at_most("ca.days", config.ca.days, 825);
    s.at_least("registry.reviewers", config.registry.reviewers, 1);
    s.at_most("registry.reviewers", config.registry.reviewers, 2);
    s.at_least("registry.max_pending", config.registry.max_pending, 1);
    check_store(&mut s, &config.store);
    check_audit(&mut s, &config.audit);
    check_limits(&mut s, &config.limits);
    s.finish(config)
}

fn webhook(s: &mut Settle<'_>, raw: RawWebhook) -> Webhook {
    let on = !raw.url.trim().is_empty();
    if on {
        let remedy = "write `https://host[:port]/path`";
        let good = raw
            .url
            .parse::<http::Uri>()
            .is_ok_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty()));
        if !good {
            s.wrong("webhook.url", &raw.url, "this is no https address", remedy);
        }
        if raw.secret.as_bytes().len() < SECRET_MIN {
            let why = "the receiver knows by it that a notice is ours, and this is too short";
            s.wrong("webhook.secret", "(secret)", why, "write 32 random characters or more");
        }
        s.required_path("webhook.ca", &raw.ca);
    }
    s.at_most("webhook.issuer_expiry_days", raw.issuer_expiry_days, ISSUER_EXPIRY_MOST);
    Webhook {
        url: raw.url.trim().to_owned(),
        secret: raw.secret,
        ca: s.path_or("webhook.ca", &raw.ca, PathBuf::new()),
        allow_private_addresses: raw.allow_private_addresses,
        queue: s.at_least("webhook.queue", raw.queue, 1),
        expire_s: s.at_least("webhook.expire_s", raw.expire_s, 1),
        backoff_min_ms: s.at_least("webhook.backoff_min_ms", raw.backoff_min_ms, 1),
        backoff_max_ms: s.at_least("webhook.backoff_max_ms", raw.backoff_max_ms, raw.backoff_min_ms),
        timeout_ms: s.at_least("webhook.timeout_ms", raw.timeout_ms, 1),
        expiry_hours: s.at_least("webhook.expiry_hours", raw.expiry_hours, 1),
        issuer_expiry_days: s.at_least("webhook.issuer_expiry_days", raw.issuer_expiry_days, 1),
    }
}
