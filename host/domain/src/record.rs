//! The audit record (design §5): one JSON object an act, written in the transaction of the act.
//!
//! It names what was done by whom to whom, how it ended, and for every decision the policy's generation and each
//! plugin's verdict, reason and time, so that "who decided this, and why" can be answered from it alone.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scene::TimeId;

/// A plugin's part in a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord<'a> {
    /// Its name in the bundle.
    #[serde(borrow)]
    pub plugin: Cow<'a, str>,
    /// Beginning of its component's digest.
    #[serde(borrow)]
    pub digest: Cow<'a, str>,
    /// `allow`, `deny`, `pass`, `reject`, `rewrite`, `hold`, `abstain`, …
    #[serde(borrow)]
    pub verdict: Cow<'a, str>,
    /// Its reason for machines.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// How long it took.
    pub micros: u32,
    /// What went wrong with it: a trap, a timeout, …
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Cow<'a, str>>,
}

/// One act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord<'a> {
    /// The decision's ID.
    pub id: TimeId,
    /// When, in milliseconds since 1970 UTC.
    pub time_ms: u64,
    /// `message.send`, `policy.activate`, …
    #[serde(borrow)]
    pub operation: Cow<'a, str>,
    /// userID or administrator; left out if there is none.
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    pub actor: Cow<'a, str>,
    /// To whom.
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    pub target: Cow<'a, str>,
    /// The other server.
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    pub peer: Cow<'a, str>,
    /// `inbound`, `outbound`, `internal`.
    #[serde(borrow)]
    pub direction: Cow<'a, str>,
    /// `allowed`, `denied`, `rejected`, `rewritten`, `held`, `failed`.
    #[serde(borrow)]
    pub outcome: Cow<'a, str>,
    /// The standard's or our code.
    pub code: i32,
    /// `debug`, `info`, `notice`, `warning`, `critical`.
    #[serde(borrow)]
    pub severity: Cow<'a, str>,
    /// The policy's generation; left out where no policy was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Of the newest change of a list that held; left out if all lists were the bundle's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lists: u64,
    /// Each plugin that was asked, in order.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepRecord<'a>>,
    /// Labels that content plugins gave.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Cow<'a, str>>,
    /// What else policy allows to be kept: `messageID`, `text`, `reason`, …
    #[serde(borrow, default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

#[allow(clippy::ptr_arg, reason = "serde hands over the field as it is")]
fn is_empty(text: &Cow<'_, str>) -> bool {
    text.is_empty()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl<'a> AuditRecord<'a> {
    /// An act that went well, of severity `info`, with nothing else said.
    pub fn new(
        id: TimeId,
        time_ms: u64,
        operation: impl Into<Cow<'a, str>>,
        direction: impl Into<Cow<'a, str>>,
    ) -> Self {
        Self {
            id,
            time_ms,
            operation: operation.into(),
            actor: Cow::Borrowed(""),
            target: Cow::Borrowed(""),
            peer: Cow::Borrowed(""),
            direction: direction.into(),
            outcome: Cow::Borrowed("allowed"),
            code: 0,
            severity: Cow::Borrowed("info"),
            generation: None,
            lists: 0,
            steps: Vec::new(),
            labels: Vec::new(),
            fields: BTreeMap::new(),
        }
    }

    /// Names who acts.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<Cow<'a, str>>) -> Self {
        self.actor = actor.into();
        self
    }

    /// Names whom it is done to.
    #[must_use]
    pub fn target(mut self, target: impl Into<Cow<'a, str>>) -> Self {
        self.target = target.into();
        self
    }

    /// Names the other server.
    #[must_use]
    pub fn peer(mut self, peer: impl Into<Cow<'a, str>>) -> Self {
        self.peer = peer.into();
        self
    }

    /// Says how it ended.
    #[must_use]
    pub fn outcome(mut self, outcome: impl Into<Cow<'a, str>>, code: i32) -> Self {
        self.outcome = outcome.into();
        self.code = code;
        self
    }

    /// Says how grave it is.
    #[must_use]
    pub fn severity(mut self, severity: impl Into<Cow<'a, str>>) -> Self {
        self.severity = severity.into();
        self
    }

    /// Says which policy decided.
    #[must_use]
    pub fn generation(mut self, generation: u64) -> Self {
        self.generation = Some(generation);
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn field(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// As it goes into the log.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        serde_json::to_writer(&mut out, self).expect("strings and numbers serialize");
        out
    }

    /// Reads a record of the log.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}
