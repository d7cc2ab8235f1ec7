//! `/admin/v1/session…`, `/admin/v1/administrators…`: how the people of the three roles log in (§5.2, design §6).
//!
//! A new server makes one account for each role, with a one-time password that opens nothing but the choice of another. Scripts
//! go on with the roles' tokens; whoever holds a role's token may give its account a new one-time password, so that nobody's
//! loss of a password needs another role's help.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::Method;
use isthmus_domain::Error;
use isthmus_domain::administrator::{self, Administrator, Secret, Totp};
use isthmus_policy::Event;
use isthmus_wire::code::{Code, Refusal, Transport};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::accounts::internal;
use super::client::parse;
use super::consoles::{NAME_MAX, Seat, Who};
use super::trail::Trail;
use crate::admin_token::Role;
use crate::clock::{self, random_bytes};
use crate::file::{PRIVATE, write_whole};
use crate::reply::Problem;
use crate::{token, totp};

const PASSWORD_MIN: usize = 12;
const PASSWORD_MAX: usize = 1024;
/// Of one-time passwords: no letter or digit is taken for another.
const SIGNS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
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
pub(crate) fn is_for_the_new(endpoint: Endpoint) -> bool {
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

/// What a log-in comes to.
pub(crate) enum Entered {
    /// A session: its `Set-Cookie`, and who it is.
    Session(String, Value),
    /// The password is right; the code of the second factor is missing.
    CodeNeeded,
}

fn wrong() -> Problem {
    Problem::Transport(Transport::NoIdentity, WRONG.to_owned())
}

fn no_session() -> Problem {
    Problem::refused(Code::WRONG_STATE, "only whoever logged in with a name and a password has these")
}

pub(crate) async fn dispatch(
    server: &Arc<Server>,
    endpoint: Endpoint,
    who: &Who,
    name: &str,
    from: IpAddr,
    body: &[u8],
) -> Result<Value, Problem> {
    match endpoint {
        // Answered before anybody is known.
        Endpoint::LogIn => Ok(json!({})),
        Endpoint::Me => server.console_view(who),
        Endpoint::LogOut => server.log_out_administrator(who).await,
        Endpoint::Password => server.change_own_password(who, parse(body)?, from).await,
        Endpoint::OfferTotp => server.offer_totp(who),
        Endpoint::ConfirmTotp => server.confirm_totp(who, parse(body)?).await,
        Endpoint::RemoveTotp => server.remove_totp(who, parse(body)?, from).await,
        Endpoint::All => {
            let all = server.store.read(administrator::list)?;
            Ok(json!({"administrators": all.iter().map(view).collect::<Vec<_>>()}))
        }
        Endpoint::Reset => server.reset_administrator(who, name).await,
    }
}

fn view(one: &Administrator) -> Value {
    json!({"name": one.name, "role": one.role, "isNew": one.is_new(), "totp": one.totp.is_some(),
        "passwordMs": one.secret_ms})
}

/// The hash of a one-time password: it is random, and needs no slow one.
fn one_time(password: &str) -> String {
    hex::encode(token::hash(password))
}

/// Four groups of five, a hundred bits.
fn mint() -> String {
    let signs: Vec<char> = random_bytes::<20>().iter().map(|b| char::from(SIGNS[usize::from(b & 31)])).collect();
    signs.chunks(5).map(|five| five.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// A password that will do for whoever administers.
fn check(name: &str, password: &str) -> Result<(), Refusal> {
    let wrong = if password.is_empty() {
        return Err(Refusal::field(Code::MISSING_FIELD, "new", "is missing or empty"));
    } else if password.chars().count() < PASSWORD_MIN {
        "needs at least 12 characters"
    } else if password.len() > PASSWORD_MAX {
        "is longer than 1024 bytes"
    } else if password.to_lowercase().contains(name) {
        "may not contain your name"
    } else {
        return Ok(());
    };
    Err(Refusal::field(Code::INVALID_FIELD, "new", wrong))
}

impl Server {
    /// Makes the accounts of a new server. The passwords are on the disk before anything is compared with them.
    pub(crate) async fn appoint_first(&self) -> Result<(), Problem> {
        if !self.store.read(administrator::list)?.is_empty() {
            return Ok(());
        }
        let made = Role::ALL.map(|role| (role, mint()));
        let plain = made.iter().map(|(role, password)| (role.account().to_owned(), password.clone())).collect();
        self.write_first(&plain).map_err(Problem::fault)?;
        let now = clock::now_ms();
        self.store
            .write(move |tx| {
                for (role, password) in &made {
                    administrator::appoint(tx, role.account(), *role, one_time(password), now);
                }
                Ok::<_, isthmus_store::StoreError>(())
            })
            .await?;
        let file = self.first_passwords();
        tracing::info!(file = %file.display(), "administrators' one-time passwords were made: log in and change them");
        Ok(())
    }

    /// Where one-time passwords of the first start are, until they are changed.
    fn first_passwords(&self) -> PathBuf {
        self.config.admin_tokens.with_file_name("admin-passwords.json")
    }

    fn write_first(&self, passwords: &BTreeMap<String, String>) -> std::io::Result<()> {
        let path = self.first_passwords();
        if passwords.is_empty() {
            return std::fs::remove_file(&path);
        }
        write_whole(&path, &serde_json::to_string_pretty(passwords)?, PRIVATE)
    }

    /// A one-time password that has served is worth nothing, and goes; the file goes with the last.
    fn forget_first(&self, name: &str) {
        let Ok(text) = std::fs::read_to_string(self.first_passwords()) else { return };
        let Ok(mut left) = serde_json::from_str::<BTreeMap<String, String>>(&text) else { return };
        if left.remove(name).is_some()
            && let Err(error) = self.write_first(&left)
        {
            tracing::warn!(%error, "a one-time password that was used could not be taken out of its file");
        }
    }

    /// An act of administrators upon their own accounts, as it is recorded.
    fn own_act(&self, operation: &'static str, actor: &str, target: &str) -> Trail {
        let event =
            Event { call: internal(operation, actor, target), outcome: "allowed".into(), code: 0, fields: Vec::new() };
        Trail::of_event(&self.policy.begin(), event)
    }

    pub(crate) async fn log_in_administrator(&self, ask: LogIn, from: IpAddr) -> Result<Entered, Problem> {
        self.admit_attempt(&ask.name, from)?;
        let known = if ask.name.len() <= NAME_MAX {
            self.store.read(|view| administrator::find(view, &ask.name))?
        } else {
            None
        };
        let proved = self.proves(known.as_ref(), ask.password).await?;
        let Some(seen) = known.filter(|_| proved) else {
            return Err(self.not_let_in(&ask.name, from).await);
        };
        let step = match &seen.totp {
            None => None,
            Some(_) if ask.code.trim().is_empty() => {
                self.consoles.forgive(&ask.name, from);
                return Ok(Entered::CodeNeeded);
            }
            Some(own) => match totp::step(&own.secret, &ask.code, clock::now_ms()) {
                None => return Err(self.not_let_in(&ask.name, from).await),
                step => step,
            },
        };
        let (account, actor) = (seen.clone(), format!("admin:{}", seen.name));
        let mut trail = self.own_act("admin.login", &actor, &from.to_string());
        let record = trail.record();
        let let_in = self.store.write(move |tx| {
            administrator::let_in(tx, &account, step)?;
            tx.audit(record);
            Ok::<_, Error>(())
        });
        if let Err(error) = let_in.await {
            let problem = Problem::from(error);
            if !matches!(problem, Problem::Refused(_)) {
                return Err(problem);
            }
            trail.failed(Code::NO_IDENTITY, WRONG);
            self.note(&trail).await;
            return Err(wrong());
        }
        self.consoles.clear(&seen.name, Some(from));
        let cookie = self.consoles.open(&seen, Instant::now());
        Ok(Entered::Session(cookie, view(&seen)))
    }

    fn admit_attempt(&self, name: &str, from: IpAddr) -> Result<(), Problem> {
        let tried = self.consoles.attempt(name, from, Instant::now());
        tried.map_err(|seconds| Problem::Later(seconds, "too many failed log-ins; wait and try again".to_owned()))
    }

    /// Whether a password is the account's; as slow without an account.
    async fn proves(&self, known: Option<&Administrator>, password: String) -> Result<bool, Problem> {
        if password.len() > PASSWORD_MAX {
            return Ok(false);
        }
        let phc = match known.map(|one| &one.secret) {
            Some(Secret::Password(phc)) => Some(phc.clone()),
            Some(Secret::OneTime(hash)) => {
                return Ok(verify_slices_are_equal(hash.as_bytes(), one_time(&password).as_bytes()).is_ok());
            }
            None => None,
        };
        self.passwords.verify(password, phc).await.map_err(Problem::fault)
    }

    /// Recorded without the name where there is no such account: people type passwords into the wrong field.
    async fn not_let_in(&self, name: &str, from: IpAddr) -> Problem {
        let known = name.len() <= NAME_MAX && matches!(self.store.read(|v| administrator::find(v, name)), Ok(Some(_)));
        let actor = if known { format!("admin:{name}") } else { "admin:unknown".to_owned() };
        let mut trail = self.own_act("admin.login", &actor, &from.to_string());
        trail.failed(Code::NO_IDENTITY, WRONG);
        self.note(&trail).await;
        wrong()
    }

    fn console_view(&self, who: &Who) -> Result<Value, Problem> {
        let mut answer = json!({"serverId": self.id, "role": who.role, "actor": who.actor()});
        if let Some(seat) = &who.session {
            answer["administrator"] = view(&self.account(seat)?);
            answer["leftMs"] = self.consoles.left_ms(seat, Instant::now()).into();
        }
        Ok(answer)
    }

    fn account(&self, seat: &Seat) -> Result<Administrator, Problem> {
        self.store.read(|view| administrator::find(view, &seat.name))?.ok_or_else(wrong)
    }

    async fn log_out_administrator(&self, who: &Who) -> Result<Value, Problem> {
        let seat = who.session.as_ref().ok_or_else(no_session)?;
        self.consoles.end(seat);
        self.note(&self.own_act("admin.logout", &who.actor(), &seat.name)).await;
        Ok(json!({}))
    }

    async fn change_own_password(&self, who: &Who, ask: ChangePassword, from: IpAddr) -> Result<Value, Problem> {
        let seat = who.session.as_ref().ok_or_else(no_session)?;
        check(&seat.name, &ask.new)?;
        if ask.old == ask.new {
            return Err(Refusal::field(Code::INVALID_FIELD, "new", "is the present password").into());
        }
        self.prove_again(seat, "old", ask.old, from).await?;
        let phc = self.passwords.hash(ask.new).await.map_err(Problem::fault)?;
        let now = clock::now_ms();
        self.of_account("admin.password", who, seat, move |tx, name| administrator::set_password(tx, name, phc, now))
            .await?;
        self.consoles.end_others(&seat.name, Some(seat));
        self.consoles.settled(seat);
        self.forget_first(&seat.name);
        Ok(json!({}))
    }

    /// The present password, once more: an unattended screen is no proof.
    async fn prove_again(&self, seat: &Seat, field: &str, password: String, from: IpAddr) -> Result<(), Problem> {
        self.admit_attempt(&seat.name, from)?;
        let account = self.account(seat)?;
        if !self.proves(Some(&account), password).await? {
            return Err(Refusal::field(Code::INVALID_FIELD, field, "is not the present password").into());
        }
        self.consoles.clear(&seat.name, Some(from));
        Ok(())
    }

    /// Changes the account of a session, with the record of it.
    async fn of_account(
        &self,
        operation: &'static str,
        who: &Who,
        seat: &Seat,
        change: impl FnOnce(&mut isthmus_store::Tx<'_>, &str) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Problem> {
        let record = self.own_act(operation, &who.actor(), &seat.name).record();
        let name = seat.name.clone();
        let rule = move |tx: &mut isthmus_store::Tx<'_>| {
            change(tx, &name)?;
            tx.audit(record);
            Ok::<_, Error>(())
        };
        Ok(self.store.write(rule).await?)
    }

    /// A secret for an authenticator; it counts once the authenticator has shown a code of it.
    fn offer_totp(&self, who: &Who) -> Result<Value, Problem> {
        let seat = who.session.as_ref().ok_or_else(no_session)?;
        if self.account(seat)?.totp.is_some() {
            return Err(Problem::refused(Code::WRONG_STATE, "there is a second factor already: remove it first"));
        }
        let secret = random_bytes();
        self.consoles.offer(seat, Some(secret));
        let (letters, id) = (totp::letters(&secret), &self.id);
        let uri = format!("otpauth://totp/Isthmus%20{id}:{}?secret={letters}&issuer=Isthmus%20{id}", seat.name);
        Ok(json!({"secret": letters, "uri": uri}))
    }

    async fn confirm_totp(&self, who: &Who, ask: TotpCode) -> Result<Value, Problem> {
        let seat = who.session.as_ref().ok_or_else(no_session)?;
        let none = || Problem::refused(Code::WRONG_STATE, "no second factor is being set up: begin again");
        let secret = self.consoles.offered(seat).ok_or_else(none)?;
        let wrong = || Refusal::field(Code::INVALID_FIELD, "code", "does not fit: is the clock of both right?");
        let step = totp::step(&secret, &ask.code, clock::now_ms()).ok_or_else(wrong)?;
        let own = Some(Totp { secret, step });
        self.of_account("admin.totp.set", who, seat, move |tx, name| administrator::set_totp(tx, name, own)).await?;
        self.consoles.offer(seat, None);
        Ok(json!({}))
    }

    async fn remove_totp(&self, who: &Who, ask: Proof, from: IpAddr) -> Result<Value, Problem> {
        let seat = who.session.as_ref().ok_or_else(no_session)?;
        self.prove_again(seat, "password", ask.password, from).await?;
        self.of_account("admin.totp.remove", who, seat, |tx, name| administrator::set_totp(tx, name, None)).await?;
        Ok(json!({}))
    }

    /// A new one-time password, for an account of the caller's own role; its second factor goes, its sessions end.
    async fn reset_administrator(&self, who: &Who, name: &str) -> Result<Value, Problem> {
        let nobody = || Problem::refused(Code::NOT_FOUND, "there is no such administrator");
        let known = self.store.read(|view| administrator::find(view, name))?.ok_or_else(nobody)?;
        if known.role != who.role {
            let words = format!("that is for the {} administrator's token", known.role.as_str());
            return Err(Problem::refused(Code::NOT_PERMITTED, words));
        }
        let password = mint();
        let record = self.own_act("admin.reset", &who.actor(), &known.name).record();
        let (hash, now, of) = (one_time(&password), clock::now_ms(), known.clone());
        self.store
            .write(move |tx| {
                administrator::appoint(tx, &of.name, of.role, hash, now);
                tx.audit(record);
                Ok::<_, isthmus_store::StoreError>(())
            })
            .await?;
        self.consoles.end_others(&known.name, None);
        self.consoles.clear(&known.name, None);
        Ok(json!({"name": known.name, "password": password}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_time_password_is_long_and_has_no_signs_that_look_alike() {
        let password = mint();
        assert_eq!(password.len(), 23);
        assert!(password.chars().all(|c| c == '-' || (c.is_ascii_alphanumeric() && !"lo01".contains(c))), "{password}");
        assert_ne!(password, mint());
    }

    #[test]
    fn an_administrators_password_is_longer_than_a_users_and_does_not_hold_the_name() {
        let check = |password| check("sysadmin", password).map_err(|refusal| refusal.message);
        assert!(check("quite a long one").is_ok());
        assert!(check("十二个汉字的口令也可以的啊").is_ok());
        for (password, words) in [("", "missing"), ("short", "12"), ("my SysAdmin word", "name")] {
            assert!(check(password).is_err_and(|said| said.contains(words)), "{password}");
        }
        assert!(check(&"x".repeat(1025)).is_err());
    }
}
