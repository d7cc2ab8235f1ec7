//! A device's WebSocket: pushes the inbox from a cursor, takes messages and acknowledgements.
//!
//! The connection takes its seat in the hub first and reads the inbox from the device's cursor
//! then: whatever is committed after that read comes through the seat, in commit order; what comes
//! through both is recognised by its cursor. A queue that overflowed is replaced by another read.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesOrdered;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::Server;
use super::push::{Pushed, Seat, Wake};
use super::send::{Scene, Submission, Ticket};
use super::session::Caller;
use crate::reply::refusal_value;

/// Messages of one socket whose commit is awaited at once.
const WINDOW: usize = 64;
/// Events read from the inbox at once.
const PAGE: usize = 64;

type Stream = WebSocketStream<TokioIo<Upgraded>>;
type Awaited = Pin<Box<dyn Future<Output = Value> + Send>>;

/// What a client may say.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Frame {
    Send(Sending),
    Ack { cursor: u64 },
}

/// What a client wants sent: the fields of `POST /client/v1/messages`, save that `type` names the frame here and the message's
/// own is `messageType`.
#[derive(Deserialize)]
struct Sending {
    #[serde(rename = "clientID")]
    client_id: String,
    #[serde(rename = "recvID")]
    recv_id: String,
    #[serde(default)]
    scene: Scene,
    #[serde(default)]
    text: String,
    #[serde(rename = "messageType", default)]
    kind: Option<String>,
    #[serde(rename = "mediaID", default)]
    media_id: Option<String>,
    #[serde(default)]
    duration: Option<i64>,
}

struct Connection {
    server: Arc<Server>,
    caller: Caller,
    stream: Stream,
    cursor: u64,
    awaited: FuturesOrdered<Awaited>,
    heard: Instant,
}

/// Why a socket ends.
enum End {
    Gone,
    Told(CloseCode, &'static str),
}

impl From<WsError> for End {
    fn from(_: WsError) -> End {
        End::Gone
    }
}

/// Serves one socket until either side ends it. `after`: the cursor from which the device resumes.
pub(crate) async fn serve(server: Arc<Server>, caller: Caller, after: u64, upgraded: Upgraded) {
    let max = server.config.client.max_message_bytes;
    let config = WebSocketConfig::default()
        .read_buffer_size(2 * 1024)
        .write_buffer_size(4 * 1024)
        .max_write_buffer_size(1024 * 1024)
        .max_message_size(Some(max))
        .max_frame_size(Some(max));
    let stream = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let seated = server.hub.join(caller.user.clone(), caller.device);
    let mut connection = Connection {
        server: server.clone(),
        caller,
        stream,
        cursor: after,
        awaited: FuturesOrdered::new(),
        heard: Instant::now(),
    };
    let end = connection.run(&seated.seat).await;
    drop(seated);
    if let End::Told(code, reason) = end {
        let frame = CloseFrame { code, reason: reason.into() };
        let _ = tokio::time::timeout(Duration::from_secs(2), connection.stream.close(Some(frame))).await;
    }
}

impl Connection {
    async fn run(&mut self, seat: &Seat) -> End {
        match self.serve(seat).await {
            Err(end) => end,
            Ok(never) => match never {},
        }
    }

    async fn serve(&mut self, seat: &Seat) -> Result<std::convert::Infallible, End> {
        self.catch_up().await?;
        let every = Duration::from_secs(self.server.config.client.ping_s);
        let mut ping = tokio::time::interval_at(Instant::now() + every, every);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                wake = seat.next() => self.wake(wake, seat).await?,
                Some(answer) = self.awaited.next(), if !self.awaited.is_empty() => self.answer(answer).await?,
                frame = self.stream.next(), if self.awaited.len() < WINDOW => self.frame(frame).await?,
                _ = ping.tick() => self.ping(every).await?,
            }
        }
    }

    async fn wake(&mut self, wake: Wake, seat: &Seat) -> Result<(), End> {
        match wake {
            Wake::Closed => Err(End::Told(CloseCode::Policy, "log-in ended or server stopping")),
            Wake::Lagging => self.catch_up().await,
            Wake::Events(mut events) => {
                // One commit brings many events and answers, one after the other: let them come, and write them together.
                tokio::task::yield_now().await;
                seat.take(&mut events);
                let after = self.cursor;
                for event in events.iter().filter(|event| event.cursor > after) {
                    self.push(event).await?;
                }
                self.feed_answers().await?;
                Ok(self.stream.flush().await?)
            }
        }
    }

    async fn push(&mut self, event: &Pushed) -> Result<(), End> {
        let text = format!(r#"{{"type":"event","cursor":{},"event":{}}}"#, event.cursor, event.json);
        self.stream.feed(Message::text(text)).await?;
        self.cursor = event.cursor;
        Ok(())
    }

    /// Pushes what the inbox holds after the cursor.
    async fn catch_up(&mut self) -> Result<(), End> {
        loop {
            let events = match self.server.inbox_page(&self.caller.user, self.cursor, PAGE) {
                Ok(events) => events,
                Err(error) => {
                    tracing::error!(error = crate::reply::chain(&error), "inbox cannot be read");
                    return Err(End::Told(CloseCode::Error, "a fault of this server"));
                }
            };
            let last = events.len() < PAGE;
            for event in &events {
                self.push(event).await?;
            }
            self.stream.flush().await?;
            if last {
                return Ok(());
            }
        }
    }

    async fn answer(&mut self, answer: Value) -> Result<(), End> {
        self.stream.feed(Message::text(answer.to_string())).await?;
        self.feed_answers().await?;
        Ok(self.stream.flush().await?)
    }

    /// Writes the answers that are ready, in their order.
    async fn feed_answers(&mut self) -> Result<(), End> {
        while let Some(Some(answer)) = futures_util::FutureExt::now_or_never(self.awaited.next()) {
            self.stream.feed(Message::text(answer.to_string())).await?;
        }
        Ok(())
    }

    async fn frame(&mut self, frame: Option<Result<Message, WsError>>) -> Result<(), End> {
        self.heard = Instant::now();
        match frame.ok_or(End::Gone)?? {
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(Frame::Ack { cursor }) => {
                    self.server.acknowledge(&self.caller, cursor.min(self.cursor));
                    Ok(())
                }
                Ok(Frame::Send(sending)) => self.send(sending).await,
                Err(error) => {
                    let said = json!({"type": "error", "code": 1001, "msg": format!("not a frame: {error}")});
                    self.answer(said).await
                }
            },
            Message::Close(_) => Err(End::Gone),
            Message::Binary(_) => Err(End::Told(CloseCode::Unsupported, "text frames only")),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    /// Judged here, in the order of arrival; the commit is awaited beside the next frames.
    async fn send(&mut self, sending: Sending) -> Result<(), End> {
        if self.caller.expired() {
            return Err(End::Told(CloseCode::Policy, "access token expired; refresh and reconnect"));
        }
        let Sending { client_id, recv_id, scene, text, kind, media_id, duration } = sending;
        let client = client_id.clone();
        let submission = Submission { client_id: client, recv_id, scene, text, kind, media_id, duration };
        match self.server.submit(&self.caller, submission).await {
            Ok(ticket) => {
                self.awaited.push_back(Box::pin(committed(client_id, ticket)));
                Ok(())
            }
            Err(problem) => {
                let refused = refused(&client_id, &problem);
                self.awaited.push_back(Box::pin(std::future::ready(refused)));
                Ok(())
            }
        }
    }

    async fn ping(&mut self, every: Duration) -> Result<(), End> {
        if self.heard.elapsed() > every * 3 {
            return Err(End::Told(CloseCode::Away, "no answer to pings"));
        }
        Ok(self.stream.send(Message::Ping(Default::default())).await?)
    }
}

async fn committed(client_id: String, ticket: Ticket) -> Value {
    match ticket.wait().await {
        Ok(sent) => json!({
            "type": "sent", "clientID": client_id, "messageID": sent.message_id,
            "cursor": sent.cursor, "state": sent.state,
        }),
        Err(problem) => refused(&client_id, &problem),
    }
}

fn refused(client_id: &str, problem: &crate::reply::Problem) -> Value {
    if let crate::reply::Problem::Fault(error) = problem {
        tracing::error!(error = crate::reply::chain(error.as_ref()), "message could not be kept");
    }
    let mut value = refusal_value(problem);
    value["type"] = "refused".into();
    value["clientID"] = client_id.into();
    value
}
