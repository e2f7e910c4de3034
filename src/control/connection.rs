//! One connection to one gateway, shared by all registrations with it on one runtime.
//!
//! A connection is never renewed behind our back: its end is an event for the registrations, and
//! the next call makes a new one. tonic's own reconnecting would hide both.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Id};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::exchange::Spent;
use super::looks::{Looks, Shared};
use super::nodes::Nodes;
use super::resolver;
use super::spoken::{FirstBytes, Spoken};
use super::target::Target;
use super::watched_io::WatchedIo;
use crate::error::{Error, ErrorKind};
use crate::liveness::Liveness;

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

/// After an attempt to connect that failed, for all registrations together.
const REST: Duration = Duration::from_millis(200);
/// A connection that lived this long ended for a reason of its own.
const CALM: Duration = Duration::from_secs(2);
/// Before the end of a connection is told, when those before it were as short: doubled each time.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Times in a row that a peer may end a connection before a call is on it.
const ATTEMPTS: u32 = 3;

/// What a peer may have under way towards us: nobody's answer is large, and all that is not read
/// yet lies in memory.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A gateway and, while there is one, the connection to it.
pub(crate) struct Gateway {
    target: Target,
    endpoint: Endpoint,
    live: watch::Sender<Option<Connection>>,
    /// Held while a connection is made, so that there is one; when the last attempt failed, and
    /// why.
    connecting: tokio::sync::Mutex<Option<(Instant, String)>>,
    nodes: Mutex<Nodes>,
    /// Whether it answers, asked for all registrations at once.
    pub(super) probes: Shared<Liveness>,
    pub(super) looks: Shared<bool>,
    pub(super) lists: Looks,
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
    /// Cancelled when it takes no more calls, though some may still be on it.
    spent: CancellationToken,
    /// No other one has it.
    pub(super) number: u64,
    made: Instant,
    /// How many before it, in a row, lived shortly.
    haste: u32,
    /// Bytes of answers that calls took.
    pub(super) taken: Arc<AtomicU64>,
    first: Arc<FirstBytes>,
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
            endpoint: endpoint
                .http2_adaptive_window(false)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW),
            live: watch::Sender::new(None),
            connecting: tokio::sync::Mutex::new(None),
            nodes: Mutex::default(),
            probes: Shared::default(),
            looks: Shared::default(),
            lists: Looks::new(),
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
        if let Some((at, error)) = &*failed
            && (*at >= asked || at.elapsed() < REST)
        {
            // Somebody else's attempt failed while we waited for it, or just before.
            return Err(Error::new(ErrorKind::Unavailable, error));
        }
        // In a box, as it is rare: the futures of all calls would have room for it.
        match Box::pin(self.connect()).await {
            Ok(mut connection) => {
                connection.haste = match &*self.live.borrow() {
                    Some(last) if last.made.elapsed() < CALM + last.pause() => {
                        last.haste.saturating_add(1)
                    }
                    _ => 0,
                };
                self.nodes().connected_to(connection.node);
                self.live.send_replace(Some(connection.clone()));
                Ok(connection)
            }
            Err(error) => {
                *failed = Some((Instant::now(), error.to_string()));
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
        for _ in 0..ATTEMPTS {
            let connection = self.connection().await?;
            // It is never closed.
            let turns = Arc::clone(&connection.turns[room as usize]);
            // Those before us may never be answered on a connection that takes no more calls.
            let turn = tokio::select! {
                biased;
                () = connection.spent.cancelled() => continue,
                () = connection.ended.cancelled() => continue,
                turn = turns.acquire_owned() => turn.ok(),
            };
            if connection.is_up() {
                return Ok((connection, turn));
            }
        }
        Err(self.unreachable("it ends each connection at once"))
    }

    fn unreachable(&self, why: &str) -> Error {
        let remedy = tls_remedy(why).unwrap_or("check its address and that it runs");
        let message = format!(
            "the gateway {} cannot be reached ({why}): {remedy}",
            self.target
        );
        Error::new(ErrorKind::Unavailable, message)
    }

    fn current(&self) -> Option<Connection> {
        let live = self.live.borrow();
        live.as_ref().filter(|live| live.is_up()).cloned()
    }

    /// Resolves when the connection that is up now, or the next one, has ended; with a growing
    /// delay where one after the other lives shortly, or a peer that ends them all would be called
    /// each time.
    ///
    /// # Cancel safety
    ///
    /// An end between two calls is missed: keep the future until it resolves.
    pub(crate) async fn disconnected(self: Arc<Self>) {
        let mut live = self.live.subscribe();
        loop {
            let current = live.borrow_and_update().clone();
            let Some(connection) = current.filter(Connection::is_up) else {
                // The sender lives as long as `self`.
                let _ = live.changed().await;
                continue;
            };
            tokio::select! {
                biased;
                () = connection.ended.cancelled() => {
                    sleep(connection.pause_after()).await;
                    return;
                }
                _ = live.changed() => {}
            }
        }
    }

    /// A connection beside the shared one, to find out whether the gateway answers at all.
    pub(crate) async fn connect(&self) -> Result<Connection, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let ended = CancellationToken::new();
        let kill = CancellationToken::new();
        let taken = Arc::<AtomicU64>::default();
        let first = Arc::<FirstBytes>::default();
        let dialled = AtomicBool::new(false);
        let asked = async {
            let (stream, node) = self.dial().await.map_err(explained)?;
            dialled.store(true, Ordering::Relaxed);
            let (taken, first) = (Arc::clone(&taken), Arc::clone(&first));
            let io = WatchedIo::new(stream, kill.clone(), ended.clone(), taken, first);
            // Gives the stream once: tonic may not reconnect by itself.
            let io = Mutex::new(Some(TokioIo::new(io)));
            let connector = tower::service_fn(move |_: Uri| {
                let io = io.lock().unwrap_or_else(PoisonError::into_inner).take();
                std::future::ready(io.ok_or_else(|| io::Error::other(Spent)))
            });
            let endpoint = self.fresh_endpoint().await;
            let channel = endpoint.connect_with_connector(connector).await;
            Ok((channel.map_err(explained)?, node))
        };
        let asked = timeout(READY_TIMEOUT, asked).await;
        let dialled = dialled.into_inner();
        match asked {
            Ok(Ok((channel, node))) => Ok(Connection {
                channel,
                node,
                ended,
                kill,
                spent: CancellationToken::new(),
                number: NEXT.fetch_add(1, Ordering::Relaxed),
                made: Instant::now(),
                haste: 0,
                taken,
                first,
                turns: std::array::from_fn(|_| Arc::new(Semaphore::new(MOST_CALLS))),
            }),
            Ok(Err((why, cause))) => {
                let spoken = dialled.then(|| first.spoken());
                Err(self.no_connection(&why, spoken.as_ref()).caused_by(cause))
            }
            Err(elapsed) => {
                let why = format!("no answer within {READY_TIMEOUT:?}");
                let spoken = dialled.then(|| first.spoken());
                Err(self.no_connection(&why, spoken.as_ref()).caused_by(elapsed))
            }
        }
    }

    /// With the certificates that their files have now.
    async fn fresh_endpoint(&self) -> Endpoint {
        #[cfg(feature = "tls")]
        if let Some(renewal) = &self.target.renewal {
            return renewal.renewed(&self.endpoint).await;
        }
        self.endpoint.clone()
    }

    /// Somebody accepted, if anything is known of what was spoken.
    fn no_connection(&self, why: &str, spoken: Option<&Spoken>) -> Error {
        if let Some(mistake) = spoken.and_then(|it| it.mistake(&self.target)) {
            return Error::new(ErrorKind::Unavailable, mistake);
        }
        match spoken.and_then(|it| it.hint(&self.target)) {
            Some(hint) => self.unreachable(&format!("{why}; {hint}")),
            None => self.unreachable(why),
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
        resolver::resolve(&host, port).await
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gateway({})", self.target)
    }
}

/// What to do where certificates are at fault.
pub(super) fn tls_remedy(why: &str) -> Option<&'static str> {
    #[cfg(feature = "tls")]
    return super::tls::remedy(why);
    #[cfg(not(feature = "tls"))]
    let _ = why;
    #[cfg(not(feature = "tls"))]
    None
}

fn timed_out(_: Elapsed) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
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
    /// What the peer speaks.
    pub(super) fn spoken(&self) -> Spoken {
        self.first.spoken()
    }

    fn is_up(&self) -> bool {
        !self.ended.is_cancelled() && !self.spent.is_cancelled()
    }

    /// It gave a call back that it had not begun to send: the next one needs another.
    pub(super) fn spend(&self) {
        self.spent.cancel();
    }

    fn pause_after(&self) -> Duration {
        match self.made.elapsed() < CALM {
            true => self.pause(),
            false => Duration::ZERO,
        }
    }

    /// What follows a short life.
    fn pause(&self) -> Duration {
        if self.haste == 0 {
            return Duration::ZERO;
        }
        let doublings = (self.haste - 1).min(8);
        PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
    }

    /// Ends the connection; the calls on it fail.
    pub(super) fn kill(&self) {
        self.kill.cancel();
    }
}
