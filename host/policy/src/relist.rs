//! A change of a list: as atomic as a swap, without a new generation.
//!
//! A plugin that asks the host's list when it judges goes on as it is, beside the new list. One that copied the list in
//! `init` is initialised and snapshotted anew, on the thread of whoever changes the list: requests go on meanwhile.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::bundle::diagnostic::{Diagnostic, Diagnostics};
use crate::bundle::files::Files;
use crate::generation::{Generation, Placed};
use crate::lists::{Draft, ListChange, ListError, Lists};
use crate::options::ActivateError;
use crate::plugin::Plugin;
use crate::policy::{Policy, lock, micros};
use crate::prepare::{Raw, judging_threads};
use crate::report::{ListChanged, ListInfo};
use crate::sandbox::now_ms;

impl Policy {
    /// Changes a list. Blocks; answers when nothing is judged by the list as it was.
    ///
    /// `expected` is the revision that the caller has seen, if it matters to him.
    ///
    /// # Errors
    /// [`ListError`]; all goes on undisturbed then.
    pub fn change_list(
        &self,
        name: &str,
        change: ListChange,
        expected: Option<u64>,
        by: &str,
        why: &str,
    ) -> Result<ListChanged, ListError> {
        let started = Instant::now();
        let _one = lock(&self.swapping);
        let active = self.active.load_full();
        let reset = matches!(change, ListChange::Reset);
        let draft = lock(&self.own_lists).draft(name, change, expected, &active.lists, &active.bundle_lists)?;
        let Draft { lists, owned, mut edit } = draft;
        (edit.at_ms, edit.by, edit.why) = (now_ms(), by.to_owned(), why.to_owned());
        let size = lists.get(name).map_or(0, |list| list.entries().len());
        let mut changed =
            ListChanged { name: name.to_owned(), size, edit, renewed: Vec::new(), drained: true, micros: 0 };
        if changed.edit.added + changed.edit.removed == 0 && !reset {
            changed.edit.revision = lock(&self.own_lists).one(name, &active.lists).map_or(0, |list| list.revision);
            changed.micros = micros(started);
            return Ok(changed);
        }
        let lists = Arc::new(lists);
        let plugins = self.with_lists(&active, name, &lists, &mut changed.renewed)?;
        lock(&self.own_lists).keep(owned, changed.edit.clone())?;
        let next = Generation {
            number: active.number,
            digest: active.digest.clone(),
            name: active.name.clone(),
            allow_by_default: active.allow_by_default,
            bundle_lists: active.bundle_lists.clone(),
            lists,
            epoch: active.epoch + 1,
            plugins,
            redaction_key: active.redaction_key,
            retired: AtomicBool::new(false),
        };
        drop(active);
        (_, changed.drained) = self.exchange(next);
        changed.micros = micros(started);
        tracing::info!(
            list = name,
            revision = changed.edit.revision,
            added = changed.edit.added,
            removed = changed.edit.removed,
            by,
            why,
            micros = changed.micros,
            "list changed"
        );
        Ok(changed)
    }

    /// The lists in force.
    #[must_use]
    pub fn lists(&self) -> Vec<ListInfo> {
        let active = self.active.load_full();
        lock(&self.own_lists).all(&active.lists)
    }

    /// A list in force with its entries; none if there is no such list.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<(ListInfo, Vec<String>)> {
        let active = self.active.load_full();
        let info = lock(&self.own_lists).one(name, &active.lists)?;
        Some((info, active.lists.get(name)?.entries().to_vec()))
    }

    /// The plugins of a generation beside other lists, of which `name` is the one that differs.
    fn with_lists(
        &self,
        active: &Generation,
        name: &str,
        lists: &Arc<Lists>,
        renewed: &mut Vec<String>,
    ) -> Result<Vec<Placed>, ActivateError> {
        let mut files = None;
        let mut plugins = Vec::with_capacity(active.plugins.len());
        for placed in &active.plugins {
            let plugin = &placed.plugin;
            let copied = plugin.snapshot && plugin.reads.iter().any(|read| read == name);
            let next = match (plugin.sees_lists(), copied) {
                (false, _) => plugin.clone(),
                (true, false) => Arc::new(beside(plugin, lists)?),
                (true, true) => {
                    renewed.push(placed.entry.name.clone());
                    let files: &Files = match &mut files {
                        Some(files) => files,
                        none @ None => none.insert(self.files_of_active(active)?),
                    };
                    Arc::new(self.renew(placed, files, lists)?)
                }
            };
            plugins.push(Placed { plugin: next, entry: placed.entry.clone() });
        }
        Ok(plugins)
    }

    fn files_of_active(&self, active: &Generation) -> Result<Files, ActivateError> {
        let kept = lock(&self.kept);
        let record =
            kept.get(active.number).ok_or_else(|| broken("policy.toml", "its record is missing".to_owned()))?;
        kept.files(record).map_err(|said| broken("policy.toml", said))
    }

    /// Initialises a plugin anew, as at an activation.
    fn renew(&self, placed: &Placed, files: &Files, lists: &Arc<Lists>) -> Result<Plugin, ActivateError> {
        let component = &placed.entry.component;
        let wasm = files.0.get(component).ok_or_else(|| broken(component, "is missing".to_owned()))?;
        let mut findings = Vec::new();
        let prepared = self.workshop.prepare(&Raw { entry: &placed.entry, wasm, lists }, &mut findings);
        prepared.ok_or_else(|| {
            let errors = findings.into_iter().filter(|finding| finding.error);
            let told = |said: String| Diagnostic::error(component, format!("plugin `{}`: {said}", placed.entry.name));
            ActivateError::Broken(Diagnostics(errors.map(|finding| told(finding.message)).collect()))
        })
    }
}

fn broken(file: &str, said: String) -> ActivateError {
    ActivateError::Broken(Diagnostics(vec![Diagnostic::error(file, said)]))
}

/// A plugin that holds no copy of a list, with the lists that hold now.
fn beside(plugin: &Plugin, lists: &Arc<Lists>) -> Result<Plugin, ActivateError> {
    let mut host = (*plugin.host).clone();
    host.lists = lists.clone();
    let next = plugin.beside(host, plugin.health.clone());
    next.warm(judging_threads()).map_err(|fault| broken(&plugin.component, fault.to_string()))?;
    Ok(next)
}
