//! The harness of the whole-system tests: a platform and servers that run in this process on free ports, clients and peers as
//! values, and an end that looks at what was left behind.
//!
//! | module | holds |
//! |---|---|
//! | [`world`] | a platform and its servers; [`World::finish`] asserts: lanes empty, audit logs whole, no fault logged |
//! | [`client`] | a user at a device: log in, send, inbox, socket |
//! | [`console`] | an administrator in a browser |
//! | [`peer`] | another server's voice, with any certificate, and a whole other server that answers as a script says |
//! | [`openapi`] | the interfaces' descriptions; every answer that a test gets is held against them |
//! | [`pki`] | certificates that R13 does not allow |
//! | [`bundle`] | policy bundles |
//! | [`process`] | roles as child processes, to be killed |
//! | [`frozen`] | single threads of such a process, made to stand still |

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a harness: whatever it cannot do fails the test, and its names are read beside the tests that use them"
)]

pub mod bundle;
pub mod client;
pub mod console;
pub mod frozen;
pub mod openapi;
pub mod peer;
pub mod pki;
pub mod process;
pub mod site;
pub mod world;

mod quiet;
mod warm;

pub use client::{Client, Ear, Event, Refused, Sent};
pub use console::Console;
pub use isthmus_node::admin_token::Role;
pub use peer::{FakePeer, Peer, Reply, chat, text_message};
pub use site::Site;
pub use world::{Plan, World};

use std::time::{Duration, Instant};

/// How long anything that should happen may take on a crowded machine.
pub const SOON: Duration = Duration::from_secs(30);

/// Waits until `look` finds something, at most [`SOON`].
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < SOON, "not within {SOON:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
