//! One request's view of the policy: the chains of plugins, hook by hook.

use std::sync::Arc;

use crate::answer::Decision;
use crate::bindings::isthmus::policy::types;
use crate::bundle::manifest::FailureMode;
use crate::call::{Call, Event, Item};
use crate::fault::PluginFault;
use crate::generation::{Generation, Placed};
use crate::hooks::Hooks;
use crate::outcome::{AccessOutcome, AuditOutcome, ContentOutcome, Reason, Severity, Step, Verdict};
use crate::plugin::{Plugin, Timed};
use crate::redact::{self, Redactions};
use crate::sandbox::now_ms;
use crate::shadow::Shadow;

/// One generation for one request, on all hooks. Dropping it (and its clones) lets `activate`
/// finish: keep it for as long as the request's decisions last, not longer.
///
/// The calls block for as long as the plugins run: microseconds as a rule, their limit at worst.
#[derive(Clone)]
pub struct Session {
    pub(crate) generation: Arc<Generation>,
    /// Hears how events are recorded.
    pub(crate) shadow: Option<Arc<Shadow>>,
}

impl Session {
    /// One that nobody overhears.
    pub(crate) fn of(generation: Arc<Generation>) -> Self {
        Self { generation, shadow: None }
    }

    /// Number of the generation that judges.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.number
    }

    /// Counts swaps since the process started, changes of lists among them: what two sessions of one epoch say, they say
    /// with the same generation and the same lists.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.generation.epoch
    }

    /// Of the newest change of a list that is in force; 0 if all lists are the bundle's.
    #[must_use]
    pub fn lists_revision(&self) -> u64 {
        self.generation.lists.revision
    }

    /// blake3 of its bundle, hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.generation.digest
    }

    /// Whether its judgements still count: not once its generation was replaced and its successor has waited long enough.
    #[must_use]
    pub fn stands(&self) -> bool {
        !self.generation.retired()
    }

    /// Whether a plugin of it has been slow or over its time limit lately: the caller then judges
    /// off the threads that serve others.
    #[must_use]
    pub fn suspect(&self) -> bool {
        self.generation.suspect()
    }

    /// May this be done at all? (T/CIIA 003—2019 §6.2 b)
    ///
    /// Deny overrides: the first deny ends. An explicit allow does not stop later plugins from
    /// denying. Where all abstain, the bundle's default decides.
    #[must_use]
    pub fn access(&self, call: &Call) -> AccessOutcome {
        let mut steps = Vec::with_capacity(self.generation.plugins.len());
        let mut allowed = self.generation.allow_by_default;
        for placed in self.plugins(|hooks| hooks.access.is_some()) {
            let asked = self.ask(placed, |plugin| plugin.decide(call));
            let step = Answered { placed, hook: "access", micros: asked.micros };
            let denied = match asked.answer {
                Ok(Decision::Allow) => {
                    allowed = true;
                    steps.push(step.said("allow", None));
                    None
                }
                Ok(Decision::Abstain) => {
                    steps.push(step.said("abstain", None));
                    None
                }
                Ok(Decision::Deny(reason)) => {
                    steps.push(step.said("deny", Some(reason.clone())));
                    Some(reason)
                }
                Err(fault) => {
                    steps.push(step.failed(&fault));
                    let open = placed.entry.access_failure.of(call.direction) == FailureMode::Open;
                    (!open).then(Reason::fault)
                }
            };
            if denied.is_some() {
                return AccessOutcome { allowed: false, reason: denied, steps };
            }
        }
        let reason = (!allowed).then(Reason::default_deny);
        AccessOutcome { allowed, reason, steps }
    }

    /// May this be said?
    ///
    /// Rewrites compose: later plugins judge the rewritten text. The first reject or hold ends.
    #[must_use]
    pub fn content(&self, call: &Call, item: &Item) -> ContentOutcome {
        let mut outcome = ContentOutcome {
            verdict: Verdict::Pass,
            labels: Vec::new(),
            steps: Vec::with_capacity(self.generation.plugins.len()),
        };
        for placed in self.plugins(|hooks| hooks.content.is_some()) {
            let text = if let Verdict::Rewrite(text) = &outcome.verdict { text } else { &item.text };
            let asked = self.ask(placed, |plugin| plugin.judge(call, item, text));
            let step = Answered { placed, hook: "content", micros: asked.micros };
            let verdict = match asked.answer {
                Ok((verdict, labels)) => {
                    labels.into_iter().for_each(|label| add_once(&mut outcome.labels, label));
                    outcome.steps.push(step.said(verdict.name(), verdict.reason().cloned()));
                    verdict
                }
                Err(fault) => {
                    outcome.steps.push(step.failed(&fault));
                    match placed.entry.content_failure.of(call.direction) {
                        FailureMode::Open => Verdict::Pass,
                        FailureMode::Closed => Verdict::Reject(Reason::fault()),
                        FailureMode::Hold => Verdict::Hold(Reason::fault()),
                    }
                }
            };
            match verdict {
                Verdict::Pass => {}
                Verdict::Rewrite(text) if text == item.text => outcome.verdict = Verdict::Pass,
                Verdict::Rewrite(_) => outcome.verdict = verdict,
                Verdict::Reject(_) | Verdict::Hold(_) => return ContentOutcome { verdict, ..outcome },
            }
        }
        outcome
    }

    /// How is this recorded? (§6.2 d)
    ///
    /// Plugins reduce detail, never remove the event; every one of them sees the event whole. What
    /// a plugin that failed would have redacted is recorded whole, and marked. A shadow hears of it.
    #[must_use]
    pub fn audit(&self, event: &Event) -> AuditOutcome {
        let outcome = self.treat(event);
        if let Some(shadow) = &self.shadow {
            shadow.overhear_event(event, &outcome);
        }
        outcome
    }

    fn treat(&self, event: &Event) -> AuditOutcome {
        let mut redactions = Redactions::default();
        let mut outcome = AuditOutcome {
            severity: Severity::Info,
            fields: Vec::new(),
            actor: String::new(),
            target: String::new(),
            detail: true,
            sinks: Vec::new(),
            whole: false,
            steps: Vec::with_capacity(self.generation.plugins.len()),
        };
        let mut severest = None;
        for placed in self.plugins(|hooks| hooks.audit.is_some()) {
            let asked = self.ask(placed, |plugin| plugin.treat(event));
            let step = Answered { placed, hook: "audit", micros: asked.micros };
            match asked.answer {
                Ok(treatment) => {
                    severest = severest.max(Some(severity(treatment.severity)));
                    outcome.detail &= treatment.detail;
                    treatment.sinks.into_iter().for_each(|sink| add_once(&mut outcome.sinks, sink));
                    redactions.join(treatment.redactions);
                    outcome.steps.push(step.said("treat", None));
                }
                Err(fault) => {
                    outcome.whole = true;
                    outcome.steps.push(step.failed(&fault));
                }
            }
        }
        outcome.severity = severest.unwrap_or(outcome.severity);
        outcome.detail |= outcome.whole;
        self.redact(event, redactions, &mut outcome);
        outcome
    }

    fn redact(&self, event: &Event, redactions: Redactions, outcome: &mut AuditOutcome) {
        let apply = |place: usize, value: &str| redactions.apply(&self.generation.redaction_key, place, value);
        outcome.actor = apply(redact::ACTOR, &event.call.actor).unwrap_or_default();
        outcome.target = apply(redact::TARGET, &event.call.target).unwrap_or_default();
        let fields = (redact::FIRST..).zip(&event.fields);
        outcome.fields =
            fields.filter_map(|(place, (name, value))| Some((name.clone(), apply(place, value)?))).collect();
    }

    /// The plugins with a certain hook, in the bundle's order.
    fn plugins(&self, wanted: impl Fn(&Hooks) -> bool) -> impl Iterator<Item = &Placed> {
        self.generation.plugins.iter().filter(move |placed| wanted(&placed.plugin.hooks))
    }

    /// Asks one plugin, unless its generation has been retired under the request. What it said
    /// while that happened does not count either.
    fn ask<R>(&self, placed: &Placed, ask: impl FnOnce(&Plugin) -> Timed<R>) -> Timed<R> {
        if self.generation.retired() {
            return Timed { answer: Err(PluginFault::Retired), micros: 0 };
        }
        let timed = ask(&placed.plugin);
        if self.generation.retired() {
            return Timed { answer: Err(PluginFault::Retired), ..timed };
        }
        timed
    }
}

/// A plugin that was asked: counts what became of it and tells it as a step.
struct Answered<'a> {
    placed: &'a Placed,
    hook: &'static str,
    micros: u32,
}

impl Answered<'_> {
    fn said(&self, verdict: &'static str, reason: Option<Reason>) -> Step {
        self.placed.plugin.host.figures.record(verdict, None, self.micros);
        self.step(verdict, reason, None)
    }

    fn failed(&self, fault: &PluginFault) -> Step {
        let plugin = &*self.placed.plugin.name;
        if self.placed.plugin.host.log_window.admit(now_ms()) {
            tracing::warn!(plugin, hook = self.hook, kind = fault.kind(), "plugin {fault}");
        }
        self.placed.plugin.host.figures.record("fault", Some(fault), self.micros);
        self.step("fault", None, Some(format!("{}: {fault}", fault.kind())))
    }

    fn step(&self, verdict: &'static str, reason: Option<Reason>, fault: Option<String>) -> Step {
        let lane = self.placed.plugin.lanes.own();
        Step {
            plugin: lane.name.clone(),
            digest: lane.short.clone(),
            hook: self.hook,
            verdict,
            reason,
            micros: self.micros,
            fault,
        }
    }
}

fn severity(severity: types::Severity) -> Severity {
    match severity {
        types::Severity::Debug => Severity::Debug,
        types::Severity::Info => Severity::Info,
        types::Severity::Notice => Severity::Notice,
        types::Severity::Warning => Severity::Warning,
        types::Severity::Critical => Severity::Critical,
    }
}

fn add_once(list: &mut Vec<String>, item: String) {
    if !list.contains(&item) {
        list.push(item);
    }
}
