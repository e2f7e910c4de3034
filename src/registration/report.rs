//! What happened when a registration ended.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;

/// What happened when a registration ended. `Display` says it in at most three lines.
#[derive(Clone, Debug)]
pub struct LeaveReport {
    pub(super) reason: LeaveReason,
    pub(super) outcome: LeaveOutcome,
    pub(super) failure: Option<Arc<Error>>,
    pub(super) in_flight: usize,
    pub(super) unfinished: usize,
    pub(super) served_meanwhile: u64,
    pub(super) withdrawal: Duration,
    pub(super) drain: Duration,
}

/// Why a registration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaveReason {
    /// The future given to `Registration::shutdown` resolved.
    Signal,
    /// `Registration::leave` was called.
    Called,
    /// The wrapped listener was dropped without a shutdown: the server was aborted.
    ServerDropped,
    /// The layer and every handle were dropped.
    HandlesDropped,
    /// `Registration::finish` was called before anything else ended it.
    Finished,
    /// The tokio runtime on which the server ran has ended.
    RuntimeEnded,
}

/// What the gateway knows of the registration now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaveOutcome {
    /// It was deregistered.
    Deregistered,
    /// Nothing was registered when leaving began.
    NothingRegistered,
    /// The gateway could not be told; the entry stays until its TTL is over.
    NotDeregistered,
    /// A call to the gateway was not answered in time; the entry may stay until its TTL is over.
    Unanswered,
    /// Registration was switched off.
    Disabled,
}

// === impl LeaveReport ===

impl LeaveReport {
    pub(super) fn nothing(reason: LeaveReason, outcome: LeaveOutcome, in_flight: usize) -> Self {
        Self {
            reason,
            outcome,
            failure: None,
            in_flight,
            unfinished: in_flight,
            served_meanwhile: 0,
            withdrawal: Duration::ZERO,
            drain: Duration::ZERO,
        }
    }

    /// Why it ended.
    #[must_use]
    pub fn reason(&self) -> LeaveReason {
        self.reason
    }

    /// What the gateway knows of it now.
    #[must_use]
    pub fn outcome(&self) -> LeaveOutcome {
        self.outcome
    }

    /// Whether no entry of ours can be left on the gateway.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        !matches!(
            self.outcome,
            LeaveOutcome::NotDeregistered | LeaveOutcome::Unanswered
        )
    }

    /// Why the gateway could not be told.
    #[must_use]
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_deref()
    }

    /// Requests in flight when leaving began.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Requests still in flight when the wait for them ended.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Requests that arrived, and were served, after leaving had begun.
    #[must_use]
    pub fn served_meanwhile(&self) -> u64 {
        self.served_meanwhile
    }

    /// How long telling the gateway took.
    #[must_use]
    pub fn withdrawal(&self) -> Duration {
        self.withdrawal
    }

    /// How long requests in flight were waited for, the quiet time included.
    #[must_use]
    pub fn drain(&self) -> Duration {
        self.drain
    }
}

impl fmt::Display for LeaveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            LeaveReason::Signal => "at the signal",
            LeaveReason::Called => "as asked",
            LeaveReason::ServerDropped => "because the server was dropped",
            LeaveReason::HandlesDropped => "because every handle was dropped",
            LeaveReason::Finished => "at the end",
            LeaveReason::RuntimeEnded => "because the runtime ended",
        };
        let outcome = match self.outcome {
            LeaveOutcome::Deregistered => "deregistered",
            LeaveOutcome::NothingRegistered => "nothing was registered",
            LeaveOutcome::NotDeregistered => "NOT deregistered, gone when its TTL is over",
            LeaveOutcome::Unanswered => "deregistration unconfirmed, gone when its TTL is over",
            LeaveOutcome::Disabled => "registration is disabled",
        };
        write!(f, "left {reason}: {outcome} ({:.0?})", self.withdrawal)?;
        if let Some(failure) = &self.failure {
            write!(f, ": {failure}")?;
        }
        write!(
            f,
            "\nin flight: {} when leaving began, {} came later, {} unfinished (drain {:.0?})",
            self.in_flight, self.served_meanwhile, self.unfinished, self.drain
        )
    }
}
