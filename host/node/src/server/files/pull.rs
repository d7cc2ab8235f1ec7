//! The puller: files of messages that came, fetched from their senders' servers until they are here or given up (§7.4.3).
//!
//! What is to be fetched, and when next, lies in the store; this module only keeps as many fetches under way as the
//! configuration allows. A restart goes on where it was.

use std::sync::Arc;
use std::time::Duration;

use isthmus_domain::media::pull::{self, Pull, Waiter};
use isthmus_domain::media::{self, Media, MediaKey};
use isthmus_policy::{Direction, Event};
use isthmus_store::StoreError;
use isthmus_wire::code::{Code, Refusal};
use tokio::task::JoinSet;

use super::blocking;
use super::fetch::Fetched;
use crate::clock;
use crate::reply::{Problem, chain};
use crate::server::Server;
use crate::server::gate::{self, Question};
use crate::server::trail::Trail;

/// Pulls looked at to find those that may be begun.
const LOOK: usize = 2048;
/// The longest rest of the puller.
const REST: Duration = Duration::from_secs(60);
/// What a pull waits after a fault of ours.
const FAULT_PAUSE: Duration = Duration::from_secs(15);
/// Messages handed over at a time.
const HANDFUL: usize = 16;

/// A pull under way, as long as it exists.
struct Busy {
    server: Arc<Server>,
    key: MediaKey,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.server.files.pulls().remove(&self.key);
    }
}

impl Server {
    /// Pulls files until it is aborted.
    pub(crate) async fn pull_files(self: Arc<Self>) {
        let mut jobs = JoinSet::new();
        loop {
            let rest = self.begin_pulls(&mut jobs).unwrap_or_else(|error| {
                tracing::error!(error = chain(&error), "the list of files to be fetched cannot be read");
                FAULT_PAUSE
            });
            tokio::select! {
                () = self.files.wake.notified() => {}
                Some(_) = jobs.join_next(), if !jobs.is_empty() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Begins what is due, as far as there are places; says how long to rest.
    fn begin_pulls(self: &Arc<Self>, jobs: &mut JoinSet<()>) -> Result<Duration, StoreError> {
        let limits = &self.config.media;
        if jobs.len() >= limits.pulls {
            return Ok(REST);
        }
        let view = self.store.view()?;
        let now = clock::now_ms();
        for (due_ms, key) in pull::next(&view, LOOK)? {
            if due_ms > now {
                return Ok(Duration::from_millis(due_ms - now).min(REST));
            }
            let Some(pull) = pull::find(&view, &key)? else { continue };
            let mut busy = self.files.pulls();
            let of_peer = busy.values().filter(|peer| **peer == pull.peer).count();
            if busy.contains_key(&key) || of_peer >= limits.pulls_per_peer {
                continue;
            }
            busy.insert(key, pull.peer);
            drop(busy);
            let busy = Busy { server: self.clone(), key };
            jobs.spawn(async move { busy.server.pull_file(&busy.key).await });
            if jobs.len() >= limits.pulls {
                break;
            }
        }
        Ok(REST)
    }

    async fn pull_file(self: &Arc<Self>, key: &MediaKey) {
        let Err(problem) = self.try_pull(key).await else { return };
        let error = match &problem {
            Problem::Fault(error) => chain(error.as_ref()),
            other @ (Problem::Transport(..) | Problem::Refused(_) | Problem::Later(..)) => other.to_string(),
        };
        tracing::error!(error, "a file could not be fetched or handed over");
        tokio::time::sleep(FAULT_PAUSE).await;
        self.put_off(key, FAULT_PAUSE, false).await;
    }

    async fn try_pull(self: &Arc<Self>, key: &MediaKey) -> Result<(), Problem> {
        let view = self.store.view()?;
        let (Some(pull), Some(media)) = (pull::find(&view, key)?, media::get(&view, key)?) else { return Ok(()) };
        drop(view);
        if media.blob.is_none() {
            let fetched = self.fetch_once(key, &pull, &media).await?;
            metrics::counter!("isthmus_pulls_total", "outcome" => fetched.label()).increment(1);
            match fetched {
                Fetched::Here => {}
                Fetched::Later(at_least, why) => {
                    let failures = pull.tries.saturating_add(1);
                    tracing::info!(peer = %pull.peer, failures, why, "a file could not be fetched yet");
                    let pause = self.backoff().after(failures, crate::server::postman::dice());
                    self.put_off(key, pause.max(at_least.unwrap_or_default()), true).await;
                    return Ok(());
                }
                Fetched::Never(refusal) => return self.give_up_all(key, &pull, &media, refusal).await,
            }
        }
        loop {
            let waiters = self.store.read(|view| pull::waiters(view, key, HANDFUL))?;
            if waiters.is_empty() {
                return Ok(());
            }
            for waiter in waiters {
                if !self.hand_over(key, &pull, waiter).await? {
                    self.put_off(key, Duration::from_secs(1), false).await;
                    return Ok(());
                }
            }
        }
    }

    async fn fetch_once(self: &Arc<Self>, key: &MediaKey, pull: &Pull, media: &Media) -> Result<Fetched, Problem> {
        let left = pull.expires_ms.saturating_sub(clock::now_ms());
        let expired = || Refusal::new(Code::PEER_UNREACHABLE, "the file could not be fetched in time");
        if left == 0 {
            return Ok(Fetched::Never(expired()));
        }
        // However slowly it comes: no fetch outlives the wait.
        match tokio::time::timeout(Duration::from_millis(left), Box::pin(self.fetch(key, pull, media))).await {
            Ok(fetched) => fetched,
            Err(_) => Ok(Fetched::Never(expired())),
        }
    }

    async fn put_off(&self, key: &MediaKey, pause: Duration, failed: bool) {
        let key = *key;
        let next_ms = clock::now_ms() + u64::try_from(pause.as_millis()).unwrap_or(u64::MAX / 2);
        if let Err(error) = self.store.write(move |tx| pull::defer(tx, &key, next_ms, failed)).await {
            tracing::error!(error = chain(&error), "a pull could not be put off");
            tokio::time::sleep(FAULT_PAUSE).await;
        }
    }

    async fn give_up_all(
        self: &Arc<Self>,
        key: &MediaKey,
        pull: &Pull,
        media: &Media,
        why: Refusal,
    ) -> Result<(), Problem> {
        tracing::info!(peer = %pull.peer, code = %why.code, why = why.message, "a file is given up");
        loop {
            let waiters = self.store.read(|view| pull::waiters(view, key, HANDFUL))?;
            if waiters.is_empty() {
                break;
            }
            for Waiter { record, .. } in waiters {
                let mut question = self.about_file(pull, media.owner.as_str(), "");
                question.fields.push(("mediaID".to_owned(), media.media_id.to_string()));
                let event = Event { call: question.call, outcome: "failed".into(), code: 0, fields: question.fields };
                let mut trail = Trail::of_event(&self.policy.begin(), event);
                trail.failed(why.code, &why.message);
                self.give_up(key, record, why.clone(), &trail).await?;
            }
        }
        let (blobs, draft) = (self.store.blobs().clone(), key.draft());
        blocking(move || blobs.discard(&draft)).await?;
        Ok(())
    }

    /// A message's file cannot be had or shown: both users are told.
    pub(super) async fn give_up(
        self: &Arc<Self>,
        key: &MediaKey,
        record: isthmus_domain::TimeId,
        why: Refusal,
        trail: &Trail,
    ) -> Result<(), Problem> {
        let (key, audit, home, server) = (*key, trail.record(), self.id.clone(), self.clone());
        let rule = move |tx: &mut isthmus_store::Tx<'_>| {
            Server::scene(&home, clock::now_ms(), |scene| pull::give_up(tx, scene, &key, &record, &why, audit))
        };
        self.store.submit(rule, move |done| server.after(done, 0)).await?.done().await?;
        Ok(())
    }

    /// The question about a file on its way from another server.
    pub(super) fn about_file(&self, pull: &Pull, sender: &str, recipient: &str) -> Question {
        let facts = Some(self.peer_facts(&pull.peer));
        gate::call(Direction::Inbound, "file.receive", facts, sender, recipient).into()
    }
}
