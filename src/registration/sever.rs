//! Ending connections that a server would wait for without end: silent ones, half-sent requests,
//! callers that do not read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Context;

use atomic_waker::AtomicWaker;

/// Ends all connections of one server; clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Severer(Arc<Shared>);

/// One connection's view of it.
#[derive(Debug)]
pub(crate) struct SeverWatch {
    shared: Arc<Shared>,
    /// Of the task that drives the connection.
    waker: Arc<AtomicWaker>,
}

#[derive(Debug, Default)]
struct Shared {
    is_severed: AtomicBool,
    connections: Mutex<Vec<Weak<AtomicWaker>>>,
}

// === impl Severer ===

impl Severer {
    pub(crate) fn watch(&self) -> SeverWatch {
        let waker = Arc::new(AtomicWaker::new());
        let mut connections = self.0.connections();
        // Those that have ended go when the list would grow, so that it stays twice as long as
        // needed at the most.
        if connections.len() == connections.capacity() {
            connections.retain(|connection| connection.strong_count() > 0);
        }
        connections.push(Arc::downgrade(&waker));
        drop(connections);
        SeverWatch {
            shared: Arc::clone(&self.0),
            waker,
        }
    }

    /// Ends all connections, those to come as well.
    pub(crate) fn sever(&self) {
        self.0.is_severed.store(true, Ordering::Release);
        let connections = std::mem::take(&mut *self.0.connections());
        for connection in connections.iter().filter_map(Weak::upgrade) {
            connection.wake();
        }
    }
}

// === impl Shared ===

impl Shared {
    fn connections(&self) -> std::sync::MutexGuard<'_, Vec<Weak<AtomicWaker>>> {
        // Pushed to and replaced only, so that it is valid after a panic.
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl SeverWatch ===

impl SeverWatch {
    /// Whether the connection is to end; if not, the task is woken when it is.
    pub(crate) fn is_severed(&self, cx: &mut Context<'_>) -> bool {
        // First the waker, then the flag: what is severed in between wakes us.
        self.waker.register(cx.waker());
        self.shared.is_severed.load(Ordering::Acquire)
    }
}
