//! The handle of a registration: what the user asks of it.

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
/// When the layer, the wrapped listener and every handle are dropped, the registration ends
/// (best effort: nothing waits for it).
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

    /// Starts the registration of a server that is already bound to `address`, for servers that
    /// are neither tonic's nor axum's. End it with [`leave`](Self::leave).
    ///
    /// # Errors
    ///
    /// The first fault of the options (see [`Options::check`](crate::Options::check)), or
    /// [`ErrorKind::Misuse`] outside a tokio runtime or when it was started before. Whether the
    /// gateway takes it is told by [`status`](Self::status) and [`registered`](Self::registered).
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

    /// The latest status, and each change of it.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.life().board.status()
    }

    /// Resolves once the gateway has taken the registration for the first time; at once when it is
    /// switched off.
    ///
    /// Waits as long as it takes: put a timeout around it if you must not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Left`] when the registration was ended before the gateway took it.
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
        // The sender is a field of the board.
        let _ = status.wait_for(settled).await;
        if life.board.was_registered() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Left,
            "the registration was ended before the gateway took it; `finish()` has the report",
        ))
    }

    /// Takes the registration back and waits for the requests in flight: Deregister, drain, then
    /// the report. Any number of calls get the same report.
    ///
    /// Bounded by [`Options::leave_timeout`](crate::Options::leave_timeout), whatever the gateway
    /// does. The server must serve on until this resolves.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: leaving goes on.
    pub async fn leave(&self) -> LeaveReport {
        self.leave_because(LeaveReason::Called).await
    }

    /// Like [`leave`](Self::leave), without waiting for requests in flight. Ends a drain that is
    /// under way, too.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: leaving goes on.
    pub async fn leave_now(&self) -> LeaveReport {
        self.life().drain.hurry();
        self.leave_because(LeaveReason::Called).await
    }

    /// The report of how the registration ended; ends it if nothing has yet.
    ///
    /// For the line after the server's own future: it says that the server has ended, so that the
    /// hold can be given back.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn finish(&self) -> LeaveReport {
        self.life().drain.finishes();
        self.leave_because(LeaveReason::Finished).await
    }

    /// Resolves once the gateway sends no new calls: streams may send their last message and end
    /// now, within the drain.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn leaving(&self) -> impl Future<Output = ()> + Send + use<> {
        self.life().drain.leaving().clone().cancelled_owned()
    }

    /// The same as a token, for handlers that want to ask or to select on it.
    ///
    /// Cancelling it has no effect on the registration.
    #[must_use]
    pub fn leaving_token(&self) -> CancellationToken {
        self.life().drain.leaving().child_token()
    }

    /// Whether to be called ready: it latches at the first `Registered` and falls only on leaving,
    /// because what happens to the gateway is no reason to take a service away from others.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.life().is_ready()
    }

    /// Requests in flight right now, bodies included, those that leaving does not wait for left
    /// out.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.life().drain.in_flight.count()
    }

    /// Requests in flight right now that leaving does not wait for.
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
