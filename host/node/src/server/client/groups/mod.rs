//! A user's groups (§6.3, §7.7): whatever is decided about a group is decided by its main server, here or elsewhere. What
//! another main server is asked is answered at once, or refused with 1303 while it is away.

mod coming;
mod managing;
mod seeing;

use std::sync::Arc;

use http::Method;
use isthmus_domain::group::{self, Act, Group, member, open};
use isthmus_domain::speaker::Home;
use isthmus_domain::{Done, Error, Scene};
use isthmus_policy::Direction;
use isthmus_store::Tx;
use isthmus_wire::call::CallSpec;
use isthmus_wire::code::{Code, Empty, Refusal};
use isthmus_wire::{GroupId, ServerId, UserId, UserInfo};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::people::Asking;
use crate::reply::Problem;
use crate::server::Server;
use crate::server::accounts::internal;
use crate::server::ask::Request;
use crate::server::gate::{self, Cleared, Question};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Mine,
    Create,
    Search,
    Pending,
    Join,
    Info,
    Change,
    Dissolve,
    Members,
    Invite,
    Answer,
    Apply,
    Applicants,
    Decide,
    Ticket,
    Withdraw,
    Remove,
    Leave,
    Transfer,
    Admins,
    History,
    Recall,
}

/// The table of contents.
pub(crate) const ROWS: [(Method, &str, Endpoint); 22] = [
    (Method::GET, "/client/v1/groups", Endpoint::Mine),
    (Method::POST, "/client/v1/groups", Endpoint::Create),
    (Method::GET, "/client/v1/groups/search", Endpoint::Search),
    (Method::GET, "/client/v1/groups/pending", Endpoint::Pending),
    (Method::POST, "/client/v1/groups/join", Endpoint::Join),
    (Method::GET, "/client/v1/groups/{groupID}", Endpoint::Info),
    (Method::PUT, "/client/v1/groups/{groupID}", Endpoint::Change),
    (Method::DELETE, "/client/v1/groups/{groupID}", Endpoint::Dissolve),
    (Method::GET, "/client/v1/groups/{groupID}/members", Endpoint::Members),
    (Method::POST, "/client/v1/groups/{groupID}/invite", Endpoint::Invite),
    (Method::POST, "/client/v1/groups/{groupID}/answer", Endpoint::Answer),
    (Method::POST, "/client/v1/groups/{groupID}/apply", Endpoint::Apply),
    (Method::GET, "/client/v1/groups/{groupID}/applicants", Endpoint::Applicants),
    (Method::POST, "/client/v1/groups/{groupID}/decide", Endpoint::Decide),
    (Method::POST, "/client/v1/groups/{groupID}/ticket", Endpoint::Ticket),
    (Method::DELETE, "/client/v1/groups/{groupID}/ticket", Endpoint::Withdraw),
    (Method::POST, "/client/v1/groups/{groupID}/remove", Endpoint::Remove),
    (Method::POST, "/client/v1/groups/{groupID}/leave", Endpoint::Leave),
    (Method::POST, "/client/v1/groups/{groupID}/transfer", Endpoint::Transfer),
    (Method::POST, "/client/v1/groups/{groupID}/admins", Endpoint::Admins),
    (Method::GET, "/client/v1/groups/{groupID}/history", Endpoint::History),
    (Method::POST, "/client/v1/groups/{groupID}/recall", Endpoint::Recall),
];

impl Endpoint {
    /// For figures.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Endpoint::Mine => "groups",
            Endpoint::Create => "groups.create",
            Endpoint::Search => "groups.search",
            Endpoint::Pending => "groups.pending",
            Endpoint::Join => "groups.join",
            Endpoint::Info => "groups.info",
            Endpoint::Change => "groups.change",
            Endpoint::Dissolve => "groups.dissolve",
            Endpoint::Members => "groups.members",
            Endpoint::Invite => "groups.invite",
            Endpoint::Answer => "groups.answer",
            Endpoint::Apply => "groups.apply",
            Endpoint::Applicants => "groups.applicants",
            Endpoint::Decide => "groups.decide",
            Endpoint::Ticket => "groups.ticket",
            Endpoint::Withdraw => "groups.ticket.withdraw",
            Endpoint::Remove => "groups.remove",
            Endpoint::Leave => "groups.leave",
            Endpoint::Transfer => "groups.transfer",
            Endpoint::Admins => "groups.admins",
            Endpoint::History => "groups.history",
            Endpoint::Recall => "groups.recall",
        }
    }

    /// See [`writes`](super::writes).
    pub(super) fn writes(self) -> bool {
        match self {
            Endpoint::Create
            | Endpoint::Join
            | Endpoint::Change
            | Endpoint::Dissolve
            | Endpoint::Invite
            | Endpoint::Answer
            | Endpoint::Apply
            | Endpoint::Decide
            | Endpoint::Ticket
            | Endpoint::Remove
            | Endpoint::Transfer
            | Endpoint::Admins => true,
            Endpoint::Mine
            | Endpoint::Search
            | Endpoint::Pending
            | Endpoint::Info
            | Endpoint::Members
            | Endpoint::Applicants
            | Endpoint::Withdraw
            | Endpoint::Leave
            | Endpoint::History
            | Endpoint::Recall => false,
        }
    }
}

#[derive(Deserialize)]
struct UsersBody {
    users: Vec<String>,
}

pub(crate) async fn serve(endpoint: Endpoint, ask: Asking<'_>) -> Result<Value, Problem> {
    let user = ask.server.store.read(|view| open::person_of(view, &ask.caller.user))?;
    let me = user.ok_or_else(|| Problem::refused(Code::NO_IDENTITY, "the user is disabled"))?;
    let ask = OfUser { ask, me };
    match endpoint {
        Endpoint::Mine => ask.mine(),
        Endpoint::Create => ask.create().await,
        Endpoint::Search => ask.search().await,
        Endpoint::Pending => ask.pending(),
        Endpoint::Join => ask.join().await,
        Endpoint::Info => ask.info().await,
        Endpoint::Change => ask.change().await,
        Endpoint::Dissolve => ask.dissolve().await,
        Endpoint::Members => ask.members(),
        Endpoint::Invite => ask.invite().await,
        Endpoint::Answer => ask.answer().await,
        Endpoint::Apply => ask.apply().await,
        Endpoint::Applicants => ask.applicants(),
        Endpoint::Decide => ask.decide_application().await,
        Endpoint::Ticket => ask.ticket().await,
        Endpoint::Withdraw => ask.withdraw().await,
        Endpoint::Remove => ask.remove().await,
        Endpoint::Leave => ask.leave().await,
        Endpoint::Transfer => ask.transfer().await,
        Endpoint::Admins => ask.admins().await,
        Endpoint::History => ask.history().await,
        Endpoint::Recall => ask.recall().await,
    }
}

/// A request, and who asks.
struct OfUser<'a> {
    ask: Asking<'a>,
    me: UserInfo,
}

/// Where a group is decided.
enum At {
    Here,
    There(ServerId),
}

fn user_id(text: &str) -> Result<UserId, Problem> {
    UserId::parse(text).map_err(|e| Refusal::field(Code::INVALID_FIELD, "userID", format_args!("the ID {e}")).into())
}

fn user_ids(users: &[String]) -> Result<Vec<UserId>, Problem> {
    users.iter().map(|text| user_id(text)).collect()
}

fn group_view(group: &Group, me: Option<&member::Member>) -> Value {
    let set = group.set();
    let mut shown = json!({
        "groupInfo": group.info(), "grpset": {"isAllow": set.is_allow, "isVisible": set.is_visible},
        "server": group.home,
    });
    if let Some(me) = me {
        shown["userType"] = json!(me.kind);
    }
    shown
}

fn after(server: &Arc<Server>, done: &Done, generation: u64) {
    server.after(done, generation);
}

impl OfUser<'_> {
    fn server(&self) -> &Arc<Server> {
        self.ask.server
    }

    fn id(&self) -> &UserId {
        &self.me.user_id
    }

    fn group(&self) -> Result<GroupId, Problem> {
        let invalid = |e| Refusal::field(Code::INVALID_FIELD, "groupID", format_args!("the ID {e}")).into();
        GroupId::parse(self.ask.param).map_err(invalid)
    }

    fn act(&self, group: &GroupId) -> Act {
        Act { group: group.clone(), actor: self.id().clone(), expires_ms: self.server().expires_ms() }
    }

    async fn at(&self, group: &GroupId) -> Result<At, Problem> {
        if let Some(known) = self.server().store.read(|view| group::find(view, group))? {
            return Ok(known.home.map_or(At::Here, At::There));
        }
        Ok(match self.server().home_of(group).await? {
            // The rules refuse what is not there.
            Home::Own | Home::Ask(_) | Home::Unknown => At::Here,
            Home::Server(home) => At::There(home),
        })
    }

    fn question(&self, at: &At, spec: &CallSpec, group: &GroupId) -> Question {
        match at {
            At::Here => internal(spec.name, self.id().as_str(), group.as_str()).into(),
            At::There(home) => {
                let facts = Some(self.server().peer_facts(home));
                gate::call(Direction::Outbound, spec.name, facts, self.id().as_str(), group.as_str()).into()
            }
        }
    }

    /// An act of the owner, who is a user of main: here or nowhere.
    async fn here<V: Send + 'static>(
        &self,
        operation: &'static str,
        (fields, value): (Vec<(&str, String)>, V),
        rule: impl FnOnce(&mut Tx<'_>, &mut Scene<'_>, &Act, V) -> Result<Done, Error> + Send + 'static,
    ) -> Result<Value, Problem> {
        let group = self.group()?;
        let mut question: Question = internal(operation, self.id().as_str(), group.as_str()).into();
        question.fields.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let cleared = self.server().clear(question, value, |_, _, _| ()).await?;
        self.decide_here(cleared, &group, rule).await
    }

    async fn decide_here<V: Send + 'static>(
        &self,
        cleared: Cleared<V>,
        group: &GroupId,
        rule: impl FnOnce(&mut Tx<'_>, &mut Scene<'_>, &Act, V) -> Result<Done, Error> + Send + 'static,
    ) -> Result<Value, Problem> {
        let act = self.act(group);
        let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, value: V, audit: Vec<u8>| {
            let done = rule(tx, scene, &act, value)?;
            tx.audit(audit);
            Ok(done)
        };
        self.server().carry_out(cleared, rule, after).await?;
        Ok(json!({}))
    }

    /// An act that main decides: here, or there at our word.
    async fn decide<V: Send + 'static, B: Serialize>(
        &self,
        spec: &'static CallSpec,
        group: &GroupId,
        (at, cleared): (At, Cleared<V>),
        body: impl FnOnce(&V) -> B,
        rule: impl FnOnce(&mut Tx<'_>, &mut Scene<'_>, &Act, V) -> Result<Done, Error> + Send + 'static,
    ) -> Result<Value, Problem> {
        match at {
            At::Here => self.decide_here(cleared, group, rule).await,
            At::There(home) => {
                let value = self.server().looked(cleared).await;
                let request = Request::post(spec, &body(&value)).at(group.as_str());
                let _: Empty = self.server().ask(&home, request).await?;
                Ok(json!({}))
            }
        }
    }
}
