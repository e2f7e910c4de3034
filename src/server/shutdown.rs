//! When a server should stop, and the future that lets it.

use std::sync::Arc;
use std::time::Duration;

use crate::driver::LeaveRequest;
use crate::registration::Registration;
use crate::status::LeaveReason;

/// By then a server that runs has its listener wrapped, or is started by hand.
const WIRING_GRACE: Duration = Duration::from_secs(1);

// === impl Registration ===

impl Registration {
    /// The future for the server's graceful shutdown: resolves once `signal` did, the gateway was
    /// told, and the requests in flight that the layer counts have ended. The server serves on
    /// meanwhile. Callers that never stop hold it up for 2 s at most after the last call that the
    /// gateway can have sent.
    ///
    /// `signal` may have any output; usually it is [`stop_signal()`]. A second SIGINT or SIGTERM
    /// ends every wait. It is bounded by
    /// [`Options::leave_timeout`](crate::Options::leave_timeout). Any number of servers may have
    /// one each.
    ///
    /// Then the server stops in its own way: it accepts no more, closes what is idle, and answers
    /// what it has begun, also what waits behind a limit or is on a route without the layer. What
    /// is still open [`drain_timeout`](crate::Options::drain_timeout) after the deregistration is
    /// cut, because servers wait for it without end: gRPC callers get UNAVAILABLE, event streams
    /// end, other answers break off, and connections of the wrapped listener are ended. Calls that
    /// are exempt are cut when the server stops, and connections on which nothing can be in flight
    /// end 1 s after that. Upgraded connections (WebSockets) are neither counted nor waited for:
    /// tell them with [`leaving`](Registration::leaving).
    ///
    /// The hold is given back, and the report is there, once the connections of the wrapped
    /// listener have ended; [`finish`](Registration::finish) says that the server has.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the signal, it does nothing; after it, leaving goes on.
    pub fn shutdown<F: Future>(&self, signal: F) -> impl Future<Output = ()> + use<F> {
        let life = Arc::clone(self.life());
        life.drain.wiring.saw_shutdown();
        async move {
            let mut signal = std::pin::pin!(signal);
            tokio::select! {
                biased;
                _ = &mut signal => {}
                () = life.refused().cancelled() => {}
                // With nothing registered, no request may ever come that would tell.
                () = tokio::time::sleep(WIRING_GRACE) => {
                    life.drain.wiring.check_listener();
                    tokio::select! {
                        _ = &mut signal => {}
                        () = life.refused().cancelled() => {}
                    }
                }
            }
            life.drain.server_stops();
            life.request_leave(LeaveRequest {
                reason: LeaveReason::Signal,
                drain: true,
            });
            // Also while the server ends by itself, when this future has resolved or was dropped.
            tokio::spawn({
                let life = Arc::clone(&life);
                async move {
                    let over = life.over();
                    tokio::pin!(over);
                    tokio::select! {
                        () = &mut over => return,
                        () = stop_signal() => life.drain.hurry(),
                    }
                    over.await;
                }
            });
            life.drain.may_stop().await;
        }
    }
}

/// Resolves at the first SIGINT (Ctrl-C) or SIGTERM after its first poll; on Windows at Ctrl-C or
/// Ctrl-Break.
///
/// `tokio::signal::ctrl_c()` alone would die at SIGTERM, which is how containers are stopped,
/// without leaving. If no handler can be installed, it never resolves and says so once.
///
/// # Cancel safety
///
/// Cancel safe; but from its first poll on the signals no longer end the process by themselves.
pub async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        match (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        ) {
            (Ok(mut interrupt), Ok(mut terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                return;
            }
            (Err(error), _) | (_, Err(error)) => no_handler(&error),
        }
    }
    #[cfg(windows)]
    {
        use tokio::signal::windows::{ctrl_break, ctrl_c};

        match (ctrl_c(), ctrl_break()) {
            (Ok(mut interrupt), Ok(mut stop)) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = stop.recv() => {}
                }
                return;
            }
            (Err(error), _) | (_, Err(error)) => no_handler(&error),
        }
    }
    #[cfg(not(any(unix, windows)))]
    match tokio::signal::ctrl_c().await {
        Ok(()) => return,
        Err(error) => no_handler(&error),
    }
    std::future::pending::<()>().await;
}

fn no_handler(error: &std::io::Error) {
    tracing::error!(
        target: "tower_gwag",
        "no handler for the stop signals can be installed, they end the process at once: {error}"
    );
}
