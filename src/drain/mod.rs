//! The end of a server's requests: they are counted while in flight, awaited when the server
//! leaves, and cut when the wait is over.
//!
//! Until the drain is over, the server accepts and serves; then its shutdown futures resolve. It
//! then waits for calls that are still open on its connections until `drain_timeout` after the
//! Deregister, whether or not the layer counted them. Only then is anything cut.

mod gauge;
mod in_flight;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod opening;
#[cfg_attr(
    not(any(feature = "axum", feature = "tonic")),
    allow(dead_code, reason = "for wrapped listeners")
)]
mod sever;
mod stop;
mod wakers;
mod wiring;

/// The primitives of `gauge`; its test replaces them with loom's.
mod sync {
    pub(super) use std::sync::Mutex;
    pub(super) use std::sync::atomic::{AtomicU64, Ordering};
}

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Level;

use in_flight::Prefixes;
pub(crate) use in_flight::{Arrival, InFlight, InFlightGuard, Inside, Protocol};
#[cfg(any(feature = "axum", feature = "tonic"))]
pub(crate) use opening::OpeningReader;
pub(crate) use sever::Severer;
#[cfg(any(feature = "axum", feature = "tonic"))]
pub(crate) use sever::{Opening, SeverWatch};
pub(crate) use stop::RELAYED;
use wiring::Wiring;

use crate::status::{Board, counted};

/// The requests and connections of one server, and its stop.
pub(crate) struct Drain {
    pub(crate) in_flight: InFlight,
    /// The path prefixes of exempt requests.
    pub(crate) exempt: Prefixes,
    pub(crate) severer: Severer,
    pub(crate) wiring: Wiring,
    /// The drain timeout: from the Deregister through the server's own stop.
    longest: Duration,
    board: Arc<Board>,
    /// Ends the drain at once.
    hurry: CancellationToken,
    /// The gateway sends no new calls.
    leaving: CancellationToken,
    /// The server stops when the drain is over, and would wait forever for what is open.
    stops: AtomicBool,
    stop_begun: AtomicBool,
    /// The drain is over: the server may stop accepting.
    accepting_is_over: CancellationToken,
    /// `finish()` was called after the drain: the server's own future has ended.
    server_is_over: CancellationToken,
    listener_is_gone: AtomicBool,
    /// What was open when the server ended.
    stopped: watch::Sender<Option<Open>>,
}

/// What was open when the wait was over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Open {
    /// Calls that were cut.
    pub(crate) cut: usize,
    /// Calls that continue.
    pub(crate) unfinished: usize,
    /// Connections that were busy and were severed.
    pub(crate) severed: usize,
}

// === impl Drain ===

impl Drain {
    pub(crate) fn new(
        in_flight: InFlight,
        exempt: &[String],
        longest: Duration,
        board: Arc<Board>,
    ) -> Self {
        Self {
            in_flight,
            exempt: Prefixes::new(exempt),
            severer: Severer::default(),
            wiring: Wiring::new(Arc::clone(&board)),
            longest,
            board,
            hurry: CancellationToken::new(),
            leaving: CancellationToken::new(),
            stops: AtomicBool::new(false),
            stop_begun: AtomicBool::new(false),
            accepting_is_over: CancellationToken::new(),
            server_is_over: CancellationToken::new(),
            listener_is_gone: AtomicBool::new(false),
            stopped: watch::Sender::new(None),
        }
    }

    /// The deadline for open calls if the drain begins now.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.longest
    }

    /// Ends the wait at once.
    pub(crate) fn hurry(&self) {
        self.hurry.cancel();
    }

    pub(crate) fn hurried(&self) -> &CancellationToken {
        &self.hurry
    }

    /// Cancelled once the gateway sends no new calls.
    pub(crate) fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    /// A shutdown future's signal has resolved.
    pub(crate) fn server_stops(&self) {
        self.stops.store(true, Ordering::Relaxed);
    }

    pub(crate) fn stops(&self) -> bool {
        self.stops.load(Ordering::Relaxed)
    }

    /// Resolves when the server may stop accepting.
    pub(crate) async fn may_stop(&self) {
        self.accepting_is_over.cancelled().await;
    }

    /// `finish()` was called. Before the server can have ended, this means nothing.
    pub(crate) fn finishes(&self) {
        if self.accepting_is_over.is_cancelled() || self.listener_is_gone.load(Ordering::Relaxed) {
            self.server_is_over.cancel();
        }
    }

    /// The wrapped listener was dropped: the server has ended, or no longer accepts.
    #[cfg_attr(
        not(any(feature = "axum", feature = "tonic")),
        allow(dead_code, reason = "for wrapped listeners")
    )]
    pub(crate) fn listener_is_gone(&self) {
        self.listener_is_gone.store(true, Ordering::Relaxed);
    }

    /// Whether the layer is present and has seen at least one request, if any arrived.
    pub(crate) fn counts(&self) -> bool {
        let may_have_come = self.severer.was_used() || !self.wiring.is_serving_wrapped();
        self.in_flight.arrived() > 0 || self.wiring.has_layer() && !may_have_come
    }

    /// Waits until `others` is over and nothing has been in flight for `quiet`, at most until
    /// `deadline`, and not at all in a hurry; then, if the server stops, also until its connections
    /// have ended, with the same limits.
    pub(crate) async fn wait(
        self: Arc<Self>,
        quiet: Duration,
        deadline: Instant,
        others: impl Future<Output = ()> + Send,
    ) -> Open {
        let in_flight = self.in_flight.count();
        if in_flight > 0 {
            let text = format!(
                "leaving waits for {} in flight, for {:.0?} at most",
                counted(in_flight, "call", "calls"),
                deadline.saturating_duration_since(Instant::now())
            );
            self.board.say(Level::INFO, None, &text);
        }
        tokio::select! {
            biased;
            () = self.hurry.cancelled() => {}
            () = async {
                others.await;
                self.in_flight.drained(quiet).await;
            } => {}
            () = sleep_until(deadline) => {}
        }
        if !self.stops() {
            return Open {
                unfinished: self.in_flight.open(),
                ..Open::default()
            };
        }
        self.begin_stop(deadline);
        self.stopped().await
    }

    /// Resolves at the end of the stop, and begins it if leaving ended without one.
    pub(crate) async fn over(self: &Arc<Self>) {
        if !self.stop_begun.load(Ordering::Acquire) {
            let nothing_else = std::future::ready(());
            let deadline = self.deadline();
            Arc::clone(self)
                .wait(Duration::ZERO, deadline, nothing_else)
                .await;
        }
        self.stopped().await;
    }

    /// Resolves at the end of a stop that has begun.
    async fn stopped(&self) -> Open {
        let mut stopped = self.stopped.subscribe();
        let open = stopped.wait_for(Option::is_some).await;
        // invariant: `self` owns the sender, and the value was just seen.
        open.ok().and_then(|open| *open).unwrap_or_default()
    }

    fn set_stopped(&self, open: Open) {
        self.stopped.send_replace(Some(open));
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain")
            .field("in_flight", &self.in_flight.count())
            .finish_non_exhaustive()
    }
}
