//! The status of a registration, its events, and the report of its end.

mod board;
mod event;
mod log;
mod report;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use board::Board;
pub use event::Event;
pub(crate) use event::EventCallback;
pub use report::{Cleanness, HoldOutcome, LeaveOutcome, LeaveReason, LeaveReport};

use crate::error::{Error, ErrorKind};

/// A number of things in words: "1 call", "2 calls".
pub(crate) fn counted(number: usize, one: &str, several: &str) -> String {
    let what = if number == 1 { one } else { several };
    format!("{number} {what}")
}

/// The state of a registration, since when, and why.
///
/// [`Registration::status`](crate::Registration::status) returns a `watch` of the latest one.
///
/// # Examples
///
/// ```no_run
/// # async fn run(registration: tower_gwag::Registration) {
/// use tower_gwag::{ErrorKind, State};
///
/// let mut status = registration.status();
/// loop {
///     let now = status.borrow_and_update().clone();
///     match now.state() {
///         State::Left => break,
///         _ if now.is_registered() => println!("{} for {:?}", now.state(), now.elapsed()),
///         state => println!("{state} since {:?}, {} failures", now.since(), now.failures()),
///     }
///     if let Some(reason) = now.reason() {
///         println!("{reason}");
///     }
///     if now.reason_kind() == Some(ErrorKind::SchemaConflict) {
///         println!("another schema is registered under this version");
///     }
///     if status.changed().await.is_err() {
///         break; // the registration has ended
///     }
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Status {
    state: State,
    since: Instant,
    reason: Option<Arc<Error>>,
    failures: u64,
}

/// The states of a registration.
///
/// The usual order: `Idle`, `Registering`, `Registered`, `Listed`, `Routed`, `Leaving`, `Left`. The
/// manual says [what each claims](crate::manual::status) and [what to do about
/// it](crate::manual::troubleshooting). For an example see [`Status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// The server does not listen yet.
    Idle,
    /// The registration is being sent to the gateway, for the first time or again.
    Registering,
    /// The gateway accepted the registration and answers its heartbeats, but does not yet list or
    /// serve every service. An OpenAPI service may stay in this state until its first call, if the
    /// gateway has no gRPC route for it and there is no `gateway_http`.
    Registered,
    /// The gateway lists every service with our schema, and nothing indicates that it does not
    /// serve them. This is not proof: for a GraphQL service without
    /// [`Options::gateway_http`](crate::Options::gateway_http), nothing more can be known. Values
    /// that only the gateway can compute (the hash of a GraphQL schema) are taken from its list.
    Listed,
    /// Proved: since the registration, a call from the gateway has arrived at the advertised
    /// address.
    ///
    /// A call counts as the gateway's if it has the user agent of Go's clients (over HTTP/1 also
    /// `accept: application/json`) and its connection comes from the gateway's host. If the
    /// advertised address is not the one that the server is bound to, nothing can prove it, and a
    /// service stays `Listed`. An axum server that does not give its HTTP/2 requests their peer
    /// address (`into_make_service_with_connect_info`) is judged by its connections: a call is
    /// proof only while all of them come from the gateway's host.
    Routed,
    /// The gateway lists the service but does not serve it, most often because it cannot render the
    /// schema of another one. The service is registered again, so that it is routed as soon as
    /// possible.
    Blocked,
    /// No gateway answers at the address: nobody does, not in time, or something else; retried until
    /// one does. The server keeps serving.
    Unreachable,
    /// Nothing is registered, because the gateway refused the content, or another schema had the
    /// name first; retried slowly, or once the name is free. The server keeps serving.
    Refused,
    /// Something else has taken the registration's place: a younger process the exclusive identity,
    /// or another schema the service's name and version. The server keeps serving; the service is
    /// registered again once the name is free.
    Displaced,
    /// The registration is deregistering and draining; requests that still arrive are served.
    Leaving,
    /// The registration has ended for good.
    Left,
    /// The registration is disabled.
    Disabled,
}

// === impl Status ===

impl Status {
    pub(crate) fn new(state: State, reason: Option<Arc<Error>>) -> Self {
        Self {
            state,
            since: Instant::now(),
            failures: reason.is_some().into(),
            reason,
        }
    }

    /// Updates the reason to that of `latest` without changing the state.
    pub(crate) fn explain(&mut self, latest: &Self) {
        self.reason.clone_from(&latest.reason);
        self.failures += latest.failures;
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// How long the state has held.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// When the state began, on tokio's clock.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.since
    }

    /// The reason, for states off the usual order.
    #[must_use]
    pub fn reason(&self) -> Option<&Error> {
        self.reason.as_deref()
    }

    /// The kind of the reason.
    #[must_use]
    pub fn reason_kind(&self) -> Option<ErrorKind> {
        self.reason().map(Error::kind)
    }

    /// How many attempts have failed since the state began, including the one that caused it; 0 in
    /// states without a reason. Only the first failure is logged; the log line of the next state
    /// has the number of the others.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Whether the gateway has the registration and nothing indicates that it does not route:
    /// `Registered`, `Listed` or `Routed`.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        matches!(
            self.state,
            State::Registered | State::Listed | State::Routed
        )
    }
}

// === impl State ===

/// The state's name.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `pad` honours the width, so tables line up.
        f.pad(match self {
            Self::Idle => "Idle",
            Self::Registering => "Registering",
            Self::Registered => "Registered",
            Self::Listed => "Listed",
            Self::Routed => "Routed",
            Self::Blocked => "Blocked",
            Self::Unreachable => "Unreachable",
            Self::Refused => "Refused",
            Self::Displaced => "Displaced",
            Self::Leaving => "Leaving",
            Self::Left => "Left",
            Self::Disabled => "Disabled",
        })
    }
}

/// The state, and the reason, if there is one.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.state)?;
        let Some(reason) = &self.reason else {
            return Ok(());
        };
        write!(f, ": {reason}")?;
        match (self.state, reason.kind()) {
            // The reason itself cannot say so: the last attempt while leaving is not repeated.
            (State::Unreachable, ErrorKind::Unavailable | ErrorKind::Unauthorized) => {
                f.write_str("; retrying")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status")
            .field("state", &self.state)
            .field("elapsed", &self.since.elapsed())
            .field("reason", &self.reason)
            .finish()
    }
}
