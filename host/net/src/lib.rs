//! The compiler-guarded edge to the network: who a peer is, what it may send and how long it may take.
//!
//! Identity is born here, in the TLS handshake, and leaves as a value ([`Identity`]); nothing above parses a
//! certificate. The crate knows nothing of rules, storage or plugins.
//!
//! | module | holds |
//! |---|---|
//! | [`identity`] | what a verified certificate says (R13) |
//! | [`tls`] | server and client settings, one verifier for both directions |
//! | [`listen`] | bind, accept, one task a connection, live connections that can be cut, graceful end |
//! | [`http`] | bounded bodies, answers |
//! | [`ca`], [`csr`] | the platform's certificate authority, and what an applicant sends to it |
//! | [`peer`] | the client between servers, and to the platform |
//! | [`floor`] | what bare hyper costs on this machine, to compare with |

pub mod ca;
pub mod csr;
pub mod floor;
pub mod http;
pub mod identity;
pub mod listen;
pub mod peer;
pub mod tls;

mod guarded;

pub use ca::Ca;
pub use http::{Body, BodyError, read_body};
pub use identity::{Identity, PeerCertificate};
pub use listen::{BindError, Connection, Connections, Limits, Listener, Transport, serve};
pub use peer::{PeerAddress, PeerAnswer, PeerClient, PeerLimits, SendError};
pub use tls::{ClientAuth, ClientTls, Credentials, ServerTls, TlsError, Trust};
