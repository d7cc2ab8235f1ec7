//! The store as its callers see it.

use std::{
    fmt,
    future::Future,
    ops::Bound,
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock},
    task::{Context, Poll, Wake, Waker},
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use redb::{Database, ReadableDatabase};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use crate::{
    KeyRing, Options, Stats, StoreError, Table, Tx, View, WriteError,
    audit::{Checkpoint, Export, Numbered},
    blob::Blobs,
    engine::{self, DATABASE_FILE, KV},
    journal::{self, JournalFile},
    open,
    seal::{Scratch, Seals},
    stats::Counts,
    writer::{Message, Waiting, Writer},
};

/// Where the audit log's files lie within the data folder.
const AUDIT_FOLDER: &str = "audit";
/// Where the blobs lie within the data folder.
const BLOB_FOLDER: &str = "blobs";

/// What the writer thread and callers both know.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) counts: Counts,
    failed: OnceLock<Arc<str>>,
}

impl Shared {
    pub(crate) fn failed(&self) -> Option<Arc<str>> {
        self.failed.get().cloned()
    }

    /// Enters the failed state; the first reason stays.
    pub(crate) fn fail(&self, error: &StoreError) -> Arc<str> {
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            reason = format!("{reason}: {error}");
            cause = error.source();
        }
        Arc::clone(self.failed.get_or_init(|| reason.into()))
    }
}

/// An open store. Clones are the same store; it is closed by [`Store::close`] or with its last clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.inner.audit_dir.parent().unwrap_or(Path::new("")).display())
    }
}

struct Inner {
    db: RwLock<Option<Arc<Database>>>,
    queue: mpsc::Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
    seals: Arc<Seals>,
    ring: Arc<KeyRing>,
    export: Mutex<Export>,
    audit_dir: PathBuf,
    blobs: Blobs,
    write_wait: Duration,
}

impl Store {
    /// Opens the store, or makes it at the first start; checks that audit files and database agree. Blocking.
    ///
    /// # Errors
    /// With words for the operator: locked by another process, damaged, key ring missing or exposed, audit files that
    /// lag behind.
    pub fn open(o: &Options) -> Result<Store, StoreError> {
        open::data_folder(&o.dir)?;
        let ring = KeyRing::open_or_create(&o.keyring, &o.dir)?;
        let path = o.dir.join(DATABASE_FILE);
        let db = engine::open(&path, o.cache_bytes, o.check_integrity)?;
        let journal = journal::file(&o.dir)?;
        open::sync_folder(&o.dir)?;
        Store::start(o, &path, db, journal, ring)
    }

    pub(crate) fn start(
        o: &Options,
        path: &Path,
        db: Database,
        journal: JournalFile,
        ring: KeyRing,
    ) -> Result<Store, StoreError> {
        let opened = open::prepare(&db, path, journal, &o.database, &ring)?;
        let (seals, ring, db) = (Arc::new(opened.seals), Arc::new(ring), Arc::new(db));
        let blobs = Blobs::open(&o.dir.join(BLOB_FOLDER), &ring)?;
        let view = view(&db, &seals)?;
        let audit_dir = o.dir.join(AUDIT_FOLDER);
        let export = Export::open(&audit_dir, &o.audit_origin, &o.database, &ring, &seals, &view, &opened.frontier)?;
        drop(view);
        let shared = Arc::new(Shared::default());
        shared.counts.audit_size.store(opened.frontier.size(), std::sync::atomic::Ordering::Relaxed);
        shared.counts.audit_checkpoint.store(export.size(), std::sync::atomic::Ordering::Relaxed);
        let (queue, receiver) = mpsc::channel(o.queue.max(1));
        let writer = Writer {
            db: Arc::clone(&db),
            ring: Arc::clone(&ring),
            database: o.database.clone(),
            seals: Arc::clone(&seals),
            shared: Arc::clone(&shared),
            queue: receiver,
            max_batch: o.max_batch.max(1),
            gather: o.gather,
            journal: opened.journal,
            frontier: opened.frontier,
            counters: opened.counters,
            scratch: Scratch::new(),
            seals_stored: opened.seals_stored,
        };
        let thread = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(StoreError::io("start the writer thread for", path))?;
        let inner = Inner {
            db: RwLock::new(Some(db)),
            queue,
            thread: Mutex::new(Some(thread)),
            shared,
            seals,
            ring,
            export: Mutex::new(export),
            audit_dir,
            blobs,
            write_wait: o.write_wait,
        };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Runs a rule and answers once the disk has its writes. A refusal too is answered only after the commit, because
    /// what it saw may have been written by a rule of the same batch.
    ///
    /// A rule runs on the writer thread, with all others waiting: it must not block, and must not call the store. It
    /// runs even if the caller goes away. Needs a tokio runtime with time enabled.
    ///
    /// # Errors
    /// [`WriteError::Refused`] with the rule's own error; [`WriteError::Fault`] if the store is overloaded, closed or
    /// failed, or the rule panicked.
    pub async fn write<T, E>(
        &self,
        rule: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.submit(rule, |_| ()).await?.done().await
    }

    /// Queues a rule, in the order of the calls, and leaves the waiting for its commit to [`Pending::done`]: so one
    /// caller may have many rules under way and keep their order.
    ///
    /// `then` gets what the rule answered, after the commit, on the writer thread: what follows commits is told in
    /// their order. It must be as brief as a rule. It is not called for a rule that refuses or fails.
    ///
    /// # Errors
    /// If the store is overloaded, closed or failed.
    pub async fn submit<T, E>(
        &self,
        rule: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        then: impl FnOnce(&T) + Send + 'static,
    ) -> Result<Pending<T, E>, StoreError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (message, answer) = waiting(rule, then);
        if let Err(message) = self.try_send(message)? {
            let place = tokio::time::timeout(self.inner.write_wait, self.inner.queue.reserve());
            place.await.map_err(|_| StoreError::Overloaded)?.map_err(|_| StoreError::Closed)?.send(message);
        }
        Ok(Pending { answer })
    }

    /// [`Store::write`] for threads outside of async code.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_blocking<T, E>(
        &self,
        rule: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (message, answer) = waiting(rule, |_| ());
        self.send_blocking(message)?;
        wait(answer).unwrap_or(Err(StoreError::Closed.into()))
    }

    /// Reads from the state after the latest commit. Short reads may run on async threads: they touch the cache or one
    /// disk block a row.
    ///
    /// # Errors
    /// What `f` answers, or the engine's failure.
    pub fn read<T>(&self, f: impl FnOnce(&View) -> Result<T, StoreError>) -> Result<T, StoreError> {
        f(&self.view()?)
    }

    /// A view to keep: it shows the same state however long it lives (and keeps the engine from reusing space; do not
    /// keep it for hours).
    ///
    /// # Errors
    /// If the store is closed or the engine fails.
    pub fn view(&self) -> Result<View, StoreError> {
        let db = self.inner.db.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StoreError::Closed)?;
        view(&db, &self.inner.seals)
    }

    /// Exports pending audit records to files and publishes a signed checkpoint over them. Blocking; to be called every
    /// few seconds. With nothing new it only reads.
    ///
    /// `now_ms`: milliseconds since 1970, kept in the result.
    ///
    /// # Errors
    /// If files cannot be written or the store fails; pending records stay pending then.
    pub fn checkpoint(&self, now_ms: u64) -> Result<Checkpoint, StoreError> {
        let mut export = self.inner.export.lock().unwrap_or_else(PoisonError::into_inner);
        let checkpoint = export.run(self, now_ms)?;
        self.inner.shared.counts.audit_checkpoint.store(checkpoint.size, std::sync::atomic::Ordering::Relaxed);
        Ok(checkpoint)
    }

    /// Audit records from leaf `from` on, at most `limit`, exported or not.
    ///
    /// # Errors
    /// If a record does not open or a file cannot be read.
    pub fn audit_records(&self, from: u64, limit: usize) -> Result<Vec<Numbered>, StoreError> {
        // The view first: what is exported later is still pending in it, what was exported earlier is in the files.
        Export::records(&self.inner.audit_dir, &self.inner.seals, &self.view()?, from, limit)
    }

    /// Erases salt and content of an exported audit record; its commitment and every proof stay valid. `note` (who,
    /// why) is kept sealed in its place.
    ///
    /// # Errors
    /// If the record is not exported yet, or the files cannot be written.
    pub fn erase_audit(&self, index: u64, note: &[u8]) -> Result<(), StoreError> {
        self.inner.export.lock().unwrap_or_else(PoisonError::into_inner).erase(index, note)
    }

    /// Opens every row of `tables`, so that damage to sealed values is found before they are needed. Walks in small
    /// steps, each its own view; `pause` between them.
    ///
    /// Returns the number of rows and a description of each that does not open. What is checked is what the engine
    /// would serve; damage to plain rows is found by the check at open.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn scrub(&self, tables: &[Table], pause: Duration) -> Result<Scrubbed, StoreError> {
        let mut report = Scrubbed::default();
        for table in tables.iter().filter(|t| t.sealed).chain(&open::OWN_SEALED) {
            let mut from = Bound::Unbounded;
            loop {
                let view = self.view()?;
                let (last, rows) = view.check(*table, from.as_ref().map(Vec::as_slice), 512, &mut report.problems)?;
                report.rows += rows;
                let Some(last) = last else { break };
                from = Bound::Excluded(last);
                thread::sleep(pause);
            }
        }
        Ok(report)
    }

    /// Makes a new data key that seals from now on; old ones still open. Returns its number.
    ///
    /// # Errors
    /// If the store is overloaded or fails.
    pub fn rotate_data_key(&self) -> Result<u32, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send_blocking(Message::Rotate(reply))?;
        wait(answer).unwrap_or(Err(StoreError::Closed))
    }

    /// The key ring, for keys of other uses ([`KeyRing::derive`]).
    #[must_use]
    pub fn keyring(&self) -> &KeyRing {
        &self.inner.ring
    }

    /// Files beside the database. They outlive [`Store::close`].
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    /// Figures since the store was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let queue = &self.inner.queue;
        Stats {
            queue_len: queue.max_capacity() - queue.capacity(),
            failed: self.inner.shared.failed().is_some(),
            ..self.inner.shared.counts.read()
        }
    }

    /// Runs what waits, stops the writer and lets go of the file (once the last view is gone). Other clones get
    /// [`StoreError::Closed`] from then on. Blocking.
    pub fn close(self) {
        self.inner.stop();
    }

    fn try_send(&self, message: Message) -> Result<Result<(), Message>, StoreError> {
        if let Some(reason) = self.inner.shared.failed() {
            return Err(StoreError::Failed(reason));
        }
        match self.inner.queue.try_send(message) {
            Ok(()) => Ok(Ok(())),
            Err(TrySendError::Full(message)) => Ok(Err(message)),
            Err(TrySendError::Closed(_)) => Err(StoreError::Closed),
        }
    }

    fn send_blocking(&self, mut message: Message) -> Result<(), StoreError> {
        let deadline = Instant::now() + self.inner.write_wait;
        while let Err(back) = self.try_send(message)? {
            if Instant::now() >= deadline {
                return Err(StoreError::Overloaded);
            }
            message = back;
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// What a scrub found.
#[derive(Debug, Default, Clone)]
pub struct Scrubbed {
    /// Rows opened.
    pub rows: u64,
    /// One line for each row that does not open.
    pub problems: Vec<String>,
}

impl Inner {
    fn stop(&self) {
        self.db.write().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        // The last clone may have lived in a rule, which is dropped on the writer thread itself.
        if thread.thread().id() == thread::current().id() {
            return;
        }
        let mut stop = Message::Stop;
        while let Err(TrySendError::Full(back)) = self.queue.try_send(stop) {
            stop = back;
            thread::sleep(Duration::from_millis(1));
        }
        if thread.join().is_err() {
            tracing::error!("the writer thread had panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

type Answered<T, E> = oneshot::Receiver<Result<T, WriteError<E>>>;

/// A rule in the queue.
pub struct Pending<T, E> {
    answer: Answered<T, E>,
}

impl<T, E> Pending<T, E> {
    /// Waits for the commit. The rule stands even if nobody waits.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn done(self) -> Result<T, WriteError<E>> {
        self.answer.await.unwrap_or(Err(StoreError::Closed.into()))
    }
}

fn waiting<T, E>(
    rule: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    then: impl FnOnce(&T) + Send + 'static,
) -> (Message, Answered<T, E>)
where
    T: Send + 'static,
    E: Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Message::Rule(Box::new(Waiting { rule: Some(rule), then, outcome: None, reply })), answer)
}

fn view(db: &Database, seals: &Arc<Seals>) -> Result<View, StoreError> {
    let txn = db.begin_read().map_err(StoreError::engine)?;
    Ok(View::new(txn.open_table(KV).map_err(StoreError::engine)?, Arc::clone(seals)))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread, also where tokio would panic because it is one of its own. Without a share of a task's budget: it would
/// be used up by the 128th wait of one poll, and none after that would ever end.
fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(tokio::task::unconstrained(future));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
