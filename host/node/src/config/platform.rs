//! `isthmus platform`: asked ([`Raw`]) and settled ([`PlatformConfig`]).

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::problem::ConfigError;
use super::section::{AdminSessions, Audit, Limits, Log, RawAdmin, Runtime, StoreTuning, Tls};
use super::settle::{Settle, check_audit, check_limits, check_store};
use super::source::{Layers, Sources};

/// Every key with its default and reason; also what the binary reads first.
pub const PLATFORM_DEFAULTS: &str = include_str!("../../../../config/platform.toml");

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
