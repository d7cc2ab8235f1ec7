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
//! Settings are described by a JSON Schema ([`Plugin::SCHEMA`], mostly `include_str!("schema.json")`): the host checks
//! `policy.toml` against it before the plugin is asked anything, and tells all mistakes at once. What a schema cannot say,
//! [`Plugin::check`] does: whether a list is there ([`lists::must_exist`]), whether two settings go together.
//!
//! The component imports exactly the capabilities that the plugin calls, and its bundle must
//! grant each of them. The logic is ordinary Rust: `cargo test` runs it on the developer's own
//! machine, where [`testing`] plays the host.

mod answered;
mod asked;
#[doc(hidden)]
pub mod bindings;
mod body;
#[doc(hidden)]
pub mod glue;
#[cfg(any(target_arch = "wasm32", test))]
mod heap;
mod host;
mod pattern;
mod plugin;
mod reply;
mod settings;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static HEAP: heap::Heap = heap::Heap::new();

pub use answered::Treatment;
pub use asked::{Call, Event, Item, Server};
/// How loud a line of [`log`] is.
///
/// ```
/// use isthmus_plugin::{Level, log, testing::TestHost};
/// log::write(Level::Warn, "the list is empty");
/// assert_eq!(TestHost::written().logged[0].0, Level::Warn);
/// ```
#[doc(inline)]
pub use bindings::imports::isthmus::policy::log::Level;
/// What an access hook answers.
///
/// ```
/// use isthmus_plugin::{Decision, Reason};
/// let closed = Decision::Deny(Reason::new("closed", "this server is not admitted here"));
/// assert_ne!(closed, Decision::Abstain);
/// ```
#[doc(inline)]
pub use bindings::imports::isthmus::policy::types::Decision;
/// Which way a call goes.
///
/// ```
/// use isthmus_plugin::{Direction, testing::call};
/// assert_eq!(call("north").direction, Direction::Inbound);
/// ```
#[doc(inline)]
pub use bindings::imports::isthmus::policy::types::Direction;
/// What a content hook answers: a verdict, and labels for the audit record.
///
/// ```
/// use isthmus_plugin::{Judgement, Verdict};
/// assert_eq!(Judgement::pass().verdict, Verdict::Pass);
/// let masked: Judgement = Verdict::Rewrite("***".into()).into();
/// assert!(masked.labels.is_empty());
/// ```
#[doc(inline)]
pub use bindings::imports::isthmus::policy::types::Judgement;
/// Why something was refused or held: a stable code, and public words.
///
/// ```
/// use isthmus_plugin::Reason;
/// assert_eq!(Reason::new("rate", "too many requests").code, "rate");
/// ```
#[doc(inline)]
pub use bindings::imports::isthmus::policy::types::Reason;
/// What becomes of a recorded field; the host does it, with a key that no plugin sees.
///
/// ```
/// use isthmus_plugin::Redaction;
/// let redactions = vec![("text".to_owned(), Redaction::Drop), ("actor".to_owned(), Redaction::Hash)];
/// assert_eq!(redactions[0].1, Redaction::Drop);
/// ```
#[doc(inline)]
pub use bindings::imports::isthmus::policy::types::Redaction;
/// How grave an event is.
///
/// ```
/// use isthmus_plugin::Severity;
/// let severity = |outcome: &str| if outcome == "allowed" { Severity::Info } else { Severity::Warning };
/// assert_eq!(severity("denied"), Severity::Warning);
/// ```
#[doc(inline)]
pub use bindings::imports::isthmus::policy::types::Severity;
/// What becomes of a text or file.
///
/// ```
/// use isthmus_plugin::{Reason, Verdict};
/// let held = Verdict::Hold(Reason::new("keyword", "the message waits for a review"));
/// assert_ne!(held, Verdict::Pass);
/// ```
#[doc(inline)]
pub use bindings::imports::isthmus::policy::types::Verdict;
/// Something wrong with the settings, with its place as a JSON pointer.
///
/// ```
/// use isthmus_plugin::{Diagnostic, DiagnosticSeverity};
/// let wrong = Diagnostic::warning("/max_chars", "0 rejects every text");
/// assert_eq!(wrong.severity, DiagnosticSeverity::Warning);
/// assert_eq!(wrong.to_string(), "/max_chars: 0 rejects every text");
/// ```
#[doc(inline)]
pub use bindings::lifecycle::exports::isthmus::policy::lifecycle::Diagnostic;
/// Whether a [`Diagnostic`] forbids activation.
///
/// ```
/// use isthmus_plugin::{Diagnostic, DiagnosticSeverity};
/// assert_eq!(Diagnostic::error("", "no").severity, DiagnosticSeverity::Error);
/// ```
#[doc(inline)]
pub use bindings::lifecycle::exports::isthmus::policy::lifecycle::Severity as DiagnosticSeverity;
pub use body::Body;
pub use host::{clock, counters, directory, lists, log, metrics};
pub use pattern::Patterns;
pub use plugin::{Access, Audit, Content, Plugin};
