//! The role of an IM server (§5.3): users of its own, other servers, an operator's policy.

mod accounts;
mod act;
mod acts;
mod addresses;
mod admin;
mod antechamber;
mod ask;
pub(crate) mod audit_search;
mod bag;
mod batch;
mod channel;
mod client;
mod enroll;
mod explain;
mod figures;
mod files;
mod gate;
mod groups;
mod identity;
mod link;
mod outbox;
mod people;
mod policies;
mod postman;
mod push;
mod recall;
mod receive;
mod registry;
mod renewal;
mod replays;
mod road;
mod send;
mod session;
mod sns;
mod socket;
mod stage;
mod start;
mod tally;
mod texts;
mod trail;
mod turn;
mod users;
mod watch;

use std::sync::Arc;

use isthmus_domain::directory::Index;
use isthmus_domain::{Scene, account, friend};
use isthmus_net::{Connections, PeerClient};
use isthmus_policy::{Policy, Services};
use isthmus_store::{Store, StoreError};
use isthmus_wire::code::Refusal;
use isthmus_wire::{ServerId, UserId};
use tokio::sync::Semaphore;

pub use enroll::EnrollError;
pub use start::{RunningServer, StartError, listener_ca, run};

use crate::administrators::Administrators;
use crate::clock;
use crate::config::ServerConfig;
use crate::password::Passwords;
use crate::reply::{Problem, chain};
use crate::route::Route;
use addresses::Addresses;
use channel::Channel;
use files::Files;
use gate::Gate;
use groups::Groups;
use outbox::Outbox;
use push::{Hub, Pushed};
use replays::Replays;
use session::{Acks, Sessions};
use stage::Stage;
use tally::Tally;
use trail::Trail;

/// Every route of the client listener: what `docs/openapi/client.json` describes.
///
/// # Errors
/// Rows that contradict each other; no server starts with them.
pub fn client_routes() -> Result<Vec<Route>, matchit::InsertError> {
    Ok(client::table()?.into_routes())
}

/// Every route of the admin listener: what `docs/openapi/admin.json` describes.
///
/// # Errors
/// As [`client_routes`].
pub fn admin_routes() -> Result<Vec<Route>, matchit::InsertError> {
    Ok(admin::table()?.into_routes())
}

/// Everything that the handlers of one server share.
pub struct Server {
    config: ServerConfig,
    id: ServerId,
    store: Store,
    policy: Arc<Policy>,
    gate: Gate,
    replays: Replays,
    hub: Hub,
    outbox: Outbox,
    files: Files,
    addresses: Arc<Addresses>,
    /// Our certificate, and whom we believe.
    channel: Arc<Channel>,
    /// Where we stand.
    stage: Arc<Stage>,
    peers: PeerClient,
    sessions: Sessions,
    acks: Acks,
    passwords: Passwords,
    /// Who can be found by search.
    people: Arc<Index>,
    /// Searches at once.
    searches: Arc<Semaphore>,
    /// Mirrors to be compared with their main servers.
    groups: Groups,
    administrators: Administrators,
    tally: Tally,
    /// Bytes on the disk, and when they were counted.
    disk: tokio::sync::Mutex<Option<(std::time::Instant, serde_json::Value)>>,
    connections: Listeners,
    runtime: tokio::runtime::Handle,
}

/// Live connections, by listener.
#[derive(Clone, Default)]
struct Listeners {
    interconnect: Connections,
    client: Connections,
    admin: Connections,
}

impl Server {
    /// Runs `rule` with time, randomness and home.
    fn scene<T>(home: &ServerId, now_ms: u64, rule: impl FnOnce(&mut Scene<'_>) -> T) -> T {
        rule(&mut Scene { now_ms, random: &mut clock::random, home })
    }

    /// Inbox events after a cursor, as they go over the socket.
    fn inbox_page(&self, user: &UserId, after: u64, limit: usize) -> Result<Vec<Pushed>, StoreError> {
        let entries = self.store.read(|view| isthmus_domain::inbox::read(view, user, after, limit))?;
        Ok(entries.iter().map(Pushed::of).collect())
    }

    /// The same, backwards: the last events before a cursor, in their order.
    fn inbox_page_before(&self, user: &UserId, before: u64, limit: usize) -> Result<Vec<Pushed>, StoreError> {
        let entries = self.store.read(|view| isthmus_domain::inbox::read_before(view, user, before, limit))?;
        Ok(entries.iter().map(Pushed::of).collect())
    }

    /// Writes an audit record by itself: of a request that changed nothing.
    async fn note(&self, trail: &Trail) {
        let record = trail.record();
        let noted = self.store.write(move |tx| {
            tx.audit(record);
            Ok::<_, StoreError>(())
        });
        if let Err(error) = noted.await {
            tracing::error!(error = chain(&error), "an audit record could not be written");
        }
    }

    /// The policy refused: recorded, and told to the caller.
    async fn refused(&self, refusal: Refusal, trail: &Trail) -> Problem {
        self.note(trail).await;
        Problem::Refused(refusal)
    }

    /// The rules refused what the policy had let through: recorded, and told to the caller.
    async fn failed(&self, refusal: Refusal, trail: &mut Trail) -> Problem {
        trail.failed(refusal.code, &refusal.message);
        self.note(trail).await;
        Problem::Refused(refusal)
    }
}

/// What plugins with the `directory` grant may ask.
struct Directory {
    own: ServerId,
    store: Store,
    addresses: Arc<Addresses>,
}

impl Directory {
    /// A read that failed is told to the log; the plugin learns that it is not known.
    fn read<T>(&self, read: impl FnOnce(&isthmus_store::View) -> Result<Option<T>, StoreError>) -> Option<T> {
        self.store.read(read).unwrap_or_else(|error| {
            tracing::error!(error = chain(&error), "the directory could not be read for a plugin");
            None
        })
    }
}

impl Services for Directory {
    fn is_friend(&self, user: &str, other: &str) -> Option<bool> {
        let (user, other) = (UserId::parse(user).ok()?, UserId::parse(other).ok()?);
        self.read(|view| friend::known(view, &self.own, &user, &other))
    }

    fn same_group(&self, user: &str, other: &str) -> Option<bool> {
        let (user, other) = (UserId::parse(user).ok()?, UserId::parse(other).ok()?);
        self.read(|view| isthmus_domain::group::same_group(view, &self.own, &user, &other).map(Some))
    }

    fn server_area(&self, server: &str) -> Option<String> {
        self.addresses.cached(&ServerId::parse(server).ok()?)?.area.clone()
    }

    /// Of local users: `name`, `disabled` (`true` or `false`), `createdMs`.
    fn user_attribute(&self, user: &str, name: &str) -> Option<String> {
        let id = account::local_id(&self.own, &UserId::parse(user).ok()?)?;
        let user = self.read(|view| account::find_user(view, &id))?;
        match name {
            "name" => Some(user.name),
            "disabled" => Some(user.disabled.to_string()),
            "createdMs" => Some(user.created_ms.to_string()),
            _ => None,
        }
    }
}
