//! The interconnect listener: `/sns/…` for other servers, over mutual TLS (§5.3 b, chapter 7).
//!
//! Every call comes the same way: its spec is found, the caller's standing asked, then the handler reads the request with
//! [`Asked::read`], which is the only way to see it and checks who speaks for whom (R12).

mod asked;
mod file;
mod group;
mod letters;
mod message;
mod user;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Request};
use hyper::body::Incoming;
use isthmus_net::{Connection, Identity};
use isthmus_wire::ServerId;
use isthmus_wire::call::{self, CallSpec, Found, Method, Unroutable};
use isthmus_wire::code::{Answer, Code, Empty, Transport};
use serde::Serialize;

pub(crate) use asked::Asked;

use super::Server;
use super::addresses::AddressError;
use crate::reply::{self, Problem, Reply};

/// Answers one request of another server.
pub(crate) async fn serve(server: Arc<Server>, request: Request<Incoming>, connection: Arc<Connection>) -> Reply {
    let id = crate::request::id(request.headers());
    let began = Instant::now();
    let found = match find(&server, request.method(), request.uri().path()) {
        Ok(found) => found,
        Err(Unroutable::NoRoute) => return crate::request::no_route(&id),
        Err(Unroutable::WrongMethod(method)) => return crate::request::wrong_method(&[http_method(method)], &id),
    };
    let name = found.name();
    let mut reply = carry_out(&server, found.clone(), request, &connection).await.unwrap_or_else(|problem| {
        if !matches!(problem, Problem::Fault(_)) {
            tracing::debug!(request = id, peer = %connection.identity, call = name, %problem, "refused");
        }
        reply::refuse(&problem, &id)
    });
    crate::telemetry::request("interconnect", name, &reply, began.elapsed());
    if let Some(offer) = found.may_be_many().then(|| server.offer()).flatten()
        && let Ok(value) = HeaderValue::from_str(&offer.to_string())
    {
        reply.headers_mut().insert(isthmus_wire::letters::OFFER, value);
    }
    crate::request::tag(reply, &id)
}

/// What is asked: a call of chapter 7, or ours that brings many of them.
#[derive(Clone)]
enum Route {
    Call(Found),
    Letters,
}

impl Route {
    fn name(&self) -> &'static str {
        match self {
            Route::Call(found) => found.spec.name,
            Route::Letters => "letters",
        }
    }

    /// Whoever sends messages learns that many may come together.
    fn may_be_many(&self) -> bool {
        match self {
            Route::Call(found) => found.spec.name == call::MESSAGE_SEND.name,
            Route::Letters => true,
        }
    }
}

fn find(server: &Server, method: &http::Method, path: &str) -> Result<Route, Unroutable> {
    if isthmus_wire::path::normalise(path) == isthmus_wire::letters::PATH && server.offer().is_some() {
        return if method == http::Method::POST {
            Ok(Route::Letters)
        } else {
            Err(Unroutable::WrongMethod(Method::Post))
        };
    }
    call::find(method.as_str(), path).map(Route::Call)
}

/// HTTP's own word for a method of chapter 7.
pub(crate) fn http_method(method: Method) -> http::Method {
    match method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
    }
}

async fn carry_out(
    server: &Arc<Server>,
    route: Route,
    request: Request<Incoming>,
    connection: &Connection,
) -> Result<Reply, Problem> {
    if connection.identity == Identity::Platform && route.name() == call::USER_SEARCH.name {
        return user::search_for_platform(server, &request).await;
    }
    let peer = admitted(server, connection).await?;
    // Whoever calls us can be called: do not let what waits for them wait longer.
    let road = server.outbox.road(&peer);
    road.met(crate::clock::now_ms(), connection.serial.as_deref(), connection.not_after);
    road.hint();
    let found = match route {
        Route::Call(found) => found,
        Route::Letters => {
            let chat = Found { spec: &call::MESSAGE_SEND, param: None };
            return letters::take(Asked::take(server, peer, chat, request).await?).await;
        }
    };
    let handler = handler(found.spec)?;
    let ask = Asked::take(server, peer, found, request).await?;
    match handler {
        Handler::Message => message::send(ask).await,
        Handler::FindUsers => user::search(ask).await,
        Handler::AddFriend => user::add(ask).await,
        Handler::AnswerFriend => user::respond(ask).await,
        Handler::DeleteFriend => user::delete(ask).await,
        Handler::UserDetails => user::details(ask).await,
        Handler::IsFriend => user::is_friend(ask).await,
        Handler::Download => file::download(ask).await,
        Handler::Report => file::report(ask).await,
        Handler::FindGroups => group::search(ask).await,
        Handler::Invite => group::invite(ask).await,
        Handler::AnswerInvite => group::respond(ask).await,
        Handler::RemoveMembers => group::remove(ask).await,
        Handler::LeaveGroup => group::leave(ask).await,
        Handler::GroupHistory => group::history(ask).await,
        Handler::UpdateGroup => group::update(ask).await,
        Handler::GroupInfo => group::info(ask).await,
        Handler::GroupMembers => group::members(ask).await,
        Handler::GroupNotice => group::notify(ask).await,
    }
}

#[derive(Clone, Copy)]
enum Handler {
    Message,
    FindUsers,
    AddFriend,
    AnswerFriend,
    DeleteFriend,
    UserDetails,
    IsFriend,
    Download,
    Report,
    FindGroups,
    Invite,
    AnswerInvite,
    RemoveMembers,
    LeaveGroup,
    GroupHistory,
    UpdateGroup,
    GroupInfo,
    GroupMembers,
    GroupNotice,
}

/// The table of contents: which calls are answered, and by whom.
fn handler(spec: &CallSpec) -> Result<Handler, Problem> {
    match spec.name {
        name if name == call::MESSAGE_SEND.name => Ok(Handler::Message),
        name if name == call::USER_SEARCH.name => Ok(Handler::FindUsers),
        name if name == call::USER_ADD.name => Ok(Handler::AddFriend),
        name if name == call::USER_ANSWER.name => Ok(Handler::AnswerFriend),
        name if name == call::USER_DELETE.name => Ok(Handler::DeleteFriend),
        name if name == call::USER_DETAILS.name => Ok(Handler::UserDetails),
        name if name == call::USER_IS_FRIEND.name => Ok(Handler::IsFriend),
        name if name == call::FILE_DOWNLOAD.name => Ok(Handler::Download),
        name if name == call::FILE_REPORT.name => Ok(Handler::Report),
        name if name == call::GROUP_SEARCH.name => Ok(Handler::FindGroups),
        name if name == call::GROUP_INVITE.name => Ok(Handler::Invite),
        name if name == call::GROUP_ANSWER.name => Ok(Handler::AnswerInvite),
        name if name == call::GROUP_REMOVE.name => Ok(Handler::RemoveMembers),
        name if name == call::GROUP_LEAVE.name => Ok(Handler::LeaveGroup),
        name if name == call::GROUP_HISTORY.name => Ok(Handler::GroupHistory),
        name if name == call::GROUP_UPDATE.name => Ok(Handler::UpdateGroup),
        name if name == call::GROUP_INFO.name => Ok(Handler::GroupInfo),
        name if name == call::GROUP_MEMBERS.name => Ok(Handler::GroupMembers),
        name if name == call::GROUP_NOTICE.name => Ok(Handler::GroupNotice),
        _ => Err(Problem::Transport(Transport::NoRoute, format!("{} is not offered by this server", spec.path))),
    }
}

/// `{"code": 0}` and what the call answers beside it.
pub(crate) fn answer<T: Serialize>(body: T) -> Reply {
    reply::json(200, Answer::of(body).write())
}

/// `{"code": 0}` alone.
pub(crate) fn success() -> Reply {
    reply::json(200, Answer::<Empty>::success().write())
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

/// How often the standing of connected peers is looked at, beside every request.
pub(crate) const STANDING_EVERY: Duration = Duration::from_secs(5);
