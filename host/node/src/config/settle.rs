//! From what was asked to what it means: every check notes its problem and goes on, so that one reading finds them all.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use isthmus_wire::ServerId;

use super::problem::{ConfigError, Problem};
use super::section::{Audit, Limits, RETENTION_FLOOR_DAYS, StoreTuning};
use super::source::Layers;

/// Checks against the layers that the values came from.
pub(super) struct Settle<'a> {
    layers: &'a Layers,
    problems: Vec<Problem>,
}

impl<'a> Settle<'a> {
    pub(super) fn new(layers: &'a Layers) -> Settle<'a> {
        Settle { layers, problems: Vec::new() }
    }

    /// The configuration, if nothing was noted.
    pub(super) fn finish<T>(self, config: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(config) } else { Err(ConfigError { problems: self.problems }) }
    }

    pub(super) fn wrong(&mut self, key: &str, value: impl Display, why: &str, remedy: &str) {
        self.problems.push(Problem {
            key: key.to_owned(),
            source: self.layers.name_of(key),
            what: format!("is `{value}`: {why}"),
            remedy: remedy.to_owned(),
        });
    }

    fn missing(&mut self, key: &str) {
        let variable = key.to_uppercase().replace('.', "__");
        self.problems.push(Problem {
            key: key.to_owned(),
            source: self.layers.name_of(key),
            what: "is not set".to_owned(),
            remedy: format!("set it in the file of --config or as ISTHMUS_{variable}"),
        });
    }

    pub(super) fn required(&mut self, key: &str, text: String) -> String {
        if text.trim().is_empty() {
            self.missing(key);
        }
        text
    }

    /// Absolute and without `.` parts or a trailing slash; what does not exist yet is taken as it is written.
    pub(super) fn path(&mut self, key: &str, text: &str) -> Option<PathBuf> {
        if text.is_empty() {
            return None;
        }
        let path = self.layers.folder_of(key).join(text);
        Some(std::path::absolute(&path).unwrap_or(path).components().collect())
    }

    pub(super) fn path_or(&mut self, key: &str, text: &str, default: PathBuf) -> PathBuf {
        self.path(key, text).unwrap_or(default)
    }

    pub(super) fn required_path(&mut self, key: &str, text: &str) -> PathBuf {
        if text.is_empty() {
            self.missing(key);
        }
        self.path(key, text).unwrap_or_default()
    }

    /// Secrets: beside the data folder, under its name and `suffix`, unless told otherwise; never inside.
    pub(super) fn beside(&mut self, key: &str, text: &str, data_dir: &Path, suffix: &str) -> PathBuf {
        let mut default = data_dir.as_os_str().to_owned();
        default.push(suffix);
        let path = self.path_or(key, text, PathBuf::from(default));
        if path.starts_with(data_dir) && data_dir != Path::new("") {
            self.wrong(
                key,
                path.display(),
                "it lies inside the data folder, and whoever takes that would have the keys too",
                "name a path outside of data_dir",
            );
        }
        path
    }

    pub(super) fn socket(&mut self, key: &str, text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| {
            let remedy = "write address and port, as `127.0.0.1:7443` or `[::]:7443`";
            self.wrong(key, text, "this is no address to listen on", remedy);
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
        })
    }

    /// `https://host[:port]` without path; a trailing slash is dropped.
    pub(super) fn https(&mut self, key: &str, text: &str) -> String {
        let text = text.trim().trim_end_matches('/');
        if text.is_empty() {
            self.missing(key);
            return String::new();
        }
        let uri = text.parse::<http::Uri>().ok().filter(|uri| {
            uri.scheme_str() == Some("https")
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.path() == "/"
                && uri.query().is_none()
        });
        if uri.is_none() {
            let remedy = "write `https://host:port` and nothing behind it";
            self.wrong(key, text, "this is no https address", remedy);
        }
        text.to_owned()
    }

    pub(super) fn server_id(&mut self, key: &str, text: &str) -> ServerId {
        if text.is_empty() {
            self.missing(key);
        } else if let Err(error) = ServerId::parse(text) {
            let remedy = "use 1 to 64 letters, digits, `_` and `-`";
            self.wrong(key, text, &error.to_string(), remedy);
        }
        let unset = || ServerId::parse("unset").expect("five letters are a serverId");
        ServerId::parse(text).unwrap_or_else(|_| unset())
    }

    /// A domain in lower case, with at least one label.
    pub(super) fn domain(&mut self, key: &str, text: &str) -> String {
        let domain = text.trim().trim_end_matches('.').to_ascii_lowercase();
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !l.starts_with('-')
                && !l.ends_with('-')
        };
        if domain.is_empty() {
            self.missing(key);
        } else if domain.len() > 180 || !domain.split('.').all(label) {
            self.wrong(key, text, "this is no domain name", "write one as `im.example.org`");
        }
        domain
    }

    pub(super) fn hosts(&mut self, key: &str, hosts: Vec<String>) -> Vec<String> {
        if hosts.is_empty() {
            self.missing(key);
        }
        for host in &hosts {
            let plain = !host.is_empty() && !host.contains(['/', '[', ']', ' ', '@']);
            if !plain {
                let remedy = "write host names and IP addresses without scheme or port";
                self.wrong(key, host, "this is no host", remedy);
            }
        }
        hosts
    }

    pub(super) fn keys(&mut self, key: &str, texts: &[String]) -> Vec<[u8; 32]> {
        let mut keys = Vec::new();
        for text in texts {
            let mut bytes = [0; 32];
            match hex::decode_to_slice(text, &mut bytes) {
                Ok(()) => keys.push(bytes),
                Err(_) => {
                    let remedy = "write the 64 hex digits that `isthmus plugin verify` prints";
                    self.wrong(key, text, "this is no Ed25519 public key", remedy);
                }
            }
        }
        keys
    }

    pub(super) fn at_least<T: PartialOrd + Display + Copy>(&mut self, key: &str, value: T, least: T) -> T {
        if value < least {
            self.wrong(key, value, "this is too little", &format!("write {least} or more"));
        }
        value
    }

    pub(super) fn at_most<T: PartialOrd + Display + Copy>(&mut self, key: &str, value: T, most: T) {
        if value > most {
            self.wrong(key, value, "this is too much", &format!("write {most} or less"));
        }
    }
}

pub(super) fn check_store(s: &mut Settle<'_>, store: &StoreTuning) {
    s.at_least("store.cache_mib", store.cache_mib, 1);
    s.at_least("store.queue", store.queue, 1);
    s.at_least("store.max_batch", store.max_batch, 1);
}

pub(super) fn check_audit(s: &mut Settle<'_>, audit: &Audit) {
    s.at_least("audit.checkpoint_ms", audit.checkpoint_ms, 50);
    if audit.retention_days < RETENTION_FLOOR_DAYS {
        s.wrong(
            "audit.retention_days",
            audit.retention_days,
            "the law wants logs for at least six months",
            &format!("write {RETENTION_FLOOR_DAYS} or more"),
        );
    }
}

pub(super) fn check_limits(s: &mut Settle<'_>, limits: &Limits) {
    s.at_least("limits.max_body_kib", limits.max_body_kib, 1);
    s.at_least("limits.max_connections", limits.max_connections, 1);
    s.at_least("limits.handshake_ms", limits.handshake_ms, 100);
    s.at_least("limits.header_ms", limits.header_ms, 100);
}
