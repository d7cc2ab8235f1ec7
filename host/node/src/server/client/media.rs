//! Files of clients: `/client/v1/media` (§7.4.3).

use std::sync::Arc;

use http::{HeaderValue, Method, Request, header};
use hyper::body::Incoming;
use isthmus_domain::Error;
use isthmus_domain::media::sight;
use isthmus_net::http::Body;
use isthmus_wire::code::{Code, Refusal, Transport};
use isthmus_wire::{MediaId, UserId};
use serde_json::json;

use super::{body_of, parse};
use crate::reply::{Problem, Reply, answer};
use crate::request::{number, param};
use crate::server::Server;
use crate::server::files::{self, Announced};
use crate::server::session::Caller;

/// What is done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Announce an upload.
    Begin,
    /// Have the file, or a range of it; by HEAD also how far an upload is.
    Read,
    /// Send bytes of an upload.
    Write,
    /// How far an upload is.
    Status,
    /// Give an upload up.
    Drop,
}

/// The table of contents.
pub(crate) const ROWS: [(Method, &str, Act); 7] = [
    (Method::POST, "/client/v1/media", Act::Begin),
    (Method::GET, "/client/v1/media/{id}", Act::Read),
    (Method::HEAD, "/client/v1/media/{id}", Act::Read),
    (Method::PATCH, "/client/v1/media/{id}", Act::Write),
    (Method::PUT, "/client/v1/media/{id}", Act::Write),
    (Method::DELETE, "/client/v1/media/{id}", Act::Drop),
    (Method::GET, "/client/v1/media/{id}/status", Act::Status),
];

impl Act {
    pub(super) fn label(self) -> &'static str {
        match self {
            Act::Begin => "media.begin",
            Act::Read => "media.read",
            Act::Write => "media.write",
            Act::Status => "media.status",
            Act::Drop => "media.drop",
        }
    }
}

/// Answers a request about files: some of them carry bytes, not JSON.
pub(super) async fn serve(
    server: &Arc<Server>,
    act: Act,
    params: &[String],
    request: Request<Incoming>,
) -> Result<Reply, Problem> {
    let bodiless = request.method() == Method::HEAD;
    carry_out(server, act, params, request).await.map_err(|problem| {
        // Without a body the HTTP status alone can say that there is nothing.
        if let Problem::Refused(refusal) = &problem
            && bodiless
            && refusal.code.http_status() == 200
        {
            return Problem::Transport(Transport::NoRoute, refusal.message.clone());
        }
        problem
    })
}

async fn carry_out(
    server: &Arc<Server>,
    act: Act,
    params: &[String],
    request: Request<Incoming>,
) -> Result<Reply, Problem> {
    let (head, body) = request.into_parts();
    let caller = server.caller(&head.headers)?;
    let query = head.uri.query().unwrap_or_default();
    if act == Act::Begin {
        let ask: Announced = parse(&body_of(body, server.config.client.max_message_bytes).await?)?;
        return Ok(answer(Ok(server.begin_upload(&caller, ask).await?), ""));
    }
    let id = params.first().map(String::as_str).unwrap_or_default();
    let id = MediaId::parse(id).map_err(|e| Refusal::field(Code::INVALID_FIELD, "mediaID", e))?;
    match act {
        Act::Begin | Act::Status => Ok(answer(Ok(server.upload(&caller, &id).await?), "")),
        Act::Write => {
            let offset = number(query, "offset")?.unwrap_or(0);
            Ok(answer(Ok(server.write_upload(&caller, &id, offset, body).await?), ""))
        }
        Act::Drop => {
            server.drop_upload(&caller, &id).await?;
            Ok(answer(Ok(json!({})), ""))
        }
        Act::Read => match read(server, &caller, &id, query, &head).await {
            // An upload that is not ended: how far it is.
            Err(Problem::Refused(refusal)) if head.method == Method::HEAD && refusal.code == Code::NOT_FOUND => {
                status(server, &caller, &id).await
            }
            other => other,
        },
    }
}

/// The file, or a range of it, for who may see it.
async fn read(
    server: &Arc<Server>,
    caller: &Caller,
    id: &MediaId,
    query: &str,
    head: &http::request::Parts,
) -> Result<Reply, Problem> {
    let from = param(query, "from")?;
    let from = from.map(|from| UserId::parse(&from)).transpose();
    let from = from.map_err(|e| Refusal::field(Code::INVALID_FIELD, "from", e))?;
    let view = server.store.view()?;
    let found = sight::find(&view, &server.id, &caller.user, id, from.as_ref());
    drop(view);
    let media = match (found, from) {
        (Ok((_, media)), _) => media,
        // Not here: perhaps the portrait of another server's user.
        (Err(Error::Refused(_)), Some(from)) => server.foreign_portrait(caller, id, &from).await?,
        (Err(error), _) => return Err(error.into()),
    };
    let gone = || Problem::refused(Code::NOT_FOUND, "the file is gone");
    let turn = server.transfer().await?;
    let blob = server.blob_of(&media).await?.ok_or_else(gone)?;
    files::answer(head, &media, blob, turn)
}

/// `Upload-Offset` and `Upload-Length`, for clients that ask by HEAD.
async fn status(server: &Arc<Server>, caller: &Caller, id: &MediaId) -> Result<Reply, Problem> {
    let upload = server.upload(caller, id).await?;
    let mut reply = Reply::new(Body::empty());
    let headers = reply.headers_mut();
    headers.insert("upload-offset", HeaderValue::from(upload.offset));
    headers.insert("upload-length", HeaderValue::from(upload.size));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(reply)
}
