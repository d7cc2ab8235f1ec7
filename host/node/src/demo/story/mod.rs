//! The scripted story: each step says what is done, what should come of it, and what did.

mod company;
mod faults;
mod log;
mod people;
mod policy;
mod talk;

use std::fmt::Display;
use std::time::Duration;

use super::actor::{Actor, Said, receipt_of, text_of};
use super::admin::Admin;
use super::cast::Cast;
use super::error::DemoError;
use super::record::ServerRecord;
use super::say::Say;

/// What happened, in words: as it should, or not.
type Told = Result<String, Differs>;

/// Something other than the expected happened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Differs(String);

/// A step's own word for what differed.
fn differs<T>(what: impl Into<String>) -> Result<T, Differs> {
    Err(Differs(what.into()))
}

/// Names what was tried when it failed.
trait Trying<T> {
    fn trying(self, what: &str) -> Result<T, Differs>;
}

impl<T, E: Display> Trying<T> for Result<T, E> {
    fn trying(self, what: &str) -> Result<T, Differs> {
        self.map_err(|error| Differs(format!("{what}: {error}")))
    }
}

/// Longest wait for what should happen at once.
const SOON: Duration = Duration::from_secs(10);

/// Everybody in the story.
struct Stage<'a> {
    cast: &'a Cast,
    south: Admin,
    alice: Actor,
    bob: Actor,
    carol: Actor,
    dave: Actor,
}

/// Plays the whole story over a running cast, stops the cast for its last act, and returns whether each step went as it should.
///
/// # Errors
/// [`DemoError`] where the story could not even begin.
pub(super) async fn tell(cast: &Cast, say: &mut Say) -> Result<bool, DemoError> {
    say.heading("The story");
    let stage = Box::pin(Stage::set(cast)).await.map_err(DemoError::while_trying("log in"))?;
    Box::pin(talk::tell(&stage, say)).await;
    Box::pin(people::tell(&stage, say)).await;
    Box::pin(company::tell(&stage, say)).await;
    Box::pin(policy::tell(&stage, say)).await;
    Box::pin(faults::tell(&stage, say)).await;
    drop(stage);
    log::tell(cast, say).await;
    say.verdict();
    Ok(say.failed() == 0)
}

/// Ends a step.
fn told(say: &mut Say, told: &Told) {
    match told {
        Ok(happened) => say.outcome(Ok(happened)),
        Err(differs) => say.outcome(Err(&differs.0)),
    }
}

impl<'a> Stage<'a> {
    async fn set(cast: &'a Cast) -> Result<Stage<'a>, crate::client::ClientError> {
        let [north, south] = [server(cast, 0), server(cast, 1)];
        let (alice, bob, carol, dave) = tokio::try_join!(
            Actor::log_in(north, &north.users[0]),
            Actor::log_in(north, &north.users[1]),
            Actor::log_in(south, &south.users[0]),
            Actor::log_in(south, &south.users[1]),
        )?;
        Ok(Stage { cast, south: Admin::of(south)?, alice, bob, carol, dave })
    }

    fn south_record(&self) -> &ServerRecord {
        server(self.cast, 1)
    }

    /// Alice writes to carol, and the server keeps it: its messageID.
    async fn alice_writes(&self, text: &str) -> Result<String, Differs> {
        kept(&self.alice, &self.carol, text).await
    }

    /// Alice writes, carol reads exactly this text: the milliseconds between.
    async fn alice_reaches_carol(&self, text: &str) -> Result<f64, Differs> {
        reaches(&self.alice, &self.carol, text).await
    }

    /// Alice writes, and south refuses with `code`: the words alice is told, after how many milliseconds.
    async fn south_refuses(&self, text: &str, code: i64) -> Result<String, Differs> {
        let (heard_by_alice, heard_by_carol) = (self.alice.mark(), self.carol.mark());
        let began = tokio::time::Instant::now();
        let id = self.alice_writes(text).await?;
        let receipt = |event: &serde_json::Value| receipt_of(event, &id);
        let Some((at, (state, got, msg))) = self.alice.hear(heard_by_alice, SOON, receipt).await else {
            let read = self.carol.texts(heard_by_carol, &self.alice.id);
            return differs(format!("alice heard of no refusal within {} s; carol read {read:?}", SOON.as_secs()));
        };
        if (state.as_str(), got) != ("refused", code) {
            return differs(format!("alice was told {state} with code {got}, “{msg}”"));
        }
        if self.carol.texts(heard_by_carol, &self.alice.id).iter().any(|read| read == text) {
            return differs("alice was told of a refusal, but carol read the message".to_owned());
        }
        Ok(format!("alice was told after {} ms: code {code}, “{msg}”", ms(at.duration_since(began))))
    }
}

/// Writes, and wants the server to keep it: the messageID.
async fn kept(from: &Actor, to: &Actor, text: &str) -> Result<String, Differs> {
    match from.say(&to.id, text).await.trying(&format!("{} writes", from.id))? {
        Said::Taken { id, state } if state == "kept" => Ok(id),
        Said::Taken { state, .. } => differs(format!("{}'s message was {state}, not kept", from.id)),
        Said::Refused { code, msg } => differs(format!("{}'s message was refused: code {code}, “{msg}”", from.id)),
    }
}

/// Writes, and wants the other to read exactly this text: the milliseconds between.
async fn reaches(from: &Actor, to: &Actor, text: &str) -> Result<f64, Differs> {
    let mark = to.mark();
    let began = tokio::time::Instant::now();
    kept(from, to, text).await?;
    let heard = to.hear(mark, SOON, |event| text_of(event, &from.id).filter(|read| read == text)).await;
    match heard {
        Some((at, _)) => Ok(at.duration_since(began).as_secs_f64() * 1e3),
        None => differs(format!(
            "{} did not read “{text}” within {} s, but {:?}",
            to.id,
            SOON.as_secs(),
            to.texts(mark, &from.id)
        )),
    }
}

fn server(cast: &Cast, index: usize) -> &ServerRecord {
    &cast.record.servers[index]
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}
