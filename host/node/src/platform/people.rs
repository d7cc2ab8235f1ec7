//! What the platform's administrators decide and see (§5.2, R15: review is a person's decision).

use isthmus_domain::registry::notice::Event;
use isthmus_domain::registry::{self, Application, Approve, Asked, Certificate, Change, Registration};
use isthmus_domain::{AuditRecord, TimeId};
use isthmus_wire::call::registry::ApplicationState;
use isthmus_wire::{Code, ServerId};
use serde::Serialize;
use serde_json::{Value, json};

use super::admin::Why;
use super::admission::certify;
use super::{State, record};
use crate::administrators::Who;
use crate::reply::{Problem, Reply, json as json_reply};
use crate::server::audit_search::{Filter, blocking, matching, outcome, shown, verified};
use crate::{request, telemetry};

/// Records in one answer.
const ROWS_MAX: usize = 1000;

/// One request of an administrator.
pub(super) struct Visit<'a> {
    pub(super) state: &'a State,
    pub(super) who: &'a Who,
    pub(super) id: &'a str,
}

/// What was decided.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Decided {
    application_id: TimeId,
    server_id: ServerId,
    state: ApplicationState,
}

impl Visit<'_> {
    fn record(&self, operation: &'static str) -> AuditRecord<'static> {
        record(operation, self.id).actor(self.who.actor())
    }

    async fn or_record<T>(&self, record: AuditRecord<'_>, result: Result<T, Problem>) -> Result<T, Problem> {
        if let Err(problem @ Problem::Refused(_)) = &result {
            self.state.record_refusal(record, problem).await;
        }
        result
    }

    /// `?state=pending|approved|rejected`, all if left out.
    pub(super) fn applications(&self, query: &str) -> Result<Value, Problem> {
        let state = match request::param(query, "state")?.as_deref() {
            None => None,
            Some("pending") => Some(ApplicationState::Pending),
            Some("approved") => Some(ApplicationState::Approved),
            Some("rejected") => Some(ApplicationState::Rejected),
            Some(_) => {
                let words = "state: must be pending, approved or rejected";
                return Err(Problem::refused(Code::INVALID_FIELD, words));
            }
        };
        let found = self.state.store.read(|view| registry::list(view, state))?;
        let shown = found.iter().map(application).collect::<Vec<_>>();
        Ok(json!({"applications": shown, "reviewers": self.state.config.registry.reviewers}))
    }

    pub(super) async fn approve(&self, id: &str, why: Why) -> Result<Decided, Problem> {
        let act = self.record("registry.approve").target(id.to_owned());
        let approved = self.approve_now(id, why).await;
        let (application, registration) = self.or_record(act, approved).await?;
        if registration.is_some() && matches!(application.asked, Asked::Deregister { .. }) {
            self.state.shut_out(&application.server_id).map_err(Problem::fault)?;
        }
        self.state.changed()?;
        let done = registration.is_some();
        tracing::info!(application = %application.id, server = %application.server_id, done, "an application was approved");
        Ok(decided(&application))
    }

    async fn approve_now(&self, id: &str, why: Why) -> Result<(Application, Option<Registration>), Problem> {
        let id = application_id(id)?;
        let found = self.state.store.read(|view| registry::get(view, &id))?.ok_or_else(no_application)?;
        // A changed address comes into the certificate when the server renews it, with a key of its own choice.
        let reviewers = self.state.config.registry.reviewers;
        let last = found.approvals.len() + 1 >= reviewers && found.state == ApplicationState::Pending;
        let issued = match &found.asked {
            Asked::Register { info, csr, .. } if last => {
                Some(certify(self.state, &info.server_id, &info.server_address, csr)?)
            }
            Asked::Register { .. } | Asked::Update { .. } | Asked::Deregister { .. } => None,
        };
        let serial = issued.as_ref().map(|issued| issued.serial.clone()).unwrap_or_default();
        let record = self
            .record("registry.approve")
            .target(found.server_id.to_string())
            .field("application", id.to_string())
            .field("kind", kind(&found.asked))
            .field("serial", serial)
            .field("reason", why.reason.clone())
            .field("review", format!("{} of {reviewers}", found.approvals.len() + 1))
            .to_json();
        let (by, role) = (self.who.name().to_owned(), self.who.role);
        let approve = Approve { id, by, role, reason: Some(why.reason), reviewers, issued };
        let outbox = self.state.outbox();
        let approved = self.state.decide(move |tx, scene| {
            let approved = registry::approve(tx, scene, approve, record)?;
            if approved.1.is_some() {
                outbox.application(tx, scene, Event::Approved, &approved.0)?;
            }
            Ok(approved)
        });
        approved.await
    }

    pub(super) async fn reject(&self, id: &str, why: Why) -> Result<Decided, Problem> {
        let act = self.record("registry.reject").target(id.to_owned());
        let rejected = self.reject_now(id, why).await;
        let application = self.or_record(act, rejected).await?;
        tracing::info!(application = %application.id, server = %application.server_id, "an application was rejected");
        Ok(decided(&application))
    }

    async fn reject_now(&self, id: &str, why: Why) -> Result<Application, Problem> {
        let id = application_id(id)?;
        let found = self.state.store.read(|view| registry::get(view, &id))?.ok_or_else(no_application)?;
        let record = self
            .record("registry.reject")
            .target(found.server_id.to_string())
            .field("application", id.to_string())
            .field("kind", kind(&found.asked))
            .field("reason", why.reason.clone())
            .to_json();
        let by = self.who.name().to_owned();
        let outbox = self.state.outbox();
        let rejected = self.state.decide(move |tx, scene| {
            let rejected = registry::reject(tx, scene, &id, &by, &why.reason, record)?;
            outbox.application(tx, scene, Event::Rejected, &rejected)?;
            Ok(rejected)
        });
        rejected.await
    }

    pub(super) async fn change(&self, server: &str, change: Change, why: Why) -> Result<Value, Problem> {
        let (operation, event) = match change {
            Change::Suspend => ("registry.suspend", Event::Suspended),
            Change::Resume => ("registry.resume", Event::Resumed),
            Change::Deregister => ("registry.deregister", Event::Deregistered),
        };
        let id = ServerId::parse(server)
            .map_err(|error| Problem::refused(Code::INVALID_FIELD, format!("serverId: {error}")))?;
        let act = || self.record(operation).target(id.to_string()).field("reason", why.reason.clone());
        let (record, who) = (act().to_json(), id.clone());
        let (outbox, words) = (self.state.outbox(), why.reason.clone());
        let changed = self.state.decide(move |tx, scene| {
            let changed = registry::set_status(tx, scene, &who, change, record)?;
            outbox.server(tx, scene, event, &changed, &words)?;
            Ok(changed)
        });
        let changed = self.or_record(act(), changed.await).await?;
        if change != Change::Resume {
            self.state.shut_out(&id).map_err(Problem::fault)?;
        }
        self.state.changed()?;
        tracing::info!(server = %id, operation, "a server's standing was changed");
        Ok(registration(&changed))
    }

    pub(super) fn servers(&self) -> Result<Value, Problem> {
        let all = self.state.store.read(registry::all)?;
        Ok(json!({"servers": all.iter().map(registration).collect::<Vec<_>>()}))
    }

    /// Every certificate of a server that has not expired, the newest first, and those among them that are revoked (R13).
    pub(super) fn certificates(&self) -> Result<Value, Problem> {
        let all = self.state.store.read(registry::all)?;
        let now_ms = crate::clock::now_ms();
        let of = |server: &Registration| {
            let held = server.certificates.iter().filter(|held| held.not_after_ms > now_ms);
            held.map(|held| (server.info.server_id.clone(), held.clone())).collect::<Vec<_>>()
        };
        let mut found = all.iter().flat_map(of).collect::<Vec<_>>();
        found.sort_by_key(|(_, held)| std::cmp::Reverse(held.issued_ms));
        Ok(json!({"certificates": found.iter().map(|(server, held)| certificate(server, held)).collect::<Vec<_>>()}))
    }

    /// Records of the platform's own log, the newest first; the same conditions as on a server.
    pub(super) async fn audit(&self, query: &str) -> Result<Value, Problem> {
        let filter = Filter::parse(query)?;
        let limit =
            request::number(query, "limit")?.map_or(100, |n| usize::try_from(n).unwrap_or(ROWS_MAX)).min(ROWS_MAX);
        let store = self.state.store.clone();
        let found = tokio::task::spawn_blocking(move || matching(&store, &filter, limit, |_| true)).await;
        let records = found.map_err(Problem::fault)??;
        Ok(json!({"records": records, "size": self.state.store.stats().audit_size}))
    }

    /// Computes the whole log anew and compares: tree, signed checkpoint, each record with its commitment.
    pub(super) async fn verify_audit(&self) -> Result<Value, Problem> {
        let (store, config) = (self.state.store.clone(), self.state.config.clone());
        let found = blocking(move || verified(&store, &config.data_dir, &config.keyring));
        let report = found.await??;
        let record = self.record("admin.audit.verify").target(self.state.config.domain.clone());
        let record = record.field("found", outcome(&report)).field("size", report.size.to_string()).to_json();
        self.state.note(record).await;
        Ok(shown(&report))
    }

    pub(super) fn status(&self) -> Result<Value, Problem> {
        let (servers, pending, serial) = self.state.store.read(|view| {
            let pending = registry::list(view, Some(ApplicationState::Pending))?.len();
            Ok((registry::all(view)?.len(), pending, registry::latest(view)?))
        })?;
        let stats = self.state.store.stats();
        let mut shown = json!({
            "domain": self.state.config.domain,
            "ca": super::authority::shown(&self.state.ca.load()),
            "servers": servers,
            "serial": serial,
            "pendingApplications": pending,
            "connections": {"api": self.state.servers.len(), "admin": self.state.administrators.len()},
            "audit": {"size": stats.audit_size, "checkpoint": stats.audit_checkpoint},
            "commits": stats.commits,
            "faults": telemetry::faults(),
        });
        let endings = self.state.endings();
        if !endings.is_empty() {
            shown["expiring"] = endings.iter().map(super::ending::shown).collect();
        }
        if let Some(notices) = self.state.notices()? {
            shown["notices"] = notices;
        }
        Ok(shown)
    }
}

/// 200 while the store takes writes.
pub(super) fn ready(state: &State) -> Reply {
    if state.store.stats().failed {
        return json_reply(503, br#"{"code":1302,"msg":"the store has failed; see the log"}"#.to_vec());
    }
    json_reply(200, br#"{"code":0,"msg":"ready"}"#.to_vec())
}

pub(super) fn metrics(state: &State) -> String {
    super::tick::measure(state);
    telemetry::render()
}

fn no_application() -> Problem {
    Problem::refused(Code::NOT_FOUND, "there is no such application")
}

fn application_id(text: &str) -> Result<TimeId, Problem> {
    TimeId::parse(text).ok_or_else(no_application)
}

fn kind(asked: &Asked) -> &'static str {
    match asked {
        Asked::Register { .. } => "register",
        Asked::Update { .. } => "update",
        Asked::Deregister { .. } => "deregister",
    }
}

fn decided(application: &Application) -> Decided {
    Decided { application_id: application.id, server_id: application.server_id.clone(), state: application.state }
}

/// An application as its reviewer sees it; the CSR's key is of no use to a person.
fn application(application: &Application) -> Value {
    let (mut info, owner, reason) = match &application.asked {
        Asked::Register { info, owner_id, .. } => (json!(info), json!(owner_id), json!(application.reason)),
        Asked::Update { changes, .. } => (json!(changes), Value::Null, json!(application.reason)),
        Asked::Deregister { reason } => (json!({}), Value::Null, json!(reason)),
    };
    info["serverId"] = json!(application.server_id);
    let mut shown = json!({
        "applicationId": application.id,
        "kind": kind(&application.asked),
        "state": application.state,
        "serverInfo": info,
        "ownerId": owner,
        "reason": reason,
        "createdMs": application.submitted_ms,
        "decidedMs": application.decided_ms,
        "decidedBy": application.decided_by,
        "approvals": application.approvals.iter()
            .map(|word| json!({"by": word.by, "atMs": word.at_ms, "reason": word.reason})).collect::<Vec<_>>(),
        "changes": side_by_side(&application.asked),
    });
    if let Value::Object(members) = &mut shown {
        members.retain(|_, value| !value.is_null());
    }
    shown
}

/// Old and new of every field that changes (§7.5.2), for the reviewer.
fn side_by_side(asked: &Asked) -> Option<Vec<Value>> {
    let Asked::Update { changes, before } = asked else { return None };
    let (new, old) = (json!(changes), json!(before));
    let fields = new.as_object()?.iter();
    Some(fields.map(|(field, new)| json!({"field": field, "old": old[field], "new": new})).collect())
}

fn registration(registration: &Registration) -> Value {
    let mut shown = json!(registration.info);
    shown["ownerId"] = json!(registration.owner_id);
    shown["registeredMs"] = json!(registration.registered_ms);
    if let Some(newest) = registration.certificates.last() {
        shown["serial"] = json!(newest.serial);
        shown["notAfterMs"] = json!(newest.not_after_ms);
        if !newest.key_algorithm.is_empty() {
            shown["keyAlgorithm"] = json!(newest.key_algorithm);
            shown["signatureAlgorithm"] = json!(newest.signature_algorithm);
        }
        shown["revoked"] = json!(newest.revoked_ms.is_some());
    }
    shown
}

fn certificate(server: &ServerId, held: &Certificate) -> Value {
    let mut shown = json!({
        "serverId": server, "serial": held.serial, "issuedMs": held.issued_ms, "notAfterMs": held.not_after_ms,
    });
    if let Some(revoked_ms) = held.revoked_ms {
        shown["revokedMs"] = json!(revoked_ms);
    }
    if !held.key_algorithm.is_empty() {
        shown["keyAlgorithm"] = json!(held.key_algorithm);
        shown["signatureAlgorithm"] = json!(held.signature_algorithm);
    }
    shown
}
