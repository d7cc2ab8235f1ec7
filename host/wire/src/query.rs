//! Query strings (§7.1.1 a, R3): URL-encoded UTF-8, white space around names and values trimmed, one
//! pair of double quotes around an ID taken off. In `query` quotes mean an exact search (R14) and stay.

use std::borrow::Cow;
use std::fmt::Write;

use percent_encoding::{percent_decode, utf8_percent_encode};

use crate::code::{Code, Refusal};
use crate::json::{Fields, Json, Read, ReadError};
use crate::path::RESERVED;

/// Reads a request out of a query string.
///
/// # Errors
/// 1001 for an encoding that is none, else what `T` finds.
pub fn read<T: Read>(query: &str) -> Result<T, ReadError> {
    read_with(query, &[])
}

/// As [`read`], with parameters that stood in the path, decoded.
///
/// # Errors
/// As [`read`].
pub fn read_with<T: Read>(query: &str, in_path: &[(&str, &str)]) -> Result<T, ReadError> {
    let mut members = parse(query)?;
    for (name, value) in in_path {
        members.push((Cow::Borrowed(*name), Json::Text(Cow::Borrowed(trim(name, value)))));
    }
    T::read(&Fields::root(&members))
}

/// Splits a query string; values are texts, in their own order.
///
/// # Errors
/// 1001 if a part is not UTF-8 once decoded.
pub fn parse(query: &str) -> Result<Vec<(Cow<'static, str>, Json<'static>)>, ReadError> {
    let mut members = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        let name = name.trim();
        let value = trim(name, &value).to_owned();
        members.push((Cow::Owned(name.to_owned()), Json::Text(Cow::Owned(value))));
    }
    Ok(members)
}

fn trim<'a>(name: &str, value: &'a str) -> &'a str {
    let value = value.trim();
    if name == "query" {
        return value;
    }
    value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value)
}

fn decode(text: &str) -> Result<String, ReadError> {
    let spaced = text.replace('+', " ");
    let bytes: Vec<u8> = percent_decode(spaced.as_bytes()).collect();
    String::from_utf8(bytes).map_err(|_| Refusal::new(Code::Malformed, "the query string is not UTF-8"))
}

/// Writes a query string.
#[must_use]
pub fn write(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        let joint = if out.is_empty() { "" } else { "&" };
        let value = utf8_percent_encode(value, RESERVED);
        write!(out, "{joint}{name}={value}").expect("a String takes everything");
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn pairs(query: &str) -> Vec<(String, String)> {
        let text = |json: Json<'_>| {
            if let Json::Text(t) = json { t.into_owned() } else { String::new() }
        };
        parse(query).unwrap().into_iter().map(|(n, v)| (n.into_owned(), text(v))).collect()
    }

    #[test]
    fn r3_white_space_is_trimmed_and_one_pair_of_quotes_taken_off_except_in_query() {
        let cases: [(&str, &[(&str, &str)]); 9] = [
            ("page%20=%200", &[("page", "0")]),
            ("page+=+0", &[("page", "0")]),
            ("userID=%22alice%40north%22", &[("userID", "alice@north")]),
            ("userID=\"alice@north\"", &[("userID", "alice@north")]),
            ("userID=%22%22a%22%22", &[("userID", "\"a\"")]),
            ("userID=%22", &[("userID", "\"")]),
            ("query=+%22Li%20Si%22+&page=1", &[("query", "\"Li Si\""), ("page", "1")]),
            ("query=%E5%BC%A0%F0%9F%98%80", &[("query", "张😀")]),
            ("&&a", &[("a", "")]),
        ];
        for (query, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(pairs(query), expected, "{query}");
        }
        assert_eq!(parse("a=%ff").unwrap_err().code, Code::Malformed);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let written = write(&[("groupID", "g-1@北 +&="), ("size", "-5")]);
        assert_eq!(pairs(&written), [("groupID".to_owned(), "g-1@北 +&=".to_owned()), ("size".into(), "-5".into())]);
    }
}
