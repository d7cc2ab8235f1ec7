//! What came of it: a table by clause, each failed case with its evidence, JSON, JUnit.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::case::{Case, Complaint, Level};
use super::lab::Lab;

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Every demand was met.
    Passed,
    /// Some were not.
    Failed,
    /// It was not tried; never counted as passed.
    Skipped,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Passed => "passed",
            State::Failed => "FAILED",
            State::Skipped => "skipped",
        }
    }
}

/// One case, tried.
#[derive(Debug, Clone, Serialize)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// Clause of T/CIIA 003—2019.
    pub clause: &'static str,
    /// R numbers of the reading.
    pub r: &'static [u8],
    /// What hangs on it.
    pub level: Level,
    /// What was expected.
    pub rule: String,
    /// And why.
    pub why: &'static str,
    /// What became of it.
    pub state: State,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Demands that were not met, with request and answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub complaints: Vec<Complaint>,
    /// How long it took.
    pub millis: u64,
}

impl CaseResult {
    pub(super) fn of(
        case: &Case,
        state: State,
        reason: String,
        complaints: Vec<Complaint>,
        took: Duration,
    ) -> CaseResult {
        CaseResult {
            name: case.name.to_string(),
            clause: case.clause,
            r: case.r,
            level: case.level,
            rule: case.rule.to_string(),
            why: case.why,
            state,
            reason,
            complaints,
            millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// `§7.4.2, R12`.
    #[must_use]
    pub fn source(&self) -> String {
        source(self.clause, self.r)
    }

    /// One line.
    #[must_use]
    pub fn line(&self) -> String {
        let reason = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        format!("{:7} {}{reason}", self.state.word(), self.name)
    }
}

/// `§7.4.2, R12`.
pub(super) fn source(clause: &str, r: &[u8]) -> String {
    r.iter().fold(format!("§{clause}"), |text, number| format!("{text}, R{number}"))
}

/// Everything that was tried.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The target's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The platform's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Who the kit was.
    pub peer: String,
    /// Of the kit.
    pub version: &'static str,
    /// How long it took.
    pub millis: u64,
    /// Counts by level: mandatory, recommended, extension.
    pub totals: BTreeMap<Level, Count>,
    /// The cases in the order in which they were tried.
    pub cases: Vec<CaseResult>,
}

/// How many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Every demand met.
    pub passed: usize,
    /// Some not.
    pub failed: usize,
    /// Not tried.
    pub skipped: usize,
}

impl Count {
    fn add(&mut self, state: State) {
        match state {
            State::Passed => self.passed += 1,
            State::Failed => self.failed += 1,
            State::Skipped => self.skipped += 1,
        }
    }
}

impl Report {
    pub(super) fn new(lab: &Lab, cases: Vec<CaseResult>, took: Duration) -> Report {
        let mut totals: BTreeMap<Level, Count> = BTreeMap::new();
        cases.iter().for_each(|case| totals.entry(case.level).or_default().add(case.state));
        Report {
            target: lab.target.clone(),
            platform: lab.platform.as_ref().map(super::line::Line::url),
            peer: lab.peer_id.clone(),
            version: env!("CARGO_PKG_VERSION"),
            millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            totals,
            cases,
        }
    }

    /// Whether no mandatory case failed.
    #[must_use]
    pub fn conforms(&self) -> bool {
        self.totals.get(&Level::Mandatory).is_none_or(|count| count.failed == 0)
    }

    /// The cases that failed.
    pub fn failed(&self) -> impl Iterator<Item = &CaseResult> {
        self.cases.iter().filter(|case| case.state == State::Failed)
    }

    /// For people: what failed with its evidence, then the table by clause, then the sum.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.failed().for_each(|case| evidence(&mut text, case));
        self.table(&mut text);
        for (level, count) in &self.totals {
            let _ =
                writeln!(text, "{level}: {} passed, {} failed, {} skipped", count.passed, count.failed, count.skipped);
        }
        let verdict = if self.conforms() { "no mandatory case failed" } else { "a mandatory case failed" };
        let _ = writeln!(text, "{verdict}");
        text
    }

    fn table(&self, text: &mut String) {
        let mut clauses: BTreeMap<Vec<u32>, (&str, BTreeMap<Level, Count>)> = BTreeMap::new();
        for case in &self.cases {
            let row = clauses.entry(order(case.clause)).or_insert((case.clause, BTreeMap::new()));
            row.1.entry(case.level).or_default().add(case.state);
        }
        let _ = writeln!(text, "{:8} {:24} {:24} extension", "clause", "mandatory", "recommended");
        for (clause, counts) in clauses.values() {
            let cell = |level| counts.get(&level).map_or_else(|| "-".to_owned(), shown);
            let (mandatory, recommended) = (cell(Level::Mandatory), cell(Level::Recommended));
            let _ =
                writeln!(text, "{:8} {mandatory:24} {recommended:24} {}", format!("§{clause}"), cell(Level::Extension));
        }
    }

    /// JUnit XML, a suite a clause.
    #[must_use]
    pub fn junit(&self) -> String {
        let mut suites: BTreeMap<Vec<u32>, Vec<&CaseResult>> = BTreeMap::new();
        self.cases.iter().for_each(|case| suites.entry(order(case.clause)).or_default().push(case));
        let mut xml =
            String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"T/CIIA 003—2019\">\n");
        for cases in suites.values() {
            let many = |state| cases.iter().filter(|case| case.state == state).count();
            let clause = cases.first().map_or("", |case| case.clause);
            let (failed, skipped) = (many(State::Failed), many(State::Skipped));
            let count = cases.len();
            let _ = writeln!(
                xml,
                "  <testsuite name=\"§{clause}\" tests=\"{count}\" failures=\"{failed}\" skipped=\"{skipped}\">"
            );
            cases.iter().for_each(|case| junit_case(&mut xml, case));
            xml.push_str("  </testsuite>\n");
        }
        xml.push_str("</testsuites>\n");
        xml
    }
}

fn shown(count: &Count) -> String {
    let mut parts = vec![format!("{} ok", count.passed)];
    parts.extend((count.failed > 0).then(|| format!("{} FAILED", count.failed)));
    parts.extend((count.skipped > 0).then(|| format!("{} skipped", count.skipped)));
    parts.join(", ")
}

/// Clauses in their own order: 7.4.2 before 7.4.10.
pub(super) fn order(clause: &str) -> Vec<u32> {
    clause.split('.').map(|part| part.parse().unwrap_or(u32::MAX)).collect()
}

fn evidence(text: &mut String, case: &CaseResult) {
    let _ = writeln!(text, "FAILED {} ({}, {})", case.name, case.source(), case.level);
    let _ = writeln!(text, "  rule: {}", case.rule);
    let _ = writeln!(text, "  why:  {}", case.why);
    for complaint in &case.complaints {
        let _ = writeln!(text, "  - expected: {}", clean(&complaint.expected));
        let _ = writeln!(text, "    got:      {}", clean(&complaint.got));
        for (what, words) in [("request", &complaint.request), ("answer", &complaint.answer)] {
            for (number, line) in words.iter().flat_map(|words| words.lines()).enumerate() {
                let lead = if number == 0 { what } else { "" };
                let _ = writeln!(text, "    {lead:8} | {}", clean(line));
            }
        }
    }
    text.push('\n');
}

/// What others wrote must not command the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn junit_case(xml: &mut String, case: &CaseResult) {
    let seconds = Duration::from_millis(case.millis).as_secs_f64();
    let _ = write!(
        xml,
        "    <testcase classname=\"{}.{}\" name=\"{}\" time=\"{seconds:.3}\"",
        case.level,
        escaped(case.clause),
        escaped(&case.name)
    );
    match case.state {
        State::Passed => xml.push_str("/>\n"),
        State::Skipped => {
            let _ = writeln!(xml, "><skipped message=\"{}\"/></testcase>", escaped(&case.reason));
        }
        State::Failed => {
            let mut words = String::new();
            evidence(&mut words, case);
            let _ =
                writeln!(xml, "><failure message=\"{}\">{}</failure></testcase>", escaped(&case.rule), escaped(&words));
        }
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let allowed = if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c };
        let entity: Cow<'static, str> = match allowed {
            '<' => "&lt;".into(),
            '>' => "&gt;".into(),
            '&' => "&amp;".into(),
            '"' => "&quot;".into(),
            other => other.to_string().into(),
        };
        out.push_str(&entity);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(name: &str, clause: &'static str, level: Level, state: State) -> CaseResult {
        let complaint = Complaint {
            expected: "code 0".into(),
            got: "code 1 <&\u{1b}>".into(),
            request: Some("POST https://a/sns/chat\n{}".into()),
            answer: None,
        };
        CaseResult {
            name: name.into(),
            clause,
            r: &[12],
            level,
            rule: "a rule".into(),
            why: "a reason",
            state,
            reason: String::new(),
            complaints: if state == State::Failed { vec![complaint] } else { Vec::new() },
            millis: 5,
        }
    }

    fn report() -> Report {
        let cases = vec![
            result("b", "7.4.10", Level::Mandatory, State::Passed),
            result("a", "7.4.2", Level::Recommended, State::Failed),
            result("c", "7.4.2", Level::Mandatory, State::Skipped),
        ];
        let mut totals: BTreeMap<Level, Count> = BTreeMap::new();
        cases.iter().for_each(|case| totals.entry(case.level).or_default().add(case.state));
        Report { target: None, platform: None, peer: "west".into(), version: "0", millis: 1, totals, cases }
    }

    #[test]
    fn only_a_mandatory_case_decides_and_what_was_skipped_is_not_passed() {
        let mut report = report();
        assert!(report.conforms());
        assert_eq!(report.totals[&Level::Mandatory], Count { passed: 1, failed: 0, skipped: 1 });
        report.totals.entry(Level::Mandatory).or_default().failed = 1;
        assert!(!report.conforms());
    }

    #[test]
    fn the_text_shows_the_evidence_and_the_clauses_in_their_order() {
        let text = report().text();
        assert!(text.contains("expected: code 0") && text.contains("request  | POST https://a/sns/chat"), "{text}");
        assert!(!text.contains('\u{1b}'), "what others wrote cannot command the terminal");
        assert!(text.find("§7.4.2") < text.find("§7.4.10"), "{text}");
    }

    #[test]
    fn junit_is_well_formed_whatever_a_target_answered() {
        let xml = report().junit();
        assert!(xml.contains("tests=\"2\" failures=\"1\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("code 1 &lt;&amp;\u{fffd}&gt;"), "{xml}");
        assert_eq!(xml.matches("<testcase").count(), 3);
    }
}
