//! The platform's registry (§7.5): applications, a person's decisions, servers, certificates.
//!
//! An ID is used once: a server that is deregistered keeps its row for good. Certificates are made by the caller;
//! what they say is kept here with the decision that they follow from.

mod application;
mod check;
pub mod notice;
mod serial;
mod server;

pub use application::{
    Application, Approval, Approve, Asked, Issued, apply_deregister, apply_register, apply_update, approve, follow_up,
    get, list, reject, returning,
};
pub use check::server_info;
pub use serial::{digest, hash, latest, mix, number_all, since, touch};
pub use server::{
    Certificate, Change, Registration, all, find, is_empty, nodes, of_serial, renew, revoked, set_status,
};
