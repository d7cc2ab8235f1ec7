//! Our own server's users, through its client interface (`/client/v1`).

use std::path::Path;

use bytes::Bytes;
use http::Method;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::{Act, ActError, yes_no};
use crate::client::{Api, ClientError, Upload};
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

/// Bytes of one step of an upload.
const STEP: usize = 1 << 20;
/// Events of one page.
const PAGE: usize = 500;

impl IsthmusUsers {
    /// Logs users in at the client listener `url`, whose certificate `ca` verifies.
    ///
    /// # Errors
    /// The user and what the server says; nobody if it is not to be had.
    pub async fn log_in(
        url: &str,
        ca: &Path,
        users: &[(String, String)],
    ) -> Result<IsthmusUsers, (String, ClientError)> {
        let api = Api::new(url, ca).map_err(|error| (String::new(), error))?;
        let mut logged_in = Vec::new();
        for (id, password) in users {
            let body = json!({"userID": id, "password": password, "deviceName": "isthmus conformance"});
            let answer = api.post("/client/v1/login", &body).await.map_err(|error| (id.clone(), error))?;
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
            Act::Unfriend { from, to } => self.change(Method::DELETE, from, &friend(to, ""), None).await,
            Act::SeesRequest { user, from } => self.sees_request(user, from).await,
            Act::Search { user, query } => self.search(user, query).await,
            Act::SendFile { from, to, kind, file } => self.send_file(from, to, kind, file).await,
            Act::SeesFile { user, from, name } => self.sees_file(user, from, name).await,
            Act::CreateGroup { owner, name } => self.create_group(owner, name).await,
            Act::Invite { by, group, who } => self.group(by, group, "/invite", &json!({"users": [who]})).await,
            Act::AnswerInvite { user, group, agree } => {
                self.group(user, group, "/answer", &json!({"agree": agree})).await
            }
            Act::DecideJoin { by, group, who, agree } => {
                self.group(by, group, "/decide", &json!({"userID": who, "agree": agree})).await
            }
            Act::Remove { by, group, who } => self.group(by, group, "/remove", &json!({"users": [who]})).await,
            Act::Leave { user, group } => self.group(user, group, "/leave", &json!({})).await,
            Act::Dissolve { by, group } => self.change(Method::DELETE, by, &group_path(group, ""), None).await,
            Act::SetAdmin { by, group, who, admin } => {
                self.group(by, group, "/admins", &json!({"users": [who], "admin": admin})).await
            }
            Act::Rename { by, group, name } => {
                self.change(Method::PUT, by, &group_path(group, ""), Some(&json!({"groupName": name}))).await
            }
            Act::Transfer { by, group, to } => self.group(by, group, "/transfer", &json!({"userID": to})).await,
            Act::Settings { by, group, allow, visible } => {
                let body = json!({"isAllow": allow, "isVisible": visible});
                self.change(Method::PUT, by, &group_path(group, ""), Some(&body)).await
            }
        }
    }

    async fn post(&self, user: &str, path: &str, body: &Value) -> Result<String, ActError> {
        self.of(user)?.post(path, body).await?;
        Ok(String::new())
    }

    async fn change(&self, how: Method, user: &str, path: &str, body: Option<&Value>) -> Result<String, ActError> {
        let (status, answer) = self.of(user)?.call(how.clone(), path, body).await?;
        if status < 300 && answer["code"] == 0 {
            return Ok(String::new());
        }
        Err(ActError(format!("{how} {path}: {answer}")))
    }

    async fn group(&self, user: &str, group: &str, rest: &str, body: &Value) -> Result<String, ActError> {
        self.post(user, &group_path(group, rest), body).await
    }

    async fn create_group(&self, owner: &str, name: &str) -> Result<String, ActError> {
        let answer = self.of(owner)?.post("/client/v1/groups", &json!({"groupName": name})).await?;
        let id = answer["groupInfo"]["groupID"].as_str();
        id.map(ToOwned::to_owned).ok_or_else(|| ActError(format!("a group without a groupID: {answer}")))
    }

    async fn send_file(&self, from: &str, to: &str, kind: &str, file: &Path) -> Result<String, ActError> {
        let bytes = std::fs::read(file).map_err(|error| ActError(format!("{}: {error}", file.display())))?;
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let upload = Upload { kind, name: &name, size: bytes.len() as u64, md5: None };
        let bytes = Bytes::from(bytes);
        let part = |from: u64, step: usize| {
            let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
            bytes.slice(from..from.saturating_add(step).min(bytes.len()))
        };
        let media = self.of(from)?.upload(&upload, STEP, part).await?;
        let id = hex::encode(random_bytes::<16>());
        let mut body = json!({"clientID": id, "recvID": to, "type": kind, "mediaID": media});
        if kind == "voice" {
            body["duration"] = json!(1);
        }
        body["scene"] = json!(self.scene(from, to).await?);
        self.post(from, "/client/v1/messages", &body).await
    }

    /// Whether a receiver is a group of the user's.
    async fn scene(&self, user: &str, to: &str) -> Result<&'static str, ActError> {
        let (_, answer) = self.of(user)?.call(Method::GET, &group_path(to, ""), None).await?;
        Ok(if answer["groupInfo"].is_object() { "group" } else { "user" })
    }

    /// A message that names the file, and the file itself as the message says that it is.
    async fn sees_file(&self, user: &str, from: &str, name: &str) -> Result<String, ActError> {
        let events = self.inbox(user).await?;
        let is = |event: &&Value| {
            event["kind"] == "message"
                && event["message"]["sendID"] == from
                && event["message"]["content"]["name"] == name
        };
        let Some(event) = events.iter().find(is) else { return Ok(yes_no(false)) };
        let content = &event["message"]["content"];
        let words = isthmus_wire::query::write(&[("from", from)]);
        let media = isthmus_wire::path::encode(content["mediaID"].as_str().unwrap_or_default());
        let path = format!("/client/v1/media/{media}?{words}");
        let (status, bytes) = self.of(user)?.fetch(Method::GET, &path, None).await?;
        let md5 = hex::encode(Md5::digest(&bytes));
        Ok(yes_no(status == 200 && content["size"] == bytes.len() && content["md5"] == md5))
    }

    async fn write(&self, from: &str, to: &str, scene: &str, text: &str) -> Result<String, ActError> {
        let id = hex::encode(random_bytes::<16>());
        let mut body = json!({"clientID": id, "recvID": to, "text": text});
        if scene != "user" {
            body["scene"] = json!(scene);
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

fn group_path(group: &str, rest: &str) -> String {
    format!("/client/v1/groups/{}{rest}", isthmus_wire::path::encode(group))
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
