//! One request's view of the policy.

use std::sync::Arc;

use crate::call::{Call, Event, Item};
use crate::generation::Generation;
use crate::outcome::{AccessOutcome, AuditOutcome, ContentOutcome, Severity, Verdict};

/// One generation for one request, on all hooks. Dropping it lets `activate` finish.
#[derive(Clone)]
pub struct Session {
    pub(crate) generation: Arc<Generation>,
}

impl Session {
    /// Number of the generation that judges.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.number
    }

    /// blake3 of its bundle, hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.generation.digest
    }

    /// Whether a plugin of it has been slow or failing lately: the caller then judges off the
    /// threads that serve others.
    #[must_use]
    pub fn suspect(&self) -> bool {
        false
    }

    /// May this be done at all?
    #[must_use]
    pub fn access(&self, _call: &Call) -> AccessOutcome {
        AccessOutcome { allowed: true, reason: None, steps: Vec::new() }
    }

    /// May this be said?
    #[must_use]
    pub fn content(&self, _call: &Call, _item: &Item) -> ContentOutcome {
        ContentOutcome { verdict: Verdict::Pass, labels: Vec::new(), steps: Vec::new() }
    }

    /// How is this recorded?
    #[must_use]
    pub fn audit(&self, event: &Event) -> AuditOutcome {
        AuditOutcome {
            severity: Severity::Info,
            fields: event.fields.clone(),
            actor: event.call.actor.clone(),
            target: event.call.target.clone(),
            detail: true,
            sinks: Vec::new(),
            whole: false,
            steps: Vec::new(),
        }
    }
}
