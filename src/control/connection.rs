//! One connection to one gateway, shared by all registrations with it on one runtime.
//!
//! A connection is never renewed behind our back: its end is an event for the registrations, and
//! the next call makes a new one. tonic's own reconnecting would hide both.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Id};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use tonic::transport::{Channel, Endpoint};

use crate::error::{Error, ErrorKind};
use crate::options::Target;

/// For one address: long enough for a far gateway, short enough to try the next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// For name, address and TLS together.
const READY_TIMEOUT: Duration = Duration::from_secs(6);

/// A gateway and, while there is one, the connection to it.
pub(crate) struct Gateway {
    target: Target,
    endpoint: Endpoint,
    live: watch::Sender<Option<Connection>>,
    /// Held while a connection is made, so that there is one; when the last attempt failed.
    connecting: tokio::sync::Mutex<Option<Instant>>,
}

/// Those in use, by address and runtime.
type Gateways = HashMap<(Uri, Id), Weak<Gateway>>;

/// One HTTP/2 connection; clones are the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(super) channel: Channel,
    /// Cancelled when the connection has ended, whoever ended it.
    ended: CancellationToken,
    /// Cancel it to end the connection.
    kill: CancellationToken,
}

// === impl Gateway ===

impl Gateway {
    /// The gateway at `target`; without TLS of its own, all users of one runtime get the same.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn shared(target: &Target, endpoint: &Endpoint, private: bool) -> Arc<Self> {
        static GATEWAYS: Mutex<Option<Gateways>> = Mutex::new(None);

        let fresh = || Arc::new(Self::new(target.clone(), endpoint.clone()));
        if private {
            return fresh();
        }
        // A channel lives and dies with the runtime that made it.
        let key = (target.uri.clone(), Handle::current().id());
        let mut gateways = GATEWAYS.lock().unwrap_or_else(PoisonError::into_inner);
        let gateways = gateways.get_or_insert_default();
        gateways.retain(|_, gateway| gateway.strong_count() > 0);
        if let Some(gateway) = gateways.get(&key).and_then(Weak::upgrade) {
            return gateway;
        }
        let gateway = fresh();
        gateways.insert(key, Arc::downgrade(&gateway));
        gateway
    }

    fn new(target: Target, endpoint: Endpoint) -> Self {
        Self {
            target,
            endpoint,
            live: watch::Sender::new(None),
            connecting: tokio::sync::Mutex::new(None),
        }
    }

    /// A gateway for one call from a runtime of its own.
    pub(crate) fn private(target: Target, endpoint: Endpoint) -> Self {
        Self::new(target, endpoint)
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The connection, made if there is none. Bounded by about 6 s.
    ///
    /// # Cancel safety
    ///
    /// Cancelling it ends at most an attempt to connect.
    pub(crate) async fn connection(&self) -> Result<Connection, Error> {
        let asked = Instant::now();
        let mut failed = self.connecting.lock().await;
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        if failed.is_some_and(|failed| failed >= asked) {
            // Somebody else's attempt failed while we waited for it: that was ours, too.
            return Err(self.unreachable("another registration just tried"));
        }
        match self.connect().await {
            Ok(connection) => {
                self.live.send_replace(Some(connection.clone()));
                Ok(connection)
            }
            Err(error) => {
                *failed = Some(Instant::now());
                Err(error)
            }
        }
    }

    fn unreachable(&self, why: &str) -> Error {
        let message = format!(
            "the gateway {} cannot be reached ({why}); check its address and that it runs, the \
             registration follows by itself",
            self.target
        );
        Error::new(ErrorKind::Unavailable, message)
    }

    fn current(&self) -> Option<Connection> {
        let live = self.live.borrow();
        live.as_ref().filter(|live| live.is_up()).cloned()
    }

    /// Resolves when the connection that is up now, or the next one, has ended.
    ///
    /// # Cancel safety
    ///
    /// An end between two calls is missed: keep the future until it resolves.
    pub(crate) async fn disconnected(self: Arc<Self>) {
        let mut live = self.live.subscribe();
        loop {
            let current = live.borrow_and_update().clone();
            let ended = async {
                match current.filter(Connection::is_up) {
                    Some(connection) => connection.ended.cancelled().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = ended => return,
                // The sender lives as long as `self`.
                _ = live.changed() => {}
            }
        }
    }

    /// A connection beside the shared one, to find out whether the gateway answers at all.
    pub(crate) async fn connect(&self) -> Result<Connection, Error> {
        let ended = CancellationToken::new();
        let kill = CancellationToken::new();
        let (host, port) = self.target.host_port();
        let stream = Arc::new(Mutex::new(Some((ended.clone(), kill.clone()))));
        // Gives a stream once: tonic may not reconnect by itself.
        let connector = tower::service_fn(move |_: Uri| {
            let tokens = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
            let host = host.clone();
            async move {
                let (ended, kill) = tokens.ok_or_else(|| {
                    io::Error::new(io::ErrorKind::NotConnected, "the connection has ended")
                })?;
                let io = dial(&host, port).await?;
                Ok::<_, io::Error>(TokioIo::new(WatchedIo {
                    io,
                    killed: Box::pin(kill.cancelled_owned()),
                    _ended: ended.drop_guard(),
                }))
            }
        });
        match timeout(
            READY_TIMEOUT,
            self.endpoint.connect_with_connector(connector),
        )
        .await
        {
            Ok(Ok(channel)) => Ok(Connection {
                channel,
                ended,
                kill,
            }),
            Ok(Err(cause)) => Err(self
                .unreachable(&root_of(&cause).to_string())
                .caused_by(cause)),
            Err(elapsed) => Err(self
                .unreachable(&root_of(&elapsed).to_string())
                .caused_by(elapsed)),
        }
    }

    /// The addresses of the gateway's name; empty when it cannot be resolved in time.
    pub(crate) async fn addresses(&self) -> Vec<SocketAddr> {
        let (host, port) = self.target.host_port();
        match timeout(CONNECT_TIMEOUT, tokio::net::lookup_host((host, port))).await {
            Ok(Ok(addresses)) => addresses.collect(),
            _ => Vec::new(),
        }
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gateway({})", self.target)
    }
}

/// What is really wrong: what stands above it only says that connecting failed.
pub(super) fn root_of(error: &dyn std::error::Error) -> &dyn std::error::Error {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root
}

async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(elapsed) => last = io::Error::new(io::ErrorKind::TimedOut, elapsed),
        }
    }
    Err(last)
}

// === impl Connection ===

impl Connection {
    fn is_up(&self) -> bool {
        !self.ended.is_cancelled()
    }

    /// Ends the connection; the calls on it fail.
    pub(super) fn kill(&self) {
        self.kill.cancel();
    }
}

/// A stream that tells of its end, and that can be ended from outside.
struct WatchedIo {
    io: TcpStream,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
    /// hyper drops the stream as soon as the connection is over.
    _ended: DropGuard,
}

// === impl WatchedIo ===

impl AsyncRead for WatchedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // hyper always has a read pending, so this is where it learns of the end.
        if self.killed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for WatchedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
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
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
