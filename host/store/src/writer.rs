//! Group commit: one thread takes all rules that wait, runs each over its own overlay, commits once, then answers all.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use redb::{Database, Durability, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use crate::{
    KeyRing, StoreError, Tx, WriteError,
    audit::{Frontier, leaf, pending},
    engine::{Bytes, KV},
    journal::Journal,
    random,
    seal::{DataKey, OVERHEAD, SEALS_PER_KEY, Scratch, Seals},
    store::Shared,
    table::{AUDIT_PENDING, AUDIT_STATE, COUNTERS, DATA_KEYS},
    tx::{Change, Counters, Writes},
};

pub(crate) type Answer<T, E> = Result<T, WriteError<E>>;

/// How a rule ended before the commit.
pub(crate) enum Ended {
    Kept,
    Refused,
    Panicked,
}

/// A waiting rule, its types hidden.
pub(crate) trait Job: Send {
    fn run(&mut self, tx: &mut Tx<'_>) -> Ended;
    /// After the commit, or with the reason why there was none.
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

pub(crate) enum Message {
    Rule(Box<dyn Job>),
    Rotate(oneshot::Sender<Result<u32, StoreError>>),
    Stop,
}

pub(crate) struct Waiting<T, E, F, N> {
    pub(crate) rule: Option<F>,
    /// Told of the outcome after the commit, in the order of the rules.
    pub(crate) then: N,
    pub(crate) outcome: Option<Answer<T, E>>,
    pub(crate) reply: oneshot::Sender<Answer<T, E>>,
}

impl<T, E, F, N> Job for Waiting<T, E, F, N>
where
    T: Send,
    E: Send,
    N: FnOnce(&T) + Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Ended {
        let Some(rule) = self.rule.take() else { return Ended::Refused };
        match catch_unwind(AssertUnwindSafe(|| rule(tx))) {
            Ok(Ok(value)) => {
                self.outcome = Some(Ok(value));
                Ended::Kept
            }
            Ok(Err(refusal)) => {
                self.outcome = Some(Err(WriteError::Refused(refusal)));
                Ended::Refused
            }
            Err(payload) => {
                self.outcome = Some(Err(StoreError::Panicked(panic_text(&*payload)).into()));
                Ended::Panicked
            }
        }
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        let Waiting { then, outcome, reply, .. } = *self;
        let answer = match failed {
            Some(fault) => Err(fault.into()),
            None => outcome.unwrap_or(Err(StoreError::Closed.into())),
        };
        if let Ok(value) = &answer
            && let Err(payload) = catch_unwind(AssertUnwindSafe(|| then(value)))
        {
            tracing::error!(panic = panic_text(&*payload), "what follows a commit panicked");
        }
        // The caller may have gone; the rule stands all the same.
        let _ = reply.send(answer);
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

type Table<'t> = redb::Table<'t, Bytes, Bytes>;

pub(crate) struct Writer {
    pub(crate) db: Arc<Database>,
    pub(crate) ring: Arc<KeyRing>,
    pub(crate) database: String,
    pub(crate) seals: Arc<Seals>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: mpsc::Receiver<Message>,
    pub(crate) max_batch: usize,
    pub(crate) gather: Duration,
    pub(crate) journal: Journal,
    pub(crate) frontier: Frontier,
    pub(crate) counters: Counters,
    pub(crate) scratch: Scratch,
    /// Seals of the current data key that the database knows of.
    pub(crate) seals_stored: u64,
}

/// What the rules of one batch leave to be written at its end.
#[derive(Default)]
struct Batch {
    records: Vec<Vec<u8>>,
    counters: Vec<String>,
    changed: bool,
    /// The journal has room for it.
    journaled: bool,
}

impl Writer {
    pub(crate) fn run(mut self) {
        let mut jobs: Vec<Box<dyn Job>> = Vec::with_capacity(self.max_batch);
        let (mut stop, mut company) = (false, false);
        while !stop {
            let Some(message) = self.queue.blocking_recv() else { break };
            // Waiting pays only where rules come side by side.
            if company && !self.gather.is_zero() {
                thread::sleep(self.gather);
            }
            let mut next = Some(message);
            while let Some(message) = next.take() {
                match message {
                    Message::Rule(job) => jobs.push(job),
                    Message::Rotate(reply) => {
                        let _ = reply.send(self.rotate());
                    }
                    Message::Stop => {
                        stop = true;
                        break;
                    }
                }
                if jobs.len() < self.max_batch {
                    next = self.queue.try_recv().ok();
                }
            }
            company = jobs.len() > 1;
            if !jobs.is_empty() {
                self.batch(&mut jobs);
            }
        }
        if self.shared.failed().is_none()
            && let Err(error) = self.settle()
        {
            tracing::error!(error = &error as &dyn std::error::Error, "the journal stays for the next start");
        }
    }

    /// At the end the engine has everything.
    fn settle(&mut self) -> Result<(), StoreError> {
        if self.journal.is_empty() {
            return Ok(());
        }
        self.db.begin_write().map_err(StoreError::engine)?.commit().map_err(StoreError::engine)?;
        self.journal.clear()
    }

    /// After a failed commit nothing more is written: what is on the disk is unknown until the store is opened again.
    fn batch(&mut self, jobs: &mut Vec<Box<dyn Job>>) {
        self.shared.counts.batch(jobs.len());
        let failed = self.shared.failed().or_else(|| {
            let error = self.commit(jobs).err()?;
            tracing::error!(error = &error as &dyn std::error::Error, "a commit failed; the store stops");
            Some(self.shared.fail(&error))
        });
        if failed.is_some() {
            self.shared.counts.faults.fetch_add(jobs.len() as u64, Relaxed);
        }
        for job in jobs.drain(..) {
            job.answer(failed.clone().map(StoreError::Failed));
        }
    }

    fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        if self.seals.current().seals() >= SEALS_PER_KEY {
            self.rotate()?;
        }
        let begun = Instant::now();
        // One phase (redb's default): the newest root whose pages all match their checksums counts after a crash, and
        // the check at open walks them anyway. Two phases cost a second sync, 15 to 35 % more CPU a rule; quick repair
        // 30 to 90 %.
        let txn = self.db.begin_write().map_err(StoreError::engine)?;
        let mut table = txn.open_table(KV).map_err(StoreError::engine)?;
        let mut batch = Batch::default();
        let key = self.seals.current();
        self.journal.begin();
        self.rules(jobs, &mut table, &key, &mut batch)?;
        if batch.changed {
            self.finish(&mut table, &key, &mut batch)?;
        }
        drop(table);
        self.shared.counts.rule_micros.fetch_add(micros(begun), Relaxed);
        if !batch.changed {
            return txn.abort().map_err(StoreError::engine);
        }
        let begun = Instant::now();
        self.make_durable(txn, batch.journaled)?;
        self.shared.counts.committed(micros(begun));
        self.shared.counts.audit_size.store(self.frontier.size(), Relaxed);
        Ok(())
    }

    /// By the journal, and in the engine's memory; or by the engine, if the journal is full. Readers see it afterwards.
    fn make_durable(&mut self, mut txn: WriteTransaction, journaled: bool) -> Result<(), StoreError> {
        if !journaled {
            txn.commit().map_err(StoreError::engine)?;
            self.journal.restart();
            return Ok(());
        }
        self.journal.append()?;
        txn.set_durability(Durability::None).map_err(|error| StoreError::Engine(Box::new(error)))?;
        txn.commit().map_err(StoreError::engine)
    }

    fn rules(
        &mut self,
        jobs: &mut [Box<dyn Job>],
        table: &mut Table<'_>,
        key: &DataKey,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let mut writes = Writes::default();
        for job in jobs {
            let mut tx = Tx {
                base: table,
                seals: &self.seals,
                counters: &self.counters,
                first_leaf: self.frontier.size() + batch.records.len() as u64,
                writes,
            };
            let ended = job.run(&mut tx);
            writes = tx.writes;
            match ended {
                Ended::Kept => self.keep(&mut writes, table, key, batch)?,
                Ended::Refused => {
                    self.shared.counts.refused.fetch_add(1, Relaxed);
                }
                Ended::Panicked => {
                    self.shared.counts.faults.fetch_add(1, Relaxed);
                }
            }
            writes.clear();
        }
        Ok(())
    }

    fn keep(
        &mut self,
        writes: &mut Writes,
        table: &mut Table<'_>,
        key: &DataKey,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        batch.changed |= !writes.is_empty();
        for (place, change) in &writes.rows {
            match change {
                Change::Put { sealed: true, value } => self.put_sealed(table, key, place, value)?,
                Change::Put { sealed: false, value } => self.put(table, place, value)?,
                Change::Delete => self.delete(table, place)?,
            }
        }
        for (name, value) in writes.counters.drain() {
            batch.counters.push(name.clone());
            self.counters.insert(name, value);
        }
        batch.records.append(&mut writes.records);
        Ok(())
    }

    /// Counters and audit records: once a batch, however many rules touched them.
    fn finish(&mut self, table: &mut Table<'_>, key: &DataKey, batch: &mut Batch) -> Result<(), StoreError> {
        batch.counters.sort_unstable();
        batch.counters.dedup();
        for name in &batch.counters {
            let value = self.counters.get(name).copied().unwrap_or_default();
            self.put(table, &COUNTERS.key(name.as_bytes()), &value.to_be_bytes())?;
        }
        if !batch.records.is_empty() {
            let first = AUDIT_PENDING.key(&self.frontier.size().to_be_bytes());
            let (row, entries) = pending::encode(&batch.records, &mut self.scratch.random)?;
            self.put_sealed(table, key, &first, &row)?;
            for entry in &entries {
                self.frontier.push(leaf(entry));
            }
            let state = self.frontier.encode();
            self.put_sealed(table, key, &AUDIT_STATE.key(b"size"), &state)?;
        }
        if key.seals() >= self.seals_stored + SEALS_STEP {
            self.seals_stored = key.seals();
            self.put(table, &seals_key(key.number), &self.seals_stored.to_be_bytes())?;
        }
        batch.journaled = self.journal.advance();
        table.insert(&journal_key()[..], &self.journal.number().to_be_bytes()[..])?;
        Ok(())
    }

    fn put(&mut self, table: &mut Table<'_>, place: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.journal.put(place, value.len()).copy_from_slice(value);
        table.insert(place, value)?;
        Ok(())
    }

    fn put_sealed(
        &mut self,
        table: &mut Table<'_>,
        key: &DataKey,
        place: &[u8],
        value: &[u8],
    ) -> Result<(), StoreError> {
        let sealed = self.journal.put(place, value.len() + OVERHEAD);
        self.seals.seal_into(key, place, value, sealed, &mut self.scratch)?;
        table.insert(place, &*sealed)?;
        Ok(())
    }

    fn delete(&mut self, table: &mut Table<'_>, place: &[u8]) -> Result<(), StoreError> {
        self.journal.delete(place);
        table.remove(place)?;
        Ok(())
    }

    /// A new data key seals from now on; committed before its first use.
    fn rotate(&mut self) -> Result<u32, StoreError> {
        let number = self.seals.current().number + 1;
        let secret = random::Random::new().take()?;
        let wrapped = DataKey::wrap(&self.ring, &self.database, number, &secret)?;
        let txn = self.db.begin_write().map_err(StoreError::engine)?;
        txn.open_table(KV)
            .map_err(StoreError::engine)?
            .insert(&DATA_KEYS.key(&number.to_be_bytes())[..], &wrapped[..])?;
        txn.commit().map_err(StoreError::engine)?;
        let (key, _, _) = DataKey::open(&self.ring, &self.database, number, wrapped)?;
        self.seals.add(key);
        self.seals_stored = 0;
        tracing::info!(data_key = number, "a new data key seals from now on");
        Ok(number)
    }
}

/// How many seals may go unnoted: after a crash they are counted as if all had happened.
pub(crate) const SEALS_STEP: u64 = 1 << 20;

pub(crate) fn seals_key(number: u32) -> Vec<u8> {
    COUNTERS.key(format!("store.seals.{number}").as_bytes())
}

/// Number of the last commit, in each of them: what of the journal the database has.
pub(crate) fn journal_key() -> Vec<u8> {
    COUNTERS.key(b"store.journal")
}

fn micros(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}
