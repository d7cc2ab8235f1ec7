//! The admin listener: `/admin/v1`, `/metrics`, `/healthz`, `/readyz` (design §6).
//!
//! Three roles, kept apart: the table says which of them each act takes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Method, Request};
use hyper::body::Incoming;
use isthmus_domain::held::{self, Released};
use isthmus_domain::{AuditRecord, TimeId};
use isthmus_net::Connection;
use isthmus_policy::Event;
use isthmus_wire::code::Code;
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::internal;
use super::audit_search::{Filter, blocking, matching, outcome, shown, verified};
use super::client::body_of;
use super::trail::Trail;
use super::{Server, policies, users};
use crate::admin_token::Role;
use crate::administrators::{self, Who};
use crate::clock;
use crate::reply::{Problem, Reply, answer, refuse, whole};
use crate::request::{number, parse_or_default};
use crate::route::{Found, Table};

/// The page that stands at `/`: the console.
const START: &str = "console/index.html";
/// Bytes of an administrator's request.
const BODY_MAX: usize = 256 * 1024;
/// Of one that brings a whole list or bundle.
const LIST_MAX: usize = 32 << 20;
const CHANGE_LIST: Endpoint = Endpoint::Policies(policies::Endpoint::ChangeList);
const UPLOAD: Endpoint = Endpoint::Policies(policies::Endpoint::Upload);
const LOG_IN: Endpoint = Endpoint::Administrators(administrators::Endpoint::LogIn);
const LOG_OUT: Endpoint = Endpoint::Administrators(administrators::Endpoint::LogOut);
/// Records and rows of one answer.
const ROWS_MAX: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Health,
    Ready,
    Metrics,
    Status,
    Figures,
    Peers,
    Outbox,
    Users(users::Endpoint),
    Administrators(administrators::Endpoint),
    Policies(policies::Endpoint),
    Audit,
    VerifyAudit,
    Held,
    Release,
    Drop,
}

/// The table of contents.
pub(crate) fn table() -> Result<Table<Endpoint>, matchit::InsertError> {
    let own = [
        (Method::GET, "/healthz", Endpoint::Health),
        (Method::GET, "/readyz", Endpoint::Ready),
        (Method::GET, "/metrics", Endpoint::Metrics),
        (Method::GET, "/admin/v1/status", Endpoint::Status),
        (Method::GET, "/admin/v1/figures", Endpoint::Figures),
        (Method::GET, "/admin/v1/peers", Endpoint::Peers),
        (Method::GET, "/admin/v1/outbox", Endpoint::Outbox),
        (Method::GET, "/admin/v1/audit", Endpoint::Audit),
        (Method::POST, "/admin/v1/audit/verify", Endpoint::VerifyAudit),
        (Method::GET, "/admin/v1/held", Endpoint::Held),
        (Method::POST, "/admin/v1/held/{id}/release", Endpoint::Release),
        (Method::POST, "/admin/v1/held/{id}/drop", Endpoint::Drop),
    ];
    let policies = policies::ROWS.map(|(method, path, endpoint)| (method, path, Endpoint::Policies(endpoint)));
    let users = users::ROWS.map(|(method, path, endpoint)| (method, path, Endpoint::Users(endpoint)));
    let people =
        administrators::ROWS.map(|(method, path, endpoint)| (method, path, Endpoint::Administrators(endpoint)));
    Table::new(&[own.as_slice(), &users, &policies, &people].concat())
}

/// Who may do what.
fn roles(endpoint: Endpoint) -> &'static [Role] {
    match endpoint {
        Endpoint::Health | Endpoint::Ready | Endpoint::Metrics | Endpoint::Status | Endpoint::Figures => &Role::ALL,
        Endpoint::Users(_) | Endpoint::Outbox => &[Role::System],
        Endpoint::Peers => &[Role::System, Role::Security],
        // Everybody's own account.
        Endpoint::Administrators(_) => &Role::ALL,
        Endpoint::Policies(endpoint) => policies::roles(endpoint),
        Endpoint::Held | Endpoint::Release | Endpoint::Drop => &[Role::Security],
        Endpoint::Audit | Endpoint::VerifyAudit => &[Role::Audit],
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Words {
    reason: String,
}

/// Answers one request of the admin listener.
pub(crate) async fn serve(
    server: Arc<Server>,
    table: Arc<Table<Endpoint>>,
    request: Request<Incoming>,
    on: Arc<Connection>,
) -> Reply {
    let id = crate::request::id(request.headers());
    let began = Instant::now();
    let (endpoint, params) = match table.find(request.method(), request.uri().path()) {
        Found::Endpoint(endpoint, params) => (endpoint, params),
        Found::WrongMethod(allowed) => return crate::request::wrong_method(&allowed, &id),
        Found::Nothing => {
            let page = crate::web::serve(START, request.method(), request.uri().path(), request.headers());
            return page.map_or_else(|| crate::request::no_route(&id), |page| crate::request::tag(page, &id));
        }
    };
    let open = match endpoint {
        Endpoint::Health => Some(whole(200, "text/plain; charset=utf-8", "ok\n")),
        Endpoint::Ready => Some(server.ready()),
        Endpoint::Metrics => Some(server.metrics()),
        Endpoint::Status
        | Endpoint::Figures
        | Endpoint::Peers
        | Endpoint::Outbox
        | Endpoint::Users(_)
        | Endpoint::Administrators(_)
        | Endpoint::Policies(_)
        | Endpoint::Audit
        | Endpoint::VerifyAudit
        | Endpoint::Held
        | Endpoint::Release
        | Endpoint::Drop => None,
    };
    let from = on.remote.ip();
    let mut reply = match open {
        Some(reply) => reply,
        None if endpoint == LOG_IN => log_in(&server, request, from).await.unwrap_or_else(|why| refuse(&why, &id)),
        None => answer(Box::pin(dispatch(&server, endpoint, params, request, from)).await, &id),
    };
    if endpoint == LOG_OUT {
        server.administrators.leave(&mut reply);
    }
    crate::telemetry::request("admin", label(endpoint), &reply, began.elapsed());
    crate::request::tag(reply, &id)
}

fn admitted(server: &Server, endpoint: Endpoint, headers: &HeaderMap) -> Result<Who, Problem> {
    let own = if let Endpoint::Administrators(own) = endpoint { Some(own) } else { None };
    administrators::admitted(&server.administrators, roles(endpoint), own, headers)
}

async fn log_in(server: &Server, request: Request<Incoming>, from: IpAddr) -> Result<Reply, Problem> {
    server.administrators.enter(&body_of(request.into_body(), BODY_MAX).await?, from).await
}

async fn dispatch(
    server: &Arc<Server>,
    endpoint: Endpoint,
    params: Vec<String>,
    request: Request<Incoming>,
    from: IpAddr,
) -> Result<Value, Problem> {
    let (head, body) = request.into_parts();
    let who = &admitted(server, endpoint, &head.headers)?;
    let query = head.uri.query().unwrap_or_default();
    let param = params.into_iter().next().unwrap_or_default();
    let max = if [CHANGE_LIST, UPLOAD].contains(&endpoint) { LIST_MAX } else { BODY_MAX };
    let body = body_of(body, max).await?;
    match endpoint {
        Endpoint::Health | Endpoint::Ready | Endpoint::Metrics => Ok(json!({})),
        Endpoint::Status => server.status(),
        Endpoint::Figures => server.live_figures().await,
        Endpoint::Peers => server.peers_view(),
        Endpoint::Users(endpoint) => users::dispatch(server, endpoint, who, &param, &body).await,
        Endpoint::Administrators(endpoint) => server.administrators.dispatch(endpoint, who, &param, from, &body).await,
        Endpoint::Outbox => server.outbox_view(),
        Endpoint::Policies(endpoint) => policies::dispatch(server, endpoint, who, &param, query, &body).await,
        Endpoint::Audit => server.search_audit(query).await,
        Endpoint::VerifyAudit => server.verify_audit(who).await,
        Endpoint::Held => server.held(query),
        Endpoint::Release => server.decide_held(who, &param, None).await,
        Endpoint::Drop => {
            let words: Words = parse_or_default(&body)?;
            server.decide_held(who, &param, Some(words.reason)).await
        }
    }
}

impl Server {
    /// An administrator's act.
    pub(crate) fn act(&self, who: &Who, operation: &'static str, target: &str) -> Trail {
        self.act_with(who, operation, target, Vec::new())
    }

    /// The same, with what else the record may hold: the audit plugins say whether it does.
    pub(crate) fn act_with(
        &self,
        who: &Who,
        operation: &'static str,
        target: &str,
        fields: Vec<(String, String)>,
    ) -> Trail {
        let call = internal(operation, &who.actor(), target);
        Trail::of_event(&self.policy.begin(), Event { call, outcome: "allowed".into(), code: 0, fields })
    }

    async fn search_audit(self: &Arc<Self>, query: &str) -> Result<Value, Problem> {
        let filter = Filter::parse(query)?;
        let limit = number(query, "limit")?.map_or(100, |n| usize::try_from(n).unwrap_or(ROWS_MAX)).min(ROWS_MAX);
        let records = self.scan(filter, limit, |_| true).await?;
        Ok(json!({"records": records, "size": self.store.stats().audit_size}))
    }

    /// Computes the whole log anew and compares: tree, signed checkpoint, each record with its commitment.
    async fn verify_audit(self: &Arc<Self>, who: &Who) -> Result<Value, Problem> {
        let server = self.clone();
        let found = blocking(move || verified(&server.store, &server.config.data_dir, &server.config.keyring));
        let report = found.await??;
        let mut trail = self.act(who, "admin.audit.verify", self.id.as_str());
        trail.add("found", outcome(&report));
        trail.add("size", &report.size.to_string());
        self.note(&trail).await;
        Ok(shown(&report))
    }

    pub(crate) async fn scan(
        self: &Arc<Self>,
        filter: Filter,
        limit: usize,
        also: impl Fn(&AuditRecord<'_>) -> bool + Send + 'static,
    ) -> Result<Vec<Value>, Problem> {
        let server = self.clone();
        Ok(blocking(move || matching(&server.store, &filter, limit, also)).await??)
    }

    fn held(&self, query: &str) -> Result<Value, Problem> {
        let limit = number(query, "limit")?.map_or(100, |n| usize::try_from(n).unwrap_or(ROWS_MAX)).min(ROWS_MAX);
        let held = held::list(&self.store.view()?, None, limit)?;
        let view = |h: &held::Held| {
            let message: Value = serde_json::from_str(&h.message.wire).unwrap_or_default();
            json!({"id": h.id, "way": h.way, "reason": h.hold, "sinceMs": h.since_ms, "released": h.released,
                "message": message})
        };
        Ok(json!({"held": held.iter().map(view).collect::<Vec<_>>()}))
    }

    async fn decide_held(self: &Arc<Self>, who: &Who, id: &str, drop: Option<String>) -> Result<Value, Problem> {
        let id = TimeId::parse(id).ok_or_else(|| Problem::refused(Code::NOT_FOUND, "no such message is held"))?;
        let operation = if drop.is_some() { "admin.held.drop" } else { "admin.held.release" };
        let record = self.act(who, operation, &id.to_string()).record();
        let (home, now, server) = (self.id.clone(), clock::now_ms(), self.clone());
        let expires = now + self.config.delivery.expire_s * 1000;
        let epoch = self.gate.epoch();
        let rule = move |tx: &mut isthmus_store::Tx<'_>| {
            Server::scene(&home, now, |scene| match drop {
                Some(words) => {
                    held::discard(tx, scene, &id, &words, record).map(|done| Released { done, waits_for: None })
                }
                None => held::release(tx, scene, &id, expires, record),
            })
        };
        let pending = self.store.submit(rule, move |released| server.after(&released.done, epoch)).await?;
        let mut answer = json!({"id": id});
        if let Some(older) = pending.done().await?.waits_for {
            answer["waitsFor"] = json!(older);
        }
        Ok(answer)
    }
}

fn label(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Health => "healthz",
        Endpoint::Ready => "readyz",
        Endpoint::Metrics => "metrics",
        Endpoint::Status => "status",
        Endpoint::Figures => "figures",
        Endpoint::Peers => "peers",
        Endpoint::Users(endpoint) => users::label(endpoint),
        Endpoint::Administrators(endpoint) => administrators::label(endpoint),
        Endpoint::Outbox => "outbox",
        Endpoint::Policies(endpoint) => policies::label(endpoint),
        Endpoint::Audit => "audit",
        Endpoint::VerifyAudit => "audit.verify",
        Endpoint::Held => "held",
        Endpoint::Release => "held.release",
        Endpoint::Drop => "held.drop",
    }
}
