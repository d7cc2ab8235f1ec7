//! Taking in the platform's signed registry: verified, never an older one, page by page, on a timer and as it changes.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use isthmus_net::Identity;
use isthmus_net::tls::{StatementError, verify_statement};
use isthmus_store::StoreError;
use isthmus_wire::registry::{Ask, CONTEXT, Signed, Statement};
use isthmus_wire::{ServerId, ServerStatus};

use super::Server;
use super::channel::NewsError;
use super::enroll::Lists;
use super::link::PlatformError;
use crate::reply::chain;

/// Seconds that the platform may keep us waiting for a change.
const WAIT_S: u64 = 20;
/// After a failure: the next attempt, and at most so long.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(15);

/// Why the platform's registry was not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error(transparent)]
    Platform(#[from] PlatformError),
    #[error("the registry's statement is not believed: {0}")]
    Statement(#[from] StatementError),
    #[error("the registry's statement cannot be read: {0}")]
    Malformed(String),
    #[error("the registry's statement is of the platform {0:?}, not of ours")]
    Foreign(String),
    /// R: what was taken back stays taken back.
    #[error(
        "the platform shows an older registry (serial {theirs}) than we have seen (serial {ours}): refused; has it been restored from a backup?"
    )]
    Older { ours: u64, theirs: u64 },
    #[error(transparent)]
    News(#[from] NewsError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an answer of the platform's changed.
#[derive(Default)]
struct Taken {
    /// Address or standing of these.
    servers: Vec<ServerId>,
    /// Somebody's certificate is revoked who had a good one before.
    revoked: bool,
    /// The platform knows no such call.
    unsupported: bool,
}

impl Server {
    /// Waits for changes and takes them in, until it is aborted.
    pub(crate) async fn watch_registry(self: std::sync::Arc<Self>) {
        let mut retry = RETRY_MIN;
        loop {
            match self.take_registry(WAIT_S).await {
                Ok(taken) if taken.unsupported => {
                    tokio::time::sleep(Duration::from_secs(self.config.platform.refresh_s)).await;
                }
                Ok(taken) => {
                    self.follow(&taken);
                    retry = RETRY_MIN;
                }
                Err(error) => {
                    tracing::debug!(error = chain(&error), "the registry's changes were not heard of");
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MAX).min(Duration::from_secs(self.config.platform.refresh_s));
                }
            }
        }
    }

    /// Asks for what has changed, now. A platform that knows the standard alone is asked for all.
    pub(crate) async fn refresh_addresses(&self) {
        let taken = match self.take_registry(0).await {
            Ok(taken) if taken.unsupported => {
                let all = self.addresses.refresh().await;
                all.map(|servers| Taken { servers, ..taken }).map_err(RegistryError::from)
            }
            other => other,
        };
        match taken {
            Ok(taken) => self.follow(&taken),
            Err(error) => {
                tracing::warn!(error = chain(&error), "addresses could not be refreshed; the known ones serve on");
            }
        }
    }

    fn follow(&self, taken: &Taken) {
        for id in &taken.servers {
            tracing::info!(server = %id, "address or standing of a server learnt");
            let barred = self.addresses.cached(id).is_some_and(|info| info.server_status != ServerStatus::Normal);
            if barred {
                self.peers.close(&Identity::Server(id.clone()));
            }
            self.outbox.road(id).hint();
        }
        if taken.revoked || !taken.servers.is_empty() {
            self.cut_barred();
        }
    }

    /// All pages from where we are. `wait`: seconds until the first of them may come.
    async fn take_registry(&self, wait: u64) -> Result<Taken, RegistryError> {
        let taken = self.take_pages(wait).await;
        match &taken {
            // That nobody answers is told elsewhere.
            Err(RegistryError::Platform(_)) => {}
            other => self.stage.registry(other.as_ref().err().map(|error| chain(error))),
        }
        taken
    }

    async fn take_pages(&self, wait: u64) -> Result<Taken, RegistryError> {
        let (mut taken, mut wait, mut whole) = (Taken::default(), wait, false);
        loop {
            let since = self.addresses.serial();
            let ask = Ask { since, wait, list: self.channel.list_number() };
            let Some(signed) = self.addresses.platform().registry(ask).await? else {
                return Ok(Taken { unsupported: true, ..taken });
            };
            let statement = self.verify(&signed)?;
            let digest = statement.digest.clone();
            let last = statement.serial >= statement.latest;
            self.take_statement(statement, &signed.issuers, since, &mut taken).await?;
            if last && (digest == self.addresses.digest() || self.addresses.serial() == 0 || whole) {
                return Ok(taken);
            }
            if last {
                tracing::warn!("what we know of the servers is not what the platform has; asking for all of it");
                self.addresses.forget_serial();
                whole = true;
            }
            wait = 0;
        }
    }

    fn verify(&self, signed: &Signed) -> Result<Statement, RegistryError> {
        let malformed = |error: String| RegistryError::Malformed(error);
        let signature = STANDARD.decode(&signed.signature).map_err(|error| malformed(error.to_string()))?;
        let words = format!("{CONTEXT}{}", signed.statement);
        verify_statement(words.as_bytes(), &signature, &signed.issuers, &self.channel.roots())?;
        let statement: Statement =
            serde_json::from_str(&signed.statement).map_err(|error| malformed(error.to_string()))?;
        if statement.platform != self.channel.domain() {
            return Err(RegistryError::Foreign(statement.platform));
        }
        let ours = self.addresses.highest();
        if statement.latest < ours {
            return Err(RegistryError::Older { ours, theirs: statement.latest });
        }
        Ok(statement)
    }

    async fn take_statement(
        &self,
        statement: Statement,
        issuers: &str,
        since: u64,
        taken: &mut Taken,
    ) -> Result<(), RegistryError> {
        self.channel.learn_roots(&statement.roots)?;
        if let Some(lists) = statement.lists {
            let der = lists.der.iter().map(|list| STANDARD.decode(list)).collect::<Result<_, _>>();
            let der = der.map_err(|error| RegistryError::Malformed(error.to_string()))?;
            taken.revoked |= self.channel.learn_lists(Lists { number: lists.number, der }, issuers)?;
        }
        let upto = (since, statement.serial, statement.latest);
        taken.servers.extend(self.addresses.take(statement.servers, upto).await?);
        if !self.channel.is_under_signing_root() {
            self.renew_if_due().await;
        }
        Ok(())
    }
}
