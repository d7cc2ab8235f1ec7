//! The interconnect listener: `/sns/…` for other servers, over mutual TLS (§5.3 b, §7.4).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, header};
use hyper::body::Incoming;
use isthmus_net::Connection;
use isthmus_wire::call::message::Send;
use isthmus_wire::call::{self, CallSpec, Unroutable};
use isthmus_wire::code::{Answer, Code, Empty, Transport};
use isthmus_wire::{ServerId, json};

use super::Server;
use super::addresses::AddressError;
use super::client_api::body_of;
use crate::reply::{self, Problem, Reply};

/// Answers one request of another server.
pub(crate) async fn serve(server: Arc<Server>, request: Request<Incoming>, connection: Arc<Connection>) -> Reply {
    let id = crate::request::id(request.headers());
    let began = Instant::now();
    let found = call::find(request.method().as_str(), request.uri().path());
    let (name, result) = match found {
        Ok(found) => (found.spec.name, carry_out(&server, found.spec, request, &connection).await),
        Err(Unroutable::NoRoute) => return crate::request::no_route(&id),
        Err(Unroutable::WrongMethod(method)) => {
            let method = http::Method::from_bytes(method.as_str().as_bytes()).unwrap_or_default();
            return crate::request::wrong_method(&[method], &id);
        }
    };
    let reply = match result {
        Ok(()) => reply::json(200, Answer::<Empty>::success().write()),
        Err(problem) => {
            if !matches!(problem, Problem::Fault(_)) {
                tracing::debug!(request = id, peer = %connection.identity, call = name, %problem, "refused");
            }
            reply::refuse(&problem, &id)
        }
    };
    crate::telemetry::request("interconnect", name, &reply, began.elapsed());
    crate::request::tag(reply, &id)
}

async fn carry_out(
    server: &Arc<Server>,
    spec: &CallSpec,
    request: Request<Incoming>,
    connection: &Connection,
) -> Result<(), Problem> {
    let peer = admitted(server, connection).await?;
    // Whoever calls us can be called: do not let what waits for them wait longer.
    server.outbox.road(&peer).hint();
    if spec.name != call::MESSAGE_SEND.name {
        return Err(Problem::Transport(Transport::NoRoute, format!("{} is not offered by this server", spec.path)));
    }
    let body = json_body(server, request).await?;
    let chat: Send = json::read(&body)?;
    server.receive(&peer, chat.message_info).await
}

/// The calling server, in good standing now (R13: asked again on every request).
async fn admitted(server: &Server, connection: &Connection) -> Result<ServerId, Problem> {
    let identity = connection.identity.server();
    let peer = identity.ok_or_else(|| {
        Problem::Transport(Transport::NoIdentity, "an interconnect certificate of a server is needed".to_owned())
    })?;
    match server.addresses.admitted(peer).await {
        Ok(_) => Ok(peer.clone()),
        Err(error @ (AddressError::Unknown(_) | AddressError::Barred { .. })) => {
            Err(Problem::Transport(Transport::ForeignIdentity, error.to_string()))
        }
        Err(error @ AddressError::Unreachable(_)) => Err(Problem::refused(Code::OVERLOADED, format!("{error}; retry"))),
    }
}

async fn json_body(server: &Server, request: Request<Incoming>) -> Result<Bytes, Problem> {
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    // Peers of other makers may leave the type out; what they do send must not be something else.
    if !media.is_empty() && !media.to_ascii_lowercase().contains("json") {
        return Err(Problem::Transport(Transport::WrongMediaType, "Content-Type must be application/json".to_owned()));
    }
    body_of(request.into_body(), server.config.limits.max_body_kib * 1024).await
}

/// How often the standing of connected peers is looked at, beside every request.
pub(crate) const STANDING_EVERY: Duration = Duration::from_secs(5);
