//! A file as an answer: whole or a range of it (RFC 9110 §14), streamed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use isthmus_domain::media::Media;
use isthmus_net::http::Body;
use isthmus_store::StoreError;
use isthmus_store::blob::Blob;
use isthmus_wire::code::{Answer, Code};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use crate::reply::{self, Problem, Reply, chain};

/// Bytes read from the disk at once, a whole number of pieces.
const STEP: u64 = 4 * 64 * 1024;

/// A file's bytes as they are read, one step ahead of the connection.
struct Pieces {
    blob: Arc<Blob>,
    at: u64,
    end: u64,
    reading: Option<JoinHandle<Result<Vec<u8>, StoreError>>>,
    _turn: OwnedSemaphorePermit,
}

impl Pieces {
    fn read_on(&mut self) {
        if self.reading.is_none() && self.at < self.end {
            let (blob, at) = (self.blob.clone(), self.at);
            // From a step's boundary on no piece is opened twice.
            let len = (STEP - at % STEP).min(self.end - at);
            let read = move || blob.read(at, usize::try_from(len).unwrap_or(usize::MAX));
            self.reading = Some(tokio::task::spawn_blocking(read));
        }
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        this.read_on();
        let Some(reading) = &mut this.reading else { return Poll::Ready(None) };
        let read = ready!(Pin::new(reading).poll(cx));
        this.reading = None;
        let bytes = match read {
            Ok(Ok(bytes)) if !bytes.is_empty() => bytes,
            Ok(Ok(_)) => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            Ok(Err(error)) => {
                tracing::error!(error = chain(&error), "a file cannot be read on");
                return Poll::Ready(Some(Err(io::Error::other(error))));
            }
            Err(error) => return Poll::Ready(Some(Err(io::Error::other(error)))),
        };
        this.at += bytes.len() as u64;
        this.read_on();
        Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.at >= self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

/// What of a file is wanted.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// From the first up to before the second.
    Range(u64, u64),
    Beyond,
}

/// One range of bytes; several, other units and what is malformed are ignored, as RFC 9110 allows.
fn part(range: &str, size: u64) -> Part {
    let Some((first, last)) = range.trim().strip_prefix("bytes=").and_then(|set| set.split_once('-')) else {
        return Part::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if first >= size && (last.is_empty() || last.parse::<u64>().is_ok()) => Part::Beyond,
        (Ok(first), Ok(last)) if first <= last => Part::Range(first, last.saturating_add(1).min(size)),
        (Ok(first), Err(_)) if last.is_empty() => Part::Range(first, size),
        (Err(_), Ok(0)) if first.is_empty() => Part::Beyond,
        (Err(_), Ok(_)) if first.is_empty() && size == 0 => Part::Beyond,
        (Err(_), Ok(tail)) if first.is_empty() => Part::Range(size.saturating_sub(tail), size),
        _ => Part::Whole,
    }
}

fn wanted(head: &Parts, size: u64, tag: &str) -> Part {
    let text = |name| head.headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    match text(header::RANGE) {
        Some(range) if head.method == Method::GET && text(header::IF_RANGE).is_none_or(|given| given == tag) => {
            part(range, size)
        }
        Some(_) | None => Part::Whole,
    }
}

/// The answer to whoever may have a file.
///
/// # Errors
/// None today; a header that cannot be written is a fault.
pub(crate) fn answer(head: &Parts, media: &Media, blob: Blob, turn: OwnedSemaphorePermit) -> Result<Reply, Problem> {
    let size = blob.size();
    let tag = format!("\"{}\"", hex::encode(&blob.id().0[..16]));
    if head.headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).is_some_and(|given| given.contains(&tag)) {
        let mut reply = Response::new(Body::empty());
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
        describe(reply.headers_mut(), media, &tag)?;
        return Ok(reply);
    }
    let (status, from, to) = match wanted(head, size, &tag) {
        Part::Whole => (StatusCode::OK, 0, size),
        Part::Range(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Part::Beyond => return beyond(size),
    };
    let body = if head.method == Method::HEAD {
        Body::empty()
    } else {
        Body::stream(Pieces { blob: Arc::new(blob), at: from, end: to, reading: None, _turn: turn })
    };
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    describe(headers, media, &tag)?;
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(to - from));
    if status == StatusCode::PARTIAL_CONTENT {
        headers.insert(header::CONTENT_RANGE, value(&format!("bytes {from}-{}/{size}", to - 1))?);
    }
    Ok(reply)
}

fn describe(headers: &mut HeaderMap, media: &Media, tag: &str) -> Result<(), Problem> {
    headers.insert(header::CONTENT_TYPE, value(&media.media_type)?);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::ETAG, value(tag)?);
    // What a user uploaded is never a page of ours.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let name = utf8_percent_encode(&media.name, NON_ALPHANUMERIC);
    headers.insert(header::CONTENT_DISPOSITION, value(&format!("attachment; filename*=UTF-8''{name}"))?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(())
}

fn beyond(size: u64) -> Result<Reply, Problem> {
    let words = format!("the range lies beyond the end of the file, which has {size} bytes");
    let mut reply = reply::json(416, Answer::<()>::refused(Code::INVALID_FIELD, &words).write());
    reply.headers_mut().insert(header::CONTENT_RANGE, value(&format!("bytes */{size}"))?);
    Ok(reply)
}

fn value(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(Problem::fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_is_understood_and_anything_else_is_the_whole() {
        let check = |range: &str, expected: Part| assert_eq!(part(range, 100), expected, "{range}");
        check("bytes=0-", Part::Range(0, 100));
        check("bytes=10-19", Part::Range(10, 20));
        check("bytes=10-10", Part::Range(10, 11));
        check("bytes=10-1000", Part::Range(10, 100));
        check("bytes=-30", Part::Range(70, 100));
        check("bytes=-300", Part::Range(0, 100));
        check(" bytes=99- ", Part::Range(99, 100));
        for beyond in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            check(beyond, Part::Beyond);
        }
        for whole in ["", "bytes=", "bytes=-", "bytes=9-3", "bytes=0-1,5-6", "items=0-5", "bytes=a-b", "bytes=5-x"] {
            check(whole, Part::Whole);
        }
        assert_eq!(part("bytes=0-", 0), Part::Beyond);
        assert_eq!(part("bytes=-5", 0), Part::Beyond);
    }
}
