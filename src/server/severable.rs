//! A connection that can be ended when its server stops.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::drain::{Opening, OpeningReader, SeverWatch};
use crate::observe::peers::Connection;

/// With which the answer begins that hands a connection over.
const SWITCHING_PROTOCOLS: &[u8] = b"HTTP/1.1 101";

/// The head of a PING of HTTP/2 that is no answer.
const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0];

/// A connection of a wrapped listener.
///
/// tonic and axum wait without end for connections that are silent, or whose callers do not read.
/// So it is ended when the server stops: what is busy at
/// [`drain_timeout`](crate::Options::drain_timeout), and 1 s after the shutdown let the server stop
/// what nothing can be in flight on: a connection that never brought a byte, an HTTP/1 connection
/// whose first head is not whole, an HTTP/2 connection whose peer does not answer any more. Where
/// TLS is above it, only the first of these is known. A connection that is upgraded is left alone.
#[derive(Debug)]
pub struct Severable<Io> {
    io: Io,
    watch: SeverWatch,
    connection: Connection,
    /// Until it is known what the connection opened with.
    reader: Option<OpeningReader>,
    may_upgrade: bool,
    /// Nothing was written since the last read: the next bytes are the head of an answer.
    is_asked: bool,
    is_watched: bool,
    is_unwritten: bool,
    is_unflushed: bool,
}

// === impl Severable ===

impl<Io> Severable<Io> {
    pub(super) fn new(io: Io, watch: SeverWatch, connection: Connection) -> Self {
        Self {
            io,
            watch,
            connection,
            reader: Some(OpeningReader::default()),
            may_upgrade: false,
            is_asked: false,
            is_watched: false,
            is_unwritten: false,
            is_unflushed: false,
        }
    }

    /// The wrapped connection.
    pub fn get_ref(&self) -> &Io {
        &self.io
    }

    /// The wrapped connection.
    pub fn get_mut(&mut self) -> &mut Io {
        &mut self.io
    }

    /// The wrapped connection; it is not ended by anybody else any more.
    pub fn into_inner(self) -> Io {
        self.io
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.watch.is_severed() {
            return Err(severed());
        }
        // A task may wait for something else for long, without having had to wait for bytes.
        if !self.is_watched {
            self.is_watched = true;
            return self.wait(cx);
        }
        Ok(())
    }

    /// Has the task woken when the connection is to end.
    fn wait(&self, cx: &Context<'_>) -> io::Result<()> {
        match self.watch.poll_severed(cx) {
            Poll::Ready(()) => Err(severed()),
            Poll::Pending => Ok(()),
        }
    }

    fn heard(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.is_asked = true;
        self.watch.heard();
        self.connection.heard(bytes);
        let Some(reader) = &mut self.reader else {
            return;
        };
        let opening = reader.read(bytes);
        self.watch.opened(opening);
        if !matches!(opening, Opening::Silent | Opening::Head) {
            self.reader = None;
            self.may_upgrade = opening == Opening::Http1;
        }
    }

    /// What a server is about to write; what is left of it is written again.
    fn sends(&mut self, bytes: &[u8]) {
        self.connection.sends(bytes);
        let is_head = std::mem::take(&mut self.is_asked);
        if is_head && self.may_upgrade && bytes.starts_with(SWITCHING_PROTOCOLS) {
            self.may_upgrade = false;
            self.watch.release();
        }
        self.may_ping(bytes);
    }

    /// h2 writes the head of a frame in one piece, at first.
    fn may_ping(&self, bytes: &[u8]) {
        if self.watch.awaits_ping() && bytes.windows(PING.len()).any(|it| it == PING) {
            self.watch.asked();
        }
    }

    fn written<T>(&mut self, written: &Poll<io::Result<T>>, cx: &Context<'_>) -> io::Result<()> {
        self.blocked([written.is_pending(), self.is_unflushed]);
        self.wait_if(written.is_pending(), cx)
    }

    fn flushed(&mut self, flushed: &Poll<io::Result<()>>, cx: &Context<'_>) -> io::Result<()> {
        self.blocked([self.is_unwritten, flushed.is_pending()]);
        self.wait_if(flushed.is_pending(), cx)
    }

    fn blocked(&mut self, [is_unwritten, is_unflushed]: [bool; 2]) {
        let was_blocked = self.is_unwritten || self.is_unflushed;
        (self.is_unwritten, self.is_unflushed) = (is_unwritten, is_unflushed);
        let is_blocked = is_unwritten || is_unflushed;
        if is_blocked != was_blocked {
            self.watch.blocked(is_blocked);
        }
    }

    fn wait_if(&self, is_pending: bool, cx: &Context<'_>) -> io::Result<()> {
        match is_pending {
            true => self.wait(cx),
            false => Ok(()),
        }
    }
}

fn severed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the server has stopped")
}

impl<Io: AsyncRead + Unpin> AsyncRead for Severable<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        self.connection.is_read();
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        match &read {
            Poll::Ready(Ok(())) => self.heard(&buf.filled()[before..]),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.wait(cx)?,
        }
        read
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Severable<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        self.sends(buf);
        let sent = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(&sent, cx)?;
        sent
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.flushed(&flushed, cx)?;
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        if let [first, others @ ..] = bufs {
            self.sends(first);
            others.iter().for_each(|it| self.may_ping(it));
        }
        let sent = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.written(&sent, cx)?;
        sent
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(feature = "tonic")]
impl<Io: tonic::transport::server::Connected> tonic::transport::server::Connected
    for Severable<Io>
{
    type ConnectInfo = Io::ConnectInfo;

    fn connect_info(&self) -> Io::ConnectInfo {
        self.io.connect_info()
    }
}
