//! `tests.toml`: a bundle's own cases, judged by its whole chain before it is let near anybody.
//!
//! Written as a plugin's table tests are, and read by the same reader (`trial::cases`): the same calls, texts, items,
//! steps, and what is left out is the same. What the bundle has itself (settings, lists, limits) is not given here, and
//! the verdict is what becomes of the whole request: `pass` (or `allow`), `rewrite`, `hold`, `deny`, `reject`.
//!
//! ```toml
//! [[case]]
//! name = "a rival's server is refused"
//! call.peer = "rival-1"
//! text = "hello"
//! expect = { verdict = "deny", reason = "blacklisted", plugin = "peers" }
//!
//! [[case]]
//! name = "a secret is masked"
//! text = "the secret plan"
//! expect = { verdict = "rewrite", rewrite = "the ****** plan" }
//! ```
//!
//! Cases run in their order; counters begin at nothing and are kept from case to case.

use serde::Serialize;

use crate::bundle::diagnostic::Diagnostic;
use crate::judge::Said;
use crate::session::Session;
use crate::trial::cases::{Case, Expected, Mistake, Step, Table, read};
use crate::trial::run::{Request, asked, beginning, moment};

/// The file of a bundle that holds its cases.
pub(crate) const CASES: &str = "tests.toml";

/// As records name what a case calls a verdict.
fn outcome(verdict: &str) -> Option<&'static str> {
    Some(match verdict {
        "pass" | "allow" => "allowed",
        "rewrite" => "rewritten",
        "hold" => "held",
        "deny" => "denied",
        "reject" => "rejected",
        _ => return None,
    })
}

/// What came of one case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseOutcome {
    /// Its name.
    pub name: String,
    /// Where it stands in `tests.toml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What the policy said; of several steps, to the first that differs, else to the last.
    pub said: Said,
    /// What differs from what was expected, one thing a line; empty if all is as expected.
    pub differs: Vec<String>,
    /// Time of all plugins, in microseconds.
    pub micros: u64,
}

/// The cases of a bundle.
pub(crate) struct Cases {
    table: Table,
    /// By case.
    lines: Vec<u32>,
}

impl Cases {
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn read(text: &str) -> Result<Self, Diagnostic> {
        let told = |wrong: Mistake| Diagnostic::error(CASES, wrong.message).at(wrong.line, wrong.pointer);
        let table = read(text).map_err(told)?;
        if let Some(what) = table.of_one_plugin() {
            return Err(Diagnostic::error(CASES, format!("gives {what}: those are the bundle's own here")));
        }
        for (index, case) in table.cases.iter().enumerate() {
            sound(case).map_err(|words| {
                let message = format!("case `{}`: {words}", case.name.as_ref());
                Diagnostic::error(CASES, message).at(Some(Table::line(text, case)), format!("/case/{index}"))
            })?;
        }
        let lines = table.cases.iter().map(|case| Table::line(text, case)).collect();
        Ok(Self { table, lines })
    }

    /// Judges all of them.
    pub(crate) fn run(&self, session: &Session) -> Vec<CaseOutcome> {
        self.table.cases.iter().zip(&self.lines).map(|(case, line)| self.case(case, *line, session)).collect()
    }

    fn case(&self, case: &Case, line: u32, session: &Session) -> CaseOutcome {
        let mut now_ms = beginning(&self.table, case);
        let mut came = CaseOutcome {
            name: case.name.as_ref().clone(),
            line: Some(line),
            said: Said::default(),
            differs: Vec::new(),
            micros: 0,
        };
        for step in case.steps() {
            now_ms = moment(&step, now_ms);
            for _ in 0..step.times.unwrap_or(1) {
                self.step(case, &step, now_ms, session, &mut came);
                if !came.differs.is_empty() {
                    return came;
                }
            }
        }
        came
    }

    fn step(&self, case: &Case, step: &Step, now_ms: u64, session: &Session, came: &mut CaseOutcome) {
        let (call, items) = match asked(&self.table, case, step, now_ms) {
            Ok(Request::Access(call)) => (call, Vec::new()),
            Ok(Request::Content(call, item)) => (call, vec![item]),
            Ok(Request::Audit(_)) => return came.differs.push("an event is nothing to be judged".to_owned()),
            Err(said) => return came.differs.push(said),
        };
        let judgement = session.judge(&call, &items);
        came.micros += judgement.micros();
        came.said = Said::from(&judgement);
        let said = &came.said;
        let mut compare = |what: &str, expected: Option<&str>, found: Option<&str>| {
            if let Some(expected) = expected.filter(|_| expected != found) {
                came.differs.push(format!("{what}: expected {expected:?}, found {:?}", found.unwrap_or("none")));
            }
        };
        let Expected { verdict, reason, plugin, rewrite, .. } = &step.expect;
        compare("outcome", verdict.as_deref().and_then(outcome), Some(&said.outcome));
        let code = said.reason.as_deref();
        compare("reason", reason.as_deref(), code.map(|code| in_terms_of(reason.as_deref(), code)));
        compare("plugin", plugin.as_deref(), said.plugin.as_deref());
        let left = judgement.rewritten.first().map(|(_, text)| text.as_str());
        compare("rewrite", rewrite.as_deref(), left.or(items.first().map(|item| item.text.as_str())));
        if let Some(fault) = &said.fault {
            came.differs.push(format!("a plugin failed: {fault}"));
        }
    }
}

/// A reason's code as far as a case speaks of it: the setting after its `#` only counts if the case names one.
pub(crate) fn in_terms_of<'a>(expected: Option<&str>, code: &'a str) -> &'a str {
    match expected {
        Some(expected) if !expected.contains('#') => code.split('#').next().unwrap_or(code),
        _ => code,
    }
}

fn sound(case: &Case) -> Result<(), String> {
    if case.of_one_plugin() {
        return Err("gives settings, limits, lists or a host: those are the bundle's own here".to_owned());
    }
    for step in case.steps() {
        let expect = &step.expect;
        let verdict = expect.verdict.as_deref().ok_or("expects no verdict")?;
        if outcome(verdict).is_none() {
            return Err(format!("the verdict `{verdict}` can be pass, allow, rewrite, hold, deny or reject"));
        }
        let known = Expected { verdict: None, reason: None, plugin: None, rewrite: None, ..expect.clone() }
            == Expected::default();
        if !known || step.event.is_some() {
            return Err("of a whole chain only `verdict`, `reason`, `plugin` and `rewrite` can be expected".to_owned());
        }
    }
    if case.steps().is_empty() { Err("asks nothing".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_case_is_told_with_its_line() {
        let cases = [
            ("[[case]]\nname = \"x\"\n", 2, "expect"),
            ("[[case]]\nname = \"x\"\nexpect = \"denied\"\n", 2, "can be pass"),
            ("[[case]]\nname = \"x\"\nexpect = \"allow\"\nform = \"a\"\n", 4, "form"),
            ("[[case]]\nname = \"x\"\nexpect = \"allow\"\ncall = { time = 12:30:00 }\n", 4, "a moment is"),
            ("[[case]]\nname = \"x\"\nexpect = \"allow\"\nsettings = { a = 1 }\n", 2, "the bundle's own"),
            ("[[case]]\nname = \"x\"\nexpect = { verdict = \"allow\", sinks = [] }\n", 2, "of a whole chain only"),
            ("[[case]]\nname = \"x\"\nexpect.diagnostics = []\n", 2, "asks nothing"),
            ("[[case]]\nname = \n", 2, ""),
        ];
        for (text, line, words) in cases {
            let wrong = Cases::read(text).err();
            assert!(
                wrong
                    .as_ref()
                    .is_some_and(|d| d.line.is_some_and(|at| at.abs_diff(line) <= 1) && d.message.contains(words)),
                "{text}: {wrong:?}"
            );
        }
        assert!(Cases::read("[settings]\na = 1\n").is_err_and(|wrong| wrong.message.contains("settings")));
    }

    #[test]
    fn a_case_that_names_no_setting_takes_any() {
        for (expected, code, meant) in [
            (Some("blacklisted"), "blacklisted#/rules/0", "blacklisted"),
            (Some("blacklisted#/rules/1"), "blacklisted#/rules/0", "blacklisted#/rules/0"),
            (None, "blacklisted#/rules/0", "blacklisted#/rules/0"),
        ] {
            assert_eq!(in_terms_of(expected, code), meant);
        }
    }
}
