//! Log-in, log-out, refresh, devices, passwords (§6.3 a).

use std::sync::Arc;

use http::HeaderMap;
use isthmus_domain::session::{self, Grant, Rotation};
use isthmus_domain::{TimeId, account, measure};
use isthmus_policy::{Call, Direction, Event, Session};
use isthmus_wire::UserId;
use isthmus_wire::code::{Code, Refusal, Transport};
use serde::{Deserialize, Serialize};

use super::Server;
use super::gate::{Question, Ruling};
use super::session::{Caller, bearer};
use super::trail::Trail;
use crate::clock;
use crate::reply::Problem;
use crate::token::{self, Kind};

const PASSWORD_MIN: usize = 8;
const PASSWORD_MAX: usize = 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogIn {
    #[serde(rename = "userID")]
    user_id: String,
    password: String,
    #[serde(default)]
    device_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refresh {
    refresh_token: String,
}

#[derive(Deserialize)]
pub(crate) struct ChangePassword {
    old: String,
    new: String,
}

/// What a log-in or a refresh brings.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tokens {
    #[serde(rename = "userID")]
    user_id: UserId,
    #[serde(rename = "deviceID")]
    device_id: TimeId,
    access_token: String,
    refresh_token: String,
    expires_in_s: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeviceView {
    #[serde(rename = "deviceID")]
    device_id: TimeId,
    name: String,
    created_ms: u64,
    last_seen_ms: u64,
    current: bool,
}

/// A fresh pair of tokens: their texts, and what is stored of them.
struct Pair {
    access: String,
    refresh: String,
    access_grant: Grant,
    refresh_grant: Grant,
}

fn wrong_credentials() -> Problem {
    Problem::Transport(Transport::NoIdentity, "user or password is wrong".to_owned())
}

/// A password that will do.
pub(crate) fn check_password(field: &str, password: &str) -> Result<(), Problem> {
    match password.len() {
        0 => Err(Refusal::field(Code::MISSING_FIELD, field, "is missing or empty").into()),
        1..PASSWORD_MIN => Err(Refusal::field(Code::INVALID_FIELD, field, "needs at least 8 characters").into()),
        PASSWORD_MIN..=PASSWORD_MAX => Ok(()),
        _ => Err(Refusal::field(Code::INVALID_FIELD, field, "is longer than 1024 bytes").into()),
    }
}

impl Server {
    /// Whoever calls the client interface must have a valid access token.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let token = bearer(headers).ok_or_else(|| no_token("an access token is needed: Authorization: Bearer …"))?;
        let caller = self.sessions.caller(&self.store, token)?;
        caller.ok_or_else(|| no_token("the access token is unknown, expired or revoked; refresh it or log in"))
    }

    /// Whether a user may write what others see. What was begun a moment before a measure was taken may still end.
    ///
    /// # Errors
    /// 1105 if it is muted.
    pub(crate) fn may_write(&self, caller: &Caller) -> Result<(), Problem> {
        Ok(measure::may_write(&self.store.view()?, &caller.user, clock::now_ms())?)
    }

    /// The full ID of a local user, given with or without `@server`.
    pub(crate) fn local_user(&self, text: &str) -> Option<UserId> {
        let full = if text.contains('@') { text.to_owned() } else { format!("{text}@{}", self.id) };
        account::local_id(&self.id, &UserId::parse(&full).ok()?)
    }

    pub(crate) async fn log_in(self: &Arc<Self>, ask: LogIn) -> Result<Tokens, Problem> {
        if ask.password.len() > PASSWORD_MAX {
            return Err(wrong_credentials());
        }
        let user = self.local_user(&ask.user_id).ok_or_else(wrong_credentials)?;
        if let Some(seconds) = self.sessions.locked_for(&user) {
            return Err(Problem::Later(seconds, "too many failed log-ins; wait and try again".to_owned()));
        }
        let question = self.about_user("user.login", &user);
        let (mut trail, session) = match self.gate.rule(question, (), |(), _, _| ()).await? {
            Ruling::Cleared(cleared) | Ruling::Held(cleared, _) => {
                let ((), trail, session) = cleared.into_parts();
                (trail, session)
            }
            Ruling::Refused(refusal, trail) => return Err(self.refused(refusal, &trail).await),
        };
        let known = self.store.read(|view| account::find_user(view, &user))?.filter(|u| !u.disabled);
        let stored = known.and_then(|u| u.password_hash);
        let fits = self.passwords.verify(ask.password, stored).await.map_err(Problem::fault)?;
        self.sessions.tried(&user, fits);
        if !fits {
            return Err(self.log_in_failed(trail).await);
        }
        let tokens = self.open_device(user, ask.device_name, &trail, &session).await;
        drop(session);
        match tokens {
            // Suspended; who knows the password may know why.
            Err(Problem::Refused(refusal)) => Err(self.failed(refusal, &mut trail).await),
            tokens => tokens,
        }
    }

    async fn log_in_failed(&self, mut trail: Trail) -> Problem {
        let problem = wrong_credentials();
        trail.failed(Code::NO_IDENTITY, "user or password is wrong");
        self.note(&trail).await;
        problem
    }

    async fn open_device(
        &self,
        user: UserId,
        name: String,
        trail: &Trail,
        judged: &Session,
    ) -> Result<Tokens, Problem> {
        let pair = self.pair();
        let (now, record) = (clock::now_ms(), trail.record());
        let (access, refresh) = (pair.access_grant, pair.refresh_grant);
        let rule = self.cleared(judged, now, move |tx, scene| {
            let session = session::log_in(tx, scene, &user, &name, &access, &refresh)?;
            tx.audit(record);
            Ok(session)
        });
        Ok(self.tokens(self.store.write(rule).await?, pair))
    }

    pub(crate) async fn refresh(&self, ask: Refresh) -> Result<Tokens, Problem> {
        let invalid = || no_token("the refresh token is unknown, expired or revoked; log in");
        let hash = token::recognise(Kind::Refresh, &ask.refresh_token).ok_or_else(invalid)?;
        let pair = self.pair();
        let (now, home) = (clock::now_ms(), self.id.clone());
        let (access, refresh) = (pair.access_grant, pair.refresh_grant);
        let rotation = self
            .store
            .write(move |tx| Server::scene(&home, now, |scene| session::rotate(tx, scene, &hash, &access, &refresh)))
            .await?;
        match rotation {
            Rotation::Renewed(session) => Ok(self.tokens(session, pair)),
            Rotation::Invalid => Err(invalid()),
            Rotation::Reused(session) => {
                self.end_device(&session.user, Some(&session.device));
                let mut trail = self.event("user.refresh", &session.user, &session.user);
                trail.failed(Code::NO_IDENTITY, "a refresh token was used twice; the log-in is revoked");
                self.note(&trail).await;
                Err(no_token("this refresh token was used before; the log-in is revoked: log in again"))
            }
        }
    }

    pub(crate) async fn log_out(&self, caller: &Caller, everywhere: bool) -> Result<(), Problem> {
        let (user, device) = (caller.user.clone(), caller.device);
        let record = self.event("user.logout", &caller.user, &caller.user).record();
        self.store
            .write(move |tx| {
                if everywhere {
                    session::revoke_all(tx, &user)?;
                } else {
                    session::revoke(tx, &user, &device)?;
                }
                tx.audit(record);
                Ok::<_, isthmus_domain::Error>(())
            })
            .await?;
        self.end_device(&caller.user, (!everywhere).then_some(&caller.device));
        Ok(())
    }

    pub(crate) async fn revoke_device(&self, caller: &Caller, device: &str) -> Result<(), Problem> {
        let unknown = || Problem::refused(Code::NOT_FOUND, "there is no such device");
        let device = TimeId::parse(device).ok_or_else(unknown)?;
        let user = caller.user.clone();
        let record = self.event("user.logout", &caller.user, &caller.user).record();
        self.store
            .write(move |tx| {
                if !session::revoke(tx, &user, &device)? {
                    return Err(Refusal::new(Code::NOT_FOUND, "there is no such device").into());
                }
                tx.audit(record);
                Ok::<_, isthmus_domain::Error>(())
            })
            .await?;
        self.end_device(&caller.user, Some(&device));
        Ok(())
    }

    pub(crate) fn devices(&self, caller: &Caller) -> Result<Vec<DeviceView>, Problem> {
        let devices = self.store.read(|view| session::devices(view, &caller.user))?;
        let view = |d: session::Device| DeviceView {
            current: d.id == caller.device,
            device_id: d.id,
            name: d.name,
            created_ms: d.created_ms,
            last_seen_ms: d.refreshed_ms,
        };
        Ok(devices.into_iter().map(view).collect())
    }

    pub(crate) async fn change_password(&self, caller: &Caller, ask: ChangePassword) -> Result<(), Problem> {
        check_password("new", &ask.new)?;
        let known = self.store.read(|view| account::find_user(view, &caller.user))?;
        let stored = known.and_then(|u| u.password_hash);
        if !self.passwords.verify(ask.old, stored).await.map_err(Problem::fault)? {
            return Err(Refusal::field(Code::INVALID_FIELD, "old", "is not the present password").into());
        }
        let hash = self.passwords.hash(ask.new).await.map_err(Problem::fault)?;
        let user = caller.user.clone();
        let record = self.event("user.password", &caller.user, &caller.user).record();
        self.store
            .write(move |tx| {
                account::set_password_hash(tx, &user, hash)?;
                tx.audit(record);
                Ok::<_, isthmus_domain::Error>(())
            })
            .await?;
        self.end_device(&caller.user, None);
        Ok(())
    }

    /// A log-in ended: its sockets close, its tokens are believed no more.
    pub(crate) fn end_device(&self, user: &UserId, device: Option<&TimeId>) {
        self.sessions.forget(user);
        self.hub.close(user, device);
    }

    /// A question about what a user of ours does.
    pub(crate) fn about_user(&self, operation: &'static str, user: &UserId) -> Question {
        internal(operation, user.as_str(), user.as_str()).into()
    }

    /// The trail of an event that only the audit plugins are asked about.
    pub(crate) fn event(&self, operation: &'static str, actor: &UserId, target: &UserId) -> Trail {
        let call = internal(operation, actor.as_str(), target.as_str());
        let event = Event { call, outcome: "allowed".into(), code: 0, fields: Vec::new() };
        Trail::of_event(&self.policy.begin(), event)
    }

    fn pair(&self) -> Pair {
        let now = clock::now_ms();
        let (access, refresh) = (token::mint(Kind::Access), token::mint(Kind::Refresh));
        let grant = |text: &str, life_s: u64| Grant { sha256: token::hash(text), expires_ms: now + life_s * 1000 };
        let client = &self.config.client;
        Pair {
            access_grant: grant(&access, client.token_ttl_s),
            refresh_grant: grant(&refresh, client.refresh_ttl_s),
            access,
            refresh,
        }
    }

    fn tokens(&self, session: session::Session, pair: Pair) -> Tokens {
        Tokens {
            user_id: session.user,
            device_id: session.device,
            access_token: pair.access,
            refresh_token: pair.refresh,
            expires_in_s: self.config.client.token_ttl_s,
        }
    }
}

/// A call between this server and one of its own.
pub(crate) fn internal(operation: &'static str, actor: &str, target: &str) -> Call {
    super::gate::call(Direction::Internal, operation, None, actor, target)
}

fn no_token(words: &str) -> Problem {
    Problem::Transport(Transport::NoIdentity, words.to_owned())
}
