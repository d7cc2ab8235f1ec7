//! `/admin/v1/users…`: the server's own users, for the system administrator (§5.2, §6.3 a).

use std::sync::Arc;

use http::Method;
use isthmus_domain::account::{self, NewUser, User};
use isthmus_domain::measure::{self, Kind, Measure};
use isthmus_domain::{Done, TimeId, session};
use isthmus_wire::UserId;
use isthmus_wire::code::{Code, Refusal};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::accounts::{check_password, internal};
use crate::administrators::Who;
use crate::clock;
use crate::reply::Problem;
use crate::request::{parse, parse_or_default};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    All,
    Create,
    Disable,
    Enable,
    Password,
    Devices,
    EndDevices,
    Measures,
    TakeMeasure,
    LiftMeasure,
}

/// This family's part of the listener's table of contents.
pub(crate) const ROWS: [(Method, &str, Endpoint); 10] = [
    (Method::GET, "/admin/v1/users", Endpoint::All),
    (Method::POST, "/admin/v1/users", Endpoint::Create),
    (Method::POST, "/admin/v1/users/{id}/disable", Endpoint::Disable),
    (Method::POST, "/admin/v1/users/{id}/enable", Endpoint::Enable),
    (Method::POST, "/admin/v1/users/{id}/password", Endpoint::Password),
    (Method::GET, "/admin/v1/users/{id}/devices", Endpoint::Devices),
    (Method::POST, "/admin/v1/users/{id}/devices/end", Endpoint::EndDevices),
    (Method::GET, "/admin/v1/users/{id}/measures", Endpoint::Measures),
    (Method::POST, "/admin/v1/users/{id}/measures", Endpoint::TakeMeasure),
    (Method::POST, "/admin/v1/users/{id}/measures/lift", Endpoint::LiftMeasure),
];

/// For metrics.
pub(crate) fn label(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::All => "users",
        Endpoint::Create => "users.create",
        Endpoint::Disable => "users.disable",
        Endpoint::Enable => "users.enable",
        Endpoint::Password => "users.password",
        Endpoint::Devices => "users.devices",
        Endpoint::EndDevices => "users.devices.end",
        Endpoint::Measures => "users.measures",
        Endpoint::TakeMeasure => "users.measures.take",
        Endpoint::LiftMeasure => "users.measures.lift",
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateUser {
    #[serde(rename = "userID")]
    user_id: String,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "phoneNumber")]
    phone_number: Option<String>,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    password: String,
}

/// None: all of them.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Device {
    #[serde(rename = "deviceID")]
    device_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TakeMeasure {
    measure: String,
    #[serde(default)]
    words: String,
    #[serde(default)]
    until_ms: Option<u64>,
    #[serde(default)]
    per_minute: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LiftMeasure {
    measure: String,
}

pub(crate) async fn dispatch(
    server: &Arc<Server>,
    endpoint: Endpoint,
    who: &Who,
    param: &str,
    body: &[u8],
) -> Result<Value, Problem> {
    match endpoint {
        Endpoint::All => server.users(),
        Endpoint::Create => server.create_user(who, parse(body)?).await,
        Endpoint::Disable => server.set_disabled(who, param, true).await,
        Endpoint::Enable => server.set_disabled(who, param, false).await,
        Endpoint::Password => server.reset_user(who, param, parse(body)?).await,
        Endpoint::Devices => server.devices_of(param),
        Endpoint::EndDevices => server.end_devices_of(who, param, parse_or_default(body)?).await,
        Endpoint::Measures => server.measures_of(param),
        Endpoint::TakeMeasure => server.take_measure(who, param, parse(body)?).await,
        Endpoint::LiftMeasure => server.lift_measure(who, param, parse(body)?).await,
    }
}

fn kind_of(text: &str) -> Result<Kind, Problem> {
    text.parse().map_err(|wrong| Refusal::field(Code::INVALID_FIELD, "measure", wrong).into())
}

impl Server {
    fn users(&self) -> Result<Value, Problem> {
        let users = self.store.read(account::list_users)?;
        Ok(json!({"users": users.iter().map(user_view).collect::<Vec<_>>()}))
    }

    async fn create_user(&self, who: &Who, ask: CreateUser) -> Result<Value, Problem> {
        check_password("password", &ask.password)?;
        let local = ask.user_id.strip_suffix(&format!("@{}", self.id)).unwrap_or(&ask.user_id).to_owned();
        let name = if ask.name.is_empty() { local.clone() } else { ask.name };
        let said = vec![super::gate::text("profile.text", &name)];
        // What an administrator may do is no question for plugins, what is said is.
        let call = internal("admin.user.create", &who.actor(), &ask.user_id);
        let name = match self.gate.texts(call, said).await?.pop().unwrap_or(Ok(name)) {
            Ok(name) => name,
            Err((refusal, trail)) => return Err(self.refused(refusal, &trail).await),
        };
        let hash = self.passwords.hash(ask.password).await.map_err(Problem::fault)?;
        let new = NewUser { local, name, password_hash: Some(hash), phone_number: ask.phone_number };
        let record = self.act(who, "admin.user.create", &ask.user_id).record();
        let (home, now, people) = (self.id.clone(), clock::now_ms(), self.people.clone());
        let rule = move |tx: &mut isthmus_store::Tx<'_>| {
            let user = Server::scene(&home, now, |scene| account::create_user(tx, scene, new))?;
            tx.audit(record);
            Ok::<_, isthmus_domain::Error>(user)
        };
        let user = self.store.submit(rule, move |user| people.put(user)).await?.done().await?;
        Ok(user_view(&user))
    }

    async fn set_disabled(&self, who: &Who, user: &str, disabled: bool) -> Result<Value, Problem> {
        let id = self.named_user(user)?;
        let operation = if disabled { "admin.user.disable" } else { "admin.user.enable" };
        let record = self.act(who, operation, id.as_str()).record();
        let (of, people) = (id.clone(), self.people.clone());
        let rule = move |tx: &mut isthmus_store::Tx<'_>| {
            let user = account::set_disabled(tx, &of, disabled)?;
            tx.audit(record);
            Ok::<_, isthmus_domain::Error>(user)
        };
        let user = self.store.submit(rule, move |user| people.put(user)).await?.done().await?;
        self.end_device(&id, None);
        Ok(user_view(&user))
    }

    /// Gives a user another password; it has to log in again everywhere.
    async fn reset_user(&self, who: &Who, user: &str, ask: Password) -> Result<Value, Problem> {
        let id = self.named_user(user)?;
        check_password("password", &ask.password)?;
        let hash = self.passwords.hash(ask.password).await.map_err(Problem::fault)?;
        let record = self.act(who, "admin.user.password", id.as_str()).record();
        let of = id.clone();
        let rule = move |tx: &mut isthmus_store::Tx<'_>| {
            let user = account::set_password_hash(tx, &of, hash)?;
            tx.audit(record);
            Ok::<_, isthmus_domain::Error>(user)
        };
        let user = self.store.write(rule).await?;
        self.end_device(&id, None);
        Ok(user_view(&user))
    }

    fn devices_of(&self, user: &str) -> Result<Value, Problem> {
        let id = self.named_user(user)?;
        let view = |d: &session::Device| {
            json!({"deviceID": d.id, "name": d.name, "createdMs": d.created_ms, "lastSeenMs": d.refreshed_ms,
                "expiresMs": d.expires_ms})
        };
        let devices = self.store.read(|reader| session::devices(reader, &id))?;
        Ok(json!({"devices": devices.iter().map(view).collect::<Vec<_>>()}))
    }

    /// Ends one log-in of a user, or all.
    async fn end_devices_of(&self, who: &Who, user: &str, ask: Device) -> Result<Value, Problem> {
        let id = self.named_user(user)?;
        let unknown = || Refusal::new(Code::NOT_FOUND, "there is no such device");
        let device = ask.device_id.map(|text| TimeId::parse(&text).ok_or_else(unknown)).transpose()?;
        let record = self.act(who, "admin.user.logout", id.as_str()).record();
        let of = id.clone();
        let rule = move |tx: &mut isthmus_store::Tx<'_>| {
            match device {
                Some(device) if !session::revoke(tx, &of, &device)? => return Err(unknown().into()),
                Some(_) => {}
                None => {
                    session::revoke_all(tx, &of)?;
                }
            }
            tx.audit(record);
            Ok::<_, isthmus_domain::Error>(())
        };
        self.store.write(rule).await?;
        self.end_device(&id, device.as_ref());
        Ok(json!({}))
    }

    /// What holds about a user, warnings among it, the oldest first.
    fn measures_of(&self, user: &str) -> Result<Value, Problem> {
        let id = self.named_user(user)?;
        let known = self.store.read(|view| account::find_user(view, &id))?;
        let now_ms = clock::now_ms();
        let measures: Vec<&Measure> = known.iter().flat_map(|user| user.measures_at(now_ms)).collect();
        Ok(json!({"measures": measures}))
    }

    /// The words are judged like any others before the user is told them.
    async fn take_measure(self: &Arc<Self>, who: &Who, user: &str, ask: TakeMeasure) -> Result<Value, Problem> {
        let (id, kind) = (self.named_user(user)?, kind_of(&ask.measure)?);
        let operation = operation(kind);
        let call = internal(operation, &who.actor(), id.as_str());
        let said = vec![super::gate::text("measure.words", &ask.words)];
        let words = match self.gate.texts(call, said).await?.pop().unwrap_or(Ok(ask.words)) {
            Ok(words) => words,
            Err((refusal, trail)) => return Err(self.refused(refusal, &trail).await),
        };
        let mut fields = vec![("words".to_owned(), words.clone())];
        fields.extend(ask.until_ms.map(|ms| ("untilMs".to_owned(), ms.to_string())));
        fields.extend(ask.per_minute.map(|many| ("perMinute".to_owned(), many.to_string())));
        let record = self.act_with(who, operation, id.as_str(), fields).record();
        let taken = Measure {
            kind,
            words,
            by: who.actor(),
            since_ms: clock::now_ms(),
            until_ms: ask.until_ms,
            per_minute: ask.per_minute,
        };
        let (home, now, of) = (self.id.clone(), taken.since_ms, id.clone());
        let rule = move |tx: &mut isthmus_store::Tx<'_>| {
            Server::scene(&home, now, |scene| measure::take(tx, scene, &of, taken, record))
        };
        let answer = self.measured(rule).await?;
        if kind == Kind::Suspend {
            self.end_device(&id, None);
        }
        Ok(answer)
    }

    async fn lift_measure(self: &Arc<Self>, who: &Who, user: &str, ask: LiftMeasure) -> Result<Value, Problem> {
        let (id, kind) = (self.named_user(user)?, kind_of(&ask.measure)?);
        let fields = vec![("measure".to_owned(), kind.to_string())];
        let record = self.act_with(who, "admin.user.lift", id.as_str(), fields).record();
        let (home, now) = (self.id.clone(), clock::now_ms());
        let rule = move |tx: &mut isthmus_store::Tx<'_>| {
            Server::scene(&home, now, |scene| measure::lift(tx, scene, &id, kind, record))
        };
        self.measured(rule).await
    }

    async fn measured(
        self: &Arc<Self>,
        rule: impl FnOnce(&mut isthmus_store::Tx<'_>) -> Result<(User, Done), isthmus_domain::Error> + Send + 'static,
    ) -> Result<Value, Problem> {
        let (server, epoch) = (self.clone(), self.gate.epoch());
        let pending = self.store.submit(rule, move |(user, done)| {
            server.people.put(user);
            server.after(done, epoch);
        });
        let (user, _) = pending.await?.done().await?;
        Ok(user_view(&user))
    }

    fn named_user(&self, user: &str) -> Result<UserId, Problem> {
        let nobody = || Refusal::field(Code::NOT_FOUND, "userID", format_args!("there is no user {user}"));
        let id = self.local_user(user).ok_or_else(nobody)?;
        let known = self.store.read(|view| account::find_user(view, &id))?;
        Ok(known.map(|user| user.id).ok_or_else(nobody)?)
    }
}

/// The measure as audit records name it.
fn operation(kind: Kind) -> &'static str {
    match kind {
        Kind::Warn => "admin.user.warn",
        Kind::Limit => "admin.user.limit",
        Kind::Mute => "admin.user.mute",
        Kind::Suspend => "admin.user.suspend",
    }
}

fn user_view(user: &User) -> Value {
    let measures: Vec<&Measure> = user.measures_at(clock::now_ms()).collect();
    json!({"userID": user.id, "name": user.name, "phoneNumber": user.phone_number, "disabled": user.disabled,
        "hidden": user.hidden, "createdMs": user.created_ms, "measures": measures})
}
