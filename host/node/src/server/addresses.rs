//! Where other servers are and what their standing is (§7.5.4, R13): the platform's answers, cached
//! in memory and on the disk, refreshed on a timer and on a miss.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use isthmus_domain::peer;
use isthmus_store::Store;
use isthmus_wire::{ServerId, ServerInfo, ServerStatus};

use super::enroll::PlatformLink;
use crate::clock;

/// A miss is asked about at most so often per server, however many requests ask.
const MISS_EVERY: Duration = Duration::from_secs(2);

/// What the registry says of a server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    /// The platform knows no such server.
    #[error("the platform knows no server {0}")]
    Unknown(ServerId),
    /// It is suspended or deregistered (R13).
    #[error("server {id} is {standing}")]
    Barred {
        /// Which.
        id: ServerId,
        /// In words.
        standing: &'static str,
    },
    /// Not cached, and the platform cannot be asked now.
    #[error("the platform cannot be reached, and server {0} is not known yet")]
    Unreachable(ServerId),
}

/// The cache.
pub(crate) struct Addresses {
    known: RwLock<HashMap<ServerId, Arc<ServerInfo>>>,
    missed: Mutex<HashMap<ServerId, Instant>>,
    store: Store,
    platform: Arc<PlatformLink>,
}

impl Addresses {
    /// Begins with what the disk holds.
    pub(crate) fn open(store: Store, platform: Arc<PlatformLink>) -> Result<Addresses, isthmus_store::StoreError> {
        let known = store.read(peer::list)?.into_iter().filter_map(|peer| peer.info);
        let known = known.map(|info| (info.server_id.clone(), Arc::new(info))).collect();
        Ok(Addresses { known: RwLock::new(known), missed: Mutex::default(), store, platform })
    }

    /// A server in good standing. Asks the platform on a miss.
    pub(crate) async fn admitted(&self, id: &ServerId) -> Result<Arc<ServerInfo>, AddressError> {
        let info = match self.cached(id) {
            Some(info) => info,
            None => self.ask(id).await?,
        };
        match info.server_status {
            ServerStatus::Normal => Ok(info),
            ServerStatus::Suspended => Err(AddressError::Barred { id: id.clone(), standing: "suspended" }),
            ServerStatus::Deregistered => Err(AddressError::Barred { id: id.clone(), standing: "deregistered" }),
        }
    }

    /// What is known without asking anybody.
    pub(crate) fn cached(&self, id: &ServerId) -> Option<Arc<ServerInfo>> {
        self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(id).cloned()
    }

    /// The way to the platform.
    pub(crate) fn platform(&self) -> &PlatformLink {
        &self.platform
    }

    /// All that is known, for the console.
    pub(crate) fn all(&self) -> Vec<Arc<ServerInfo>> {
        self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).values().cloned().collect()
    }

    /// Finds out whether a serverId that an ID names is registered (R11), and remembers the answer either way.
    pub(crate) async fn settle(&self, id: &ServerId) {
        if let Err(AddressError::Unknown(id)) = self.admitted(id).await {
            let now = clock::now_ms();
            let kept = self.store.write(move |tx| {
                peer::put_absent(tx, &id, now);
                Ok::<_, isthmus_store::StoreError>(())
            });
            if let Err(error) = kept.await {
                tracing::error!(error = crate::reply::chain(&error), "that a server is unknown could not be kept");
            }
        }
    }

    async fn ask(&self, id: &ServerId) -> Result<Arc<ServerInfo>, AddressError> {
        if self.missed_lately(id) {
            return Err(AddressError::Unknown(id.clone()));
        }
        let found = self.platform.nodes(Some(id)).await.map_err(|error| {
            tracing::warn!(server = %id, %error, "the platform could not be asked for an address");
            AddressError::Unreachable(id.clone())
        })?;
        self.learn(found).await;
        self.cached(id).ok_or_else(|| {
            self.missed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(id.clone(), Instant::now());
            AddressError::Unknown(id.clone())
        })
    }

    fn missed_lately(&self, id: &ServerId) -> bool {
        let mut missed = self.missed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        missed.retain(|_, when| when.elapsed() < MISS_EVERY);
        missed.contains_key(id)
    }

    /// Asks for all servers and keeps the answer. Returns those whose address or standing changed.
    pub(crate) async fn refresh(&self) -> Result<Vec<ServerId>, super::enroll::PlatformError> {
        let found = self.platform.nodes(None).await?;
        Ok(self.learn(found).await)
    }

    async fn learn(&self, found: Vec<ServerInfo>) -> Vec<ServerId> {
        let changed: Vec<ServerInfo> =
            found.into_iter().filter(|info| self.cached(&info.server_id).as_deref() != Some(info)).collect();
        if changed.is_empty() {
            return Vec::new();
        }
        let (rows, now) = (changed.clone(), clock::now_ms());
        let kept = self
            .store
            .write(move |tx| {
                rows.iter().for_each(|info| peer::put(tx, info, now));
                Ok::<_, isthmus_store::StoreError>(())
            })
            .await;
        if let Err(error) = kept {
            tracing::error!(error = crate::reply::chain(&error), "addresses could not be kept");
        }
        let mut known = self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let ids = changed.iter().map(|info| info.server_id.clone()).collect();
        known.extend(changed.into_iter().map(|info| (info.server_id.clone(), Arc::new(info))));
        ids
    }
}
