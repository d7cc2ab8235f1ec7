//! What the active policy would say: asked by an administrator, changes nothing.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use serde_json::Value;

use crate::bundle::MANIFEST;
use crate::bundle::manifest;
use crate::call::{Call, Item};
use crate::generation::{Generation, Placed};
use crate::judge::Judgement;
use crate::plugin::Plugin;
use crate::policy::{Policy, lock};
use crate::sandbox::counters::Counters;
use crate::session::Session;

/// A generation as an explanation names it.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    /// Its number.
    pub generation: u64,
    /// The bundle's name.
    pub name: String,
    /// blake3 of the bundle, hex.
    pub digest: String,
    /// Who activated it.
    pub by: String,
    /// Why.
    pub why: String,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    #[serde(skip)]
    settings: Vec<(String, String, Value)>,
}

impl Origin {
    /// What `policy.toml` names as the component of a plugin.
    #[must_use]
    pub fn component(&self, plugin: &str) -> Option<&str> {
        self.settings.iter().find(|(name, _, _)| name == plugin).map(|(_, component, _)| component.as_str())
    }

    /// The setting of a plugin that a JSON pointer names.
    #[must_use]
    pub fn setting(&self, plugin: &str, pointer: &str) -> Option<&Value> {
        self.settings.iter().find(|(name, _, _)| name == plugin).and_then(|(_, _, settings)| settings.pointer(pointer))
    }
}

impl Policy {
    /// What the active generation says of a request, with the generation's number and the lists' revision. Counters are
    /// read and stay what they are; no figures are kept; what plugins log is marked.
    #[must_use]
    pub fn what_if(&self, call: &Call, items: &[Item]) -> (Judgement, u64, u64) {
        let active = self.active.load_full();
        let session = Session::of(Arc::new(aside(&active)));
        let (number, lists) = (active.number, active.lists.revision);
        drop(active);
        (session.judge(call, items), number, lists)
    }

    /// Where a kept generation came from and how its plugins were set; none if it is not kept.
    #[must_use]
    pub fn origin(&self, number: u64) -> Option<Origin> {
        let kept = lock(&self.kept);
        let record = kept.get(number)?;
        let text = kept.files(record).ok().and_then(|files| files.text(MANIFEST).ok().map(str::to_owned));
        let manifest = text.and_then(|text| manifest::read(&text, &mut Vec::new()));
        let settings = manifest.into_iter().flat_map(|manifest| manifest.plugins);
        Some(Origin {
            generation: record.number,
            name: record.name.clone(),
            digest: record.digest.clone(),
            by: record.by.clone(),
            why: record.why.clone(),
            at_ms: record.at_ms,
            settings: settings.map(|plugin| (plugin.name, plugin.component, plugin.settings)).collect(),
        })
    }
}

/// The same plugins, whose acts leave no trace.
fn aside(active: &Generation) -> Generation {
    let plugin = |plugin: &Plugin| {
        let mut host = (*plugin.host).clone();
        host.rehearsal = true;
        host.counters = Arc::new(Counters::over(host.counters.clone()));
        host.figures = Arc::default();
        plugin.beside(host, Arc::default())
    };
    let place = |placed: &Placed| Placed { plugin: Arc::new(plugin(&placed.plugin)), entry: placed.entry.clone() };
    Generation {
        number: active.number,
        digest: active.digest.clone(),
        name: active.name.clone(),
        allow_by_default: active.allow_by_default,
        bundle_lists: active.bundle_lists.clone(),
        lists: active.lists.clone(),
        epoch: active.epoch,
        plugins: active.plugins.iter().map(place).collect(),
        redaction_key: active.redaction_key,
        retired: AtomicBool::new(false),
    }
}
