//! Rehearsal: a candidate judges what the active policy judges or has judged, and changes nothing.
//!
//! A candidate has plugins, counters, figures and, for what is past, a clock of its own: whatever it does, the active
//! policy does not notice. What both said is compared here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::breaker::Breaker;
use crate::bundle::diagnostic::{Diagnostic, Diagnostics};
use crate::call::{Call, Direction};
use crate::cases::{CASES, Cases};
use crate::generation::Generation;
use crate::judge::{Judgement, Said};
use crate::options::BundleSource;
use crate::policy::{Policy, checked};
use crate::prepare::Workshop;
use crate::report::{CanaryReport, CheckReport, PluginStats};
use crate::services::Services;
use crate::session::Session;
use crate::stats::AllFigures;

/// Examples of each kind of disagreement.
pub(crate) const EXAMPLES: usize = 5;

/// A prepared bundle that is not active.
pub(crate) struct Candidate {
    generation: Arc<Generation>,
    figures: Arc<AllFigures>,
    time: Option<Arc<AtomicU64>>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Candidate {
    /// A session of it. Nothing waits for its end.
    pub(crate) fn session(&self) -> Session {
        Session::of(self.generation.clone())
    }

    pub(crate) fn name(&self) -> &str {
        &self.generation.name
    }

    pub(crate) fn digest(&self) -> &str {
        &self.generation.digest
    }

    pub(crate) fn figures(&self) -> Vec<PluginStats> {
        self.figures.read()
    }

    fn check(&self) -> CheckReport {
        CheckReport {
            name: self.generation.name.clone(),
            digest: self.generation.digest.clone(),
            plugins: self.generation.plugins.iter().map(|placed| checked(&placed.plugin)).collect(),
            diagnostics: self.diagnostics.clone(),
        }
    }

    /// Sets the clock of a candidate that judges the past.
    pub(crate) fn at(&self, time_ms: u64) {
        if let Some(time) = &self.time {
            time.store(time_ms, Ordering::Relaxed);
        }
    }
}

impl Policy {
    /// Prepares a bundle apart from the active policy; with a clock that is set, if it is to judge the past.
    pub(crate) fn candidate(
        &self,
        source: &BundleSource,
        time: Option<Arc<AtomicU64>>,
    ) -> Result<Candidate, Diagnostics> {
        let services = self.workshop.services.clone();
        let workshop = Workshop {
            sandbox: self.workshop.sandbox,
            cache: self.workshop.cache.clone(),
            services: match &time {
                Some(time) => Arc::new(Past { services, time: time.clone() }),
                None => services,
            },
            counters: Arc::default(),
            figures: Arc::default(),
            breaker: Breaker { faults: 0, ..self.breaker },
            rehearsal: true,
            compiled: None,
        };
        let loaded = self.load_in(&workshop, source)?;
        let diagnostics = loaded.diagnostics.clone();
        let generation = Arc::new(self.unnumbered(loaded));
        Ok(Candidate { generation, figures: workshop.figures, time, diagnostics })
    }
}

impl Policy {
    /// Starts every plugin of a bundle and judges the bundle's own cases. Blocks: compiles.
    ///
    /// # Errors
    /// All [`Diagnostics`] if the bundle could not be activated, or its cases not be read.
    pub fn canary(&self, source: impl Into<BundleSource>) -> Result<CanaryReport, Diagnostics> {
        let source = source.into();
        let only = |diagnostic| Diagnostics(vec![diagnostic]);
        let (files, _) = self.files(&source)?;
        let cases = match files.0.contains_key(CASES) {
            true => Some(Cases::read(files.text(CASES).map_err(only)?).map_err(only)?),
            false => None,
        };
        let candidate = self.candidate(&source, None)?;
        let session = candidate.session();
        let cases = cases.map(|cases| cases.run(&session)).unwrap_or_default();
        Ok(CanaryReport { check: candidate.check(), cases })
    }
}

/// What is known now, at a time of the past.
struct Past {
    services: Arc<dyn Services>,
    time: Arc<AtomicU64>,
}

impl Services for Past {
    fn is_friend(&self, user: &str, other: &str) -> Option<bool> {
        self.services.is_friend(user, other)
    }
    fn same_group(&self, user: &str, other: &str) -> Option<bool> {
        self.services.same_group(user, other)
    }
    fn server_area(&self, server: &str) -> Option<String> {
        self.services.server_area(server)
    }
    fn user_attribute(&self, user: &str, name: &str) -> Option<String> {
        self.services.user_attribute(user, name)
    }
    fn now_ms(&self) -> u64 {
        self.time.load(Ordering::Relaxed)
    }
}

/// One request on which the two did not agree.
#[derive(Clone, Debug, Serialize)]
pub struct Example {
    /// The message or decision, for `policy explain`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// What was asked for.
    pub operation: String,
    /// Which way.
    pub direction: Direction,
    /// The other server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub peer: String,
    /// Who.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub actor: String,
    /// To whom.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// What the active policy said, or had said.
    pub active: Said,
    /// What the candidate says.
    pub candidate: Said,
}

/// Requests on which the two did not agree in one way.
#[derive(Clone, Debug, Serialize)]
pub struct Disagreement {
    /// What the active policy said.
    pub active: String,
    /// What the candidate says.
    pub candidate: String,
    /// How often.
    pub count: u64,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// What was compared, and what came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Comparison {
    /// Requests that both judged.
    pub judged: u64,
    /// Of these: both said the same.
    pub agreed: u64,
    /// Both said the same, for other reasons.
    pub other_reason: u64,
    /// They did not agree.
    pub disagreed: u64,
    /// A plugin of the candidate failed: what it would have said is not known.
    pub failed: u64,
    /// How they disagreed, the most frequent first.
    pub disagreements: Vec<Disagreement>,
    /// What the candidate's plugins did wrong, some of it.
    pub failures: Vec<Example>,
    /// What was seen, by operation and direction: what is missing here was not rehearsed.
    pub seen: BTreeMap<String, u64>,
    /// Time of all plugins together, microseconds a request: active and candidate, on average.
    pub micros: [f64; 2],
    #[serde(skip)]
    sums: [u64; 2],
}

/// What was decided by the active policy, as far as it is to be compared.
pub(crate) struct Decided<'a> {
    pub(crate) said: Said,
    /// None: not known.
    pub(crate) rewritten: Option<&'a [(usize, String)]>,
    pub(crate) micros: u64,
    pub(crate) id: &'a str,
}

impl Comparison {
    pub(crate) fn add(&mut self, call: &Call, active: &Decided<'_>, candidate: &Judgement) {
        self.judged += 1;
        let direction = match call.direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
            Direction::Internal => "internal",
        };
        *self.seen.entry(format!("{} {direction}", call.operation)).or_default() += 1;
        self.sums[0] += active.micros;
        self.sums[1] += candidate.micros();
        let said = Said::from(candidate);
        let same_text = active.rewritten.is_none_or(|texts| texts == candidate.rewritten);
        let example = || Example {
            id: active.id.to_owned(),
            at_ms: call.time_ms,
            operation: call.operation.to_string(),
            direction: call.direction,
            peer: call.peer.as_ref().map(|peer| peer.id.clone()).unwrap_or_default(),
            actor: call.actor.clone(),
            target: call.target.clone(),
            active: active.said.clone(),
            candidate: said.clone(),
        };
        if said.fault.is_some() {
            self.failed += 1;
            if self.failures.len() < EXAMPLES {
                self.failures.push(example());
            }
        } else if said.outcome != active.said.outcome || !same_text {
            self.disagreed += 1;
            self.disagree(&example());
        } else {
            self.agreed += 1;
            self.other_reason += u64::from(said.reason != active.said.reason);
        }
    }

    fn disagree(&mut self, example: &Example) {
        let (active, candidate) = (&example.active.outcome, &example.candidate.outcome);
        let known = self.disagreements.iter_mut().find(|d| d.active == *active && d.candidate == *candidate);
        let place = match known {
            Some(place) => place,
            None => {
                self.disagreements.push(Disagreement {
                    active: active.clone(),
                    candidate: candidate.clone(),
                    count: 0,
                    examples: Vec::new(),
                });
                let last = self.disagreements.len() - 1;
                &mut self.disagreements[last]
            }
        };
        place.count += 1;
        if place.examples.len() < EXAMPLES {
            place.examples.push(example.clone());
        }
    }

    /// In order, with what is worked out at the end.
    #[allow(clippy::cast_precision_loss, reason = "an average for people")]
    pub(crate) fn finished(&self) -> Self {
        let mut finished = self.clone();
        finished.disagreements.sort_by_key(|d| std::cmp::Reverse(d.count));
        let of =
            |sum: u64| if self.judged == 0 { 0.0 } else { (sum as f64 / self.judged as f64 * 10.0).round() / 10.0 };
        finished.micros = self.sums.map(of);
        finished
    }
}
