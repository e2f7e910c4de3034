//! The end of a server's requests: they are counted while in flight, awaited when the server
//! leaves, and cut when the wait is over.
//!
//! Until the drain is over, the server accepts and serves; then its shutdown futures resolve. What
//! its connections are then still busy with is awaited until `drain_timeout` after the Deregister,
//! whether or not the layer counted it. Only then is anything cut.

mod gauge;
mod in_flight;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod opening;
#[cfg_attr(
    not(any(feature = "axum", feature = "tonic")),
    allow(dead_code, reason = "for wrapped listeners")
)]
mod sever;
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
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::Level;

use in_flight::Prefixes;
pub(crate) use in_flight::{InFlight, InFlightGuard, Protocol};
#[cfg(any(feature = "axum", feature = "tonic"))]
pub(crate) use opening::OpeningReader;
pub(crate) use sever::Severer;
#[cfg(any(feature = "axum", feature = "tonic"))]
pub(crate) use sever::{Opening, SeverWatch};
use wiring::Wiring;

use crate::status::Board;

/// How long after its stop a server may take to close connections on which nothing is in flight.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// How long the gateway may take to relay the last replies, which it may not have read yet when the
/// server has sent them: once the hold is gone, it cancels unanswered calls.
pub(crate) const RELAYED: Duration = Duration::from_millis(50);

/// How long callers may take to read the last bytes of what was cut, and servers to close
/// connections in their own way.
const LAST_BYTES: Duration = Duration::from_millis(200);

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
    pub(crate) fn new(exempt: &[String], longest: Duration, board: Arc<Board>) -> Self {
        Self {
            in_flight: InFlight::new(),
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
                "leaving waits for {in_flight} calls in flight, for {:.0?} at most",
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

    /// Lets the server stop, and cuts what is still open at `deadline`; only the first call counts.
    pub(crate) fn begin_stop(self: &Arc<Self>, deadline: Instant) {
        // A separate task, so that a panic of the registration's task does not end it.
        if !self.stop_begun.swap(true, Ordering::AcqRel) {
            tokio::spawn(Arc::clone(self).stop(deadline));
        }
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

    /// Lets the server stop, and waits for its end.
    async fn stop(self: Arc<Self>, deadline: Instant) {
        let exempt = self.in_flight.cut_exempt_and_tell().await;
        self.severer.stop();
        let began = Instant::now();
        self.accepting_is_over.cancel();

        let mut looked = false;
        let ended = loop {
            tokio::select! {
                biased;
                () = self.server_ends() => break true,
                () = self.server_is_over.cancelled() => break false,
                () = self.hurry.cancelled() => break false,
                () = sleep_until((began + IDLE_AFTER).min(deadline)), if !looked => {
                    looked = true;
                    if began + IDLE_AFTER <= deadline {
                        self.severer.sever_idle();
                        self.tell_what_is_waited_for(deadline);
                    }
                }
                () = sleep_until(deadline), if looked => break false,
            }
        };
        if ended {
            tokio::select! {
                () = self.hurry.cancelled() => {}
                () = sleep_until(deadline.min(Instant::now() + RELAYED)) => {}
            }
            // For requests that the server may still begin.
            self.in_flight.cut();
            self.set_stopped(Open {
                cut: exempt,
                ..Open::default()
            });
        } else if self.server_is_over.is_cancelled() {
            // What is still open no longer depends on the server, but on how long the process
            // lives.
            self.set_stopped(Open {
                cut: exempt,
                unfinished: self.in_flight.open(),
                ..Open::default()
            });
            tokio::select! {
                () = self.hurry.cancelled() => {}
                () = sleep_until(deadline) => {}
            }
            self.in_flight.cut_and_tell().await;
            self.severer.sever();
            return;
        } else {
            let cut = exempt + self.in_flight.cut_and_tell().await;
            let mut end = Instant::now() + LAST_BYTES;
            if !self.hurry.is_cancelled() {
                end = end.max(began + IDLE_AFTER);
            }
            // On a timeout there is nothing more to do.
            let _ = timeout_at(end, self.severer.ended()).await;
            self.severer.sever_idle();
            self.set_stopped(Open {
                cut,
                unfinished: 0,
                severed: self.severer.sever(),
            });
            return;
        }
        // For a connection that was accepted at the last moment.
        sleep_until(deadline).await;
        self.severer.sever();
    }

    /// Without a wrapped listener, only `finish()` tells that the server has ended.
    async fn server_ends(&self) {
        if !self.wiring.is_serving_wrapped() {
            std::future::pending::<()>().await;
        }
        self.severer.ended().await;
        // For requests of another server with the same layer.
        self.in_flight.idle().await;
    }

    fn tell_what_is_waited_for(&self, deadline: Instant) {
        let connections = self.severer.waited_for();
        if connections == 0 {
            return;
        }
        let rest = deadline.saturating_duration_since(Instant::now());
        let calls = self.in_flight.count();
        if calls == 0 && !self.counts() && !self.board.is_disabled() {
            self.wiring.complain_of_the_layer(connections);
        }
        let calls = match calls {
            0 => "with calls that the layer has not counted".to_owned(),
            calls => format!("with {calls} calls that the layer has counted"),
        };
        let text = format!(
            "the server stops; {connections} connections are busy {calls}, and are cut in {rest:.0?}"
        );
        self.board.say(Level::INFO, None, &text);
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain")
            .field("in_flight", &self.in_flight.count())
            .finish_non_exhaustive()
    }
}
