//! A connection that misbehaves with what is written to it, byte for byte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What becomes of the bytes written from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::conformance) enum Fault {
    /// They go out as they are.
    None,
    /// Nothing goes out, and the connection ends.
    Cut,
    /// Half of them goes out, and the connection ends.
    Half,
    /// Something else goes out that is no HTTP, and the connection ends.
    Noise,
    /// They go out twice.
    Twice,
}

const ALL: [Fault; 5] = [Fault::None, Fault::Cut, Fault::Half, Fault::Noise, Fault::Twice];

/// Shared by a connection and those who decide on it.
#[derive(Debug, Clone, Default)]
pub(super) struct Switch(Arc<AtomicU8>);

impl Switch {
    pub(super) fn set(&self, fault: Fault) {
        let number = ALL.iter().position(|f| *f == fault).and_then(|at| u8::try_from(at).ok());
        self.0.store(number.unwrap_or(0), Ordering::SeqCst);
    }

    fn fault(&self) -> Fault {
        ALL.get(usize::from(self.0.load(Ordering::SeqCst))).copied().unwrap_or(Fault::None)
    }
}

pub(super) struct Faulty<S> {
    stream: S,
    switch: Switch,
    /// Still to go out before anything else.
    owed: Vec<u8>,
}

const NOISE: &[u8] = b"\x15\x00kein HTTP\r\n\r\n{\"code\":0\xff";

impl<S> Faulty<S> {
    pub(super) fn new(stream: S, switch: Switch) -> Faulty<S> {
        Faulty { stream, switch, owed: Vec::new() }
    }
}

impl<S: AsyncWrite + Unpin> Faulty<S> {
    fn pay(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.owed.is_empty() {
            let written = std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, &self.owed))?;
            self.owed.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

impl<S: AsyncRead + Unpin> AsyncRead for Faulty<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Faulty<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        std::task::ready!(this.pay(cx))?;
        let instead: &[u8] = match this.switch.fault() {
            Fault::None => return Pin::new(&mut this.stream).poll_write(cx, buf),
            Fault::Twice => {
                // This answer alone: the next one is a good one again.
                this.switch.set(Fault::None);
                this.owed = [buf, buf].concat();
                let _ = this.pay(cx)?;
                return Poll::Ready(Ok(buf.len()));
            }
            Fault::Cut => &[],
            Fault::Half => &buf[..buf.len() / 2],
            Fault::Noise => NOISE,
        };
        this.owed = instead.to_vec();
        let _ = this.pay(cx)?;
        let _ = Pin::new(&mut this.stream).poll_flush(cx)?;
        Poll::Ready(Err(broken()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        std::task::ready!(this.pay(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        std::task::ready!(this.pay(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn sent(fault: Fault) -> Vec<u8> {
        let (near, mut far) = tokio::io::duplex(1024);
        let switch = Switch::default();
        switch.set(fault);
        let mut faulty = Faulty::new(near, switch);
        let _ = faulty.write_all(b"answer").await;
        let _ = faulty.flush().await;
        drop(faulty);
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        got
    }

    #[tokio::test]
    async fn each_fault_does_what_it_says_to_the_bytes() {
        assert_eq!(sent(Fault::None).await, b"answer");
        assert_eq!(sent(Fault::Cut).await, b"");
        assert_eq!(sent(Fault::Half).await, b"ans");
        assert_eq!(sent(Fault::Noise).await, NOISE);
        assert_eq!(sent(Fault::Twice).await, b"answeranswer");
    }
}
