//! What a policy plugin for Isthmus is written on.
//!
//! A plugin is a settings struct, a value built from it once (`Plugin::init`), and one or more
//! of the hooks [`Access`], [`Content`] and [`Audit`]:
//!
//! ```
//! use isthmus_plugin::{Access, Call, Decision, Plugin, Reason, export_plugin};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     closed_to: String,
//! }
//!
//! struct Closed(Settings);
//!
//! impl Plugin for Closed {
//!     type Settings = Settings;
//!     const SCHEMA: &'static str = r#"{"type":"object","required":["closed_to"],
//!         "properties":{"closed_to":{"type":"string"}}}"#;
//!
//!     fn init(settings: Settings) -> Result<Self, String> {
//!         Ok(Self(settings))
//!     }
//! }
//!
//! impl Access for Closed {
//!     fn decide(&self, call: &Call) -> Decision {
//!         match &call.peer {
//!             Some(peer) if peer.id.eq_ignore_ascii_case(&self.0.closed_to) => {
//!                 Decision::Deny(Reason::new("closed", "this server is not admitted here"))
//!             }
//!             _ => Decision::Abstain,
//!         }
//!     }
//! }
//!
//! export_plugin!(Closed: access);
//! ```
//!
//! The host runs `init` once, takes a snapshot of the initialised plugin, and starts each call
//! from it. So do all costly work in `init`; a clock, a counter or a directory asked there says
//! what was true then. What a hook changes in memory is gone after the call.
//!
//! A panic ends the call as a trap. [`log::panics`] lets it say why, at the price of the grant `log`.
//!
//! The component imports exactly the capabilities that the plugin calls, and its bundle must
//! grant each of them. The logic is ordinary Rust: `cargo test` runs it on the developer's own
//! machine, where [`testing`] plays the host.

#[doc(hidden)]
pub mod bindings;
mod body;
mod host;
mod pattern;
mod plugin;
mod reply;
mod settings;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use bindings::access::exports::isthmus::policy::access_hook::Decision;
pub use bindings::audit::exports::isthmus::policy::audit_hook::{Event, Redaction, Severity, Treatment};
pub use bindings::content::exports::isthmus::policy::content_hook::{Item, Judgement, Verdict};
pub use bindings::imports::isthmus::policy::log::Level;
pub use bindings::imports::isthmus::policy::types::{Call, Direction, Reason, Server};
pub use bindings::lifecycle::exports::isthmus::policy::lifecycle::{Diagnostic, Severity as DiagnosticSeverity};
pub use body::Body;
pub use host::{clock, counters, directory, lists, log, metrics};
pub use pattern::Patterns;
#[doc(hidden)]
pub use plugin::glue;
pub use plugin::{Access, Audit, Content, Plugin};
