//! Users as others see them (§7.6.2, §7.6.6): local searches, and what other servers say of theirs.

use std::sync::Arc;
use std::time::Duration;

use isthmus_domain::directory::Query;
use isthmus_domain::speaker::{self, Claim};
use isthmus_domain::{Error, profile};
use isthmus_policy::{Direction, Item};
use isthmus_store::StoreError;
use isthmus_wire::call::user::{Details, DetailsAnswer, Found, Search};
use isthmus_wire::call::{USER_DETAILS, USER_SEARCH};
use isthmus_wire::code::Code;
use isthmus_wire::{ServerId, UserId, UserInfo};
use tokio::sync::OwnedSemaphorePermit;

use super::Server;
use super::ask::Request;
use super::gate::{self, Question, Ruling};
use crate::reply::Problem;

/// How long a search waits for its turn.
const SEARCH_WAIT: Duration = Duration::from_secs(2);
/// Infos that one answer of a server may hold: ten of our pages.
const INFOS_MAX: usize = 200;
/// serverIds that the platform is asked about for one answer.
const ASKS_MAX: usize = 3;

/// The texts of a request that the content policy judges, and where each stands.
#[derive(Default)]
pub(crate) struct Texts {
    pub(crate) items: Vec<Item>,
    places: Vec<Place>,
}

#[derive(Clone, Copy)]
enum Place {
    Name,
    About,
    Words,
}

impl Texts {
    /// Name and own words of a user.
    pub(crate) fn of(info: &UserInfo) -> Texts {
        let mut texts = Texts::default();
        texts.add(Place::Name, "profile.text", Some(&info.name));
        texts.add(Place::About, "profile.text", info.remark.as_deref());
        texts
    }

    /// And the words with a friend's request.
    pub(crate) fn and_words(mut self, words: Option<&str>) -> Texts {
        self.add(Place::Words, "friend.remark", words);
        self
    }

    fn add(&mut self, place: Place, kind: &'static str, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.items.push(gate::text(kind, text));
            self.places.push(place);
        }
    }

    /// Puts the items into a question; what is left says where a rewritten one belongs.
    pub(crate) fn ask(self, question: &mut Question) -> Rewriter {
        question.items.extend(self.items);
        Rewriter(self.places)
    }
}

/// Puts rewritten texts back.
pub(crate) struct Rewriter(Vec<Place>);

impl Rewriter {
    pub(crate) fn put(&self, info: &mut UserInfo, words: Option<&mut Option<String>>, index: usize, text: String) {
        match (self.0.get(index), words) {
            (Some(Place::Name), _) => info.name = text,
            (Some(Place::About), _) => info.remark = Some(text),
            (Some(Place::Words), Some(words)) => *words = Some(text),
            (Some(Place::Words), None) | (None, _) => {}
        }
    }
}

/// One page of users, and what is to be said of it.
pub(crate) struct Page {
    pub(crate) found: Found,
    /// Who did not answer, in the platform's words.
    pub(crate) note: Option<String>,
}

impl Server {
    /// A page of local users. `viewer`: the local user who asks.
    ///
    /// # Errors
    /// 1002 for an empty query, 1302 if too many searches wait.
    pub(crate) async fn find_here(self: &Arc<Self>, search: &Search, viewer: Option<UserId>) -> Result<Found, Problem> {
        let (query, page) = (Query::parse(&search.query)?, search.page);
        let turn = self.search_turn().await?;
        let server = self.clone();
        let searched = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            server.people.page(&server.store.view()?, &query, page, viewer.as_ref())
        });
        Ok(searched.await.map_err(Problem::fault)??)
    }

    /// Waits for a place among the searches.
    pub(crate) async fn search_turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let overloaded = |_| Problem::refused(Code::OVERLOADED, "too many searches; retry");
        let turn = tokio::time::timeout(SEARCH_WAIT, self.searches.clone().acquire_owned());
        turn.await.map_err(overloaded)?.map_err(Problem::fault)
    }

    /// A page of another server's users.
    ///
    /// # Errors
    /// 1102, 1303, or the server's own refusal.
    pub(crate) async fn find_at(
        self: &Arc<Self>,
        peer: &ServerId,
        search: &Search,
        viewer: &UserId,
    ) -> Result<Page, Problem> {
        Query::parse(&search.query)?;
        self.clear_search(Some(peer), search, viewer).await?;
        let mut found: Found = self.ask(peer, Request::get(&USER_SEARCH, search.to_query())).await?;
        let infos = found.user_infos.into_iter().map(|info| (Some(peer), info));
        found.user_infos = self.admit_infos(infos, viewer).await?;
        Ok(Page { found, note: None })
    }

    /// A page of everybody's users, by way of the platform (R17).
    ///
    /// # Errors
    /// 1102, or 1303 if the platform does not answer.
    pub(crate) async fn find_everywhere(self: &Arc<Self>, search: &Search, viewer: &UserId) -> Result<Page, Problem> {
        Query::parse(&search.query)?;
        self.clear_search(None, search, viewer).await?;
        let (mut found, presented, msg) = self.addresses.platform().search(search).await.map_err(|error| {
            tracing::info!(%error, "the platform did not search");
            Problem::refused(Code::PEER_UNREACHABLE, "the platform could not be asked; search on one server instead")
        })?;
        let infos = found.user_infos.into_iter().enumerate().map(|(place, info)| (presented.get(&place), info));
        found.user_infos = self.admit_infos(infos, viewer).await?;
        Ok(Page { found, note: msg })
    }

    async fn clear_search(&self, peer: Option<&ServerId>, search: &Search, viewer: &UserId) -> Result<(), Problem> {
        let facts = peer.map(|peer| self.peer_facts(peer));
        let call = gate::call(Direction::Outbound, USER_SEARCH.name, facts, viewer.as_str(), "");
        let mut question = Question::from(call);
        question.fields.push(("query".to_owned(), search.query.clone()));
        if peer.is_none() {
            question.call.attributes.push(("by".to_owned(), "platform".to_owned()));
        }
        let cleared = self.clear(question, (), |(), _, _| ()).await?;
        self.looked(cleared).await;
        Ok(())
    }

    /// What other servers, if it is known which, say of users, as far as they may say it (R12) and the content policy lets it in. Who is left is
    /// remembered to be at home there (R11). Phone numbers are shown to friends only.
    async fn admit_infos(
        self: &Arc<Self>,
        infos: impl IntoIterator<Item = (Option<&ServerId>, UserInfo)>,
        viewer: &UserId,
    ) -> Result<Vec<UserInfo>, Problem> {
        let mut admitted = Vec::new();
        let mut asks = ASKS_MAX;
        for (peer, info) in infos.into_iter().take(INFOS_MAX) {
            if let Some(peer) = peer
                && !self.may_present(peer, &info.user_id, &mut asks).await?
            {
                continue;
            }
            if let Some(info) = self.pass_info(peer, info, viewer).await? {
                admitted.push(info);
            }
        }
        Ok(admitted)
    }

    /// Whether `peer` is the home of this user, or the first that presents it. `asks`: how often the platform may yet be
    /// asked whether an ID names a server.
    async fn may_present(&self, peer: &ServerId, id: &UserId, asks: &mut usize) -> Result<bool, Problem> {
        let look = || {
            self.store.read(|view| match speaker::may_speak(view, &self.id, peer, id, "userID") {
                Ok(claim) => Ok(Ok(claim)),
                Err(Error::Refused(refusal)) => Ok(Err(refusal.code)),
                Err(Error::Fault(fault)) => Err(fault),
            })
        };
        let mut claim = look()?;
        if claim == Err(Code::Overloaded) && *asks > 0 {
            *asks -= 1;
            self.home_of(id).await?;
            claim = look()?;
        }
        match claim {
            Err(_) => Ok(false),
            Ok(Claim::Settled) => Ok(true),
            Ok(Claim::First) => {
                let (own, peer, id) = (self.id.clone(), peer.clone(), id.clone());
                let claim = move |tx: &mut isthmus_store::Tx<'_>| speaker::claim(tx, &own, &peer, &id, "userID");
                Ok(self.store.write(claim).await.is_ok())
            }
        }
    }

    async fn pass_info(
        &self,
        peer: Option<&ServerId>,
        mut info: UserInfo,
        viewer: &UserId,
    ) -> Result<Option<UserInfo>, Problem> {
        let facts = peer.map(|peer| self.peer_facts(peer));
        let call = gate::call(Direction::Inbound, "user.profile", facts, info.user_id.as_str(), viewer.as_str());
        let mut question = Question::from(call);
        let rewriter = Texts::of(&info).ask(&mut question);
        if !self.is_friend(viewer, &info.user_id)? {
            info.phone_number = None;
        }
        match self.gate.rule(question, info, |info, index, text| rewriter.put(info, None, index, text)).await? {
            Ruling::Cleared(cleared) => Ok(Some(cleared.into_parts().0)),
            Ruling::Held(cleared, reason) => {
                let _left_out = self.no_quarantine(cleared, reason).await;
                Ok(None)
            }
            Ruling::Refused(refusal, trail) => {
                let _left_out = self.refused(refusal, &trail).await;
                Ok(None)
            }
        }
    }

    /// Whether the other one is a friend of a local user.
    pub(crate) fn is_friend(&self, user: &UserId, other: &UserId) -> Result<bool, StoreError> {
        self.store.read(|view| isthmus_domain::friend::is_friend(view, user, other))
    }

    /// A local user as `viewer`, a local user, sees it.
    pub(crate) fn details_here(&self, id: &UserId, viewer: &UserId) -> Result<Option<UserInfo>, Problem> {
        let view = self.store.view()?;
        let Some(id) = isthmus_domain::account::local_id(&self.id, id) else { return Ok(None) };
        let eyes = isthmus_domain::directory::eyes(&view, Some(viewer), &id)?;
        Ok(profile::details(&view, &self.id, &id, eyes)?)
    }

    /// Another server's user. A friend's phone number is known from the answer that began the friendship.
    ///
    /// # Errors
    /// 1004 if there is none, 1102, 1303, or the server's own refusal.
    pub(crate) async fn details_at(
        self: &Arc<Self>,
        peer: &ServerId,
        id: &UserId,
        viewer: &UserId,
    ) -> Result<UserInfo, Problem> {
        let facts = Some(self.peer_facts(peer));
        let call = gate::call(Direction::Outbound, USER_DETAILS.name, facts, viewer.as_str(), id.as_str());
        let cleared = self.clear(call.into(), (), |(), _, _| ()).await?;
        self.looked(cleared).await;
        let details = Details { user_id: id.clone() };
        let answer: DetailsAnswer = self.ask(peer, Request::get(&USER_DETAILS, details.to_query())).await?;
        let info = answer.user_info.filter(|info| info.user_id == *id);
        let admitted = self.admit_infos(info.map(|info| (Some(peer), info)), viewer).await?.pop();
        let mut info = admitted.ok_or_else(|| Problem::refused(Code::NOT_FOUND, format!("there is no user {id}")))?;
        let link = self.store.read(|view| isthmus_domain::friend::find(view, viewer, id))?;
        let known = link.filter(|link| link.stand == isthmus_domain::friend::Stand::Friends).and_then(|link| link.info);
        info.phone_number = info.phone_number.or_else(|| known.and_then(|known| known.phone_number));
        Ok(info)
    }
}
