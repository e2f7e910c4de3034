//! Counts the requests in flight, bodies included, and waits for the end of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{sleep, timeout};

use super::gauge::Gauge;

/// How long requests that came too late to be the gateway's may extend a drain.
const LATE_LIMIT: Duration = Duration::from_secs(2);

/// For callers whose calls are cut to be told so.
const TOLD_LIMIT: Duration = Duration::from_millis(200);

/// The count of one server; clones are the same count.
#[derive(Clone, Debug)]
pub(crate) struct InFlight(Arc<Shared>);

/// One request in flight, from its arrival until this is dropped.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    shared: Arc<Shared>,
    lane: Lane,
    /// Arrived after the cut: short ones are still served.
    is_spared: bool,
}

#[derive(Debug)]
struct Shared {
    /// Begun before leaving, or so soon after it that the gateway may have sent them.
    early: Gauge,
    /// Begun later: direct callers, scrapes.
    late: Gauge,
    /// Never waited for: health watches, reflection, event streams.
    exempt: Gauge,
    arrivals_are_late: AtomicBool,
    arrived: AtomicU64,
    is_cut: AtomicBool,
    cut: Arc<Notify>,
    /// The exempt ones are cut before the others.
    is_exempt_cut: AtomicBool,
    exempt_cut: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Early,
    Late,
    Exempt,
}

// === impl InFlight ===

impl InFlight {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            early: Gauge::new(),
            late: Gauge::new(),
            exempt: Gauge::new(),
            arrivals_are_late: AtomicBool::new(false),
            arrived: AtomicU64::new(0),
            is_cut: AtomicBool::new(false),
            cut: Arc::new(Notify::new()),
            is_exempt_cut: AtomicBool::new(false),
            exempt_cut: Arc::new(Notify::new()),
        }))
    }

    /// Counts a request in.
    pub(crate) fn enter(&self, exempt: bool) -> InFlightGuard {
        let shared = &self.0;
        let lane = if exempt {
            Lane::Exempt
        } else if shared.arrivals_are_late.load(Ordering::Relaxed) {
            Lane::Late
        } else {
            Lane::Early
        };
        shared.arrived.fetch_add(1, Ordering::Relaxed);
        shared.gauge(lane).enter();
        InFlightGuard {
            shared: Arc::clone(shared),
            lane,
            is_spared: shared.is_cut.load(Ordering::Relaxed),
        }
    }

    /// Those that are waited for.
    pub(crate) fn count(&self) -> usize {
        self.0.early.count() + self.0.late.count()
    }

    /// Those that are not waited for.
    pub(crate) fn exempt(&self) -> usize {
        self.0.exempt.count()
    }

    /// Requests that ever arrived.
    pub(crate) fn arrived(&self) -> u64 {
        self.0.arrived.load(Ordering::Relaxed)
    }

    /// Resolves once nothing has been in flight for `quiet`, or else once what the gateway can
    /// have sent has ended and 2 s more have gone by. To be called when the gateway sends no more.
    pub(crate) async fn drained(&self, quiet: Duration) {
        tokio::select! {
            () = self.quiet(quiet) => {}
            () = async {
                sleep(quiet).await;
                self.0.arrivals_are_late.store(true, Ordering::Relaxed);
                std::future::poll_fn(|cx| self.0.early.poll_idle(cx)).await;
                // Either way it is over.
                let _ = timeout(LATE_LIMIT, self.quiet(quiet)).await;
            } => {}
        }
    }

    async fn quiet(&self, quiet: Duration) {
        loop {
            self.idle().await;
            let arrived = self.arrived();
            sleep(quiet).await;
            if self.count() == 0 && self.arrived() == arrived {
                return;
            }
        }
    }

    /// Those that are waited for, and those that are not.
    pub(crate) fn open(&self) -> usize {
        self.count() + self.exempt()
    }

    /// Ends what is open, so that the server's own wait for it ends; how many that were.
    pub(crate) fn cut(&self) -> usize {
        let open = self.count();
        self.0.is_cut.store(true, Ordering::Release);
        self.0.cut.notify_waiters();
        open + self.cut_exempt()
    }

    /// The same, with a moment for callers to be told.
    pub(crate) async fn cut_and_tell(&self) -> usize {
        let open = self.cut();
        if open > 0 {
            let gone = async {
                self.idle().await;
                std::future::poll_fn(|cx| self.0.exempt.poll_idle(cx)).await;
            };
            // Either way it is over.
            let _ = timeout(TOLD_LIMIT, gone).await;
        }
        open
    }

    fn cut_exempt(&self) -> usize {
        let open = self.exempt();
        self.0.is_exempt_cut.store(true, Ordering::Release);
        self.0.exempt_cut.notify_waiters();
        open
    }

    /// Ends what is not waited for, with a moment for callers to be told; those to come as well.
    pub(crate) async fn cut_exempt_and_tell(&self) -> usize {
        let open = self.cut_exempt();
        if open > 0 {
            let gone = std::future::poll_fn(|cx| self.0.exempt.poll_idle(cx));
            // Either way it is over.
            let _ = timeout(TOLD_LIMIT, gone).await;
        }
        open
    }

    /// Resolves once nothing that is waited for is in flight.
    pub(crate) async fn idle(&self) {
        while self.count() > 0 {
            std::future::poll_fn(|cx| self.0.early.poll_idle(cx)).await;
            std::future::poll_fn(|cx| self.0.late.poll_idle(cx)).await;
        }
    }
}

// === impl Shared ===

impl Shared {
    fn gauge(&self, lane: Lane) -> &Gauge {
        match lane {
            Lane::Early => &self.early,
            Lane::Late => &self.late,
            Lane::Exempt => &self.exempt,
        }
    }
}

// === impl InFlightGuard ===

impl InFlightGuard {
    /// It turned out to be one that is not waited for.
    pub(crate) fn exempt(&mut self) {
        if self.lane != Lane::Exempt {
            self.shared.exempt.enter();
            self.shared.gauge(self.lane).leave();
            self.lane = Lane::Exempt;
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        match self.lane {
            Lane::Exempt => self.shared.is_exempt_cut.load(Ordering::Acquire),
            Lane::Early | Lane::Late => {
                self.shared.is_cut.load(Ordering::Acquire) && !self.is_spared
            }
        }
    }

    /// Wakes its task at the cut, if it was polled before.
    pub(crate) fn cut_notice(&self) -> OwnedNotified {
        let cut = match self.lane {
            Lane::Exempt => &self.shared.exempt_cut,
            Lane::Early | Lane::Late => &self.shared.cut,
        };
        Arc::clone(cut).notified_owned()
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.shared.gauge(self.lane).leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    const QUIET: Duration = Duration::from_millis(100);

    async fn drained_after(in_flight: &InFlight) -> Duration {
        let start = Instant::now();
        in_flight.drained(QUIET).await;
        start.elapsed()
    }

    fn hold_for(in_flight: &InFlight, wait: u64, length: u64) {
        let in_flight = in_flight.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(wait)).await;
            let guard = in_flight.enter(false);
            sleep(Duration::from_millis(length)).await;
            drop(guard);
        });
    }

    #[tokio::test(start_paused = true)]
    async fn the_drain_takes_the_longest_call_and_the_quiet_time() {
        let in_flight = InFlight::new();
        assert_eq!(drained_after(&in_flight).await, QUIET);
        let in_flight = InFlight::new();
        hold_for(&in_flight, 0, 300);
        hold_for(&in_flight, 0, 1_000);
        tokio::task::yield_now().await;
        assert_eq!(in_flight.count(), 2);
        assert_eq!(drained_after(&in_flight).await.as_millis(), 1_100);
        assert_eq!(in_flight.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_of_the_quiet_time_is_waited_for_like_an_early_one() {
        let in_flight = InFlight::new();
        hold_for(&in_flight, 60, 5_000);
        assert_eq!(drained_after(&in_flight).await.as_millis(), 5_160);
    }

    #[tokio::test(start_paused = true)]
    async fn callers_without_end_extend_the_drain_by_two_seconds_at_most() {
        let in_flight = InFlight::new();
        for at in 0..500 {
            hold_for(&in_flight, at * 20, 30);
        }
        tokio::task::yield_now().await;
        let took = drained_after(&in_flight).await;
        assert!(took <= Duration::from_millis(2_300), "{took:?}");
        assert!(took >= Duration::from_secs(2), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn exempt_calls_are_counted_apart_and_not_waited_for() {
        let in_flight = InFlight::new();
        let watch = in_flight.enter(true);
        let mut events = in_flight.enter(false);
        events.exempt();
        assert_eq!((in_flight.count(), in_flight.exempt()), (0, 2));
        assert_eq!(drained_after(&in_flight).await, QUIET);
        drop((watch, events));
        assert_eq!(in_flight.exempt(), 0);
    }
}
