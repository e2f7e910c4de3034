//! The connections of a wrapped listener: counts the open ones, and severs those that a server
//! would wait for forever. `stop.rs` decides when.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use tokio::time::Instant;

use super::gauge::Gauge;

/// How long a peer may take to answer a ping. A little less than the second between the stop and the
/// first look, because the server writes the ping a moment after the stop.
const ANSWERED_AFTER: Duration = Duration::from_millis(900);

/// All connections of one server; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Severer(Arc<Shared>);

/// One connection's handle; dropping it means that the connection has ended.
#[derive(Debug)]
pub(crate) struct SeverWatch {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
}

/// The kind of a connection's first bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Opening {
    /// No bytes yet.
    #[default]
    Silent,
    /// The beginning of an HTTP head, or of HTTP/2's preface.
    Head,
    /// A whole HTTP/1 head.
    Http1,
    /// HTTP/2's preface.
    Http2,
    /// Something else, such as TLS.
    Opaque,
}

#[derive(Debug)]
struct Shared {
    open: Gauge,
    was_used: AtomicBool,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    connections: Vec<Weak<Connection>>,
    /// Future connections are severed, too.
    is_severed: bool,
    /// The server stops.
    is_stopping: bool,
}

#[derive(Debug)]
struct Connection {
    /// The waker of the task that drives the connection.
    waker: AtomicWaker,
    is_severed: AtomicBool,
    /// The connection looks idle, and ends at the next read that finds nothing.
    is_doubted: AtomicBool,
    /// The connection was handed over: it is neither awaited nor severed.
    is_released: AtomicBool,
    opening: AtomicU8,
    /// The number of reads that returned bytes.
    reads: AtomicUsize,
    reads_at_stop: AtomicUsize,
    is_stopping: AtomicBool,
    /// When the first ping since the stop was written.
    asked: OnceLock<Instant>,
    /// The peer currently reads nothing.
    is_blocked: AtomicBool,
}

// === impl Opening ===

impl Opening {
    fn from_number(number: u8) -> Self {
        let all = [Self::Silent, Self::Head, Self::Http1, Self::Http2];
        let found = all.into_iter().find(|it| *it as u8 == number);
        found.unwrap_or(Self::Opaque)
    }
}

// === impl Severer ===

impl Severer {
    /// Registers a connection that was just accepted.
    pub(crate) fn watch(&self) -> SeverWatch {
        let mut list = self.0.list();
        let connection = Arc::new(Connection::new(&list));
        // Ended connections are removed when the list would grow, so it stays at most twice as long
        // as needed.
        if list.connections.len() == list.connections.capacity() {
            list.connections.retain(|it| it.strong_count() > 0);
        }
        list.connections.push(Arc::downgrade(&connection));
        drop(list);
        self.0.open.enter();
        SeverWatch {
            shared: Arc::clone(&self.0),
            connection,
        }
    }

    /// The number of open connections that the server waits for and that are not to end.
    pub(crate) fn waited_for(&self) -> usize {
        let connections = self.0.connections();
        let is_waited_for = |it: &&Arc<Connection>| {
            let ends = [&it.is_released, &it.is_severed, &it.is_doubted];
            !ends.iter().any(|it| it.load(Ordering::Relaxed))
        };
        connections.iter().filter(is_waited_for).count()
    }

    /// Whether any connection ever received what may be a request.
    pub(crate) fn was_used(&self) -> bool {
        self.0.was_used.load(Ordering::Relaxed)
    }

    /// Resolves once no connection is open.
    pub(crate) async fn ended(&self) {
        std::future::poll_fn(|cx| self.0.open.poll_idle(cx)).await;
    }

    /// The server stops: bytes received from now on are a sign of life.
    pub(crate) fn stop(&self) {
        self.0.list().is_stopping = true;
        for connection in self.0.connections() {
            let reads = connection.reads.load(Ordering::Relaxed);
            connection.reads_at_stop.store(reads, Ordering::Relaxed);
            connection.is_stopping.store(true, Ordering::Release);
        }
    }

    /// Severs the connections that no server closes by itself, and on which nothing can be in
    /// flight; returns when to look again, if a peer still has time to answer.
    ///
    /// Their tasks decide, at their next read: with the runtime's threads blocked, what the peer
    /// has sent may be there without having been read.
    pub(crate) fn sever_idle(&self) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for connection in self.0.connections() {
            if connection.is_idle(ANSWERED_AFTER) {
                connection.is_doubted.store(true, Ordering::Release);
                connection.waker.wake();
            } else if let Some(asked) = connection.asked.get()
                && connection.is_idle(Duration::ZERO)
            {
                let look = *asked + ANSWERED_AFTER;
                next = Some(next.map_or(look, |next| next.min(look)));
            }
        }
        next
    }

    /// Severs all connections, including future ones; returns how many were busy.
    pub(crate) fn sever(&self) -> usize {
        self.0.list().is_severed = true;
        let mut busy = 0;
        for connection in self.0.connections() {
            let is_idle = connection.is_idle(Duration::ZERO);
            busy += usize::from(connection.sever() && !is_idle);
        }
        busy
    }
}

// === impl Shared ===

impl Shared {
    fn list(&self) -> MutexGuard<'_, List> {
        // Only pushed to and retained, so it is valid after a panic.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> Vec<Arc<Connection>> {
        let list = self.list();
        list.connections.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            open: Gauge::new(),
            was_used: AtomicBool::new(false),
            list: Mutex::default(),
        }
    }
}

// === impl Connection ===

impl Connection {
    fn new(list: &List) -> Self {
        Self {
            waker: AtomicWaker::new(),
            is_severed: AtomicBool::new(list.is_severed),
            is_stopping: AtomicBool::new(list.is_stopping),
            asked: OnceLock::new(),
            is_doubted: AtomicBool::new(false),
            is_released: AtomicBool::new(false),
            opening: AtomicU8::new(Opening::Silent as u8),
            reads: AtomicUsize::new(0),
            reads_at_stop: AtomicUsize::new(0),
            is_blocked: AtomicBool::new(false),
        }
    }

    /// Whether nothing can be in flight; `patience` is for the answer to a ping.
    fn is_idle(&self, patience: Duration) -> bool {
        match Opening::from_number(self.opening.load(Ordering::Relaxed)) {
            // hyper answers and closes a connection on which it saw a request; later also those
            // with half a head.
            Opening::Silent | Opening::Head => true,
            // A living peer answers the ping that comes with GOAWAY. None is sent if the server had
            // sent GOAWAY before, or has not begun to stop.
            Opening::Http2 => {
                self.asked
                    .get()
                    .is_some_and(|asked| asked.elapsed() >= patience)
                    && self.reads.load(Ordering::Relaxed)
                        == self.reads_at_stop.load(Ordering::Relaxed)
                    && !self.is_blocked.load(Ordering::Relaxed)
            }
            Opening::Http1 | Opening::Opaque => false,
        }
    }

    /// Returns whether this call severed it.
    fn sever(&self) -> bool {
        if self.is_released.load(Ordering::Relaxed) {
            return false;
        }
        let was_severed = self.is_severed.swap(true, Ordering::AcqRel);
        self.waker.wake();
        !was_severed
    }
}

// === impl SeverWatch ===

impl SeverWatch {
    /// Whether the connection is to be severed.
    pub(crate) fn is_severed(&self) -> bool {
        self.connection.is_severed.load(Ordering::Acquire)
    }

    /// Whether the connection is to be severed; if not, the task is woken when it is.
    pub(crate) fn poll_severed(&self, cx: &Context<'_>) -> Poll<()> {
        // Register the waker before reading the flag, so that a sever in between wakes us.
        self.connection.waker.register(cx.waker());
        if self.is_severed() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// A read found nothing: whether the connection ends, because it was taken for idle, and still
    /// is.
    pub(crate) fn ends_idle(&self) -> bool {
        let connection = &self.connection;
        if !connection.is_doubted.load(Ordering::Acquire) {
            return false;
        }
        let is_idle = connection.is_idle(ANSWERED_AFTER);
        match is_idle {
            true => connection.is_severed.store(true, Ordering::Release),
            false => connection.is_doubted.store(false, Ordering::Release),
        }
        is_idle
    }

    /// The kind of the first bytes is known.
    pub(crate) fn opened(&self, opening: Opening) {
        if !matches!(opening, Opening::Silent | Opening::Head) {
            self.shared.was_used.store(true, Ordering::Relaxed);
        }
        let opening = opening as u8;
        self.connection.opening.store(opening, Ordering::Relaxed);
    }

    /// Bytes have arrived.
    pub(crate) fn heard(&self) {
        // Only one task reads at a time.
        let reads = self.connection.reads.load(Ordering::Relaxed);
        let reads = reads.wrapping_add(1);
        self.connection.reads.store(reads, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.connection.is_stopping.load(Ordering::Acquire)
    }

    /// Whether to watch for a ping: the server stops, and has sent none since.
    pub(crate) fn awaits_ping(&self) -> bool {
        self.is_stopping() && self.connection.asked.get().is_none()
    }

    /// The server has sent a ping.
    pub(crate) fn asked(&self) {
        // Only the first one counts.
        let _ = self.connection.asked.set(Instant::now());
    }

    /// Records whether the peer stops reading what is sent.
    pub(crate) fn blocked(&self, is_blocked: bool) {
        let blocked = &self.connection.is_blocked;
        blocked.store(is_blocked, Ordering::Relaxed);
    }

    /// The server has handed the connection over: it is no longer awaited or severed.
    pub(crate) fn release(&self) {
        if !self.connection.is_released.swap(true, Ordering::Relaxed) {
            self.shared.open.leave();
        }
    }
}

impl Drop for SeverWatch {
    fn drop(&mut self) {
        self.release();
    }
}
