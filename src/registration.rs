//! The user's handle of a registration.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::driver::{Handle, LeaveRequest, Life};
use crate::error::{Error, ErrorKind};
use crate::status::{LeaveReason, LeaveReport, State, Status};

/// The handle of one registration; clones are the same registration.
///
/// Comes from [`GwagRegistrationLayer::registration`](crate::GwagRegistrationLayer::registration).
/// When the layer, the wrapped listener and every handle are dropped, the registration ends (best
/// effort: nothing waits for the deregistration).
///
/// # Examples
///
/// With tonic or axum, [`incoming`](Self::incoming) or [`listener`](Self::listener) starts the
/// registration, and [`shutdown`](Self::shutdown) ends it; the [crate's page](crate) shows both. Any
/// other server calls [`start`](Self::start) and [`leave`](Self::leave):
///
/// ```no_run
/// # async fn run(options: tower_gwag::Options) -> Result<(), Box<dyn std::error::Error>> {
/// use tower_gwag::GwagRegistrationLayer;
///
/// let layer = GwagRegistrationLayer::new(options);
/// let registration = layer.registration();
/// let listener = std::net::TcpListener::bind("0.0.0.0:8081")?;
/// registration.start(listener.local_addr()?)?;
/// // … serve, with the layer around the service; when it is time to stop:
/// let report = registration.leave().await; // the server must still serve
/// // … stop the server.
/// println!("{report}");
/// # Ok(()) }
/// ```
///
/// While it runs:
///
/// ```no_run
/// # async fn run(registration: tower_gwag::Registration) -> Result<(), tower_gwag::Error> {
/// use std::time::Duration;
///
/// let soon = tokio::time::timeout(Duration::from_secs(5), registration.registered());
/// match soon.await {
///     Ok(outcome) => outcome?,
///     Err(_) => println!("not registered yet: {}", *registration.status().borrow()),
/// }
/// println!(
///     "ready: {}; {} requests in flight, {} that nobody waits for",
///     registration.is_ready(),
///     registration.in_flight(),
///     registration.exempt_in_flight(),
/// );
/// # Ok(()) }
/// ```
///
/// When it leaves:
///
/// ```no_run
/// # async fn run(registration: tower_gwag::Registration) {
/// let token = registration.leaving_token(); // for handlers that check it now and then
/// let until = registration.clone();
/// tokio::spawn(async move {
///     until.leaving().await; // from now on, the gateway sends no new calls
///     assert!(token.is_cancelled());
/// });
///
/// registration.leave_now().await; // without waiting for requests in flight
/// println!("{}", registration.finish().await); // the same report
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Registration {
    handle: Arc<Handle>,
}

// === impl Registration ===

impl Registration {
    pub(crate) fn new(handle: Arc<Handle>) -> Self {
        Self { handle }
    }

    pub(crate) fn life(&self) -> &Arc<Life> {
        &self.handle.life
    }

    #[cfg_attr(
        not(any(feature = "axum", feature = "tonic")),
        allow(dead_code, reason = "for wrapped listeners")
    )]
    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// Starts the registration of a server that is already bound to `address`, for servers other
    /// than tonic's and axum's. End it with [`leave`](Self::leave).
    ///
    /// # Errors
    ///
    /// The first error in the options (see [`Options::check`](crate::Options::check)), or
    /// [`ErrorKind::Misuse`] outside a tokio runtime or when called twice. Whether the gateway
    /// accepts the registration is reported by [`status`](Self::status) and
    /// [`registered`](Self::registered).
    pub fn start(&self, address: SocketAddr) -> Result<(), Error> {
        let life = self.life();
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::new(
                ErrorKind::Misuse,
                "Registration::start was called outside a tokio runtime: call it within one",
            ));
        }
        life.wire(Some(address))?;
        life.drain.wiring.wired_by_hand();
        life.begin(Some(address));
        Ok(())
    }

    /// A `watch` of the current status.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.life().board.status()
    }

    /// Resolves once the gateway has accepted the registration for the first time, or at once when
    /// the registration is disabled.
    ///
    /// There is no time limit: wrap it in a timeout if you need one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Left`] if the registration ended before the gateway accepted it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn registered(&self) -> Result<(), Error> {
        let life = self.life();
        let mut status = self.status();
        let settled = |status: &Status| {
            life.board.was_registered() || matches!(status.state(), State::Leaving | State::Left)
        };
        // The board owns the sender, so this cannot fail.
        let _ = status.wait_for(settled).await;
        if life.board.was_registered() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Left,
            "the registration ended before the gateway accepted it; `finish()` has the report",
        ))
    }

    /// Deregisters, waits for the requests in flight, and returns the report. All calls get the
    /// same report.
    ///
    /// Bounded by [`Options::leave_timeout`](crate::Options::leave_timeout), whatever the gateway
    /// does. The server must keep serving until this resolves.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: leaving goes on.
    pub async fn leave(&self) -> LeaveReport {
        self.leave_because(LeaveReason::Called).await
    }

    /// Like [`leave`](Self::leave), without waiting for requests in flight. Also ends a drain that
    /// is under way.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: leaving goes on.
    pub async fn leave_now(&self) -> LeaveReport {
        self.life().drain.hurry();
        self.leave_because(LeaveReason::Called).await
    }

    /// Returns the report of how the registration ended, and ends it if it has not ended yet.
    ///
    /// Call it after the server's own future has resolved: it tells the registration that the
    /// server has stopped, so that the hold can be deregistered.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn finish(&self) -> LeaveReport {
        self.life().drain.finishes();
        self.leave_because(LeaveReason::Finished).await
    }

    /// Resolves once the gateway sends no new calls: from then on, streams may send their last
    /// message and end within the drain.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn leaving(&self) -> impl Future<Output = ()> + Send + use<> {
        self.life().drain.leaving().clone().cancelled_owned()
    }

    /// Like [`leaving`](Self::leaving), as a token for handlers to query or to select on.
    ///
    /// Cancelling it has no effect on the registration.
    #[must_use]
    pub fn leaving_token(&self) -> CancellationToken {
        self.life().drain.leaving().child_token()
    }

    /// Whether the gateway has accepted the registration at least once, and leaving has not begun:
    /// later trouble with the gateway is no reason to take the service away from other callers.
    ///
    /// Probes have `readyz` and `health_service`, which follow
    /// [`Options::readiness`](crate::Options::readiness).
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.life().is_ready()
    }

    /// The number of requests in flight now, bodies included, without those exempt from the drain.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.life().drain.in_flight.count()
    }

    /// The number of requests in flight now that are exempt from the drain.
    #[must_use]
    pub fn exempt_in_flight(&self) -> usize {
        self.life().drain.in_flight.exempt()
    }

    pub(crate) async fn leave_because(&self, reason: LeaveReason) -> LeaveReport {
        self.life().request_leave(LeaveRequest {
            reason,
            drain: true,
        });
        self.life().ended().await
    }
}
