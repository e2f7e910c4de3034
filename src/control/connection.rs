//! One connection to one gateway, shared by all registrations with it on one runtime.
//!
//! A connection is never renewed behind our back: its end is an event for the registrations, and
//! the next call makes a new one. tonic's own reconnecting would hide both.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Id};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::nodes::Nodes;
use super::target::Target;
use super::watched_io::WatchedIo;
use crate::error::{Error, ErrorKind};

/// For one address: long enough for a far gateway, short enough to try the next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// For name, address and TLS together.
const READY_TIMEOUT: Duration = Duration::from_secs(6);
/// For the name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);
/// For all its addresses.
const DIAL_TIMEOUT: Duration = Duration::from_millis(3_500);

/// At once, over one connection: each takes some 20 KiB while it lasts.
const MOST_CALLS: usize = 64;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A gateway and, while there is one, the connection to it.
pub(crate) struct Gateway {
    target: Target,
    endpoint: Endpoint,
    live: watch::Sender<Option<Connection>>,
    /// Held while a connection is made, so that there is one; when the last attempt failed.
    connecting: tokio::sync::Mutex<Option<Instant>>,
    nodes: Mutex<Nodes>,
}

/// Those in use, by address and runtime.
type Gateways = HashMap<(Uri, Id), Weak<Gateway>>;

/// Which calls share the room that there is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Room {
    /// Those that may take long.
    Calls,
    /// Heartbeats and Deregisters: they wait for nothing else.
    Leases,
}

/// Room for one call, until it is dropped.
pub(super) type Turn = Option<OwnedSemaphorePermit>;

/// One HTTP/2 connection; clones are the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(super) channel: Channel,
    /// The node at the other end.
    pub(super) node: SocketAddr,
    /// Cancelled when the connection has ended, whoever ended it.
    ended: CancellationToken,
    /// Cancel it to end the connection.
    kill: CancellationToken,
    /// Room for calls, by [`Room`].
    turns: [Arc<Semaphore>; 2],
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
        if private || target.lookup.is_some() {
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
            nodes: Mutex::default(),
        }
    }

    /// The same gateway, or only that node of it, over a connection of its own.
    pub(super) fn apart(&self, node: Option<SocketAddr>) -> Self {
        let mut apart = Self::new(self.target.clone(), self.endpoint.clone());
        if let Some(node) = node {
            apart.nodes = Nodes::pinned(node).into();
        }
        apart
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The node that was connected to last.
    pub(super) fn home(&self) -> Option<SocketAddr> {
        self.nodes().home()
    }

    /// That node is dead: the next connection is to another one, if there is one.
    pub(super) fn move_on_from(&self, node: SocketAddr) {
        self.nodes().move_on_from(node);
    }

    /// Valid after a panic: it is changed in single steps.
    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
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
        // In a box, as it is rare: the futures of all calls would have room for it.
        match Box::pin(self.connect()).await {
            Ok(connection) => {
                self.nodes().connected_to(connection.node);
                self.live.send_replace(Some(connection.clone()));
                Ok(connection)
            }
            Err(error) => {
                *failed = Some(Instant::now());
                Err(error)
            }
        }
    }

    /// The connection, and room for a call on it.
    ///
    /// # Cancel safety
    ///
    /// As [`connection`](Self::connection).
    pub(super) async fn turn(&self, room: Room) -> Result<(Connection, Turn), Error> {
        loop {
            let connection = self.connection().await?;
            // It is never closed.
            let turns = Arc::clone(&connection.turns[room as usize]);
            let turn = turns.acquire_owned().await.ok();
            if connection.is_up() {
                return Ok((connection, turn));
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
        let asked = async {
            let (stream, node) = self.dial().await.map_err(explained)?;
            let io = WatchedIo {
                io: stream,
                killed: Box::pin(kill.clone().cancelled_owned()),
                _ended: ended.clone().drop_guard(),
            };
            // Gives the stream once: tonic may not reconnect by itself.
            let io = Mutex::new(Some(TokioIo::new(io)));
            let connector = tower::service_fn(move |_: Uri| {
                let io = io.lock().unwrap_or_else(PoisonError::into_inner).take();
                std::future::ready(io.ok_or_else(|| {
                    io::Error::new(io::ErrorKind::NotConnected, "the connection has ended")
                }))
            });
            let channel = self.endpoint.connect_with_connector(connector).await;
            Ok((channel.map_err(explained)?, node))
        };
        match timeout(READY_TIMEOUT, asked).await {
            Ok(Ok((channel, node))) => Ok(Connection {
                channel,
                node,
                ended,
                kill,
                turns: std::array::from_fn(|_| Arc::new(Semaphore::new(MOST_CALLS))),
            }),
            Ok(Err((why, cause))) => Err(self.unreachable(&why).caused_by(cause)),
            Err(elapsed) => Err(self.unreachable(&elapsed.to_string()).caused_by(elapsed)),
        }
    }

    /// Tries the nodes of the name one after the other.
    async fn dial(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let mut resolved = Vec::new();
        let is_pinned = self.nodes().is_pinned();
        if !is_pinned {
            // A name server that is away must leave time for the node that is known.
            match timeout(RESOLVE_TIMEOUT, self.resolve()).await {
                Ok(Ok(addresses)) => resolved = addresses,
                Ok(Err(error)) => last = error,
                Err(elapsed) => last = timed_out(elapsed),
            }
        }
        let nodes = self.nodes().in_order(resolved);
        // The last one must have its turn, too.
        let patience = CONNECT_TIMEOUT
            .min(DIAL_TIMEOUT / u32::try_from(nodes.len()).unwrap_or(u32::MAX).max(1));
        for node in nodes {
            match timeout(patience, TcpStream::connect(node)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok((stream, node));
                }
                Ok(Err(error)) => last = error,
                Err(elapsed) => last = timed_out(elapsed),
            }
        }
        Err(last)
    }

    /// The addresses of the gateway's name; empty when it cannot be resolved in time.
    pub(crate) async fn addresses(&self) -> Vec<SocketAddr> {
        match timeout(RESOLVE_TIMEOUT, self.resolve()).await {
            Ok(Ok(addresses)) => addresses,
            _ => Vec::new(),
        }
    }

    async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        if let Some(lookup) = &self.target.lookup {
            return Ok(lookup.addresses());
        }
        let (host, port) = self.target.host_port();
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gateway({})", self.target)
    }
}

fn timed_out(elapsed: Elapsed) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, elapsed)
}

/// An error and what is really wrong.
fn explained<E: std::error::Error + Send + Sync + 'static>(error: E) -> (String, BoxError) {
    (root_of(&error).to_string(), error.into())
}

/// What is really wrong: what stands above it only says that connecting failed.
pub(super) fn root_of(error: &dyn std::error::Error) -> &dyn std::error::Error {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root
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
