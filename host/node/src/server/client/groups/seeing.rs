//! What a user sees of groups: the own ones, those that search finds, details, members, messages.

use isthmus_domain::Error;
use isthmus_domain::group::{self, log, member, open, view};
use isthmus_policy::Direction;
use isthmus_wire::call::group::{Found, History, HistoryAnswer, Member};
use isthmus_wire::call::user::Search;
use isthmus_wire::call::{GROUP_HISTORY, GROUP_INFO, GROUP_SEARCH};
use isthmus_wire::code::{Code, Refusal};
use isthmus_wire::{GroupId, MessageId, MessageInfo, ServerId, query};
use serde_json::{Value, json};

use super::{At, OfUser, group_view};
use crate::clock;
use crate::reply::Problem;
use crate::request::param;
use crate::server::ask::Request;
use crate::server::gate::{self, Question};

impl OfUser<'_> {
    pub(super) fn mine(&self) -> Result<Value, Problem> {
        let view = self.server().store.view()?;
        let mut groups = Vec::new();
        for group in member::groups_of(&view, self.id())? {
            let me = member::get(&view, &group, self.id())?;
            groups.push(group_view(&group, me.as_ref()));
        }
        Ok(json!({"groups": groups}))
    }

    /// `scope`: `local` (the default) or `server:<serverId>`.
    pub(super) async fn search(&self) -> Result<Value, Problem> {
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
            At::There(home) => self.find_at(home, &search).await?,
        };
        self.server().looked(cleared).await;
        let (pages, page) = (found.pages.unwrap_or(0), found.page.unwrap_or(search.page));
        Ok(json!({"pages": pages, "page": page, "groups": found.groups}))
    }

    async fn find_at(&self, home: &ServerId, search: &Search) -> Result<Found, Problem> {
        let mut found: Found = self.server().ask(home, Request::get(&GROUP_SEARCH, search.to_query())).await?;
        self.server().admit_groups(self.server().told(home, &GROUP_SEARCH, ""), &mut found.groups).await?;
        Ok(found)
    }

    /// Invitations to answer, and applications that wait for a decision.
    pub(super) fn pending(&self) -> Result<Value, Problem> {
        let open = self.server().store.read(|view| open::list(view, self.id(), clock::now_ms()))?;
        let shown = open.iter().map(|open| {
            let kind = if open.by.is_some() { "invitation" } else { "application" };
            json!({"kind": kind, "groupID": open.group, "groupInfo": open.info, "user": open.by,
                "expiresMs": open.expires_ms})
        });
        Ok(json!({"pending": shown.collect::<Vec<_>>()}))
    }

    pub(super) async fn info(&self) -> Result<Value, Problem> {
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
        let mut details = info.group_info.ok_or_else(|| {
            Problem::from(Refusal::field(Code::NOT_FOUND, "groupID", format_args!("there is no group {group}")))
        })?;
        self.server().admit_groups(self.server().told(&home, &GROUP_INFO, group.as_str()), [&mut details]).await?;
        Ok(json!({"groupInfo": details, "grpset": info.grpset, "server": home}))
    }

    pub(super) fn members(&self) -> Result<Value, Problem> {
        let (group, view) = (self.group()?, self.server().store.view()?);
        let group = view::for_user(&view, &group, self.id(), true)?;
        let members: Vec<Member> = member::all(&view, &group)?.into_iter().map(member::Member::shown).collect();
        Ok(json!({"members": members}))
    }

    /// What lies here; a mirror asks its main server for what is older than its members' time.
    pub(super) async fn history(&self) -> Result<Value, Problem> {
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
}

/// `messageID` and `size` of a client's question, from the newest if it says nothing.
fn defaults(query: &str) -> Result<String, Problem> {
    let message = param(query, "messageID")?.unwrap_or_else(|| view::NONE.to_owned());
    let size = param(query, "size")?.unwrap_or_else(|| "-50".to_owned());
    Ok(format!("messageID={}&size={}", isthmus_wire::path::encode(&message), isthmus_wire::path::encode(&size)))
}
