//! What a server does by itself: checkpoints, acknowledgements, addresses, standing, the watched policy folder.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use isthmus_domain::{held, session};
use isthmus_net::{Connection, Identity};
use isthmus_policy::{Call, Direction, Event};
use isthmus_wire::ServerStatus;
use tokio::time::{MissedTickBehavior, interval};

use super::Server;
use super::accounts::internal;
use super::sns::STANDING_EVERY;
use super::trail::Trail;
use crate::clock;
use crate::reply::chain;

/// Between two writes of devices' cursors.
const ACKS_EVERY: Duration = Duration::from_millis(250);
/// Between two looks at the policy folder; a change is taken when two looks in a row saw the same.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Between two steps of the sweep over dead tokens, and tokens in a step.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const SWEEP_STEP: usize = 500;
/// Between two looks at the failures of the active policy's plugins.
const BREAKER_EVERY: Duration = Duration::from_millis(250);
/// Between two looks at the age of our certificate.
const RENEWAL_EVERY: Duration = Duration::from_secs(20);
/// Held messages that are looked at in one step, and given up in one transaction.
const HELD_STEP: usize = 200;

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl Server {
    /// Runs until it is aborted. `keep` lives as long.
    pub(crate) async fn chores<K: Send>(self: Arc<Self>, keep: K) {
        let mut checkpoint = every(Duration::from_millis(self.config.audit.checkpoint_ms));
        let mut acks = every(ACKS_EVERY);
        let mut refresh = every(Duration::from_secs(self.config.platform.refresh_s));
        let mut standing = every(STANDING_EVERY);
        let mut renewal = every(RENEWAL_EVERY);
        let mut sweep = every(SWEEP_EVERY);
        let mut collect = every(SWEEP_EVERY.min(Duration::from_secs(self.config.media.unused_s)));
        let (mut swept, mut collected) = (None, None);
        self.tidy_files().await;
        let mut held = every(held_every(self.config.delivery.held_expire_s));
        loop {
            tokio::select! {
                _ = checkpoint.tick() => self.checkpoint().await,
                _ = acks.tick() => self.write_acks().await,
                _ = refresh.tick() => self.refresh_addresses().await,
                _ = standing.tick() => {
                    self.cut_barred();
                    self.tell_stage();
                }
                _ = renewal.tick() => self.renew_if_due().await,
                _ = held.tick() => self.expire_held().await,
                _ = sweep.tick() => swept = self.sweep(swept).await,
                _ = collect.tick() => collected = self.sweep_files(collected).await,
            }
            let _ = &keep;
        }
    }

    async fn checkpoint(&self) {
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || store.checkpoint(clock::now_ms())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(error = chain(&error), "the audit log could not be signed; records wait"),
            Err(error) => tracing::error!(%error, "the audit log could not be signed"),
        }
    }

    /// Cuts connections of peers that are suspended or deregistered, or whose certificate is revoked or over (R13).
    pub(crate) fn cut_barred(&self) {
        let now = clock::now();
        let barred = |connection: &Connection| {
            let info = connection.identity.server().and_then(|id| self.addresses.cached(id));
            info.is_some_and(|info| info.server_status != ServerStatus::Normal)
                || connection.serial.as_deref().is_some_and(|serial| self.channel.is_revoked(serial))
                || connection.not_after.is_some_and(|end| end < now)
        };
        let cut = self.connections.interconnect.close_where(barred);
        if cut > 0 {
            tracing::info!(connections = cut, "connections of barred servers were cut");
        }
    }

    /// Cuts connections of peers whom the active policy admits no more: asked as `server.connect`.
    pub(crate) async fn cut_denied(self: &Arc<Self>) {
        let server = self.clone();
        let judged = tokio::task::spawn_blocking(move || {
            let session = server.policy.begin();
            let denied = |identity: &Identity| {
                let Some(id) = identity.server() else { return false };
                let call = Call {
                    operation: "server.connect".into(),
                    direction: Direction::Inbound,
                    peer: Some(server.peer_facts(id)),
                    actor: String::new(),
                    target: server.id.as_str().to_owned(),
                    time_ms: clock::now_ms(),
                    attributes: Vec::new(),
                };
                !session.access(&call).allowed
            };
            server.connections.interconnect.close_where(|connection| denied(&connection.identity))
        });
        match judged.await {
            Ok(0) => {}
            Ok(cut) => tracing::info!(connections = cut, "connections of peers that are now denied were cut"),
            Err(error) => tracing::error!(%error, "live connections could not be judged"),
        }
    }

    /// Gives up held messages that nobody has decided about in time: recorded, and their senders told.
    async fn expire_held(self: &Arc<Self>) {
        let before = clock::now_ms().saturating_sub(self.config.delivery.held_expire_s * 1000);
        let mut after = None;
        loop {
            let look = || held::overdue(&self.store.view()?, before, after.as_ref(), HELD_STEP);
            let (overdue, next) = match look() {
                Ok(found) => found,
                Err(error) => return tracing::error!(error = chain(&error), "held messages could not be looked at"),
            };
            if !overdue.is_empty() {
                self.give_up_held(overdue).await;
            }
            match next {
                Some(_) => after = next,
                None => return,
            }
        }
    }

    async fn give_up_held(self: &Arc<Self>, overdue: Vec<held::Held>) {
        let session = self.policy.begin();
        let many = overdue.len();
        let recorded = |held: held::Held| {
            let info = held.message.info().ok();
            let target = info.as_ref().map_or("", |info| info.recv_id.as_str());
            let call = internal("held.expire", "isthmus", target);
            let mut fields = vec![("held".to_owned(), held.id.to_string()), ("plugin".to_owned(), held.hold.plugin)];
            fields.extend(info.map(|info| ("messageID".to_owned(), info.message_id.to_string())));
            let event = Event { call, outcome: "allowed".into(), code: 0, fields };
            (held.id, Trail::of_event(&session, event).record())
        };
        let overdue: Vec<_> = overdue.into_iter().map(recorded).collect();
        let (home, now, server, epoch) = (self.id.clone(), clock::now_ms(), self.clone(), session.epoch());
        let rule =
            move |tx: &mut isthmus_store::Tx<'_>| Server::scene(&home, now, |scene| held::expire(tx, scene, overdue));
        let given_up = async { self.store.submit(rule, move |done| server.after(done, epoch)).await?.done().await };
        match given_up.await {
            Ok(_) => tracing::info!(messages = many, "held messages that nobody decided about were given up"),
            Err(error) => tracing::error!(error = chain(&error), "held messages could not be given up"),
        }
    }

    async fn sweep(&self, from: Option<session::TokenHash>) -> Option<session::TokenHash> {
        let now = clock::now_ms();
        match self.store.write(move |tx| session::sweep(tx, now, from, SWEEP_STEP)).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(error = chain(&error), "dead tokens could not be swept");
                None
            }
        }
    }

    /// Takes a generation back of which a plugin keeps failing, loudly. Runs until it is aborted.
    pub(crate) async fn watch_breaker(self: Arc<Self>) {
        let mut looks = every(BREAKER_EVERY);
        // One whose end could not be written down is not tried again and again.
        let mut seen = 0;
        loop {
            looks.tick().await;
            if let Some(trip) = self.policy.tripped().filter(|trip| trip.generation != seen) {
                seen = trip.generation;
                self.trip(trip).await;
            }
        }
    }

    /// Activates the bundle in the watched folder whenever it changes. A broken one changes nothing but the log.
    pub(crate) async fn watch_policy(self: Arc<Self>) {
        let Some(dir) = self.config.policy.dir.clone() else { return };
        let mut looks = every(LOOK_EVERY);
        let (mut seen, mut taken) = (None, None);
        loop {
            looks.tick().await;
            let look = fingerprint(&dir);
            let settled = look == seen;
            seen = look;
            if settled && seen != taken && seen.is_some() {
                let first = taken.is_none();
                taken.clone_from(&seen);
                self.take_policy(&dir, first).await;
            }
        }
    }

    /// `first`: since the start. Then a bundle that was active once is left alone: somebody has rolled back from it.
    async fn take_policy(self: &Arc<Self>, dir: &Path, first: bool) {
        let (server, folder) = (self.clone(), dir.to_owned());
        let checked = tokio::task::spawn_blocking(move || server.policy.check(&folder)).await;
        let digest = match checked {
            Ok(Ok(report)) => report.digest,
            Ok(Err(diagnostics)) => {
                tracing::warn!(folder = %dir.display(), "the policy folder has errors; the active policy stays:\n{diagnostics}");
                return;
            }
            Err(_) => return,
        };
        let known = self.policy.history().iter().any(|entry| entry.digest == digest);
        if self.policy.begin().digest() == digest || (first && known) {
            return;
        }
        if let Err(error) = self.activate(dir.into(), "folder", "the watched folder changed").await {
            tracing::warn!(%error, "the policy folder could not be activated; the active policy stays");
        }
    }
}

/// Often enough that a short time is kept about as well as a long one.
fn held_every(expire_s: u64) -> Duration {
    Duration::from_secs((expire_s / 4).clamp(1, 60))
}

/// Names, sizes and times of everything in a bundle's folder.
fn fingerprint(dir: &Path) -> Option<Vec<(std::path::PathBuf, u64, SystemTime)>> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
            let Ok(facts) = std::fs::metadata(entry.path()) else { continue };
            if facts.is_dir() {
                folders.push(entry.path());
            } else {
                files.push((entry.path(), facts.len(), facts.modified().unwrap_or(SystemTime::UNIX_EPOCH)));
            }
        }
    }
    files.sort();
    Some(files)
}
