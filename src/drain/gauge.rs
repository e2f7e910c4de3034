//! Counts the requests inside and all arrivals in one number, so that each request costs one atomic
//! operation on its way in and one on its way out. Any number of waiters for zero.
//!
//! `tests/gauge.rs` runs this file under loom, with loom's atomics as `super::sync`.

use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use super::sync::{AtomicU64, Mutex, Ordering};

/// A counter; tasks can wait until it reaches zero.
#[derive(Debug)]
pub(crate) struct Gauge {
    /// From the lowest bit: whether anybody waits, 31 bits for the number inside, 32 bits for all
    /// arrivals, which wrap around.
    state: AtomicU64,
    /// Locked by waiters, and by the last one to leave while anybody waits.
    waiters: Mutex<Vec<Waker>>,
}

const WAITED_FOR: u64 = 1;
const ONE_IN: u64 = 1 << 1;
const ONE_CAME: u64 = 1 << 32;

fn count(state: u64) -> usize {
    // The cast drops the arrivals.
    #[allow(clippy::cast_possible_truncation)]
    let low = state as u32;
    (low >> 1) as usize
}

// === impl Gauge ===

impl Gauge {
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            waiters: Mutex::new(Vec::new()),
        }
    }

    /// Counts an arrival.
    #[inline]
    pub(crate) fn enter(&self) {
        // Relaxed: entering publishes nothing.
        self.state.fetch_add(ONE_CAME + ONE_IN, Ordering::Relaxed);
    }

    /// Counts somebody whose arrival was counted elsewhere.
    pub(crate) fn take_over(&self) {
        self.state.fetch_add(ONE_IN, Ordering::Relaxed);
    }

    /// Takes back the arrival of somebody who is still inside.
    pub(crate) fn take_back(&self) {
        self.state.fetch_sub(ONE_CAME, Ordering::Relaxed);
    }

    /// Must be called once for each `enter` and `take_over`.
    #[inline]
    pub(crate) fn leave(&self) {
        if self.leave_unwoken() {
            self.wake();
        }
    }

    /// Like `leave`; if it returns true, `wake` must be called.
    #[inline]
    pub(crate) fn leave_unwoken(&self) -> bool {
        // Release: what happened inside happens before a waiter sees zero.
        let before = self.state.fetch_sub(ONE_IN, Ordering::AcqRel);
        before & (ONE_CAME - 1) == ONE_IN | WAITED_FOR
    }

    #[cold]
    pub(crate) fn wake(&self) {
        let waiters = {
            let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
            self.state.fetch_and(!WAITED_FOR, Ordering::AcqRel);
            std::mem::take(&mut *waiters)
        };
        for waiter in waiters {
            waiter.wake();
        }
    }

    pub(crate) fn count(&self) -> usize {
        count(self.state.load(Ordering::Acquire))
    }

    /// The number of arrivals so far; wraps around.
    pub(crate) fn arrived(&self) -> u32 {
        (self.state.load(Ordering::Acquire) >> 32) as u32
    }

    /// Ready when the count is zero.
    pub(crate) fn poll_idle(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.count() == 0 {
            return Poll::Ready(());
        }
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        // Set the flag first, which returns the count at that moment: whoever leaves later sees the
        // flag and waits for the lock.
        let state = self.state.fetch_or(WAITED_FOR, Ordering::AcqRel);
        if count(state) == 0 {
            return Poll::Ready(());
        }
        if !waiters.iter().any(|waiter| waiter.will_wake(cx.waker())) {
            waiters.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
