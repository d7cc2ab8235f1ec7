//! `tests.toml`: a bundle's own cases, judged by its whole chain before it is let near anybody.
//!
//! Written as a plugin's table tests are:
//!
//! ```toml
//! [[case]]
//! name = "a rival's server is refused"
//! call = { direction = "inbound", peer = "rival-1", actor = "mallory@rival-1", target = "alice@north" }
//! text = "hello"
//! expect = { verdict = "deny", reason = "blacklisted", plugin = "peers" }
//!
//! [[case]]
//! name = "a secret is masked"
//! text = "the secret plan"
//! expect = { verdict = "rewrite", rewrite = "the ****** plan" }
//! ```
//!
//! A call's operation is `message.send`, its direction `internal` unless it says otherwise; an item's kind is
//! `message.text`. The verdict is what becomes of the whole request: `pass` (or `allow`), `rewrite`, `hold`, `deny`,
//! `reject`. Cases run in their order; counters begin at nothing and are kept from case to case.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::value::Datetime;

use crate::bundle::diagnostic::Diagnostic;
use crate::bundle::table::line;
use crate::call::{Call, Direction, Item, Peer};
use crate::judge::Said;
use crate::sandbox::now_ms;
use crate::session::Session;

/// The file of a bundle that holds its cases.
pub(crate) const CASES: &str = "tests.toml";
/// Cases of one bundle.
const MAX: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    case: Vec<Spanned<Case>>,
}

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    call: CallRow,
    text: Option<String>,
    item: Option<ItemRow>,
    expect: Expected,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallRow {
    operation: Option<String>,
    direction: Option<Direction>,
    peer: Option<PeerRow>,
    #[serde(default)]
    actor: String,
    #[serde(default)]
    target: String,
    time: Option<Datetime>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemRow {
    kind: Option<String>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum PeerRow {
    Id(String),
    Whole {
        id: String,
        #[serde(default)]
        area: String,
        #[serde(default)]
        product: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Expected {
    Verdict(String),
    Whole {
        verdict: String,
        /// The reason's code.
        reason: Option<String>,
        /// Who had the last word.
        plugin: Option<String>,
        /// What is left of the text.
        rewrite: Option<String>,
    },
}

impl Expected {
    fn verdict(&self) -> &str {
        match self {
            Self::Verdict(verdict) | Self::Whole { verdict, .. } => verdict,
        }
    }
}

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
    /// What the policy said.
    pub said: Said,
    /// What differs from what was expected, one thing a line; empty if all is as expected.
    pub differs: Vec<String>,
    /// Time of all plugins, in microseconds.
    pub micros: u64,
}

/// The cases of a bundle.
pub(crate) struct Cases(Vec<(Option<u32>, Case)>);

impl Cases {
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn read(text: &str) -> Result<Self, Diagnostic> {
        let table: Table = toml::from_str(text).map_err(|error| {
            let at = error.span().and_then(|span| line(text, span.start));
            Diagnostic::error(CASES, error.message()).at(at, "")
        })?;
        if table.case.len() > MAX {
            return Err(Diagnostic::error(CASES, format!("has more than {MAX} cases")));
        }
        let mut cases = Vec::with_capacity(table.case.len());
        for (index, case) in table.case.into_iter().enumerate() {
            let at = line(text, case.span().start);
            let case = case.into_inner();
            case.sound().map_err(|words| {
                Diagnostic::error(CASES, format!("case `{}`: {words}", case.name)).at(at, format!("/case/{index}"))
            })?;
            cases.push((at, case));
        }
        Ok(Self(cases))
    }

    /// Judges all of them.
    pub(crate) fn run(&self, session: &Session) -> Vec<CaseOutcome> {
        self.0.iter().map(|(line, case)| case.run(*line, session)).collect()
    }
}

impl Case {
    fn sound(&self) -> Result<(), String> {
        let verdict = self.expect.verdict();
        if outcome(verdict).is_none() {
            return Err(format!("the verdict `{verdict}` can be pass, allow, rewrite, hold, deny or reject"));
        }
        if self.text.is_some() && self.item.is_some() {
            return Err("has both `text` and `item`".to_owned());
        }
        match &self.call.time {
            Some(time) if millis(time).is_none() => Err(format!("`{time}` is no moment: write 2026-05-01T12:30:00Z")),
            _ => Ok(()),
        }
    }

    fn run(&self, line: Option<u32>, session: &Session) -> CaseOutcome {
        let items: Vec<Item> = self.said().into_iter().collect();
        let judgement = session.judge(&self.call(), &items);
        let said = Said::from(&judgement);
        let mut differs = Vec::new();
        let mut compare = |what: &str, expected: Option<&str>, found: Option<&str>| {
            if let Some(expected) = expected.filter(|_| expected != found) {
                differs.push(format!("{what}: expected {expected:?}, found {:?}", found.unwrap_or("none")));
            }
        };
        compare("outcome", outcome(self.expect.verdict()), Some(&said.outcome));
        if let Expected::Whole { reason, plugin, rewrite, .. } = &self.expect {
            compare("reason", reason.as_deref(), said.reason.as_deref());
            compare("plugin", plugin.as_deref(), said.plugin.as_deref());
            let left = judgement.rewritten.first().map(|(_, text)| text.as_str());
            compare("rewrite", rewrite.as_deref(), left.or(items.first().map(|item| item.text.as_str())));
        }
        if let Some(fault) = &said.fault {
            differs.push(format!("a plugin failed: {fault}"));
        }
        CaseOutcome { name: self.name.clone(), line, said, differs, micros: judgement.micros() }
    }

    fn call(&self) -> Call {
        let row = &self.call;
        let peer = row.peer.as_ref().map(|peer| match peer {
            PeerRow::Id(id) => Peer { id: id.clone(), ..Peer::default() },
            PeerRow::Whole { id, area, product } => {
                Peer { id: id.clone(), area: area.clone(), product: product.clone() }
            }
        });
        Call {
            operation: row.operation.clone().unwrap_or_else(|| "message.send".to_owned()).into(),
            direction: row.direction.unwrap_or(Direction::Internal),
            peer,
            actor: row.actor.clone(),
            target: row.target.clone(),
            time_ms: row.time.as_ref().and_then(millis).unwrap_or_else(now_ms),
            attributes: pairs(&row.attributes),
        }
    }

    fn said(&self) -> Option<Item> {
        let kind = |kind: Option<&String>| kind.cloned().unwrap_or_else(|| "message.text".to_owned()).into();
        let item = |kind, text: &str, attributes| Item { kind, text: text.to_owned(), attributes, body: None };
        match (&self.text, &self.item) {
            (Some(text), _) => Some(item(kind(None), text, Vec::new())),
            (None, Some(row)) => Some(item(kind(row.kind.as_ref()), &row.text, pairs(&row.attributes))),
            (None, None) => None,
        }
    }
}

fn pairs(facts: &BTreeMap<String, String>) -> Vec<(String, String)> {
    facts.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A moment in milliseconds since 1970 UTC; a date without a time is its midnight.
fn millis(time: &Datetime) -> Option<u64> {
    let date = time.date.as_ref()?;
    let (year, month, day) = (i64::from(date.year), i64::from(date.month), i64::from(date.day));
    // Days since 1970, counted in years that begin in March (Howard Hinnant's `days_from_civil`).
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let clock = time
        .time
        .as_ref()
        .map_or(0, |t| i64::from(t.hour) * 3_600 + i64::from(t.minute) * 60 + t.second.map_or(0, i64::from));
    let offset = match time.offset {
        Some(toml::value::Offset::Custom { minutes }) => i64::from(minutes) * 60,
        Some(toml::value::Offset::Z) | None => 0,
    };
    u64::try_from((days * 86_400 + clock - offset) * 1_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_written() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-05-01T12:30:00Z", 1_777_638_600_000),
            ("2026-05-01T20:30:00+08:00", 1_777_638_600_000),
            ("2024-02-29", 1_709_164_800_000),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse().ok().as_ref().and_then(millis), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_case_is_told_with_its_line() {
        let cases = [
            ("[[case]]\nname = \"x\"\n", 1, "expect"),
            ("[[case]]\nname = \"x\"\nexpect = \"denied\"\n", 1, "can be pass"),
            ("[[case]]\nname = \"x\"\nexpect = \"allow\"\nform = \"a\"\n", 4, "form"),
            ("[[case]]\nname = \"x\"\nexpect = \"allow\"\ncall = { time = 12:30:00 }\n", 1, "no moment"),
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
    }
}
