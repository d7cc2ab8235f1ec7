//! Our own server's users, through its client interface (`/client/v1`).

use std::path::Path;

use serde_json::{Value, json};

use super::{Act, ActError, yes_no};
use crate::client::{Api, ClientError};
use crate::clock::random_bytes;

/// The target's users, logged in.
pub struct IsthmusUsers {
    users: Vec<(String, Api)>,
}

impl From<ClientError> for ActError {
    fn from(error: ClientError) -> ActError {
        ActError(crate::reply::chain(&error))
    }
}

/// Events of one page.
const PAGE: usize = 500;

impl IsthmusUsers {
    /// Logs users in at the client listener `url`, whose certificate `ca` verifies.
    ///
    /// # Errors
    /// What the server says, naming the user.
    pub async fn log_in(url: &str, ca: &Path, users: &[(String, String)]) -> Result<IsthmusUsers, ClientError> {
        let api = Api::new(url, ca)?;
        let mut logged_in = Vec::new();
        for (id, password) in users {
            let body = json!({"userID": id, "password": password, "deviceName": "isthmus conformance"});
            let answer = api.post("/client/v1/login", &body).await?;
            let token = answer["accessToken"].as_str().unwrap_or_default();
            logged_in.push((id.clone(), api.apart().with_token(token)));
        }
        Ok(IsthmusUsers { users: logged_in })
    }

    fn of(&self, user: &str) -> Result<&Api, ActError> {
        let found = self.users.iter().find(|(id, _)| id == user);
        found.map(|(_, api)| api).ok_or_else(|| ActError(format!("{user} is not logged in")))
    }

    /// Everything that the user was told.
    async fn inbox(&self, user: &str) -> Result<Vec<Value>, ActError> {
        let api = self.of(user)?;
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let page = api.get(&format!("/client/v1/inbox?after={after}&limit={PAGE}")).await?;
            let found = page["events"].as_array().cloned().unwrap_or_default();
            after = page["next"].as_u64().unwrap_or(after);
            let last = found.len() < PAGE;
            events.extend(found);
            if last {
                return Ok(events);
            }
        }
    }

    /// Does one step.
    pub(super) async fn act(&self, act: &Act<'_>) -> Result<String, ActError> {
        match act {
            Act::SendText { from, to, text } => self.write(from, to, "user", text).await,
            Act::SendGroup { from, group, text } => self.write(from, group, "group", text).await,
            Act::Sees { user, from, text } => self.sees(user, from, text).await,
            _ => Err(ActError(format!("the driver for Isthmus does not know the step {}", act.sheet().name))),
        }
    }

    async fn write(&self, from: &str, to: &str, scene: &str, text: &str) -> Result<String, ActError> {
        let id = hex::encode(random_bytes::<16>());
        let mut body = json!({"clientID": id, "recvID": to, "text": text});
        if scene != "user" {
            body["chatScene"] = json!(scene);
        }
        let answer = self.of(from)?.post("/client/v1/messages", &body).await?;
        Ok(answer["messageID"].as_str().unwrap_or_default().to_owned())
    }

    async fn sees(&self, user: &str, from: &str, text: &str) -> Result<String, ActError> {
        let events = self.inbox(user).await?;
        let is = |event: &&Value| {
            event["kind"] == "message"
                && event["message"]["sendID"] == from
                && event["message"]["content"]["message"] == text
        };
        Ok(yes_no(events.iter().filter(is).count() == 1))
    }
}
