//! A host to test against on the developer's own machine, one per thread (so one per test).
//! A [`TestHost`] holds what the capabilities answer; [`TestHost::install`] makes it this
//! thread's, [`TestHost::written`] tells what a plugin has logged or counted.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::{Call, Diagnostic, Direction, Level, Plugin, Server, glue, settings};

thread_local! {
    static HOST: RefCell<TestHost> = RefCell::default();
}

/// What the host knows and what it was told.
///
/// ```
/// use isthmus_plugin::{lists, testing::TestHost};
/// TestHost::default().list("spam", ["casino"]).install();
/// assert!(lists::known("spam"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct TestHost {
    /// Milliseconds since 1970 UTC.
    pub now_ms: u64,
    /// Entries by list.
    pub lists: HashMap<String, Vec<String>>,
    /// Pairs of users; the order in a pair does not matter.
    pub friends: HashMap<(String, String), bool>,
    /// Pairs of users; the order in a pair does not matter.
    pub same_group: HashMap<(String, String), bool>,
    /// Areas by server.
    pub areas: HashMap<String, String>,
    /// Values by user and name.
    pub attributes: HashMap<(String, String), String>,
    /// Sums by key; the window's passing is the test's to play.
    pub counters: HashMap<String, u64>,
    /// Tokens taken so far by bucket; the test plays its filling by removing the key.
    pub buckets: HashMap<String, u32>,
    /// Lines logged.
    pub logged: Vec<(Level, String)>,
    /// Figures by name.
    pub metrics: HashMap<String, u64>,
}

impl TestHost {
    /// A host with one more list.
    #[must_use]
    pub fn list<'a>(mut self, name: &str, entries: impl IntoIterator<Item = &'a str>) -> Self {
        let entries = entries.into_iter().map(str::to_owned).collect();
        self.lists.insert(name.to_owned(), entries);
        self
    }

    /// Answers for this thread from now on.
    pub fn install(self) {
        HOST.set(self);
    }

    /// This thread's host as it is now.
    pub fn written() -> Self {
        HOST.with_borrow(Clone::clone)
    }
}

/// What the plugin says to these settings (JSON).
pub fn validate<P: Plugin>(json: &str) -> Vec<Diagnostic> {
    glue::validate::<P>(json)
}

/// The plugin made ready with these settings (JSON), as the host does it.
///
/// # Errors
/// What the operator would read.
pub fn init<P: Plugin>(json: &str) -> Result<P, String> {
    let slot = std::sync::OnceLock::new();
    glue::init::<P>(&slot, json)?;
    slot.into_inner().ok_or_else(|| "init left nothing".to_owned())
}

/// Whether the schema is JSON and whether it names every key of the settings given.
pub fn schema_names<P: Plugin>(keys: &[&str]) -> bool {
    let schema: Result<serde_json::Value, _> = settings::parse(P::SCHEMA);
    schema.is_ok_and(|schema| keys.iter().all(|key| !schema["properties"][key].is_null()))
}

/// A call to begin a test with: `message.send`, inbound from `peer` (none if empty), from
/// `alice@north` to `carol@south`, at the beginning of 1970. Change what matters.
pub fn call(peer: &str) -> Call<'_> {
    Call {
        operation: "message.send",
        direction: Direction::Inbound,
        peer: (!peer.is_empty()).then_some(Server { id: peer, area: "", product: "" }),
        actor: "alice@north",
        target: "carol@south",
        time_ms: 0,
        attributes: Vec::new(),
    }
}

/// Answers in the place of the real imports.
pub(crate) mod answering {
    use super::{HOST, HashMap, Level};

    fn pair(of: &HashMap<(String, String), bool>, a: &str, b: &str) -> Option<bool> {
        let (a, b) = (a.to_owned(), b.to_owned());
        of.get(&(a.clone(), b.clone())).or_else(|| of.get(&(b, a))).copied()
    }

    pub(crate) mod log {
        use super::{HOST, Level};
        pub(crate) fn write(level: Level, message: &str) {
            HOST.with_borrow_mut(|host| host.logged.push((level, message.to_owned())));
        }
    }

    pub(crate) mod clock {
        use super::HOST;
        pub(crate) fn now_ms() -> u64 {
            HOST.with_borrow(|host| host.now_ms)
        }
    }

    pub(crate) mod lists {
        use super::HOST;
        pub(crate) fn known(name: &str) -> bool {
            HOST.with_borrow(|host| host.lists.contains_key(name))
        }
        pub(crate) fn contains(name: &str, entry: &str) -> bool {
            entries(name).iter().any(|known| known == entry)
        }
        pub(crate) fn entries(name: &str) -> Vec<String> {
            HOST.with_borrow(|host| host.lists.get(name).cloned().unwrap_or_default())
        }
    }

    pub(crate) mod directory {
        use super::{HOST, pair};
        pub(crate) fn is_friend(user: &str, other: &str) -> Option<bool> {
            HOST.with_borrow(|host| pair(&host.friends, user, other))
        }
        pub(crate) fn same_group(user: &str, other: &str) -> Option<bool> {
            HOST.with_borrow(|host| pair(&host.same_group, user, other))
        }
        pub(crate) fn server_area(server: &str) -> Option<String> {
            HOST.with_borrow(|host| host.areas.get(server).cloned())
        }
        pub(crate) fn user_attribute(user: &str, name: &str) -> Option<String> {
            let key = (user.to_owned(), name.to_owned());
            HOST.with_borrow(|host| host.attributes.get(&key).cloned())
        }
    }

    pub(crate) mod counters {
        use super::HOST;
        pub(crate) fn add(key: &str, amount: u32, _window_ms: u32) -> u64 {
            HOST.with_borrow_mut(|host| {
                let sum = host.counters.entry(key.to_owned()).or_default();
                *sum += u64::from(amount);
                *sum
            })
        }
        pub(crate) fn sum(key: &str, _window_ms: u32) -> u64 {
            HOST.with_borrow(|host| host.counters.get(key).copied().unwrap_or_default())
        }
        pub(crate) fn take(key: &str, tokens: u32, burst: u32, fill_ms: u32) -> u64 {
            HOST.with_borrow_mut(|host| {
                let taken = host.buckets.entry(key.to_owned()).or_default();
                let there = taken.saturating_add(tokens) <= burst;
                *taken += if there { tokens } else { 0 };
                if there { 0 } else { u64::from(fill_ms / burst.max(1)) }
            })
        }
    }

    pub(crate) mod metrics {
        use super::HOST;
        pub(crate) fn count(name: &str, amount: u64) {
            HOST.with_borrow_mut(|host| *host.metrics.entry(name.to_owned()).or_default() += amount);
        }
    }
}
