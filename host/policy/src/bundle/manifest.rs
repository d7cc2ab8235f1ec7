//! `policy.toml`: which plugins, in which order, with which settings, grants, limits, failure modes.

use std::ops::Range;

use serde_json::Value;
use toml::de::DeTable;

use super::MANIFEST;
use super::diagnostic::{Diagnostic, Level};
use super::table::{Place, Table, json, line, nearest};
use crate::call::Direction;
use crate::sandbox::engine::MAX_MEMORY_MIB;
use crate::sandbox::inspect::GRANTS;
use crate::sandbox::state::Limits;

/// Plugins in a bundle.
const MAX_PLUGINS: usize = 64;

/// What a call meets whose plugin failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureMode {
    /// Refused.
    Closed,
    /// Quarantined; where nothing can be quarantined, refused.
    Hold,
    /// Passed, as if the plugin had no opinion.
    Open,
}

/// Failure modes of one hook by direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    inbound: FailureMode,
    outbound: FailureMode,
    internal: FailureMode,
}

impl Failure {
    const fn all(mode: FailureMode) -> Self {
        Self { inbound: mode, outbound: mode, internal: mode }
    }

    /// All directions, as `policy.toml` names them.
    pub(crate) fn named(&self) -> [(&'static str, &'static str); 3] {
        let word = |mode| match mode {
            FailureMode::Closed => "refused",
            FailureMode::Hold => "held",
            FailureMode::Open => "let through",
        };
        [("inbound", word(self.inbound)), ("outbound", word(self.outbound)), ("internal", word(self.internal))]
    }

    pub(crate) fn of(&self, direction: Direction) -> FailureMode {
        match direction {
            Direction::Inbound => self.inbound,
            Direction::Outbound => self.outbound,
            Direction::Internal => self.internal,
        }
    }
}

/// One `[[plugin]]`.
#[derive(Clone, Debug)]
pub(crate) struct PluginEntry {
    pub(crate) name: String,
    /// `builtin:NAME` or a file of the bundle.
    pub(crate) component: String,
    pub(crate) grants: Vec<String>,
    pub(crate) reuse: bool,
    pub(crate) settings: Value,
    pub(crate) limits: Limits,
    pub(crate) access_failure: Failure,
    pub(crate) content_failure: Failure,
}

/// A `policy.toml` that was understood.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    /// What becomes of a call on which all access plugins abstain.
    pub(crate) allow_by_default: bool,
    pub(crate) plugins: Vec<PluginEntry>,
}

/// Reads `policy.toml`. Everything wrong with it is added to `diagnostics`; what comes back is only
/// to be used if no error was.
pub(crate) fn read(text: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Manifest> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        diagnostics.extend(errors.iter().map(|error| {
            let at = error.span().and_then(|span| line(text, span.start));
            Diagnostic::error(MANIFEST, format!("is not TOML: {}", error.message())).at(at, "")
        }));
        return None;
    }
    let root = Table::root(text, &table);
    root.only(&["name", "defaults", "plugin"], diagnostics);
    let allow_by_default = defaults(&root, diagnostics);
    Some(Manifest {
        name: root.text("name", diagnostics).unwrap_or_default().to_owned(),
        allow_by_default,
        plugins: plugins(&root, diagnostics),
    })
}

/// Turns the plugin's own complaint about its settings into one about `policy.toml`.
pub(crate) fn settings_diagnostic(
    text: &str,
    plugin: usize,
    pointer: &str,
    error: bool,
    message: String,
) -> Diagnostic {
    let severity = if error { Level::Error } else { Level::Warning };
    Diagnostic { severity, ..diagnostic_at(text, plugin, &format!("/settings{pointer}"), message) }
}

/// An error in a plugin's entry, `pointer` leading from there.
pub(crate) fn diagnostic_at(text: &str, plugin: usize, pointer: &str, message: String) -> Diagnostic {
    let (table, _) = DeTable::parse_recoverable(text);
    let entry =
        Table::root(text, &table).get("plugin").and_then(|place| place.items(&mut Vec::new()).into_iter().nth(plugin));
    let at = entry.and_then(|place| place.line_of(pointer));
    Diagnostic::error(MANIFEST, message).at(at, format!("/plugin/{plugin}{pointer}"))
}

fn defaults(root: &Table<'_>, diagnostics: &mut Vec<Diagnostic>) -> bool {
    let Some(defaults) = root.table("defaults", diagnostics) else {
        diagnostics.push(root.complain(
            "`[defaults]` with `access = \"allow\"` or `\"deny\"` is missing: say what holds where all plugins abstain",
        ));
        return false;
    };
    defaults.only(&["access"], diagnostics);
    let Some(place) = defaults.get("access") else {
        diagnostics.push(defaults.complain("`access` is missing: \"allow\" or \"deny\""));
        return false;
    };
    choice(&place, &[("allow", true), ("deny", false)], diagnostics).unwrap_or(false)
}

fn plugins(root: &Table<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<PluginEntry> {
    let Some(list) = root.get("plugin") else {
        return Vec::new();
    };
    let mut entries: Vec<PluginEntry> = Vec::new();
    for place in list.items(diagnostics) {
        let Some(table) = place.table(diagnostics) else { continue };
        let Some(entry) = plugin(&table, diagnostics) else { continue };
        if entries.iter().any(|other| other.name == entry.name) {
            diagnostics.push(place.complain(format!("there is another plugin named `{}`", entry.name)));
        }
        if entries.len() == MAX_PLUGINS {
            diagnostics.push(place.complain(format!("is one plugin too many: a bundle has at most {MAX_PLUGINS}")));
            break;
        }
        entries.push(entry);
    }
    entries
}

fn plugin(table: &Table<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<PluginEntry> {
    table.only(&["name", "component", "grants", "reuse", "settings", "limits", "failure"], diagnostics);
    let name = table.text("name", diagnostics);
    let component = table.text("component", diagnostics);
    let settings = table.get("settings").map_or(Value::Object(Default::default()), |place| {
        if place.table(diagnostics).is_some() { json(place.value.get_ref()) } else { Value::Null }
    });
    let (access_failure, content_failure) = failure(table, diagnostics);
    Some(PluginEntry {
        name: plugin_name(table, name?, diagnostics),
        component: component?.to_owned(),
        grants: grants(table, diagnostics),
        reuse: table.get("reuse").and_then(|place| place.bool(diagnostics)).unwrap_or(false),
        settings,
        limits: limits(table, diagnostics),
        access_failure,
        content_failure,
    })
}

fn plugin_name(table: &Table<'_>, name: &str, diagnostics: &mut Vec<Diagnostic>) -> String {
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    if (name.is_empty() || name.len() > 64 || !name.chars().all(sound))
        && let Some(place) = table.get("name")
    {
        diagnostics.push(place.complain("must be 1 to 64 of: letters, digits, `-`, `_`, `.`"));
    }
    name.to_owned()
}

fn grants(table: &Table<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<String> {
    let Some(place) = table.get("grants") else {
        return Vec::new();
    };
    let mut grants = Vec::new();
    for item in place.items(diagnostics) {
        match item.text(diagnostics) {
            Some(grant) if GRANTS.contains(&grant) => grants.push(grant.to_owned()),
            Some(grant) => diagnostics.push(item.complain(match nearest(grant, &GRANTS) {
                Some(near) => format!("unknown capability `{grant}`; did you mean `{near}`?"),
                None => format!("unknown capability `{grant}`; known: {}", GRANTS.join(", ")),
            })),
            None => {}
        }
    }
    grants
}

fn limits(table: &Table<'_>, diagnostics: &mut Vec<Diagnostic>) -> Limits {
    let mut limits = Limits::default();
    let Some(table) = table.table("limits", diagnostics) else {
        return limits;
    };
    let fields: [(&str, &mut u32, Range<u32>); 6] = [
        ("time_ms", &mut limits.time_ms, 1..10_001),
        ("init_ms", &mut limits.init_ms, 1..600_001),
        ("memory_mib", &mut limits.memory_mib, 1..MAX_MEMORY_MIB + 1),
        ("output_kib", &mut limits.output_kib, 1..65_537),
        ("host_calls", &mut limits.host_calls, 0..10_000_001),
        ("log_lines", &mut limits.log_lines, 0..10_001),
    ];
    table.only(&fields.each_ref().map(|(name, _, _)| *name), diagnostics);
    for (name, limit, bounds) in fields {
        if let Some(number) = table.get(name).and_then(|place| place.number(&bounds, diagnostics)) {
            *limit = number;
        }
    }
    limits
}

/// `[plugin.failure]` holds for all hooks, `[plugin.failure.access]` and `.content` for one.
fn failure(table: &Table<'_>, diagnostics: &mut Vec<Diagnostic>) -> (Failure, Failure) {
    let mut access = Failure::all(FailureMode::Closed);
    let mut content = Failure::all(FailureMode::Hold);
    let Some(table) = table.table("failure", diagnostics) else {
        return (access, content);
    };
    table.only(&["inbound", "outbound", "internal", "access", "content"], diagnostics);
    directions(&table, &mut access, diagnostics);
    directions(&table, &mut content, &mut Vec::new());
    for (hook, failure) in [("access", &mut access), ("content", &mut content)] {
        if let Some(table) = table.table(hook, diagnostics) {
            table.only(&["inbound", "outbound", "internal"], diagnostics);
            directions(&table, failure, diagnostics);
        }
    }
    (access, content)
}

fn directions(table: &Table<'_>, failure: &mut Failure, diagnostics: &mut Vec<Diagnostic>) {
    let modes = [("closed", FailureMode::Closed), ("hold", FailureMode::Hold), ("open", FailureMode::Open)];
    let fields =
        [("inbound", &mut failure.inbound), ("outbound", &mut failure.outbound), ("internal", &mut failure.internal)];
    for (name, mode) in fields {
        if let Some(chosen) = table.get(name).and_then(|place| choice(&place, &modes, diagnostics)) {
            *mode = chosen;
        }
    }
}

fn choice<T: Copy>(place: &Place<'_>, choices: &[(&str, T)], diagnostics: &mut Vec<Diagnostic>) -> Option<T> {
    let text = place.text(diagnostics)?;
    let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    if chosen.is_none() {
        let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        diagnostics.push(place.complain(format!("must be one of {}, not \"{text}\"", names.join(", "))));
    }
    chosen
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const GOOD: &str = "name = \"x\"\n[defaults]\naccess = \"allow\"\n";

    fn read_all(text: &str) -> (Option<Manifest>, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        (read(text, &mut diagnostics), diagnostics)
    }

    #[test]
    fn every_complaint_names_its_line_and_pointer() {
        let plugin = "[[plugin]]\nname = \"p\"\ncomponent = \"p.wasm\"\n";
        let cases = [
            ("name = ", 1, "", "is not TOML"),
            ("name = \"x\"\n", 1, "", "[defaults]"),
            ("name = \"x\"\n[defaults]\naccess = \"maybe\"\n", 3, "/defaults/access", "\"allow\", \"deny\""),
            (&format!("{GOOD}[deflaults]\n"), 4, "/deflaults", "did you mean `defaults`"),
            (&format!("{GOOD}[[plugin]]\nname = \"p\"\n"), 4, "/plugin/0", "`component` is missing"),
            (&format!("{GOOD}{plugin}reuze = true\n"), 7, "/plugin/0/reuze", "did you mean `reuse`"),
            (&format!("{GOOD}{plugin}reuse = 1\n"), 7, "/plugin/0/reuse", "true or false"),
            (&format!("{GOOD}{plugin}grants = [\"log\", \"list\"]\n"), 7, "/plugin/0/grants/1", "did you mean `lists`"),
            (&format!("{GOOD}{plugin}[plugin.limits]\ntime_ms = 0\n"), 8, "/plugin/0/limits/time_ms", "from 1 to"),
            (&format!("{GOOD}{plugin}[plugin.limits]\ntime = 5\n"), 8, "/plugin/0/limits/time", "time_ms"),
            (
                &format!("{GOOD}{plugin}[plugin.failure]\ninbound = \"shut\"\n"),
                8,
                "/plugin/0/failure/inbound",
                "closed",
            ),
            (&format!("{GOOD}{plugin}{plugin}"), 7, "/plugin/1", "another plugin named `p`"),
            (&format!("{GOOD}[[plugin]]\nname = \"a b\"\ncomponent = \"p.wasm\"\n"), 5, "/plugin/0/name", "letters"),
        ];
        for (text, line, pointer, message) in cases {
            let (_, found) = read_all(text);
            let hit = found.iter().any(|d| {
                d.line == Some(line) && d.pointer == pointer && d.message.contains(message) && d.file == MANIFEST
            });
            assert!(hit, "{text}\n{found:#?}");
        }
    }

    #[test]
    fn all_complaints_come_at_once() {
        let (_, found) = read_all("nam = \"x\"\n[defaults]\naccess = 1\n[[plugin]]\nfoo = 1\n");
        assert_eq!(found.len(), 6, "{found:#?}");
    }

    #[test]
    fn failure_modes_hold_by_hook_and_direction() {
        let (manifest, found) = read_all(&format!(
            "{GOOD}[[plugin]]\nname = \"p\"\ncomponent = \"p.wasm\"\n[plugin.failure]\ninbound = \"open\"\n[plugin.failure.content]\noutbound = \"closed\"\n"
        ));
        assert!(found.is_empty(), "{found:#?}");
        let plugin = manifest.unwrap().plugins.remove(0);
        let cases = [
            (plugin.access_failure, Direction::Inbound, FailureMode::Open),
            (plugin.access_failure, Direction::Outbound, FailureMode::Closed),
            (plugin.content_failure, Direction::Inbound, FailureMode::Open),
            (plugin.content_failure, Direction::Outbound, FailureMode::Closed),
            (plugin.content_failure, Direction::Internal, FailureMode::Hold),
        ];
        for (failure, direction, mode) in cases {
            assert_eq!(failure.of(direction), mode, "{direction:?}");
        }
    }

    #[test]
    fn a_plugins_complaint_is_found_in_the_manifest() {
        let text = format!(
            "{GOOD}[[plugin]]\nname = \"p\"\ncomponent = \"p.wasm\"\n[plugin.settings]\nmode = \"x\"\n[[plugin.settings.rules]]\nlist = \"black\"\n[[plugin.settings.rules]]\nlist = \"grey\"\n"
        );
        let cases = [("", 7), ("/mode", 8), ("/rules/1/list", 12), ("/rules/1/nothing", 11), ("/rules/0", 9)];
        for (pointer, line) in cases {
            let found = settings_diagnostic(&text, 0, pointer, true, "bad".to_owned());
            assert_eq!(found.line, Some(line), "{pointer}");
            assert_eq!(found.pointer, format!("/plugin/0/settings{pointer}"));
        }
    }
}
