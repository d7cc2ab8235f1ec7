//! The client listener: `/client/v1` (design §7).

mod groups;
mod media;
mod people;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use isthmus_domain::mark::{self, Mark};
use isthmus_domain::measure::Measure;
use isthmus_net::http::{Body, BodyError, read_body};
use isthmus_wire::code::{Code, Refusal, Transport};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock;
use crate::reply::{Problem, Reply, answer, refuse, whole};
use crate::request::{number, parse, parse_or_default};
use crate::route::{Found, Table};
use crate::server::Server;
use crate::server::accounts::ChangePassword;
use crate::server::push::Pushed;
use crate::server::send::Submission;
use crate::server::session::{Caller, SUBPROTOCOL};

/// What a client may take to send its body.
const BODY_WITHIN: Duration = Duration::from_secs(20);
/// The page that stands at `/`: the web client.
const START: &str = "client/index.html";
/// Bytes of an ID (R11).
const ID_MAX: usize = 256;
/// Inbox events in one answer.
const PAGE_MAX: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    LogIn,
    Refresh,
    LogOut,
    Devices,
    RevokeDevice,
    Me,
    Password,
    Send,
    Recall,
    Inbox,
    Acknowledge,
    Marks,
    Mark,
    Socket,
    People(people::Endpoint),
    Media(media::Act),
    Description,
    Groups(groups::Endpoint),
}

/// This interface in OpenAPI 3.1. The tests hold it against the table and against every answer that they get.
const DESCRIPTION: &str = include_str!("../../../../../docs/openapi/client.json");

/// The table of contents.
pub(crate) fn table() -> Result<Table<Endpoint>, matchit::InsertError> {
    let mut rows = vec![
        (Method::POST, "/client/v1/login", Endpoint::LogIn),
        (Method::POST, "/client/v1/refresh", Endpoint::Refresh),
        (Method::POST, "/client/v1/logout", Endpoint::LogOut),
        (Method::GET, "/client/v1/devices", Endpoint::Devices),
        (Method::DELETE, "/client/v1/devices/{id}", Endpoint::RevokeDevice),
        (Method::GET, "/client/v1/me", Endpoint::Me),
        (Method::POST, "/client/v1/password", Endpoint::Password),
        (Method::POST, "/client/v1/messages", Endpoint::Send),
        (Method::POST, "/client/v1/messages/{id}/recall", Endpoint::Recall),
        (Method::GET, "/client/v1/inbox", Endpoint::Inbox),
        (Method::POST, "/client/v1/inbox/ack", Endpoint::Acknowledge),
        (Method::GET, "/client/v1/marks", Endpoint::Marks),
        (Method::PUT, "/client/v1/marks", Endpoint::Mark),
        (Method::GET, "/client/v1/socket", Endpoint::Socket),
        (Method::GET, "/client/v1/openapi.json", Endpoint::Description),
    ];
    rows.extend(media::ROWS.map(|(method, path, act)| (method, path, Endpoint::Media(act))));
    rows.extend(people::ROWS.map(|(method, path, endpoint)| (method, path, Endpoint::People(endpoint))));
    rows.extend(groups::ROWS.map(|(method, path, endpoint)| (method, path, Endpoint::Groups(endpoint))));
    Table::new(&rows)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LogOut {
    everywhere: bool,
}

#[derive(Deserialize)]
struct Cursor {
    cursor: u64,
}

#[derive(Serialize)]
struct Page {
    events: Vec<Value>,
    next: u64,
    head: u64,
}

/// Answers one request of the client listener.
pub(crate) async fn serve(server: Arc<Server>, table: Arc<Table<Endpoint>>, request: Request<Incoming>) -> Reply {
    let id = crate::request::id(request.headers());
    let found = table.find(request.method(), request.uri().path());
    let (endpoint, params) = match found {
        Found::Endpoint(endpoint, params) => (endpoint, params),
        Found::WrongMethod(allowed) => return crate::request::wrong_method(&allowed, &id),
        Found::Nothing => {
            let page = crate::web::serve(START, request.method(), request.uri().path(), request.headers());
            return page.map_or_else(|| crate::request::no_route(&id), |page| crate::request::tag(page, &id));
        }
    };
    let began = std::time::Instant::now();
    let reply = if endpoint == Endpoint::Socket {
        upgrade(&server, request, &id)
    } else if let Endpoint::Media(act) = endpoint {
        let bodiless = request.method() == Method::HEAD;
        let files = Box::pin(media::serve(&server, act, &params, request));
        files.await.unwrap_or_else(|problem| {
            let refusal = refuse(&problem, &id);
            if bodiless { refusal.map(|_| Body::empty()) } else { refusal }
        })
    } else if endpoint == Endpoint::Description {
        whole(200, isthmus_wire::JSON_TYPE, DESCRIPTION)
    } else {
        let result = dispatch(&server, endpoint, &params, request).await;
        answer(result, &id)
    };
    crate::telemetry::request("client", label(endpoint), &reply, began.elapsed());
    crate::request::tag(reply, &id)
}

async fn dispatch(
    server: &Arc<Server>,
    endpoint: Endpoint,
    params: &[String],
    request: Request<Incoming>,
) -> Result<Value, Problem> {
    let (head, body) = request.into_parts();
    let max = server.config.client.max_message_bytes;
    if endpoint == Endpoint::LogIn {
        return value(server.log_in(parse(&body_of(body, max).await?)?).await?);
    }
    if endpoint == Endpoint::Refresh {
        return value(server.refresh(parse(&body_of(body, max).await?)?).await?);
    }
    let caller = server.caller(&head.headers)?;
    if writes(endpoint) {
        server.may_write(&caller)?;
    }
    match endpoint {
        // Answered elsewhere.
        Endpoint::LogIn | Endpoint::Refresh | Endpoint::Socket | Endpoint::Description | Endpoint::Media(_) => {
            Ok(json!({}))
        }
        Endpoint::LogOut => {
            let ask: LogOut = parse_or_default(&body_of(body, max).await?)?;
            value(server.log_out(&caller, ask.everywhere).await?)
        }
        Endpoint::Devices => Ok(json!({"devices": server.devices(&caller)?})),
        Endpoint::RevokeDevice => {
            let id = params.first().map(String::as_str).unwrap_or_default();
            value(server.revoke_device(&caller, id).await?)
        }
        Endpoint::Me => me(server, &caller),
        Endpoint::Password => {
            let ask: ChangePassword = parse(&body_of(body, max).await?)?;
            value(server.change_password(&caller, ask).await?)
        }
        Endpoint::Send => {
            let ask: Submission = parse(&body_of(body, max).await?)?;
            value(server.submit(&caller, ask).await?.wait().await?)
        }
        Endpoint::Recall => {
            let id = params.first().map(String::as_str).unwrap_or_default();
            value(server.recall(&caller, id).await?)
        }
        Endpoint::Inbox => inbox(server, &caller, head.uri.query().unwrap_or_default()),
        Endpoint::Acknowledge => {
            let ask: Cursor = parse(&body_of(body, max).await?)?;
            server.acknowledge(&caller, ask.cursor);
            Ok(json!({}))
        }
        Endpoint::Marks => {
            let marks = server.store.read(|view| mark::all(view, &caller.user))?;
            Ok(json!({"marks": marks}))
        }
        Endpoint::Mark => {
            let (ask, user): (Mark, _) = (parse(&body_of(body, max).await?)?, caller.user.clone());
            if !(1..=ID_MAX).contains(&ask.id.len()) {
                return Err(Refusal::field(Code::INVALID_FIELD, "id", "must be of 1 to 256 bytes").into());
            }
            server.store.write(move |tx| mark::put(tx, &user, &ask)).await?;
            Ok(json!({}))
        }
        Endpoint::People(endpoint) => {
            let body = body_of(body, max).await?;
            let param = params.first().map(String::as_str).unwrap_or_default();
            let query = head.uri.query().unwrap_or_default();
            people::serve(endpoint, people::Asking { server, caller: &caller, param, query, body }).await
        }
        Endpoint::Groups(endpoint) => {
            let body = body_of(body, max).await?;
            let param = params.first().map(String::as_str).unwrap_or_default();
            let query = head.uri.query().unwrap_or_default();
            Box::pin(groups::serve(endpoint, people::Asking { server, caller: &caller, param, query, body })).await
        }
    }
}

/// Whether others see something new by it, so that it is not for who is muted. Messages and files are asked about by the rules
/// that take them; taking back and leaving say nothing.
fn writes(endpoint: Endpoint) -> bool {
    match endpoint {
        Endpoint::People(endpoint) => endpoint.writes(),
        Endpoint::Groups(endpoint) => endpoint.writes(),
        Endpoint::LogIn
        | Endpoint::Refresh
        | Endpoint::LogOut
        | Endpoint::Devices
        | Endpoint::RevokeDevice
        | Endpoint::Me
        | Endpoint::Password
        | Endpoint::Send
        | Endpoint::Recall
        | Endpoint::Inbox
        | Endpoint::Acknowledge
        | Endpoint::Marks
        | Endpoint::Mark
        | Endpoint::Socket
        | Endpoint::Media(_)
        | Endpoint::Description => false,
    }
}

fn value(body: impl Serialize) -> Result<Value, Problem> {
    let value = serde_json::to_value(body).map_err(Problem::fault)?;
    Ok(if value.is_null() { json!({}) } else { value })
}

fn me(server: &Server, caller: &Caller) -> Result<Value, Problem> {
    let user = server.store.read(|view| isthmus_domain::account::find_user(view, &caller.user))?;
    let user = user.ok_or_else(|| Problem::refused(Code::NOT_FOUND, "the user is gone"))?;
    let measures: Vec<Value> = user.measures_at(clock::now_ms()).map(Measure::told).collect();
    Ok(json!({
        "userID": user.id, "name": user.name, "deviceID": caller.device, "server": server.id,
        "recallS": server.config.delivery.recall_s, "maxFileBytes": server.max_file(), "measures": measures,
    }))
}

fn inbox(server: &Server, caller: &Caller, query: &str) -> Result<Value, Problem> {
    let after = number(query, "after")?.unwrap_or(0);
    let limit = number(query, "limit")?.map_or(100, |n| usize::try_from(n).unwrap_or(PAGE_MAX)).clamp(1, PAGE_MAX);
    let events = match number(query, "before")? {
        Some(before) => server.inbox_page_before(&caller.user, before, limit)?,
        None => server.inbox_page(&caller.user, after, limit)?,
    };
    let head = server.store.read(|view| isthmus_domain::inbox::head(view, &caller.user))?;
    let next = events.last().map_or(after, |event| event.cursor);
    let events = events.iter().map(with_cursor).collect();
    value(Page { events, next, head })
}

fn with_cursor(event: &Pushed) -> Value {
    let mut value: Value = serde_json::from_str(&event.json).unwrap_or_default();
    value["cursor"] = event.cursor.into();
    value
}

/// The body, bounded in size and time.
pub(crate) async fn body_of(body: Incoming, max: usize) -> Result<Bytes, Problem> {
    read_body(body, max, BODY_WITHIN).await.map_err(|error| match error {
        BodyError::TooLarge { limit } => {
            Problem::Transport(Transport::TooLarge, format!("the body is larger than {limit} bytes"))
        }
        BodyError::Timeout { .. } | BodyError::Broken(_) => {
            Problem::Transport(Transport::Malformed, "the body did not arrive whole".to_owned())
        }
    })
}

/// Answers a WebSocket's handshake and leaves the connection to the socket's task.
fn upgrade(server: &Arc<Server>, mut request: Request<Incoming>, id: &str) -> Reply {
    match handshake(server, &mut request) {
        Ok(reply) => reply,
        Err(problem) => refuse(&problem, id),
    }
}

fn handshake(server: &Arc<Server>, request: &mut Request<Incoming>) -> Result<Reply, Problem> {
    let caller = server.caller(request.headers())?;
    let after = number(request.uri().query().unwrap_or_default(), "after")?.unwrap_or(0);
    let key = websocket_key(request.headers())?;
    let offers_protocol = request.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL);
    let upgraded = hyper::upgrade::on(request);
    let server = server.clone();
    tokio::spawn(async move {
        match upgraded.await {
            Ok(upgraded) => crate::server::socket::serve(server, caller, after, upgraded).await,
            Err(error) => tracing::debug!(%error, "a socket ended before it began"),
        }
    });
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = reply.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    if offers_protocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    Ok(reply)
}

fn websocket_key(headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let not_one = |what: &str| Problem::Transport(Transport::Malformed, format!("a WebSocket handshake needs {what}"));
    let has = |name, wanted: &str| {
        headers
            .get(name)
            .and_then(|v: &HeaderValue| v.to_str().ok())
            .is_some_and(|v| v.to_ascii_lowercase().contains(wanted))
    };
    if !has(header::UPGRADE, "websocket") || !has(header::CONNECTION, "upgrade") {
        return Err(not_one("HTTP/1.1 with Connection: Upgrade and Upgrade: websocket"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or_else(|| not_one("Sec-WebSocket-Key"))?;
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
    HeaderValue::from_str(&accept).map_err(Problem::fault)
}

fn label(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::LogIn => "login",
        Endpoint::Refresh => "refresh",
        Endpoint::LogOut => "logout",
        Endpoint::Devices => "devices",
        Endpoint::RevokeDevice => "devices.revoke",
        Endpoint::Me => "me",
        Endpoint::Password => "password",
        Endpoint::Send => "messages",
        Endpoint::Recall => "messages.recall",
        Endpoint::Inbox => "inbox",
        Endpoint::Acknowledge => "inbox.ack",
        Endpoint::Marks => "marks",
        Endpoint::Mark => "marks.put",
        Endpoint::Socket => "socket",
        Endpoint::People(endpoint) => endpoint.label(),
        Endpoint::Media(act) => act.label(),
        Endpoint::Description => "openapi",
        Endpoint::Groups(endpoint) => endpoint.label(),
    }
}
