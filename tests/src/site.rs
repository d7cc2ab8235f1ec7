//! One server of a world.

use std::path::{Path, PathBuf};

use isthmus_net::PeerAddress;
use isthmus_node::admin_token::Role;
use isthmus_node::client::{Api, ClientError};
use isthmus_node::config::ServerConfig;
use isthmus_node::server::{RunningServer, Server};
use isthmus_wire::ServerId;
use serde_json::{Value, json};

use crate::client::{Client, password_of};
use crate::openapi::{ADMIN, CLIENT, Ledger};

/// A server, which may be stopped for a while.
pub struct Site {
    pub id: ServerId,
    pub config: ServerConfig,
    running: Option<RunningServer>,
    ledger: Ledger,
}

impl Site {
    pub(crate) fn new(config: ServerConfig, running: RunningServer, ledger: Ledger) -> Site {
        Site { id: config.server.id.clone(), config, running: Some(running), ledger }
    }

    /// What it answered and no document describes.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub fn running(&self) -> &RunningServer {
        self.running.as_ref().unwrap_or_else(|| panic!("{} is stopped", self.id))
    }

    /// Stops it gracefully; its data stay.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// Starts it again. Its client and admin listeners have other ports then.
    pub async fn start(&mut self) {
        assert!(self.running.is_none(), "{} runs already", self.id);
        self.running = Some(Server::start(self.config.clone()).await.unwrap());
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Its address for peers.
    pub fn address(&self) -> PeerAddress {
        PeerAddress::server(&self.id, &self.running().interconnect).unwrap()
    }

    /// Its admin interface with the token of a role.
    pub fn admin(&self, role: Role) -> Api {
        self.admin_anonymous().with_token(&self.running().admin_token(role).unwrap())
    }

    pub fn admin_anonymous(&self) -> Api {
        let api = Api::new(&self.running().admin, &self.running().ca).unwrap();
        api.watched(self.ledger.watcher(&ADMIN))
    }

    /// Its client interface, nobody logged in.
    pub fn api(&self) -> Api {
        let api = Api::new(&self.running().client, &self.running().ca).unwrap();
        api.watched(self.ledger.watcher(&CLIENT))
    }

    /// `local@serverId`.
    pub fn user_id(&self, local: &str) -> String {
        format!("{local}@{}", self.id)
    }

    pub async fn create_user(&self, local: &str) {
        let body = json!({"userID": local, "name": local, "password": password_of(local)});
        self.admin(Role::System).post("/admin/v1/users", &body).await.unwrap();
    }

    /// Creates a user and logs it in.
    pub async fn user(&self, local: &str) -> Client {
        self.create_user(local).await;
        self.log_in(local).await
    }

    /// Logs a user in on one more device.
    pub async fn log_in(&self, local: &str) -> Client {
        Client::log_in(&self.api(), local).await.unwrap()
    }

    /// Activates a bundle; answers the generation.
    pub async fn activate(&self, bundle: &Path) -> u64 {
        self.try_activate(bundle).await.unwrap()
    }

    /// # Errors
    /// The refusal with its diagnostics.
    pub async fn try_activate(&self, bundle: &Path) -> Result<u64, ClientError> {
        let body = json!({"dir": bundle, "why": "a test"});
        let answer = self.admin(Role::Security).post("/admin/v1/policy/activate", &body).await?;
        Ok(answer["number"].as_u64().unwrap())
    }

    /// Back to a generation.
    pub async fn rollback(&self, to: u64) -> u64 {
        let body = json!({"to": to, "why": "a test"});
        let answer = self.admin(Role::Security).post("/admin/v1/policy/rollback", &body).await.unwrap();
        answer["number"].as_u64().unwrap()
    }

    /// The number of the active generation.
    pub async fn generation(&self) -> u64 {
        self.admin(Role::Security).get("/admin/v1/policy").await.unwrap()["generation"].as_u64().unwrap()
    }

    /// All audit records, read from the files; the server must have stopped.
    pub fn audit_from_files(&self) -> Vec<Value> {
        assert!(!self.is_running(), "what is not exported yet would be missing");
        let records = isthmus_store::audit::records(&self.audit_folder(), &self.config.keyring, 0..u64::MAX, false);
        records.unwrap().map(|record| serde_json::from_slice(&record.unwrap().record.unwrap()).unwrap()).collect()
    }

    /// Audit records that fit a query, the newest first.
    pub async fn audit(&self, query: &str) -> Vec<Value> {
        let path = format!("/admin/v1/audit?limit=1000&{query}");
        let answer = self.admin(Role::Audit).get(&path).await.unwrap();
        answer["records"].as_array().unwrap().clone()
    }

    /// Messages in quarantine, the oldest first.
    pub async fn held(&self) -> Vec<Value> {
        let answer = self.admin(Role::Security).get("/admin/v1/held").await.unwrap();
        answer["held"].as_array().unwrap().clone()
    }

    /// # Errors
    /// As the server answers.
    pub async fn decide(&self, held: &Value, decision: &str, body: &Value) -> Result<Value, ClientError> {
        let path = format!("/admin/v1/held/{}/{decision}", held["id"].as_str().unwrap());
        self.admin(Role::Security).post(&path, body).await
    }

    pub fn audit_folder(&self) -> PathBuf {
        self.config.data_dir.join("audit")
    }
}
