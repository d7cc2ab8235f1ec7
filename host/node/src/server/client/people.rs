//! A user's people: search, profiles, contacts, friends (§6.3, §7.6).

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use isthmus_domain::friend::{self, Act, Link, Stand, Turned};
use isthmus_domain::profile::{self, Change};
use isthmus_domain::speaker::Home;
use isthmus_domain::{account, directory};
use isthmus_policy::Direction;
use isthmus_wire::call::user::{IsFriend, IsFriendAnswer, Search};
use isthmus_wire::call::{CallSpec, USER_ADD, USER_ANSWER, USER_DELETE, USER_IS_FRIEND, USER_SEARCH};
use isthmus_wire::code::{Code, Refusal};
use isthmus_wire::{MediaId, ServerId, UserId, UserInfo, query};
use serde::Deserialize;
use serde_json::{Value, json};

use super::parse;
use crate::reply::Problem;
use crate::request::{number, param};
use crate::server::Server;
use crate::server::accounts::internal;
use crate::server::ask::Request;
use crate::server::gate::{self, Question};
use crate::server::people::Page;
use crate::server::session::Caller;

/// Links in one answer.
const PAGE_MAX: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Search,
    Details,
    Profile,
    ChangeProfile,
    Contacts,
    Ask,
    Requests,
    IsFriend,
    Answer,
    Delete,
}

/// The table of contents.
pub(crate) const ROWS: [(Method, &str, Endpoint); 10] = [
    (Method::GET, "/client/v1/users/search", Endpoint::Search),
    (Method::GET, "/client/v1/users/{userID}", Endpoint::Details),
    (Method::GET, "/client/v1/profile", Endpoint::Profile),
    (Method::PUT, "/client/v1/profile", Endpoint::ChangeProfile),
    (Method::GET, "/client/v1/contacts", Endpoint::Contacts),
    (Method::POST, "/client/v1/friends", Endpoint::Ask),
    (Method::GET, "/client/v1/friends/requests", Endpoint::Requests),
    (Method::GET, "/client/v1/friends/{userID}", Endpoint::IsFriend),
    (Method::POST, "/client/v1/friends/{userID}/answer", Endpoint::Answer),
    (Method::DELETE, "/client/v1/friends/{userID}", Endpoint::Delete),
];

impl Endpoint {
    /// For figures.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Endpoint::Search => "users.search",
            Endpoint::Details => "users",
            Endpoint::Profile => "profile",
            Endpoint::ChangeProfile => "profile.change",
            Endpoint::Contacts => "contacts",
            Endpoint::Ask => "friends.ask",
            Endpoint::Requests => "friends.requests",
            Endpoint::IsFriend => "friends",
            Endpoint::Answer => "friends.answer",
            Endpoint::Delete => "friends.delete",
        }
    }

    /// See [`writes`](super::writes).
    pub(super) fn writes(self) -> bool {
        match self {
            Endpoint::ChangeProfile | Endpoint::Ask | Endpoint::Answer => true,
            Endpoint::Search
            | Endpoint::Details
            | Endpoint::Profile
            | Endpoint::Contacts
            | Endpoint::Requests
            | Endpoint::IsFriend
            | Endpoint::Delete => false,
        }
    }
}

/// One request: who asks, the path's parameter, the query, the body.
pub(crate) struct Asking<'a> {
    pub(crate) server: &'a Arc<Server>,
    pub(crate) caller: &'a Caller,
    pub(crate) param: &'a str,
    pub(crate) query: &'a str,
    pub(crate) body: Bytes,
}

#[derive(Deserialize)]
struct AskBody {
    #[serde(rename = "userID")]
    user_id: String,
    #[serde(default)]
    remark: Option<String>,
}

#[derive(Deserialize)]
struct AnswerBody {
    agree: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct ProfileBody {
    name: Option<String>,
    phone_number: Option<String>,
    remark: Option<String>,
    portrait: Option<String>,
    hidden: Option<bool>,
}

pub(crate) async fn serve(endpoint: Endpoint, ask: Asking<'_>) -> Result<Value, Problem> {
    match endpoint {
        Endpoint::Search => ask.search().await,
        Endpoint::Details => ask.details().await,
        Endpoint::Profile => ask.profile(),
        Endpoint::ChangeProfile => ask.change_profile().await,
        Endpoint::Contacts => ask.links("contacts"),
        Endpoint::Requests => ask.links("requests"),
        Endpoint::Ask => ask.ask().await,
        Endpoint::Answer => ask.answer().await,
        Endpoint::Delete => ask.delete().await,
        Endpoint::IsFriend => ask.is_friend().await,
    }
}

fn id(field: &str, text: &str) -> Result<UserId, Problem> {
    UserId::parse(text).map_err(|e| Refusal::field(Code::INVALID_FIELD, field, format_args!("the ID {e}")).into())
}

impl Asking<'_> {
    /// `scope`: `local` (the default), `server:<serverId>`, or `all`, by way of the platform.
    async fn search(&self) -> Result<Value, Problem> {
        let search: Search = query::read(self.query)?;
        let scope = param(self.query, "scope")?.unwrap_or_else(|| "local".to_owned());
        let (server, user) = (self.server, &self.caller.user);
        let wrong = || Refusal::field(Code::INVALID_FIELD, "scope", "must be local, all or server:<serverId>");
        let page = match (scope.as_str(), scope.strip_prefix("server:")) {
            ("all", _) => server.find_everywhere(&search, user).await?,
            (_, Some(named)) => {
                let peer = ServerId::parse(named).map_err(|_| wrong())?;
                if server.id == peer {
                    self.search_here(&search).await?
                } else {
                    server.find_at(&peer, &search, user).await?
                }
            }
            ("local", None) => self.search_here(&search).await?,
            (_, None) => return Err(wrong().into()),
        };
        let found = page.found;
        let mut body = json!({"pages": found.pages, "page": found.page, "userInfos": found.user_infos});
        if let Some(note) = page.note {
            body["note"] = json!(note);
        }
        Ok(body)
    }

    async fn search_here(&self, search: &Search) -> Result<Page, Problem> {
        let user = &self.caller.user;
        let mut question: Question = internal(USER_SEARCH.name, user.as_str(), "").into();
        question.fields.push(("query".to_owned(), search.query.clone()));
        let cleared = self.server.clear(question, (), |(), _, _| ()).await?;
        let found = self.server.find_here(search, Some(user.clone())).await?;
        self.server.looked(cleared).await;
        Ok(Page { found, note: None })
    }

    async fn details(&self) -> Result<Value, Problem> {
        let (other, user) = (id("userID", self.param)?, &self.caller.user);
        let nobody =
            || Problem::from(Refusal::field(Code::NOT_FOUND, "userID", format_args!("there is no user {other}")));
        let info = match self.server.home_of(&other).await? {
            Home::Own => self.server.details_here(&other, user)?.ok_or_else(nobody)?,
            Home::Server(peer) => self.server.details_at(&peer, &other, user).await?,
            Home::Ask(named) => {
                let words = format!("the platform cannot say yet whether there is a server {named}; retry");
                return Err(Problem::refused(Code::OVERLOADED, words));
            }
            Home::Unknown => return Err(nobody()),
        };
        let stand = self.stand(&info.user_id)?;
        Ok(json!({"userInfo": info, "stand": stand.as_str()}))
    }

    fn stand(&self, other: &UserId) -> Result<Stand, Problem> {
        let link = self.server.store.read(|view| friend::find(view, &self.caller.user, other))?;
        Ok(link.map_or(Stand::None, |link| link.stand))
    }

    fn profile(&self) -> Result<Value, Problem> {
        let user = self.server.store.read(|view| account::find_user(view, &self.caller.user))?;
        let user = user.ok_or_else(|| Problem::refused(Code::NOT_FOUND, "the user is gone"))?;
        Ok(profile_view(&user))
    }

    /// What is left out stays, an empty text removes.
    async fn change_profile(&self) -> Result<Value, Problem> {
        let body: ProfileBody = parse(&self.body)?;
        let portrait = match body.portrait.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(text) => Some(Some(
                MediaId::parse(text)
                    .map_err(|e| Refusal::field(Code::INVALID_FIELD, "portrait", format_args!("the ID {e}")))?,
            )),
        };
        let user = self.caller.user.clone();
        let mut question: Question = internal("user.profile", user.as_str(), user.as_str()).into();
        let texts = [body.name.as_deref(), body.remark.as_deref()];
        let places: Vec<usize> = (0..2).filter(|place| texts[*place].is_some_and(|text| !text.is_empty())).collect();
        question.items =
            places.iter().map(|place| gate::text("profile.text", texts[*place].unwrap_or_default())).collect();
        let ProfileBody { name, phone_number, remark, hidden, .. } = body;
        let change = Change { name, phone_number, remark, portrait, hidden };
        let rewrite = |change: &mut Change, index: usize, text| match places.get(index) {
            Some(0) => change.name = Some(text),
            _ => change.remark = Some(text),
        };
        let cleared = self.server.clear(question, change, rewrite).await?;
        let user = self
            .server
            .carry_out(
                cleared,
                move |tx, _, change, audit| profile::change(tx, &user, change, audit),
                |server, user, _| server.people.put(user),
            )
            .await?;
        Ok(profile_view(&user))
    }

    fn links(&self, which: &str) -> Result<Value, Problem> {
        let after = param(self.query, "after")?.map(|text| id("after", &text)).transpose()?;
        let limit = number(self.query, "limit")?.map_or(100, |n| usize::try_from(n).unwrap_or(PAGE_MAX));
        let limit = limit.clamp(1, PAGE_MAX);
        let (view, user) = (self.server.store.view()?, &self.caller.user);
        let found = match which {
            "contacts" => friend::contacts(&view, user, after.as_ref(), limit)?,
            _ => friend::requests(&view, user, after.as_ref(), limit)?,
        };
        let next = if found.len() == limit { found.last().map(|link| link.other.clone()) } else { None };
        let shown = found.iter().map(|link| self.link_view(&view, link)).collect::<Result<Vec<_>, _>>()?;
        let mut body = json!({which: shown});
        if let Some(next) = next {
            body["next"] = json!(next);
        }
        Ok(body)
    }

    fn link_view(&self, view: &isthmus_store::View, link: &Link) -> Result<Value, Problem> {
        let own = &self.server.id;
        let here = match account::local_id(own, &link.other) {
            Some(other) => {
                let eyes = directory::eyes(view, Some(&self.caller.user), &other)?;
                account::find_user(view, &other)?.map(|user| user.info(eyes))
            }
            None => link.info.clone(),
        };
        // Whoever has not introduced itself yet is known by its ID.
        let mut info = here.unwrap_or_else(|| UserInfo {
            user_id: link.other.clone(),
            name: link.other.to_string(),
            phone_number: None,
            remark: None,
            portrait: None,
        });
        if link.stand != Stand::Friends {
            info.phone_number = None;
        }
        let mut shown = json!({"userInfo": info, "stand": link.stand.as_str(), "sinceMs": link.since_ms});
        if let Some(remark) = &link.remark {
            shown["remark"] = json!(remark);
        }
        Ok(shown)
    }

    async fn ask(&self) -> Result<Value, Problem> {
        let body: AskBody = parse(&self.body)?;
        let other = id("userID", &body.user_id)?;
        let remark = body.remark.filter(|remark| !remark.is_empty());
        let mut question = self.question(&USER_ADD, &other).await?;
        if let Some(remark) = &remark {
            question.items.push(gate::text("friend.remark", remark));
            question.fields.push(("text".to_owned(), remark.clone()));
        }
        let cleared = self.server.clear(question, remark, |remark, _, text| *remark = Some(text)).await?;
        let act = self.act(other);
        stand_view(
            &self
                .server
                .carry_out(cleared, move |tx, scene, remark, audit| friend::ask(tx, scene, act(audit), remark), after)
                .await?,
        )
    }

    async fn answer(&self) -> Result<Value, Problem> {
        let AnswerBody { agree } = parse(&self.body)?;
        let other = id("userID", self.param)?;
        let question = self.question(&USER_ANSWER, &other).await?;
        let cleared = self.server.clear(question, (), |(), _, _| ()).await?;
        let act = self.act(other);
        stand_view(
            &self
                .server
                .carry_out(cleared, move |tx, scene, (), audit| friend::answer(tx, scene, act(audit), agree), after)
                .await?,
        )
    }

    async fn delete(&self) -> Result<Value, Problem> {
        let other = id("userID", self.param)?;
        let question = self.question(&USER_DELETE, &other).await?;
        let cleared = self.server.clear(question, (), |(), _, _| ()).await?;
        let act = self.act(other);
        stand_view(
            &self
                .server
                .carry_out(cleared, move |tx, scene, (), audit| friend::delete(tx, scene, act(audit)), after)
                .await?,
        )
    }

    /// Of one's own friends one's own server knows. With `home=true` the other one's home is asked as well.
    async fn is_friend(&self) -> Result<Value, Problem> {
        let other = id("userID", self.param)?;
        let stand = self.stand(&other)?;
        let mut body = json!({"isFriend": stand == Stand::Friends, "stand": stand.as_str()});
        if param(self.query, "home")?.as_deref() == Some("true")
            && let Home::Server(peer) = self.server.home_of(&other).await?
        {
            let question = self.question(&USER_IS_FRIEND, &other).await?;
            let cleared = self.server.clear(question, (), |(), _, _| ()).await?;
            self.server.looked(cleared).await;
            let query = IsFriend { user_id: other.clone(), self_id: self.caller.user.clone() };
            let request = Request::get(&USER_IS_FRIEND, query.to_query()).at(other.as_str());
            let answer: IsFriendAnswer = self.server.ask(&peer, request).await?;
            body["atHome"] = json!(answer.is_friend.0);
        }
        Ok(body)
    }

    fn act(&self, other: UserId) -> impl FnOnce(Vec<u8>) -> Act + Send + 'static {
        let (user, expires_ms) = (self.caller.user.clone(), self.server.expires_ms());
        move |audit| Act { user, other, expires_ms, audit }
    }

    async fn question(&self, spec: &'static CallSpec, other: &UserId) -> Result<Question, Problem> {
        let facts = match self.server.home_of(other).await? {
            Home::Server(peer) => Some(self.server.peer_facts(&peer)),
            // The rule refuses what has no home.
            Home::Own | Home::Ask(_) | Home::Unknown => None,
        };
        let direction = if facts.is_some() { Direction::Outbound } else { Direction::Internal };
        Ok(gate::call(direction, spec.name, facts, self.caller.user.as_str(), other.as_str()).into())
    }
}

fn after(server: &Arc<Server>, turned: &Turned, generation: u64) {
    server.after(&turned.done, generation);
}

#[allow(clippy::unnecessary_wraps, reason = "the last word of handlers")]
fn stand_view(turned: &Turned) -> Result<Value, Problem> {
    Ok(json!({"stand": turned.stand.as_str()}))
}

fn profile_view(user: &account::User) -> Value {
    json!({"userInfo": user.info(profile::Eyes::Friend), "hidden": user.hidden})
}
