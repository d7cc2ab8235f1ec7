//! Bundles made of the plugins that `cargo xtask plugins` builds.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test file uses its part of it")]

pub(crate) mod guest;
pub(crate) mod raw;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use isthmus_policy::{
    Breaker, BundleSource, Call, Direction, Event, Item, NoServices, Peer, Policy, PolicyError, PolicyOptions, Services,
};

pub(crate) const OPEN: &str = "name = \"open\"\n[defaults]\naccess = \"allow\"\n";

/// The bytes of a built plugin: `access-list`, `hostile/loops`, …
pub(crate) fn component(name: &str) -> &'static [u8] {
    static READ: OnceLock<Mutex<HashMap<String, &'static [u8]>>> = OnceLock::new();
    let mut read = READ.get_or_init(Mutex::default).lock().unwrap();
    read.entry(name.to_owned()).or_insert_with(|| {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
        let dir = std::env::var_os("ISTHMUS_PLUGINS").map_or(workspace, PathBuf::from);
        let path = dir.join(format!("{name}.wasm"));
        let bytes = std::fs::read(&path);
        bytes.unwrap_or_else(|_| panic!("{} is missing: run cargo xtask plugins first", path.display())).leak()
    })
}

pub(crate) const NAMES: [&str; 12] = [
    "access-list",
    "rate-guard",
    "dlp-cn",
    "content-filter",
    "audit-redact",
    "hostile/loops",
    "hostile/grows",
    "hostile/traps",
    "hostile/huge-output",
    "hostile/calls-host",
    "hostile/init-hangs",
    "hostile/greedy",
];

pub(crate) fn builtins() -> &'static [(&'static str, &'static [u8])] {
    static BUILTINS: OnceLock<Vec<(&str, &[u8])>> = OnceLock::new();
    BUILTINS.get_or_init(|| NAMES.iter().map(|name| (*name, component(name))).collect())
}

pub(crate) struct House {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) services: Arc<dyn Services>,
    pub(crate) default: BundleSource,
    pub(crate) allow_unsigned: bool,
    pub(crate) breaker: Breaker,
}

impl House {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // One compile cache for all tests: they are about other things.
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile-cache");
        std::fs::create_dir_all(&cache).unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        std::os::unix::fs::symlink(cache, dir.path().join("data/cache")).unwrap();
        let default = BundleSource::Files(vec![("policy.toml".into(), OPEN.as_bytes().to_vec())]);
        Self { dir, services: Arc::new(NoServices), default, allow_unsigned: true, breaker: Breaker::default() }
    }

    pub(crate) fn try_open(&self) -> Result<Policy, PolicyError> {
        Policy::open(PolicyOptions {
            dir: self.data(),
            key: [7; 32],
            trusted_keys: Vec::new(),
            signatures_needed: 1,
            allow_unsigned: self.allow_unsigned,
            builtins: builtins(),
            default_bundle: self.default.clone(),
            services: self.services.clone(),
            redaction_key: [9; 32],
            breaker: self.breaker,
        })
    }

    pub(crate) fn open(&self) -> Policy {
        self.try_open().unwrap()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Writes a bundle's folder and says where it is.
    pub(crate) fn bundle(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let dir = self.dir.path().join(name);
        for (path, text) in files {
            let path = dir.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    /// Activates a bundle that consists of a `policy.toml` alone.
    pub(crate) fn activate(&self, policy: &Policy, manifest: &str) {
        let dir = self.bundle(&format!("bundle-{}", policy.history().len()), &[("policy.toml", manifest)]);
        policy.activate(&dir, "test", "because").unwrap();
    }
}

/// A manifest with one plugin under test.
pub(crate) fn with(component: &str, more: &str) -> String {
    let default = OPEN;
    format!(
        "{default}[[plugin]]\nname = \"it\"\ncomponent = \"builtin:{component}\"\ngrants = [\"log\", \"lists\", \"directory\"]\n{more}"
    )
}

pub(crate) fn call(direction: Direction, peer: &str) -> Call {
    Call {
        operation: Cow::Borrowed("message.send"),
        direction,
        peer: (!peer.is_empty()).then(|| Peer { id: peer.to_owned(), ..Peer::default() }),
        actor: "alice@north".into(),
        target: "carol@south".into(),
        time_ms: 1_700_000_000_000,
        attributes: vec![("chatScene".into(), "user".into()), ("messageType".into(), "text".into())],
    }
}

pub(crate) fn text(text: &str) -> Item {
    Item { kind: Cow::Borrowed("message.text"), text: text.into(), attributes: Vec::new(), body: None }
}

pub(crate) fn event(fields: &[(&str, &str)]) -> Event {
    Event {
        call: call(Direction::Inbound, "north"),
        outcome: Cow::Borrowed("allowed"),
        code: 0,
        fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}
