//! Where other servers are and what their standing is (§7.5.4, R13): the platform's answers, cached
//! in memory and on the disk, refreshed on a timer and on a miss.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use isthmus_domain::table::META;
use isthmus_domain::{peer, registry};
use isthmus_store::{Reader as _, Store, StoreError, WriteError};
use isthmus_wire::{ServerId, ServerInfo, ServerStatus};
use serde::{Deserialize, Serialize};

use super::link::{PlatformError, PlatformLink};
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

/// All that is known, and how far.
#[derive(Default)]
struct Known {
    servers: HashMap<ServerId, Arc<ServerInfo>>,
    /// XOR of the hashes of all records.
    digest: [u8; 32],
    at: At,
}

/// The serial of the platform's registry up to which we have everything, and the greatest that we have seen.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct At {
    serial: u64,
    highest: u64,
}

impl Known {
    fn put(&mut self, info: ServerInfo) {
        registry::mix(&mut self.digest, registry::hash(&info));
        let before = self.servers.insert(info.server_id.clone(), Arc::new(info));
        if let Some(before) = before {
            registry::mix(&mut self.digest, registry::hash(&before));
        }
    }
}

const AT: &[u8] = b"platform registry";

/// The cache.
pub(crate) struct Addresses {
    known: RwLock<Known>,
    missed: Mutex<HashMap<ServerId, Instant>>,
    store: Store,
    platform: Arc<PlatformLink>,
}

impl Addresses {
    /// Begins with what the disk holds.
    pub(crate) fn open(store: Store, platform: Arc<PlatformLink>) -> Result<Addresses, isthmus_store::StoreError> {
        let (peers, at) = store.read(|view| Ok((peer::list(view)?, view.get(META, AT)?)))?;
        let at = at.and_then(|kept| serde_json::from_slice(&kept).ok()).unwrap_or_default();
        let mut known = Known { at, ..Known::default() };
        peers.into_iter().filter_map(|peer| peer.info).for_each(|info| known.put(info));
        Ok(Addresses { known: RwLock::new(known), missed: Mutex::default(), store, platform })
    }

    /// The serial of the platform's registry up to which we have everything; 0: none of it.
    pub(crate) fn serial(&self) -> u64 {
        self.read().at.serial
    }

    /// The greatest serial that the platform has shown: it shows no smaller one.
    pub(crate) fn highest(&self) -> u64 {
        self.read().at.highest
    }

    /// Over all that is known, in hex.
    pub(crate) fn digest(&self) -> String {
        hex::encode(self.read().digest)
    }

    /// Begins anew with the next page.
    pub(crate) fn forget_serial(&self) {
        self.write().at.serial = 0;
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner)
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
        self.read().servers.get(id).cloned()
    }

    /// The way to the platform.
    pub(crate) fn platform(&self) -> &PlatformLink {
        &self.platform
    }

    /// All that is known, for the console.
    pub(crate) fn all(&self) -> Vec<Arc<ServerInfo>> {
        self.read().servers.values().cloned().collect()
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
        if let Err(error) = self.learn(found, None).await {
            tracing::error!(error = crate::reply::chain(&error), "an address could not be kept");
        }
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
    pub(crate) async fn refresh(&self) -> Result<Vec<ServerId>, PlatformError> {
        let found = self.platform.nodes(None).await?;
        self.learn(found, None).await.or_else(|error| {
            tracing::error!(error = crate::reply::chain(&error), "addresses could not be kept");
            Ok(Vec::new())
        })
    }

    /// Takes a page of the registry in: `since` what it began, its last serial, and the registry's own. A page that does not follow
    /// what we have (another one came first) is left. Returns those whose address or standing changed.
    pub(crate) async fn take(
        &self,
        found: Vec<ServerInfo>,
        (since, serial, latest): (u64, u64, u64),
    ) -> Result<Vec<ServerId>, StoreError> {
        if self.serial() != since {
            return Ok(Vec::new());
        }
        self.learn(found, Some(At { serial, highest: latest })).await
    }

    /// In the cache once it is on the disk: what the platform takes back must not come again with a restart.
    async fn learn(&self, found: Vec<ServerInfo>, at: Option<At>) -> Result<Vec<ServerId>, StoreError> {
        let changed: Vec<ServerInfo> =
            found.into_iter().filter(|info| self.cached(&info.server_id).as_deref() != Some(info)).collect();
        let at = at.map(|at| At { highest: at.highest.max(self.highest()), ..at });
        let moved = at.filter(|at| at.serial != self.serial() || at.highest != self.highest());
        if changed.is_empty() && moved.is_none() {
            return Ok(Vec::new());
        }
        let (rows, now) = (changed.clone(), clock::now_ms());
        let kept = self.store.write(move |tx| {
            rows.iter().for_each(|info| peer::put(tx, info, now));
            if let Some(at) = moved {
                tx.put(META, AT, &serde_json::to_vec(&at).unwrap_or_default());
            }
            Ok::<_, StoreError>(())
        });
        kept.await.map_err(|error| match error {
            WriteError::Refused(error) | WriteError::Fault(error) => error,
        })?;
        let mut known = self.write();
        if let Some(at) = moved {
            known.at = at;
        }
        let ids = changed.iter().map(|info| info.server_id.clone()).collect();
        changed.into_iter().for_each(|info| known.put(info));
        Ok(ids)
    }
}
