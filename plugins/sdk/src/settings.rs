//! Settings from JSON, with mistakes located by JSON pointers.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::{Diagnostic, DiagnosticSeverity};

impl Diagnostic {
    /// A mistake for which the bundle is refused. `pointer` is a JSON pointer (RFC 6901) into
    /// the settings, as `/rules/0/servers`; empty for the whole.
    pub fn error(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: DiagnosticSeverity::Error, pointer: pointer.into(), message: message.into() }
    }

    /// Something that is probably not meant so; the bundle can be activated all the same.
    pub fn warning(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: DiagnosticSeverity::Warning, ..Self::error(pointer, message) }
    }
}

/// `/rules/0: unknown field …`
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.as_str() {
            "" => write!(f, "settings: {}", self.message),
            pointer => write!(f, "{pointer}: {}", self.message),
        }
    }
}

/// Reads settings; none at all (an empty text, `null`) is the same as an empty table.
pub(crate) fn parse<S: DeserializeOwned>(json: &str) -> Result<S, Diagnostic> {
    let json = match json.trim() {
        "" | "null" => "{}",
        text => text,
    };
    let mut reader = serde_json::Deserializer::from_str(json);
    let settings = serde_path_to_error::deserialize(&mut reader)
        .map_err(|wrong| Diagnostic::error(pointer(wrong.path()), without_position(&wrong.inner().to_string())))?;
    reader.end().map_err(|wrong| Diagnostic::error("", wrong.to_string()))?;
    Ok(settings)
}

fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            // The variant of an enum or what serde buffered: no place in the JSON text.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// The JSON was made by the host from TOML: line and column would lead nowhere.
fn without_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(before, _)| before)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails shall panic")]

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        mode: Option<Mode>,
        rules: Vec<Rule>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case")]
    enum Mode {
        Open,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        #[serde(rename = "a/b")]
        odd: u8,
    }

    fn found(json: &str) -> (String, String) {
        let wrong = parse::<Settings>(json).unwrap_err();
        (wrong.pointer, wrong.message)
    }

    #[test]
    fn no_settings_are_the_defaults() {
        for none in ["", " ", "null", "{}"] {
            assert_eq!(parse::<Settings>(none).unwrap(), Settings::default(), "{none:?}");
        }
    }

    #[test]
    fn a_mistake_is_located_by_a_json_pointer() {
        let cases = [
            (r#"{"rules":[{"a/b":1},{"a/b":"x"}]}"#, "/rules/1/a~1b", "invalid type"),
            (r#"{"rules":[{"c":1}]}"#, "/rules/0/c", "unknown field `c`"),
            (r#"{"rules":[{}]}"#, "/rules/0", "missing field `a/b`"),
            (r#"{"mod":1}"#, "/mod", "unknown field `mod`"),
            (r#"{"mode":"shut"}"#, "/mode", "unknown variant `shut`"),
            (r#""open""#, "", "invalid type"),
            (r#"{"#, "", "EOF"),
            (r#"{} x"#, "", "trailing characters"),
        ];
        for (json, pointer, message) in cases {
            let (at, said) = found(json);
            assert_eq!(at, pointer, "{json}: {said}");
            assert!(said.contains(message), "{json}: {said}");
        }
    }

    #[test]
    fn a_diagnostic_reads_as_place_and_message() {
        assert_eq!(Diagnostic::error("/a", "is bad").to_string(), "/a: is bad");
        assert_eq!(Diagnostic::warning("", "is odd").to_string(), "settings: is odd");
    }
}
