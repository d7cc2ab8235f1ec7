//! What operators are told: checks, activations, history, the state of each plugin.

use serde::{Deserialize, Serialize};

use crate::breaker::Trip;
use crate::bundle::diagnostic::Diagnostic;
use crate::cases::CaseOutcome;

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

/// A bundle that was tried out.
#[derive(Clone, Debug, Serialize)]
pub struct CanaryReport {
    /// What was checked.
    #[serde(flatten)]
    pub check: CheckReport,
    /// What came of the bundle's own cases (`tests.toml`), in their order.
    pub cases: Vec<CaseOutcome>,
}

impl CanaryReport {
    /// How many cases did not come out as expected.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.differs.is_empty()).count()
    }
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
    /// `active`, `kept`, `broken` (could not be brought back at start) or `tripped` (a plugin of it kept failing).
    pub state: &'static str,
    /// What the plugin did that tripped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trip: Option<Trip>,
}

/// A bundle that waits to be activated.
#[derive(Clone, Debug, Serialize)]
pub struct Staged {
    /// blake3 of the bundle, hex: names it from now on.
    pub digest: String,
    /// The bundle's name.
    pub name: String,
    /// When it was staged, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Who staged it.
    pub by: String,
    /// Why.
    pub why: String,
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
    /// Of the newest change of a list that is in force; 0 if all lists are the bundle's.
    pub lists_revision: u64,
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

/// A change of a list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListEdit {
    /// Counts up over the changes of all lists.
    pub revision: u64,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// How many entries came in.
    pub added: usize,
    /// How many went.
    pub removed: usize,
    /// The first of those that came in.
    pub some_added: Vec<String>,
    /// The first of those that went.
    pub some_removed: Vec<String>,
}

/// A list in force.
#[derive(Clone, Debug, Serialize)]
pub struct ListInfo {
    /// Its name.
    pub name: String,
    /// Of its last change by command; 0 if there was none.
    pub revision: u64,
    /// Whether it is as the bundle's file says.
    pub of_bundle: bool,
    /// Entries.
    pub size: usize,
    /// Its latest changes, oldest first.
    pub edits: Vec<ListEdit>,
}

/// A list that was changed.
#[derive(Clone, Debug, Serialize)]
pub struct ListChanged {
    /// Its name.
    pub name: String,
    /// How many entries it has now.
    pub size: usize,
    /// What was changed; a change of nothing has the old revision and is not kept.
    #[serde(flatten)]
    pub edit: ListEdit,
    /// Plugins that had copied the list, and so were initialised anew.
    pub renewed: Vec<String>,
    /// As [`Activation::drained`].
    pub drained: bool,
    /// How long the whole change took.
    pub micros: u64,
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
