//! What every listener does with every request: an ID that follows it across servers, and the
//! answers for what has no endpoint.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use isthmus_wire::code::{Code, Refusal, Transport};
use isthmus_wire::json::Json;
use serde::de::DeserializeOwned;

use crate::clock::random_bytes;
use crate::reply::{Problem, Reply, refuse};

/// Carries a request's ID from server to server.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The caller's ID of this request, if it is a plain one; else a new one.
#[must_use]
pub fn id(headers: &HeaderMap) -> String {
    let plain = |text: &&str| {
        (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let given = headers.get(REQUEST_ID).and_then(|v| v.to_str().ok()).filter(plain);
    given.map_or_else(|| hex::encode(random_bytes::<8>()), ToOwned::to_owned)
}

/// Tells the caller the request's ID.
#[must_use]
pub fn tag(mut reply: Reply, id: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(id) {
        reply.headers_mut().insert(REQUEST_ID, value);
    }
    reply
}

/// 404 (R4).
#[must_use]
pub fn no_route(id: &str) -> Reply {
    tag(refuse(&Problem::Transport(Transport::NoRoute, "there is nothing at this path".to_owned()), id), id)
}

/// 405 (R4), with the methods that there are.
#[must_use]
pub fn wrong_method(allowed: &[Method], id: &str) -> Reply {
    let list = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let problem = Problem::Transport(Transport::WrongMethod, format!("this path takes {list}"));
    let mut reply = refuse(&problem, id);
    if let Ok(value) = HeaderValue::from_str(&list) {
        reply.headers_mut().insert(header::ALLOW, value);
    }
    tag(reply, id)
}

/// A value of the query, trimmed and unquoted as R3 says; none if it is not there or empty.
///
/// # Errors
/// 1001 for a query that cannot be decoded.
pub fn param(query: &str, name: &str) -> Result<Option<String>, Problem> {
    let pairs = isthmus_wire::query::parse(query)?;
    let found = pairs.into_iter().find(|(n, _)| n == name);
    let Some((_, Json::Text(text))) = found else { return Ok(None) };
    Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
}

/// A whole number of the query.
///
/// # Errors
/// 1003 naming the field.
pub fn number(query: &str, name: &str) -> Result<Option<u64>, Problem> {
    let Some(text) = param(query, name)? else { return Ok(None) };
    let wrong = || Refusal::field(Code::INVALID_FIELD, name, format_args!("{text:?} is no whole number")).into();
    text.parse().map(Some).map_err(|_| wrong())
}

/// A JSON body of ours (not of the standard): serde's words name the field.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let words = error.to_string();
        let code = match error.is_data() {
            true if words.starts_with("missing field") => Code::MISSING_FIELD,
            true => Code::INVALID_FIELD,
            false => Code::MALFORMED,
        };
        Problem::refused(code, format!("the body: {words}"))
    })
}

/// The same, where no body means the defaults.
pub(crate) fn parse_or_default<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.is_empty() { Ok(T::default()) } else { parse(bytes) }
}
