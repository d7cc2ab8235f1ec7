//! A case: data that says what is demanded and why, and a short function that tries it.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::HeaderMap;
use serde::Serialize;
use serde_json::Value;

use super::driver::Act;
use super::lab::Lab;
use super::line::{Answer, Ask, Line, NoAnswer};

/// How much hangs on a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The text of the standard demands it; or without it two servers cannot interwork.
    Mandatory,
    /// Our reading where the text is silent or contradicts itself (R1–R22): a peer copes without.
    Recommended,
    /// Beyond the standard (reading, section 9).
    Extension,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Mandatory => "mandatory",
            Level::Recommended => "recommended",
            Level::Extension => "extension",
        })
    }
}

/// What a case cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// `--user`, `--other-user`: users of the target. With the server's URL, cases of servers need them.
    Users,
    /// Somebody or something that makes the target's users act: `--ask`, `--ask-command`, `--isthmus-client`.
    Acts,
    /// `--listen`: the target can call the kit.
    Listener,
    /// `--second-cert`: another registered server.
    Second,
    /// `--expired-cert`: a certificate of the platform that is over.
    Expired,
    /// `--unregistered-cert`: a certificate of the platform for a server that it does not know.
    Unregistered,
    /// `--deregistered-cert`: the certificate of a server that has deregistered.
    Deregistered,
    /// `--platform`.
    Platform,
    /// `--may-apply`: the platform may be left with an application to decide.
    MayApply,
}

impl Need {
    /// How it is given.
    #[must_use]
    pub const fn flag(self) -> &'static str {
        match self {
            Need::Users => "--target, --user and --other-user",
            Need::Acts => "--ask manual, --ask-command or --isthmus-client",
            Need::Listener => "--listen",
            Need::Second => "--second-cert and --second-key",
            Need::Expired => "--expired-cert and --expired-key",
            Need::Unregistered => "--unregistered-cert and --unregistered-key",
            Need::Deregistered => "--deregistered-cert and --deregistered-key",
            Need::Platform => "--platform",
            Need::MayApply => "--may-apply",
        }
    }
}

/// Why a trial ended before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// A demand was not met; it is in the trial's notes.
    Failed,
    /// It cannot be tried here, and why.
    Skip(String),
}

pub(super) type Outcome = Result<(), Stop>;

/// Tries one case.
pub(super) type Run = for<'a> fn(&'a Trial<'a>) -> BoxFuture<'a, Outcome>;

/// One named case.
#[derive(Clone)]
pub struct Case {
    /// Dotted, unique, stable: for `--only` and for `docs/conformance.md`.
    pub name: Cow<'static, str>,
    /// Clause of T/CIIA 003—2019.
    pub clause: &'static str,
    /// The R numbers of our reading that apply.
    pub r: &'static [u8],
    /// What hangs on it.
    pub level: Level,
    /// What it cannot do without.
    pub needs: &'static [Need],
    /// What is expected.
    pub rule: Cow<'static, str>,
    /// And why.
    pub why: &'static str,
    pub(super) run: Run,
}

impl Case {
    /// For lists that programs read.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::json!({"name": self.name, "clause": self.clause, "r": self.r, "level": self.level,
            "needs": self.needs, "rule": self.rule, "why": self.why})
    }

    /// The part of the name after the first dot: in families over all calls, the call.
    pub(super) fn rest(&self) -> &str {
        self.name.split_once('.').map_or("", |(_, rest)| rest)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}, {})", self.name, super::report::source(self.clause, self.r), self.level)?;
        writeln!(f, "    {}", self.rule)?;
        write!(f, "    because {}", self.why)
    }
}

/// Declares cases: one line of data and one function each.
macro_rules! cases {
    ($($name:literal $clause:literal $r:expr, $level:ident, [$($need:ident),*], $rule:literal, $why:literal => $run:path;)*) => {
        pub(super) const CASES: &[$crate::conformance::case::Case] = &[$($crate::conformance::case::Case {
            name: std::borrow::Cow::Borrowed($name),
            clause: $clause,
            r: &$r,
            level: $crate::conformance::case::Level::$level,
            needs: &[$($crate::conformance::case::Need::$need),*],
            rule: std::borrow::Cow::Borrowed($rule),
            why: $why,
            run: |t| Box::pin($run(t)),
        }),*];
    };
}
pub(super) use cases;

/// A demand that was not met.
#[derive(Debug, Clone, Serialize)]
pub struct Complaint {
    /// What should have been.
    pub expected: String,
    /// What was.
    pub got: String,
    /// The request that it is about, if any.
    pub request: Option<String>,
    /// And its answer.
    pub answer: Option<String>,
}

/// A case being tried.
pub(super) struct Trial<'a> {
    pub(super) lab: &'a Lab,
    pub(super) case: &'a Case,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    complaints: Vec<Complaint>,
    request: Option<String>,
    answer: Option<String>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(lab: &'a Lab, case: &'a Case) -> Trial<'a> {
        Trial { lab, case, notes: Mutex::default() }
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn into_complaints(self) -> Vec<Complaint> {
        self.notes.into_inner().unwrap_or_else(PoisonError::into_inner).complaints
    }

    pub(super) fn has_complaints(&self) -> bool {
        !self.notes().complaints.is_empty()
    }

    /// A call over any line; what happened is noted for the report.
    pub(super) async fn try_call(&self, line: &Line, ask: &Ask) -> Result<Answer, NoAnswer> {
        let result = line.send(ask).await;
        let mut notes = self.notes();
        notes.request = Some(shown_request(&line.url(), ask));
        notes.answer = Some(match &result {
            Ok(answer) => shown_answer(answer),
            Err(error) => format!("no answer: {}", error.0),
        });
        drop(notes);
        result
    }

    /// A call as the peer that we are; no answer fails the case.
    pub(super) async fn call(&self, ask: &Ask) -> Result<Answer, Stop> {
        let line = self.lab.own()?;
        self.call_on(line, ask).await
    }

    /// A call over any line; no answer fails the case.
    pub(super) async fn call_on(&self, line: &Line, ask: &Ask) -> Result<Answer, Stop> {
        match self.try_call(line, ask).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.fail("an answer", format!("none: {}", error.0))),
        }
    }

    /// A call that must succeed.
    pub(super) async fn accepted(&self, ask: &Ask) -> Result<Answer, Stop> {
        let answer = self.call(ask).await?;
        self.demand(answer.is_success(), "HTTP 200 with code 0", &said(&answer))?;
        Ok(answer)
    }

    /// A call that must be refused for the caller's fault.
    pub(super) async fn refused(&self, ask: &Ask) -> Result<Answer, Stop> {
        let answer = self.call(ask).await?;
        self.demand(answer.is_refusal(), "a refusal: a code other than 0, no HTTP 5xx", &said(&answer))?;
        Ok(answer)
    }

    /// A demand without which the case cannot go on.
    pub(super) fn demand(&self, met: bool, expected: impl Into<String>, got: &str) -> Outcome {
        if met { Ok(()) } else { Err(self.fail(expected, got)) }
    }

    /// A demand; the case goes on and fails at its end.
    pub(super) fn check(&self, met: bool, expected: impl Into<String>, got: impl Into<String>) {
        if !met {
            let _ = self.fail(expected, got);
        }
    }

    pub(super) fn fail(&self, expected: impl Into<String>, got: impl Into<String>) -> Stop {
        let mut notes = self.notes();
        let (request, answer) = (notes.request.clone(), notes.answer.clone());
        notes.complaints.push(Complaint { expected: expected.into(), got: got.into(), request, answer });
        Stop::Failed
    }

    /// What the target called is what the complaints are about from now on.
    pub(super) fn about(&self, heard: &super::stage::Heard) {
        let mut notes = self.notes();
        let body = String::from_utf8_lossy(&heard.body);
        notes.request =
            Some(cut(&format!("the target called: {}\n{}{body}", heard.line, shown_headers(&heard.headers))));
        notes.answer = None;
    }

    /// A step of a user of the target.
    pub(super) async fn act(&self, act: &Act<'_>) -> Result<String, Stop> {
        let driver = self.lab.driver.as_ref().ok_or_else(|| Stop::Skip("nobody makes users act".to_owned()))?;
        driver.act(act).await.map_err(|error| Stop::Skip(format!("a user of the target could not act: {error}")))
    }

    /// Asks a user until the answer is yes, or for as long as the kit waits.
    pub(super) async fn sees(&self, question: &Act<'_>) -> Result<bool, Stop> {
        let began = std::time::Instant::now();
        loop {
            if self.act(question).await?.trim().eq_ignore_ascii_case(Act::YES) {
                return Ok(true);
            }
            let once = self.lab.driver.as_ref().is_some_and(super::Driver::is_patient);
            if once || began.elapsed() > self.lab.patience {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// An answer in one line.
pub(super) fn said(answer: &Answer) -> String {
    match answer.code() {
        Some(code) => format!("HTTP {}, code {code}, {:?}", answer.status, answer.msg()),
        None => format!("HTTP {} without a code", answer.status),
    }
}

/// The most of one request or answer in a report.
const SHOWN_MAX: usize = 2000;

fn cut(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN_MAX).collect();
    let more = text.chars().count().saturating_sub(SHOWN_MAX);
    if more == 0 { shown } else { format!("{shown}… ({more} characters more)") }
}

fn shown_headers(headers: &HeaderMap) -> String {
    let one = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
    };
    headers.iter().map(one).collect()
}

fn shown_request(url: &str, ask: &Ask) -> String {
    let body = String::from_utf8_lossy(&ask.body);
    cut(&format!("{} {url}{}\n{}{body}", ask.method, ask.path, shown_headers(&ask.headers)))
}

fn shown_answer(answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let version = if answer.http2 { "HTTP/2" } else { "HTTP/1.1" };
    cut(&format!("{version} {}\n{}{body}", answer.status, shown_headers(&answer.headers)))
}

/// The type of a JSON value, for complaints.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
