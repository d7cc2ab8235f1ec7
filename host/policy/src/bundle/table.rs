//! Reading TOML with a memory of where everything stood, so that every complaint names its line.

use std::ops::Range;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::MANIFEST;
use super::diagnostic::Diagnostic;

/// A table of `policy.toml` under reading: knows its text, its JSON pointer and what was wrong.
pub(crate) struct Table<'a> {
    text: &'a str,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    pub(crate) pointer: String,
}

/// One value with its place.
pub(crate) struct Place<'a> {
    text: &'a str,
    pub(crate) value: &'a Spanned<DeValue<'a>>,
    pub(crate) pointer: String,
}

impl<'a> Table<'a> {
    pub(crate) fn root(text: &'a str, table: &'a Spanned<DeTable<'a>>) -> Self {
        Self { text, table: table.get_ref(), span: 0..0, pointer: String::new() }
    }

    /// Complains of keys that nobody knows, naming the nearest that somebody does.
    pub(crate) fn only(&self, known: &[&str], diagnostics: &mut Vec<Diagnostic>) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let message = match nearest(name, known) {
                Some(near) => format!("unknown key `{name}`; did you mean `{near}`?"),
                None => format!("unknown key `{name}`; known here: {}", known.join(", ")),
            };
            let pointer = format!("{}/{}", self.pointer, escape(name));
            diagnostics.push(Diagnostic::error(MANIFEST, message).at(line(self.text, key.span().start), pointer));
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Place<'a>> {
        let (_, value) = self.table.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(Place { text: self.text, value, pointer: format!("{}/{}", self.pointer, escape(key)) })
    }

    /// Complains of the table itself.
    pub(crate) fn complain(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(MANIFEST, message).at(line(self.text, self.span.start), self.pointer.clone())
    }

    /// A text that must be there.
    pub(crate) fn text(&self, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<&'a str> {
        let Some(place) = self.get(key) else {
            diagnostics.push(self.complain(format!("`{key}` is missing")));
            return None;
        };
        place.text(diagnostics)
    }

    /// A table that may be there.
    pub(crate) fn table(&self, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Table<'a>> {
        self.get(key)?.table(diagnostics)
    }
}

impl<'a> Place<'a> {
    pub(crate) fn complain(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(MANIFEST, message).at(line(self.text, self.value.span().start), self.pointer.clone())
    }

    fn expected(&self, what: &str) -> Diagnostic {
        self.complain(format!("must be {what}, not {}", self.value.get_ref().type_str()))
    }

    pub(crate) fn text(&self, diagnostics: &mut Vec<Diagnostic>) -> Option<&'a str> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            diagnostics.push(self.expected("a text"));
        }
        text
    }

    pub(crate) fn bool(&self, diagnostics: &mut Vec<Diagnostic>) -> Option<bool> {
        let value = self.value.get_ref().as_bool();
        if value.is_none() {
            diagnostics.push(self.expected("true or false"));
        }
        value
    }

    /// A whole number within `bounds`.
    pub(crate) fn number(&self, bounds: &Range<u32>, diagnostics: &mut Vec<Diagnostic>) -> Option<u32> {
        let number = if let DeValue::Integer(number) = self.value.get_ref() {
            i64::from_str_radix(number.as_str(), number.radix()).ok()
        } else {
            None
        };
        let number = number.and_then(|number| u32::try_from(number).ok()).filter(|number| bounds.contains(number));
        if number.is_none() {
            let last = bounds.end.saturating_sub(1);
            diagnostics.push(self.complain(format!("must be a whole number from {} to {last}", bounds.start)));
        }
        number
    }

    pub(crate) fn table(&self, diagnostics: &mut Vec<Diagnostic>) -> Option<Table<'a>> {
        let DeValue::Table(table) = self.value.get_ref() else {
            diagnostics.push(self.expected("a table"));
            return None;
        };
        Some(Table { text: self.text, table, span: self.value.span(), pointer: self.pointer.clone() })
    }

    pub(crate) fn items(&self, diagnostics: &mut Vec<Diagnostic>) -> Vec<Place<'a>> {
        let DeValue::Array(items) = self.value.get_ref() else {
            diagnostics.push(self.expected("a list"));
            return Vec::new();
        };
        let place = |(at, value)| Place { text: self.text, value, pointer: format!("{}/{at}", self.pointer) };
        items.iter().enumerate().map(place).collect()
    }

    /// The line of what `pointer` names below this value, or of what encloses it.
    pub(crate) fn line_of(&self, pointer: &str) -> Option<u32> {
        let mut value = self.value;
        for part in pointer.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            let next = if let DeValue::Table(table) = value.get_ref() {
                table.iter().find(|(key, _)| *key.get_ref() == part).map(|(_, value)| value)
            } else if let DeValue::Array(items) = value.get_ref() {
                part.parse().ok().and_then(|at: usize| items.get(at))
            } else {
                None
            };
            let Some(next) = next else { break };
            value = next;
        }
        line(self.text, value.span().start)
    }
}

/// The value as JSON; dates become text.
pub(crate) fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Null, Value::from)
        }
        DeValue::Float(number) => {
            number.as_str().parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
        }
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| json(item.get_ref())).collect()),
        DeValue::Table(table) => Value::Object(
            table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect::<Map<_, _>>(),
        ),
    }
}

/// The known word nearest to `word`, if any is near enough to be meant.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

pub(crate) fn line(text: &str, offset: usize) -> Option<u32> {
    let before = text.get(..offset)?;
    u32::try_from(before.matches('\n').count() + 1).ok()
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
