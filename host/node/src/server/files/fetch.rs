//! One attempt to fetch a file from the server of its sender: `GET /sns/download/file` (§7.4.5), from where the last attempt ended.
//!
//! The peer may be of any make and mood: ignore Range, answer JSON, lie about the size, send too much or too little, stand still
//! or trickle. What came and was not contradicted is kept for the next attempt.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::BodyExt;
use isthmus_domain::Error;
use isthmus_domain::media::pull::{self, Pull};
use isthmus_domain::media::{self, Media, MediaKey};
use isthmus_net::peer::Streaming;
use isthmus_policy::Direction;
use isthmus_store::WriteError;
use isthmus_store::blob::Writer;
use isthmus_wire::ServerId;
use isthmus_wire::call::FILE_DOWNLOAD;
use isthmus_wire::call::message::Download;
use isthmus_wire::code::{Answer, Code, Empty, Refusal, Retry};
use tokio::time::Instant;

use super::upload::write;
use super::{blocking, found};
use crate::reply::{Problem, chain};
use crate::server::Server;
use crate::server::gate::{self, Question, Ruling};

/// Bytes gathered before they go to the disk.
const STEP: usize = 256 * 1024;
/// What has to come within an idle time: a peer that trickles holds a place for nobody.
const LEAST: u64 = 16 * 1024;
/// The longest refusal that is read.
const WORDS: usize = 64 * 1024;

/// What an attempt came to.
pub(super) enum Fetched {
    /// The file is here.
    Here,
    /// Not yet, and why; not before this time has passed.
    Later(Option<Duration>, String),
    /// It cannot be had.
    Never(Refusal),
}

impl Fetched {
    /// One word, for `/metrics`.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Fetched::Here => "fetched",
            Fetched::Later(..) => "later",
            Fetched::Never(_) => "given up",
        }
    }
}

fn later(why: impl Into<String>) -> Fetched {
    Fetched::Later(None, why.into())
}

fn mismatch(words: impl Into<String>) -> Fetched {
    Fetched::Never(Refusal::new(Code::CONTENT_MISMATCH, words))
}

/// How a body ended.
pub(super) enum End {
    Whole,
    Broke(String),
    TooMuch,
}

impl Server {
    pub(super) async fn fetch(
        self: &Arc<Self>,
        key: &MediaKey,
        pull: &Pull,
        media: &Media,
    ) -> Result<Fetched, Problem> {
        let facts = Some(self.peer_facts(&pull.peer));
        let call = gate::call(Direction::Outbound, FILE_DOWNLOAD.name, facts, "", media.owner.as_str());
        let mut question = Question::from(call);
        question.fields.push(("mediaID".to_owned(), media.media_id.to_string()));
        match self.gate.rule(question, (), |(), _, _| ()).await {
            Ok(Ruling::Cleared(_) | Ruling::Held(..)) => {}
            Ok(Ruling::Refused(refusal, _)) => return Ok(Fetched::Never(refusal)),
            Err(_) => return Ok(later("the policy is overloaded")),
        }
        let (blobs, draft) = (self.store.blobs().clone(), key.draft());
        let Some(mut writer) = blocking(move || blobs.write(draft)).await? else {
            return Ok(later("its draft is in use"));
        };
        if writer.offset() > media.size {
            writer = self.begin_anew(key, writer).await?;
        }
        if writer.offset() == media.size && media.size > 0 {
            return self.check_in(key, media, writer, true).await;
        }
        let address = match self.address_of(&pull.peer).await {
            Ok(address) => address,
            Err(Problem::Fault(fault)) => return Err(Problem::Fault(fault)),
            Err(other) => return Ok(later(other.to_string())),
        };
        let from = writer.offset();
        let mut headers = HeaderMap::new();
        if from > 0 {
            let range = HeaderValue::from_str(&format!("bytes={from}-")).map_err(Problem::fault)?;
            headers.insert(header::RANGE, range);
        }
        let query = Download { media_id: media.media_id.clone() }.to_query();
        let path = format!("{}?{query}", FILE_DOWNLOAD.path);
        match self.peers.open(&address, Method::GET, &path, Bytes::new(), headers).await {
            Ok(response) => self.take_answer(key, pull, media, writer, response).await,
            Err(error) => self.kept(writer, later(chain(&error))).await,
        }
    }

    pub(super) async fn begin_anew(&self, key: &MediaKey, writer: Writer) -> Result<Writer, Problem> {
        let (blobs, draft) = (self.store.blobs().clone(), key.draft());
        let anew = blocking(move || {
            writer.discard()?;
            blobs.write(draft)
        });
        anew.await?.ok_or_else(|| Problem::refused(Code::OVERLOADED, "the draft is in use"))
    }

    /// The words of a peer that has no file for us are shown to the recipient.
    async fn admit_refusal(&self, peer: &ServerId, refused: Fetched) -> Result<Fetched, Problem> {
        let Fetched::Never(Refusal { code, message, .. }) = refused else { return Ok(refused) };
        let words = self.admit_words(peer, FILE_DOWNLOAD.name, message).await?;
        Ok(Fetched::Never(Refusal::new(code, words)))
    }

    /// What came is kept for the next attempt.
    async fn kept(&self, writer: Writer, fetched: Fetched) -> Result<Fetched, Problem> {
        blocking(move || writer.pause()).await?;
        Ok(fetched)
    }

    async fn take_answer(
        self: &Arc<Self>,
        key: &MediaKey,
        pull: &Pull,
        media: &Media,
        writer: Writer,
        response: Response<Streaming>,
    ) -> Result<Fetched, Problem> {
        let from = writer.offset();
        let (head, body) = response.into_parts();
        let idle = Duration::from_millis(self.config.media.idle_ms);
        let length = number(&head.headers, header::CONTENT_LENGTH);
        let skip = match head.status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT if !is_file(&head.headers, length, media) => {
                let refused = refusal_of(head.status, &head.headers, body, idle).await;
                return self.kept(writer, self.admit_refusal(&pull.peer, refused).await?).await;
            }
            // It knows no Range: what is here is read past.
            StatusCode::OK if length.is_some_and(|length| length != media.size) => {
                return Ok(wrong_size(length, media));
            }
            StatusCode::OK => from,
            StatusCode::PARTIAL_CONTENT => match content_range(&head.headers) {
                Some((_, Some(total))) if total != media.size => return Ok(wrong_size(Some(total), media)),
                Some((start, _)) if start <= from => from - start,
                Some(_) | None => {
                    return self.kept(writer, later("it answered another range than was asked for")).await;
                }
            },
            // What is here is more than it has: one of the two is wrong.
            StatusCode::RANGE_NOT_SATISFIABLE => {
                blocking(move || writer.discard()).await?;
                return Ok(later("it has less than came before; begun anew"));
            }
            status => return self.kept(writer, refusal_of(status, &head.headers, body, idle).await).await,
        };
        let (writer, end) = self.take_body(writer, body, skip, media.size).await?;
        match end {
            End::TooMuch => Ok(mismatch(format!("the file is longer than the {} bytes announced", media.size))),
            End::Whole if writer.offset() == media.size => self.check_in(key, media, writer, from > 0).await,
            End::Whole => self.kept(writer, later("it ended before the file did")).await,
            End::Broke(why) => self.kept(writer, later(why)).await,
        }
    }

    /// Writes a body's bytes behind those that are here, without the first `skip`.
    pub(super) async fn take_body(
        &self,
        mut writer: Writer,
        mut body: Streaming,
        mut skip: u64,
        size: u64,
    ) -> Result<(Writer, End), Problem> {
        let idle = Duration::from_millis(self.config.media.idle_ms);
        let mut room = size - writer.offset().min(size);
        let mut gathered = Vec::with_capacity(STEP);
        let (mut since, mut came) = (Instant::now(), 0_u64);
        let end = loop {
            let data = match tokio::time::timeout(idle, body.frame()).await {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(None) => break End::Whole,
                Ok(Some(Err(error))) => break End::Broke(chain(&error)),
                Err(_) => break End::Broke(format!("nothing came for {idle:?}")),
            };
            came += data.len() as u64;
            if since.elapsed() > idle {
                if came < LEAST {
                    break End::Broke(format!("only {came} bytes came in {idle:?}"));
                }
                (since, came) = (Instant::now(), 0);
            }
            let past = usize::try_from(skip).unwrap_or(usize::MAX).min(data.len());
            skip -= past as u64;
            let data = &data[past..];
            if data.len() as u64 > room {
                break End::TooMuch;
            }
            room -= data.len() as u64;
            gathered.extend_from_slice(data);
            if gathered.len() >= STEP {
                (writer, gathered) = blocking(move || write(writer, gathered)).await?;
            }
        };
        (writer, _) = blocking(move || write(writer, gathered)).await?;
        Ok((writer, end))
    }

    /// All bytes are here: they are what was announced, or worth nothing. `pieced`: they came in several attempts, so that
    /// another may fare better.
    async fn check_in(
        self: &Arc<Self>,
        key: &MediaKey,
        media: &Media,
        writer: Writer,
        pieced: bool,
    ) -> Result<Fetched, Problem> {
        let sums = writer.sums();
        let found = found(self.store.blobs().id_of(&sums.blake3), &sums);
        if let Err(Error::Refused(refusal)) = media::same(media, &found) {
            blocking(move || writer.discard()).await?;
            return Ok(if pieced {
                later("the parts do not make the file; begun anew")
            } else {
                Fetched::Never(refusal)
            });
        }
        let _placing = self.files.placing.read().await;
        let blob = blocking(move || writer.finish()).await?;
        let (file, home) = (*key, self.id.clone());
        let rule = move |tx: &mut isthmus_store::Tx<'_>| {
            Server::scene(&home, crate::clock::now_ms(), |scene| pull::fetched(tx, scene, &file, &found))
        };
        match self.store.write(rule).await {
            Ok(_) => Ok(Fetched::Here),
            Err(error) => {
                self.files.leave_loose(blob);
                match error {
                    WriteError::Refused(Error::Refused(refusal)) => Ok(Fetched::Never(refusal)),
                    other @ (WriteError::Refused(_) | WriteError::Fault(_)) => Err(other.into()),
                }
            }
        }
    }
}

fn wrong_size(said: Option<u64>, media: &Media) -> Fetched {
    let said = said.unwrap_or_default();
    mismatch(format!("the sender's server has {said} bytes, not the {} announced", media.size))
}

fn number(headers: &HeaderMap, name: header::HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// `bytes 5-9/10`: where it begins, and of how many.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

/// R4: what could not be had is told as JSON, perhaps with HTTP 200. A file that is JSON itself is as long as announced.
fn is_file(headers: &HeaderMap, length: Option<u64>, media: &Media) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let json = media_type.to_ascii_lowercase().contains("json");
    !json || length == Some(media.size) || headers.contains_key(header::CONTENT_RANGE)
}

/// What an answer without the file means.
async fn refusal_of(status: StatusCode, headers: &HeaderMap, body: Streaming, idle: Duration) -> Fetched {
    let wait = number(headers, header::RETRY_AFTER).map(|seconds| Duration::from_secs(seconds.min(3600)));
    let body = isthmus_net::read_body(body, WORDS, idle).await.unwrap_or_default();
    let words = format!("HTTP {status}");
    let Ok(answer) = Answer::<Empty>::read(&body) else { return Fetched::Later(wait, words) };
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Fetched::Later(wait, words);
    }
    match answer.code.retry() {
        Retry::Never => Fetched::Never(Refusal::new(answer.code, answer.msg)),
        Retry::Later | Retry::Done => Fetched::Later(wait, format!("{words}, code {}", answer.code)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn a_content_range_is_read_with_and_without_its_total() {
        let check = |text: &str, expected: Option<(u64, Option<u64>)>| {
            let headers = HeaderMap::from_iter([(header::CONTENT_RANGE, HeaderValue::from_str(text).unwrap())]);
            assert_eq!(content_range(&headers), expected, "{text}");
        };
        check("bytes 5-9/10", Some((5, Some(10))));
        check("bytes 5-9/*", Some((5, None)));
        check("bytes 5-9", None);
        check("bytes */10", None);
        check("items 1-2/3", None);
    }
}
