//! How many are in: one number, and one waiter that is woken when it comes to zero.
//!
//! `tests/gauge.rs` runs this file under loom, with loom's atomics as `super::sync`.

use std::task::{Context, Poll};

use super::sync::{AtomicUsize, AtomicWaker, Ordering};

/// A count with one waiter for zero.
#[derive(Debug)]
pub(crate) struct Gauge {
    count: AtomicUsize,
    idle: AtomicWaker,
}

// === impl Gauge ===

impl Gauge {
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            idle: AtomicWaker::new(),
        }
    }

    pub(crate) fn enter(&self) {
        // Relaxed: entering publishes nothing.
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Once for each `enter`.
    pub(crate) fn leave(&self) {
        // Release: what was done inside happens before the waiter sees zero. Acquire: the one who
        // brings it to zero sees the waker that was registered before an earlier look.
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.idle.wake();
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Ready when nobody is in. For one task at a time.
    pub(crate) fn poll_idle(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.count() == 0 {
            return Poll::Ready(());
        }
        // First the waker, then the count: one who leaves in between wakes us.
        self.idle.register(cx.waker());
        if self.count() == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
