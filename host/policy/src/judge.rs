//! A whole request before the policy: first whether it may be done at all, then everything that it says.

use serde::Serialize;

use crate::call::{Call, Item};
use crate::outcome::{Reason, Step, Verdict};
use crate::session::Session;

/// What is to become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It goes on, with what was rewritten.
    Pass,
    /// It waits for an administrator.
    Hold(Reason),
    /// The access plugins denied it.
    Deny(Option<Reason>),
    /// The content plugins rejected it.
    Reject(Reason),
}

/// The policy's word on one request, and how it came about.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What is to become of it.
    pub answer: Answer,
    /// Texts to go on with instead, by the place of their item. None if it does not go on.
    pub rewritten: Vec<(usize, String)>,
    /// Labels for the audit record.
    pub labels: Vec<String>,
    /// Who said what, in order.
    pub steps: Vec<Step>,
}

impl Judgement {
    /// As records name it: `allowed`, `rewritten`, `held`, `denied`, `rejected`.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self.answer {
            Answer::Pass if !self.rewritten.is_empty() => "rewritten",
            Answer::Pass => "allowed",
            Answer::Hold(_) => "held",
            Answer::Deny(_) => "denied",
            Answer::Reject(_) => "rejected",
        }
    }

    /// Why it does not go on.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        match &self.answer {
            Answer::Pass => None,
            Answer::Deny(reason) => reason.as_ref(),
            Answer::Hold(reason) | Answer::Reject(reason) => Some(reason),
        }
    }

    /// The plugin that had the last word; none where nobody had an opinion.
    #[must_use]
    pub fn decided_by(&self) -> Option<&Step> {
        let spoke = |step: &&Step| !matches!(step.verdict, "abstain" | "pass" | "allow");
        self.steps.iter().rev().find(spoke)
    }

    /// What the first plugin that failed did wrong.
    #[must_use]
    pub fn fault(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.fault.is_some())
    }

    /// Wall time of all plugins, in microseconds.
    #[must_use]
    pub fn micros(&self) -> u64 {
        self.steps.iter().map(|step| u64::from(step.micros)).sum()
    }
}

/// A judgement as people and programs are shown it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Said {
    /// `allowed`, `rewritten`, `held`, `denied`, `rejected`.
    pub outcome: String,
    /// The reason's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The plugin that had the last word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// What went wrong with a plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl From<&Judgement> for Said {
    fn from(judgement: &Judgement) -> Self {
        Self {
            outcome: judgement.outcome().to_owned(),
            reason: judgement.reason().map(|reason| reason.code.clone()),
            plugin: judgement.decided_by().map(|step| step.plugin.to_string()),
            fault: judgement.fault().and_then(|step| step.fault.clone()),
        }
    }
}

impl Session {
    /// Judges a request: access first, then each item by itself. The first item that is not to pass decides.
    #[must_use]
    pub fn judge(&self, call: &Call, items: &[Item]) -> Judgement {
        let access = self.access(call);
        let mut judgement =
            Judgement { answer: Answer::Pass, rewritten: Vec::new(), labels: Vec::new(), steps: access.steps };
        if !access.allowed {
            judgement.answer = Answer::Deny(access.reason);
            return judgement;
        }
        self.contents(call, items, judgement)
    }

    /// Judges what is said in a request that was let through already, by its content alone.
    #[must_use]
    pub fn judge_content(&self, call: &Call, items: &[Item]) -> Judgement {
        let nothing = Judgement { answer: Answer::Pass, rewritten: Vec::new(), labels: Vec::new(), steps: Vec::new() };
        self.contents(call, items, nothing)
    }

    fn contents(&self, call: &Call, items: &[Item], mut judgement: Judgement) -> Judgement {
        for (index, item) in items.iter().enumerate() {
            let content = self.content(call, item);
            judgement.steps.extend(content.steps);
            judgement.labels.extend(content.labels);
            match content.verdict {
                Verdict::Pass => {}
                Verdict::Rewrite(text) => judgement.rewritten.push((index, text)),
                Verdict::Hold(reason) => {
                    judgement.answer = Answer::Hold(reason);
                    break;
                }
                Verdict::Reject(reason) => {
                    judgement.answer = Answer::Reject(reason);
                    judgement.rewritten.clear();
                    break;
                }
            }
        }
        judgement
    }
}
