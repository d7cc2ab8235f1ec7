//! The network's side: tasks that carry out orders and tell news, over bounded channels.
//!
//! | task | does |
//! |---|---|
//! | `listen` | reads the inbox from the cursor, then the socket; comes back by itself after a break |
//! | `mouth` | sends messages one after the other, each until it has an answer |
//! | `asks` | everything that is answered at once, a few at a time |
//! | transfers | one task a file ([`transfer`](super::transfer)) |

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::app::Link;
use super::exchange::{Act, Ask, News, Progress, What, Why};
use super::session::Keeper;
use super::transfer;
use crate::client::{Api, ClientError};

/// Orders of a kind that may wait.
const WAITING: usize = 256;
/// Questions and files at a time.
const AT_ONCE: usize = 4;
/// The first and the longest pause before another try.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Without a word for so long (the server pings every half minute), a connection is dead.
const SILENCE: Duration = Duration::from_secs(100);
/// Between two acknowledgements.
const ACK: Duration = Duration::from_secs(1);
const PAGE: usize = 500;

/// What all tasks share.
pub(super) struct Shared {
    base: Api,
    keeper: Arc<Keeper>,
    /// The interface with the token in force, and how many tokens there were before.
    live: Mutex<(Api, u64)>,
    renewing: tokio::sync::Mutex<()>,
    news: mpsc::Sender<News>,
    nudge: Notify,
    places: Semaphore,
}

/// Where orders go.
pub(super) struct Net {
    shared: Arc<Shared>,
    mouth: mpsc::Sender<(String, Value)>,
    asks: mpsc::Sender<Ask>,
    files: HashMap<u64, Arc<Notify>>,
}

/// Doubles, up to a bound, and a little by chance, so that not all come back at once.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Backoff {
        Backoff(PAUSE.0)
    }

    pub(super) fn next(&mut self) -> Duration {
        let [chance] = crate::clock::random_bytes::<1>();
        let pause = self.0 + self.0.mul_f64(f64::from(chance) / 1024.0);
        self.0 = (self.0 * 2).min(PAUSE.1);
        pause
    }
}

impl Why {
    pub(super) fn of(error: &ClientError) -> Why {
        match error {
            ClientError::Refused { code, msg, .. } => Why { code: Some(*code), msg: msg.clone() },
            ClientError::Address(_)
            | ClientError::Ca { .. }
            | ClientError::Connect { .. }
            | ClientError::Http(_)
            | ClientError::Socket(_)
            | ClientError::Answer(_) => Why { code: None, msg: crate::reply::chain(error) },
        }
    }
}

/// Is it the server's word, or may the same go better in a while?
pub(super) fn final_word(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status, .. } if *status < 500 && *status != 429 && *status != 401)
}

impl Shared {
    /// The interface with the token in force, and that token's number.
    pub(super) fn api(&self) -> (Api, u64) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn tell(&self, news: News) {
        // Nobody listens any more: the client is leaving.
        let _ = self.news.send(news).await;
    }

    /// If a call failed because its token is over: gets another one, and answers whether to call again.
    pub(super) async fn renewed(&self, used: u64, error: &ClientError) -> bool {
        if !matches!(error, ClientError::Refused { status: 401, .. }) {
            return false;
        }
        let _one_at_a_time = self.renewing.lock().await;
        if self.api().1 != used {
            return true;
        }
        let body = json!({"refreshToken": self.keeper.kept().refresh});
        match self.base.apart().post("/client/v1/refresh", &body).await {
            Ok(answer) => {
                let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
                let (access, refresh) = (text("accessToken"), text("refreshToken"));
                let api = self.base.apart().with_token(&access);
                // A refresh token serves once: the new one is on the disk before it is needed.
                let kept = self.keeper.change(|kept| (kept.access, kept.refresh) = (access, refresh));
                *self.live.lock().unwrap_or_else(PoisonError::into_inner) = (api, used + 1);
                if let Err(error) = kept {
                    self.tell(News::Answer(What::Change, Err(Why { code: None, msg: error.to_string() }))).await;
                }
                true
            }
            Err(ClientError::Refused { status: 401, .. }) => {
                self.keeper.forget();
                self.tell(News::LoggedOut).await;
                false
            }
            Err(_) => false,
        }
    }

    /// A connection of its own from now on: the old one may be dead without a word.
    fn reconnect(&self) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.0 = live.0.apart();
    }

    /// Asks once, and once more with a new token.
    async fn ask(&self, ask: &Ask) -> Result<Value, ClientError> {
        let mut again = true;
        loop {
            let (api, token) = self.api();
            let (status, value) = match api.call(ask.method.clone(), &ask.path, ask.body.as_ref()).await {
                Ok(answer) => answer,
                Err(error) => return Err(error),
            };
            let code = value["code"].as_i64().unwrap_or(i64::from(status >= 300));
            if code == 0 && status < 300 {
                return Ok(value);
            }
            let refused =
                ClientError::Refused { status, code, msg: value["msg"].as_str().unwrap_or_default().to_owned() };
            if !(again && self.renewed(token, &refused).await) {
                return Err(refused);
            }
            again = false;
        }
    }
}

impl Net {
    /// Starts the tasks; they end with their channels.
    pub(super) fn start(base: Api, keeper: Arc<Keeper>, news: mpsc::Sender<News>) -> Net {
        let live = Mutex::new((base.with_token(&keeper.kept().access), 0));
        let places = Semaphore::new(AT_ONCE);
        let shared = Arc::new(Shared {
            base,
            keeper,
            live,
            renewing: tokio::sync::Mutex::default(),
            news,
            nudge: Notify::new(),
            places,
        });
        let (mouth, said) = mpsc::channel(WAITING);
        let (asks, asked) = mpsc::channel(WAITING);
        tokio::spawn(listen(shared.clone()));
        tokio::spawn(speak(shared.clone(), said));
        tokio::spawn(answer(shared.clone(), asked));
        Net { shared, mouth, asks, files: HashMap::new() }
    }

    /// Hands an order to its task; one for which there is no room is told as not done.
    pub(super) fn carry_out(&mut self, act: Act, busy: &str) -> Option<News> {
        let why = || Why { code: None, msg: busy.to_owned() };
        match act {
            Act::Send(client, body) => {
                let full = self.mouth.try_send((client.clone(), body)).is_err();
                return full.then(|| News::Sent(client, Err(why())));
            }
            Act::Ask(ask) => {
                let what = ask.what.clone();
                return self.asks.try_send(ask).is_err().then(|| News::Answer(what, Err(why())));
            }
            Act::Upload { number, path } => {
                let stop = self.file(number);
                tokio::spawn(transfer::upload(self.shared.clone(), number, path, stop));
            }
            Act::Save { number, from, file, to } => {
                let stop = self.file(number);
                tokio::spawn(transfer::save(self.shared.clone(), number, from, file, to, stop));
            }
            Act::Cancel(number) => {
                if let Some(stop) = self.files.remove(&number) {
                    stop.notify_one();
                }
            }
            Act::Nudge => self.shared.nudge.notify_waiters(),
            Act::LogOut | Act::Quit => {}
        }
        None
    }

    fn file(&mut self, number: u64) -> Arc<Notify> {
        self.files.entry(number).or_default().clone()
    }

    /// Ends this device's log-in, if the server can be reached.
    pub(super) async fn log_out(&self) -> Result<(), Why> {
        let ask = Ask {
            what: What::Change,
            method: http::Method::POST,
            path: "/client/v1/logout".into(),
            body: Some(json!({})),
        };
        self.shared.ask(&ask).await.map_err(|error| Why::of(&error))?;
        self.shared.keeper.forget();
        Ok(())
    }
}

/// A place for a file's task; the others wait.
pub(super) async fn place(shared: &Shared) -> Option<tokio::sync::SemaphorePermit<'_>> {
    shared.places.acquire().await.ok()
}

/// Tells how far a file is.
pub(super) async fn progress(shared: &Shared, number: u64, progress: Progress) {
    shared.tell(News::Transfer(number, progress)).await;
}

async fn listen(shared: Arc<Shared>) {
    let mut cursor = 0;
    let mut backoff = Backoff::new();
    loop {
        shared.tell(News::Link(Link::Connecting)).await;
        let began = Instant::now();
        let (_, token) = shared.api();
        let Err(error) = hear(&shared, &mut cursor).await;
        if shared.news.is_closed() {
            return;
        }
        if shared.renewed(token, &error).await {
            continue;
        }
        if began.elapsed() > PAUSE.1 {
            backoff = Backoff::new();
        }
        let pause = backoff.next();
        shared.tell(News::Link(Link::Away { retry_s: pause.as_secs(), why: Why::of(&error).msg })).await;
        // Enter in the client ends the pause.
        let _ = timeout(pause, shared.nudge.notified()).await;
        shared.reconnect();
    }
}

/// One connection: what was missed, then what comes.
async fn hear(shared: &Shared, cursor: &mut u64) -> Result<std::convert::Infallible, ClientError> {
    catch_up(shared, cursor).await?;
    let (api, _) = shared.api();
    let mut socket = api.socket(&format!("/client/v1/socket?after={cursor}")).await?.into_inner();
    shared.tell(News::Link(Link::Live)).await;
    let broken = |error| ClientError::Socket(Box::new(error));
    let mut told = *cursor;
    let mut heard = Instant::now();
    loop {
        let wait = if told < *cursor { ACK } else { SILENCE };
        match timeout(wait, socket.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => {
                let mut frame: Value =
                    serde_json::from_str(&text).map_err(|error| ClientError::Answer(error.to_string()))?;
                if let (Some(at), Some("event")) = (frame["cursor"].as_u64(), frame["type"].as_str()) {
                    shared.tell(News::Inbox(at, frame["event"].take())).await;
                    *cursor = at;
                }
            }
            Ok(Some(Ok(Message::Close(_))) | None) => {
                return Err(ClientError::Answer("the server closed the connection".into()));
            }
            Ok(Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => {}
            Ok(Some(Err(error))) => return Err(broken(error)),
            Err(_) if heard.elapsed() >= SILENCE => return Err(ClientError::Answer("no word from the server".into())),
            Err(_) => {
                let ack = json!({"type": "ack", "cursor": *cursor}).to_string();
                socket.send(Message::text(ack)).await.map_err(broken)?;
                told = *cursor;
                continue;
            }
        }
        heard = Instant::now();
    }
}

async fn catch_up(shared: &Shared, cursor: &mut u64) -> Result<(), ClientError> {
    loop {
        let (api, _) = shared.api();
        let mut page = api.get(&format!("/client/v1/inbox?after={cursor}&limit={PAGE}")).await?;
        shared.tell(News::Link(Link::CatchingUp)).await;
        let Value::Array(events) = page["events"].take() else { return Ok(()) };
        let many = events.len();
        for event in events {
            let at = event["cursor"].as_u64().unwrap_or(*cursor);
            shared.tell(News::Inbox(at, event)).await;
            *cursor = at.max(*cursor);
        }
        if many < PAGE {
            return Ok(());
        }
    }
}

/// Sends what is said, in its order. A clientID is one message however often it is sent.
async fn speak(shared: Arc<Shared>, mut said: mpsc::Receiver<(String, Value)>) {
    while let Some((client, body)) = said.recv().await {
        let mut backoff = Backoff::new();
        let ask = Ask {
            what: What::Change,
            method: http::Method::POST,
            path: "/client/v1/messages".into(),
            body: Some(body),
        };
        let result = loop {
            match shared.ask(&ask).await {
                Ok(answer) => break Ok(answer),
                Err(error) if final_word(&error) => break Err(Why::of(&error)),
                Err(_) => sleep(backoff.next()).await,
            }
            if shared.news.is_closed() {
                return;
            }
        };
        shared.tell(News::Sent(client, result)).await;
    }
}

async fn answer(shared: Arc<Shared>, mut asked: mpsc::Receiver<Ask>) {
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(ask) = asked.recv().await {
        let Ok(place) = at_once.clone().acquire_owned().await else { return };
        let shared = shared.clone();
        tokio::spawn(async move {
            let result = shared.ask(&ask).await.map_err(|error| Why::of(&error));
            shared.tell(News::Answer(ask.what, result)).await;
            drop(place);
        });
    }
}
