//! From a component's bytes to a plugin that can be asked: inspect, compile, validate the
//! settings, `init` once, snapshot, compile the snapshot, instantiate once to see that it starts.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use wasmtime::Store;
use wasmtime::component::{Component, Instance, InstancePre};

use crate::bindings::exports::isthmus::policy::lifecycle;
use crate::breaker::Breaker;
use crate::bundle::manifest::PluginEntry;
use crate::fault::PluginFault;
use crate::hooks::Hooks;
use crate::lists::Lists;
use crate::plugin::{Lane, Plugin, store};
use crate::sandbox::Instant;
use crate::sandbox::cache::{Cache, Known};
use crate::sandbox::counters::Counters;
use crate::sandbox::engine::{CORE_INSTANCES, Sandbox};
use crate::sandbox::inspect::{Anatomy, inspect};
use crate::sandbox::slim::slim;
use crate::sandbox::snapshot::Instrumented;
use crate::sandbox::state::{Limits, PluginHost, State};
use crate::sandbox::wasi::{self, Grants};
use crate::schema;
use crate::services::Services;
use crate::stats::AllFigures;

/// Larger components are refused unread.
pub(crate) const MAX_COMPONENT_BYTES: usize = 64 << 20;
/// What wizer's reader may hand over: a whole memory.
const SNAPSHOT_BYTES: usize = 1 << 30;
/// wizer reads a memory by way of pages added to it.
const LENT_BYTES: usize = 1 << 20;

/// Changes with the way in which plugins are prepared: what was kept of another way is not used.
const PREPARED_AS: &str = "snapshots of fewer instances, without their lifecycle";
const LIFECYCLE: &str = "isthmus:policy/lifecycle@";
const CLOCKLESS: &str =
    "is not prepared: the clock that enforces time limits has stopped; try again once /readyz is well";
/// Components that are larger, or made of more modules than the pool has room for, run in the engine for large ones.
const POOLED_BYTES: usize = 4 << 20;

/// What every plugin of a server is prepared with.
#[derive(Clone)]
pub(crate) struct Workshop {
    pub(crate) sandbox: &'static Sandbox,
    pub(crate) cache: Cache,
    pub(crate) services: Arc<dyn Services>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) figures: Arc<AllFigures>,
    pub(crate) breaker: Breaker,
    /// What is prepared here judges what others have judged.
    pub(crate) rehearsal: bool,
    /// What was compiled so far, where the same component is prepared again and again: in a trial.
    pub(crate) compiled: Option<Arc<Mutex<HashMap<blake3::Hash, Component>>>>,
}

/// Something that preparation found.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) error: bool,
    /// In the settings, as a JSON pointer; none: the component itself is to blame.
    pub(crate) settings: Option<String>,
    pub(crate) message: String,
}

impl Finding {
    fn component(message: impl Into<String>) -> Self {
        Self { error: true, settings: None, message: message.into() }
    }
}

/// What is to be prepared.
pub(crate) struct Raw<'a> {
    pub(crate) entry: &'a PluginEntry,
    pub(crate) wasm: &'a [u8],
    pub(crate) lists: &'a Arc<Lists>,
}

impl Workshop {
    /// Prepares a plugin; adds what it found to `findings`, errors whenever it returns none.
    pub(crate) fn prepare(&self, raw: &Raw<'_>, findings: &mut Vec<Finding>) -> Option<Plugin> {
        let anatomy = self.inspect(raw, findings)?;
        let workshop = self.roomy(&anatomy, raw.wasm).map_err(|said| findings.push(Finding::component(said))).ok()?;
        workshop.prepare_here(&anatomy, raw, findings)
    }

    /// With the engine that has room for such a component.
    pub(crate) fn roomy(&self, anatomy: &Anatomy, wasm: &[u8]) -> Result<Self, String> {
        let large = wasm.len() > POOLED_BYTES || anatomy.core_instances >= CORE_INSTANCES;
        let sandbox = if large { Sandbox::large()? } else { self.sandbox };
        Ok(Self { sandbox, ..self.clone() })
    }

    fn prepare_here(&self, anatomy: &Anatomy, raw: &Raw<'_>, findings: &mut Vec<Finding>) -> Option<Plugin> {
        if !self.sandbox.ticker.awaited() {
            findings.push(Finding::component(CLOCKLESS));
            return None;
        }
        let host = Arc::new(self.host(raw));
        let name = self.cache_name(raw);
        let of_snapshot = |reads: &[String]| snapshot_name(&name, reads, raw.lists);
        let cached = self.cache.reads(&name);
        let cached = cached.and_then(|reads| self.cache.load(&self.sandbox.engine, &of_snapshot(&reads)));
        let built = match cached {
            Some(built) => Ok(built),
            None => self.build(raw, &host, findings).inspect(|(component, known)| {
                self.cache.keep(&of_snapshot(&known.reads), component, known);
                self.cache.note_reads(&name, &known.reads);
            }),
        };
        let (component, known) = built.map_err(|finding| findings.extend(finding)).ok()?;
        findings.extend(known.warnings.iter().map(|(pointer, message)| Finding {
            error: false,
            settings: Some(pointer.clone()),
            message: message.clone(),
        }));
        let plugin = self
            .assemble(raw, anatomy, host, &component, known)
            .and_then(|plugin| plugin.warm(judging_threads()).map(|()| plugin).map_err(|fault| fault.to_string()));
        plugin.map_err(|said| findings.push(Finding::component(said))).ok()
    }

    fn inspect(&self, raw: &Raw<'_>, findings: &mut Vec<Finding>) -> Option<Anatomy> {
        if raw.wasm.len() > MAX_COMPONENT_BYTES {
            let limit = MAX_COMPONENT_BYTES >> 20;
            findings.push(Finding::component(format!("is larger than {limit} MiB")));
            return None;
        }
        match inspect(raw.wasm) {
            Ok(anatomy) => {
                let objections = anatomy.objections(&raw.entry.grants);
                let sound = objections.is_empty();
                findings.extend(objections.into_iter().map(Finding::component));
                sound.then_some(anatomy)
            }
            Err(said) => {
                findings.push(Finding::component(said));
                None
            }
        }
    }

    fn host(&self, raw: &Raw<'_>) -> PluginHost {
        let entry = raw.entry;
        PluginHost {
            name: entry.name.as_str().into(),
            limits: entry.limits.clone(),
            settings: entry.settings.to_string(),
            wasi: Grants::of(&entry.grants),
            lists: raw.lists.clone(),
            services: self.services.clone(),
            counters: self.counters.clone(),
            figures: self.figures.of(&entry.name),
            log_window: Arc::default(),
            rehearsal: self.rehearsal,
            window: self.breaker.window,
        }
    }

    /// Everything that the compiled snapshot depends on, but for the lists that `init` asks for.
    fn cache_name(&self, raw: &Raw<'_>) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(PREPARED_AS.as_bytes()).update(&self.sandbox.compatibility);
        hasher.update(blake3::hash(raw.wasm).as_bytes());
        hasher.update(blake3::hash(raw.entry.settings.to_string().as_bytes()).as_bytes());
        hasher.update(&raw.entry.limits.memory_mib.to_le_bytes());
        // Time and randomness that `init` had of WASI are in the snapshot.
        hasher.update(raw.entry.grants.join(",").as_bytes());
        hasher.finalize().to_hex().to_string()
    }

    /// Compiles, validates, initialises and snapshots.
    fn build(
        &self,
        raw: &Raw<'_>,
        host: &Arc<PluginHost>,
        findings: &mut Vec<Finding>,
    ) -> Result<(Component, Known), Vec<Finding>> {
        let instrumented = Instrumented::new(raw.wasm);
        let wasm = instrumented.as_ref().map_or(raw.wasm, |instrumented| &instrumented.wasm);
        let (component, asis) = (self.compile(wasm)?, instrumented.is_err());
        let pre = self.link(&component).map_err(|said| vec![Finding::component(said)])?;
        self.validate_shape(&pre, host, &raw.entry.settings)?;
        let (warnings, mut reads) = self.validate(&pre, host)?;
        let (mut store, instance) = self.initialised(&pre, host)?;
        reads.append(&mut store.data_mut().reads.take().unwrap_or_default());
        let reads = reads.into_iter().collect();
        let snapshot = instrumented.and_then(|instrumented| {
            store.data_mut().lend_memory(LENT_BYTES);
            store.set_hostcall_fuel(SNAPSHOT_BYTES);
            if store.data().wasi.handles > 0 {
                return Err("it holds handles of WASI after `init`".to_owned());
            }
            instrumented.snapshot(&mut store, instance)
        });
        match snapshot {
            Ok(snapshot) => Ok((self.compile_slim(&snapshot)?, Known { warnings, snapshot: true, reads })),
            Err(said) => {
                findings.push(Finding {
                    error: false,
                    ..Finding::component(format!(
                        "cannot be snapshotted, so that `init` runs in each new instance: {said}"
                    ))
                });
                let component = if asis { component } else { self.compile(raw.wasm)? };
                Ok((component, Known { warnings, snapshot: false, reads }))
            }
        }
    }

    /// `init` has run: the plugin's life is not asked for again.
    fn compile_slim(&self, snapshot: &[u8]) -> Result<Component, Vec<Finding>> {
        let slim = slim(snapshot, |export| export.starts_with(LIFECYCLE));
        slim.and_then(|slim| self.compile(&slim).ok()).map_or_else(|| self.compile(snapshot), Ok)
    }

    fn compile(&self, wasm: &[u8]) -> Result<Component, Vec<Finding>> {
        let told = |error| vec![Finding::component(format!("does not compile: {error:#}"))];
        let Some(compiled) = &self.compiled else { return self.sandbox.compile(wasm).map_err(told) };
        let hash = blake3::hash(wasm);
        let known = || compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = known().get(&hash) {
            return Ok(component.clone());
        }
        let component = self.sandbox.compile(wasm).map_err(told)?;
        known().insert(hash, component.clone());
        Ok(component)
    }

    fn link(&self, component: &Component) -> Result<InstancePre<State>, String> {
        let linker = &self.sandbox.linker;
        let with_wasi = || -> wasmtime::Result<_> {
            let mut linker = linker.clone();
            wasi::provide(&mut linker, component)?;
            linker.instantiate_pre(component)
        };
        let has_wasi =
            component.component_type().imports(component.engine()).any(|(name, _)| wasi::imported(name).is_some());
        let pre = if has_wasi { with_wasi() } else { linker.instantiate_pre(component) };
        pre.map_err(|error| format!("does not fit this server's interface: {error:#}"))
    }

    fn instance(
        &self,
        pre: &InstancePre<State>,
        host: &Arc<PluginHost>,
    ) -> Result<(Store<State>, Instance, lifecycle::Guest), Vec<Finding>> {
        let mut store = store(self.sandbox, host, Instant::now());
        store.data_mut().prepare();
        let indices = lifecycle::GuestIndices::new(pre).map_err(|e| vec![Finding::component(e.to_string())])?;
        let started =
            pre.instantiate(&mut store).and_then(|instance| Ok((instance, indices.load(&mut store, &instance)?)));
        match started {
            Ok((instance, guest)) => Ok((store, instance, guest)),
            Err(error) => Err(vec![blame("does not start", &error, &store)]),
        }
    }

    /// The settings schema of a component that has not been given any settings.
    ///
    /// # Errors
    /// Why it cannot tell, in words.
    pub(crate) fn schema(&self, wasm: &[u8]) -> Result<String, String> {
        let said = |findings: Vec<Finding>| findings.into_iter().map(|f| f.message).collect::<Vec<_>>().join("; ");
        let host = Arc::new(PluginHost {
            name: "inspected".into(),
            limits: Limits::default(),
            settings: "{}".to_owned(),
            wasi: Grants::default(),
            lists: Arc::default(),
            services: self.services.clone(),
            counters: self.counters.clone(),
            figures: self.figures.of("inspected"),
            log_window: Arc::default(),
            rehearsal: self.rehearsal,
            window: self.breaker.window,
        });
        let pre = self.link(&self.compile(wasm).map_err(said)?)?;
        let (mut store, _, guest) = self.instance(&pre, &host).map_err(said)?;
        let schema = guest.call_settings_schema(&mut store);
        schema.map_err(|error| said(vec![blame("`settings-schema` failed", &error, &store)]))
    }

    /// The settings against the plugin's schema: all mistakes at once, before the plugin reads any of them.
    fn validate_shape(
        &self,
        pre: &InstancePre<State>,
        host: &Arc<PluginHost>,
        settings: &Value,
    ) -> Result<(), Vec<Finding>> {
        let (mut store, _, guest) = self.instance(pre, host)?;
        let schema = guest
            .call_settings_schema(&mut store)
            .map_err(|error| vec![blame("`settings-schema` failed", &error, &store)])?;
        let mistakes = schema::mistakes(&schema, settings)
            .map_err(|said| vec![Finding::component(format!("its settings schema {said}"))])?;
        if mistakes.is_empty() {
            return Ok(());
        }
        let finding = |(pointer, message)| Finding { error: true, settings: Some(pointer), message };
        Err(mistakes.into_iter().map(finding).collect())
    }

    /// The plugin's own opinion of its settings: warnings with the lists that it asked for, or errors.
    fn validate(
        &self,
        pre: &InstancePre<State>,
        host: &Arc<PluginHost>,
    ) -> Result<(Warnings, BTreeSet<String>), Vec<Finding>> {
        let (mut store, _, guest) = self.instance(pre, host)?;
        let diagnostics = guest
            .call_validate_settings(&mut store, &host.settings)
            .map_err(|error| vec![blame("`validate-settings` failed", &error, &store)])?;
        let (errors, warnings): (Vec<_>, Vec<_>) =
            diagnostics.into_iter().partition(|diagnostic| matches!(diagnostic.severity, lifecycle::Severity::Error));
        let warnings: Warnings = warnings.into_iter().map(|d| (d.pointer, d.message)).collect();
        if errors.is_empty() {
            return Ok((warnings, store.data_mut().reads.take().unwrap_or_default()));
        }
        let finding = |error, pointer, message| Finding { error, settings: Some(pointer), message };
        Err(errors
            .into_iter()
            .map(|d| finding(true, d.pointer, d.message))
            .chain(warnings.into_iter().map(|(pointer, message)| finding(false, pointer, message)))
            .collect())
    }

    fn initialised(
        &self,
        pre: &InstancePre<State>,
        host: &Arc<PluginHost>,
    ) -> Result<(Store<State>, Instance), Vec<Finding>> {
        let (mut store, instance, guest) = self.instance(pre, host)?;
        match guest.call_init(&mut store, &host.settings) {
            Ok(Ok(())) => Ok((store, instance)),
            Ok(Err(said)) => Err(vec![Finding {
                settings: Some(String::new()),
                ..Finding::component(format!("`init` refused: {said}"))
            }]),
            Err(error) => Err(vec![blame("`init` failed", &error, &store)]),
        }
    }

    fn assemble(
        &self,
        raw: &Raw<'_>,
        anatomy: &Anatomy,
        host: Arc<PluginHost>,
        component: &Component,
        known: Known,
    ) -> Result<Plugin, String> {
        let pre = self.link(component)?;
        let hooks = Hooks::of(&pre, anatomy, known.snapshot).map_err(|error| format!("{error:#}"))?;
        let digest = blake3::hash(raw.wasm).to_hex().to_string();
        Ok(Plugin {
            lanes: Lane::some(&host.name, &digest),
            name: host.name.clone(),
            component: raw.entry.component.clone(),
            digest,
            imports: anatomy.imports.clone(),
            reuse: raw.entry.reuse,
            hooks,
            host,
            pre,
            snapshot: known.snapshot,
            reads: known.reads,
            lends: raw.entry.grants.iter().any(|grant| grant == "message"),
            sandbox: self.sandbox,
            health: Arc::default(),
        })
    }
}

/// Pointers into the settings, and what is remarkable there.
type Warnings = Vec<(String, String)>;

fn snapshot_name(plugin: &str, reads: &[String], lists: &Lists) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(plugin.as_bytes()).update(lists.digest_of(reads).as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// As many as may well judge at once.
pub(crate) fn judging_threads() -> usize {
    std::thread::available_parallelism().map_or(2, |threads| threads.get().min(8))
}

fn blame(step: &str, error: &wasmtime::Error, store: &Store<State>) -> Finding {
    let fault = PluginFault::classify(error, store.data());
    Finding::component(if matches!(fault, PluginFault::Timeout { .. }) {
        let limit = store.data().host.limits.init_ms;
        format!("{step}: ran longer than `init_ms` allows ({limit} ms)")
    } else {
        format!("{step}: it {fault}")
    })
}
