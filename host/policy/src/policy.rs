//! The policy of one server: generations kept on disk, one of them active.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::breaker::Breaker;
use crate::bundle::diagnostic::{Diagnostic, Diagnostics};
use crate::bundle::files::Files;
use crate::bundle::manifest::Manifest;
use crate::generation::Generation;
use crate::kept::{Act, Kept, Record, StagedRecord};
use crate::lists::OwnLists;
use crate::load::{Builtins, Loaded, Trust, embed, load};
use crate::opening::Opening;
use crate::options::{ActivateError, BundleSource, PolicyError, PolicyOptions, TrustedKey};
use crate::prepare::Workshop;
use crate::report::{Activation, CheckReport, CheckedPlugin, HistoryEntry, PluginStats, Shown, ShownPlugin, Staged};
use crate::sandbox::cache::Cache;
use crate::sandbox::engine::Sandbox;
use crate::sandbox::now_ms;
use crate::sandbox::ticker::Clock;
use crate::session::Session;
use crate::shadow::{LastShadow, Shadow};

/// How long a swap waits for the requests of the old generation. Each of their calls is bounded, so
/// whoever is left after this waits for something else.
const DRAIN: Duration = Duration::from_secs(5);

/// The policy of one server. All methods take `&self`; share it behind an `Arc`.
///
/// Invariants: there is always an active generation; a request that began with one is judged by it
/// to the end or refused, never by another; when `activate` has answered, nothing is judged by the
/// generation before.
pub struct Policy {
    pub(crate) active: ArcSwap<Generation>,
    pub(crate) workshop: Workshop,
    trusted_keys: Vec<TrustedKey>,
    signatures_needed: usize,
    allow_unsigned: bool,
    pub(crate) builtins: Builtins,
    redaction_key: [u8; 32],
    pub(crate) breaker: Breaker,
    pub(crate) shadow: ArcSwapOption<Shadow>,
    pub(crate) last_shadow: LastShadow,
    /// Held while a generation replaces another: one at a time.
    pub(crate) swapping: Mutex<()>,
    /// Held briefly.
    pub(crate) kept: Mutex<Kept>,
    hooks: Mutex<Vec<SwapHook>>,
    /// Held briefly.
    pub(crate) own_lists: Mutex<OwnLists>,
    /// Generations that could not be restored at start, and why.
    fallen_back: Vec<(u64, String)>,
    /// Lists that could not be read at start.
    damaged_lists: Vec<String>,
}

type SwapHook = Box<dyn Fn(u64) + Send + Sync>;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Policy {
    /// Opens the last good generation, even if the folder that it came from is broken or gone; the
    /// default bundle where there is none. Blocks: compiles what is not in the cache.
    ///
    /// # Errors
    /// [`PolicyError`] if nothing can be activated.
    pub fn open(options: PolicyOptions) -> Result<Self, PolicyError> {
        let kept = Kept::open(&options.dir, &options.key).map_err(|(action, source)| PolicyError::Folder {
            path: options.dir.clone(),
            action,
            source,
        })?;
        let workshop = Workshop {
            sandbox: Sandbox::shared().map_err(PolicyError::Engine)?,
            cache: Cache::new(options.dir.join("cache"), &options.key),
            services: options.services.clone(),
            counters: Arc::default(),
            figures: Arc::default(),
            breaker: options.breaker,
            rehearsal: false,
            compiled: None,
        };
        let (own_lists, damaged_lists) = OwnLists::open(options.dir.join("lists"), &options.key);
        for damaged in &damaged_lists {
            tracing::error!("{damaged}; what the bundle says holds");
        }
        let mut opening =
            Opening { options: &options, workshop: &workshop, kept, own_lists: &own_lists, fallen_back: Vec::new() };
        let generation = opening.generation()?;
        let Opening { kept, fallen_back, .. } = opening;
        let policy = Self {
            active: ArcSwap::from_pointee(generation),
            workshop,
            builtins: options.builtins,
            redaction_key: options.redaction_key,
            breaker: options.breaker,
            shadow: ArcSwapOption::empty(),
            last_shadow: LastShadow::default(),
            allow_unsigned: options.allow_unsigned,
            trusted_keys: options.trusted_keys,
            signatures_needed: options.signatures_needed,
            swapping: Mutex::default(),
            kept: Mutex::new(kept),
            hooks: Mutex::default(),
            own_lists: Mutex::new(own_lists),
            damaged_lists,
            fallen_back,
        };
        policy.finish_trip();
        Ok(policy)
    }

    /// One generation for one request, on all hooks.
    #[must_use]
    pub fn begin(&self) -> Session {
        Session { generation: self.active.load_full(), shadow: self.shadow.load_full() }
    }

    /// Everything that `activate` would object to, without activating. Blocks: compiles.
    ///
    /// # Errors
    /// All [`Diagnostics`], warnings among them, if there is at least one error.
    pub fn check(&self, source: impl Into<BundleSource>) -> Result<CheckReport, Diagnostics> {
        let loaded = self.load(&source.into())?;
        Ok(report(loaded))
    }

    /// What a signature for the bundle in `dir` is over, see [`crate::signed_text`]: blake3 of its files, hex.
    ///
    /// # Errors
    /// The file that could not be read.
    pub fn bundle_digest(dir: &Path) -> Result<String, Diagnostic> {
        let files = Files::read(&BundleSource::Dir(dir.to_owned()))?;
        Ok(files.digest().to_hex().to_string())
    }

    /// Keeps a bundle that could be activated, so that what is checked, rehearsed and at last activated is the same,
    /// whatever becomes of the folder that it came from. Blocks: compiles.
    ///
    /// # Errors
    /// [`ActivateError`] if it could not be activated, or not be kept.
    pub fn stage(
        &self,
        source: impl Into<BundleSource>,
        by: &str,
        why: &str,
    ) -> Result<(Staged, CheckReport), ActivateError> {
        let loaded = self.load(&source.into()).map_err(ActivateError::Broken)?;
        let act = Act { name: &loaded.manifest.name, digest: &loaded.digest, at_ms: now_ms(), by, why, restores: None };
        let record = lock(&self.kept).stage(&loaded.files, &act)?;
        Ok((staged(&record), report(loaded)))
    }

    /// Bundles that wait to be activated, the oldest first.
    #[must_use]
    pub fn staged(&self) -> Vec<Staged> {
        lock(&self.kept).staged().iter().map(staged).collect()
    }

    /// Makes a bundle the active generation. Blocks; answers when no request of the
    /// old generation is left, or when those left have lost their say.
    ///
    /// # Errors
    /// [`ActivateError`]; the old generation then goes on undisturbed.
    pub fn activate(&self, source: impl Into<BundleSource>, by: &str, why: &str) -> Result<Activation, ActivateError> {
        let started = Instant::now();
        let _one = lock(&self.swapping);
        let source = source.into();
        let loaded = self.load(&source).map_err(ActivateError::Broken)?;
        let restores = if let BundleSource::Generation(number) = source { Some(number) } else { None };
        let activation = self.swap(loaded, by, why, restores, started)?;
        lock(&self.kept).unstage(&activation.digest);
        Ok(activation)
    }

    /// Brings back a kept generation's bundle as a new generation; `None` means the newest that
    /// differs from the active one. Blocks as `activate` does.
    ///
    /// # Errors
    /// [`ActivateError`]; the active generation then goes on undisturbed.
    pub fn rollback(&self, to: Option<u64>, by: &str, why: &str) -> Result<Activation, ActivateError> {
        let started = Instant::now();
        let _one = lock(&self.swapping);
        let (number, files) = self.kept_files(to)?;
        let loaded =
            load(&self.workshop, self.builtins, files, &lock(&self.own_lists), None).map_err(ActivateError::Broken)?;
        self.swap(loaded, by, why, Some(number), started)
    }

    /// All generations kept, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<HistoryEntry> {
        let active = self.active.load().number;
        let broken = |number| self.fallen_back.iter().any(|(fallen, _)| *fallen == number);
        let kept = lock(&self.kept);
        kept.all()
            .map(|record| HistoryEntry {
                number: record.number,
                name: record.name.clone(),
                digest: record.digest.clone(),
                at_ms: record.at_ms,
                by: record.by.clone(),
                why: record.why.clone(),
                restores: record.restores,
                state: match record.number {
                    number if number == active => "active",
                    number if broken(number) => "broken",
                    number if kept.has_tripped(number) => "tripped",
                    _ => "kept",
                },
                trip: kept.trip(record.number).cloned(),
            })
            .collect()
    }

    /// The active generation and how its plugins fare.
    #[must_use]
    pub fn show(&self) -> Shown {
        let generation = self.active.load_full();
        let record = lock(&self.kept).get(generation.number).cloned();
        let (at_ms, by, why) = record.map(|record| (record.at_ms, record.by, record.why)).unwrap_or_default();
        Shown {
            generation: generation.number,
            name: generation.name.clone(),
            digest: generation.digest.clone(),
            default_access: if generation.allow_by_default { "allow" } else { "deny" },
            at_ms,
            by,
            why,
            fallen_back: self.damage(),
            lists_revision: generation.lists.revision,
            plugins: generation.plugins.iter().map(|placed| shown(&placed.plugin)).collect(),
        }
    }

    /// How the clock behind the plugins' time limits fares.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.workshop.sandbox.clock()
    }

    /// Figures per plugin since the process started, for `/metrics`.
    #[must_use]
    pub fn stats(&self) -> Vec<PluginStats> {
        self.workshop.figures.read()
    }

    /// Calls `hook` with the new generation's number after each swap, once the old generation has
    /// drained and before `activate` answers: the place to judge live connections again. It runs on
    /// the activating thread and must not activate.
    pub fn on_swap(&self, hook: Box<dyn Fn(u64) + Send + Sync>) {
        lock(&self.hooks).push(hook);
    }

    /// What could not be brought back at start.
    fn damage(&self) -> Vec<String> {
        let generations = self.fallen_back.iter().map(|(number, why)| format!("generation {number}: {why}"));
        generations.chain(self.damaged_lists.iter().cloned()).collect()
    }

    fn load(&self, source: &BundleSource) -> Result<Loaded, Diagnostics> {
        self.load_in(&self.workshop, source)
    }

    pub(crate) fn load_in(&self, workshop: &Workshop, source: &BundleSource) -> Result<Loaded, Diagnostics> {
        let trust =
            Trust { keys: &self.trusted_keys, needed: self.signatures_needed, allow_unsigned: self.allow_unsigned };
        let (files, believed) = self.files(source)?;
        let own_lists = lock(&self.own_lists).clone();
        load(workshop, self.builtins, files, &own_lists, (!believed).then_some(&trust))
    }

    /// A bundle's files, and whether they were believed before: what was active once.
    pub(crate) fn files(&self, source: &BundleSource) -> Result<(Files, bool), Diagnostics> {
        let wrong = |said: String| Diagnostics(vec![Diagnostic::error(source.to_string(), said)]);
        let kept = lock(&self.kept);
        match source {
            BundleSource::Dir(_) | BundleSource::Files(_) => {
                drop(kept);
                Files::read(source).map(|files| (files, false)).map_err(|diagnostic| Diagnostics(vec![diagnostic]))
            }
            BundleSource::Generation(number) => {
                let record = kept.get(*number).ok_or_else(|| wrong("is not kept here".to_owned()))?;
                kept.files(record).map(|files| (files, true)).map_err(wrong)
            }
            BundleSource::Staged(digest) => {
                let mut fitting = kept.staged().iter().filter(|staged| staged.digest.starts_with(digest.as_str()));
                match (fitting.next().filter(|_| !digest.is_empty()), fitting.next()) {
                    (Some(staged), None) => kept.staged_files(staged).map(|files| (files, false)).map_err(wrong),
                    (Some(_), Some(_)) => Err(wrong("several staged bundles begin like this".to_owned())),
                    (None, _) => Err(wrong("no such bundle is staged here".to_owned())),
                }
            }
        }
    }

    pub(crate) fn embed(&self, manifest: &Manifest, files: &mut Files) {
        embed(manifest, self.builtins, files, &mut Vec::new());
    }

    /// A generation that judges nothing but rehearsals.
    pub(crate) fn unnumbered(&self, loaded: Loaded) -> Generation {
        let digest = loaded.digest.clone();
        assemble(loaded, 0, digest, 0, self.redaction_key)
    }

    /// The newest generation that has not failed, if it is another bundle than the active one.
    pub(crate) fn last_good(&self) -> Result<Option<(u64, Files)>, ActivateError> {
        let kept = lock(&self.kept);
        let active = self.active.load();
        let failed = |digest: &str| {
            let latest = kept.all().rev().find(|record| record.digest == digest);
            latest.is_some_and(|latest| kept.has_tripped(latest.number))
        };
        let good = kept.all().rev().filter(|record| record.digest != active.digest && !failed(&record.digest));
        Ok(good.filter_map(|record| Some((record.number, kept.files(record).ok()?))).next())
    }

    fn kept_files(&self, to: Option<u64>) -> Result<(u64, Files), ActivateError> {
        let kept = lock(&self.kept);
        let active = self.active.load();
        let record = match to {
            Some(number) => kept
                .get(number)
                .ok_or_else(|| ActivateError::NoSuchGeneration(format!("generation {number} is not kept here")))?,
            None => kept.all().rev().find(|record| record.digest != active.digest).ok_or_else(|| {
                ActivateError::NoSuchGeneration("no generation but the active one is kept here".to_owned())
            })?,
        };
        let files = kept.files(record).map_err(|said| {
            let file = format!("generation {}", record.number);
            ActivateError::Broken(Diagnostics(vec![Diagnostic::error(file, said)]))
        })?;
        Ok((record.number, files))
    }

    /// The exchange itself: number of the generation before, and whether it drained.
    pub(crate) fn exchange(&self, next: Generation) -> (u64, bool) {
        let number = next.number;
        let old = self.active.swap(Arc::new(next));
        let drained = drain(&old);
        for hook in lock(&self.hooks).iter() {
            hook(number);
        }
        (old.number, drained)
    }

    /// The pointer on disk first, then the exchange in memory: what answers requests is never newer
    /// than what a crash would bring back.
    pub(crate) fn swap(
        &self,
        loaded: Loaded,
        by: &str,
        why: &str,
        restores: Option<u64>,
        started: Instant,
    ) -> Result<Activation, ActivateError> {
        let record = commit(&mut lock(&self.kept), &loaded, by, why, restores)?;
        let diagnostics = loaded.diagnostics.clone();
        let epoch = self.active.load().epoch + 1;
        let (previous, drained) = self.exchange(generation(loaded, &record, epoch, self.redaction_key));
        let micros = micros(started);
        tracing::info!(generation = record.number, previous, by, why, drained, micros, "policy activated");
        Ok(Activation { number: record.number, digest: record.digest, previous, drained, micros, diagnostics })
    }
}

pub(crate) fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Waits until nobody holds the old generation; takes its say from those who still do.
fn drain(old: &Arc<Generation>) -> bool {
    let started = Instant::now();
    let mut pause = Duration::from_micros(50);
    while Arc::strong_count(old) > 1 {
        if started.elapsed() > DRAIN {
            old.retired.store(true, Ordering::Release);
            tracing::warn!(generation = old.number, "requests of the old policy outlived its swap; they are refused");
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
    true
}

pub(crate) fn commit(
    kept: &mut Kept,
    loaded: &Loaded,
    by: &str,
    why: &str,
    restores: Option<u64>,
) -> Result<Record, ActivateError> {
    let act = Act { name: &loaded.manifest.name, digest: &loaded.digest, at_ms: now_ms(), by, why, restores };
    let record = kept.keep(&loaded.files, &act)?;
    kept.point_to(record.number)?;
    Ok(record)
}

pub(crate) fn generation(loaded: Loaded, record: &Record, epoch: u64, redaction_key: [u8; 32]) -> Generation {
    assemble(loaded, record.number, record.digest.clone(), epoch, redaction_key)
}

fn assemble(loaded: Loaded, number: u64, digest: String, epoch: u64, redaction_key: [u8; 32]) -> Generation {
    Generation {
        number,
        digest,
        name: loaded.manifest.name,
        allow_by_default: loaded.manifest.allow_by_default,
        bundle_lists: loaded.bundle_lists,
        lists: loaded.lists,
        epoch,
        plugins: loaded.plugins,
        redaction_key,
        retired: AtomicBool::new(false),
    }
}

fn staged(record: &StagedRecord) -> Staged {
    Staged {
        digest: record.digest.clone(),
        name: record.name.clone(),
        at_ms: record.at_ms,
        by: record.by.clone(),
        why: record.why.clone(),
    }
}

fn report(loaded: Loaded) -> CheckReport {
    CheckReport {
        plugins: loaded.plugins.iter().map(|placed| checked(&placed.plugin)).collect(),
        name: loaded.manifest.name,
        digest: loaded.digest,
        diagnostics: loaded.diagnostics,
    }
}

pub(crate) fn checked(plugin: &crate::plugin::Plugin) -> CheckedPlugin {
    CheckedPlugin {
        name: plugin.name.to_string(),
        digest: plugin.digest.clone(),
        hooks: plugin.hooks.names(),
        imports: plugin.imports.clone(),
    }
}

fn shown(plugin: &crate::plugin::Plugin) -> ShownPlugin {
    let fault = plugin.health.last_fault();
    ShownPlugin {
        name: plugin.name.to_string(),
        component: plugin.component.clone(),
        digest: plugin.digest.clone(),
        hooks: plugin.hooks.names(),
        reuse: plugin.reuse,
        state: fault.as_ref().map_or("ready", |fault| fault.kind()).to_owned(),
        last_fault: fault.map(|fault| fault.to_string()),
        stats: plugin.host.figures.read(&plugin.name),
    }
}
