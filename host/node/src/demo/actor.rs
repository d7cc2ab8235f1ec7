//! A user of the demo at a device: writes, and hears what is pushed. A broken socket is opened again from the last cursor, as a
//! good client does, so what the actor heard is exactly what the server showed this device.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::record::{ServerRecord, UserRecord};
use crate::client::{Api, ClientError};

const RECONNECT: Duration = Duration::from_millis(100);

/// A logged-in user.
pub(super) struct Actor {
    /// `local@serverId`.
    pub(super) id: String,
    api: Api,
    heard: Arc<Heard>,
    ear: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Heard {
    events: Mutex<Vec<(Instant, Value)>>,
    changed: Notify,
}

/// What the server said to a message.
#[derive(Debug, Clone)]
pub(super) enum Said {
    /// It is kept (`state` `kept`), or waits for an administrator (`held`).
    Taken {
        /// messageID.
        id: String,
        /// `kept` or `held`.
        state: String,
    },
    /// It is not: code and public words.
    Refused {
        /// R5's code.
        code: i64,
        /// The reason for the user.
        msg: String,
    },
}

/// Everything heard after this point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(usize);

impl Actor {
    /// Logs in and listens.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(super) async fn log_in(server: &ServerRecord, user: &UserRecord) -> Result<Actor, ClientError> {
        let api = Api::new(&server.client, &server.ca)?;
        let body = json!({"userID": user.user_id, "password": user.password, "deviceName": "isthmus demo"});
        let answer = api.post("/client/v1/login", &body).await?;
        let token = answer["accessToken"].as_str().unwrap_or_default();
        let api = api.with_token(token);
        let inbox = api.get("/client/v1/inbox?after=0&limit=1").await?;
        let head = inbox["head"].as_u64().unwrap_or_default();
        let heard = Arc::new(Heard::default());
        let ear = tokio::spawn(listen(api.apart(), head, heard.clone()));
        Ok(Actor { id: user.user_id.clone(), api, heard, ear })
    }

    /// The client API with this user's token.
    #[must_use]
    pub(super) fn api(&self) -> &Api {
        &self.api
    }

    /// Writes once.
    ///
    /// # Errors
    /// [`ClientError`] where the server gave no answer; a refusal is an answer.
    pub(super) async fn say(&self, to: &str, text: &str) -> Result<Said, ClientError> {
        self.say_as(&Actor::fresh_id(), to, text).await
    }

    /// Writes, again and again under one clientID, until the server answers: what a client does whose server is away.
    ///
    /// # Errors
    /// The last [`ClientError`] when `within` is over.
    pub(super) async fn insist(&self, to: &str, text: &str, within: Duration) -> Result<Said, ClientError> {
        let client_id = Actor::fresh_id();
        let deadline = Instant::now() + within;
        loop {
            match self.say_as(&client_id, to, text).await {
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(RECONNECT).await,
                Ok(said) => return Ok(said),
            }
        }
    }

    async fn say_as(&self, client_id: &str, to: &str, text: &str) -> Result<Said, ClientError> {
        let body = json!({"clientID": client_id, "recvID": to, "text": text});
        match self.api.post("/client/v1/messages", &body).await {
            Ok(answer) => Ok(Said::Taken {
                id: answer["messageID"].as_str().unwrap_or_default().to_owned(),
                state: answer["state"].as_str().unwrap_or("kept").to_owned(),
            }),
            // Overloaded or shutting down is no decision: 1302, as every 5xx.
            Err(ClientError::Refused { status, code, msg }) if status < 500 => Ok(Said::Refused { code, msg }),
            Err(error) => Err(error),
        }
    }

    /// From now on.
    #[must_use]
    pub(super) fn mark(&self) -> Mark {
        Mark(self.heard.locked().len())
    }

    /// The first event after `mark` from which `pick` makes something, waiting `within` for it; with the time it was heard.
    pub(super) async fn hear<T>(
        &self,
        mark: Mark,
        within: Duration,
        pick: impl Fn(&Value) -> Option<T>,
    ) -> Option<(Instant, T)> {
        let deadline = Instant::now() + within;
        loop {
            let changed = self.heard.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let found = self.heard.locked()[mark.0..].iter().find_map(|(at, event)| Some((*at, pick(event)?)));
            if found.is_some() {
                return found;
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return None;
            }
        }
    }

    /// Texts written in `group` and heard after `mark`, in order.
    #[must_use]
    pub(super) fn group_texts(&self, mark: Mark, group: &str) -> Vec<String> {
        let text = |event: &Value| {
            let message = &event["message"];
            let fits = event["kind"] == "message" && message["recvID"] == group;
            fits.then(|| message["content"]["message"].as_str().map(str::to_owned))?
        };
        self.heard.locked()[mark.0..].iter().filter_map(|(_, event)| text(event)).collect()
    }

    /// A client's name for a message.
    #[must_use]
    pub(super) fn fresh_id() -> String {
        hex::encode(crate::clock::random_bytes::<16>())
    }

    /// Texts of the messages from `sender` heard after `mark`, in order.
    #[must_use]
    pub(super) fn texts(&self, mark: Mark, sender: &str) -> Vec<String> {
        self.heard.locked()[mark.0..].iter().filter_map(|(_, event)| text_of(event, sender)).collect()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.ear.abort();
    }
}

impl Heard {
    fn locked(&self) -> MutexGuard<'_, Vec<(Instant, Value)>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text of a message event from `sender`.
#[must_use]
pub(super) fn text_of(event: &Value, sender: &str) -> Option<String> {
    let message = &event["message"];
    let fits = event["kind"] == "message" && message["sendID"] == sender;
    fits.then(|| message["content"]["message"].as_str().unwrap_or_default().to_owned())
}

/// State, code and words of the receipt for `message_id`, if the event is one.
#[must_use]
pub(super) fn receipt_of(event: &Value, message_id: &str) -> Option<(String, i64, String)> {
    let fits = event["kind"] == "receipt" && event["messageID"] == message_id;
    let state = event["state"].as_str()?.to_owned();
    let msg = event["msg"].as_str().unwrap_or_default().to_owned();
    fits.then(|| (state, event["code"].as_i64().unwrap_or_default(), msg))
}

async fn listen(api: Api, mut cursor: u64, heard: Arc<Heard>) {
    loop {
        // Whatever broke it, the next socket begins after the last event heard.
        let _ = listen_once(&api, &mut cursor, &heard).await;
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn listen_once(api: &Api, cursor: &mut u64, heard: &Heard) -> Result<(), ClientError> {
    let mut socket = api.socket(&format!("/client/v1/socket?after={cursor}")).await?;
    while let Some(incoming) = socket.next().await? {
        if incoming["type"] != "event" {
            continue;
        }
        *cursor = incoming["cursor"].as_u64().unwrap_or(*cursor);
        heard.locked().push((Instant::now(), incoming["event"].clone()));
        heard.changed.notify_waiters();
        socket.acknowledge(*cursor).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_message_of_its_sender_has_a_text_and_only_the_receipt_of_its_message_counts() {
        let message = json!({"kind": "message", "message": {"sendID": "a@n", "content": {"message": "hello"}}});
        assert_eq!(text_of(&message, "a@n").as_deref(), Some("hello"));
        assert_eq!(text_of(&message, "b@n"), None);
        let receipt = json!({"kind": "receipt", "messageID": "m", "state": "refused", "code": 1102, "msg": "no"});
        assert_eq!(receipt_of(&receipt, "m"), Some(("refused".to_owned(), 1102, "no".to_owned())));
        assert_eq!(receipt_of(&receipt, "n"), None);
        assert_eq!(text_of(&receipt, "a@n"), None);
    }
}
