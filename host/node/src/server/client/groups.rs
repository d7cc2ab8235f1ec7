//! A user's groups (§6.3, §7.7): whatever is decided about a group is decided by its main server, here or elsewhere. What
//! another main server is asked is answered at once, or refused with 1303 while it is away.

use std::sync::Arc;

use http::Method;
use isthmus_domain::group::{
    self, Act, Group, NewGroup, Update as Change, join, log, manage, member, open, recall, ticket, view,
};
use isthmus_domain::recall::Recall;
use isthmus_domain::speaker::Home;
use isthmus_domain::{Done, Error, Scene, TimeId};
use isthmus_policy::Direction;
use isthmus_store::Tx;
use isthmus_wire::call::group::{Found, History, HistoryAnswer, Invite, Leave, Member, Remove, Reply, Update};
use isthmus_wire::call::user::Search;
use isthmus_wire::call::{
    CallSpec, GROUP_ANSWER, GROUP_HISTORY, GROUP_INFO, GROUP_INVITE, GROUP_LEAVE, GROUP_REMOVE, GROUP_SEARCH,
    GROUP_UPDATE,
};
use isthmus_wire::code::{Code, Empty, Refusal};
use isthmus_wire::record::YesNo;
use isthmus_wire::{
    ChatScene, Content, GroupId, GroupInfo, GrpSet, MediaId, MessageId, MessageInfo, ReqInfo, ServerId, UserId,
    UserInfo, query,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::people::Asking;
use super::{parse, parse_or_default};
use crate::clock;
use crate::reply::Problem;
use crate::request::param;
use crate::server::Server;
use crate::server::accounts::internal;
use crate::server::ask::Request;
use crate::server::gate::{self, Cleared, Question};
use crate::server::groups::{InviteTexts, listed};

/// How long a join ticket is good for if nobody says: a week.
const TICKET_MS: u64 = 7 * 24 * 3600 * 1000;
/// After this the main server of a group that somebody joined is asked about it, if it has not told by itself.
const TOLD_WITHIN: std::time::Duration = std::time::Duration::from_secs(3);

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
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateBody {
    group_name: String,
    #[serde(default)]
    group_icon: Option<String>,
    /// Members may invite.
    #[serde(default = "yes")]
    is_allow: bool,
    /// Search finds it.
    #[serde(default = "yes")]
    is_visible: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangeBody {
    #[serde(default)]
    group_name: Option<String>,
    /// An empty text removes it.
    #[serde(default)]
    group_icon: Option<String>,
    #[serde(default)]
    is_allow: Option<bool>,
    #[serde(default)]
    is_visible: Option<bool>,
}

#[derive(Deserialize)]
struct UsersBody {
    users: Vec<String>,
}

#[derive(Deserialize)]
struct AgreeBody {
    agree: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ApplyBody {
    remark: Option<String>,
}

#[derive(Deserialize)]
struct DecideBody {
    #[serde(rename = "userID")]
    user_id: String,
    agree: bool,
}

#[derive(Deserialize)]
struct UserBody {
    #[serde(rename = "userID")]
    user_id: String,
}

#[derive(Deserialize)]
struct AdminsBody {
    users: Vec<String>,
    admin: bool,
}

#[derive(Deserialize)]
struct JoinBody {
    ticket: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct TicketBody {
    expires_ms: Option<u64>,
}

#[derive(Deserialize)]
struct RecallBody {
    #[serde(rename = "messageID")]
    message_id: String,
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

fn icon(text: &str) -> Result<MediaId, Problem> {
    let invalid = |e| Refusal::field(Code::INVALID_FIELD, "groupIcon", format_args!("the ID {e}")).into();
    MediaId::parse(text).map_err(invalid)
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

    fn mine(&self) -> Result<Value, Problem> {
        let view = self.server().store.view()?;
        let mut groups = Vec::new();
        for group in member::groups_of(&view, self.id())? {
            let me = member::get(&view, &group, self.id())?;
            groups.push(group_view(&group, me.as_ref()));
        }
        Ok(json!({"groups": groups}))
    }

    async fn create(&self) -> Result<Value, Problem> {
        let body: CreateBody = parse(&self.ask.body)?;
        let new = NewGroup {
            name: body.group_name,
            icon: body.group_icon.as_deref().map(icon).transpose()?,
            open: body.is_allow,
            visible: body.is_visible,
        };
        let mut question: Question = internal("group.create", self.id().as_str(), "").into();
        question.items.push(gate::text("group.text", &new.name));
        question.fields.push(("text".to_owned(), new.name.clone()));
        let cleared = self.server().clear(question, new, |new, _, text| new.name = text).await?;
        let (owner, expires_ms) = (self.me.clone(), self.server().expires_ms());
        let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, new: NewGroup, audit: Vec<u8>| {
            let created = manage::create(tx, scene, &owner, new, expires_ms)?;
            tx.audit(audit);
            Ok(created)
        };
        let created = self.server().carry_out(cleared, rule, |server, (_, done), generation| {
            server.after(done, generation);
        });
        Ok(group_view(&created.await?.0, None))
    }

    /// `scope`: `local` (the default) or `server:<serverId>`.
    async fn search(&self) -> Result<Value, Problem> {
        let search: Search = query::read(self.ask.query)?;
        let scope = param(self.ask.query, "scope")?.unwrap_or_else(|| "local".to_owned());
        let wrong = || Refusal::field(Code::INVALID_FIELD, "scope", "must be local or server:<serverId>");
        let named = scope.strip_prefix("server:").map(ServerId::parse).transpose().map_err(|_| wrong())?;
        let at = match named {
            Some(named) if named != self.server().id => At::There(named),
            None if scope != "local" => return Err(wrong().into()),
            Some(_) | None => At::Here,
        };
        let (facts, direction) = match &at {
            At::Here => (None, Direction::Internal),
            At::There(home) => (Some(self.server().peer_facts(home)), Direction::Outbound),
        };
        let mut question: Question = gate::call(direction, GROUP_SEARCH.name, facts, self.id().as_str(), "").into();
        question.fields.push(("query".to_owned(), search.query.clone()));
        let cleared = self.server().clear(question, (), |(), _, _| ()).await?;
        let found: Found = match &at {
            At::Here => self.server().find_groups_here(&search).await?,
            At::There(home) => self.server().ask(home, Request::get(&GROUP_SEARCH, search.to_query())).await?,
        };
        self.server().looked(cleared).await;
        Ok(json!({"pages": found.pages, "page": found.page, "groups": found.groups}))
    }

    /// Invitations to answer, and applications that wait for a decision.
    fn pending(&self) -> Result<Value, Problem> {
        let open = self.server().store.read(|view| open::list(view, self.id(), clock::now_ms()))?;
        let shown = open.iter().map(|open| {
            let kind = if open.by.is_some() { "invitation" } else { "application" };
            json!({"kind": kind, "groupID": open.group, "groupInfo": open.info, "user": open.by,
                "expiresMs": open.expires_ms})
        });
        Ok(json!({"pending": shown.collect::<Vec<_>>()}))
    }

    async fn info(&self) -> Result<Value, Problem> {
        let group = self.group()?;
        let at = self.at(&group).await?;
        if let Some(known) = self.server().store.read(|view| group::find(view, &group))? {
            let view = self.server().store.view()?;
            if known.home.is_none() || member::get(&view, &known, self.id())?.is_some() {
                let known = view::for_user(&view, &group, self.id(), false)?;
                let me = member::get(&view, &known, self.id())?;
                return Ok(group_view(&known, me.as_ref()));
            }
        }
        let At::There(home) = at else {
            return Err(
                Refusal::field(Code::NOT_FOUND, "groupID", format_args!("there is no group {group} here")).into()
            );
        };
        let cleared =
            self.server().clear(self.question(&At::There(home.clone()), &GROUP_INFO, &group), (), |(), _, _| ());
        self.server().looked(cleared.await?).await;
        let of = isthmus_wire::call::group::OfGroup { group_id: group.clone() };
        let info: isthmus_wire::call::group::InfoAnswer =
            self.server().ask(&home, Request::get(&GROUP_INFO, of.to_query())).await?;
        let details = info.group_info.ok_or_else(|| {
            Problem::from(Refusal::field(Code::NOT_FOUND, "groupID", format_args!("there is no group {group}")))
        })?;
        Ok(json!({"groupInfo": details, "grpset": info.grpset, "server": home}))
    }

    fn members(&self) -> Result<Value, Problem> {
        let (group, view) = (self.group()?, self.server().store.view()?);
        let group = view::for_user(&view, &group, self.id(), true)?;
        let members: Vec<Member> = member::all(&view, &group)?.into_iter().map(member::Member::shown).collect();
        Ok(json!({"members": members}))
    }

    async fn change(&self) -> Result<Value, Problem> {
        let body: ChangeBody = parse(&self.ask.body)?;
        let group = self.group()?;
        let at = self.at(&group).await?;
        let known = {
            let view = self.server().store.view()?;
            view::for_user(&view, &group, self.id(), true)?
        };
        let set = (body.is_allow.is_some() || body.is_visible.is_some()).then(|| GrpSet {
            is_allow: YesNo(body.is_allow.unwrap_or(known.open)),
            is_visible: YesNo(body.is_visible.unwrap_or(known.visible)),
        });
        let icon = match body.group_icon.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(text) => Some(Some(icon(text)?)),
        };
        let mut question = self.question(&at, &GROUP_UPDATE, &group);
        if let Some(name) = &body.group_name {
            question.items.push(gate::text("group.text", name));
            question.fields.push(("text".to_owned(), name.clone()));
        }
        let change = Change { name: body.group_name, icon, set };
        let rewrite = |change: &mut Change, _: usize, text: String| change.name = Some(text);
        let cleared = self.server().clear(question, change, rewrite).await?;
        let owner_id = self.id().clone();
        let body = |change: &Change| {
            let named = change.name.is_some() || change.icon.is_some();
            let info = GroupInfo {
                group_name: change.name.clone().unwrap_or(known.name.clone()),
                group_icon: change.icon.clone().unwrap_or(known.icon.clone()),
                ..known.info()
            };
            let group_info = named.then_some(info);
            Update { group_id: known.id.clone(), owner_id, grpset: change.set, group_info }
        };
        self.decide(&GROUP_UPDATE, &group, (at, cleared), body, manage::update).await
    }

    async fn dissolve(&self) -> Result<Value, Problem> {
        self.here("group.dissolve", (Vec::new(), ()), |tx, scene, act, ()| manage::dissolve(tx, scene, act)).await
    }

    async fn transfer(&self) -> Result<Value, Problem> {
        let to = user_id(&parse::<UserBody>(&self.ask.body)?.user_id)?;
        let fields = vec![("users", to.to_string())];
        self.here("group.transfer", (fields, to), |tx, scene, act, to| manage::transfer(tx, scene, act, &to)).await
    }

    async fn admins(&self) -> Result<Value, Problem> {
        let body: AdminsBody = parse(&self.ask.body)?;
        let (users, admin) = (user_ids(&body.users)?, body.admin);
        let fields = vec![("users", listed(&users)), ("admin", admin.to_string())];
        let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, users: Vec<UserId>| {
            manage::set_admins(tx, scene, act, &users, admin)
        };
        self.here("group.admins", (fields, users), rule).await
    }

    async fn invite(&self) -> Result<Value, Problem> {
        let users = user_ids(&parse::<UsersBody>(&self.ask.body)?.users)?;
        let invited = users.into_iter().map(|user_id| UserInfo {
            name: user_id.as_str().to_owned(),
            user_id,
            phone_number: None,
            remark: None,
            portrait: None,
        });
        let mut invited: Vec<UserInfo> = invited.collect();
        for user in &mut invited {
            if let Home::Own = self.server().home_of(&user.user_id).await? {
                let known = self.server().store.read(|view| open::person_of(view, &user.user_id))?;
                *user = known.unwrap_or_else(|| user.clone());
            }
        }
        if invited.iter().any(|user| user.user_id == self.me.user_id) {
            return Err(Refusal::field(Code::INVALID_FIELD, "users", "you are there already, or apply instead").into());
        }
        let group = self.group()?;
        let known = {
            let view = self.server().store.view()?;
            view::for_user(&view, &group, self.id(), true)?
        };
        self.ask_in(&group, known.info(), self.me.clone(), invited).await
    }

    /// `groupreq` to main, here or there.
    async fn ask_in(
        &self,
        group: &GroupId,
        group_info: GroupInfo,
        user_info: UserInfo,
        invite_users: Vec<UserInfo>,
    ) -> Result<Value, Problem> {
        let at = self.at(group).await?;
        let req = ReqInfo { group_info, user_info, invite_users };
        let mut question = self.question(&at, &GROUP_INVITE, group);
        let texts = InviteTexts::of(&req);
        texts.ask(&mut question);
        let ids: Vec<UserId> = req.invite_users.iter().map(|user| user.user_id.clone()).collect();
        question.fields.push(("users".to_owned(), listed(&ids)));
        let cleared = self.server().clear(question, req, |req, index, text| texts.put(req, index, text)).await?;
        let home = self.server().id.clone();
        let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, req: ReqInfo| {
            join::request(tx, scene, act, &req.user_info, &req.invite_users, &home)
        };
        self.decide(&GROUP_INVITE, group, (at, cleared), |req: &ReqInfo| Invite { req_info: req.clone() }, rule).await
    }

    async fn answer(&self) -> Result<Value, Problem> {
        let AgreeBody { agree } = parse(&self.ask.body)?;
        let group = self.group()?;
        let invited = self.server().store.read(|view| open::get(view, &group, self.id(), clock::now_ms()))?;
        if invited.is_none_or(|open| open.by.is_none()) {
            return Err(
                Refusal::field(Code::WRONG_STATE, "groupID", "there is no open invitation into this group").into()
            );
        }
        let at = self.at(&group).await?;
        let home = if let At::There(home) = &at { Some(home.clone()) } else { None };
        let mut question = self.question(&at, &GROUP_ANSWER, &group);
        question.fields.push(("agree".to_owned(), agree.to_string()));
        let cleared = self.server().clear(question, agree, |_, _, _| ()).await?;
        let (of, user_id) = (group.clone(), self.id().clone());
        let body = |agree: &bool| Reply { group_id: of, user_id, resp_result: YesNo(*agree) };
        self.decide(&GROUP_ANSWER, &group, (at, cleared), body, join::answer).await?;
        self.joined(&group, home.as_ref(), agree).await
    }

    /// The question is closed; the main server that let somebody in is asked if it does not tell by itself.
    async fn joined(&self, group: &GroupId, home: Option<&ServerId>, agree: bool) -> Result<Value, Problem> {
        if let Some(home) = home {
            let (id, user) = (group.clone(), self.id().clone());
            self.server()
                .store
                .write(move |tx| {
                    open::close(tx, &id, &user);
                    Ok::<_, isthmus_store::StoreError>(())
                })
                .await?;
            if agree {
                self.server().groups.heal_within(group, home, TOLD_WITHIN);
            }
        }
        Ok(json!({}))
    }

    async fn apply(&self) -> Result<Value, Problem> {
        let body: ApplyBody = parse_or_default(&self.ask.body)?;
        let group = self.group()?;
        self.apply_with(&group, body.remark.filter(|remark| !remark.is_empty())).await
    }

    async fn join(&self) -> Result<Value, Problem> {
        let JoinBody { ticket } = parse(&self.ask.body)?;
        let group = ticket::group_of(&ticket)?;
        self.apply_with(&group, Some(ticket.trim().to_owned())).await?;
        if let At::There(home) = self.at(&group).await? {
            self.server().groups.heal_within(&group, &home, TOLD_WITHIN);
        }
        Ok(json!({"groupID": group}))
    }

    async fn apply_with(&self, group: &GroupId, remark: Option<String>) -> Result<Value, Problem> {
        let at = self.at(group).await?;
        let known = self.server().store.read(|view| group::find(view, group))?.map(|group| group.info());
        // Of a group elsewhere only the ID is known for sure; the main server looks at nothing else.
        let info = known.clone().unwrap_or_else(|| GroupInfo {
            group_id: group.clone(),
            group_name: group.as_str().to_owned(),
            group_member_num: 0,
            create_user: self.me.user_id.clone(),
            create_time: "1970-01-01T00:00:00Z".to_owned(),
            group_icon: None,
        });
        let with_ticket = remark.as_deref().is_some_and(ticket::is_one);
        let applicant = UserInfo { remark, ..self.me.clone() };
        self.ask_in(group, info, self.me.clone(), vec![applicant]).await?;
        if !(with_ticket && matches!(at, At::There(_))) {
            let (id, user, expires_ms) = (group.clone(), self.id().clone(), clock::now_ms() + join::OPEN_MS);
            self.server().store.write(move |tx| open::applied(tx, &id, known, &user, expires_ms)).await?;
        }
        Ok(json!({}))
    }

    fn applicants(&self) -> Result<Value, Problem> {
        let (group, view) = (self.group()?, self.server().store.view()?);
        let group = group::ours(&view, &group)?;
        if !member::acting(&view, &group, self.id(), "userID")?.leads() {
            return Err(Problem::refused(Code::NOT_PERMITTED, "only the group's owner and admins see who applies"));
        }
        let found = join::applicants(&view, &group, clock::now_ms())?;
        let shown = found.iter().map(|one| json!({"user": one.user, "expiresMs": one.expires_ms}));
        Ok(json!({"applicants": shown.collect::<Vec<_>>()}))
    }

    async fn decide_application(&self) -> Result<Value, Problem> {
        let DecideBody { user_id: applicant, agree } = parse(&self.ask.body)?;
        let applicant = user_id(&applicant)?;
        let fields = vec![("users", applicant.to_string()), ("agree", agree.to_string())];
        let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, applicant: UserId| {
            join::decide(tx, scene, act, &applicant, agree)
        };
        self.here("group.decide", (fields, applicant), rule).await
    }

    async fn ticket(&self) -> Result<Value, Problem> {
        let body: TicketBody = parse_or_default(&self.ask.body)?;
        let (group, user) = (self.group()?, self.id().clone());
        let question: Question = internal("group.ticket", user.as_str(), group.as_str()).into();
        let expires_ms = body.expires_ms.unwrap_or_else(|| clock::now_ms() + TICKET_MS);
        let cleared = self.server().clear(question, (), |(), _, _| ()).await?;
        let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, (): (), audit: Vec<u8>| {
            let ticket = ticket::issue(tx, scene, &group, &user, expires_ms)?;
            tx.audit(audit);
            Ok(ticket)
        };
        let ticket = self.server().carry_out(cleared, rule, |_, _, _| ()).await?;
        Ok(json!({"ticket": ticket, "expiresMs": expires_ms}))
    }

    async fn withdraw(&self) -> Result<Value, Problem> {
        let rule = |tx: &mut Tx<'_>, _: &mut Scene<'_>, act: &Act, (): ()| {
            ticket::withdraw(tx, &act.group, &act.actor).map(|()| Done::default())
        };
        self.here("group.ticket.withdraw", (Vec::new(), ()), rule).await
    }

    async fn remove(&self) -> Result<Value, Problem> {
        let users = user_ids(&parse::<UsersBody>(&self.ask.body)?.users)?;
        let group = self.group()?;
        let at = self.at(&group).await?;
        let mut question = self.question(&at, &GROUP_REMOVE, &group);
        question.fields.push(("users".to_owned(), listed(&users)));
        let cleared = self.server().clear(question, users, |_, _, _| ()).await?;
        let (group_id, user_id) = (group.clone(), self.id().clone());
        let body = |users: &Vec<UserId>| Remove { group_id, user_id, del_members: users.clone() };
        let rule = |tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, users: Vec<UserId>| {
            manage::remove(tx, scene, act, &users)
        };
        self.decide(&GROUP_REMOVE, &group, (at, cleared), body, rule).await
    }

    async fn leave(&self) -> Result<Value, Problem> {
        let group = self.group()?;
        let at = self.at(&group).await?;
        let question = self.question(&at, &GROUP_LEAVE, &group);
        let cleared = self.server().clear(question, (), |(), _, _| ()).await?;
        let (group_id, user_id) = (group.clone(), self.id().clone());
        let body = |(): &()| Leave { group_id, user_id };
        let rule = |tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, (): ()| manage::leave(tx, scene, act);
        self.decide(&GROUP_LEAVE, &group, (at, cleared), body, rule).await
    }

    /// What lies here; a mirror asks its main server for what is older than its members' time.
    async fn history(&self) -> Result<Value, Problem> {
        let group = self.group()?;
        let members = {
            let view = self.server().store.view()?;
            view::for_user(&view, &group, self.id(), true)?
        };
        let asked = format!("groupID={}&{}", isthmus_wire::path::encode(group.as_str()), defaults(self.ask.query)?);
        let it: History = query::read(&asked)?;
        let cursor = it.message_id.as_deref().map(MessageId::parse).transpose();
        let cursor =
            cursor.map_err(|e| Refusal::field(Code::INVALID_FIELD, "messageID", format_args!("the ID {e}")))?;
        let here = self.server().store.view()?;
        let page = match log::history(&here, &members, cursor.as_ref(), it.size) {
            Ok(page) => Some(page.answer()?),
            Err(Error::Refused(refusal)) if refusal.code == Code::NOT_FOUND && members.home.is_some() => None,
            Err(error) => return Err(error.into()),
        };
        drop(here);
        let older = it.size < 0 && page.as_ref().is_none_or(|page| page.messages.is_empty());
        let page = match (&members.home, page) {
            (Some(home), page) if older || page.is_none() => {
                let asked = self.older(&group, home, &it).await;
                asked.or_else(|problem| page.ok_or(problem))?
            }
            (_, Some(page)) => page,
            (_, None) => HistoryAnswer {
                max_message_id: view::NONE.to_owned(),
                min_message_id: view::NONE.to_owned(),
                messages: Vec::new(),
            },
        };
        Ok(json!({"maxMessageID": page.max_message_id, "minMessageID": page.min_message_id,
            "messages": page.messages}))
    }

    async fn older(&self, group: &GroupId, home: &ServerId, it: &History) -> Result<HistoryAnswer, Problem> {
        let (page, _): (HistoryAnswer, _) = self.server().ask_main(group, home, &GROUP_HISTORY, it.to_query()).await?;
        let mut messages: Vec<MessageInfo> = Vec::new();
        for info in page.messages {
            messages.extend(self.server().shown_once(home, info).await?);
        }
        Ok(HistoryAnswer { messages, ..page })
    }

    async fn recall(&self) -> Result<Value, Problem> {
        let body: RecallBody = parse(&self.ask.body)?;
        let invalid = |e| Refusal::field(Code::INVALID_FIELD, "messageID", format_args!("the ID {e}"));
        let message_id = MessageId::parse(&body.message_id).map_err(invalid)?;
        let group = self.group()?;
        let known = {
            let view = self.server().store.view()?;
            recall::permitted(&view, &group, self.id(), &message_id)?
        };
        let id = TimeId::mint(clock::now_ms(), &mut clock::random);
        let content = Content::Repeal { message_id: message_id.clone() };
        let question = self.server().about_message(
            self.id(),
            (ChatScene::Group, group.as_str()),
            known.home.as_ref(),
            &content,
            &id,
        );
        let cleared = self.server().clear(question, (), |(), _, _| ()).await?;
        let delivery = &self.server().config.delivery;
        let (actor, window_ms, expires_ms) = (self.id().clone(), delivery.recall_s * 1000, self.server().expires_ms());
        let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, (): (), audit: Vec<u8>| {
            recall::recall(tx, scene, &group, Recall { id, actor, message_id, window_ms, expires_ms, audit })
        };
        self.server().carry_out(cleared, rule, after).await?;
        Ok(json!({}))
    }
}

/// `messageID` and `size` of a client's question, from the newest if it says nothing.
fn defaults(query: &str) -> Result<String, Problem> {
    let message = param(query, "messageID")?.unwrap_or_else(|| view::NONE.to_owned());
    let size = param(query, "size")?.unwrap_or_else(|| "-50".to_owned());
    Ok(format!("messageID={}&size={}", isthmus_wire::path::encode(&message), isthmus_wire::path::encode(&size)))
}
