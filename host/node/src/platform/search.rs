//! The search over all servers (§7.6.1, R17): every normal server is asked, at most so many at a time and so long in all.
//! Nothing is kept, neither of whom was searched for nor of whom was found.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::{HeaderMap, Method};
use isthmus_domain::directory::PAGE;
use isthmus_domain::registry;
use isthmus_net::PeerAddress;
use isthmus_wire::call::USER_SEARCH;
use isthmus_wire::call::user::{Found, Search};
use isthmus_wire::code::{Answer, Code};
use isthmus_wire::{ServerId, ServerInfo, ServerStatus, UserInfo};
use tokio::time::Instant;

use super::State;
use super::merge::{Piece, Shelf, pieces};
use crate::reply::{Problem, chain};

/// Searches at a time.
pub(super) const SEARCHES: usize = 16;
/// Servers asked at a time, for all searches together.
pub(super) const AT_ONCE: usize = 64;
/// What one server may take for an answer.
pub(super) const EACH: Duration = Duration::from_secs(3);
/// What a whole search may take.
const WITHIN: Duration = Duration::from_secs(8);
/// Pages that a server may say it has: 20 million of our users.
const PAGES_MAX: i32 = 1_000_000;
/// Users on a server's page.
const SIZE_MAX: usize = 1000;
/// Servers named in an answer's words.
const NAMED: usize = 8;

/// Places in an answer, and the servers that presented who stands there.
type Homes = Vec<(usize, ServerId)>;

/// One search under way.
struct Round<'a> {
    state: &'a State,
    query: &'a str,
    /// In good standing, in the order of their IDs.
    servers: &'a [ServerInfo],
    /// In whatever standing.
    registered: &'a [ServerId],
    until: Instant,
    /// Pages that have come, by server and number.
    pages: HashMap<(usize, usize), Vec<UserInfo>>,
    /// What each server has found; none of those that did not answer.
    shelves: Vec<Option<Shelf>>,
}

impl State {
    /// One page of everybody's users, by which servers those were presented whose IDs do not say it, and who did not answer.
    ///
    /// # Errors
    /// If storage fails.
    pub(super) async fn search(&self, search: &Search) -> Result<(Found, Homes, Vec<ServerId>), Problem> {
        let _turn =
            self.searches.try_acquire().map_err(|_| Problem::refused(Code::OVERLOADED, "too many searches; retry"))?;
        let all: Vec<ServerInfo> = self.store.read(registry::all)?.into_iter().map(|known| known.info).collect();
        let registered: Vec<ServerId> = all.iter().map(|info| info.server_id.clone()).collect();
        let mut servers = all;
        servers.retain(|info| info.server_status == ServerStatus::Normal);
        servers.sort_by(|a, b| a.server_id.cmp(&b.server_id));
        let mut round = Round {
            state: self,
            query: &search.query,
            servers: &servers,
            registered: &registered,
            until: Instant::now() + WITHIN,
            pages: HashMap::new(),
            shelves: vec![None; servers.len()],
        };
        let silent = round.measure().await;
        let (presented, lost) = round.page(usize::try_from(search.page).unwrap_or(0)).await;
        let total: usize = round.shelves.iter().flatten().map(|shelf| shelf.total()).sum();
        let pages = i32::try_from(total.div_ceil(PAGE)).unwrap_or(i32::MAX);
        let mut missing: Vec<usize> = silent.into_iter().chain(lost).collect();
        missing.sort_unstable();
        missing.dedup();
        let missing = missing.into_iter().map(|server| servers[server].server_id.clone()).collect();
        let named = |server: usize, info: &UserInfo| {
            let id = &servers[server].server_id;
            info.user_id.home_hint().is_some_and(|hint| id.is(hint))
        };
        let unsaid = presented.iter().enumerate().filter(|(_, (server, info))| !named(*server, info));
        let homes = unsaid.map(|(place, (server, _))| (place, servers[*server].server_id.clone())).collect();
        let user_infos = presented.into_iter().map(|(_, info)| info).collect();
        Ok((Found { pages, page: search.page, user_infos }, homes, missing))
    }
}

impl Round<'_> {
    /// Finds out how many users each server has found: by its first page and, if there are more, its last. Answers who did
    /// not say.
    async fn measure(&mut self) -> Vec<usize> {
        let everybody: Vec<(usize, usize)> = (0..self.servers.len()).map(|server| (server, 0)).collect();
        let first = self.fetch(&everybody).await;
        let mut more = Vec::new();
        for (server, found) in &first {
            let (size, pages) = (found.user_infos.len(), found.pages.clamp(0, PAGES_MAX));
            let pages = if size == 0 { 0 } else { usize::try_from(pages).unwrap_or(0).max(1) };
            self.shelves[*server] = Some(Shelf { size, pages, last: size });
            if pages > 1 {
                more.push((*server, pages - 1));
            }
        }
        let last = self.fetch(&more).await;
        for (server, page) in more {
            // Whose last page does not come is left out whole: nobody could say where the next server's users begin.
            let found = last.iter().find(|(of, _)| *of == server).map(|(_, found)| found.user_infos.len());
            self.shelves[server] = match (self.shelves[server], found) {
                (Some(shelf), Some(last)) if last <= shelf.size => Some(Shelf { pages: page + 1, last, ..shelf }),
                _ => None,
            };
        }
        (0..self.servers.len()).filter(|server| self.shelves[*server].is_none()).collect()
    }

    /// The users on one page of the whole, each with its server, and whose did not come.
    async fn page(&mut self, page: usize) -> (Vec<(usize, UserInfo)>, Vec<usize>) {
        let shelves: Vec<Shelf> =
            self.shelves.iter().map(|shelf| shelf.unwrap_or(Shelf { size: 0, pages: 0, last: 0 })).collect();
        let wanted = pieces(&shelves, page.saturating_mul(PAGE), PAGE);
        let missing: Vec<(usize, usize)> =
            wanted.iter().map(|p| (p.shelf, p.page)).filter(|place| !self.pages.contains_key(place)).collect();
        self.fetch(&missing).await;
        let mut infos = Vec::with_capacity(PAGE);
        let mut lost = Vec::new();
        for Piece { shelf, page, skip, take } in wanted {
            match self.pages.get(&(shelf, page)) {
                Some(found) => {
                    let own = found.iter().skip(skip).take(take).filter(|info| self.may_present(shelf, info));
                    infos.extend(own.map(|info| (shelf, info.clone())));
                }
                None => lost.push(shelf),
            }
        }
        (infos, lost)
    }

    /// R12: nobody presents users whose ID names another registered server.
    fn may_present(&self, server: usize, info: &UserInfo) -> bool {
        let Some(hint) = info.user_id.home_hint() else { return true };
        self.servers[server].server_id.is(hint) || !self.registered.iter().any(|id| id.is(hint))
    }

    /// Asks for pages, many at a time, until the end of the search; what comes is kept in `pages` too.
    async fn fetch(&mut self, places: &[(usize, usize)]) -> Vec<(usize, Found)> {
        let (state, query, servers) = (self.state, self.query, self.servers);
        let mut asking: FuturesUnordered<_> = places
            .iter()
            .map(|(server, page)| async move {
                let found = ask(state, &servers[*server], query, *page).await;
                (*server, *page, found)
            })
            .collect();
        let mut come = Vec::new();
        while let Ok(Some((server, page, found))) = tokio::time::timeout_at(self.until, asking.next()).await {
            if let Some(found) = found {
                self.pages.insert((server, page), found.user_infos.clone());
                come.push((server, found));
            }
        }
        come
    }
}

async fn ask(state: &State, server: &ServerInfo, query: &str, page: usize) -> Option<Found> {
    let _turn = state.searching.acquire().await.ok()?;
    let search = Search { query: query.to_owned(), page: i32::try_from(page).ok()? };
    let address = PeerAddress::server(&server.server_id, &server.server_address).ok()?;
    let path = format!("{}?{}", USER_SEARCH.path, search.to_query());
    let answer = state.peers.send(&address, Method::GET, &path, Bytes::new(), HeaderMap::new()).await;
    let answer = answer.map_err(|error| {
        tracing::info!(server = %server.server_id, error = chain(&error), "a server did not answer a search");
    });
    let answer = Answer::<Found>::read(&answer.ok()?.body).ok()?;
    let found = answer.body.filter(|_| answer.code == Code::Success)?;
    (found.user_infos.len() <= SIZE_MAX).then_some(found)
}

/// `success`, or who did not answer.
pub(super) fn words(missing: &[ServerId]) -> String {
    if missing.is_empty() {
        return "success".to_owned();
    }
    let named: Vec<&str> = missing.iter().take(NAMED).map(ServerId::as_str).collect();
    let more = missing.len().saturating_sub(NAMED);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("partial: no answer from {}{rest}", named.join(", "))
}
