//! A plugin's settings against the JSON Schema (2020-12) that the plugin exports.
//!
//! The schema is a stranger's text. It is bounded before it is used: no references but to its own
//! `$defs`, no circles among them, no expansion beyond reason, and patterns without backtracking.

use std::collections::HashMap;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError};
use serde_json::Value;

use crate::bundle::table::nearest;

/// Longer schemas are refused unread.
const SCHEMA_BYTES: usize = 64 << 10;
/// Values in a schema, each reference counted with all that it brings.
const EXPANDED: u64 = 20_000;
/// One pattern, compiled.
const PATTERN_BYTES: usize = 1 << 20;
/// Mistakes that are told at once.
const MISTAKES: usize = 50;
const MESSAGE_CHARS: usize = 300;

/// A mistake in settings: its JSON pointer, and what is wrong.
pub(crate) type Mistake = (String, String);

/// What the schema objects to. An empty schema objects to nothing.
///
/// # Errors
/// What is wrong with the schema itself, in words.
pub(crate) fn mistakes(schema: &str, settings: &Value) -> Result<Vec<Mistake>, String> {
    if schema.trim().is_empty() {
        return Ok(Vec::new());
    }
    let schema = read(schema)?;
    let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(patterns)
        .build(&schema)
        .map_err(|error| format!("is no JSON Schema: {}", cut(&error.to_string())))?;
    let settings = if settings.is_null() { &Value::Object(Default::default()) } else { settings };
    Ok(validator.iter_errors(settings).flat_map(|error| told(&schema, &error)).take(MISTAKES).collect())
}

fn read(text: &str) -> Result<Value, String> {
    if text.len() > SCHEMA_BYTES {
        return Err(format!("is larger than {} KiB", SCHEMA_BYTES >> 10));
    }
    let schema: Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    Weighing { root: &schema, known: HashMap::new() }.whole()?;
    Ok(schema)
}

/// One mistake, or one for each key that nobody knows.
#[allow(clippy::wildcard_enum_match_arm, reason = "the other kinds speak for themselves")]
fn told(schema: &Value, error: &ValidationError<'_>) -> Vec<Mistake> {
    let pointer = error.instance_path().as_str();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = properties(schema, error.schema_path().as_str());
            unexpected.iter().map(|key| (format!("{pointer}/{}", escape(key)), unknown(key, &known))).collect()
        }
        _ => vec![(pointer.to_owned(), cut(&error.to_string()))],
    }
}

fn unknown(key: &str, known: &[&str]) -> String {
    match nearest(key, known) {
        Some(near) => format!("unknown key `{}`; did you mean `{near}`?", cut(key)),
        None if known.is_empty() => format!("unknown key `{}`", cut(key)),
        None => format!("unknown key `{}`; known here: {}", cut(key), known.join(", ")),
    }
}

/// The keys known to the table whose `additionalProperties` stands at `path`.
fn properties<'s>(root: &'s Value, path: &str) -> Vec<&'s str> {
    let mut at = root;
    for part in path.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        let next = match (part.as_str(), at) {
            ("additionalProperties", _) => break,
            ("$ref", _) => at.get("$ref").and_then(Value::as_str).and_then(|name| root.pointer(name.get(1..)?)),
            (_, Value::Array(items)) => part.parse().ok().and_then(|number: usize| items.get(number)),
            (key, _) => at.get(key),
        };
        let Some(next) = next else { return Vec::new() };
        at = next;
    }
    at.get("properties")
        .and_then(Value::as_object)
        .map(|map| map.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(MESSAGE_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MESSAGE_CHARS).is_some() {
        short.push('…');
    }
    short
}

/// How large a schema is once its references are followed.
struct Weighing<'s> {
    root: &'s Value,
    /// Of `$defs` seen so far; none while one is being weighed.
    known: HashMap<&'s str, Option<u64>>,
}

impl<'s> Weighing<'s> {
    fn whole(&mut self) -> Result<(), String> {
        match self.weigh(self.root)? {
            weight if weight > EXPANDED => Err(format!("expands to more than {EXPANDED} values")),
            _ => Ok(()),
        }
    }

    fn weigh(&mut self, value: &'s Value) -> Result<u64, String> {
        match value {
            Value::Array(items) => items.iter().try_fold(1_u64, |sum, item| Ok(sum.saturating_add(self.weigh(item)?))),
            Value::Object(members) => members.iter().try_fold(1_u64, |sum, (key, member)| {
                let weight = match (key.as_str(), member) {
                    ("$ref", Value::String(name)) => self.definition(name)?,
                    ("$id" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef", _) => {
                        return Err(format!("uses `{key}`; references to its own `$defs` are all that it may use"));
                    }
                    _ => self.weigh(member)?,
                };
                Ok(sum.saturating_add(weight))
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(1),
        }
    }

    fn definition(&mut self, name: &'s str) -> Result<u64, String> {
        match self.known.get(name) {
            Some(Some(weight)) => return Ok(*weight),
            Some(None) => return Err(format!("`{}` refers to itself", cut(name))),
            None => {}
        }
        let key = name.strip_prefix("#/$defs/").filter(|key| !key.contains(['/', '~', '%']));
        let meant = key.and_then(|key| self.root.get("$defs")?.get(key));
        let meant = meant.ok_or_else(|| format!("refers to `{}`, which is none of its `$defs`", cut(name)))?;
        self.known.insert(name, None);
        let weight = self.weigh(meant)?;
        self.known.insert(name, Some(weight));
        Ok(weight)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    const SCHEMA: &str = r##"{"type":"object","additionalProperties":false,"properties":{
        "mode":{"enum":["open","shut"]},
        "rules":{"type":"array","items":{"$ref":"#/$defs/rule"}}},
        "$defs":{"rule":{"type":"object","additionalProperties":false,"required":["list"],
            "properties":{"list":{"type":"string","pattern":"^(a+)+$"},"a/b":{"type":"integer","minimum":1}}}}}"##;

    #[test]
    fn every_mistake_is_told_at_once_with_its_place() {
        let settings = json!({"mod": 1, "mode": "x", "rules": [{"list": "a"}, {"a/b": 0, "lst": ""}]});
        let found = mistakes(SCHEMA, &settings).unwrap();
        for (pointer, message) in [
            ("/mod", "did you mean `mode`"),
            ("/mode", "\"x\" is not one of"),
            ("/rules/1/lst", "did you mean `list`"),
            ("/rules/1", "\"list\" is a required property"),
            ("/rules/1/a~1b", "less than the minimum"),
        ] {
            assert!(found.iter().any(|(at, said)| at == pointer && said.contains(message)), "{pointer}: {found:#?}");
        }
        assert_eq!(found.len(), 5);
        assert_eq!(mistakes(SCHEMA, &json!({"mode": "open"})), Ok(Vec::new()));
        assert_eq!(mistakes(SCHEMA, &Value::Null), Ok(Vec::new()), "no settings are an empty table");
        assert_eq!(mistakes("", &json!({"x": 1})), Ok(Vec::new()));
    }

    #[test]
    fn a_schema_that_would_cost_the_host_too_much_is_refused() {
        let laughs = (0..40)
            .map(|n| format!(r##""d{n}":{{"allOf":[{{"$ref":"#/$defs/d{0}"}},{{"$ref":"#/$defs/d{0}"}}]}}"##, n + 1));
        let laughs =
            format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d40":{{}}}}}}"##, laughs.collect::<Vec<_>>().join(","));
        let long = format!(r#"{{"title":"{}"}}"#, "x".repeat(SCHEMA_BYTES));
        for (schema, message) in [
            ("{", "is not JSON"),
            (r#"{"type":"objekt"}"#, "is no JSON Schema"),
            (r##"{"$ref":"#"}"##, "none of its `$defs`"),
            (r#"{"$ref":"https://example.org/schema"}"#, "none of its `$defs`"),
            (r#"{"$id":"https://example.org/schema"}"#, "uses `$id`"),
            (r##"{"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"$ref":"#/$defs/a"}]}}}"##, "refers to itself"),
            (&laughs, "expands to more"),
            (&long, "larger than"),
        ] {
            let refused = mistakes(schema, &json!({})).unwrap_err();
            assert!(refused.contains(message), "{schema}: {refused}");
        }
    }

    #[test]
    fn a_pattern_that_would_backtrack_for_ever_does_not() {
        let settings = json!({"rules": [{"list": format!("{}b", "a".repeat(50_000))}]});
        let started = std::time::Instant::now();
        assert_eq!(mistakes(SCHEMA, &settings).unwrap().len(), 1);
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }
}
