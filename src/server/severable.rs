//! A connection that can be severed when its server stops.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::drain::{Opening, OpeningReader, SeverWatch};
use crate::observe::peers::Connection;

/// A peer that was sent this much since the stop may not have read it all when the connection
/// closes. Frames that it still sends (windows, pings) would then be answered with a reset, which
/// discards what it has not read: so the connection keeps reading until the peer has been silent
/// for a while.
const MUCH: usize = 16 * 1024;
const QUIET: Duration = Duration::from_millis(1_500);

/// The start of a response that hands the connection over.
const SWITCHING_PROTOCOLS: &[u8] = b"HTTP/1.1 101";

/// The same for a request that asks for a tunnel.
const CONNECT: &[u8] = b"CONNECT ";
const SUCCESS: &[u8] = b"HTTP/1.1 2";

/// The head of an HTTP/2 PING without ACK.
const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0];

/// A connection of a wrapped listener.
///
/// tonic and axum wait forever for connections that are silent, or whose callers do not read. So
/// the connection is severed when the server stops: at
/// [`drain_timeout`](crate::Options::drain_timeout) if it is busy, and 1 s after the shutdown
/// future resolved if nothing can be in flight on it: a connection that never sent a byte, an
/// HTTP/1 connection whose first head is incomplete, an HTTP/2 connection whose peer no longer
/// answers. With TLS above it, only the first case can be detected. An upgraded connection is left
/// alone.
///
/// # Examples
///
/// What axum and tonic accept from a wrapped listener:
///
/// ```
/// use tokio::net::TcpStream;
/// use tower_gwag::server::Severable;
///
/// fn look(mut connection: Severable<TcpStream>) -> TcpStream {
///     println!("{:?}", connection.get_ref().peer_addr());
///     let _ = connection.get_mut().set_nodelay(true);
///     connection.into_inner()
/// }
/// ```
#[derive(Debug)]
pub struct Severable<Io> {
    io: Io,
    watch: SeverWatch,
    connection: Connection,
    /// Present until the connection's opening bytes are known.
    reader: Option<OpeningReader>,
    may_upgrade: bool,
    /// The last request head asked for a tunnel.
    is_connect: bool,
    /// Nothing was written since the last read: the next bytes written begin a response.
    is_asked: bool,
    is_watched: bool,
    is_unwritten: bool,
    is_unflushed: bool,
    /// Bytes sent since the stop.
    sent: usize,
    /// Set once everything is sent: how long to keep reading.
    lingers: Option<Pin<Box<Sleep>>>,
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
            is_connect: false,
            is_asked: false,
            is_watched: false,
            is_unwritten: false,
            is_unflushed: false,
            sent: 0,
            lingers: None,
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

    /// Returns the wrapped connection, which is then no longer severed.
    pub fn into_inner(self) -> Io {
        self.io
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.watch.is_severed() {
            return Err(severed());
        }
        // A task can wait long for something else without ever having waited for bytes.
        if !self.is_watched {
            self.is_watched = true;
            return self.wait(cx);
        }
        Ok(())
    }

    /// Registers the task to be woken when the connection is to be severed.
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
        if !self.is_asked {
            self.is_asked = true;
            self.is_connect = bytes.starts_with(CONNECT);
        }
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

    /// Looks at the bytes that a server is about to write; unwritten ones are passed again.
    fn sends(&mut self, bytes: &[u8]) {
        self.connection.sends(bytes);
        let is_head = std::mem::take(&mut self.is_asked);
        if is_head && self.may_upgrade && self.hands_over(bytes) {
            self.may_upgrade = false;
            self.watch.release();
        }
        self.may_ping(bytes);
    }

    /// Whether a response with this head hands the connection over to a handler.
    fn hands_over(&self, head: &[u8]) -> bool {
        head.starts_with(SWITCHING_PROTOCOLS) || self.is_connect && head.starts_with(SUCCESS)
    }

    /// h2 first writes the head of a frame in one piece.
    fn may_ping(&self, bytes: &[u8]) {
        if self.watch.awaits_ping() && bytes.windows(PING.len()).any(|it| it == PING) {
            self.watch.asked();
        }
    }

    fn written(&mut self, written: &Poll<io::Result<usize>>, cx: &Context<'_>) -> io::Result<()> {
        if let Poll::Ready(Ok(count)) = written
            && self.watch.is_stopping()
        {
            self.sent = self.sent.saturating_add(*count);
        }
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

impl<Io: AsyncRead + Unpin> Severable<Io> {
    /// Discards incoming bytes; ready at their end, or after a while without any.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(lingers) = &mut self.lingers else {
            return Poll::Ready(());
        };
        let mut bytes = [0; 1024];
        loop {
            if self.watch.poll_severed(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut buf = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    lingers.as_mut().reset(Instant::now() + QUIET);
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return lingers.as_mut().poll(cx),
            }
        }
    }
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
            Poll::Pending => {
                self.wait(cx)?;
                if self.watch.ends_idle() {
                    return Poll::Ready(Err(severed()));
                }
            }
        }
        read
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Severable<Io> {
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
        if self.lingers.is_none() {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            if self.sent < MUCH {
                return Poll::Ready(Ok(()));
            }
            self.lingers = Some(Box::pin(sleep(QUIET)));
        }
        self.poll_silence(cx).map(Ok)
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::drain::Severer;
    use crate::observe::peers::Peers;

    /// Yields these bytes piece by piece, accepts what is written, and flushes nothing while stuck.
    #[derive(Default)]
    struct Peer {
        sends: VecDeque<&'static [u8]>,
        is_stuck: bool,
    }

    impl AsyncRead for Peer {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match self.sends.pop_front() {
                Some(bytes) => {
                    buf.put_slice(bytes);
                    Poll::Ready(Ok(()))
                }
                None => Poll::Pending,
            }
        }
    }

    impl AsyncWrite for Peer {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            match self.is_stuck {
                true => Poll::Pending,
                false => Poll::Ready(Ok(())),
            }
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn connection(severer: &Severer, sends: &[&'static [u8]]) -> Severable<Peer> {
        let peer = Peer {
            sends: sends.iter().copied().collect(),
            is_stuck: false,
        };
        let stranger = Peers::default().connected(None);
        Severable::new(peer, severer.watch(), stranger)
    }

    fn read(io: &mut Severable<Peer>) {
        let mut bytes = [0; 1024];
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let read = Pin::new(io).poll_read(&mut cx, &mut ReadBuf::new(&mut bytes));
        assert!(matches!(read, Poll::Ready(Ok(()))));
    }

    fn write(io: &mut Severable<Peer>, bytes: &[u8]) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let written = Pin::new(io).poll_write(&mut cx, bytes);
        assert!(matches!(written, Poll::Ready(Ok(_))));
    }

    fn flush(io: &mut Severable<Peer>) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        Pin::new(io).poll_flush(&mut cx).is_ready()
    }

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    /// Whether a read that finds nothing ends the connection.
    fn ends(io: &mut Severable<Peer>) -> bool {
        let mut bytes = [0; 1024];
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let read = Pin::new(io).poll_read(&mut cx, &mut ReadBuf::new(&mut bytes));
        matches!(read, Poll::Ready(Err(_)))
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// A peer that reads nothing cannot answer a ping.
    #[tokio::test(start_paused = true)]
    async fn unflushed_bytes_are_not_a_sign_of_death() {
        let severer = Severer::default();
        let mut stuck = connection(&severer, &[PREFACE]);
        let mut dead = connection(&severer, &[PREFACE]);
        stuck.get_mut().is_stuck = true;
        for io in [&mut stuck, &mut dead] {
            read(io);
        }
        severer.stop();
        for io in [&mut stuck, &mut dead] {
            write(io, &[PING, &[0; 8]].concat());
        }
        assert!(!flush(&mut stuck));
        assert!(flush(&mut dead));
        tokio::time::advance(SECOND).await;
        assert_eq!(severer.sever_idle(), None);
        assert!(!ends(&mut stuck), "its peer may live");
        assert!(ends(&mut dead), "it was asked, and said nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn an_http_2_peer_that_was_not_asked_may_live() {
        let severer = Severer::default();
        let mut io = connection(&severer, &[PREFACE]);
        read(&mut io);
        write(&mut io, &[PING, &[0; 8]].concat());
        severer.stop();
        tokio::time::advance(SECOND).await;
        assert_eq!(severer.sever_idle(), None);
        assert!(!ends(&mut io));
    }

    #[tokio::test(start_paused = true)]
    async fn an_http_2_peer_that_was_asked_late_has_time_to_answer() {
        let severer = Severer::default();
        let mut io = connection(&severer, &[PREFACE]);
        read(&mut io);
        severer.stop();
        tokio::time::advance(SECOND - SECOND / 20).await;
        write(&mut io, &[PING, &[0; 8]].concat());
        tokio::time::advance(SECOND / 20).await;
        let again = severer.sever_idle().expect("another look");
        assert!(!ends(&mut io));
        tokio::time::sleep_until(again).await;
        assert_eq!(severer.sever_idle(), None);
        assert!(ends(&mut io));
    }

    /// While all threads of a runtime are blocked, nobody reads.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_has_read_is_a_sign_of_life() {
        let severer = Severer::default();
        let mut answers = connection(&severer, &[PREFACE]);
        let mut begins = connection(&severer, &[]);
        let mut trickles = connection(&severer, &[]);
        read(&mut answers);
        severer.stop();
        write(&mut answers, &[PING, &[0; 8]].concat());
        tokio::time::advance(2 * SECOND).await;
        for (io, sends) in [
            (&mut answers, &b"a pong"[..]),
            (&mut begins, b"GET / HTTP/1.1\r\nhost: pets\r\n\r\n"),
            (&mut trickles, b"GET / HT"),
        ] {
            io.get_mut().sends.push_back(sends);
        }
        severer.sever_idle();
        for io in [&mut answers, &mut begins, &mut trickles] {
            read(io);
        }
        assert!(!ends(&mut answers));
        assert!(!ends(&mut begins));
        assert!(ends(&mut trickles), "half a head is no request");
    }

    #[test]
    fn only_the_head_of_an_answer_hands_a_connection_over() {
        const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: pets\r\n\r\n";
        const TUNNEL: &[u8] = b"CONNECT pets:80 HTTP/1.1\r\nhost: pets:80\r\n\r\n";
        for (request, answers, is_handed_over) in [
            (
                GET,
                &[&b"HTTP/1.1 101 Switching Protocols\r\n\r\n"[..]][..],
                true,
            ),
            (
                GET,
                &[b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 101 says the body"],
                false,
            ),
            (TUNNEL, &[b"HTTP/1.1 200 OK\r\n\r\n"], true),
            (
                TUNNEL,
                &[b"HTTP/1.1 403 Forbidden\r\n\r\n", b"HTTP/1.1 200"],
                false,
            ),
            (GET, &[b"HTTP/1.1 200 OK\r\n\r\n"], false),
        ] {
            let severer = Severer::default();
            let mut io = connection(&severer, &[request]);
            read(&mut io);
            for answer in answers {
                write(&mut io, answer);
            }
            let waited_for = usize::from(!is_handed_over);
            assert_eq!(severer.waited_for(), waited_for, "{request:?} {answers:?}");
        }
    }
}
