//! Sections that need no settling: what is asked is what it means, after a check of ranges.

use serde::{Deserialize, Serialize};

use super::settle::Settle;

/// Milliseconds, as every key that ends in `_ms`.
pub type Millis = u64;
/// Seconds, as every key that ends in `_s`.
pub type Seconds = u64;

/// `[admin]`, as it is written.
#[derive(Debug, Deserialize)]
pub(super) struct RawAdmin {
    pub(super) tokens: String,
    idle_s: Seconds,
    session_s: Seconds,
}

impl RawAdmin {
    pub(super) fn sessions(&self, s: &mut Settle<'_>) -> AdminSessions {
        AdminSessions {
            idle_s: s.at_least("admin.idle_s", self.idle_s, 1),
            session_s: s.at_least("admin.session_s", self.session_s, 1),
        }
    }
}

/// The console's sessions.
#[derive(Debug, Clone, Copy)]
pub struct AdminSessions {
    /// Without an act of the administrator.
    pub idle_s: Seconds,
    /// From the log-in on.
    pub session_s: Seconds,
}

/// `[tls]`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tls {
    /// Whether TLS 1.2 is offered beside 1.3.
    pub allow_tls12: bool,
}

/// `[client]`: the client listener of a server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Client {
    /// Life of an access token.
    pub token_ttl_s: Seconds,
    /// Life of a refresh token.
    pub refresh_ttl_s: Seconds,
    /// Connections at a time.
    pub max_connections: usize,
    /// Messages waiting for one WebSocket.
    pub push_buffer: usize,
    /// Between two pings of a WebSocket.
    pub ping_s: Seconds,
    /// Bytes of one message's JSON.
    pub max_message_bytes: usize,
}

/// `[delivery]`: the outbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Delivery {
    /// How long a letter waits for its peer.
    pub expire_s: Seconds,
    /// Before the first retry.
    pub backoff_min_ms: Millis,
    /// Ceiling of the doubling.
    pub backoff_max_ms: Millis,
    /// Letters under way to one peer, over all lanes.
    pub per_peer_in_flight: usize,
    /// Letters in one request between servers of ours; 1: never several.
    pub batch_letters: usize,
    /// One call to a peer, answer included.
    pub request_timeout_ms: Millis,
    /// How long a held message waits for an administrator's decision.
    pub held_expire_s: Seconds,
    /// How long a user may recall a message (R7); 0: never.
    pub recall_s: Seconds,
    /// How often mirrors of groups compare themselves with their main servers (R22).
    pub compare_s: Seconds,
}

/// `[media]`: files of messages, portraits and icons.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Media {
    /// The largest file taken, in MiB.
    pub max_file_mib: u64,
    /// What the uploads of one user may come to, in MiB; 0: anything.
    pub user_quota_mib: u64,
    /// How long an upload that was not ended, or that nothing refers to, is kept.
    pub unused_s: Seconds,
    /// Files on their way from and to clients, and to other servers, at a time.
    pub transfers: usize,
    /// Files pulled from other servers at a time.
    pub pulls: usize,
    /// The same, from one server.
    pub pulls_per_peer: usize,
    /// How long a transfer may stand still.
    pub idle_ms: Millis,
}

/// `[store]`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoreTuning {
    /// Page cache in MiB.
    pub cache_mib: usize,
    /// Rules waiting for the writer.
    pub queue: usize,
    /// Rules that share one commit.
    pub max_batch: usize,
    /// Microseconds that a batch waits for company under load, so that more rules share a commit.
    pub gather_us: u64,
    /// Verify all pages when opening.
    pub check_integrity: bool,
}

/// `[audit]`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Audit {
    /// Between two signed checkpoints.
    pub checkpoint_ms: Millis,
    /// Days that records are kept, at least [`RETENTION_FLOOR_DAYS`].
    pub retention_days: u32,
}

/// Cybersecurity Law, Article 21: logs are kept for at least six months.
pub const RETENTION_FLOOR_DAYS: u32 = 183;

/// `[limits]`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Limits {
    /// KiB of one request's body.
    pub max_body_kib: usize,
    /// Connections on each listener.
    pub max_connections: usize,
    /// A TLS handshake.
    pub handshake_ms: Millis,
    /// A request's headers.
    pub header_ms: Millis,
    /// What requests under way get at a stop.
    pub grace_ms: Millis,
}

/// `[runtime]`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Runtime {
    /// Worker threads, 0 for one per core.
    pub workers: usize,
}

/// `[log]`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Log {
    /// Who reads it.
    pub format: LogFormat,
    /// A level or a filter of `tracing_subscriber::EnvFilter`.
    pub level: String,
}

/// Who reads the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// People.
    Text,
    /// Machines.
    Json,
}

/// What happens where every access plugin abstains and the bundle does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultAccess {
    /// The call goes on.
    Allow,
    /// The call is refused with 1102.
    Deny,
}
