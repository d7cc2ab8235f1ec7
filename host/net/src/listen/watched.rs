//! A stream that can be cut from outside, whoever reads it: hyper, or a WebSocket after an upgrade.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Live;

/// Registered as long as it exists.
pub(super) struct Watched<T> {
    stream: T,
    live: Live,
}

impl<T> Watched<T> {
    pub(super) fn new(stream: T, live: Live) -> Self {
        Self { stream, live }
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was closed by this server")
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let connection = &this.live.connection;
        if connection.is_closed() {
            return Poll::Ready(Err(cut()));
        }
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(result) => {
                connection.has_read();
                Poll::Ready(result)
            }
            Poll::Pending => {
                connection.reader().register(cx.waker());
                // Cut between the first look and the registration.
                if connection.is_closed() { Poll::Ready(Err(cut())) } else { Poll::Pending }
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> Watched<T> {
    /// Keeps the account of a peer that does not read, and gives up when cut.
    fn settle<R>(&self, cx: &mut Context<'_>, poll: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        let connection = &self.live.connection;
        connection.write_blocked(poll.is_pending());
        if poll.is_pending() {
            connection.writer().register(cx.waker());
            if connection.is_closed() {
                return Poll::Ready(Err(cut()));
            }
        }
        poll
    }

    fn open(&self) -> Poll<io::Result<()>> {
        if self.live.connection.is_closed() { Poll::Ready(Err(cut())) } else { Poll::Ready(Ok(())) }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.open())?;
        let poll = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.settle(cx, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.open())?;
        let poll = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.settle(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.open())?;
        let poll = Pin::new(&mut this.stream).poll_flush(cx);
        this.settle(cx, poll)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.open())?;
        let poll = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.settle(cx, poll)
    }
}
