//! What operators are told: checks, activations, history, the state of each plugin.

use serde::Serialize;

use crate::bundle::diagnostic::Diagnostic;

/// A bundle that could be activated.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The bundle's name.
    pub name: String,
    /// blake3 of the bundle, hex.
    pub digest: String,
    /// Its plugins, in order.
    pub plugins: Vec<CheckedPlugin>,
    /// Warnings; errors make `check` fail instead.
    pub diagnostics: Vec<Diagnostic>,
}

/// A plugin that passed all checks.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedPlugin {
    /// Name in the bundle.
    pub name: String,
    /// blake3 of the component, hex.
    pub digest: String,
    /// `access`, `content`, `audit`: what it exports.
    pub hooks: Vec<&'static str>,
    /// Capabilities that it imports, all of them granted.
    pub imports: Vec<String>,
}

/// A bundle that has become the active generation.
#[derive(Clone, Debug, Serialize)]
pub struct Activation {
    /// The new generation.
    pub number: u64,
    /// blake3 of its bundle, hex.
    pub digest: String,
    /// The generation before it.
    pub previous: u64,
    /// Whether all requests of the old generation ended by themselves. If not, those left are
    /// refused by their failure modes from now on: nothing is judged by the old policy.
    pub drained: bool,
    /// How long the whole activation took.
    pub micros: u64,
    /// Warnings of the check.
    pub diagnostics: Vec<Diagnostic>,
}

/// A generation in the history of this server's policy.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryEntry {
    /// Counts up by one with each activation and roll-back.
    pub number: u64,
    /// The bundle's name.
    pub name: String,
    /// blake3 of its bundle, hex.
    pub digest: String,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Who activated it.
    pub by: String,
    /// Why.
    pub why: String,
    /// For a roll-back: the generation whose bundle it brought back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restores: Option<u64>,
    /// `active`, `kept` or `broken`.
    pub state: &'static str,
}

/// The active generation and how its plugins fare.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// Number of the active generation.
    pub generation: u64,
    /// The bundle's name.
    pub name: String,
    /// blake3 of the bundle, hex.
    pub digest: String,
    /// What becomes of a call on which all access plugins abstain.
    pub default_access: &'static str,
    /// When it was activated, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Who activated it.
    pub by: String,
    /// Why.
    pub why: String,
    /// If the last activated generation could not be restored at start: what was wrong with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallen_back: Vec<String>,
    /// Its plugins, in order.
    pub plugins: Vec<ShownPlugin>,
}

/// A plugin of the active generation.
#[derive(Clone, Debug, Serialize)]
pub struct ShownPlugin {
    /// Name in the bundle.
    pub name: String,
    /// What `policy.toml` names as its component.
    pub component: String,
    /// blake3 of the component, hex.
    pub digest: String,
    /// `access`, `content`, `audit`.
    pub hooks: Vec<&'static str>,
    /// Whether one instance serves many calls.
    pub reuse: bool,
    /// `ready`, or what it did wrong last: `timeout`, `trap`, …
    pub state: String,
    /// The last fault in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_fault: Option<String>,
    /// Figures since the process started, over all generations with a plugin of this name.
    pub stats: PluginStats,
}

/// Upper bounds of the time histogram's buckets, in microseconds; the last bucket is open.
pub const TIME_BUCKETS: [u32; 12] = [5, 10, 20, 35, 50, 100, 250, 1_000, 2_500, 10_000, 50_000, 250_000];

/// Figures of one plugin since the process started; they survive a swap of the policy.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PluginStats {
    /// Name in the bundle.
    pub plugin: String,
    /// Calls of any hook.
    pub calls: u64,
    /// Calls by verdict, faults among them as `fault`.
    pub verdicts: Vec<(&'static str, u64)>,
    /// Faults by kind: `timeout`, `trap`, `memory`, `output`, `host-calls`, `invalid`, …
    pub faults: Vec<(&'static str, u64)>,
    /// Sum of all calls' wall time, in microseconds.
    pub micros: u64,
    /// Calls per bucket of [`TIME_BUCKETS`] and one for what is slower; not cumulative.
    pub histogram: Vec<u64>,
    /// What the plugin counted itself through `metrics`.
    pub counted: Vec<(String, u64)>,
}
