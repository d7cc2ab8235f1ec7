//! The listener for the platform's administrators: `/admin/v1/…`, probes, metrics, and the console.

use std::net::IpAddr;
use std::sync::Arc;

use http::{Method, Request};
use hyper::body::Incoming;
use isthmus_domain::registry::Change;
use isthmus_net::Connection;
use serde::Deserialize;

use super::hall::{body, read_own};
use super::people::Visit;
use super::{State, people};
use crate::admin_token::Role;
use crate::administrators;
use crate::reply::{Problem, Reply, answer, json, refuse, whole};
use crate::route::{Found, Table};
use crate::{request, telemetry, web};

/// The page that stands at `/`: the console.
const START: &str = "console/platform.html";
const LOG_IN: Endpoint = Endpoint::Administrators(administrators::Endpoint::LogIn);
const LOG_OUT: Endpoint = Endpoint::Administrators(administrators::Endpoint::LogOut);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Healthy,
    Ready,
    Metrics,
    Applications,
    Approve,
    Reject,
    Servers,
    Certificates,
    Standing(Change),
    Status,
    Audit,
    VerifyAudit,
    Administrators(administrators::Endpoint),
}

/// The table of contents.
pub(super) fn table() -> Result<Table<Endpoint>, matchit::InsertError> {
    let own = [
        (Method::GET, "/healthz", Endpoint::Healthy),
        (Method::GET, "/readyz", Endpoint::Ready),
        (Method::GET, "/metrics", Endpoint::Metrics),
        (Method::GET, "/admin/v1/applications", Endpoint::Applications),
        (Method::POST, "/admin/v1/applications/{id}/approve", Endpoint::Approve),
        (Method::POST, "/admin/v1/applications/{id}/reject", Endpoint::Reject),
        (Method::GET, "/admin/v1/servers", Endpoint::Servers),
        (Method::GET, "/admin/v1/certificates", Endpoint::Certificates),
        (Method::POST, "/admin/v1/servers/{id}/suspend", Endpoint::Standing(Change::Suspend)),
        (Method::POST, "/admin/v1/servers/{id}/resume", Endpoint::Standing(Change::Resume)),
        (Method::POST, "/admin/v1/servers/{id}/deregister", Endpoint::Standing(Change::Deregister)),
        (Method::GET, "/admin/v1/status", Endpoint::Status),
        (Method::GET, "/admin/v1/audit", Endpoint::Audit),
        (Method::POST, "/admin/v1/audit/verify", Endpoint::VerifyAudit),
    ];
    let people =
        administrators::ROWS.map(|(method, path, endpoint)| (method, path, Endpoint::Administrators(endpoint)));
    Table::new(&[own.as_slice(), &people].concat())
}

fn name(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Healthy => "healthz",
        Endpoint::Ready => "readyz",
        Endpoint::Metrics => "metrics",
        Endpoint::Applications => "admin.applications",
        Endpoint::Approve => "admin.approve",
        Endpoint::Reject => "admin.reject",
        Endpoint::Servers => "admin.servers",
        Endpoint::Certificates => "admin.certificates",
        Endpoint::Standing(Change::Suspend) => "admin.suspend",
        Endpoint::Standing(Change::Resume) => "admin.resume",
        Endpoint::Standing(Change::Deregister) => "admin.deregister",
        Endpoint::Status => "admin.status",
        Endpoint::Audit => "admin.audit",
        Endpoint::VerifyAudit => "admin.audit.verify",
        Endpoint::Administrators(endpoint) => administrators::label(endpoint),
    }
}

/// Who may use an endpoint; `None`: whoever reaches the listener (probes, figures, the log-in).
fn roles(endpoint: Endpoint, reviewers: usize) -> Option<&'static [Role]> {
    match endpoint {
        Endpoint::Healthy | Endpoint::Ready | Endpoint::Metrics | LOG_IN => None,
        Endpoint::Applications | Endpoint::Servers | Endpoint::Certificates | Endpoint::Status => Some(&Role::ALL),
        // Everybody's own account.
        Endpoint::Administrators(_) => Some(&Role::ALL),
        // Two reviewers are two administrators.
        Endpoint::Approve | Endpoint::Reject if reviewers > 1 => Some(&[Role::System, Role::Security]),
        Endpoint::Approve | Endpoint::Reject | Endpoint::Standing(_) => Some(&[Role::System]),
        Endpoint::Audit | Endpoint::VerifyAudit => Some(&[Role::Audit]),
    }
}

/// Why, in words for the applicant or the audit log.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Why {
    pub(super) reason: String,
}

/// Answers one request.
pub(super) async fn serve(
    state: Arc<State>,
    table: Arc<Table<Endpoint>>,
    request: Request<Incoming>,
    connection: Arc<Connection>,
) -> Reply {
    let id = request::id(request.headers());
    let (endpoint, values) = match table.find(request.method(), request.uri().path()) {
        Found::Endpoint(endpoint, values) => (endpoint, values),
        Found::WrongMethod(allowed) => return request::wrong_method(&allowed, &id),
        Found::Nothing => {
            let page = web::serve(START, request.method(), request.uri().path(), request.headers());
            return page.map_or_else(|| request::no_route(&id), |page| request::tag(page, &id));
        }
    };
    let began = std::time::Instant::now();
    let (target, from) = (values.first().map(String::as_str).unwrap_or_default(), connection.remote.ip());
    let reply = match roles(endpoint, state.config.registry.reviewers) {
        None => open(&state, endpoint, request, from).await,
        Some(roles) => known(&state, endpoint, roles, target, request, from, &id).await,
    };
    let mut reply = reply.unwrap_or_else(|problem| refuse(&problem, &id));
    if endpoint == LOG_OUT {
        state.people.leave(&mut reply);
    }
    telemetry::request("platform-admin", name(endpoint), &reply, began.elapsed());
    request::tag(reply, &id)
}

/// What everybody is answered.
async fn open(state: &State, endpoint: Endpoint, request: Request<Incoming>, from: IpAddr) -> Result<Reply, Problem> {
    if endpoint == LOG_IN {
        return state.people.enter(&body(request, &state.config.limits).await?, from).await;
    }
    Ok(if endpoint == Endpoint::Ready {
        people::ready(state)
    } else if endpoint == Endpoint::Metrics {
        whole(200, "text/plain; version=0.0.4", people::metrics(state))
    } else {
        json(200, br#"{"code":0,"msg":"alive"}"#.to_vec())
    })
}

/// What administrators of these roles are answered.
async fn known(
    state: &State,
    endpoint: Endpoint,
    roles: &[Role],
    target: &str,
    request: Request<Incoming>,
    from: IpAddr,
    id: &str,
) -> Result<Reply, Problem> {
    let own = if let Endpoint::Administrators(own) = endpoint { Some(own) } else { None };
    let who = administrators::admitted(&state.people, roles, own, request.headers())?;
    let visit = Visit { state, who: &who, id };
    Ok(match own {
        Some(own) => {
            let body = body(request, &state.config.limits).await?;
            answer(state.people.dispatch(own, &who, target, from, &body).await, id)
        }
        None => dispatch(&visit, endpoint, target, request).await?,
    })
}

async fn dispatch(
    visit: &Visit<'_>,
    endpoint: Endpoint,
    target: &str,
    request: Request<Incoming>,
) -> Result<Reply, Problem> {
    let id = visit.id;
    let query = request.uri().query().unwrap_or_default().to_owned();
    let limits = &visit.state.config.limits;
    Ok(match endpoint {
        Endpoint::Healthy | Endpoint::Ready | Endpoint::Metrics | Endpoint::Administrators(_) => {
            answer(Ok(serde_json::json!({})), id)
        }
        Endpoint::Applications => answer(visit.applications(&query), id),
        Endpoint::Servers => answer(visit.servers(), id),
        Endpoint::Certificates => answer(visit.certificates(), id),
        Endpoint::Status => answer(visit.status(), id),
        Endpoint::Audit => answer(visit.audit(&query).await, id),
        Endpoint::VerifyAudit => answer(visit.verify_audit().await, id),
        Endpoint::Approve => answer(visit.approve(target, read_own::<Why>(request, limits).await?).await, id),
        Endpoint::Reject => answer(visit.reject(target, read_own::<Why>(request, limits).await?).await, id),
        Endpoint::Standing(change) => {
            answer(visit.change(target, change, read_own::<Why>(request, limits).await?).await, id)
        }
    })
}
