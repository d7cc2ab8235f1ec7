//! Turns what a handler says into HTTP: one exhaustive map (R4), one media type (§7.1.1).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use isthmus_net::http::Body;
use isthmus_store::{StoreError, WriteError};
use isthmus_wire::code::{Answer, Code, Refusal, Transport};
use serde::Serialize;
use serde_json::{Value, json};

/// An answer: whole, or a file that streams.
pub type Reply = Response<Body>;

/// When to come back, where nobody knows better.
const COME_BACK_S: u64 = 30;

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It never reached the rules.
    #[error("{1}")]
    Transport(Transport, String),
    /// The caller's fault, in public words.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The caller shall come back after so many seconds.
    #[error("{1}")]
    Later(u64, String),
    /// Ours. The caller learns nothing of it.
    #[error("{0}")]
    Fault(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Problem {
    /// A fault of ours.
    pub fn fault(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Problem {
        Problem::Fault(error.into())
    }

    /// A refusal without a field.
    pub fn refused(code: Code, message: impl Into<String>) -> Problem {
        Problem::Refused(Refusal::new(code, message))
    }

    /// Code and public words.
    #[must_use]
    pub fn public(&self) -> (u16, Code, &str) {
        match self {
            Problem::Transport(why, words) => {
                let (status, code) = why.answer();
                (status, code, words)
            }
            Problem::Refused(refusal) => (refusal.code.http_status(), refusal.code, &refusal.message),
            Problem::Later(_, words) => (429, Code::TOO_MANY_REQUESTS, words),
            Problem::Fault(_) => (500, Code::FAILURE, "a fault of this server; its operator finds it in the log"),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        if matches!(error, StoreError::Overloaded) {
            return Problem::refused(Code::OVERLOADED, "overloaded; retry");
        }
        Problem::fault(error)
    }
}

impl From<isthmus_domain::Error> for Problem {
    fn from(error: isthmus_domain::Error) -> Problem {
        match error {
            isthmus_domain::Error::Refused(refusal) => Problem::Refused(refusal),
            isthmus_domain::Error::Fault(error) => error.into(),
        }
    }
}

impl<E: Into<Problem>> From<WriteError<E>> for Problem {
    fn from(error: WriteError<E>) -> Problem {
        match error {
            WriteError::Refused(refused) => refused.into(),
            WriteError::Fault(fault) => fault.into(),
        }
    }
}

/// The answer to a handler's result; a fault is logged here, once.
pub fn answer<T: Serialize>(result: Result<T, Problem>, request: &str) -> Reply {
    match result {
        Ok(body) => json(200, Answer::of(body).write()),
        Err(problem) => refuse(&problem, request),
    }
}

/// The answer to a problem.
#[must_use]
pub fn refuse(problem: &Problem, request: &str) -> Reply {
    if let Problem::Fault(error) = problem {
        tracing::error!(request, error = chain(error.as_ref()), "request failed");
    }
    let (status, code, msg) = problem.public();
    let mut reply = json(status, Answer::<()>::refused(code, msg).write());
    // For the figures: see `telemetry::request`.
    reply.extensions_mut().insert(code);
    // R5: whoever is told 1301 is told when to come back.
    if status == 429 {
        let seconds = if let Problem::Later(seconds, _) = problem { *seconds } else { COME_BACK_S };
        reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    reply
}

/// A JSON body with the one media type that we write.
#[must_use]
pub fn json(status: u16, body: Vec<u8>) -> Reply {
    whole(status, isthmus_wire::JSON_TYPE, body)
}

/// Any body.
#[must_use]
pub fn whole(status: u16, media_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Body::from(body.into()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    reply
}

/// `{"code", "msg"}` as a value, for the socket.
#[must_use]
pub fn refusal_value(problem: &Problem) -> Value {
    let (_, code, msg) = problem.public();
    json!({"code": code.number(), "msg": msg})
}

/// An error with all its causes, for the log.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn r5_whoever_is_told_1301_is_told_when_to_come_back() {
        let after = |problem: &Problem| refuse(problem, "").headers().get(header::RETRY_AFTER).cloned();
        assert_eq!(after(&Problem::Later(7, String::new())).unwrap(), "7");
        assert_eq!(after(&Problem::refused(Code::TOO_MANY_REQUESTS, "")).unwrap(), "30");
        assert_eq!(after(&Problem::Transport(Transport::TooManyRequests, String::new())).unwrap(), "30");
        assert_eq!(after(&Problem::refused(Code::NOT_FOUND, "")), None);
    }
}
