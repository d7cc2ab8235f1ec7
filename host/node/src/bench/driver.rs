//! The load: each writer keeps a window of messages under way to its reader, at full speed or paced, over WebSockets.
//!
//! A message is under way from its hand-over to the writer's server until its reader has it from the other server, so the window
//! bounds what is in both servers together. Time stamps travel in the texts: writer and reader are in one process, with one clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::error::BenchError;
use super::figures::Account;
use super::frame::{Frame, send_frame};
use super::ground::Couple;
use super::tally::{self, Tally};
use crate::client::Api;

/// How one phase loads the servers.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Messages under way for each writer.
    pub window: usize,
    /// Seconds between two messages of one writer; `None`: as fast as the window allows.
    pub pace: Option<Duration>,
    /// Bytes of one text.
    pub text_bytes: usize,
    /// Before the measured time.
    pub warm_up: Duration,
    /// The measured time.
    pub measured: Duration,
}

/// What a phase found, before anything is divided.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Where every message went.
    pub account: Account,
    /// End to end, in microseconds, of what arrived within the measured time.
    pub latencies: Vec<u32>,
}

/// Messages between two acknowledgements of a reader, as a client batches them.
const ACKNOWLEDGE_EVERY: u64 = 32;
/// How long what is under way at the end may take to arrive.
const DRAIN: Duration = Duration::from_secs(30);
/// Readers listen this long for second copies.
const LINGER: Duration = Duration::from_millis(500);

type Stream = WebSocketStream<TlsStream<TcpStream>>;

/// What the tasks of one couple share.
struct Lane {
    run: u32,
    load: Load,
    began: Instant,
    room: Semaphore,
    sent: AtomicU64,
    answered: AtomicU64,
    received: AtomicU64,
    refused: AtomicU64,
    /// The writer's cursor, to be acknowledged with its next message.
    cursor: AtomicU64,
    stop: AtomicBool,
    refusal: std::sync::Mutex<Option<String>>,
}

/// Loads the servers for one phase. `at_measure` is called at the begin (`false`) and the end (`true`) of the measured time.
///
/// # Errors
/// [`BenchError::Call`] where a socket could not be opened; [`BenchError::Driver`] where one broke.
pub(super) async fn drive(
    couples: &[Couple],
    load: Load,
    mut at_measure: impl FnMut(bool),
) -> Result<Outcome, BenchError> {
    let run = u32::from_be_bytes(crate::clock::random_bytes());
    let mut sockets = Vec::new();
    for couple in couples {
        sockets.push((open(&couple.writer).await?, open(&couple.reader).await?));
    }
    let began = Instant::now();
    let mut lanes = Vec::new();
    let mut tasks = Vec::new();
    for (index, (couple, (writer, reader))) in couples.iter().zip(sockets).enumerate() {
        let lane = Arc::new(Lane::new(run, load, began));
        // Writers do not start in step.
        let offset = load.pace.unwrap_or_default().mul_f64(index as f64 / couples.len() as f64);
        let (sink, stream) = writer.split();
        tasks.push((
            tokio::spawn(write(lane.clone(), sink, couple.reader_id.clone(), index, offset)),
            tokio::spawn(hear_answers(lane.clone(), stream)),
            tokio::spawn(read(lane.clone(), reader)),
        ));
        lanes.push(lane);
    }
    sleep_until(began + load.warm_up).await;
    at_measure(false);
    sleep_until(began + load.warm_up + load.measured).await;
    at_measure(true);
    drain(&lanes).await;
    let mut outcome = Outcome::default();
    for (lane, (writer, answers, reader)) in lanes.iter().zip(tasks) {
        writer.abort();
        answers.abort();
        let tally = reader.await.map_err(|e| BenchError::Driver(e.to_string()))??;
        lane.enter(tally, &mut outcome);
    }
    Ok(outcome)
}

/// A socket at the end of what its user has, so that nothing older is pushed.
async fn open(api: &Api) -> Result<Stream, BenchError> {
    let api = api.apart();
    let inbox = api.get("/client/v1/inbox?after=0&limit=1").await.map_err(BenchError::call("read an inbox"))?;
    let head = inbox["head"].as_u64().unwrap_or_default();
    let socket = api.socket(&format!("/client/v1/socket?after={head}")).await;
    Ok(socket.map_err(BenchError::call("open a socket"))?.into_inner())
}

async fn drain(lanes: &[Arc<Lane>]) {
    lanes.iter().for_each(|lane| lane.room.close());
    let deadline = Instant::now() + DRAIN;
    while Instant::now() < deadline && !lanes.iter().all(|lane| lane.is_drained()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(LINGER).await;
    lanes.iter().for_each(|lane| lane.stop.store(true, Ordering::Relaxed));
}

impl Lane {
    fn new(run: u32, load: Load, began: Instant) -> Lane {
        Lane {
            run,
            load,
            began,
            room: Semaphore::new(load.window),
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            received: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            cursor: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            refusal: std::sync::Mutex::default(),
        }
    }

    fn is_drained(&self) -> bool {
        let [sent, answered, received, refused] =
            [&self.sent, &self.answered, &self.received, &self.refused].map(|n| n.load(Ordering::Relaxed));
        answered == sent && received + refused >= sent
    }

    /// Since the phase began.
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn measures(&self, at: Duration) -> bool {
        at >= self.load.warm_up && at < self.load.warm_up + self.load.measured
    }

    fn enter(&self, tally: Tally, outcome: &mut Outcome) {
        let [sent, answered, refused] = [&self.sent, &self.answered, &self.refused].map(|n| n.load(Ordering::Relaxed));
        let kept = answered - refused;
        let account = &mut outcome.account;
        account.sent += sent;
        account.kept += kept;
        account.refused += refused;
        account.received += tally.received;
        account.lost += kept.saturating_sub(tally.received);
        account.doubled += tally.doubled;
        account.out_of_order += tally.disordered;
        if account.refusal.is_none() {
            account.refusal = self.refusal.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        }
        outcome.latencies.extend(tally.latencies);
    }
}

/// Hands messages over while there is room; all there is room for goes out in one flush.
async fn write(
    lane: Arc<Lane>,
    mut sink: SplitSink<Stream, Message>,
    to: String,
    index: usize,
    offset: Duration,
) -> Option<()> {
    let mut due = offset;
    let mut acknowledged = 0;
    let mut number = 0;
    loop {
        if lane.load.pace.is_some() {
            sleep_until(lane.began + due).await;
        }
        let waits = lane.room.available_permits() == 0;
        if waits {
            sink.flush().await.ok()?;
        }
        // `Err`: the phase is over.
        let Ok(permit) = lane.room.acquire().await else { break };
        permit.forget();
        // A writer that is behind its pace counts the waiting as the message's own.
        let stamp = if lane.load.pace.is_some() && waits { due } else { lane.now() };
        let text = tally::text(lane.run, number, stamp, lane.load.text_bytes);
        // Names that rise with time, as a client that takes UUIDs of version 7 gives: rows lie where the last ones do.
        let frame = send_frame(&format!("{:08x}-{number:010}-{index}", lane.run), &to, &text);
        lane.sent.fetch_add(1, Ordering::Relaxed);
        sink.feed(Message::text(frame)).await.ok()?;
        number += 1;
        let cursor = lane.cursor.load(Ordering::Relaxed);
        if cursor >= acknowledged + ACKNOWLEDGE_EVERY {
            acknowledged = cursor;
            sink.feed(acknowledgement(cursor)).await.ok()?;
        }
        if let Some(pace) = lane.load.pace {
            due += pace;
            sink.flush().await.ok()?;
        }
    }
    sink.flush().await.ok()?;
    // The socket stays open for the answers until this task is ended.
    std::future::pending().await
}

/// Counts what the writer's server says to its messages.
async fn hear_answers(lane: Arc<Lane>, mut stream: SplitStream<Stream>) {
    while let Some(Ok(message)) = stream.next().await {
        let Message::Text(text) = message else { continue };
        let Some(frame) = Frame::read(&text) else { continue };
        match frame.kind {
            "event" => lane.cursor.store(frame.cursor, Ordering::Relaxed),
            "sent" => {
                lane.answered.fetch_add(1, Ordering::Relaxed);
            }
            "refused" => {
                lane.answered.fetch_add(1, Ordering::Relaxed);
                lane.refused_with(format!("{} (code {})", frame.msg.as_deref().unwrap_or_default(), frame.code));
            }
            _ => {}
        }
        // A message that its server kept and the other one refused comes back as a receipt.
        if frame.is_bad_receipt() {
            lane.refused_with(format!("{} (code {})", frame.event_msg().unwrap_or_default(), frame.event_code()));
        }
    }
}

impl Lane {
    fn refused_with(&self, words: String) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.room.add_permits(1);
        self.refusal.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(words);
    }
}

/// Enters every message that is pushed, and acknowledges as a client does.
async fn read(lane: Arc<Lane>, mut stream: Stream) -> Result<Tally, BenchError> {
    let mut tally = Tally::default();
    let mut acknowledged = 0;
    while !lane.stop.load(Ordering::Relaxed) {
        let next = match timeout(Duration::from_millis(100), stream.next()).await {
            Ok(next) => next,
            Err(_) => continue,
        };
        let text = match next {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(_)) => continue,
            Some(Err(error)) => return Err(BenchError::Driver(format!("a reader's socket broke: {error}"))),
            None => return Err(BenchError::Driver("the server closed a reader's socket".to_owned())),
        };
        if let Some(cursor) = enter(&lane, &mut tally, &text)
            && cursor >= acknowledged + ACKNOWLEDGE_EVERY
        {
            acknowledged = cursor;
            let sent = stream.send(acknowledgement(cursor)).await;
            sent.map_err(|e| BenchError::Driver(format!("a reader's socket broke: {e}")))?;
        }
    }
    Ok(tally)
}

/// The cursor of an event; a message of this run is entered.
fn enter(lane: &Lane, tally: &mut Tally, text: &Utf8Bytes) -> Option<u64> {
    let frame = Frame::read(text).filter(|frame| frame.kind == "event")?;
    if let Some((number, stamp)) = frame.text().and_then(|text| tally::read(lane.run, text)) {
        let now = lane.now();
        let late = lane.measures(now).then(|| now.saturating_sub(stamp));
        let before = tally.received;
        tally.enter(number, late);
        if tally.received > before {
            lane.received.store(tally.received, Ordering::Relaxed);
            lane.room.add_permits(1);
        }
    }
    Some(frame.cursor)
}

fn acknowledgement(cursor: u64) -> Message {
    Message::text(format!(r#"{{"type":"ack","cursor":{cursor}}}"#))
}
