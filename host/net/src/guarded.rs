//! A stream that can be cut from outside, whoever reads it: hyper, a WebSocket after an upgrade, a task of HTTP/2.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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
    /// The stream failed by itself.
    fn failed(&self, _error: &io::Error) {}
}

/// A stream and its guard, which lives as long as the stream does.
pub(crate) struct Guarded<T, G> {
    stream: T,
    guard: G,
}

impl<T: Unpin, G: Guard> Guarded<T, G> {
    pub(crate) fn new(stream: T, guard: G) -> Self {
        Self { stream, guard }
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

impl<T: AsyncWrite + Unpin, G: Guard> AsyncWrite for Guarded<T, G> {
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
        let poll = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.written(cx, poll)
    }
}
