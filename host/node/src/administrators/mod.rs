//! `/admin/v1/session…`, `/admin/v1/administrators…`: how the people of the three roles log in (§5.2, design §6), on a server and
//! on the platform alike.
//!
//! A new process makes one account for each role, with a one-time password that opens nothing but the choice of another. Scripts
//! go on with the roles' tokens; whoever holds a role's token may give its account a new one-time password, so that nobody's
//! loss of a password needs another role's help.

mod consoles;
mod door;
mod first;
mod log_in;
mod own;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use http::Method;
use isthmus_domain::administrator::{self, Administrator};
use isthmus_store::{Store, StoreError};
use isthmus_wire::code::{Code, Refusal, Transport};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin_token::{AdminTokenError, AdminTokens};
use crate::config::AdminSessions;
use crate::password::Passwords;
use crate::reply::{Problem, chain};
use crate::request::parse;
use consoles::{Consoles, Seat};

pub(crate) use consoles::Who;
pub(crate) use door::admitted;

const WRONG: &str = "name, password or code is wrong";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    LogIn,
    Me,
    LogOut,
    Password,
    OfferTotp,
    ConfirmTotp,
    RemoveTotp,
    All,
    Reset,
}

/// This family's part of the listener's table of contents.
pub(crate) const ROWS: [(Method, &str, Endpoint); 9] = [
    (Method::POST, "/admin/v1/session", Endpoint::LogIn),
    (Method::GET, "/admin/v1/session", Endpoint::Me),
    (Method::POST, "/admin/v1/session/end", Endpoint::LogOut),
    (Method::POST, "/admin/v1/session/password", Endpoint::Password),
    (Method::POST, "/admin/v1/session/totp", Endpoint::OfferTotp),
    (Method::POST, "/admin/v1/session/totp/confirm", Endpoint::ConfirmTotp),
    (Method::POST, "/admin/v1/session/totp/remove", Endpoint::RemoveTotp),
    (Method::GET, "/admin/v1/administrators", Endpoint::All),
    (Method::POST, "/admin/v1/administrators/{name}/reset", Endpoint::Reset),
];

/// For metrics.
pub(crate) fn label(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::LogIn => "session.begin",
        Endpoint::Me => "session",
        Endpoint::LogOut => "session.end",
        Endpoint::Password => "session.password",
        Endpoint::OfferTotp => "session.totp",
        Endpoint::ConfirmTotp => "session.totp.confirm",
        Endpoint::RemoveTotp => "session.totp.remove",
        Endpoint::All => "administrators",
        Endpoint::Reset => "administrators.reset",
    }
}

/// What somebody may do whose one-time password is not changed yet.
fn is_for_the_new(endpoint: Endpoint) -> bool {
    matches!(endpoint, Endpoint::Me | Endpoint::LogOut | Endpoint::Password)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogIn {
    name: String,
    password: String,
    #[serde(default)]
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangePassword {
    old: String,
    new: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TotpCode {
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    password: String,
}

fn wrong() -> Problem {
    Problem::Transport(Transport::NoIdentity, WRONG.to_owned())
}

fn no_session() -> Problem {
    Problem::refused(Code::WRONG_STATE, "only whoever logged in with a name and a password has these")
}

fn view(one: &Administrator) -> Value {
    json!({"name": one.name, "role": one.role, "isNew": one.is_new(), "totp": one.totp.is_some(),
        "passwordMs": one.secret_ms})
}

/// An act of administrators upon their own accounts.
#[derive(Clone, Copy)]
pub(crate) struct Act<'a> {
    pub(crate) operation: &'static str,
    pub(crate) actor: &'a str,
    pub(crate) target: &'a str,
    /// What it was refused with.
    pub(crate) failed: Option<(Code, &'static str)>,
}

/// Makes the audit record of an act, as whoever runs here records its acts.
pub(crate) type Chronicle = Box<dyn Fn(Act<'_>) -> Vec<u8> + Send + Sync>;

/// Whose administrators they are.
pub(crate) struct Of<'a> {
    /// `serverId` or `domain`: under which name the console is told whose it is.
    pub(crate) what: &'static str,
    /// That serverId, or domain.
    pub(crate) name: &'a str,
    pub(crate) data_dir: &'a Path,
    /// Where the roles' tokens are written once; the first passwords go beside them.
    pub(crate) tokens: &'a Path,
    pub(crate) sessions: AdminSessions,
}

/// The three roles' tokens, accounts and sessions.
pub(crate) struct Administrators {
    what: &'static str,
    name: String,
    store: Store,
    tokens: AdminTokens,
    consoles: Consoles,
    passwords: Passwords,
    /// One-time passwords of the first start, until they are changed.
    first: PathBuf,
    chronicle: Chronicle,
}

impl Administrators {
    pub(crate) fn open(
        of: &Of<'_>,
        store: Store,
        passwords: Passwords,
        chronicle: Chronicle,
    ) -> Result<Administrators, AdminTokenError> {
        let (idle, whole) = (Duration::from_secs(of.sessions.idle_s), Duration::from_secs(of.sessions.session_s));
        Ok(Administrators {
            what: of.what,
            name: of.name.to_owned(),
            store,
            tokens: AdminTokens::open(of.data_dir, of.tokens)?,
            consoles: Consoles::new(of.name, idle, whole),
            passwords,
            first: of.tokens.with_file_name("admin-passwords.json"),
            chronicle,
        })
    }

    /// Answers all of [`ROWS`] but the log-in, which is answered before anybody is known.
    pub(crate) async fn dispatch(
        &self,
        endpoint: Endpoint,
        who: &Who,
        name: &str,
        from: IpAddr,
        body: &[u8],
    ) -> Result<Value, Problem> {
        match endpoint {
            Endpoint::LogIn => Ok(json!({})),
            Endpoint::Me => self.console_view(who),
            Endpoint::LogOut => self.log_out(who).await,
            Endpoint::Password => self.change_own_password(who, parse(body)?, from).await,
            Endpoint::OfferTotp => self.offer_totp(who),
            Endpoint::ConfirmTotp => self.confirm_totp(who, parse(body)?).await,
            Endpoint::RemoveTotp => self.remove_totp(who, parse(body)?, from).await,
            Endpoint::All => {
                let all = self.store.read(administrator::list)?;
                Ok(json!({"administrators": all.iter().map(view).collect::<Vec<_>>()}))
            }
            Endpoint::Reset => self.reset(who, name).await,
        }
    }

    fn record(&self, operation: &'static str, actor: &str, target: &str) -> Vec<u8> {
        (self.chronicle)(Act { operation, actor, target, failed: None })
    }

    /// Records an act by itself: of a request that changed nothing.
    async fn note(&self, act: Act<'_>) {
        let record = (self.chronicle)(act);
        let noted = self.store.write(move |tx| {
            tx.audit(record);
            Ok::<_, StoreError>(())
        });
        if let Err(error) = noted.await {
            tracing::error!(error = chain(&error), "an audit record could not be written");
        }
    }

    fn console_view(&self, who: &Who) -> Result<Value, Problem> {
        let mut answer = json!({"role": who.role, "actor": who.actor()});
        answer[self.what] = json!(self.name);
        if let Some(seat) = &who.session {
            answer["administrator"] = view(&self.account(seat)?);
            answer["leftMs"] = self.consoles.left_ms(seat, Instant::now()).into();
        }
        Ok(answer)
    }

    fn account(&self, seat: &Seat) -> Result<Administrator, Problem> {
        self.store.read(|view| administrator::find(view, &seat.name))?.ok_or_else(wrong)
    }
}

fn not_the_present(field: &str) -> Problem {
    Refusal::field(Code::INVALID_FIELD, field, "is not the present password").into()
}
