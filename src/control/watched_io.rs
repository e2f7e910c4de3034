//! The stream of a connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use super::peer_protocol::{ENOUGH, FirstBytes};

/// The most bytes read in one go, before other tasks get their turn: frames of a few bytes take
/// hundreds in memory until they are processed.
const MOST_AT_ONCE: u64 = 64 * 1024;
/// The number of bytes that no call wanted, or has read yet, after which the peer is read slowly:
/// more than the flow-control windows allow in flight.
const MOST_UNWANTED: u64 = 2 * 1024 * 1024;
/// The rate at which such a peer is read, in bytes per second.
const UNWANTED_RATE: u64 = 256 * 1024;
const PAUSE: Duration = Duration::from_millis(100);

/// A stream that reports its end, and that can be ended from outside. It is read no faster than its
/// bytes are of use; otherwise a peer that sends forever would keep a processor busy.
pub(super) struct WatchedIo {
    io: TcpStream,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
    /// hyper drops the stream as soon as the connection is over.
    _ended: DropGuard,
    /// The bytes that calls have read, since the last check.
    taken: Arc<AtomicU64>,
    /// For the guess of the peer's protocol.
    first: Arc<FirstBytes>,
    heard: usize,
    /// A write has failed.
    is_closed: bool,
    unwanted: u64,
    /// When `unwanted` was last updated.
    reckoned: Instant,
    at_once: u64,
    pause: Option<Pin<Box<Sleep>>>,
}

// === impl WatchedIo ===

impl WatchedIo {
    pub(super) fn new(
        io: TcpStream,
        kill: CancellationToken,
        ended: CancellationToken,
        taken: Arc<AtomicU64>,
        first: Arc<FirstBytes>,
    ) -> Self {
        Self {
            io,
            killed: Box::pin(kill.cancelled_owned()),
            _ended: ended.drop_guard(),
            taken,
            first,
            heard: 0,
            is_closed: false,
            unwanted: 0,
            reckoned: Instant::now(),
            at_once: 0,
            pause: None,
        }
    }

    /// A peer that closes may have said something before, which a failed write must not hide: it
    /// counts as done, and the read that follows returns what was said, and then the end.
    fn written(
        &mut self,
        written: Poll<io::Result<usize>>,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Err(_)) => {
                self.is_closed = true;
                Poll::Ready(Ok(length))
            }
            written => written,
        }
    }

    /// Accounts for bytes that were read.
    fn reckon(&mut self, read: u64) {
        self.at_once += read;
        self.unwanted += read;
        self.unwanted = self
            .unwanted
            .saturating_sub(self.taken.swap(0, Ordering::Relaxed));
        if self.unwanted > MOST_UNWANTED {
            let now = Instant::now();
            let millis = now.duration_since(self.reckoned).as_millis();
            let forgiven = u64::try_from(millis).unwrap_or(u64::MAX);
            let forgiven = forgiven.saturating_mul(UNWANTED_RATE / 1_000);
            self.unwanted = self.unwanted.saturating_sub(forgiven);
            self.reckoned = now;
        }
        if self.unwanted > MOST_UNWANTED {
            self.pause = Some(Box::pin(sleep(PAUSE)));
        }
    }
}

impl AsyncRead for WatchedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // hyper always has a read pending, so it learns of the end here.
        if self.killed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        if self.at_once >= MOST_AT_ONCE {
            self.at_once = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_pending() {
            self.at_once = 0;
        }
        let bytes = buf.filled().len() - before;
        if self.heard < ENOUGH {
            self.heard += bytes;
            self.first.hear(&buf.filled()[before..]);
        }
        self.reckon(bytes as u64);
        read
    }
}

impl AsyncWrite for WatchedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_closed {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(written, buf.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bufs.iter().map(|it| it.len()).sum();
        if self.is_closed {
            return Poll::Ready(Ok(length));
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.written(written, length)
    }
}
