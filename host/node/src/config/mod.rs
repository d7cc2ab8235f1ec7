//! Configuration: what was asked (layers of text), then what it means (settled values).
//!
//! Defaults ← file ← environment ← flags. The documented files in `config/` are the defaults themselves, so that the page and
//! the program cannot disagree.

mod known;
mod platform;
mod problem;
mod section;
mod server;
mod settle;
mod source;

pub use platform::{CaRules, PLATFORM_DEFAULTS, PlatformConfig, PlatformListen, RegistryRules, Secret, Webhook};
pub use problem::{ConfigError, Problem};
pub use section::{
    AdminSessions, Audit, Client, DefaultAccess, Delivery, Limits, Log, LogFormat, Millis, RETENTION_FLOOR_DAYS,
    Runtime, Seconds, StoreTuning, Tls,
};
pub use server::{PlatformAt, PolicySource, SERVER_DEFAULTS, ServerConfig, ServerIdentity, ServerListen};
pub use source::{ENVIRONMENT_PREFIX, Sources};

#[cfg(test)]
mod tests;
