//! When a server should stop, and the future that stops it.

use std::sync::Arc;
use std::time::Duration;

use crate::driver::LeaveRequest;
use crate::registration::Registration;
use crate::status::LeaveReason;

/// By then, a running server has its listener wrapped, or was started by hand.
const WIRING_GRACE: Duration = Duration::from_secs(1);

// === impl Registration ===

impl Registration {
    /// The future for the server's graceful shutdown: resolves once `signal` has resolved, the
    /// gateway has deregistered the service, and the requests in flight that the layer counts have
    /// ended. The server keeps serving meanwhile. Callers that never stop delay it for at most 2 s
    /// after the last call that the gateway can have sent.
    ///
    /// The output of `signal` is ignored; usually it is [`stop_signal()`]. A second SIGINT or
    /// SIGTERM ends every wait. The future is bounded by
    /// [`Options::leave_timeout`](crate::Options::leave_timeout). Each of several servers may have
    /// its own.
    ///
    /// Then the server stops in its own way: it accepts no new connections, closes idle ones, and
    /// answers the requests that it has begun, including those that wait behind a limit or are on a
    /// route without the layer. What is still open [`drain_timeout`](crate::Options::drain_timeout)
    /// after the deregistration is cut, because servers would wait for it forever: gRPC callers get
    /// UNAVAILABLE, event streams end, other responses break off, and connections of the wrapped
    /// listener are severed. Exempt calls are cut when the server stops, and connections on which
    /// nothing can be in flight end 1 s after that. Upgraded connections (WebSockets) are neither
    /// counted nor waited for: end them with the help of [`leaving`](Registration::leaving).
    ///
    /// The hold is deregistered, and the report is ready, once the connections of the wrapped
    /// listener have ended; [`finish`](Registration::finish) tells the registration that the server
    /// has.
    ///
    /// # Cancel safety
    ///
    /// If dropped before the signal, it does nothing; after the signal, leaving continues.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn run(registration: tower_gwag::Registration, app: axum::Router) -> Result<(), Box<dyn std::error::Error>> {
    /// use tokio::net::TcpListener;
    /// use tokio::sync::oneshot;
    ///
    /// let (stop, stopped) = oneshot::channel::<()>(); // any future will do
    /// let listener = registration.listener(TcpListener::bind("0.0.0.0:8081").await?)?;
    /// axum::serve(listener, app).with_graceful_shutdown(registration.shutdown(stopped)).await?;
    /// # drop(stop);
    /// # Ok(()) }
    /// ```
    pub fn shutdown<F: Future>(&self, signal: F) -> impl Future<Output = ()> + use<F> {
        let life = Arc::clone(self.life());
        life.drain.wiring.saw_shutdown();
        async move {
            let mut signal = std::pin::pin!(signal);
            tokio::select! {
                biased;
                _ = &mut signal => {}
                () = life.refused().cancelled() => {}
                // With nothing registered, there may never be a request that reveals the wiring.
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
            // From here on, not from when a task runs: a second signal may come as soon as leaving
            // shows. After the request, because it may take a moment, in which a service that is not
            // registered yet would be.
            let second = next_stop_signal();
            // Spawned, so that it also runs when the server ends by itself, after this future has
            // ended.
            tokio::spawn({
                let life = Arc::clone(&life);
                async move {
                    let over = life.over();
                    tokio::pin!(over);
                    tokio::select! {
                        () = &mut over => return,
                        () = second => life.drain.hurry(),
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
/// `tokio::signal::ctrl_c()` alone would let SIGTERM, which stops containers, kill the process
/// without leaving. If no handler can be installed, it never resolves, and logs that once.
///
/// # Cancel safety
///
/// Cancel safe; but from its first poll on, the signals no longer end the process.
///
/// # Examples
///
/// ```no_run
/// # async fn run(registration: tower_gwag::Registration) {
/// use tower_gwag::stop_signal;
///
/// let shutdown = registration.shutdown(stop_signal());
/// # shutdown.await; }
/// ```
pub async fn stop_signal() {
    next_stop_signal().await;
}

/// Listens at once, not from the first poll on.
fn next_stop_signal() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let listeners = {
        use tokio::signal::unix::{SignalKind, signal};
        (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        )
    };
    #[cfg(windows)]
    let listeners = {
        use tokio::signal::windows::{ctrl_break, ctrl_c};
        (ctrl_c(), ctrl_break())
    };
    async move {
        #[cfg(any(unix, windows))]
        match listeners {
            (Ok(mut interrupt), Ok(mut stop)) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = stop.recv() => {}
                }
                return;
            }
            (Err(error), _) | (_, Err(error)) => no_handler(&error),
        }
        #[cfg(not(any(unix, windows)))]
        match tokio::signal::ctrl_c().await {
            Ok(()) => return,
            Err(error) => no_handler(&error),
        }
        std::future::pending::<()>().await;
    }
}

fn no_handler(error: &std::io::Error) {
    tracing::error!(
        target: "tower_gwag",
        "no handler for the stop signals can be installed, so they end the process at once: \
         {error}"
    );
}
