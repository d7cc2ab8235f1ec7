//! The admin listener: `/admin/v1`, `/metrics`, `/healthz`, `/readyz` (design §6).
//!
//! Three roles, kept apart: the table says which of them each act takes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use http::{Method, Request};
use hyper::body::Incoming;
use isthmus_domain::account::{self, NewUser, User};
use isthmus_domain::{AuditRecord, TimeId, held};
use isthmus_policy::{ActivateError, Activation, Diagnostics, Event};
use isthmus_wire::UserId;
use isthmus_wire::code::{Code, Refusal, Transport};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::accounts::{check_password, internal};
use super::audit_search::{Filter, matching};
use super::client::{body_of, parse, parse_or_default};
use super::trail::Trail;
use crate::admin_token::Role;
use crate::clock;
use crate::reply::{Problem, Reply, answer, whole};
use crate::request::number;
use crate::route::{Found, Table};

/// Bytes of an administrator's request.
const BODY_MAX: usize = 256 * 1024;
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
    Policy,
    History,
    Check,
    Activate,
    Rollback,
    Explain,
    Audit,
    Held,
    Release,
    Drop,
}

/// The table of contents.
pub(crate) fn table() -> Result<Table<Endpoint>, matchit::InsertError> {
    Table::new(&[
        (Method::GET, "/healthz", Endpoint::Health),
        (Method::GET, "/readyz", Endpoint::Ready),
        (Method::GET, "/metrics", Endpoint::Metrics),
        (Method::GET, "/admin/v1/status", Endpoint::Status),
        (Method::GET, "/admin/v1/users", Endpoint::Users),
        (Method::POST, "/admin/v1/users", Endpoint::CreateUser),
        (Method::POST, "/admin/v1/users/{id}/disable", Endpoint::DisableUser),
        (Method::POST, "/admin/v1/users/{id}/enable", Endpoint::EnableUser),
        (Method::GET, "/admin/v1/outbox", Endpoint::Outbox),
        (Method::GET, "/admin/v1/policy", Endpoint::Policy),
        (Method::GET, "/admin/v1/policy/history", Endpoint::History),
        (Method::POST, "/admin/v1/policy/check", Endpoint::Check),
        (Method::POST, "/admin/v1/policy/activate", Endpoint::Activate),
        (Method::POST, "/admin/v1/policy/rollback", Endpoint::Rollback),
        (Method::GET, "/admin/v1/policy/explain/{id}", Endpoint::Explain),
        (Method::GET, "/admin/v1/audit", Endpoint::Audit),
        (Method::GET, "/admin/v1/held", Endpoint::Held),
        (Method::POST, "/admin/v1/held/{id}/release", Endpoint::Release),
        (Method::POST, "/admin/v1/held/{id}/drop", Endpoint::Drop),
    ])
}

/// Who may do what. Looking at the policy is for all; changing it for one.
fn roles(endpoint: Endpoint) -> &'static [Role] {
    match endpoint {
        Endpoint::Health | Endpoint::Ready | Endpoint::Metrics | Endpoint::Status => &Role::ALL,
        Endpoint::Users | Endpoint::CreateUser | Endpoint::DisableUser | Endpoint::EnableUser | Endpoint::Outbox => {
            &[Role::System]
        }
        Endpoint::Policy | Endpoint::History => &Role::ALL,
        Endpoint::Explain => &[Role::Security, Role::Audit],
        Endpoint::Check | Endpoint::Activate | Endpoint::Rollback => &[Role::Security],
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bundle {
    dir: PathBuf,
    #[serde(default)]
    why: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Back {
    to: Option<u64>,
    why: String,
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
        | Endpoint::Policy
        | Endpoint::History
        | Endpoint::Check
        | Endpoint::Activate
        | Endpoint::Rollback
        | Endpoint::Explain
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
    let body = body_of(body, BODY_MAX).await?;
    match endpoint {
        Endpoint::Health | Endpoint::Ready | Endpoint::Metrics => Ok(json!({})),
        Endpoint::Status => server.status(),
        Endpoint::Users => server.users(),
        Endpoint::CreateUser => server.create_user(role, parse(&body)?).await,
        Endpoint::DisableUser => server.set_disabled(role, &param, true).await,
        Endpoint::EnableUser => server.set_disabled(role, &param, false).await,
        Endpoint::Outbox => server.outbox_view(),
        Endpoint::Policy => serde_json::to_value(server.policy.show()).map_err(Problem::fault),
        Endpoint::History => Ok(json!({"history": server.policy.history()})),
        Endpoint::Check => server.check_policy(parse(&body)?).await,
        Endpoint::Activate => server.activate_policy(role, parse(&body)?).await,
        Endpoint::Rollback => server.roll_back_policy(role, parse_or_default(&body)?).await,
        Endpoint::Explain => server.explain(&param).await,
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

    async fn check_policy(self: &Arc<Self>, ask: Bundle) -> Result<Value, Problem> {
        let server = self.clone();
        let checked = blocking(move || server.policy.check(&ask.dir)).await?;
        match checked {
            Ok(report) => serde_json::to_value(report).map_err(Problem::fault),
            Err(diagnostics) => Err(broken(&diagnostics)),
        }
    }

    async fn activate_policy(self: &Arc<Self>, role: Role, ask: Bundle) -> Result<Value, Problem> {
        let by = format!("admin:{}", role.as_str());
        let activation = self.activate(&ask.dir, &by, &ask.why).await?;
        serde_json::to_value(activation).map_err(Problem::fault)
    }

    /// Swaps a bundle in; the act and its failure are recorded. Answers when nothing of the old generation is left.
    pub(crate) async fn activate(
        self: &Arc<Self>,
        dir: &std::path::Path,
        by: &str,
        why: &str,
    ) -> Result<Activation, Problem> {
        let (server, dir, by, why) = (self.clone(), dir.to_owned(), by.to_owned(), why.to_owned());
        let target = dir.display().to_string();
        let (who, reason) = (by.clone(), why.clone());
        let done = blocking(move || server.policy.activate(&dir, &by, &why)).await?;
        self.swapped("policy.activate", &who, &target, &reason, done).await
    }

    async fn roll_back_policy(self: &Arc<Self>, role: Role, ask: Back) -> Result<Value, Problem> {
        let by = format!("admin:{}", role.as_str());
        let target = ask.to.map_or_else(|| "previous".to_owned(), |n| n.to_string());
        let (server, who, reason) = (self.clone(), by.clone(), ask.why.clone());
        let done = blocking(move || server.policy.rollback(ask.to, &by, &ask.why)).await?;
        let activation = self.swapped("policy.rollback", &who, &target, &reason, done).await?;
        serde_json::to_value(activation).map_err(Problem::fault)
    }

    async fn swapped(
        self: &Arc<Self>,
        operation: &'static str,
        by: &str,
        target: &str,
        why: &str,
        done: Result<Activation, ActivateError>,
    ) -> Result<Activation, Problem> {
        let mut fields = vec![("why".to_owned(), why.to_owned())];
        if let Ok(activation) = &done {
            fields.push(("generation".to_owned(), activation.number.to_string()));
            fields.push(("previous".to_owned(), activation.previous.to_string()));
            fields.push(("digest".to_owned(), activation.digest.clone()));
        }
        let event = Event { call: internal(operation, by, target), outcome: "allowed".into(), code: 0, fields };
        let mut trail = Trail::of_event(&self.policy.begin(), event);
        match done {
            Ok(activation) => {
                self.note(&trail).await;
                tracing::info!(generation = activation.number, previous = activation.previous, by, "policy activated");
                self.cut_denied().await;
                Ok(activation)
            }
            Err(error) => {
                let problem = match &error {
                    ActivateError::Broken(diagnostics) => broken(diagnostics),
                    ActivateError::NoSuchGeneration(words) => Problem::refused(Code::NOT_FOUND, words.clone()),
                    ActivateError::Keep { .. } => Problem::fault(error),
                };
                let (_, code, msg) = problem.public();
                trail.failed(code, msg);
                self.note(&trail).await;
                Err(problem)
            }
        }
    }

    async fn explain(self: &Arc<Self>, id: &str) -> Result<Value, Problem> {
        let wanted = id.to_owned();
        let records = self.scan(Filter::default(), 50, move |record: &AuditRecord<'_>| {
            record.id.to_string() == wanted || record.fields.get("messageID").is_some_and(|m| *m == wanted)
        });
        let records = records.await?;
        if records.is_empty() {
            return Err(Problem::refused(
                Code::NOT_FOUND,
                format!("no decision and no message {id} is in the audit log"),
            ));
        }
        Ok(json!({"decisions": records}))
    }

    async fn search_audit(self: &Arc<Self>, query: &str) -> Result<Value, Problem> {
        let filter = Filter::parse(query)?;
        let limit = number(query, "limit")?.map_or(100, |n| usize::try_from(n).unwrap_or(ROWS_MAX)).min(ROWS_MAX);
        let records = self.scan(filter, limit, |_| true).await?;
        Ok(json!({"records": records, "size": self.store.stats().audit_size}))
    }

    async fn scan(
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
            json!({"id": h.id, "way": h.way, "reason": h.hold, "sinceMs": h.since_ms, "message": message})
        };
        Ok(json!({"held": held.iter().map(view).collect::<Vec<_>>()}))
    }

    async fn decide_held(self: &Arc<Self>, role: Role, id: &str, drop: Option<String>) -> Result<Value, Problem> {
        let id = TimeId::parse(id).ok_or_else(|| Problem::refused(Code::NOT_FOUND, "no such message is held"))?;
        let operation = if drop.is_some() { "admin.held.drop" } else { "admin.held.release" };
        let record = self.act(role, operation, &id.to_string()).record();
        let (home, now, server) = (self.id.clone(), clock::now_ms(), self.clone());
        let expires = now + self.config.delivery.expire_s * 1000;
        let generation = self.gate.generation();
        let rule = move |tx: &mut isthmus_store::Tx<'_>| {
            Server::scene(&home, now, |scene| match drop {
                Some(words) => held::discard(tx, scene, &id, &words, record),
                None => held::release(tx, scene, &id, expires, record),
            })
        };
        self.store.submit(rule, move |done| server.after(done, generation)).await?.done().await?;
        Ok(json!({"id": id}))
    }
}

fn user_view(user: &User) -> Value {
    json!({"userID": user.id, "name": user.name, "phoneNumber": user.phone_number, "disabled": user.disabled,
        "hidden": user.hidden, "createdMs": user.created_ms})
}

fn broken(diagnostics: &Diagnostics) -> Problem {
    Problem::refused(Code::INVALID_FIELD, format!("the bundle has errors:\n{diagnostics}"))
}

/// Work that may take a while, off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
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
        Endpoint::Policy => "policy",
        Endpoint::History => "policy.history",
        Endpoint::Check => "policy.check",
        Endpoint::Activate => "policy.activate",
        Endpoint::Rollback => "policy.rollback",
        Endpoint::Explain => "policy.explain",
        Endpoint::Audit => "audit",
        Endpoint::Held => "held",
        Endpoint::Release => "held.release",
        Endpoint::Drop => "held.drop",
    }
}
