//! From files to plugins in their places: everything that `check` and `activate` have in common.

use std::collections::HashSet;
use std::sync::Arc;

use crate::bundle::diagnostic::{Diagnostic, Diagnostics};
use crate::bundle::files::Files;
use crate::bundle::manifest::{self, Manifest, PluginEntry};
use crate::bundle::table::nearest;
use crate::bundle::{MANIFEST, signature};
use crate::generation::Placed;
use crate::lists::{Lists, OwnLists};
use crate::options::TrustedKey;
use crate::prepare::{Finding, Raw, Workshop};

/// `component = "builtin:NAME"`.
pub(crate) const BUILTIN: &str = "builtin:";

/// A bundle that can become a generation.
pub(crate) struct Loaded {
    pub(crate) manifest: Manifest,
    /// The bundle's files, and the built-in components that it uses under their `builtin:` names:
    /// a generation stays what it was when the binary is replaced.
    pub(crate) files: Files,
    /// blake3 over `files`, hex.
    pub(crate) digest: String,
    pub(crate) plugins: Vec<Placed>,
    /// The lists as the bundle has them, and those in force.
    pub(crate) bundle_lists: Arc<Lists>,
    pub(crate) lists: Arc<Lists>,
    /// Warnings.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Whose bundles are believed; none for what was believed before and kept since.
pub(crate) struct Trust<'a> {
    pub(crate) keys: &'a [TrustedKey],
    /// How many of them must have signed.
    pub(crate) needed: usize,
    pub(crate) allow_unsigned: bool,
}

/// Components that come with the binary, by name.
pub(crate) type Builtins = &'static [(&'static str, &'static [u8])];

/// # Errors
/// All diagnostics, if one of them is an error.
pub(crate) fn load(
    workshop: &Workshop,
    builtins: Builtins,
    mut files: Files,
    own: &OwnLists,
    trust: Option<&Trust<'_>>,
) -> Result<Loaded, Diagnostics> {
    let only = |diagnostic| Diagnostics(vec![diagnostic]);
    if let Some(trust) = trust {
        signature::verify(&files, trust.keys, trust.needed, trust.allow_unsigned).map_err(only)?;
    }
    let text = files.text(MANIFEST).map_err(only)?.to_owned();
    let mut diagnostics = Vec::new();
    let Some(manifest) = manifest::read(&text, &mut diagnostics) else {
        return Err(Diagnostics(diagnostics));
    };
    embed(&manifest, builtins, &mut files, &mut diagnostics);
    let bundle_lists = Arc::new(files.lists(&mut diagnostics));
    let lists = Arc::new(own.over(&bundle_lists));
    let differing = own.differences(&bundle_lists);
    diagnostics.extend(differing.into_iter().map(|(file, words)| Diagnostic::warning(file, words)));
    let mut loading = Loading { workshop, text: &text, files: &files, lists: lists.clone(), diagnostics };
    let plugins = loading.plugins(&manifest);
    let diagnostics = Diagnostics(loading.diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let digest = files.digest().to_hex().to_string();
    Ok(Loaded { manifest, files, digest, plugins, bundle_lists, lists, diagnostics: diagnostics.0 })
}

/// Puts the built-in components that the manifest names among the files, and warns of components
/// that it does not name.
pub(crate) fn embed(manifest: &Manifest, builtins: Builtins, files: &mut Files, diagnostics: &mut Vec<Diagnostic>) {
    let used: HashSet<&str> = manifest.plugins.iter().map(|plugin| plugin.component.as_str()).collect();
    for path in files.0.keys().filter(|path| path.ends_with(".wasm") && !used.contains(path.as_str())) {
        diagnostics.push(Diagnostic::warning(path, "is not named by any plugin in policy.toml"));
    }
    for name in used.iter().filter_map(|component| component.strip_prefix(BUILTIN)) {
        let component = builtins.iter().find(|(builtin, _)| *builtin == name);
        if let Some((_, wasm)) = component {
            files.0.entry(format!("{BUILTIN}{name}")).or_insert_with(|| Arc::from(*wasm));
        }
    }
}

struct Loading<'a> {
    workshop: &'a Workshop,
    text: &'a str,
    files: &'a Files,
    lists: Arc<Lists>,
    diagnostics: Vec<Diagnostic>,
}

impl Loading<'_> {
    fn plugins(&mut self, manifest: &Manifest) -> Vec<Placed> {
        manifest.plugins.iter().enumerate().filter_map(|(at, entry)| self.plugin(at, entry)).collect()
    }

    fn plugin(&mut self, at: usize, entry: &PluginEntry) -> Option<Placed> {
        let Some(wasm) = self.files.0.get(&entry.component) else {
            self.missing(at, entry);
            return None;
        };
        let raw = Raw { entry, wasm, lists: &self.lists };
        let mut findings = Vec::new();
        let plugin = self.workshop.prepare(&raw, &mut findings);
        for finding in findings {
            self.found(at, entry, finding);
        }
        Some(Placed { plugin: Arc::new(plugin?), entry: entry.clone() })
    }

    fn missing(&mut self, at: usize, entry: &PluginEntry) {
        let known: Vec<&str> = self.files.0.keys().map(String::as_str).filter(|path| path.ends_with(".wasm")).collect();
        let component = &entry.component;
        let message = match (component.strip_prefix(BUILTIN), nearest(component, &known)) {
            (Some(name), _) => format!("no component named `{name}` is built in"),
            (None, Some(near)) => format!("there is no `{component}` in the bundle; did you mean `{near}`?"),
            (None, None) => format!("there is no `{component}` in the bundle"),
        };
        let diagnostic = manifest::diagnostic_at(self.text, at, "/component", message);
        self.diagnostics.push(diagnostic);
    }

    fn found(&mut self, at: usize, entry: &PluginEntry, finding: Finding) {
        let Finding { error, settings, message } = finding;
        let message = format!("plugin `{}`: {message}", entry.name);
        self.diagnostics.push(match settings {
            Some(pointer) => manifest::settings_diagnostic(self.text, at, &pointer, error, message),
            None if error => Diagnostic::error(&entry.component, message),
            None => Diagnostic::warning(&entry.component, message),
        });
    }
}
