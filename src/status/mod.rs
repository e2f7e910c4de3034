//! Where a registration stands, what happens to it, and how it ended: everything that is told.

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

/// Where a registration stands, since when, and why.
///
/// Comes from [`Registration::status`](crate::Registration::status), a `watch` of the latest one.
#[derive(Clone)]
pub struct Status {
    state: State,
    since: Instant,
    reason: Option<Arc<Error>>,
    failures: u64,
}

/// The states of a registration.
///
/// The usual way: `Idle`, `Registering`, `Registered`, `Listed`, `Routed`, `Leaving`, `Left`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// The server does not listen yet.
    Idle,
    /// The gateway is being told, for the first time or again.
    Registering,
    /// The gateway took the registration and answers its heartbeats. It does not list every service
    /// yet, or does not serve it yet; an OpenAPI service may stay so until its first call, where the
    /// gateway has no gRPC route for it and there is no `gateway_http`.
    Registered,
    /// The gateway lists every service with our schema, and nothing says that it does not serve
    /// them. That is no proof: of a GraphQL service without
    /// [`Options::gateway_http`](crate::Options::gateway_http) nothing more can be known. What only
    /// the gateway can know (the hash of a GraphQL schema) is taken from its list.
    Listed,
    /// Proved: a call of the gateway came, at the advertised address, since it was registered.
    ///
    /// A call is the gateway's if it has the user agent of Go's clients (over HTTP/1 also `accept:
    /// application/json`) and its connection comes from the gateway's host. Where the advertised
    /// address is not the one that the server is bound to, nothing proves it, and a service stays
    /// `Listed`. An axum server that does not tell its HTTP/2 requests from whom they are
    /// (`into_make_service_with_connect_info`) is judged by its connections: a call is a proof only
    /// while all of them come from the gateway's host.
    Routed,
    /// The gateway lists the service, but does not serve it, most often because the schema of
    /// another one cannot be rendered. Registered anew, so that it is routed as soon as it can be.
    Blocked,
    /// The gateway cannot be reached or does not answer; tried until it does. The server serves.
    Unreachable,
    /// Nothing is registered, because the gateway refused the content, or another schema had the
    /// name before; tried again slowly, or once the name is free. The server serves.
    Refused,
    /// Another one has the place that this one had: a younger process the exclusive identity, or
    /// another schema the service's name and version. The server serves, and is registered again
    /// once the name is free.
    Displaced,
    /// The registration is being taken back; requests that still come are served.
    Leaving,
    /// Nothing is registered any more, and nothing will be.
    Left,
    /// Switched off: nothing is registered.
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

    /// Takes the reason of `latest`; the state goes on.
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

    /// Why, for the states that are not the usual way.
    #[must_use]
    pub fn reason(&self) -> Option<&Error> {
        self.reason.as_deref()
    }

    /// The class of the reason.
    #[must_use]
    pub fn reason_kind(&self) -> Option<ErrorKind> {
        self.reason().map(Error::kind)
    }

    /// How many attempts have failed since the state began, that which began it included; 0 in
    /// states without a reason. Only the first is logged, the others are counted in the line of the
    /// next state.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Whether the gateway has the registration and nothing says that it does not route:
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

/// Its name.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `pad`, so that tables line up.
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

/// The state, and the reason where there is one.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.state)?;
        let Some(reason) = &self.reason else {
            return Ok(());
        };
        write!(f, ": {reason}")?;
        match (self.state, reason.kind()) {
            // The reason itself cannot know: the last attempt while leaving is not made again.
            (State::Unreachable, ErrorKind::Unavailable) => f.write_str("; it is tried again"),
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
