//! The rules of T/CIIA 003—2019, synchronous, over one open transaction.
//!
//! A rule takes a [`Tx`](isthmus_store::Tx) and a [`Scene`] (time, randomness, whose server this is) and either
//! changes everything that it should or refuses and changes nothing. No rule waits, does I/O or looks at a clock.
//! What a caller did wrong is a [`Refusal`]; what we did wrong is a [`StoreError`](isthmus_store::StoreError).

pub mod account;
pub mod administrator;
pub mod dedup;
pub mod directory;
mod done;
pub mod errand;
mod error;
pub mod friend;
pub mod group;
pub mod held;
pub mod inbox;
pub mod mark;
pub mod measure;
pub mod media;
pub mod message;
pub mod news;
pub mod outbox;
pub mod peer;
pub mod profile;
pub mod recall;
pub mod record;
pub mod registry;
mod row;
mod scene;
pub mod session;
pub mod speaker;
pub mod stored;
pub mod table;

pub use dedup::Digest;
pub use done::Done;
pub use error::Error;
pub use inbox::{Entry, Event, State};
pub use isthmus_wire::Refusal;
pub use record::AuditRecord;
pub use scene::{Scene, TimeId};
pub use stored::Stored;
