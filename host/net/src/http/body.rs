//! Bodies: those that we send, and how much of a peer's we are ready to hold.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body to send. Whole ones, nearly all, cost no allocation beyond their bytes.
pub struct Body(Kind);

enum Kind {
    Whole(Option<Bytes>),
    Stream(Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>),
}

impl Body {
    /// Nothing.
    pub fn empty() -> Self {
        Self(Kind::Whole(None))
    }

    /// Bytes as they come, a file for instance. Its `size_hint`, if exact, becomes the Content-Length.
    pub fn stream<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Kind::Stream(Box::pin(body.map_err(Into::into))))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().0 {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Stream(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Stream(body) => body.size_hint(),
        }
    }
}

/// Why a peer's body was not taken.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Longer than we hold; said by its Content-Length, or noticed on the way (R4: 413).
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// Not complete in time (408).
    #[error("the body did not arrive within {within:?}")]
    Timeout {
        /// Time allowed.
        within: Duration,
    },
    /// The connection or the encoding broke.
    #[error("the body broke off")]
    Broken(#[source] BoxError),
}

/// What is read on and thrown away of a body that is too large. Many clients write to the end before they read: closed upon
/// at once, they would see a broken connection and never the answer.
const DRAINED: usize = 1024 * 1024;
/// For how long.
const DRAINED_WITHIN: Duration = Duration::from_secs(2);

/// The whole body, at most `max` bytes and `within` the time. One that arrives in one piece is not copied. Of one that is too
/// large a little more is read, so that its sender hears of it.
pub async fn read_body<B>(body: B, max: usize, within: Duration) -> Result<Bytes, BodyError>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let mut body = std::pin::pin!(body);
    let read = if body.size_hint().lower() > max as u64 {
        Err(BodyError::TooLarge { limit: max })
    } else {
        tokio::time::timeout(within, collect(body.as_mut(), max)).await.unwrap_or(Err(BodyError::Timeout { within }))
    };
    if matches!(read, Err(BodyError::TooLarge { .. })) {
        // Whatever comes of it: the answer is the same.
        let _ = tokio::time::timeout(DRAINED_WITHIN, drain(body)).await;
    }
    read
}

async fn drain<B>(mut body: std::pin::Pin<&mut B>)
where
    B: HttpBody<Data = Bytes>,
{
    let mut left = DRAINED;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(bytes) else { return };
        left = rest;
    }
}

/// As [`read_body`], under a deadline of the caller's.
pub(crate) async fn collect<B>(body: B, max: usize) -> Result<Bytes, BodyError>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = std::pin::pin!(body);
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.into()))?;
        // Trailers say nothing that we read.
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + whole.len() + data.len() > max {
            return Err(BodyError::TooLarge { limit: max });
        }
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            if whole.is_empty() {
                let expected = usize::try_from(body.size_hint().lower()).unwrap_or(max);
                whole.reserve((first.len() + data.len() + expected).min(max));
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&data);
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}
