//! What the host knows of users and servers, as plugins with the `directory` grant may ask it.

use crate::sandbox::now_ms;

/// Answers to the `directory` capability. `None` always means: not known here.
///
/// Called on the thread that runs the plugin, within the plugin's time limit: look it up in
/// memory or in the local database, never across the network.
pub trait Services: Send + Sync {
    /// Whether two users are friends (R18).
    fn is_friend(&self, user: &str, other: &str) -> Option<bool>;
    /// Whether two users share a group.
    fn same_group(&self, user: &str, other: &str) -> Option<bool>;
    /// `area` of a server's registration (T/CIIA 003—2019 §7.2).
    fn server_area(&self, server: &str) -> Option<String>;
    /// A named attribute of a user.
    fn user_attribute(&self, user: &str, name: &str) -> Option<String>;
    /// The time for `clock` and `counters`, in milliseconds since 1970 UTC: the system's, save in table tests.
    fn now_ms(&self) -> u64 {
        now_ms()
    }
}

/// Knows nothing: for tools and tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoServices;

impl Services for NoServices {
    fn is_friend(&self, _: &str, _: &str) -> Option<bool> {
        None
    }
    fn same_group(&self, _: &str, _: &str) -> Option<bool> {
        None
    }
    fn server_area(&self, _: &str) -> Option<String> {
        None
    }
    fn user_attribute(&self, _: &str, _: &str) -> Option<String> {
        None
    }
}
