//! Search among local users (§7.6.2, R14).
//!
//! Profiles are sealed at rest, so a search cannot look at rows: the names are held in memory, in the order of the userIDs,
//! read once at the start and changed after each commit that changes a user. A search goes through all of them (about
//! 200 bytes and a tenth of a microsecond each: 100,000 users are 20 MB and some ten milliseconds) in steps, so that a
//! change never waits for more than one step. What is shown comes from the rows, as they are then.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use isthmus_store::{Reader, StoreError};
use isthmus_wire::call::user::Found;
use isthmus_wire::{Code, Refusal, UserId};
use memchr::memmem::Finder;

use crate::account::{self, User};
use crate::friend;
use crate::profile::{self, Eyes};

/// Users on a page.
pub const PAGE: usize = 20;
/// Entries looked at before a change gets its turn.
const STEP: usize = 1024;

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// A name, userID or phone number, whole.
    Exact {
        /// As it was given.
        text: String,
        /// As a userID: the server's part in lower case (R13).
        id: String,
        /// As a phone number, if it can be one.
        number: Option<String>,
    },
    /// A part of a name or the beginning of a userID, without regard to case.
    Fuzzy {
        /// In lower case.
        folded: String,
    },
}

impl Query {
    /// Reads the parameter `query`: in double quotes it is exact.
    ///
    /// # Errors
    /// 1002 if there is nothing to be searched for.
    pub fn parse(text: &str) -> Result<Query, Refusal> {
        let text = text.trim();
        let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        if quoted.unwrap_or(text).trim().is_empty() {
            return Err(Refusal::field(Code::MissingField, "query", "is missing or empty"));
        }
        Ok(match quoted {
            Some(text) => {
                Query::Exact { text: text.to_owned(), id: fold_id(text), number: profile::plain_number(text) }
            }
            None => Query::Fuzzy { folded: fold(text) },
        })
    }
}

/// Lower case, letter by letter: what a letter becomes must not hang on its neighbours, or parts of a word would not be
/// found in it (a Greek sigma at the end of a word).
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

fn fold_id(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((local, server)) => format!("{local}@{}", server.to_ascii_lowercase()),
        None => text.to_owned(),
    }
}

struct Entry {
    id: UserId,
    /// None where it is the folded one.
    name: Option<Box<str>>,
    folded: Box<str>,
    number: Option<Box<str>>,
}

impl Entry {
    fn of(user: &User) -> Entry {
        let folded = fold(&user.name).into_boxed_str();
        let name = (*folded != *user.name).then(|| user.name.clone().into_boxed_str());
        let number = user.phone_number.clone().map(String::into_boxed_str);
        Entry { id: user.id.clone(), name, folded, number }
    }
}

/// What a query looks for in an entry.
enum Sought<'q> {
    Exact { text: &'q str, id: &'q str, number: Option<&'q str> },
    Fuzzy { id: &'q str, name: Box<Finder<'q>> },
}

impl Sought<'_> {
    fn of(query: &Query) -> Sought<'_> {
        match query {
            Query::Exact { text, id, number } => Sought::Exact { text, id, number: number.as_deref() },
            Query::Fuzzy { folded } => Sought::Fuzzy { id: folded, name: Box::new(Finder::new(folded)) },
        }
    }

    fn is(&self, key: &str, entry: &Entry) -> bool {
        match self {
            Sought::Exact { text, id, number } => {
                entry.name.as_deref().unwrap_or(&entry.folded) == *text
                    || key == *id
                    || number.is_some_and(|number| entry.number.as_deref() == Some(number))
            }
            Sought::Fuzzy { id, name } => key.starts_with(*id) || name.find(entry.folded.as_bytes()).is_some(),
        }
    }
}

/// The users whom search may find: neither hidden nor disabled.
#[derive(Default)]
pub struct Index {
    entries: RwLock<BTreeMap<Arc<str>, Entry>>,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hits {
    /// How many users there are in all.
    pub total: usize,
    /// Those on the page, in the order of their IDs.
    pub ids: Vec<UserId>,
}

impl Index {
    /// Reads all users.
    ///
    /// # Errors
    /// If storage fails.
    pub fn open(reader: &(impl Reader + ?Sized)) -> Result<Index, StoreError> {
        let index = Index::default();
        account::list_users(reader)?.iter().for_each(|user| index.put(user));
        Ok(index)
    }

    /// A user is new or has changed. To be called after the commit, in commit order.
    pub fn put(&self, user: &User) {
        let key: Arc<str> = fold_id(user.id.as_str()).into();
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if user.hidden || user.disabled {
            entries.remove(&key);
        } else {
            entries.insert(key, Entry::of(user));
        }
    }

    /// How many users can be found.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nobody can be found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks for users; `page` counts from 0.
    #[must_use]
    pub fn search(&self, query: &Query, page: usize) -> Hits {
        let sought = Sought::of(query);
        let first = page.saturating_mul(PAGE);
        let (mut total, mut ids) = (0, Vec::new());
        let mut from: Option<Arc<str>> = None;
        loop {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            let start = from.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let (mut seen, mut last) = (0, None);
            for (key, entry) in entries.range::<str, _>((start, Bound::Unbounded)).take(STEP) {
                if sought.is(key, entry) {
                    if total >= first && ids.len() < PAGE {
                        ids.push(entry.id.clone());
                    }
                    total += 1;
                }
                (seen, last) = (seen + 1, Some(key));
            }
            match last {
                Some(key) if seen == STEP => from = Some(Arc::clone(key)),
                Some(_) | None => return Hits { total, ids },
            }
        }
    }

    /// The answer to a search (§7.6.2). `viewer`: the local user who asks; its friends' phone numbers are shown to it.
    ///
    /// # Errors
    /// If storage fails.
    pub fn page(
        &self,
        reader: &(impl Reader + ?Sized),
        query: &Query,
        page: i32,
        viewer: Option<&UserId>,
    ) -> Result<Found, StoreError> {
        let hits = self.search(query, usize::try_from(page).unwrap_or(0));
        let mut user_infos = Vec::with_capacity(hits.ids.len());
        for id in &hits.ids {
            let Some(user) = account::find_user(reader, id)?.filter(|u| !u.hidden && !u.disabled) else { continue };
            user_infos.push(user.info(eyes(reader, viewer, id)?));
        }
        let pages = i32::try_from(hits.total.div_ceil(PAGE)).unwrap_or(i32::MAX);
        Ok(Found { pages, page, user_infos })
    }
}

/// As whom `viewer` sees a local user. A user is its own friend.
///
/// # Errors
/// If storage fails.
pub fn eyes(reader: &(impl Reader + ?Sized), viewer: Option<&UserId>, user: &UserId) -> Result<Eyes, StoreError> {
    let Some(viewer) = viewer else { return Ok(Eyes::Stranger) };
    let friend = viewer == user || friend::is_friend(reader, user, viewer)?;
    Ok(if friend { Eyes::Friend } else { Eyes::Stranger })
}
