//! An activated bundle: immutable, numbered, kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::bundle::manifest::PluginEntry;
use crate::lists::Lists;
use crate::plugin::Plugin;

/// A plugin in its place in the bundle.
#[derive(Clone)]
pub(crate) struct Placed {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) entry: PluginEntry,
}

/// An activated bundle. Its alignment keeps what every call reads away from the count of its sessions, which every call
/// changes.
#[repr(align(128))]
pub(crate) struct Generation {
    pub(crate) number: u64,
    /// blake3 of the bundle, hex.
    pub(crate) digest: String,
    pub(crate) name: String,
    pub(crate) allow_by_default: bool,
    /// The lists as the bundle brought them.
    pub(crate) bundle_lists: Arc<Lists>,
    /// The lists in force, fixed for every request of this generation object: a change makes a new one.
    pub(crate) lists: Arc<Lists>,
    /// Counts swaps, those of lists among them, since the process started.
    pub(crate) epoch: u64,
    /// In the bundle's order.
    pub(crate) plugins: Vec<Placed>,
    /// Keys the hashes of redacted fields.
    pub(crate) redaction_key: [u8; 32],
    /// Its successor waited long enough for it: nothing is judged by it any more.
    pub(crate) retired: AtomicBool,
}

impl Generation {
    pub(crate) fn suspect(&self) -> bool {
        self.plugins.iter().any(|placed| placed.plugin.health.suspect())
    }

    pub(crate) fn retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }
}
