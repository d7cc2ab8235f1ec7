//! The listener for the platform's administrators: `/admin/v1/…`, probes, metrics.

use std::sync::Arc;

use http::{Method, Request};
use hyper::body::Incoming;
use isthmus_domain::registry::Change;
use isthmus_wire::code::Transport;
use serde::Deserialize;

use super::State;
use super::hall::read_own;
use super::people::Visit;
use crate::admin_token::Role;
use crate::reply::{Problem, Reply, answer, json, refuse, whole};
use crate::route::{Found, Table};
use crate::{request, telemetry};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Healthy,
    Ready,
    Metrics,
    Applications,
    Approve,
    Reject,
    Servers,
    Standing(Change),
    Status,
    Audit,
}

/// The table of contents.
pub(super) fn table() -> Result<Table<Endpoint>, matchit::InsertError> {
    Table::new(&[
        (Method::GET, "/healthz", Endpoint::Healthy),
        (Method::GET, "/readyz", Endpoint::Ready),
        (Method::GET, "/metrics", Endpoint::Metrics),
        (Method::GET, "/admin/v1/applications", Endpoint::Applications),
        (Method::POST, "/admin/v1/applications/{id}/approve", Endpoint::Approve),
        (Method::POST, "/admin/v1/applications/{id}/reject", Endpoint::Reject),
        (Method::GET, "/admin/v1/servers", Endpoint::Servers),
        (Method::POST, "/admin/v1/servers/{id}/suspend", Endpoint::Standing(Change::Suspend)),
        (Method::POST, "/admin/v1/servers/{id}/resume", Endpoint::Standing(Change::Resume)),
        (Method::POST, "/admin/v1/servers/{id}/deregister", Endpoint::Standing(Change::Deregister)),
        (Method::GET, "/admin/v1/status", Endpoint::Status),
        (Method::GET, "/admin/v1/audit", Endpoint::Audit),
    ])
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
        Endpoint::Standing(Change::Suspend) => "admin.suspend",
        Endpoint::Standing(Change::Resume) => "admin.resume",
        Endpoint::Standing(Change::Deregister) => "admin.deregister",
        Endpoint::Status => "admin.status",
        Endpoint::Audit => "admin.audit",
    }
}

/// Who may use an endpoint; `None`: whoever reaches the listener (probes and figures).
fn roles(endpoint: Endpoint) -> Option<&'static [Role]> {
    match endpoint {
        Endpoint::Healthy | Endpoint::Ready | Endpoint::Metrics => None,
        Endpoint::Applications | Endpoint::Servers | Endpoint::Status => Some(&Role::ALL),
        Endpoint::Approve | Endpoint::Reject | Endpoint::Standing(_) => Some(&[Role::System]),
        Endpoint::Audit => Some(&[Role::Audit]),
    }
}

/// Why, in words for the applicant or the audit log.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Why {
    pub(super) reason: String,
}

/// Answers one request.
pub(super) async fn serve(state: Arc<State>, table: Arc<Table<Endpoint>>, request: Request<Incoming>) -> Reply {
    let id = request::id(request.headers());
    let (endpoint, values) = match table.find(request.method(), request.uri().path()) {
        Found::Endpoint(endpoint, values) => (endpoint, values),
        Found::WrongMethod(allowed) => return request::wrong_method(&allowed, &id),
        Found::Nothing => return request::no_route(&id),
    };
    let began = std::time::Instant::now();
    let reply = match admit(&state, endpoint, &request) {
        Ok(role) => {
            let visit = Visit { state: &state, role, id: &id };
            dispatch(&visit, endpoint, values.first().map(String::as_str).unwrap_or_default(), request).await
        }
        Err(problem) => refuse(&problem, &id),
    };
    telemetry::request("platform-admin", name(endpoint), &reply, began.elapsed());
    request::tag(reply, &id)
}

fn admit(state: &State, endpoint: Endpoint, request: &Request<Incoming>) -> Result<Role, Problem> {
    let Some(roles) = roles(endpoint) else { return Ok(Role::Audit) };
    let role = state.admins.authorise(request.headers()).ok_or_else(|| {
        Problem::Transport(Transport::NoIdentity, "an administrator's bearer token is needed".to_owned())
    })?;
    // Two reviewers are two administrators.
    let reviews = matches!(endpoint, Endpoint::Approve | Endpoint::Reject) && role == Role::Security;
    if roles.contains(&role) || (reviews && state.config.registry.reviewers > 1) {
        return Ok(role);
    }
    let words = format!("the {} administrator may not do this", role.as_str());
    Err(Problem::Transport(Transport::ForeignIdentity, words))
}

async fn dispatch(visit: &Visit<'_>, endpoint: Endpoint, target: &str, request: Request<Incoming>) -> Reply {
    let id = visit.id;
    let limits = &visit.state.config.limits;
    match endpoint {
        Endpoint::Healthy => json(200, br#"{"code":0,"msg":"alive"}"#.to_vec()),
        Endpoint::Ready => visit.ready(),
        Endpoint::Metrics => whole(200, "text/plain; version=0.0.4", visit.metrics()),
        Endpoint::Applications => answer(visit.applications(request.uri().query().unwrap_or_default()), id),
        Endpoint::Servers => answer(visit.servers(), id),
        Endpoint::Status => answer(visit.status(), id),
        Endpoint::Audit => answer(visit.audit(request.uri().query().unwrap_or_default()).await, id),
        Endpoint::Approve => match read_own::<Why>(request, limits).await {
            Ok(why) => answer(visit.approve(target, why).await, id),
            Err(problem) => refuse(&problem, id),
        },
        Endpoint::Reject => match read_own::<Why>(request, limits).await {
            Ok(why) => answer(visit.reject(target, why).await, id),
            Err(problem) => refuse(&problem, id),
        },
        Endpoint::Standing(change) => match read_own::<Why>(request, limits).await {
            Ok(why) => answer(visit.change(target, change, why).await, id),
            Err(problem) => refuse(&problem, id),
        },
    }
}
