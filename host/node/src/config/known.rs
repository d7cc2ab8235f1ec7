//! The known keys and their types, taken from the documented defaults.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};

use super::problem::Problem;

/// Known keys, dotted, with their defaults.
pub(super) struct Known {
    keys: BTreeMap<String, Value>,
    sections: Vec<String>,
}

/// How alike two keys must be (0 to 1) before one is offered for the other.
const ALIKE: f64 = 0.5;

impl Known {
    pub(super) fn of(defaults: &Dict) -> Known {
        let mut known = Known { keys: BTreeMap::new(), sections: Vec::new() };
        for (name, value) in defaults {
            if let Value::Dict(_, section) = value {
                known.sections.push(name.clone());
                let keys = section.iter();
                known.keys.extend(keys.map(|(key, v)| (format!("{name}.{key}"), v.clone())));
            } else {
                known.keys.insert(name.clone(), value.clone());
            }
        }
        known
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.keys.get(key)
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// Whether `key` looks like a misspelt key outside of all sections.
    pub(super) fn resembles_top_level(&self, key: &str) -> bool {
        let top = self.keys.keys().filter(|known| !known.contains('.'));
        top.into_iter().any(|known| strsim::normalized_damerau_levenshtein(known, key) >= 0.75)
    }

    /// Notes every key that is unknown and every value of another type than its default.
    pub(super) fn check(&self, values: &Dict, source: &str, problems: &mut Vec<Problem>) {
        for (name, value) in values {
            let section = if let Value::Dict(_, section) = value { Some(section) } else { None };
            match (section, self.sections.contains(name)) {
                (Some(section), true) => section
                    .iter()
                    .for_each(|(key, value)| self.check_one(format!("{name}.{key}"), value, source, problems)),
                (None, true) => problems.push(Problem {
                    key: name.clone(),
                    source: source.to_owned(),
                    what: format!("is {}, but it is a section", shown(value)),
                    remedy: format!("write `[{name}]` and keys below it"),
                }),
                (Some(section), false) if !self.contains(name) && !section.is_empty() => {
                    problems.extend(section.keys().map(|key| self.unknown(format!("{name}.{key}"), source)));
                }
                (_, false) => self.check_one(name.clone(), value, source, problems),
            }
        }
    }

    fn check_one(&self, key: String, value: &Value, source: &str, problems: &mut Vec<Problem>) {
        let Some(default) = self.get(&key) else {
            problems.push(self.unknown(key, source));
            return;
        };
        if kind_of(default) != kind_of(value) {
            problems.push(Problem {
                source: source.to_owned(),
                what: format!("is {}, but {} is wanted", shown(value), wanted(default)),
                remedy: format!("write it as in `{} = {}`", key, literal(default)),
                key,
            });
        }
    }

    fn unknown(&self, key: String, source: &str) -> Problem {
        let alike = |known: &&String| strsim::normalized_damerau_levenshtein(known, &key);
        let nearest = self.keys.keys().max_by(|a, b| alike(a).total_cmp(&alike(b)));
        let remedy = match nearest.filter(|known| alike(known) >= ALIKE) {
            Some(known) => format!("did you mean `{known}`?"),
            None => match key.split_once('.').filter(|(s, _)| self.sections.iter().any(|k| k == s)) {
                Some((section, _)) => format!("[{section}] knows {}", self.keys_of(section)),
                None => format!("sections are {}", self.sections.join(", ")),
            },
        };
        Problem { source: source.to_owned(), what: "is no key of ours".to_owned(), remedy, key }
    }

    fn keys_of(&self, section: &str) -> String {
        let prefix = format!("{section}.");
        let names = self.keys.keys().filter_map(|key| key.strip_prefix(&prefix));
        names.collect::<Vec<_>>().join(", ")
    }
}

/// The type of a value, coarse enough for a person.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::String(..) | Value::Char(..) => "text",
        Value::Bool(..) => "true or false",
        Value::Num(_, number) if number.to_i128().is_some() || number.to_u128().is_some() => {
            if number.to_i128().is_some_and(|n| n < 0) { "a negative number" } else { "number" }
        }
        Value::Num(..) => "a fraction",
        Value::Empty(..) => "nothing",
        Value::Dict(..) => "a section",
        Value::Array(..) => "a list",
    }
}

fn wanted(default: &Value) -> &'static str {
    match kind_of(default) {
        "text" => "text in quotes",
        "number" => "a whole number (0 or more)",
        other => other,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("the text \"{text}\""),
        Value::Bool(_, yes) => yes.to_string(),
        Value::Dict(..) | Value::Array(..) | Value::Empty(..) => kind_of(value).to_owned(),
        Value::Char(..) | Value::Num(..) => literal(value),
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("\"{text}\""),
        Value::Char(_, c) => format!("\"{c}\""),
        Value::Bool(_, yes) => yes.to_string(),
        Value::Num(_, number) => number
            .to_i128()
            .map(|n| n.to_string())
            .or_else(|| number.to_f64().map(|n| n.to_string()))
            .unwrap_or_default(),
        Value::Array(_, items) => {
            format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", "))
        }
        Value::Dict(..) | Value::Empty(..) => String::new(),
    }
}
