//! `/admin/v1/users…`: the server's own users, for the system administrator (§5.2, §6.3 a).

use std::sync::Arc;

use http::Method;
use isthmus_domain::account::{self, NewUser, User};
use isthmus_domain::{TimeId, session};
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
}

/// This family's part of the listener's table of contents.
pub(crate) const ROWS: [(Method, &str, Endpoint); 7] = [
    (Method::GET, "/admin/v1/users", Endpoint::All),
    (Method::POST, "/admin/v1/users", Endpoint::Create),
    (Method::POST, "/admin/v1/users/{id}/disable", Endpoint::Disable),
    (Method::POST, "/admin/v1/users/{id}/enable", Endpoint::Enable),
    (Method::POST, "/admin/v1/users/{id}/password", Endpoint::Password),
    (Method::GET, "/admin/v1/users/{id}/devices", Endpoint::Devices),
    (Method::POST, "/admin/v1/users/{id}/devices/end", Endpoint::EndDevices),
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
    }
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

    fn named_user(&self, user: &str) -> Result<UserId, Problem> {
        let nobody = || Refusal::field(Code::NOT_FOUND, "userID", format_args!("there is no user {user}"));
        let id = self.local_user(user).ok_or_else(nobody)?;
        let known = self.store.read(|view| account::find_user(view, &id))?;
        Ok(known.map(|user| user.id).ok_or_else(nobody)?)
    }
}

fn user_view(user: &User) -> Value {
    json!({"userID": user.id, "name": user.name, "phoneNumber": user.phone_number, "disabled": user.disabled,
        "hidden": user.hidden, "createdMs": user.created_ms})
}
