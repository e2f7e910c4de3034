//! The connections of a wrapped listener: how many are open, and ending those that a server would
//! wait for without end.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use atomic_waker::AtomicWaker;

use super::gauge::Gauge;

/// All connections of one server; clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Severer(Arc<Shared>);

/// One connection's view of it; the connection has ended when this is dropped.
#[derive(Debug)]
pub(crate) struct SeverWatch {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
}

/// What the first bytes of a connection were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Opening {
    /// None came yet.
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
    /// Those to come are severed, too.
    is_severed: bool,
    /// The server stops.
    is_stopping: bool,
}

#[derive(Debug)]
struct Connection {
    /// Of the task that drives it.
    waker: AtomicWaker,
    is_severed: AtomicBool,
    /// Nobody's to wait for or to end any more.
    is_released: AtomicBool,
    opening: AtomicU8,
    /// Reads that brought something.
    reads: AtomicUsize,
    reads_at_stop: AtomicUsize,
    is_stopping: AtomicBool,
    /// A ping was written since the stop.
    was_asked: AtomicBool,
    /// The peer takes nothing at the moment.
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
    /// For a connection that was just accepted.
    pub(crate) fn watch(&self) -> SeverWatch {
        let mut list = self.0.list();
        let connection = Arc::new(Connection::new(&list));
        // Those that have ended go when the list would grow, so that it stays twice as long as
        // needed at the most.
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

    /// Connections that the server has, and that were not ended.
    pub(crate) fn waited_for(&self) -> usize {
        let connections = self.0.connections();
        let is_waited_for = |it: &&Arc<Connection>| {
            !it.is_released.load(Ordering::Relaxed) && !it.is_severed.load(Ordering::Relaxed)
        };
        connections.iter().filter(is_waited_for).count()
    }

    /// Whether any connection ever brought what may be a request.
    pub(crate) fn was_used(&self) -> bool {
        self.0.was_used.load(Ordering::Relaxed)
    }

    /// Resolves once no connection is open.
    pub(crate) async fn ended(&self) {
        std::future::poll_fn(|cx| self.0.open.poll_idle(cx)).await;
    }

    /// The server stops: what comes from now on is a sign of life.
    pub(crate) fn stop(&self) {
        self.0.list().is_stopping = true;
        for connection in self.0.connections() {
            let reads = connection.reads.load(Ordering::Relaxed);
            connection.reads_at_stop.store(reads, Ordering::Relaxed);
            connection.is_stopping.store(true, Ordering::Release);
        }
    }

    /// Ends the connections that no server closes by itself, and that nothing can be in flight on.
    pub(crate) fn sever_idle(&self) {
        for connection in self.0.connections() {
            if connection.is_idle() {
                connection.sever();
            }
        }
    }

    /// Ends all connections, those to come as well; how many of them were busy.
    pub(crate) fn sever(&self) -> usize {
        self.0.list().is_severed = true;
        let mut busy = 0;
        for connection in self.0.connections() {
            let is_idle = connection.is_idle();
            busy += usize::from(connection.sever() && !is_idle);
        }
        busy
    }
}

// === impl Shared ===

impl Shared {
    fn list(&self) -> MutexGuard<'_, List> {
        // Pushed to and retained only, so that it is valid after a panic.
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
            was_asked: AtomicBool::new(false),
            is_released: AtomicBool::new(false),
            opening: AtomicU8::new(Opening::Silent as u8),
            reads: AtomicUsize::new(0),
            reads_at_stop: AtomicUsize::new(0),
            is_blocked: AtomicBool::new(false),
        }
    }

    /// To be asked a second after the stop.
    fn is_idle(&self) -> bool {
        match Opening::from_number(self.opening.load(Ordering::Relaxed)) {
            // hyper closes what it saw a request on, and answers it first; later half heads too.
            Opening::Silent | Opening::Head => true,
            // A living peer answers the ping that comes with GOAWAY, if it was sent: not where
            // the server had said GOAWAY before, or has not begun to stop.
            Opening::Http2 => {
                self.was_asked.load(Ordering::Relaxed)
                    && self.reads.load(Ordering::Relaxed)
                        == self.reads_at_stop.load(Ordering::Relaxed)
                    && !self.is_blocked.load(Ordering::Relaxed)
            }
            Opening::Http1 | Opening::Opaque => false,
        }
    }

    /// Whether it was not severed before.
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
    /// Whether the connection is to end.
    pub(crate) fn is_severed(&self) -> bool {
        self.connection.is_severed.load(Ordering::Acquire)
    }

    /// Whether the connection is to end; if not, the task is woken when it is.
    pub(crate) fn poll_severed(&self, cx: &Context<'_>) -> Poll<()> {
        // First the waker, then the flag: what is severed in between wakes us.
        self.connection.waker.register(cx.waker());
        if self.is_severed() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// The first bytes have come, and are this.
    pub(crate) fn opened(&self, opening: Opening) {
        if !matches!(opening, Opening::Silent | Opening::Head) {
            self.shared.was_used.store(true, Ordering::Relaxed);
        }
        let opening = opening as u8;
        self.connection.opening.store(opening, Ordering::Relaxed);
    }

    /// Something came.
    pub(crate) fn heard(&self) {
        // One task at a time reads.
        let reads = self.connection.reads.load(Ordering::Relaxed);
        let reads = reads.wrapping_add(1);
        self.connection.reads.store(reads, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.connection.is_stopping.load(Ordering::Acquire)
    }

    /// Whether a ping is of interest: the server stops, and none was seen since.
    pub(crate) fn awaits_ping(&self) -> bool {
        self.is_stopping() && !self.connection.was_asked.load(Ordering::Relaxed)
    }

    /// The server has sent a ping.
    pub(crate) fn asked(&self) {
        self.connection.was_asked.store(true, Ordering::Relaxed);
    }

    /// Whether the peer takes what is sent.
    pub(crate) fn blocked(&self, is_blocked: bool) {
        let blocked = &self.connection.is_blocked;
        blocked.store(is_blocked, Ordering::Relaxed);
    }

    /// The server has handed the connection over: nobody waits for it any more, or ends it.
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
