//! A user at a device.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use isthmus_node::client::{Api, ClientError, Socket, Upload};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::SOON;
use crate::openapi::CLIENT;
use crate::site::Site;

/// The password of every user of a test.
#[must_use]
pub fn password_of(local: &str) -> String {
    format!("{local}'s password")
}

/// A logged-in device.
#[derive(Clone)]
pub struct Client {
    /// `local@serverId`.
    pub id: String,
    pub device: String,
    pub access_token: String,
    pub refresh_token: String,
    pub api: Api,
}

/// A message that the server took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub id: String,
    pub cursor: u64,
    /// `kept` or `held`.
    pub state: String,
}

/// A message that it did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub code: i64,
    pub msg: String,
}

/// What an inbox holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody wrote.
    Message { cursor: u64, from: String, to: String, id: String, text: String },
    /// The user wrote, on some device.
    Sent { cursor: u64, to: String, id: String, client_id: String, text: String, state: String },
    /// What became of a message of the user's.
    Receipt { cursor: u64, id: String, state: String, code: i64, msg: String },
    /// Anything else: `recalled`, `friend.request`, …
    News { cursor: u64, kind: String, body: Value },
}

impl Event {
    /// From the server's JSON.
    #[must_use]
    pub fn read(cursor: u64, value: &Value) -> Event {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let message = &value["message"];
        let (to, id, said) =
            (text(&message["recvID"]), text(&message["messageID"]), text(&message["content"]["message"]));
        match value["kind"].as_str() {
            Some("message") => Event::Message { cursor, from: text(&message["sendID"]), to, id, text: said },
            Some("sent") => Event::Sent {
                cursor,
                to,
                id,
                client_id: text(&value["clientID"]),
                text: said,
                state: text(&value["state"]),
            },
            Some("receipt") => Event::Receipt {
                cursor,
                id: text(&value["messageID"]),
                state: text(&value["state"]),
                code: value["code"].as_i64().unwrap_or_default(),
                msg: text(&value["msg"]),
            },
            Some(kind) => Event::News { cursor, kind: kind.to_owned(), body: value.clone() },
            None => panic!("no event: {value}"),
        }
    }

    /// The news, if the event is of this kind.
    #[must_use]
    pub fn news(&self, wanted: &str) -> Option<&Value> {
        match self {
            Event::News { kind, body, .. } if kind == wanted => Some(body),
            Event::News { .. } | Event::Message { .. } | Event::Sent { .. } | Event::Receipt { .. } => None,
        }
    }

    #[must_use]
    pub fn cursor(&self) -> u64 {
        match self {
            Event::Message { cursor, .. }
            | Event::Sent { cursor, .. }
            | Event::Receipt { cursor, .. }
            | Event::News { cursor, .. } => *cursor,
        }
    }

    /// What somebody wrote.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Event::Message { text, .. } => Some(text),
            Event::Sent { .. } | Event::Receipt { .. } | Event::News { .. } => None,
        }
    }

    /// State and code of the receipt for a message, if the event is one.
    #[must_use]
    pub fn receipt_for(&self, message: &str) -> Option<(&str, i64)> {
        match self {
            Event::Receipt { id, state, code, .. } if id == message => Some((state, *code)),
            Event::Receipt { .. } | Event::Message { .. } | Event::Sent { .. } | Event::News { .. } => None,
        }
    }
}

impl Client {
    /// # Errors
    /// As the server answers.
    pub async fn log_in(api: &Api, local: &str) -> Result<Client, ClientError> {
        let body = json!({"userID": local, "password": password_of(local), "deviceName": "test"});
        let answer = api.post("/client/v1/login", &body).await?;
        Ok(Client::of(api, &answer))
    }

    /// From the answer of a log-in or a refresh.
    #[must_use]
    pub fn of(api: &Api, answer: &Value) -> Client {
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        let access_token = text("accessToken");
        Client {
            id: text("userID"),
            device: text("deviceID"),
            api: api.with_token(&access_token),
            refresh_token: text("refreshToken"),
            access_token,
        }
    }

    /// The same log-in at a server that has other ports now.
    #[must_use]
    pub fn at(&self, site: &Site) -> Client {
        Client { api: site.api().with_token(&self.access_token), ..self.clone() }
    }

    /// Writes; the server must take it.
    pub async fn send(&self, to: &str, text: &str) -> Sent {
        self.try_send(to, text).await.unwrap()
    }

    /// # Errors
    /// The refusal.
    pub async fn try_send(&self, to: &str, text: &str) -> Result<Sent, Refused> {
        self.send_as(&fresh_id(), to, text).await
    }

    /// Writes under the client's own name for it.
    ///
    /// # Errors
    /// The refusal.
    pub async fn send_as(&self, client_id: &str, to: &str, text: &str) -> Result<Sent, Refused> {
        let body = json!({"clientID": client_id, "recvID": to, "text": text});
        match self.api.post("/client/v1/messages", &body).await {
            Ok(answer) => Ok(sent(&answer)),
            Err(ClientError::Refused { code, msg, .. }) => Err(Refused { code, msg }),
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// Writes again and again under one name until there is an answer, as a client does whose server is away.
    ///
    /// # Errors
    /// The refusal.
    pub async fn insist(&self, to: &str, text: &str) -> Result<Sent, Refused> {
        let body = json!({"clientID": fresh_id(), "recvID": to, "text": text});
        let began = Instant::now();
        loop {
            match self.api.post("/client/v1/messages", &body).await {
                Ok(answer) => return Ok(sent(&answer)),
                Err(ClientError::Refused { status, code, msg }) if status < 500 => return Err(Refused { code, msg }),
                Err(error) => assert!(began.elapsed() < SOON, "no answer to {text}: {error}"),
            }
            tokio::time::sleep(crate::process::MOMENT).await;
        }
    }

    /// Uploads a file whole; answers its mediaID.
    ///
    /// # Errors
    /// The refusal.
    pub async fn upload(&self, kind: &str, name: &str, bytes: &[u8]) -> Result<String, Refused> {
        let upload = Upload { kind, name, size: bytes.len() as u64, md5: None };
        let from = |offset: u64, step: usize| {
            let at = usize::try_from(offset).unwrap();
            Bytes::copy_from_slice(&bytes[at..(at + step).min(bytes.len())])
        };
        refusal(self.api.upload(&upload, 1 << 20, from).await)
    }

    /// Sends a message with a file.
    ///
    /// # Errors
    /// The refusal.
    pub async fn send_file(&self, to: &str, kind: &str, media: &str) -> Result<Sent, Refused> {
        let mut body = json!({"clientID": fresh_id(), "recvID": to, "type": kind, "mediaID": media});
        if kind == "voice" {
            body["duration"] = 7.into();
        }
        refusal(self.api.post("/client/v1/messages", &body).await).map(|answer| sent(&answer))
    }

    /// `GET` of a file, with whatever headers: status, headers, bytes.
    pub async fn fetch_file(&self, media: &str, headers: &[(&'static str, &str)]) -> (u16, HeaderMap, Bytes) {
        let pairs = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let path = format!("/client/v1/media/{media}");
        let answer = self.api.exchange(Method::GET, &path, pairs.collect(), Bytes::new()).await.unwrap();
        let (head, body) = answer.into_parts();
        (head.status.as_u16(), head.headers, body)
    }

    /// The bytes of a file that the user may see.
    pub async fn file(&self, media: &str) -> Bytes {
        let (status, _, bytes) = self.fetch_file(media, &[]).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
        bytes
    }

    /// Waits for the next message with a file after a cursor: its `messageInfo`.
    pub async fn next_file(&self, after: u64) -> Value {
        let path = format!("/client/v1/inbox?after={after}&limit=500");
        crate::until(&format!("{} has a file", self.id), async || {
            let page = self.api.get(&path).await.unwrap();
            let mut events = page["events"].as_array().unwrap().iter();
            let found = events.find(|e| e["kind"] == "message" && e["message"]["content"]["mediaID"].is_string());
            found.map(|event| event["message"].clone())
        })
        .await
    }

    /// Everything in the inbox after a cursor.
    pub async fn inbox(&self, mut after: u64) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let page = self.api.get(&format!("/client/v1/inbox?after={after}&limit=500")).await.unwrap();
            let found = page["events"].as_array().unwrap();
            events.extend(found.iter().map(|event| Event::read(event["cursor"].as_u64().unwrap(), event)));
            after = page["next"].as_u64().unwrap();
            if found.len() < 500 {
                return events;
            }
        }
    }

    /// The texts that others wrote, in order.
    pub async fn texts(&self) -> Vec<String> {
        self.inbox(0).await.iter().filter_map(|event| event.text().map(str::to_owned)).collect()
    }

    /// Waits until the inbox holds this many texts of others.
    pub async fn texts_once(&self, many: usize) -> Vec<String> {
        crate::until(&format!("{} has {many} messages", self.id), async || {
            let texts = self.texts().await;
            (texts.len() >= many).then_some(texts)
        })
        .await
    }

    /// Waits for news of a kind, after a cursor; the first of them.
    pub async fn news(&self, kind: &str, after: u64) -> Value {
        crate::until(&format!("{} has news: {kind}", self.id), async || {
            let events = self.inbox(after).await;
            events.iter().find_map(|event| event.news(kind)).cloned()
        })
        .await
    }

    /// Waits for the final receipt of a message: its state and code.
    pub async fn receipt(&self, sent: &Sent) -> (String, i64) {
        crate::until(&format!("{} has a receipt for {}", self.id, sent.id), async || {
            let events = self.inbox(sent.cursor).await;
            events.iter().find_map(|e| e.receipt_for(&sent.id)).map(|(state, code)| (state.to_owned(), code))
        })
        .await
    }

    /// A socket that begins after a cursor.
    pub async fn listen(&self, after: u64) -> Ear {
        self.try_listen(after).await.unwrap()
    }

    /// # Errors
    /// As the server answers.
    pub async fn try_listen(&self, after: u64) -> Result<Ear, ClientError> {
        let socket = self.api.socket(&format!("/client/v1/socket?after={after}")).await?;
        Ok(Ear { socket, cursor: after, answers: VecDeque::new(), events: VecDeque::new() })
    }
}

fn refusal<T>(answer: Result<T, ClientError>) -> Result<T, Refused> {
    match answer {
        Ok(answer) => Ok(answer),
        Err(ClientError::Refused { code, msg, .. }) => Err(Refused { code, msg }),
        Err(error) => panic!("no answer: {error}"),
    }
}

fn sent(answer: &Value) -> Sent {
    Sent {
        id: answer["messageID"].as_str().unwrap().to_owned(),
        cursor: answer["cursor"].as_u64().unwrap(),
        state: answer["state"].as_str().unwrap().to_owned(),
    }
}

/// A name for a message that no other has.
#[must_use]
pub fn fresh_id() -> String {
    let bytes: [u8; 16] = isthmus_node::clock::random_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An open socket.
pub struct Ear {
    pub socket: Socket,
    /// Of the last event heard.
    pub cursor: u64,
    answers: VecDeque<(String, Result<Sent, Refused>)>,
    events: VecDeque<Event>,
}

impl Ear {
    /// The next event.
    pub async fn next(&mut self) -> Event {
        self.next_within(SOON).await.unwrap_or_else(|| panic!("no event within {SOON:?}"))
    }

    /// The next event, if there is one within this time.
    pub async fn next_within(&mut self, within: Duration) -> Option<Event> {
        let deadline = Instant::now() + within;
        while self.events.is_empty() {
            tokio::time::timeout_at(deadline, self.hear()).await.ok()?.unwrap_or_else(|| panic!("the socket ended"));
        }
        self.events.pop_front()
    }

    /// The next text that somebody wrote.
    pub async fn text(&mut self) -> String {
        loop {
            if let Event::Message { text, .. } = self.next().await {
                return text;
            }
        }
    }

    /// The next `many` texts.
    pub async fn take(&mut self, many: usize) -> Vec<String> {
        let mut texts = Vec::with_capacity(many);
        while texts.len() < many {
            texts.push(self.text().await);
        }
        texts
    }

    /// Sends over the socket, without waiting for the answer.
    pub async fn send(&mut self, client_id: &str, to: &str, text: &str) {
        self.socket.send(client_id, to, text).await.unwrap();
    }

    /// The next answer to a message sent over this socket: its clientID and what became of it.
    pub async fn answer(&mut self) -> (String, Result<Sent, Refused>) {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(answer) = self.answers.pop_front() {
                return answer;
            }
            let heard = tokio::time::timeout_at(deadline, self.hear()).await;
            assert!(heard.unwrap_or_else(|_| panic!("no answer within {SOON:?}")).is_some(), "the socket ended");
        }
    }

    /// Says that everything heard is kept.
    pub async fn acknowledge(&mut self) {
        self.socket.acknowledge(self.cursor).await.unwrap();
    }

    /// Waits until the server closes the socket.
    pub async fn closed(&mut self) {
        let closing = async { while self.hear().await.is_some() {} };
        tokio::time::timeout(SOON, closing).await.unwrap_or_else(|_| panic!("not closed within {SOON:?}"));
    }

    async fn hear(&mut self) -> Option<()> {
        let incoming = self.socket.next().await.ok().flatten()?;
        let frame = json!({"$ref": "#/components/schemas/ServerFrame"});
        CLIENT.conforms(&frame, &incoming).unwrap_or_else(|wrong| panic!("not as described: {incoming}: {wrong}"));
        let client_id = incoming["clientID"].as_str().unwrap_or_default().to_owned();
        match incoming["type"].as_str() {
            Some("event") => {
                let cursor = incoming["cursor"].as_u64().unwrap();
                assert!(cursor > self.cursor, "cursor {cursor} after {}", self.cursor);
                self.cursor = cursor;
                self.events.push_back(Event::read(cursor, &incoming["event"]));
            }
            Some("sent") => self.answers.push_back((client_id, Ok(sent(&incoming)))),
            Some("refused") => {
                let code = incoming["code"].as_i64().unwrap();
                let msg = incoming["msg"].as_str().unwrap().to_owned();
                self.answers.push_back((client_id, Err(Refused { code, msg })));
            }
            _ => panic!("not understood: {incoming}"),
        }
        Some(())
    }
}
