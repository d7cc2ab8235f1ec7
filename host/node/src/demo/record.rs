//! `demo.json`: what somebody outside needs to drive the demo.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::DemoError;
use super::folder::write_private;

/// The whole of `demo.json`. URLs are `https://127.0.0.1:port` without a path; paths are absolute.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DemoRecord {
    /// The management platform.
    pub platform: PlatformRecord,
    /// `north` and `south`.
    pub servers: Vec<ServerRecord>,
}

/// How to reach the platform.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformRecord {
    /// Its API for servers and applicants.
    pub url: String,
    /// Its administration.
    pub admin_url: String,
    /// Bearer token of its administrator.
    pub admin_token: String,
    /// PEM bundle that verifies both.
    pub ca: PathBuf,
}

/// How to reach one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerRecord {
    /// `north` or `south`.
    pub server_id: String,
    /// The name people see.
    pub server_name: String,
    /// Where other servers call it (mutual TLS).
    pub interconnect: String,
    /// Where its users call it.
    pub client: String,
    /// Where its administrators call it.
    pub admin: String,
    /// Bearer tokens of its three administrators.
    pub admin_tokens: AdminTokens,
    /// PEM bundle that verifies its listeners.
    pub ca: PathBuf,
    /// Database and audit log.
    pub data_dir: PathBuf,
    /// The watched policy folder: what is written there is activated.
    pub policy_dir: PathBuf,
    /// Its users.
    pub users: Vec<UserRecord>,
}

/// One token for each of the three separated roles (三员分立).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AdminTokens {
    /// Users, outbox, status.
    pub system: String,
    /// Policies, held messages.
    pub security: String,
    /// Reads the audit log.
    pub audit: String,
}

/// A user and the password to log in with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserRecord {
    /// `local@serverId`.
    #[serde(rename = "userID")]
    pub user_id: String,
    /// In clear: these users exist for trying only.
    pub password: String,
}

impl DemoRecord {
    /// Reads a `demo.json`.
    ///
    /// # Errors
    /// [`DemoError::File`], [`DemoError::Content`].
    pub fn read(path: &Path) -> Result<DemoRecord, DemoError> {
        let text = std::fs::read_to_string(path).map_err(DemoError::at(path))?;
        serde_json::from_str(&text).map_err(|e| DemoError::Content { path: path.to_owned(), message: e.to_string() })
    }

    /// Writes it for the owner alone: it holds tokens and passwords.
    ///
    /// # Errors
    /// [`DemoError::File`].
    pub fn write(&self, path: &Path) -> Result<(), DemoError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| DemoError::Content { path: path.to_owned(), message: e.to_string() })?;
        write_private(path, &text)
    }

    /// The server of this ID.
    #[must_use]
    pub fn server(&self, id: &str) -> Option<&ServerRecord> {
        self.servers.iter().find(|s| s.server_id == id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn the_record_has_exactly_the_published_names() {
        let text = r#"{"platform":{"url":"u","adminUrl":"a","adminToken":"t","ca":"/c"},"servers":[{"serverId":"north","serverName":"North","interconnect":"i","client":"c","admin":"a","adminTokens":{"system":"1","security":"2","audit":"3"},"ca":"/c","dataDir":"/d","policyDir":"/p","users":[{"userID":"alice@north","password":"x"}]}]}"#;
        let record: DemoRecord = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
        assert!(record.server("north").is_some() && record.server("south").is_none());
    }
}
