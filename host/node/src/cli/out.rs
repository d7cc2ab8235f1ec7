//! How answers are shown: for people, or as one JSON document.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Value, json};

use super::error::CliError;
use super::when;

/// Where answers go.
pub(super) struct Out {
    json: bool,
}

impl Out {
    pub(super) fn new(json: bool) -> Out {
        Out { json }
    }

    /// Shows an answer: as it is in JSON, else in the words that `people` makes of it.
    pub(super) fn answer(&self, value: &Value, people: impl FnOnce(&Value) -> String) {
        let text = if self.json { format!("{value:#}") } else { people(value) };
        // A reader that went away (`| head`) is no failure of the command.
        let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
    }

    /// Tells why a command failed, on standard error.
    pub(super) fn failure(&self, error: &CliError) {
        let text =
            if self.json { json!({"error": error.to_string()}).to_string() } else { format!("isthmus: {error}") };
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

/// One column of a table: its title and what it takes from a row.
pub(super) type Column<'a> = (&'a str, fn(&Value) -> String);

/// A table of `answer[list]`, or `none` if there is nothing in it.
pub(super) fn table(answer: &Value, list: &str, columns: &[Column<'_>], none: &str) -> String {
    let rows = answer[list].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return none.to_owned();
    }
    let cells: Vec<Vec<String>> = rows.iter().map(|row| columns.iter().map(|(_, cell)| cell(row)).collect()).collect();
    let width = |i: usize| {
        let cells = cells.iter().map(|row| row[i].chars().count());
        cells.chain([columns[i].0.chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = line(columns.iter().map(|(title, _)| *title), &widths);
    for row in &cells {
        text.push_str(&line(row.iter().map(String::as_str), &widths));
    }
    text
}

fn line<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.zip(widths) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{cell:width$}  ");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// A value as a person reads it: text without quotes, nothing as `-`.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        // Control characters of somebody else's text must not reach a terminal.
        Value::String(text) => text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Milliseconds that are a moment (from 2001 on) and no duration.
const SURELY_A_TIME: u64 = 1_000_000_000_000;

/// An object's members, one a line, indented by depth; lists of objects as numbered blocks.
pub(super) fn outline(value: &Value) -> String {
    let mut text = String::new();
    outline_into(&mut text, value, 0);
    text
}

fn outline_into(text: &mut String, value: &Value, depth: usize) {
    let Value::Object(members) = value else {
        let _ = writeln!(text, "{:1$}{2}", "", depth * 2, plain(value));
        return;
    };
    let shown = members.iter().filter(|(name, _)| depth > 0 || !matches!(name.as_str(), "code" | "msg"));
    for (name, value) in shown {
        let indent = depth * 2;
        match value {
            Value::Object(_) => {
                let _ = writeln!(text, "{:indent$}{name}:", "");
                outline_into(text, value, depth + 1);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                let _ = writeln!(text, "{:indent$}{name}:", "");
                for (number, item) in (1..).zip(items) {
                    let _ = writeln!(text, "{:indent$}  {number}.", "");
                    outline_into(text, item, depth + 2);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                let time = value.as_u64().filter(|_| name.ends_with("_ms") || name.ends_with("Ms"));
                let shown = time.filter(|ms| *ms >= SURELY_A_TIME).map_or_else(|| plain(value), when::show);
                let _ = writeln!(text, "{:indent$}{name}: {shown}", "");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up_and_an_empty_one_says_so() {
        let answer = json!({"servers": [{"id": "north", "n": 1}, {"id": "s", "n": 22}]});
        let columns: &[Column<'_>] = &[("ID", |r| plain(&r["id"])), ("N", |r| plain(&r["n"]))];
        assert_eq!(table(&answer, "servers", columns, "none"), "ID     N\nnorth  1\ns      22\n");
        assert_eq!(table(&json!({}), "servers", columns, "no servers"), "no servers");
    }

    #[test]
    fn what_others_wrote_cannot_command_the_terminal() {
        assert_eq!(plain(&json!("a\u{1b}[2Jb")), "a\u{fffd}[2Jb");
    }

    #[test]
    fn an_outline_leaves_the_envelope_out() {
        let text = outline(&json!({"code": 0, "msg": "success", "a": {"code": 7}, "l": [{"x": 1}], "e": [],
            "at_ms": 1_777_638_600_000_u64, "wait_ms": 5}));
        let expected = "a:\n  code: 7\nat_ms: 2026-05-01T12:30:00Z\ne: -\nl:\n  1.\n    x: 1\nwait_ms: 5\n";
        assert_eq!(text, expected);
    }
}
