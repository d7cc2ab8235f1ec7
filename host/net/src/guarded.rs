//! A stream that can be cut from outside, whoever reads it: hyper, a WebSocket after an upgrade, a task of HTTP/2.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What is read and thrown away after our last byte, and for how long: closing with unread bytes makes the kernel reset the
/// connection, and whoever writes its request to the end before it reads would lose the answer.
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER: Duration = Duration::from_secs(2);

/// Ends a stream: once cut, every read and write fails, those that wait too.
#[derive(Default)]
pub(crate) struct Cut {
    done: AtomicBool,
    // Reader and writer may be two tasks.
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Cut {
    pub(crate) fn cut(&self) {
        self.done.store(true, Ordering::SeqCst);
        self.reader.wake();
        self.writer.wake();
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }

    fn check(&self) -> io::Result<()> {
        if self.is_cut() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was cut on this side"));
        }
        Ok(())
    }

    /// `poll`, unless it waits and a cut came between the first look and the registration.
    fn wait<R>(&self, waker: &AtomicWaker, cx: &Context<'_>, poll: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if poll.is_ready() {
            return poll;
        }
        waker.register(cx.waker());
        match self.check() {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

/// What watches over a stream.
pub(crate) trait Guard: Unpin {
    /// How it is ended.
    fn cut(&self) -> &Cut;
    /// Bytes, or the end, came in.
    fn has_read(&self) {}
    /// The peer takes no more bytes, or takes them again.
    fn write_blocked(&self, _blocked: bool) {}
    /// Whether the peer may still be writing when we have ended.
    fn lingers(&self) -> bool {
        false
    }
    /// The stream failed by itself.
    fn failed(&self, _error: &io::Error) {}
}

/// A stream and its guard, which lives as long as the stream does.
pub(crate) struct Guarded<T, G> {
    stream: T,
    guard: G,
    lingering: Option<Lingering>,
}

struct Lingering {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl<T: Unpin, G: Guard> Guarded<T, G> {
    pub(crate) fn new(stream: T, guard: G) -> Self {
        Self { stream, guard, lingering: None }
    }

    fn written<R>(&self, cx: &Context<'_>, poll: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        self.guard.write_blocked(poll.is_pending());
        self.note(&poll);
        let cut = self.guard.cut();
        cut.wait(&cut.writer, cx, poll)
    }

    fn note<R>(&self, poll: &Poll<io::Result<R>>) {
        if let Poll::Ready(Err(error)) = poll {
            self.guard.failed(error);
        }
    }
}

impl<T: AsyncRead + Unpin, G: Guard> AsyncRead for Guarded<T, G> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.guard.cut().check()?;
        let poll = Pin::new(&mut this.stream).poll_read(cx, buf);
        if poll.is_ready() {
            this.guard.has_read();
        }
        this.note(&poll);
        let cut = this.guard.cut();
        cut.wait(&cut.reader, cx, poll)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin, G: Guard> AsyncWrite for Guarded<T, G> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.guard.cut().check()?;
        let poll = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.written(cx, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.guard.cut().check()?;
        let poll = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.written(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.guard.cut().check()?;
        let poll = Pin::new(&mut this.stream).poll_flush(cx);
        this.written(cx, poll)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.guard.cut().check()?;
        if this.lingering.is_none() {
            let poll = Pin::new(&mut this.stream).poll_shutdown(cx);
            let ended = this.written(cx, poll);
            if !matches!(ended, Poll::Ready(Ok(()))) || !this.guard.lingers() {
                return ended;
            }
        }
        this.poll_linger(cx)
    }
}

impl<T: AsyncRead + Unpin, G: Guard> Guarded<T, G> {
    /// Reads on until the peer has ended too, within bounds.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let fresh = || Lingering { until: Box::pin(tokio::time::sleep(LINGER)), left: LINGER_BYTES };
        let lingering = self.lingering.get_or_insert_with(fresh);
        let mut scrap = [0; 8 * 1024];
        while lingering.until.as_mut().poll(cx).is_pending() {
            let mut scrap = ReadBuf::new(&mut scrap);
            let poll = Pin::new(&mut self.stream).poll_read(cx, &mut scrap);
            match poll {
                Poll::Ready(Ok(())) if !scrap.filled().is_empty() && scrap.filled().len() < lingering.left => {
                    lingering.left -= scrap.filled().len();
                }
                Poll::Ready(_) => break,
                Poll::Pending => {
                    let cut = self.guard.cut();
                    return cut.wait(&cut.reader, cx, Poll::Pending);
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
