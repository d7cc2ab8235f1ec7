//! Start: the newest generation that still works becomes the active one.

use crate::bundle::diagnostic::{Diagnostic, Diagnostics};
use crate::bundle::files::Files;
use crate::generation::Generation;
use crate::kept::{Kept, Record};
use crate::lists::OwnLists;
use crate::load::{Loaded, load};
use crate::options::{ActivateError, PolicyError, PolicyOptions};
use crate::policy::{commit, generation};
use crate::prepare::Workshop;

/// What happens once, at start: the newest generation that still works.
pub(crate) struct Opening<'a> {
    pub(crate) options: &'a PolicyOptions,
    pub(crate) workshop: &'a Workshop,
    pub(crate) kept: Kept,
    pub(crate) own_lists: &'a OwnLists,
    /// Generations that could not be restored, and why.
    pub(crate) fallen_back: Vec<(u64, String)>,
}

impl Opening<'_> {
    pub(crate) fn generation(&mut self) -> Result<Generation, PolicyError> {
        let mut candidates: Vec<Record> = self.kept.all().rev().cloned().collect();
        candidates.sort_by_key(|record| record.number != self.kept.active);
        let mut broken: Vec<String> = Vec::new();
        if self.kept.active != 0 && self.kept.get(self.kept.active).is_none() {
            self.fallen_back.push((self.kept.active, "its record is missing or damaged".to_owned()));
        }
        for record in candidates {
            if broken.contains(&record.digest) {
                continue;
            }
            match self.restore(&record) {
                Ok(generation) => return Ok(generation),
                Err(said) => {
                    tracing::error!(generation = record.number, "a policy generation cannot be restored: {said}");
                    self.fallen_back.push((record.number, said));
                    broken.push(record.digest);
                }
            }
        }
        self.default_bundle()
    }

    fn load(&self, files: Files) -> Result<Loaded, Diagnostics> {
        load(self.workshop, self.options.builtins, files, self.own_lists, None)
    }

    fn restore(&self, record: &Record) -> Result<Generation, String> {
        let files = self.kept.files(record)?;
        let loaded = self.load(files).map_err(|said| said.to_string())?;
        if loaded.digest != record.digest {
            return Err("its files are not those that were activated".to_owned());
        }
        Ok(generation(loaded, record, 1, self.options.redaction_key))
    }

    fn default_bundle(&mut self) -> Result<Generation, PolicyError> {
        let broken = |diagnostic| PolicyError::NoUsableBundle(Diagnostics(vec![diagnostic]));
        let files = Files::read(&self.options.default_bundle).map_err(broken)?;
        let loaded = self.load(files).map_err(PolicyError::NoUsableBundle)?;
        let why = if self.fallen_back.is_empty() { "first start" } else { "no kept generation could be restored" };
        match commit(&mut self.kept, &loaded, "isthmus", why, None) {
            Ok(record) => Ok(generation(loaded, &record, 1, self.options.redaction_key)),
            Err(ActivateError::Keep { path, action, source }) => Err(PolicyError::Folder { path, action, source }),
            Err(ActivateError::Broken(said)) => Err(PolicyError::NoUsableBundle(said)),
            Err(ActivateError::NoSuchGeneration(said)) => Err(broken(Diagnostic::error("policy.toml", said))),
        }
    }
}
