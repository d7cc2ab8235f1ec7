//! The host that a test describes: time, friends, groups, areas, attributes.

use std::sync::{PoisonError, RwLock};

use super::cases::Host;
use crate::services::Services;

/// What the host knows now.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostState {
    pub(crate) known: Host,
    /// Milliseconds since 1970 UTC.
    pub(crate) now_ms: u64,
}

/// Answers `directory`, `clock` and `counters` while a test runs.
#[derive(Debug, Default)]
pub(crate) struct TrialHost(RwLock<HostState>);

impl TrialHost {
    pub(crate) fn set(&self, state: HostState) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(crate) fn set_time(&self, now_ms: u64) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).now_ms = now_ms;
    }

    fn read<R>(&self, look: impl FnOnce(&HostState) -> R) -> R {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn pair(pairs: &[(String, String)], a: &str, b: &str) -> bool {
    pairs.iter().any(|(one, other)| (one == a && other == b) || (one == b && other == a))
}

/// A test that names any friends knows of all others that they are none; so with groups.
impl Services for TrialHost {
    fn is_friend(&self, user: &str, other: &str) -> Option<bool> {
        self.read(|state| state.known.friends.as_ref().map(|pairs| pair(pairs, user, other)))
    }

    fn same_group(&self, user: &str, other: &str) -> Option<bool> {
        self.read(|state| state.known.same_group.as_ref().map(|pairs| pair(pairs, user, other)))
    }

    fn server_area(&self, server: &str) -> Option<String> {
        self.read(|state| state.known.areas.get(server).cloned())
    }

    fn user_attribute(&self, user: &str, name: &str) -> Option<String> {
        self.read(|state| state.known.attributes.get(user)?.get(name).cloned())
    }

    fn now_ms(&self) -> u64 {
        self.read(|state| state.now_ms)
    }
}
