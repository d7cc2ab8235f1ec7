//! Lists (black, white, keywords): data with a revision of their own, beside the generations.
//!
//! A bundle brings lists along. One that an administrator has changed by command is this server's own from then on: it
//! outlives swaps and roll-backs, until it is given back to the bundle. `lists/NAME.json` in the policy's folder keeps it,
//! written whole under another name, fsynced, renamed and authenticated, like everything in that folder.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::kept::{sealed, unsealed, write};
use crate::options::ActivateError;
use crate::report::{ListEdit, ListInfo};

/// Entries of one list.
const ENTRIES: usize = 1_000_000;
const ENTRY_BYTES: usize = 1_024;
/// Edits of a list that are told beside it; the audit log has all.
const EDITS: usize = 50;
/// Entries of an edit that are told.
const TOLD: usize = 20;

/// A named list.
#[derive(Debug, Default)]
pub(crate) struct List {
    entries: Vec<String>,
    set: HashSet<String>,
    digest: Option<blake3::Hash>,
}

impl List {
    pub(crate) fn new(entries: Vec<String>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for entry in &entries {
            hasher.update(entry.as_bytes()).update(b"\n");
        }
        Self { set: entries.iter().cloned().collect(), entries, digest: Some(hasher.finalize()) }
    }

    pub(crate) fn contains(&self, entry: &str) -> bool {
        self.set.contains(entry)
    }

    /// In their order.
    pub(crate) fn entries(&self) -> &[String] {
        &self.entries
    }
}

/// All lists of a server at one moment, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists {
    by_name: BTreeMap<String, Arc<List>>,
    /// Of the newest edit that is in here; 0 if all lists are the bundle's.
    pub(crate) revision: u64,
}

impl Lists {
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<List>> {
        self.by_name.get(name)
    }

    pub(crate) fn put(&mut self, name: &str, list: impl Into<Arc<List>>) {
        self.by_name.insert(name.to_owned(), list.into());
    }

    fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Of what a plugin that asks for these lists is told.
    pub(crate) fn digest_of(&self, names: &[String]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for name in names {
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
            match self.get(name).and_then(|list| list.digest) {
                Some(digest) => hasher.update(&[1]).update(digest.as_bytes()),
                None => hasher.update(&[0]),
            };
        }
        hasher.finalize()
    }
}

/// What an administrator wants done to a list.
#[derive(Clone, Debug)]
pub enum ListChange {
    /// Puts entries at its end that are not in it yet.
    Add(Vec<String>),
    /// Takes entries out.
    Remove(Vec<String>),
    /// Makes these all its entries.
    Set(Vec<String>),
    /// Gives it back to the bundle: what its file says holds again.
    Reset,
}

/// Why a list was not changed. All goes on as before.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The name cannot be one.
    #[error("`{0}` is no name of a list: 1 to 64 of letters, digits, `-`, `_`, `.`, not beginning with `.`")]
    Name(String),
    /// An entry cannot be one.
    #[error("entry {at}: {what}")]
    Entry {
        /// Its place among those given, from 1.
        at: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Too many entries.
    #[error("a list has at most {ENTRIES} entries")]
    Full,
    /// Somebody else has changed it meanwhile.
    #[error("the list is at revision {found}, not {expected}: look at it again")]
    Meanwhile {
        /// What the caller had seen.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// There is none.
    #[error("there is no list `{0}`, and none was changed by command")]
    Nothing(String),
    /// A plugin that copies the list cannot live with it, or the disk failed.
    #[error(transparent)]
    Activate(#[from] ActivateError),
}

/// A list as it is kept once it was changed by command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Owned {
    name: String,
    revision: u64,
    /// None: given back to the bundle.
    entries: Option<Vec<String>>,
    edits: Vec<ListEdit>,
}

/// An edit that is not in force yet.
pub(crate) struct Draft {
    pub(crate) lists: Lists,
    pub(crate) owned: Owned,
    pub(crate) edit: ListEdit,
}

/// The lists that were changed by command.
#[derive(Clone)]
pub(crate) struct OwnLists {
    dir: PathBuf,
    key: [u8; 32],
    owned: BTreeMap<String, Owned>,
}

impl OwnLists {
    /// Nothing was changed, and nothing can be.
    pub(crate) fn none() -> Self {
        Self { dir: PathBuf::new(), key: [0; 32], owned: BTreeMap::new() }
    }

    /// What the folder holds, and what in it is damaged.
    pub(crate) fn open(dir: PathBuf, key: &[u8; 32]) -> (Self, Vec<String>) {
        let key = blake3::derive_key("isthmus policy lists v1", key);
        let mut lists = Self { dir, key, owned: BTreeMap::new() };
        let mut damaged = Vec::new();
        for entry in fs::read_dir(&lists.dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match fs::read_to_string(&path).ok().and_then(|text| unsealed::<Owned>(&lists.key, &text)) {
                Some(owned) if lists.path(&owned.name) == path => drop(lists.owned.insert(owned.name.clone(), owned)),
                Some(_) | None => damaged.push(format!("list {}: damaged or not ours", path.display())),
            }
        }
        (lists, damaged)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    fn newest(&self) -> u64 {
        self.owned.values().map(|owned| owned.revision).max().unwrap_or(0)
    }

    /// The lists that hold with a bundle that brings `bundle`.
    pub(crate) fn over(&self, bundle: &Lists) -> Lists {
        let mut lists = Lists { revision: self.newest(), ..bundle.clone() };
        for owned in self.owned.values() {
            if let Some(entries) = &owned.entries {
                lists.put(&owned.name, List::new(entries.clone()));
            }
        }
        lists
    }

    /// Lists of which the bundle says something else than what holds here, in words.
    pub(crate) fn differences(&self, bundle: &Lists) -> Vec<(String, String)> {
        let differs = |owned: &&Owned| {
            let of_bundle = bundle.get(&owned.name).map_or(&[][..], |list| list.entries());
            owned.entries.as_ref().is_some_and(|entries| bundle.get(&owned.name).is_some() && entries != of_bundle)
        };
        let told = |owned: &Owned| {
            let words = format!(
                "list `{}` was changed by command and holds at revision {}, not as this file says; `policy lists reset` \
                 gives it back to the bundle",
                owned.name, owned.revision
            );
            (format!("lists/{}.txt", owned.name), words)
        };
        self.owned.values().filter(differs).map(told).collect()
    }

    /// What `change` would make of the lists in force.
    pub(crate) fn draft(
        &self,
        name: &str,
        change: ListChange,
        expected: Option<u64>,
        in_force: &Lists,
        bundle: &Lists,
    ) -> Result<Draft, ListError> {
        if !is_name(name) {
            return Err(ListError::Name(name.to_owned()));
        }
        let before = self.owned.get(name);
        let found = before.map_or(0, |owned| owned.revision);
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(ListError::Meanwhile { expected, found });
        }
        let (old, empty) = (in_force.get(name), List::default());
        let old = old.map_or(&empty, |list| list);
        let entries = match change {
            ListChange::Reset if before.is_none() && bundle.get(name).is_none() => {
                return Err(ListError::Nothing(name.to_owned()));
            }
            ListChange::Reset => None,
            ListChange::Remove(_) if in_force.get(name).is_none() => return Err(ListError::Nothing(name.to_owned())),
            ListChange::Add(given) => Some(added(old, given)?),
            ListChange::Remove(given) => Some(without(old, given)?),
            ListChange::Set(given) => Some(once(given)?),
        };
        let new = match (&entries, bundle.get(name)) {
            (Some(entries), _) => Arc::new(List::new(entries.clone())),
            (None, Some(list)) => list.clone(),
            (None, None) => Arc::default(),
        };
        let revision = self.newest() + 1;
        let edit = edit(revision, old, &new);
        let mut lists = Lists { revision, ..in_force.clone() };
        match (&entries, bundle.get(name)) {
            (None, None) => lists.remove(name),
            _ => lists.put(name, new),
        }
        let edits = before.map(|owned| owned.edits.clone()).unwrap_or_default();
        Ok(Draft { lists, owned: Owned { name: name.to_owned(), revision, entries, edits }, edit })
    }

    /// Makes a draft last.
    pub(crate) fn keep(&mut self, mut owned: Owned, edit: ListEdit) -> Result<(), ActivateError> {
        owned.edits.push(edit);
        let surplus = owned.edits.len().saturating_sub(EDITS);
        owned.edits.drain(..surplus);
        let path = self.path(&owned.name);
        fs::create_dir_all(&self.dir).map_err(|source| ActivateError::Keep {
            path: self.dir.clone(),
            action: "make",
            source,
        })?;
        write(&path, sealed(&self.key, &owned).as_bytes())?;
        self.owned.insert(owned.name.clone(), owned);
        Ok(())
    }

    /// All lists in force.
    pub(crate) fn all(&self, in_force: &Lists) -> Vec<ListInfo> {
        in_force.names().filter_map(|name| self.one(name, in_force)).collect()
    }

    /// A list in force, without its entries.
    pub(crate) fn one(&self, name: &str, in_force: &Lists) -> Option<ListInfo> {
        let list = in_force.get(name)?;
        let owned = self.owned.get(name);
        Some(ListInfo {
            name: name.to_owned(),
            revision: owned.map_or(0, |owned| owned.revision),
            of_bundle: owned.is_none_or(|owned| owned.entries.is_none()),
            size: list.entries().len(),
            edits: owned.map(|owned| owned.edits.clone()).unwrap_or_default(),
        })
    }
}

fn is_name(name: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.chars().all(sound)
}

/// Entries as a list's file would hold them, each once.
fn once(given: Vec<String>) -> Result<Vec<String>, ListError> {
    let mut seen = HashSet::with_capacity(given.len());
    let mut entries = Vec::with_capacity(given.len());
    for (at, entry) in (1..).zip(given) {
        let entry = entry.trim();
        let wrong = |what| Err(ListError::Entry { at, what });
        match entry {
            "" => return wrong("is empty"),
            _ if entry.starts_with('#') => return wrong("begins with `#`, as comments do"),
            _ if entry.len() > ENTRY_BYTES => return wrong("is longer than 1024 bytes"),
            _ if entry.contains(char::is_control) => return wrong("contains a control character"),
            _ => {}
        }
        if seen.insert(entry.to_owned()) {
            entries.push(entry.to_owned());
        }
    }
    if entries.len() > ENTRIES { Err(ListError::Full) } else { Ok(entries) }
}

fn added(old: &List, given: Vec<String>) -> Result<Vec<String>, ListError> {
    let fresh = once(given)?.into_iter().filter(|entry| !old.contains(entry));
    let entries: Vec<String> = old.entries.iter().cloned().chain(fresh).collect();
    if entries.len() > ENTRIES { Err(ListError::Full) } else { Ok(entries) }
}

fn without(old: &List, given: Vec<String>) -> Result<Vec<String>, ListError> {
    let gone: HashSet<String> = once(given)?.into_iter().collect();
    Ok(old.entries.iter().filter(|entry| !gone.contains(*entry)).cloned().collect())
}

/// What differs, told in numbers and by the first of them.
fn edit(revision: u64, old: &List, new: &List) -> ListEdit {
    let told = |of: &List, not_in: &List| -> (usize, Vec<String>) {
        let fresh = of.entries.iter().filter(|entry| !not_in.contains(entry));
        (fresh.clone().count(), fresh.take(TOLD).cloned().collect())
    };
    let ((added, some_added), (removed, some_removed)) = (told(new, old), told(old, new));
    ListEdit { revision, added, removed, some_added, some_removed, ..ListEdit::default() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn bundle() -> Lists {
        let mut lists = Lists::default();
        lists.put("black", List::new(texts(&["north", "south"])));
        lists
    }

    /// Changes the list `black` and says what is in it then.
    fn change(own: &mut OwnLists, in_force: &mut Lists, change: ListChange) -> Vec<String> {
        let draft = own.draft("black", change, None, in_force, &bundle()).unwrap();
        own.keep(draft.owned, draft.edit).unwrap();
        *in_force = draft.lists;
        in_force.get("black").map(|list| list.entries().to_vec()).unwrap_or_default()
    }

    #[test]
    fn a_changed_list_outlives_the_process_until_it_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let (mut own, damaged) = OwnLists::open(dir.path().join("lists"), &[1; 32]);
        assert!(damaged.is_empty());
        let mut lists = own.over(&bundle());
        assert_eq!(change(&mut own, &mut lists, ListChange::Add(texts(&["east", "north", " west "]))).len(), 4);
        assert_eq!(change(&mut own, &mut lists, ListChange::Remove(texts(&["south", "east"]))), ["north", "west"]);
        let (mut own, _) = OwnLists::open(dir.path().join("lists"), &[1; 32]);
        let mut lists = own.over(&bundle());
        assert_eq!((lists.get("black").unwrap().entries(), lists.revision), (&texts(&["north", "west"])[..], 2));
        assert_eq!(own.differences(&bundle()).len(), 1);
        assert_eq!(own.one("black", &lists).unwrap().edits.len(), 2);
        assert_eq!(change(&mut own, &mut lists, ListChange::Reset), ["north", "south"]);
        assert_eq!((own.differences(&bundle()).len(), own.over(&bundle()).revision), (0, 3));
    }

    #[test]
    fn what_is_no_list_or_entry_is_refused_and_nobody_overwrites_what_he_has_not_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (own, _) = OwnLists::open(dir.path().join("lists"), &[1; 32]);
        let try_ = |name: &str, change, expected| own.draft(name, change, expected, &bundle(), &bundle()).err();
        for name in ["", ".x", "a/b", "..", "a b"] {
            assert!(matches!(try_(name, ListChange::Reset, None), Some(ListError::Name(_))), "{name}");
        }
        for entry in ["", "  ", "# x", "a\nb"] {
            let refused = try_("black", ListChange::Add(texts(&["fine", entry])), None);
            assert!(matches!(refused, Some(ListError::Entry { at: 2, .. })), "{entry:?}");
        }
        assert!(matches!(try_("none", ListChange::Remove(texts(&["x"])), None), Some(ListError::Nothing(_))));
        assert!(matches!(
            try_("black", ListChange::Set(Vec::new()), Some(4)),
            Some(ListError::Meanwhile { expected: 4, found: 0 })
        ));
    }

    #[test]
    fn a_forged_list_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let (mut own, _) = OwnLists::open(dir.path().to_owned(), &[1; 32]);
        let mut lists = bundle();
        change(&mut own, &mut lists, ListChange::Set(texts(&["east"])));
        let path = own.path("black");
        fs::write(&path, fs::read_to_string(&path).unwrap().replace("east", "west")).unwrap();
        let (own, damaged) = OwnLists::open(dir.path().to_owned(), &[1; 32]);
        assert_eq!((own.owned.len(), damaged.len()), (0, 1));
    }

    #[test]
    fn a_digest_tells_absent_empty_and_full_lists_apart() {
        let mut lists = bundle();
        lists.put("empty", List::new(Vec::new()));
        let of = |names: &[&str]| lists.digest_of(&texts(names));
        let all = [of(&[]), of(&["black"]), of(&["empty"]), of(&["absent"]), of(&["black", "empty"])];
        assert_eq!(all.iter().map(blake3::Hash::to_hex).collect::<HashSet<_>>().len(), all.len());
    }
}
