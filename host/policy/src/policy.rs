//! The policy of one server: generations kept on disk, one of them active.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::bundle::diagnostic::{Diagnostic, Diagnostics};
use crate::bundle::files::Files;
use crate::generation::Generation;
use crate::kept::{Act, Kept, Record};
use crate::load::{Builtins, Loaded, Trust, load};
use crate::opening::Opening;
use crate::options::{ActivateError, BundleSource, PolicyError, PolicyOptions, TrustedKey};
use crate::prepare::Workshop;
use crate::report::{Activation, CheckReport, CheckedPlugin, HistoryEntry, PluginStats, Shown, ShownPlugin};
use crate::sandbox::cache::Cache;
use crate::sandbox::engine::Sandbox;
use crate::sandbox::now_ms;
use crate::session::Session;
use crate::stats::AllFigures;

/// How long a swap waits for the requests of the old generation. Each of their calls is bounded, so
/// whoever is left after this waits for something else.
const DRAIN: Duration = Duration::from_secs(5);

/// The policy of one server. All methods take `&self`; share it behind an `Arc`.
///
/// Invariants: there is always an active generation; a request that began with one is judged by it
/// to the end or refused, never by another; when `activate` has answered, nothing is judged by the
/// generation before.
pub struct Policy {
    active: ArcSwap<Generation>,
    workshop: Workshop,
    trusted_keys: Vec<TrustedKey>,
    signatures_needed: usize,
    allow_unsigned: bool,
    builtins: Builtins,
    redaction_key: [u8; 32],
    /// Held while a generation replaces another: one at a time.
    swapping: Mutex<()>,
    /// Held briefly.
    kept: Mutex<Kept>,
    hooks: Mutex<Vec<SwapHook>>,
    /// Generations that could not be restored at start, and why.
    fallen_back: Vec<(u64, String)>,
}

type SwapHook = Box<dyn Fn(u64) + Send + Sync>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
            figures: AllFigures::default(),
        };
        let mut opening = Opening { options: &options, workshop: &workshop, kept, fallen_back: Vec::new() };
        let generation = opening.generation()?;
        let Opening { kept, fallen_back, .. } = opening;
        Ok(Self {
            active: ArcSwap::from_pointee(generation),
            workshop,
            builtins: options.builtins,
            redaction_key: options.redaction_key,
            allow_unsigned: options.allow_unsigned,
            trusted_keys: options.trusted_keys,
            signatures_needed: options.signatures_needed,
            swapping: Mutex::default(),
            kept: Mutex::new(kept),
            hooks: Mutex::default(),
            fallen_back,
        })
    }

    /// One generation for one request, on all hooks.
    #[must_use]
    pub fn begin(&self) -> Session {
        Session { generation: self.active.load_full() }
    }

    /// Everything that `activate` would object to, without activating. Blocks: compiles.
    ///
    /// # Errors
    /// All [`Diagnostics`], warnings among them, if there is at least one error.
    pub fn check(&self, dir: &Path) -> Result<CheckReport, Diagnostics> {
        let loaded = self.load(&BundleSource::Dir(dir.to_owned()))?;
        Ok(CheckReport {
            plugins: loaded.plugins.iter().map(|placed| checked(&placed.plugin)).collect(),
            name: loaded.manifest.name,
            digest: loaded.digest,
            diagnostics: loaded.diagnostics,
        })
    }

    /// What a signature for the bundle in `dir` is over, see [`crate::signed_text`]: blake3 of its files, hex.
    ///
    /// # Errors
    /// The file that could not be read.
    pub fn bundle_digest(dir: &Path) -> Result<String, Diagnostic> {
        let files = Files::read(&BundleSource::Dir(dir.to_owned()))?;
        Ok(files.digest().to_hex().to_string())
    }

    /// Makes the bundle in `dir` the active generation. Blocks; answers when no request of the
    /// old generation is left, or when those left have lost their say.
    ///
    /// # Errors
    /// [`ActivateError`]; the old generation then goes on undisturbed.
    pub fn activate(&self, dir: &Path, by: &str, why: &str) -> Result<Activation, ActivateError> {
        let started = Instant::now();
        let _one = lock(&self.swapping);
        let loaded = self.load(&BundleSource::Dir(dir.to_owned())).map_err(ActivateError::Broken)?;
        self.swap(loaded, by, why, None, started)
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
        let loaded = load(&self.workshop, self.builtins, files, None).map_err(ActivateError::Broken)?;
        self.swap(loaded, by, why, Some(number), started)
    }

    /// All generations kept, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<HistoryEntry> {
        let active = self.active.load().number;
        let broken = |number| self.fallen_back.iter().any(|(fallen, _)| *fallen == number);
        lock(&self.kept)
            .all()
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
                    _ => "kept",
                },
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
            fallen_back: self.fallen_back.iter().map(|(number, why)| format!("generation {number}: {why}")).collect(),
            plugins: generation.plugins.iter().map(|placed| shown(&placed.plugin)).collect(),
        }
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

    fn load(&self, source: &BundleSource) -> Result<Loaded, Diagnostics> {
        let trust =
            Trust { keys: &self.trusted_keys, needed: self.signatures_needed, allow_unsigned: self.allow_unsigned };
        let files = Files::read(source).map_err(|diagnostic| Diagnostics(vec![diagnostic]))?;
        load(&self.workshop, self.builtins, files, Some(&trust))
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

    /// The pointer on disk first, then the exchange in memory: what answers requests is never newer
    /// than what a crash would bring back.
    fn swap(
        &self,
        loaded: Loaded,
        by: &str,
        why: &str,
        restores: Option<u64>,
        started: Instant,
    ) -> Result<Activation, ActivateError> {
        let record = commit(&mut lock(&self.kept), &loaded, by, why, restores)?;
        let diagnostics = loaded.diagnostics.clone();
        let old = self.active.swap(Arc::new(generation(loaded, &record, self.redaction_key)));
        let drained = drain(&old);
        for hook in lock(&self.hooks).iter() {
            hook(record.number);
        }
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::info!(generation = record.number, previous = old.number, by, why, drained, micros, "policy activated");
        Ok(Activation {
            number: record.number,
            digest: record.digest,
            previous: old.number,
            drained,
            micros,
            diagnostics,
        })
    }
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

pub(crate) fn generation(loaded: Loaded, record: &Record, redaction_key: [u8; 32]) -> Generation {
    Generation {
        number: record.number,
        digest: record.digest.clone(),
        name: loaded.manifest.name,
        allow_by_default: loaded.manifest.allow_by_default,
        plugins: loaded.plugins,
        redaction_key,
        retired: AtomicBool::new(false),
    }
}

fn checked(plugin: &crate::plugin::Plugin) -> CheckedPlugin {
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
