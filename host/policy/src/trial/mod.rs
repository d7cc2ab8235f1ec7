//! One plugin alone, without a server: what table tests and benches ask.
//!
//! It is prepared exactly as a bundle's plugin is (checked, validated, initialised, snapshotted), only
//! that the host around it is one that a test describes.

pub(crate) mod bench;
pub(crate) mod cases;
pub(crate) mod host;
pub(crate) mod run;
pub(crate) mod time;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use crate::breaker::Breaker;
use crate::bundle::MANIFEST;
use crate::bundle::diagnostic::{Diagnostic, Diagnostics};
use crate::bundle::files::Files;
use crate::generation::Generation;
use crate::lists::OwnLists;
use crate::load::load;
use crate::options::PolicyError;
use crate::prepare::Workshop;
use crate::sandbox::cache::Cache;
use crate::sandbox::counters::Counters;
use crate::sandbox::engine::Sandbox;
use crate::sandbox::inspect::{Anatomy, inspect};
use crate::session::Session;
use crate::stats::AllFigures;
use host::{HostState, TrialHost};

/// The plugin's name and file in its bundle of one.
const PLUGIN: &str = "plugin";
const COMPONENT: &str = "plugin.wasm";
/// What diagnostics about its settings are said of.
const SETTINGS_FILE: &str = "settings";
/// Where its settings' pointers begin.
const SETTINGS: &str = "/plugin/0/settings";

/// One plugin that is tried.
pub struct Trial {
    workshop: Workshop,
    host: Arc<TrialHost>,
    wasm: Arc<[u8]>,
    anatomy: Anatomy,
    /// By the text of the manifest and the lists.
    prepared: Mutex<HashMap<blake3::Hash, Prepared>>,
}

/// The plugin with certain settings, or what is wrong with them.
pub(crate) type Prepared = Result<(Session, Vec<Diagnostic>), Diagnostics>;

/// With what a plugin is tried: its tables of `policy.toml`, and the bundle's lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    pub(crate) settings: toml::Table,
    pub(crate) limits: toml::Table,
    pub(crate) reuse: bool,
    pub(crate) lists: BTreeMap<String, Vec<String>>,
}

impl Trial {
    /// # Errors
    /// What is wrong with the component, or with the engine on this machine.
    pub fn new(wasm: Vec<u8>) -> Result<Self, PolicyError> {
        let broken = |said| PolicyError::NoUsableBundle(Diagnostics(vec![Diagnostic::error(COMPONENT, said)]));
        let anatomy = inspect(&wasm).map_err(broken)?;
        let host = Arc::new(TrialHost::default());
        let workshop = Workshop {
            sandbox: Sandbox::shared().map_err(PolicyError::Engine)?,
            cache: Cache::none(),
            services: host.clone(),
            counters: Arc::new(Counters::default()),
            figures: Arc::new(AllFigures::default()),
            breaker: Breaker::default(),
            rehearsal: false,
            compiled: Some(Arc::default()),
        };
        Ok(Self { workshop, host, wasm: wasm.into(), anatomy, prepared: Mutex::default() })
    }

    /// The plugin with this setup; compiled once for each.
    pub(crate) fn prepare(&self, setup: &Setup) -> Prepared {
        let files = self.files(setup);
        let key = files.digest();
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.entry(key).or_insert_with(|| self.load(files)).clone()
    }

    /// The host as a test begins: knows what the test says, has counted nothing.
    pub(crate) fn begin(&self, state: HostState) {
        self.host.set(state);
        self.workshop.counters.forget();
    }

    fn load(&self, files: Files) -> Prepared {
        let loaded =
            load(&self.workshop, &[], files, &OwnLists::none(), None).map_err(|said| Diagnostics(settled(said.0)))?;
        let generation = Generation {
            number: 0,
            digest: loaded.digest,
            name: loaded.manifest.name,
            allow_by_default: true,
            bundle_lists: loaded.bundle_lists,
            lists: loaded.lists,
            epoch: 0,
            plugins: loaded.plugins,
            redaction_key: [0; 32],
            retired: AtomicBool::new(false),
        };
        Ok((Session::of(Arc::new(generation)), settled(loaded.diagnostics)))
    }

    /// All that it asks for. What it prints is its author's concern.
    fn grants(&self) -> Vec<String> {
        let mut grants = self.anatomy.imports.clone();
        if self.anatomy.wasi && !grants.iter().any(|grant| grant == "log") {
            grants.push("log".to_owned());
        }
        grants
    }

    /// The bundle of one: all that the plugin asks for is granted.
    fn files(&self, setup: &Setup) -> Files {
        let mut plugin = toml::Table::new();
        plugin.insert("name".into(), PLUGIN.into());
        plugin.insert("component".into(), COMPONENT.into());
        plugin.insert("reuse".into(), setup.reuse.into());
        plugin.insert("grants".into(), self.grants().into());
        plugin.insert("limits".into(), setup.limits.clone().into());
        plugin.insert("settings".into(), setup.settings.clone().into());
        let mut manifest = String::from("name = \"trial\"\n[defaults]\naccess = \"allow\"\n\n");
        let bundle = toml::Table::from_iter([("plugin".to_owned(), toml::Value::Array(vec![plugin.into()]))]);
        // Writing to a String cannot fail.
        let _ = write!(manifest, "{bundle}");
        let mut files = Files::default();
        files.0.insert(MANIFEST.to_owned(), manifest.into_bytes().into());
        files.0.insert(COMPONENT.to_owned(), self.wasm.clone());
        for (name, entries) in &setup.lists {
            files.0.insert(format!("lists/{name}.txt"), entries.join("\n").into_bytes().into());
        }
        files
    }
}

/// Diagnostics about the settings as the test's author wrote them: the manifest here is ours.
fn settled(found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let settle = |mut diagnostic: Diagnostic| {
        if let Some(pointer) = diagnostic.pointer.strip_prefix(SETTINGS) {
            diagnostic.pointer = pointer.to_owned();
            diagnostic.file = SETTINGS_FILE.to_owned();
        }
        diagnostic.line = None;
        let prefix = format!("plugin `{PLUGIN}`: ");
        if let Some(said) = diagnostic.message.strip_prefix(&prefix) {
            diagnostic.message = said.to_owned();
        }
        diagnostic
    };
    found.into_iter().map(settle).collect()
}
