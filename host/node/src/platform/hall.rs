//! What both listeners do with every request: find the endpoint, bound the body, read it, answer, count.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use hyper::body::Incoming;
use isthmus_net::http::{BodyError, read_body};
use isthmus_wire::Code;
use isthmus_wire::code::Transport;
use isthmus_wire::json::{self, Read};
use serde::de::DeserializeOwned;

use crate::config::Limits;
use crate::reply::Problem;

/// The net's limits from the configuration's.
pub(super) fn limits(config: &Limits) -> isthmus_net::Limits {
    isthmus_net::Limits {
        handshake: Duration::from_millis(config.handshake_ms),
        header: Duration::from_millis(config.header_ms),
        grace: Duration::from_millis(config.grace_ms),
        max_connections: config.max_connections,
        ..isthmus_net::Limits::default()
    }
}

/// A request's body as one of the wire's types (R1, R4).
pub(super) async fn read<T: Read>(request: Request<Incoming>, config: &Limits) -> Result<T, Problem> {
    let bytes = body(request, config).await?;
    Ok(json::read(&bytes)?)
}

/// A request's body as one of our own interface's types; none is an empty object.
pub(super) async fn read_own<T: DeserializeOwned>(request: Request<Incoming>, config: &Limits) -> Result<T, Problem> {
    let bytes = body(request, config).await?;
    let bytes = if bytes.is_empty() { Bytes::from_static(b"{}") } else { bytes };
    serde_json::from_slice(&bytes).map_err(|error| Problem::refused(Code::MALFORMED, error.to_string()))
}

pub(super) async fn body(request: Request<Incoming>, config: &Limits) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        let words = "the body must be application/json".to_owned();
        return Err(Problem::Transport(Transport::WrongMediaType, words));
    }
    let within = Duration::from_millis(config.header_ms);
    read_body(request.into_body(), config.max_body_kib * 1024, within).await.map_err(|error| {
        let why = match error {
            BodyError::TooLarge { .. } => Transport::TooLarge,
            BodyError::Timeout { .. } | BodyError::Broken(_) => Transport::Malformed,
        };
        Problem::Transport(why, error.to_string())
    })
}

/// JSON, whatever its parameters. A body without a type is taken for JSON: nothing else is spoken here.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let media_type = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}
