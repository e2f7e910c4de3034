//! One connection to one gateway, shared by all registrations with it on one runtime.
//!
//! A connection is never renewed behind our back: its end is an event for the registrations, and
//! the next call makes a new one. tonic's own reconnecting would hide both.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
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

use super::escape::escaped;
use super::exchange::Spent;
use super::nodes::Nodes;
use super::peer_protocol::{FirstBytes, Spoken};
use super::resolver;
use super::shared_looks::{Looks, Shared};
use super::target::Target;
use super::watched_io::WatchedIo;
use crate::error::{Error, ErrorKind};
use crate::liveness::Liveness;

/// For one address: long enough for a distant gateway, short enough to try the next address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// For name, address and TLS together.
const READY_TIMEOUT: Duration = Duration::from_secs(6);
/// For resolving the name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);
/// For all its addresses.
const DIAL_TIMEOUT: Duration = Duration::from_millis(3_500);

/// The most concurrent calls over one connection: each takes some 20 KiB.
pub(super) const MOST_CALLS: usize = 64;

/// The pause after a failed attempt to connect, for all registrations together.
const REST: Duration = Duration::from_millis(200);
/// The end of a connection that lived this long has nothing to do with earlier ends.
const CALM: Duration = Duration::from_secs(2);
/// The delay before the end of a connection is reported, if the previous ones were as short-lived;
/// doubles each time.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long a peer that sends nothing is taken for what it was heard to be before.
const HEARD_IS_FRESH: Duration = Duration::from_secs(60);
/// How often in a row a peer may end a connection before a call is on it.
const ATTEMPTS: u32 = 3;

/// The most bytes that a peer may have in flight towards us: no answer is large, and all unread
/// bytes are in memory.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A gateway and the current connection to it, if any.
pub(crate) struct Gateway {
    target: Target,
    endpoint: Endpoint,
    live: watch::Sender<Option<Connection>>,
    /// Locked while a connection is made, so that there is only one; holds the time and the reason
    /// of the last failed attempt.
    connecting: tokio::sync::Mutex<Option<(Instant, String)>>,
    nodes: Mutex<Nodes>,
    /// What was heard last, at which node and when.
    heard: Mutex<Option<(SocketAddr, Spoken, Instant)>>,
    /// Whether the gateway answers, probed for all registrations at once.
    pub(super) probes: Shared<Liveness>,
    pub(super) looks: Shared<bool>,
    pub(super) lists: Looks,
}

/// The gateways in use, by address and runtime.
type Gateways = HashMap<(Uri, Id), Weak<Gateway>>;

/// Which calls share a limit on concurrency.
#[derive(Clone, Copy, Debug)]
pub(super) enum Room {
    /// Calls that may take long.
    Calls,
    /// Heartbeats and Deregisters, which never wait for other calls.
    Leases,
}

/// The permit for one call, until it is dropped.
pub(super) type Turn = Option<OwnedSemaphorePermit>;

/// One HTTP/2 connection; clones are the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(super) channel: Channel,
    /// The node at the other end.
    pub(super) node: SocketAddr,
    /// Cancelled when the connection has ended, for whatever reason.
    ended: CancellationToken,
    /// Cancel it to end the connection.
    kill: CancellationToken,
    /// Cancelled when it accepts no more calls, though some may still be on it.
    spent: CancellationToken,
    /// The connection's unique number.
    pub(super) number: u64,
    made: Instant,
    /// How many connections before it, in a row, were short-lived.
    haste: u32,
    /// The bytes of answers that calls have read.
    pub(super) taken: Arc<AtomicU64>,
    first: Arc<FirstBytes>,
    /// A call was answered in HTTP/2.
    answered: Arc<AtomicBool>,
    /// The limits on concurrent calls, by [`Room`].
    turns: [Arc<Semaphore>; 2],
}

// === impl Gateway ===

impl Gateway {
    /// The gateway at `target`; all users on one runtime share it, unless it has TLS settings of
    /// its own.
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
        // A channel ends with the runtime that made it.
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
            heard: Mutex::default(),
            probes: Shared::default(),
            looks: Shared::default(),
            lists: Looks::new(),
        }
    }

    /// The same gateway, or only the given node of it, over a connection of its own.
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

    /// The node of the last connection.
    pub(super) fn home(&self) -> Option<SocketAddr> {
        self.nodes().home()
    }

    /// The node is dead: the next connection goes to another node, if there is one.
    pub(super) fn move_on_from(&self, node: SocketAddr) {
        self.nodes().move_on_from(node);
    }

    /// Changed in single steps, so valid after a panic.
    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current connection, or a new one. Bounded by about 6 s.
    ///
    /// # Cancel safety
    ///
    /// Cancelling it aborts at most an attempt to connect.
    pub(crate) async fn connection(&self) -> Result<Connection, Error> {
        let asked = Instant::now();
        let mut failed = self.connecting.lock().await;
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        if let Some((at, error)) = &*failed
            && (*at >= asked || at.elapsed() < REST)
        {
            // Another caller's attempt failed while we waited for it, or just before.
            return Err(Error::new(ErrorKind::Unavailable, error));
        }
        // Boxed, because it is rare: otherwise every call's future would reserve space for it.
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

    /// The connection, and a permit for a call on it; `None` if the call is for `only` one node,
    /// and the connection leads to another.
    ///
    /// # Cancel safety
    ///
    /// As [`connection`](Self::connection).
    pub(super) async fn turn(
        &self,
        room: Room,
        only: Option<SocketAddr>,
    ) -> Result<Option<(Connection, Turn)>, Error> {
        let mut spoken = Spoken::Nothing;
        for _ in 0..ATTEMPTS {
            let connection = self.connection().await?;
            // Decided before the wait, because calls to different nodes must not wait for each
            // other.
            if only.is_some_and(|only| only != connection.node) {
                return Ok(None);
            }
            // The semaphore is never closed.
            let turns = Arc::clone(&connection.turns[room as usize]);
            // Calls ahead of us may never be answered on a connection that accepts no more calls.
            let turn = tokio::select! {
                biased;
                () = connection.spent.cancelled() => None,
                () = connection.ended.cancelled() => None,
                turn = turns.acquire_owned() => turn.ok(),
            };
            if connection.is_up() {
                return Ok(Some((connection, turn)));
            }
            spoken = self.spoken(&connection);
            if connection.is_useless() {
                break;
            }
        }
        let text = spoken.mistake(&self.target);
        let text = text.or_else(|| spoken.closes(&self.target));
        Err(match text {
            Some(text) => Error::new(ErrorKind::Unavailable, text),
            None => self.unreachable("it ends each connection at once"),
        })
    }

    fn unreachable(&self, why: &str) -> Error {
        let remedy = tls_remedy(why).unwrap_or("check its address and that it runs");
        let message = format!(
            "the gateway {} cannot be reached ({why}): {remedy}",
            self.target
        );
        Error::new(ErrorKind::Unavailable, message)
    }

    /// What the peer of a connection speaks. A peer that sent nothing this time may have been
    /// faster to close than to be read: it counts as what it was before.
    pub(super) fn spoken(&self, connection: &Connection) -> Spoken {
        match connection.answered.load(Ordering::Relaxed) {
            true => self.heard_at(connection.node, Spoken::Http2),
            false => self.heard_at(connection.node, connection.first.spoken()),
        }
    }

    fn heard_at(&self, node: SocketAddr, spoken: Spoken) -> Spoken {
        // The value is only replaced whole, so it is valid after a panic.
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if spoken != Spoken::Nothing {
            *heard = Some((node, spoken.clone(), Instant::now()));
            return spoken;
        }
        match &*heard {
            Some((of, before, at)) if *of == node && at.elapsed() < HEARD_IS_FRESH => {
                match before.mistake(&self.target) {
                    Some(_) => before.clone(),
                    None => spoken,
                }
            }
            _ => spoken,
        }
    }

    /// Why calls may be without an answer, if the peer of the current connection does not behave
    /// like a gateway, which speaks first.
    pub(crate) fn silence(&self) -> Option<String> {
        let connection = self.current()?;
        self.spoken(&connection).is_silent(&self.target)
    }

    fn current(&self) -> Option<Connection> {
        let live = self.live.borrow();
        live.as_ref().filter(|live| live.is_up()).cloned()
    }

    /// Resolves when the current connection, or the next one, has ended. The delay grows while
    /// connections are short-lived, because a peer that ends them all would otherwise be called
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
                // `self` owns the sender.
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

    /// Makes a connection beside the shared one, to find out whether the gateway answers at all.
    pub(crate) async fn connect(&self) -> Result<Connection, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let ended = CancellationToken::new();
        let kill = CancellationToken::new();
        let taken = Arc::<AtomicU64>::default();
        let first = Arc::<FirstBytes>::default();
        let dialled = OnceLock::new();
        let asked = async {
            let (stream, node) = self.dial().await.map_err(explained)?;
            // Set only here.
            let _ = dialled.set(node);
            let (taken, first) = (Arc::clone(&taken), Arc::clone(&first));
            let io = WatchedIo::new(stream, kill.clone(), ended.clone(), taken, first);
            // Returns the stream only once: tonic must not reconnect by itself.
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
        // If something was dialled, somebody has accepted the connection.
        let spoken = || {
            let node = *dialled.get()?;
            Some(self.heard_at(node, first.spoken()))
        };
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
                answered: Arc::default(),
                first: Arc::clone(&first),
                turns: std::array::from_fn(|_| Arc::new(Semaphore::new(MOST_CALLS))),
            }),
            Ok(Err((why, cause))) => {
                let spoken = spoken();
                let told = spoken.and_then(|it| {
                    let closes = || {
                        it.closes(&self.target)
                            .filter(|_| tls_remedy(&why).is_none())
                    };
                    it.mistake(&self.target).or_else(closes)
                });
                Err(self.no_connection(&why, told).caused_by(cause))
            }
            Err(elapsed) => {
                let why = format!("no answer within {READY_TIMEOUT:?}");
                let told = spoken().and_then(|it| it.is_silent(&self.target));
                Err(self.no_connection(&why, told).caused_by(elapsed))
            }
        }
    }

    /// The endpoint with the current content of its certificate files.
    async fn fresh_endpoint(&self) -> Endpoint {
        #[cfg(feature = "tls")]
        if let Some(renewal) = &self.target.renewal {
            return renewal.renewed(&self.endpoint).await;
        }
        self.endpoint.clone()
    }

    /// `told` is what the peer's protocol tells about it.
    fn no_connection(&self, why: &str, told: Option<String>) -> Error {
        match told {
            Some(text) => Error::new(ErrorKind::Unavailable, text),
            None => self.unreachable(why),
        }
    }

    /// Tries the nodes of the name one after another.
    async fn dial(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name resolves to no address");
        let mut resolved = Vec::new();
        let is_pinned = self.nodes().is_pinned();
        if !is_pinned {
            // An unreachable name server must leave time for the node that is known.
            match timeout(RESOLVE_TIMEOUT, self.resolve()).await {
                Ok(Ok(addresses)) => resolved = addresses,
                Ok(Err(error)) => last = error,
                Err(elapsed) => last = timed_out(elapsed),
            }
        }
        let nodes = self.nodes().in_order(resolved);
        // The last address must get its turn, too.
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

    /// The addresses of the gateway's name; empty if it cannot be resolved in time.
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

/// The remedy for an error about certificates.
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

/// An error with its root cause, in which a peer may have a say: a certificate has any number of
/// names.
fn explained<E: std::error::Error + Send + Sync + 'static>(error: E) -> (String, BoxError) {
    (escaped(&root_of(&error).to_string()), error.into())
}

/// The root cause: the errors above it only say that connecting failed.
pub(super) fn root_of(error: &dyn std::error::Error) -> &dyn std::error::Error {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root
}

// === impl Connection ===

impl Connection {
    /// The peer has answered a call, so it speaks HTTP/2.
    pub(super) fn has_answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    fn is_up(&self) -> bool {
        !self.ended.is_cancelled() && !self.spent.is_cancelled()
    }

    /// The connection returned a call that it had not begun to send: the next call needs another
    /// one.
    pub(super) fn spend(&self) {
        self.spent.cancel();
    }

    /// Whether the peer does nothing but end connections: another one at once would not help.
    pub(super) fn is_useless(&self) -> bool {
        self.haste > 0 && !self.answered.load(Ordering::Relaxed)
    }

    fn pause_after(&self) -> Duration {
        match self.made.elapsed() < CALM {
            true => self.pause(),
            false => Duration::ZERO,
        }
    }

    /// The delay after a short-lived connection.
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
