//! Our own server's users, through its client interface (`/client/v1`).

use std::path::Path;

use http::Method;
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
            Act::Recall { from, to, text } => self.recall(from, to, text).await,
            Act::Sees { user, from, text } => self.sees(user, from, text).await,
            Act::SeesRecall { user, from, text } => self.sees_recall(user, from, text).await,
            Act::Befriend { from, to, remark } => {
                self.post(from, "/client/v1/friends", &json!({"userID": to, "remark": remark})).await
            }
            Act::AnswerFriend { user, from, agree } => {
                self.post(user, &friend(from, "/answer"), &json!({"agree": agree})).await
            }
            Act::Unfriend { from, to } => self.delete(from, &friend(to, "")).await,
            Act::SeesRequest { user, from } => self.sees_request(user, from).await,
            Act::Search { user, query } => self.search(user, query).await,
            Act::SendFile { .. }
            | Act::SeesFile { .. }
            | Act::CreateGroup { .. }
            | Act::Invite { .. }
            | Act::AnswerInvite { .. }
            | Act::DecideJoin { .. }
            | Act::Remove { .. }
            | Act::Leave { .. }
            | Act::Dissolve { .. }
            | Act::SetAdmin { .. }
            | Act::Rename { .. }
            | Act::Transfer { .. }
            | Act::Settings { .. } => {
                Err(ActError(format!("the driver for Isthmus does not know the step {}", act.sheet().name)))
            }
        }
    }

    async fn post(&self, user: &str, path: &str, body: &Value) -> Result<String, ActError> {
        self.of(user)?.post(path, body).await?;
        Ok(String::new())
    }

    async fn delete(&self, user: &str, path: &str) -> Result<String, ActError> {
        let (status, answer) = self.of(user)?.call(Method::DELETE, path, None).await?;
        if status < 300 && answer["code"] == 0 {
            return Ok(String::new());
        }
        Err(ActError(format!("DELETE {path}: {answer}")))
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

    async fn recall(&self, from: &str, to: &str, text: &str) -> Result<String, ActError> {
        let events = self.inbox(from).await?;
        let is = |event: &&Value| {
            event["kind"] == "sent"
                && event["message"]["recvID"] == to
                && event["message"]["content"]["message"] == text
        };
        let sent = events.iter().find(is).ok_or_else(|| ActError(format!("{from} has not written {text:?}")))?;
        let id = isthmus_wire::path::encode(sent["message"]["messageID"].as_str().unwrap_or_default());
        self.post(from, &format!("/client/v1/messages/{id}/recall"), &json!({})).await
    }

    /// The text is there no more, and something of the sender's is marked as taken back.
    async fn sees_recall(&self, user: &str, from: &str, text: &str) -> Result<String, ActError> {
        let events = self.inbox(user).await?;
        let gone = !events.iter().any(|event| event["message"]["content"]["message"] == text);
        let marked = events.iter().any(|event| event["kind"] == "recalled" && event["sendID"] == from);
        Ok(yes_no(gone && marked))
    }

    async fn sees_request(&self, user: &str, from: &str) -> Result<String, ActError> {
        let events = self.inbox(user).await?;
        let is = |event: &Value| event["kind"] == "friend.request" && event.to_string().contains(from);
        Ok(yes_no(events.iter().any(is)))
    }

    async fn search(&self, user: &str, wanted: &str) -> Result<String, ActError> {
        let words = isthmus_wire::query::write(&[("query", wanted), ("scope", "all")]);
        let answer = self.of(user)?.get(&format!("/client/v1/users/search?{words}")).await?;
        let mut ids = Vec::new();
        user_ids(&answer, &mut ids);
        Ok(ids.join("\n"))
    }
}

fn friend(user: &str, rest: &str) -> String {
    format!("/client/v1/friends/{}{rest}", isthmus_wire::path::encode(user))
}

/// Every userID in an answer.
fn user_ids(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| user_ids(item, into)),
        Value::Object(members) => {
            into.extend(members.get("userID").and_then(Value::as_str).map(ToOwned::to_owned));
            members.values().for_each(|member| user_ids(member, into));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
