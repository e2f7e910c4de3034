//! Counts the requests in flight, bodies included.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use atomic_waker::AtomicWaker;
use tokio::time::sleep;

/// The count of one server; clones are the same count.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight(Arc<Counter>);

/// One request in flight, from its arrival until this is dropped.
#[derive(Debug)]
pub(crate) struct InFlightGuard(Arc<Counter>);

#[derive(Debug, Default)]
struct Counter {
    now: AtomicUsize,
    /// All that ever arrived: tells whether something came and went.
    arrived: AtomicU64,
    /// The one that waits for zero: the registration's task.
    idle: AtomicWaker,
}

// === impl InFlight ===

impl InFlight {
    /// Counts a request in.
    pub(crate) fn enter(&self) -> InFlightGuard {
        // Relaxed: the counts order nothing but themselves.
        self.0.arrived.fetch_add(1, Ordering::Relaxed);
        self.0.now.fetch_add(1, Ordering::Relaxed);
        InFlightGuard(Arc::clone(&self.0))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.now.load(Ordering::Acquire)
    }

    /// Requests that ever arrived.
    pub(crate) fn arrived(&self) -> u64 {
        self.0.arrived.load(Ordering::Relaxed)
    }

    /// Resolves once nothing is in flight. For one waiter at a time.
    async fn idle(&self) {
        std::future::poll_fn(|cx| {
            // First the waker, then the count: a guard that is dropped in between wakes us.
            self.0.idle.register(cx.waker());
            if self.count() == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Resolves once nothing has been in flight for `quiet`. For one waiter at a time.
    pub(crate) async fn quiet(&self, quiet: Duration) {
        loop {
            self.idle().await;
            let arrived = self.arrived();
            sleep(quiet).await;
            if self.count() == 0 && self.arrived() == arrived {
                return;
            }
        }
    }
}

// === impl InFlightGuard ===

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        // Release: what the request did happens before the waiter sees zero.
        if self.0.now.fetch_sub(1, Ordering::Release) == 1 {
            self.0.idle.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, timeout};

    #[tokio::test(start_paused = true)]
    async fn quiet_waits_for_the_last_guard_and_the_quiet_time() {
        let in_flight = InFlight::default();
        let first = in_flight.enter();
        let second = in_flight.enter();
        assert_eq!(in_flight.count(), 2);
        let start = Instant::now();
        let quiet = Duration::from_millis(100);
        let waiter = tokio::spawn({
            let in_flight = in_flight.clone();
            async move { in_flight.quiet(quiet).await }
        });
        drop(first);
        sleep(Duration::from_secs(1)).await;
        assert!(!waiter.is_finished());
        drop(second);
        waiter.await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_millis(1_100));
    }

    #[tokio::test(start_paused = true)]
    async fn an_arrival_starts_the_quiet_time_anew() {
        let in_flight = InFlight::default();
        let late = {
            let in_flight = in_flight.clone();
            async move {
                sleep(Duration::from_millis(60)).await;
                drop(in_flight.enter());
            }
        };
        let start = Instant::now();
        tokio::join!(late, in_flight.quiet(Duration::from_millis(100)));
        assert_eq!(start.elapsed(), Duration::from_millis(200));
    }

    #[tokio::test]
    async fn no_wake_up_is_lost_between_threads() {
        for _ in 0..2_000 {
            let in_flight = InFlight::default();
            let guards: Vec<_> = (0..4).map(|_| in_flight.enter()).collect();
            let threads: Vec<_> = guards
                .into_iter()
                .map(|guard| std::thread::spawn(move || drop(guard)))
                .collect();
            timeout(Duration::from_secs(5), in_flight.idle())
                .await
                .expect("the last guard wakes the waiter");
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(in_flight.count(), 0);
        }
    }
}
