//! The admin listener: `/admin/v1`, `/metrics`, `/healthz`, `/readyz` (design §6).
//!
//! Three roles, kept apart: the table says which of them each act takes.

use std::sync::Arc;
use std::time::Instant;

use http::{Method, Request};
use hyper::body::Incoming;
use isthmus_domain::account::{self, NewUser, User};
use isthmus_domain::held::{self, Released};
use isthmus_domain::{AuditRecord, TimeId};
use isthmus_policy::Event;
use isthmus_wire::UserId;
use isthmus_wire::code::{Code, Refusal, Transport};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::accounts::{check_password, internal};
use super::audit_search::{Filter, matching};
use super::client::{body_of, parse, parse_or_default};
use super::policies;
use super::trail::Trail;
use crate::admin_token::Role;
use crate::clock;
use crate::reply::{Problem, Reply, answer, whole};
use crate::request::number;
use crate::route::{Found, Table};

/// Bytes of an administrator's request.
const BODY_MAX: usize = 256 * 1024;
/// Of one that brings a whole list.
const LIST_MAX: usize = 32 << 20;
const CHANGE_LIST: Endpoint = Endpoint::Policies(policies::Endpoint::ChangeList);
/// Records and rows of one answer.
const ROWS_MAX: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Health,
    Ready,
    Metrics,
    Status,
    Users,
    CreateUser,
    DisableUser,
    EnableUser,
    Outbox,
    Policies(policies::Endpoint),
    Audit,
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
        (Method::GET, "/admin/v1/users", Endpoint::Users),
        (Method::POST, "/admin/v1/users", Endpoint::CreateUser),
        (Method::POST, "/admin/v1/users/{id}/disable", Endpoint::DisableUser),
        (Method::POST, "/admin/v1/users/{id}/enable", Endpoint::EnableUser),
        (Method::GET, "/admin/v1/outbox", Endpoint::Outbox),
        (Method::GET, "/admin/v1/audit", Endpoint::Audit),
        (Method::GET, "/admin/v1/held", Endpoint::Held),
        (Method::POST, "/admin/v1/held/{id}/release", Endpoint::Release),
        (Method::POST, "/admin/v1/held/{id}/drop", Endpoint::Drop),
    ];
    let policies = policies::ROWS.map(|(method, path, endpoint)| (method, path, Endpoint::Policies(endpoint)));
    Table::new(&[own.as_slice(), &policies].concat())
}

/// Who may do what.
fn roles(endpoint: Endpoint) -> &'static [Role] {
    match endpoint {
        Endpoint::Health | Endpoint::Ready | Endpoint::Metrics | Endpoint::Status => &Role::ALL,
        Endpoint::Users | Endpoint::CreateUser | Endpoint::DisableUser | Endpoint::EnableUser | Endpoint::Outbox => {
            &[Role::System]
        }
        Endpoint::Policies(endpoint) => policies::roles(endpoint),
        Endpoint::Held | Endpoint::Release | Endpoint::Drop => &[Role::Security],
        Endpoint::Audit => &[Role::Audit],
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateUser {
    #[serde(rename = "userID")]
    user_id: String,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "phoneNumber")]
    phone_number: Option<String>,
    password: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Words {
    reason: String,
}

/// Answers one request of the admin listener.
pub(crate) async fn serve(server: Arc<Server>, table: Arc<Table<Endpoint>>, request: Request<Incoming>) -> Reply {
    let id = crate::request::id(request.headers());
    let began = Instant::now();
    let (endpoint, params) = match table.find(request.method(), request.uri().path()) {
        Found::Endpoint(endpoint, params) => (endpoint, params),
        Found::WrongMethod(allowed) => return crate::request::wrong_method(&allowed, &id),
        Found::Nothing => return crate::request::no_route(&id),
    };
    let open = match endpoint {
        Endpoint::Health => Some(whole(200, "text/plain; charset=utf-8", "ok\n")),
        Endpoint::Ready => Some(server.ready()),
        Endpoint::Metrics => Some(server.metrics()),
        Endpoint::Status
        | Endpoint::Users
        | Endpoint::CreateUser
        | Endpoint::DisableUser
        | Endpoint::EnableUser
        | Endpoint::Outbox
        | Endpoint::Policies(_)
        | Endpoint::Audit
        | Endpoint::Held
        | Endpoint::Release
        | Endpoint::Drop => None,
    };
    let reply = match open {
        Some(reply) => reply,
        None => answer(dispatch(&server, endpoint, params, request).await, &id),
    };
    crate::telemetry::request("admin", label(endpoint), &reply, began.elapsed());
    crate::request::tag(reply, &id)
}

async fn dispatch(
    server: &Arc<Server>,
    endpoint: Endpoint,
    params: Vec<String>,
    request: Request<Incoming>,
) -> Result<Value, Problem> {
    let (head, body) = request.into_parts();
    let role = server.admins.authorise(&head.headers).ok_or_else(|| {
        Problem::Transport(Transport::NoIdentity, "an administrator's token is needed: Authorization: Bearer …".into())
    })?;
    if !roles(endpoint).contains(&role) {
        let words = format!("the {} administrator may not do this", role.as_str());
        return Err(Problem::Transport(Transport::ForeignIdentity, words));
    }
    let query = head.uri.query().unwrap_or_default();
    let param = params.into_iter().next().unwrap_or_default();
    let body = body_of(body, if endpoint == CHANGE_LIST { LIST_MAX } else { BODY_MAX }).await?;
    match endpoint {
        Endpoint::Health | Endpoint::Ready | Endpoint::Metrics => Ok(json!({})),
        Endpoint::Status => server.status(),
        Endpoint::Users => server.users(),
        Endpoint::CreateUser => server.create_user(role, parse(&body)?).await,
        Endpoint::DisableUser => server.set_disabled(role, &param, true).await,
        Endpoint::EnableUser => server.set_disabled(role, &param, false).await,
        Endpoint::Outbox => server.outbox_view(),
        Endpoint::Policies(endpoint) => policies::dispatch(server, endpoint, role, &param, query, &body).await,
        Endpoint::Audit => server.search_audit(query).await,
        Endpoint::Held => server.held(query),
        Endpoint::Release => server.decide_held(role, &param, None).await,
        Endpoint::Drop => {
            let words: Words = parse_or_default(&body)?;
            server.decide_held(role, &param, Some(words.reason)).await
        }
    }
}

impl Server {
    /// An administrator's act.
    fn act(&self, role: Role, operation: &'static str, target: &str) -> Trail {
        let actor = format!("admin:{}", role.as_str());
        let event =
            Event { call: internal(operation, &actor, target), outcome: "allowed".into(), code: 0, fields: Vec::new() };
        Trail::of_event(&self.policy.begin(), event)
    }

    fn users(&self) -> Result<Value, Problem> {
        let users = self.store.read(account::list_users)?;
        Ok(json!({"users": users.iter().map(user_view).collect::<Vec<_>>()}))
    }

    async fn create_user(&self, role: Role, ask: CreateUser) -> Result<Value, Problem> {
        check_password("password", &ask.password)?;
        let local = ask.user_id.strip_suffix(&format!("@{}", self.id)).unwrap_or(&ask.user_id).to_owned();
        let name = if ask.name.is_empty() { local.clone() } else { ask.name };
        let said = vec![super::gate::text("profile.text", &name)];
        // What an administrator may do is no question for plugins, what is said is.
        let call = internal("admin.user.create", &format!("admin:{}", role.as_str()), &ask.user_id);
        let name = match self.gate.texts(call, said).await?.pop().unwrap_or(Ok(name)) {
            Ok(name) => name,
            Err((refusal, trail)) => return Err(self.refused(refusal, &trail).await),
        };
        let hash = self.passwords.hash(ask.password).await.map_err(Problem::fault)?;
        let new = NewUser { local, name, password_hash: Some(hash), phone_number: ask.phone_number };
        let record = self.act(role, "admin.user.create", &ask.user_id).record();
        let (home, now, people) = (self.id.clone(), clock::now_ms(), self.people.clone());
        let rule = move |tx: &mut isthmus_store::Tx<'_>| {
            let user = Server::scene(&home, now, |scene| account::create_user(tx, scene, new))?;
            tx.audit(record);
            Ok::<_, isthmus_domain::Error>(user)
        };
        let user = self.store.submit(rule, move |user| people.put(user)).await?.done().await?;
        Ok(user_view(&user))
    }

    async fn set_disabled(&self, role: Role, user: &str, disabled: bool) -> Result<Value, Problem> {
        let nobody = || Refusal::field(Code::NOT_FOUND, "userID", format_args!("there is no user {user}"));
        let id: UserId = self.local_user(user).ok_or_else(nobody)?;
        let operation = if disabled { "admin.user.disable" } else { "admin.user.enable" };
        let record = self.act(role, operation, id.as_str()).record();
        let (of, people) = (id.clone(), self.people.clone());
        let rule = move |tx: &mut isthmus_store::Tx<'_>| {
            let user = account::set_disabled(tx, &of, disabled)?;
            tx.audit(record);
            Ok::<_, isthmus_domain::Error>(user)
        };
        let user = self.store.submit(rule, move |user| people.put(user)).await?.done().await?;
        self.end_device(&id, None);
        Ok(user_view(&user))
    }

    async fn search_audit(self: &Arc<Self>, query: &str) -> Result<Value, Problem> {
        let filter = Filter::parse(query)?;
        let limit = number(query, "limit")?.map_or(100, |n| usize::try_from(n).unwrap_or(ROWS_MAX)).min(ROWS_MAX);
        let records = self.scan(filter, limit, |_| true).await?;
        Ok(json!({"records": records, "size": self.store.stats().audit_size}))
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

    async fn decide_held(self: &Arc<Self>, role: Role, id: &str, drop: Option<String>) -> Result<Value, Problem> {
        let id = TimeId::parse(id).ok_or_else(|| Problem::refused(Code::NOT_FOUND, "no such message is held"))?;
        let operation = if drop.is_some() { "admin.held.drop" } else { "admin.held.release" };
        let record = self.act(role, operation, &id.to_string()).record();
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

fn user_view(user: &User) -> Value {
    json!({"userID": user.id, "name": user.name, "phoneNumber": user.phone_number, "disabled": user.disabled,
        "hidden": user.hidden, "createdMs": user.created_ms})
}

/// Work that may take a while, off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(Problem::fault)
}

fn label(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Health => "healthz",
        Endpoint::Ready => "readyz",
        Endpoint::Metrics => "metrics",
        Endpoint::Status => "status",
        Endpoint::Users => "users",
        Endpoint::CreateUser => "users.create",
        Endpoint::DisableUser => "users.disable",
        Endpoint::EnableUser => "users.enable",
        Endpoint::Outbox => "outbox",
        Endpoint::Policies(endpoint) => policies::label(endpoint),
        Endpoint::Audit => "audit",
        Endpoint::Held => "held",
        Endpoint::Release => "held.release",
        Endpoint::Drop => "held.drop",
    }
}
