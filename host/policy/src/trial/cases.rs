//! Table tests: a TOML file of requests and what a plugin (or, in a bundle's `tests.toml`, the whole chain) has to answer.
//!
//! What stands at the file's top holds for each `[[case]]`; a case's own `settings` replace the
//! file's, its `call` and `host` add to them, its `lists` too.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::time::Moment;
use crate::bundle::table::line;
use crate::call::Direction;

/// Cases in a file, and requests in a case.
const MOST: usize = 10_000;
/// Times that a step is repeated.
const TIMES: u32 = 100_000;

/// One file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    #[serde(default)]
    pub(crate) settings: toml::Table,
    #[serde(default)]
    pub(crate) limits: toml::Table,
    #[serde(default)]
    pub(crate) lists: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(crate) host: Host,
    #[serde(default)]
    pub(crate) call: CallRow,
    #[serde(default, rename = "case")]
    pub(crate) cases: Vec<Case>,
}

/// What the host knows, besides the lists.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Host {
    /// Pairs of users. Once any are named, all others are no friends; without them nothing is known.
    pub(crate) friends: Option<Vec<(String, String)>>,
    /// Pairs of users who share a group.
    pub(crate) same_group: Option<Vec<(String, String)>>,
    /// Areas by server.
    #[serde(default)]
    pub(crate) areas: BTreeMap<String, String>,
    /// Values by name, by user.
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, BTreeMap<String, String>>,
}

/// One sentence that the plugin has to hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: Spanned<String>,
    pub(crate) settings: Option<toml::Table>,
    pub(crate) limits: Option<toml::Table>,
    #[serde(default)]
    pub(crate) lists: BTreeMap<String, Vec<String>>,
    pub(crate) host: Option<Host>,
    #[serde(default)]
    pub(crate) call: CallRow,
    pub(crate) text: Option<String>,
    pub(crate) item: Option<ItemRow>,
    pub(crate) event: Option<EventRow>,
    pub(crate) times: Option<u32>,
    #[serde(default, deserialize_with = "expected_here")]
    pub(crate) expect: Option<Expected>,
    /// Requests one after the other, in place of the case's own: counters and buckets go on between them.
    #[serde(default)]
    pub(crate) step: Vec<Step>,
}

/// One request of several.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// Milliseconds since the step before.
    #[serde(default)]
    pub(crate) after_ms: u64,
    #[serde(default)]
    pub(crate) call: CallRow,
    pub(crate) text: Option<String>,
    pub(crate) item: Option<ItemRow>,
    pub(crate) event: Option<EventRow>,
    /// So many times the same, each with the same answer.
    pub(crate) times: Option<u32>,
    #[serde(default, deserialize_with = "expected")]
    pub(crate) expect: Expected,
}

/// A call; what is left out comes from the case, the file, or the usual one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallRow {
    pub(crate) operation: Option<String>,
    #[serde(default, deserialize_with = "direction")]
    pub(crate) direction: Option<Direction>,
    pub(crate) peer: Option<PeerRow>,
    pub(crate) actor: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) time: Option<Moment>,
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, String>,
}

/// Its serverId alone (empty: none), or all that is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeerRow {
    pub(crate) id: String,
    pub(crate) area: String,
    pub(crate) product: String,
}

/// A text or file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemRow {
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, String>,
    /// The content, as text …
    pub(crate) body: Option<String>,
    /// … or in hex …
    pub(crate) body_hex: Option<String>,
    /// … and, with zeros after it, of so many bytes.
    pub(crate) body_size: Option<u64>,
}

/// What is to be recorded.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventRow {
    pub(crate) outcome: Option<String>,
    #[serde(default)]
    pub(crate) code: u32,
    #[serde(default)]
    pub(crate) fields: BTreeMap<String, String>,
}

/// What has to come out; what is left out may be anything.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// `allow`, `deny`, `abstain`; `pass`, `reject`, `rewrite`, `hold`; `treat`; `fault`.
    pub(crate) verdict: Option<String>,
    /// The reason's code.
    pub(crate) reason: Option<String>,
    /// The reason's public words, or some of them.
    pub(crate) message: Option<String>,
    /// Of a whole chain: the plugin that had the last word.
    pub(crate) plugin: Option<String>,
    /// The text to go on with.
    pub(crate) rewrite: Option<String>,
    /// All labels, in any order.
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) severity: Option<String>,
    /// All redactions of the event's own fields, and of `actor` and `target`.
    pub(crate) redactions: Option<BTreeMap<String, String>>,
    pub(crate) detail: Option<bool>,
    pub(crate) sinks: Option<Vec<String>>,
    /// Of a `fault`: some of its words.
    pub(crate) fault: Option<String>,
    /// What is wrong with the settings: all errors and warnings, in any order.
    pub(crate) diagnostics: Option<Vec<ExpectedDiagnostic>>,
}

/// A mistake in the settings that has to be found.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedDiagnostic {
    #[serde(default)]
    pub(crate) pointer: String,
    /// Some of its words.
    #[serde(default)]
    pub(crate) message: String,
    pub(crate) severity: Option<String>,
}

/// What is wrong with a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) line: Option<u32>,
    /// As a JSON pointer; empty for the whole.
    pub(crate) pointer: String,
    pub(crate) message: String,
    /// The text around it.
    around: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.around, self.line) {
            (Some(around), _) => f.write_str(around),
            (None, Some(line)) => write!(f, "line {line}: {}", self.message),
            (None, None) => f.write_str(&self.message),
        }
    }
}

/// Reads a file.
///
/// # Errors
/// What is wrong, with its line.
pub(crate) fn read(text: &str) -> Result<Table, Mistake> {
    let table: Table = toml::from_str(text).map_err(|error| Mistake {
        line: error.span().and_then(|span| line(text, span.start)),
        message: error.message().to_owned(),
        around: Some(error.to_string()),
        ..Mistake::default()
    })?;
    if table.cases.len() > MOST {
        return Err(Mistake { message: format!("has more than {MOST} cases"), ..Mistake::default() });
    }
    for (index, case) in table.cases.iter().enumerate() {
        case.sound().map_err(|said| Mistake {
            line: Some(Table::line(text, case)),
            pointer: format!("/case/{index}"),
            message: format!("case `{}` {said}", case.name.as_ref()),
            around: None,
        })?;
    }
    Ok(table)
}

impl Table {
    /// The line on which a case's name stands.
    pub(crate) fn line(text: &str, case: &Case) -> u32 {
        let before = text.get(..case.name.span().start).unwrap_or_default();
        u32::try_from(before.matches('\n').count() + 1).unwrap_or(u32::MAX)
    }

    /// What it gives that only a plugin by itself has to be given.
    pub(crate) fn of_one_plugin(&self) -> Option<&'static str> {
        let host = &self.host;
        let host = host.friends.is_some() || host.same_group.is_some() || !host.areas.is_empty();
        [
            (!self.settings.is_empty(), "settings"),
            (!self.limits.is_empty(), "limits"),
            (!self.lists.is_empty(), "lists"),
            (host || !self.host.attributes.is_empty(), "a host"),
        ]
        .into_iter()
        .find_map(|(given, what)| given.then_some(what))
    }
}

impl Case {
    /// Whether it gives what only a plugin by itself has to be given.
    pub(crate) fn of_one_plugin(&self) -> bool {
        self.settings.is_some() || self.limits.is_some() || !self.lists.is_empty() || self.host.is_some()
    }

    /// Its requests: its steps, or itself as the only one; none if it is about the settings alone.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let Some(expect) = &self.expect else { return self.step.clone() };
        if expect.diagnostics.is_some() {
            return Vec::new();
        }
        vec![Step {
            after_ms: 0,
            call: CallRow::default(),
            text: self.text.clone(),
            item: self.item.clone(),
            event: self.event.clone(),
            times: self.times,
            expect: expect.clone(),
        }]
    }

    fn sound(&self) -> Result<(), String> {
        match (&self.expect, self.step.is_empty()) {
            (None, true) => return Err("expects nothing: give it `expect`, or `[[case.step]]`s".to_owned()),
            (Some(_), false) => return Err("has both `expect` and steps: put `expect` into the steps".to_owned()),
            (None, false) | (Some(_), true) => {}
        }
        let alone = self.text.is_some() || self.item.is_some() || self.event.is_some() || self.times.is_some();
        if alone && !self.step.is_empty() {
            return Err("has steps and a request of its own: put the request into the steps".to_owned());
        }
        if self.step.iter().any(|step| step.expect.diagnostics.is_some()) {
            return Err("expects diagnostics in a step: they belong to the case".to_owned());
        }
        self.steps().iter().try_for_each(Step::sound)
    }
}

impl Step {
    fn sound(&self) -> Result<(), String> {
        let asked = [self.text.is_some(), self.item.is_some(), self.event.is_some()];
        if asked.iter().filter(|has| **has).count() > 1 {
            return Err("has more than one of `text`, `item` and `event`".to_owned());
        }
        if self.times.is_some_and(|times| times == 0 || times > TIMES) {
            return Err(format!("has `times` out of bounds: 1 to {TIMES}"));
        }
        if self.item.as_ref().is_some_and(|item| item.body.is_some() && item.body_hex.is_some()) {
            return Err("has both `body` and `body_hex`".to_owned());
        }
        Ok(())
    }
}

impl ItemRow {
    /// The beginning of its content and its whole size; none if it has no content.
    ///
    /// # Errors
    /// `body_hex` is no hex.
    pub(crate) fn content(&self) -> Result<Option<(Vec<u8>, u64)>, String> {
        let head = match (&self.body, &self.body_hex) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(hex)) => unhex(hex).ok_or("`body_hex` is no hex")?,
            (None, None) if self.body_size.is_none() => return Ok(None),
            (None, None) => Vec::new(),
        };
        let size = self.body_size.unwrap_or(head.len() as u64).max(head.len() as u64);
        Ok(Some((head, size)))
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let pair = |pair: &[char]| match pair {
        [high, low] => u8::try_from(high.to_digit(16)? * 16 + low.to_digit(16)?).ok(),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

fn direction<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Direction>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Written {
        Inbound,
        Outbound,
        Internal,
    }
    Ok(Some(match Written::deserialize(reader)? {
        Written::Inbound => Direction::Inbound,
        Written::Outbound => Direction::Outbound,
        Written::Internal => Direction::Internal,
    }))
}

impl<'de> Deserialize<'de> for PeerRow {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Whole {
            id: String,
            #[serde(default)]
            area: String,
            #[serde(default)]
            product: String,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = PeerRow;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a serverId, or a table with `id`, `area`, `product`")
            }
            fn visit_str<E>(self, id: &str) -> Result<PeerRow, E> {
                Ok(PeerRow { id: id.to_owned(), ..PeerRow::default() })
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<PeerRow, M::Error> {
                let Whole { id, area, product } = Whole::deserialize(MapAccessDeserializer::new(map))?;
                Ok(PeerRow { id, area, product })
            }
        }
        reader.deserialize_any(Either)
    }
}

/// A verdict alone, or a table of what has to come out.
fn expected<'de, D: Deserializer<'de>>(reader: D) -> Result<Expected, D::Error> {
    struct Either;
    impl<'de> Visitor<'de> for Either {
        type Value = Expected;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a verdict, or a table of what has to come out")
        }
        fn visit_str<E>(self, verdict: &str) -> Result<Expected, E> {
            Ok(Expected { verdict: Some(verdict.to_owned()), ..Expected::default() })
        }
        fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Expected, M::Error> {
            Expected::deserialize(MapAccessDeserializer::new(map))
        }
    }
    reader.deserialize_any(Either)
}

fn expected_here<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Expected>, D::Error> {
    expected(reader).map(Some)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_case_is_as_short_as_its_sentence() {
        let table = read(
            "[settings]\nmode = \"open\"\n[[case]]\nname = \"one\"\ncall.peer = \"north\"\nexpect = \"deny\"\n\
             [[case]]\nname = \"two\"\ntext = \"x\"\nexpect = { verdict = \"hold\", labels = [] }\n\
             [[case]]\nname = \"three\"\n[[case.step]]\ntimes = 3\nexpect = \"allow\"\n[[case.step]]\nexpect = \"deny\"\n",
        )
        .unwrap();
        let steps: Vec<usize> = table.cases.iter().map(|case| case.steps().len()).collect();
        assert_eq!(steps, [1, 1, 2]);
        assert_eq!(table.cases[0].call.peer.as_ref().unwrap().id, "north");
        assert_eq!(table.cases[1].steps()[0].expect.labels, Some(Vec::new()));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, message) in [
            ("[[case]]\nname = \"x\"\nexpects = \"deny\"\n", "line 3"),
            ("[[case]]\nname = \"x\"\nexpect = { verdct = \"deny\" }\n", "verdct"),
            ("[[case]]\nname = \"x\"\n", "expects nothing"),
            ("[[case]]\nname = \"x\"\nexpect = \"deny\"\n[[case.step]]\n", "both `expect` and steps"),
            ("[[case]]\nname = \"x\"\nexpect = \"deny\"\ntext = \"\"\nitem = {}\n", "more than one of"),
            ("[[case]]\nname = \"x\"\nexpect = \"deny\"\ntimes = 0\n", "out of bounds"),
            ("[[case]]\nname = \"x\"\nexpect = \"deny\"\ncall.direction = \"up\"\n", "up"),
            ("[[case]]\nname = \"x\"\nexpect = \"deny\"\ncall.time = \"noon\"\n", "a moment is"),
        ] {
            let said = read(text).unwrap_err().to_string();
            assert!(said.contains(message), "{text}: {said}");
        }
    }
}
