//! What differs between two bundles, in words.

use serde::Serialize;
use serde_json::{Value, json};

use crate::bundle::MANIFEST;
use crate::bundle::diagnostic::Diagnostics;
use crate::bundle::files::Files;
use crate::bundle::manifest::{self, Manifest, PluginEntry};
use crate::lists::{List, Lists};
use crate::options::BundleSource;
use crate::policy::Policy;

/// Entries of a list that are told.
const TOLD: usize = 20;

/// One of the two bundles.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// `generation 3`, `staged 1a2b3c4d5e6f`, or the folder.
    pub what: String,
    /// The bundle's name.
    pub name: String,
    /// blake3 of the bundle, hex.
    pub digest: String,
}

/// One thing that differs.
#[derive(Clone, Debug, Serialize)]
pub struct BundleChange {
    /// `bundle`, `default`, `plugin-added`, `plugin-removed`, `plugin-moved`, `component`, `grants`, `setting`, `limits`,
    /// `failure`, `reuse`, `list`, `file`.
    pub kind: &'static str,
    /// The plugin that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// In the plugin's settings, as a JSON pointer; of a list or file, its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub at: String,
    /// What it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
    /// All of it in words.
    pub words: String,
}

/// What it takes to come from one bundle to the other.
#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    /// The one.
    pub from: Side,
    /// The other.
    pub to: Side,
    /// In the order of the bundle; empty if they are the same.
    pub changes: Vec<BundleChange>,
}

struct Read {
    manifest: Manifest,
    lists: Lists,
    files: Files,
}

impl Policy {
    /// What differs between two bundles, with their own lists (not those changed by command).
    ///
    /// # Errors
    /// [`Diagnostics`] of one that cannot be read.
    pub fn diff(&self, from: &BundleSource, to: &BundleSource) -> Result<Diff, Diagnostics> {
        let ((from, a), (to, b)) = (self.side(from)?, self.side(to)?);
        let mut changes = Changes(Vec::new());
        changes.bundle(&a.manifest, &b.manifest);
        changes.plugins(&a, &b);
        changes.lists(&a.lists, &b.lists);
        changes.files(&a.files, &b.files);
        Ok(Diff { from, to, changes: changes.0 })
    }

    fn side(&self, source: &BundleSource) -> Result<(Side, Read), Diagnostics> {
        let mut files = self.files(source)?.0;
        let text = files.text(MANIFEST).map_err(|diagnostic| Diagnostics(vec![diagnostic]))?.to_owned();
        let mut found = Vec::new();
        let Some(manifest) = manifest::read(&text, &mut found) else { return Err(Diagnostics(found)) };
        self.embed(&manifest, &mut files);
        let lists = files.lists(&mut found);
        let digest = files.digest().to_hex().to_string();
        let side = Side { what: source.to_string(), name: manifest.name.clone(), digest };
        Ok((side, Read { manifest, lists, files }))
    }
}

struct Changes(Vec<BundleChange>);

impl Changes {
    fn add(&mut self, kind: &'static str, plugin: Option<&str>, at: &str, values: [Option<Value>; 2], words: String) {
        let [from, to] = values;
        self.0.push(BundleChange { kind, plugin: plugin.map(str::to_owned), at: at.to_owned(), from, to, words });
    }

    fn bundle(&mut self, a: &Manifest, b: &Manifest) {
        if a.name != b.name {
            let words = format!("the bundle is called `{}` instead of `{}`", b.name, a.name);
            self.add("bundle", None, "", [Some(json!(a.name)), Some(json!(b.name))], words);
        }
        if a.allow_by_default != b.allow_by_default {
            let word = |allow| if allow { "allow" } else { "deny" };
            let (from, to) = (word(a.allow_by_default), word(b.allow_by_default));
            let words = format!("where all access plugins abstain: {to} instead of {from}");
            self.add("default", None, "", [Some(json!(from)), Some(json!(to))], words);
        }
    }

    fn plugins(&mut self, a: &Read, b: &Read) {
        let (old, new) = (&a.manifest.plugins, &b.manifest.plugins);
        for (place, plugin) in (1..).zip(old).filter(|(_, plugin)| find(new, &plugin.name).is_none()) {
            let words = format!("plugin `{}` ({}) is gone from place {place}", plugin.name, plugin.component);
            self.add("plugin-removed", Some(&plugin.name), "", [Some(json!(place)), None], words);
        }
        let stays = in_order(old, new);
        for (place, plugin) in (1..).zip(new) {
            let Some((before, was)) = find(old, &plugin.name) else {
                let words = format!("plugin `{}` ({}) is new at place {place}", plugin.name, plugin.component);
                self.add("plugin-added", Some(&plugin.name), "", [None, Some(json!(place))], words);
                continue;
            };
            if !stays.contains(&plugin.name.as_str()) {
                let before = before + 1;
                let words = format!("plugin `{}` moved from place {before} to {place}", plugin.name);
                self.add("plugin-moved", Some(&plugin.name), "", [Some(json!(before)), Some(json!(place))], words);
            }
            self.component(a, b, was, plugin);
            self.grants(was, plugin);
            self.options(was, plugin);
            self.settings(&plugin.name, "", &was.settings, &plugin.settings);
        }
    }

    fn component(&mut self, a: &Read, b: &Read, was: &PluginEntry, is: &PluginEntry) {
        let digest = |read: &Read, component: &str| {
            read.files
                .0
                .get(component)
                .map_or_else(|| "missing".to_owned(), |bytes| blake3::hash(bytes).to_hex()[..16].to_owned())
        };
        let (from, to) = (digest(a, &was.component), digest(b, &is.component));
        if from != to || was.component != is.component {
            let words =
                format!("plugin `{}` runs {} ({to}) instead of {} ({from})", is.name, is.component, was.component);
            self.add("component", Some(&is.name), &is.component, [Some(json!(from)), Some(json!(to))], words);
        }
    }

    fn grants(&mut self, was: &PluginEntry, is: &PluginEntry) {
        let missing_in = |here: &[String], there: &[String]| -> Vec<String> {
            here.iter().filter(|grant| !there.contains(grant)).cloned().collect()
        };
        let (given, taken) = (missing_in(&is.grants, &was.grants), missing_in(&was.grants, &is.grants));
        let mut words = Vec::new();
        if !given.is_empty() {
            words.push(format!("may now use {}", given.join(", ")));
        }
        if !taken.is_empty() {
            words.push(format!("may no longer use {}", taken.join(", ")));
        }
        if !words.is_empty() {
            let words = format!("plugin `{}` {}", is.name, words.join(" and "));
            self.add("grants", Some(&is.name), "", [Some(json!(was.grants)), Some(json!(is.grants))], words);
        }
    }

    fn options(&mut self, was: &PluginEntry, is: &PluginEntry) {
        let name = is.name.as_str();
        if was.reuse != is.reuse {
            let how = if is.reuse { "serves many calls with one instance" } else { "starts fresh for each call" };
            let values = [Some(json!(was.reuse)), Some(json!(is.reuse))];
            self.add("reuse", Some(name), "", values, format!("plugin `{name}` now {how}"));
        }
        for ((limit, from), (_, to)) in was.limits.named().into_iter().zip(is.limits.named()) {
            if from != to {
                let words = format!("plugin `{name}`: limit {limit} is {to} instead of {from}");
                self.add("limits", Some(name), limit, [Some(json!(from)), Some(json!(to))], words);
            }
        }
        let hooks =
            [("access", was.access_failure, is.access_failure), ("content", was.content_failure, is.content_failure)];
        for (hook, from, to) in hooks {
            for ((direction, from), (_, to)) in from.named().into_iter().zip(to.named()) {
                if from != to {
                    let words =
                        format!("plugin `{name}`: if it fails on {hook}, {direction} calls are {to} instead of {from}");
                    let at = format!("{hook}.{direction}");
                    self.add("failure", Some(name), &at, [Some(json!(from)), Some(json!(to))], words);
                }
            }
        }
    }

    fn settings(&mut self, plugin: &str, at: &str, from: &Value, to: &Value) {
        match (from, to) {
            _ if from == to => {}
            (Value::Object(old), Value::Object(new)) => {
                let mut keys: Vec<&String> =
                    old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))).collect();
                keys.sort();
                for key in keys {
                    let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                    self.setting(plugin, &at, old.get(key), new.get(key));
                }
            }
            (Value::Array(old), Value::Array(new)) if old.iter().chain(new).any(|v| v.is_object() || v.is_array()) => {
                for index in 0..old.len().max(new.len()) {
                    self.setting(plugin, &format!("{at}/{index}"), old.get(index), new.get(index));
                }
            }
            _ => self.setting_words(plugin, at, Some(from), Some(to)),
        }
    }

    fn setting(&mut self, plugin: &str, at: &str, from: Option<&Value>, to: Option<&Value>) {
        match (from, to) {
            (Some(from), Some(to)) => self.settings(plugin, at, from, to),
            _ => self.setting_words(plugin, at, from, to),
        }
    }

    fn setting_words(&mut self, plugin: &str, at: &str, from: Option<&Value>, to: Option<&Value>) {
        let words = match (from, to) {
            (Some(from), Some(to)) => format!("plugin `{plugin}`: {at} is {to} instead of {from}"),
            (None, Some(to)) => format!("plugin `{plugin}`: {at} is new: {to}"),
            (Some(from), None) => format!("plugin `{plugin}`: {at} is gone; it was {from}"),
            (None, None) => return,
        };
        self.add("setting", Some(plugin), at, [from.cloned(), to.cloned()], words);
    }

    fn lists(&mut self, a: &Lists, b: &Lists) {
        let mut names: Vec<&str> = a.names().chain(b.names()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let empty = List::default();
            let (old, new) = (a.get(name).map_or(&empty, |l| l), b.get(name).map_or(&empty, |l| l));
            let came: Vec<&String> = new.entries().iter().filter(|entry| !old.contains(entry)).collect();
            let went: Vec<&String> = old.entries().iter().filter(|entry| !new.contains(entry)).collect();
            let words = match (a.get(name), b.get(name)) {
                (None, Some(_)) => format!("list `{name}` is new, with {} entries", new.entries().len()),
                (Some(_), None) => format!("list `{name}` is gone; it had {} entries", old.entries().len()),
                _ if came.is_empty() && went.is_empty() => continue,
                _ => format!("list `{name}`: {}", moved(&came, &went)),
            };
            let told = |entries: &[&String]| Some(json!(entries.iter().take(TOLD).collect::<Vec<_>>()));
            self.add("list", None, name, [told(&went), told(&came)], words);
        }
    }

    /// Whatever else the folders hold: the bundle's own tests, for one.
    fn files(&mut self, a: &Files, b: &Files) {
        let mut paths: Vec<&String> = a.0.keys().chain(b.0.keys()).collect();
        paths.sort();
        paths.dedup();
        let told = |path: &str| {
            path == MANIFEST || path.ends_with(".wasm") || path.starts_with("lists/") || path.starts_with("builtin:")
        };
        for path in paths.into_iter().filter(|path| !told(path)) {
            let words = match (a.0.get(path), b.0.get(path)) {
                (Some(old), Some(new)) if old != new => format!("file {path} is another"),
                (None, Some(_)) => format!("file {path} is new"),
                (Some(_), None) => format!("file {path} is gone"),
                _ => continue,
            };
            self.add("file", None, path, [None, None], words);
        }
    }
}

fn moved(came: &[&String], went: &[&String]) -> String {
    let some = |entries: &[&String]| {
        let told: Vec<&str> = entries.iter().take(TOLD).map(|entry| entry.as_str()).collect();
        match entries.len() - told.len() {
            0 => told.join(", "),
            more => format!("{} and {more} more", told.join(", ")),
        }
    };
    match (came.is_empty(), went.is_empty()) {
        (false, true) => format!("{} in ({})", came.len(), some(came)),
        (true, _) => format!("{} out ({})", went.len(), some(went)),
        (false, false) => format!("{} in ({}), {} out ({})", came.len(), some(came), went.len(), some(went)),
    }
}

fn find<'a>(plugins: &'a [PluginEntry], name: &str) -> Option<(usize, &'a PluginEntry)> {
    plugins.iter().enumerate().find(|(_, plugin)| plugin.name == name)
}

/// Plugins that need not be called moved: the longest run that has the same order in both.
fn in_order<'a>(old: &[PluginEntry], new: &'a [PluginEntry]) -> Vec<&'a str> {
    let places: Vec<(usize, &str)> =
        new.iter().filter_map(|plugin| Some((find(old, &plugin.name)?.0, plugin.name.as_str()))).collect();
    let mut best: Vec<Vec<usize>> = Vec::with_capacity(places.len());
    for (at, (place, _)) in places.iter().enumerate() {
        let before = (0..at).filter(|other| places[*other].0 < *place).max_by_key(|other| best[*other].len());
        let mut run = before.map(|other| best[other].clone()).unwrap_or_default();
        run.push(at);
        best.push(run);
    }
    let longest = best.into_iter().max_by_key(Vec::len).unwrap_or_default();
    longest.into_iter().map(|at| places[at].1).collect()
}
