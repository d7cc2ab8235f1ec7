//! Running a table of cases against one plugin.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use serde::Serialize;

use super::cases::{self, CallRow, Case, EventRow, Expected, ExpectedDiagnostic, Host, ItemRow, Step, Table};
use super::host::HostState;
use super::{Prepared, SETTINGS_FILE as SETTINGS, Setup, Trial};
use crate::bundle::diagnostic::{Diagnostic, Level};
use crate::call::{Body, Call, Direction, Event, Item, Peer};
use crate::cases::in_terms_of;
use crate::outcome::{AuditOutcome, Reason, Severity, Step as Said, Verdict};
use crate::session::Session;

/// When a test begins that does not say: in November 2023.
const USUAL_TIME_MS: u64 = 1_700_000_000_000;

/// What became of one case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// Its sentence.
    pub name: String,
    /// Its line in the file, from 1.
    pub line: u32,
    /// Where the plugin did not answer as expected; empty if the case holds.
    pub differences: Vec<Difference>,
}

/// One thing that came out otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `verdict`, `reason`, `labels`, …; with the number of its step where there are several.
    pub what: String,
    /// What the table says.
    pub expected: String,
    /// What came out.
    pub got: String,
}

/// A request of a table, ready to be asked.
pub(crate) enum Request {
    Access(Call),
    Content(Call, Item),
    Audit(Event),
}

impl Request {
    pub(crate) fn time_ms(&self) -> u64 {
        match self {
            Self::Access(call) | Self::Content(call, _) => call.time_ms,
            Self::Audit(event) => event.call.time_ms,
        }
    }
}

impl Trial {
    /// Runs all cases of a table test. Blocks: compiles the plugin once for each setup that differs.
    ///
    /// # Errors
    /// What is wrong with the file, with its line.
    pub fn table_test(&self, text: &str) -> Result<Vec<CaseReport>, String> {
        let table = cases::read(text).map_err(|wrong| wrong.to_string())?;
        let report = |case: &Case| CaseReport {
            name: case.name.as_ref().clone(),
            line: Table::line(text, case),
            differences: self.case(&table, case),
        };
        Ok(table.cases.iter().map(report).collect())
    }

    fn case(&self, table: &Table, case: &Case) -> Vec<Difference> {
        self.begin(HostState { known: host(table, case), now_ms: beginning(table, case) });
        let prepared = self.prepare(&setup(table, case, false));
        if let Some(expected) = case.expect.as_ref().and_then(|expect| expect.diagnostics.as_ref()) {
            return diagnostics(expected, &prepared);
        }
        let session = match prepared {
            Ok((session, _)) => session,
            Err(said) => return vec![differ("settings", "no mistakes", said.to_string())],
        };
        let steps = case.steps();
        let many = steps.len() > 1;
        let (mut found, mut now_ms) = (Vec::new(), beginning(table, case));
        for (number, step) in (1..).zip(&steps) {
            now_ms = moment(step, now_ms);
            let differences = self.step(&session, table, case, step, now_ms);
            found.extend(differences.into_iter().map(|difference| match many {
                true => Difference { what: format!("step {number}: {}", difference.what), ..difference },
                false => difference,
            }));
        }
        found
    }

    /// A step, as often as it says; the first time that differs ends it.
    fn step(&self, session: &Session, table: &Table, case: &Case, step: &Step, now_ms: u64) -> Vec<Difference> {
        let request = match request(session, table, case, step, now_ms) {
            Ok(request) => request,
            Err(said) => return vec![differ("request", "one that can be made", said)],
        };
        self.host.set_time(now_ms);
        for time in 1..=step.times.unwrap_or(1) {
            let mut differences = compare(&step.expect, &answer(session, &request));
            if !differences.is_empty() {
                if step.times.is_some() {
                    differences.iter_mut().for_each(|d| d.what = format!("{} ({time}th time)", d.what));
                }
                return differences;
            }
        }
        Vec::new()
    }
}

pub(crate) fn host(table: &Table, case: &Case) -> Host {
    let Some(own) = &case.host else { return table.host.clone() };
    let mut host = table.host.clone();
    host.friends = own.friends.clone().or(host.friends);
    host.same_group = own.same_group.clone().or(host.same_group);
    host.areas.extend(own.areas.clone());
    host.attributes.extend(own.attributes.clone());
    host
}

pub(crate) fn setup(table: &Table, case: &Case, reuse: bool) -> Setup {
    let mut lists = table.lists.clone();
    lists.extend(case.lists.clone());
    Setup {
        settings: case.settings.clone().unwrap_or_else(|| table.settings.clone()),
        limits: case.limits.clone().unwrap_or_else(|| table.limits.clone()),
        reuse,
        lists,
    }
}

/// When a case's first step happens.
pub(crate) fn beginning(table: &Table, case: &Case) -> u64 {
    case.call.time.or(table.call.time).map_or(USUAL_TIME_MS, |time| time.0)
}

/// When a step happens after `now_ms`.
pub(crate) fn moment(step: &Step, now_ms: u64) -> u64 {
    step.call.time.map_or(now_ms.saturating_add(step.after_ms), |time| time.0)
}

/// The step's request, to a plugin that can be asked it.
///
/// # Errors
/// What cannot be made of the row.
pub(crate) fn request(
    session: &Session,
    table: &Table,
    case: &Case,
    step: &Step,
    now_ms: u64,
) -> Result<Request, String> {
    let hooks = session.generation.plugins.first().map(|placed| placed.plugin.hooks.names()).unwrap_or_default();
    let wanted = match (&step.event, step.item.is_some() || step.text.is_some()) {
        (Some(_), _) => "audit",
        (None, true) => "content",
        (None, false) => "access",
    };
    if !hooks.contains(&wanted) {
        let give = "a case with `text` or `item` asks the content hook, one with `event` the audit hook, any other the access hook";
        return Err(format!("the plugin has no {wanted} hook ({give})"));
    }
    asked(table, case, step, now_ms)
}

/// The step's request.
///
/// # Errors
/// What cannot be made of the row.
pub(crate) fn asked(table: &Table, case: &Case, step: &Step, now_ms: u64) -> Result<Request, String> {
    let rows = [&step.call, &case.call, &table.call];
    let call = call(&rows, now_ms);
    Ok(match (&step.event, &step.item, &step.text) {
        (Some(row), _, _) => Request::Audit(event(row, call)),
        (None, Some(row), _) => Request::Content(call, item(row)?),
        (None, None, Some(text)) => {
            let row = ItemRow { text: text.clone(), ..ItemRow::default() };
            Request::Content(call, item(&row)?)
        }
        (None, None, None) => Request::Access(call),
    })
}

fn call(rows: &[&CallRow; 3], time_ms: u64) -> Call {
    let text = |pick: fn(&CallRow) -> Option<&String>, usual: &str| {
        rows.iter().find_map(|row| pick(row)).map_or_else(|| usual.to_owned(), Clone::clone)
    };
    let peer = rows.iter().find_map(|row| row.peer.clone());
    let peer = peer.map_or_else(
        || Some(Peer { id: "north".to_owned(), ..Peer::default() }),
        |peer| (!peer.id.is_empty()).then_some(Peer { id: peer.id, area: peer.area, product: peer.product }),
    );
    let usual = if peer.is_some() { Direction::Inbound } else { Direction::Internal };
    let mut attributes = BTreeMap::new();
    rows.iter().rev().for_each(|row| attributes.extend(row.attributes.clone()));
    Call {
        operation: Cow::Owned(text(|row| row.operation.as_ref(), "message.send")),
        direction: rows.iter().find_map(|row| row.direction).unwrap_or(usual),
        peer,
        actor: text(|row| row.actor.as_ref(), "alice@north"),
        target: text(|row| row.target.as_ref(), "carol@south"),
        time_ms,
        attributes: attributes.into_iter().collect(),
    }
}

fn item(row: &ItemRow) -> Result<Item, String> {
    let content = row.content()?;
    let usual = if content.is_some() { "file.content" } else { "message.text" };
    Ok(Item {
        kind: Cow::Owned(row.kind.clone().unwrap_or_else(|| usual.to_owned())),
        text: row.text.clone(),
        attributes: row.attributes.clone().into_iter().collect(),
        body: content.map(|(head, size)| Arc::new(Content { head, size }) as Arc<dyn Body>),
    })
}

fn event(row: &EventRow, call: Call) -> Event {
    Event {
        call,
        outcome: Cow::Owned(row.outcome.clone().unwrap_or_else(|| "allowed".to_owned())),
        code: row.code,
        fields: row.fields.clone().into_iter().collect(),
    }
}

/// A file: how it begins, and zeros.
struct Content {
    head: Vec<u8>,
    size: u64,
}

impl Body for Content {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, len: u32) -> Vec<u8> {
        let left = self.size.saturating_sub(offset).min(u64::from(len));
        let at = |n: u64| usize::try_from(n).ok().and_then(|n| self.head.get(n)).copied().unwrap_or(0);
        (offset..offset + left).map(at).collect()
    }
}

/// What the plugin said, of whichever hook.
#[derive(Debug, Default)]
struct Answer {
    verdict: String,
    reason: Option<Reason>,
    fault: String,
    rewrite: Option<String>,
    labels: Vec<String>,
    audit: Option<Treated>,
}

#[derive(Debug)]
struct Treated {
    severity: &'static str,
    redactions: BTreeMap<String, String>,
    detail: bool,
    sinks: Vec<String>,
}

fn answer(session: &Session, request: &Request) -> Answer {
    match request {
        Request::Access(call) => said(session.access(call).steps),
        Request::Content(call, item) => {
            let outcome = session.content(call, item);
            let rewrite = if let Verdict::Rewrite(text) = outcome.verdict { Some(text) } else { None };
            Answer { rewrite, labels: outcome.labels, ..said(outcome.steps) }
        }
        Request::Audit(event) => {
            let outcome = session.audit(event);
            let treated = treated(event, &outcome);
            Answer { audit: Some(treated), ..said(outcome.steps) }
        }
    }
}

fn said(steps: Vec<Said>) -> Answer {
    let Some(step) = steps.into_iter().next() else { return Answer::default() };
    Answer {
        verdict: step.verdict.to_owned(),
        reason: step.reason,
        fault: step.fault.unwrap_or_default(),
        ..Answer::default()
    }
}

/// The redactions, told from what they did to the event.
fn treated(event: &Event, outcome: &AuditOutcome) -> Treated {
    let mut redactions = BTreeMap::new();
    let mut note = |name: &str, before: &str, after: Option<&str>| {
        if let Some(done) = redaction(before, after) {
            redactions.insert(name.to_owned(), done.to_owned());
        }
    };
    for (name, before) in &event.fields {
        note(name, before, outcome.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str()));
    }
    for (name, before, after) in
        [("actor", &event.call.actor, &outcome.actor), ("target", &event.call.target, &outcome.target)]
    {
        note(name, before, Some(after.as_str()).filter(|after| !after.is_empty()));
    }
    Treated { severity: severity(outcome.severity), redactions, detail: outcome.detail, sinks: outcome.sinks.clone() }
}

fn redaction(before: &str, after: Option<&str>) -> Option<&'static str> {
    match after {
        None if before.is_empty() => None,
        None => Some("drop"),
        Some(after) if after == before => None,
        Some(after) if after.contains('*') && after.chars().count() == before.chars().count() => Some("mask"),
        Some(_) => Some("hash"),
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Debug => "debug",
        Severity::Info => "info",
        Severity::Notice => "notice",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

fn compare(expected: &Expected, got: &Answer) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut same = |what: &str, expected: Option<&dyn Debug>, got: &dyn Debug| {
        let (wanted, came) = (expected.map(|e| format!("{e:?}")), format!("{got:?}"));
        if let Some(wanted) = wanted.filter(|wanted| *wanted != came) {
            found.push(Difference { what: what.to_owned(), expected: wanted, got: came });
        }
    };
    let verdict = if got.fault.is_empty() { got.verdict.clone() } else { format!("fault: {}", got.fault) };
    let wanted = expected.verdict.as_ref().map(|verdict| match verdict.as_str() {
        // Whatever the fault says; `fault` compares that.
        "fault" if !got.fault.is_empty() => format!("fault: {}", got.fault),
        verdict => verdict.to_owned(),
    });
    same("verdict", wanted.as_ref().map(|w| w as &dyn Debug), &verdict);
    let code = got.reason.as_ref().map(|reason| reason.code.clone()).unwrap_or_default();
    let code = in_terms_of(expected.reason.as_deref(), &code);
    same("reason", expected.reason.as_ref().map(|e| e as &dyn Debug), &code);
    let rewrite = got.rewrite.clone().unwrap_or_default();
    same("rewrite", expected.rewrite.as_ref().map(|e| e as &dyn Debug), &rewrite);
    let labels = expected.labels.clone().map(sorted);
    same("labels", labels.as_ref().map(|e| e as &dyn Debug), &sorted(got.labels.clone()));
    if let Some(audit) = &got.audit {
        same("severity", expected.severity.as_ref().map(|e| e as &dyn Debug), &audit.severity);
        same("redactions", expected.redactions.as_ref().map(|e| e as &dyn Debug), &audit.redactions);
        same("detail", expected.detail.as_ref().map(|e| e as &dyn Debug), &audit.detail);
        let sinks = expected.sinks.clone().map(sorted);
        same("sinks", sinks.as_ref().map(|e| e as &dyn Debug), &sorted(audit.sinks.clone()));
    }
    let text = got.reason.as_ref().map(|reason| reason.text.as_str()).unwrap_or_default();
    for (what, expected, got) in [("message", &expected.message, text), ("fault", &expected.fault, &got.fault)] {
        if let Some(part) = expected.as_ref().filter(|part| !got.contains(part.as_str())) {
            found.push(differ(what, format!("… {part} …"), got));
        }
    }
    found
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

fn differ(what: &str, expected: impl Into<String>, got: impl Into<String>) -> Difference {
    Difference { what: what.to_owned(), expected: expected.into(), got: got.into() }
}

fn diagnostics(expected: &[ExpectedDiagnostic], prepared: &Prepared) -> Vec<Difference> {
    let found = match prepared {
        Ok((_, warnings)) => warnings,
        Err(said) => &said.0,
    };
    // What is remarkable about the component is no warning about the settings.
    let of_settings = |found: &&Diagnostic| found.severity == Level::Error || found.file == SETTINGS;
    let got: Vec<&Diagnostic> = found.iter().filter(of_settings).collect();
    let fits = |wanted: &ExpectedDiagnostic, got: &Diagnostic| {
        let level = if got.severity == Level::Error { "error" } else { "warning" };
        wanted.pointer == got.pointer
            && got.message.contains(&wanted.message)
            && wanted.severity.as_ref().is_none_or(|severity| severity == level)
    };
    let all = || if got.is_empty() { "no diagnostics".to_owned() } else { lines(&got) };
    let missed = expected.iter().filter(|wanted| !got.iter().any(|got| fits(wanted, got)));
    let mut found: Vec<_> = missed
        .map(|wanted| differ("diagnostics", format!("{}: … {} …", wanted.pointer, wanted.message), all()))
        .collect();
    let surplus = got.iter().filter(|got| !expected.iter().any(|wanted| fits(wanted, got)));
    found.extend(surplus.map(|got| differ("diagnostics", "nothing more", got.to_string())));
    found
}

fn lines(found: &[&Diagnostic]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
