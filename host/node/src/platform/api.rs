//! The listener for servers and applicants: `/sns/managernode/…` (§7.5, R15, R16).
//!
//! An applicant has no certificate yet and is known by its ticket; every other caller is the server in its certificate, in good
//! standing now, whatever the handshake knew.

use std::sync::Arc;

use http::{HeaderValue, Method, Request};
use hyper::body::Incoming;
use isthmus_domain::directory::Query;
use isthmus_domain::registry;
use isthmus_domain::registry::notice::Event;
use isthmus_domain::{AuditRecord, Error};
use isthmus_net::{Connection, Identity};
use isthmus_wire::call::registry::{
    Application, ApplicationAnswer, Applied, Deregister, Nodes, NodesAnswer, Register, Renew, Renewed, Update,
};
use isthmus_wire::call::user::Search;
use isthmus_wire::call::{APPLICATION, CRL, DEREGISTER, NODES, REGISTER, RENEW, UPDATE, USER_SEARCH};
use isthmus_wire::code::{Answer, Transport};
use isthmus_wire::{Code, Refusal, ServerId, ServerStatus, homes, query, registry as signed};

use super::admission::{admit_address, certify, room_for_one};
use super::hall::read;
use super::{State, record, search};
use crate::reply::{self, Problem, Reply, answer, refuse, whole};
use crate::route::{Found, Table};
use crate::token::{self, Kind};
use crate::{request, telemetry};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Register,
    Application,
    Nodes,
    Update,
    Deregister,
    Renew,
    Crl,
    Search,
    Registry,
}

/// The table of contents.
pub(super) fn table() -> Result<Table<Endpoint>, matchit::InsertError> {
    Table::new(&[
        (Method::POST, REGISTER.path, Endpoint::Register),
        (Method::POST, APPLICATION.path, Endpoint::Application),
        (Method::POST, NODES.path, Endpoint::Nodes),
        (Method::POST, UPDATE.path, Endpoint::Update),
        (Method::POST, DEREGISTER.path, Endpoint::Deregister),
        (Method::POST, RENEW.path, Endpoint::Renew),
        (Method::GET, CRL.path, Endpoint::Crl),
        (Method::GET, USER_SEARCH.path, Endpoint::Search),
        (Method::GET, signed::PATH, Endpoint::Registry),
    ])
}

fn name(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Register => REGISTER.name,
        Endpoint::Application => APPLICATION.name,
        Endpoint::Nodes => NODES.name,
        Endpoint::Update => UPDATE.name,
        Endpoint::Deregister => DEREGISTER.name,
        Endpoint::Renew => RENEW.name,
        Endpoint::Crl => CRL.name,
        Endpoint::Search => USER_SEARCH.name,
        Endpoint::Registry => "registry.changes",
    }
}

/// Answers one request.
pub(super) async fn serve(
    state: Arc<State>,
    table: Arc<Table<Endpoint>>,
    request: Request<Incoming>,
    connection: Arc<Connection>,
) -> Reply {
    let id = request::id(request.headers());
    let endpoint = match table.find(request.method(), request.uri().path()) {
        Found::Endpoint(endpoint, _) => endpoint,
        Found::WrongMethod(allowed) => return request::wrong_method(&allowed, &id),
        Found::Nothing => return request::no_route(&id),
    };
    let began = std::time::Instant::now();
    let visit = Visit { state: &state, connection: &connection, id: &id };
    let reply = match endpoint {
        Endpoint::Register => answer(visit.register(request).await, &id),
        Endpoint::Application => answer(visit.application(request).await, &id),
        Endpoint::Nodes => answer(visit.nodes(request).await, &id),
        Endpoint::Update => answer(visit.update(request).await, &id),
        Endpoint::Deregister => answer(visit.deregister(request).await, &id),
        Endpoint::Renew => answer(visit.renew(request).await, &id),
        Endpoint::Crl => visit.crl(),
        Endpoint::Registry => answer(visit.registry(request.uri().query().unwrap_or_default()).await, &id),
        Endpoint::Search => visit.search(&request).await.unwrap_or_else(|problem| refuse(&problem, &id)),
    };
    telemetry::request("platform", name(endpoint), &reply, began.elapsed());
    request::tag(reply, &id)
}

/// One request on its way.
struct Visit<'a> {
    state: &'a State,
    connection: &'a Connection,
    id: &'a str,
}

impl Visit<'_> {
    /// The server that calls, if it may act now (R13: standing is checked on every request).
    fn caller(&self) -> Result<ServerId, Problem> {
        let foreign = |words: &str| Problem::Transport(Transport::ForeignIdentity, words.to_owned());
        let id = match &self.connection.identity {
            Identity::Server(id) => id.clone(),
            Identity::Platform => return Err(foreign("the platform does not call itself")),
            Identity::Anonymous => {
                let words = "this call needs the interconnect certificate of a server".to_owned();
                return Err(Problem::Transport(Transport::NoIdentity, words));
            }
        };
        let known = self.state.store.read(|view| registry::find(view, &id))?;
        let known = known.ok_or_else(|| foreign("the registry does not know this server"))?;
        let serial = self.connection.serial.as_deref().unwrap_or_default();
        let certificate = known.certificates.iter().find(|c| c.serial.eq_ignore_ascii_case(serial));
        match (known.info.server_status, certificate) {
            (ServerStatus::Suspended, _) => Err(foreign("this server is suspended")),
            (ServerStatus::Deregistered, _) => Err(foreign("this server is deregistered")),
            (ServerStatus::Normal, None) => Err(foreign("the registry does not know this certificate")),
            (ServerStatus::Normal, Some(c)) if c.revoked_ms.is_some() => Err(foreign("this certificate is revoked")),
            (ServerStatus::Normal, Some(_)) => Ok(id),
        }
    }

    fn record(&self, operation: &'static str, actor: &ServerId) -> AuditRecord<'static> {
        record(operation, self.id).actor(actor.to_string()).peer(actor.to_string())
    }

    /// What the rules refuse to a known server is recorded (R12).
    async fn or_record<T>(
        &self,
        operation: &'static str,
        caller: &ServerId,
        result: Result<T, Problem>,
    ) -> Result<T, Problem> {
        if let Err(problem @ Problem::Refused(_)) = &result {
            self.state.record_refusal(self.record(operation, caller), problem).await;
        }
        result
    }

    async fn register(&self, request: Request<Incoming>) -> Result<Applied, Problem> {
        let asked: Register = read(request, &self.state.config.limits).await?;
        let info = &asked.server_info;
        admit_address(&info.server_address, self.state.config.registry.allow_private_addresses).await?;
        // What could not be certified later is refused now.
        certify(self.state, &info.server_id, &info.server_address, &asked.csr)?;
        let record = record(REGISTER.name, self.id)
            .actor(self.connection.remote.ip().to_string())
            .target(info.server_id.to_string())
            .field("ownerId", asked.owner_id.clone())
            .field("serverName", info.server_name.clone())
            .field("serverAddress", info.server_address.clone())
            .to_json();
        let ticket = token::mint(Kind::Ticket);
        let (hash, most) = (token::hash(&ticket), self.state.config.registry.max_pending);
        let outbox = self.state.outbox();
        let application = self.state.decide(move |tx, scene| {
            room_for_one(tx, most)?;
            let application = registry::apply_register(tx, scene, asked, hash, record)?;
            outbox.application(tx, scene, Event::Received, &application)?;
            Ok(application)
        });
        let application = application.await?;
        tracing::info!(application = %application.id, server = %application.server_id, "a server applied for registration");
        Ok(Applied { application_id: application.id.to_string(), ticket })
    }

    async fn application(&self, request: Request<Incoming>) -> Result<ApplicationAnswer, Problem> {
        let asked: Application = read(request, &self.state.config.limits).await?;
        let view = self.state.store.view()?;
        self.by_ticket(|| registry::follow_up(&view, &asked.application_id, token::hash(&asked.ticket)))
    }

    /// What a ticket opens; wrong ones are counted.
    fn by_ticket<T>(&self, open: impl FnOnce() -> Result<T, Error>) -> Result<T, Problem> {
        let (from, now) = (self.connection.remote.ip(), std::time::Instant::now());
        self.state.guesses.admit(from, now)?;
        open().map_err(|error| {
            if matches!(&error, Error::Refused(refusal) if refusal.code == Code::NotFound) {
                self.state.guesses.wrong(from, now);
            }
            error.into()
        })
    }

    async fn nodes(&self, request: Request<Incoming>) -> Result<NodesAnswer, Problem> {
        let caller = self.caller()?;
        let asked: Nodes = read(request, &self.state.config.limits).await?;
        let found = {
            let view = self.state.store.view()?;
            registry::nodes(&view, &caller, &asked).map_err(Problem::from)
        };
        let server_infos = self.or_record(NODES.name, &caller, found).await?;
        Ok(NodesAnswer { server_infos })
    }

    async fn update(&self, request: Request<Incoming>) -> Result<Applied, Problem> {
        let caller = self.caller()?;
        let asked: Update = read(request, &self.state.config.limits).await?;
        if let Some(address) = &asked.changes.server_address {
            admit_address(address, self.state.config.registry.allow_private_addresses).await?;
        }
        let record = self.record(UPDATE.name, &caller).field("fields", asked.fields().join(", ")).to_json();
        let (ticket, who) = (token::mint(Kind::Ticket), caller.clone());
        let hash = token::hash(&ticket);
        let outbox = self.state.outbox();
        let applied = self.state.decide(move |tx, scene| {
            let application = registry::apply_update(tx, scene, &who, asked, hash, record)?;
            outbox.application(tx, scene, Event::Received, &application)?;
            Ok(application)
        });
        let application = self.or_record(UPDATE.name, &caller, applied.await).await?;
        Ok(Applied { application_id: application.id.to_string(), ticket })
    }

    async fn deregister(&self, request: Request<Incoming>) -> Result<Applied, Problem> {
        let caller = self.caller()?;
        let asked: Deregister = read(request, &self.state.config.limits).await?;
        let record = self.record(DEREGISTER.name, &caller).field("reason", asked.reason.clone()).to_json();
        let (ticket, who) = (token::mint(Kind::Ticket), caller.clone());
        let hash = token::hash(&ticket);
        let outbox = self.state.outbox();
        let applied = self.state.decide(move |tx, scene| {
            let application = registry::apply_deregister(tx, scene, &who, asked.reason, hash, record)?;
            outbox.application(tx, scene, Event::Received, &application)?;
            Ok(application)
        });
        let application = self.or_record(DEREGISTER.name, &caller, applied.await).await?;
        Ok(Applied { application_id: application.id.to_string(), ticket })
    }

    /// R15: the server in the certificate, for a key of its choice; or one whose certificate is over, for the key of that.
    async fn renew(&self, request: Request<Incoming>) -> Result<Renewed, Problem> {
        let anonymous = self.connection.identity == Identity::Anonymous;
        let caller = if anonymous { None } else { Some(self.caller()?) };
        let asked: Renew = read(request, &self.state.config.limits).await?;
        let caller = match caller {
            Some(caller) => caller,
            None => self.returning(&asked)?,
        };
        let known = self.state.store.read(|view| registry::find(view, &caller))?;
        let address = known.map(|known| known.info.server_address).unwrap_or_default();
        let issued = certify(self.state, &caller, &address, &asked.csr)?;
        let record = self.record(RENEW.name, &caller).field("serial", issued.serial.clone());
        let record = record.field("by", if anonymous { "ticket" } else { "certificate" }).to_json();
        let (certificate, who) = (issued.chain.clone(), caller.clone());
        let renewed = self.state.decide(move |tx, scene| registry::renew(tx, scene, &who, issued, record)).await;
        self.or_record(RENEW.name, &caller, renewed).await?;
        Ok(Renewed { certificate })
    }

    /// Who comes back after the end of its certificate: the ticket, and a request signed with the key of that certificate.
    fn returning(&self, asked: &Renew) -> Result<ServerId, Problem> {
        let (Some(id), Some(ticket)) = (&asked.application_id, &asked.ticket) else {
            self.caller()?;
            return Err(Problem::refused(Code::MISSING_FIELD, "applicationId and ticket: are missing"));
        };
        let view = self.state.store.view()?;
        let found = self.by_ticket(|| registry::returning(&view, id, token::hash(ticket)))?;
        let certified = isthmus_net::csr::certified_key_der(&found.chain);
        let wanted = isthmus_net::csr::public_key_der(&asked.csr)
            .map_err(|error| Problem::Refused(Refusal::field(Code::INVALID_FIELD, "csr", error)))?;
        if certified.as_ref() != Some(&wanted) {
            let what = "must be for the key of the last certificate, where there is no certificate to call with";
            return Err(Problem::Refused(Refusal::field(Code::INVALID_FIELD, "csr", what)));
        }
        Ok(found.info.server_id)
    }

    /// Users of all servers (R17). Who did not answer stands in `msg`. What is searched for is no business of the record's.
    async fn search<B>(&self, request: &Request<B>) -> Result<Reply, Problem> {
        let caller = self.caller()?;
        let asked: Search = query::read(request.uri().query().unwrap_or_default())?;
        Query::parse(&asked.query)?;
        let (found, presented, missing) = self.state.search(&asked).await?;
        let msg = search::words(&missing);
        let record = self.record(USER_SEARCH.name, &caller).field("answer", msg.clone()).to_json();
        let kept = self.state.decide(move |tx, _| {
            tx.audit(record);
            Ok(())
        });
        kept.await?;
        let mut reply = reply::json(200, Answer { code: Code::Success, msg, body: Some(found) }.write());
        if let Some(value) = homes::write(&presented).and_then(|homes| HeaderValue::from_str(&homes).ok()) {
            reply.headers_mut().insert(homes::HEADER, value);
        }
        Ok(reply)
    }

    /// For anyone with a chain, in whatever standing: what is revoked is no secret among them.
    fn crl(&self) -> Reply {
        if self.connection.identity == Identity::Anonymous {
            let words = "this call needs an interconnect certificate".to_owned();
            return refuse(&Problem::Transport(Transport::NoIdentity, words), self.id);
        }
        whole(200, "application/pkix-crl", self.state.revocation_list())
    }

    /// What has changed in the registry, signed; with `wait` as soon as something does. Who was shut out meanwhile is told that
    /// instead.
    async fn registry(&self, query: &str) -> Result<signed::Signed, Problem> {
        self.caller()?;
        let ask: signed::Ask = query::read(query)?;
        if ask.wait > 0 {
            self.state.wait_for_change(ask.since, ask.wait).await;
            self.caller()?;
        }
        self.state.statement(ask)
    }
}
