//! The host's capabilities. A plugin's component imports only those that it calls; each must be
//! granted in the bundle. Outside WebAssembly, [`crate::testing`] answers.

#[cfg(target_arch = "wasm32")]
use crate::bindings::imports::isthmus::policy as answering;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::answering;

/// Messages to the operator's log (grant `log`). Bounded in number and size per call.
///
/// ```
/// use isthmus_plugin::{Level, log, testing::TestHost};
/// log::write(Level::Info, "ready");
/// assert_eq!(TestHost::written().logged.len(), 1);
/// ```
pub mod log {
    use super::answering;
    use crate::Level;

    /// Writes one line.
    pub fn write(level: Level, message: &str) {
        answering::log::write(level, message);
    }

    /// Lets a panic say in the operator's log what and where it was. Call it first in `init`;
    /// without it the host only sees that the plugin trapped.
    pub fn panics() {
        std::panic::set_hook(Box::new(|panic| write(Level::Error, &panic.to_string())));
    }
}

/// Time (grant `clock`).
///
/// ```
/// use isthmus_plugin::{clock, testing::TestHost};
/// TestHost { now_ms: 1_700_000_000_000, ..TestHost::default() }.install();
/// assert_eq!(clock::now_ms(), 1_700_000_000_000);
/// ```
pub mod clock {
    use super::answering;

    /// Milliseconds since 1970 UTC. Asked in `init` it says when the snapshot was taken.
    pub fn now_ms() -> u64 {
        answering::clock::now_ms()
    }
}

/// Named lists of the bundle, `lists/NAME.txt` (grant `lists`).
///
/// ```
/// use isthmus_plugin::{lists, testing::TestHost};
/// TestHost::default().list("spam", ["casino"]).install();
/// assert!(lists::contains("spam", "casino") && !lists::contains("other", "casino"));
/// ```
pub mod lists {
    use super::answering;
    use crate::Diagnostic;

    /// Whether the bundle has a list of this name; [`crate::Plugin::check`] may ask.
    pub fn known(name: &str) -> bool {
        answering::lists::known(name)
    }

    /// An error for the setting at `pointer` if it names a list that the bundle does not have.
    ///
    /// ```
    /// use isthmus_plugin::{lists, testing::TestHost};
    /// TestHost::default().list("spam", ["casino"]).install();
    /// assert!(lists::must_exist("spam", "/list").is_none());
    /// assert!(lists::must_exist("spma", "/list").is_some());
    /// ```
    pub fn must_exist(name: &str, pointer: impl Into<String>) -> Option<Diagnostic> {
        let missing = || Diagnostic::error(pointer, format!("the bundle has no list `{name}` (lists/{name}.txt)"));
        (!known(name)).then(missing)
    }

    /// Whether the list holds exactly this entry. False for an unknown list.
    pub fn contains(name: &str, entry: &str) -> bool {
        answering::lists::contains(name, entry)
    }

    /// All entries in the file's order, none for an unknown list. Meant for `init`.
    pub fn entries(name: &str) -> Vec<String> {
        answering::lists::entries(name)
    }
}

/// What the host knows of users and servers (grant `directory`). `None`: not known here.
///
/// ```
/// use isthmus_plugin::directory;
/// assert_eq!(directory::is_friend("alice@north", "carol@south"), None);
/// ```
pub mod directory {
    use super::answering;

    /// Whether two users are friends.
    pub fn is_friend(user: &str, other: &str) -> Option<bool> {
        answering::directory::is_friend(user, other)
    }

    /// Whether two users are in one group.
    pub fn same_group(user: &str, other: &str) -> Option<bool> {
        answering::directory::same_group(user, other)
    }

    /// `area` of a server's registration.
    pub fn server_area(server: &str) -> Option<String> {
        answering::directory::server_area(server)
    }

    /// A named attribute of a user.
    pub fn user_attribute(user: &str, name: &str) -> Option<String> {
        answering::directory::user_attribute(user, name)
    }
}

/// Counters and token buckets that the host owns; they survive a swap of the policy (grant `counters`).
///
/// ```
/// use isthmus_plugin::counters;
/// assert_eq!(counters::add("failed\0alice", 1, 60_000), 1);
/// // Two at once, and one more every half second:
/// assert_eq!(counters::take("alice", 1, 2, 1_000), 0);
/// assert_eq!(counters::take("alice", 1, 2, 1_000), 0);
/// assert_eq!(counters::take("alice", 1, 2, 1_000), 500);
/// ```
pub mod counters {
    use super::answering;

    /// Adds over a sliding window of milliseconds and returns the new sum.
    pub fn add(key: &str, amount: u32, window_ms: u32) -> u64 {
        answering::counters::add(key, amount, window_ms)
    }

    /// The sum over the window, unchanged.
    pub fn sum(key: &str, window_ms: u32) -> u64 {
        answering::counters::sum(key, window_ms)
    }

    /// Takes tokens out of a bucket that holds at most `burst` and fills from empty to full within `fill_ms`.
    /// 0: taken; otherwise the milliseconds to wait, and nothing was taken.
    pub fn take(key: &str, tokens: u32, burst: u32, fill_ms: u32) -> u64 {
        answering::counters::take(key, tokens, burst, fill_ms)
    }
}

/// Figures of the plugin's own on the server's `/metrics` (grant `metrics`).
///
/// ```
/// use isthmus_plugin::{metrics, testing::TestHost};
/// metrics::count("links", 1);
/// assert_eq!(TestHost::written().metrics["links"], 1);
/// ```
pub mod metrics {
    use super::answering;

    /// Adds to a counter.
    pub fn count(name: &str, amount: u64) {
        answering::metrics::count(name, amount);
    }
}
