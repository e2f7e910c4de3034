//! What happened when a registration ended.

use std::fmt;
use std::process::{ExitCode, Termination};
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;

/// What happened when a registration ended. `Display` says it in at most three lines.
#[derive(Clone, Debug)]
pub struct LeaveReport {
    pub(crate) reason: LeaveReason,
    pub(crate) outcome: LeaveOutcome,
    pub(crate) failure: Option<Arc<Error>>,
    pub(crate) hold: HoldOutcome,
    pub(crate) hold_failure: Option<Arc<Error>>,
    pub(crate) in_flight: usize,
    pub(crate) late: u64,
    pub(crate) cut: usize,
    pub(crate) unfinished: usize,
    pub(crate) severed: usize,
    pub(crate) counted: bool,
    pub(crate) ghosts: Option<u32>,
    pub(crate) abandoned: usize,
    /// Those of them whose TTL is not over.
    pub(crate) pending: usize,
    /// A Deregister besides that of the service was not answered.
    pub(crate) unconfirmed: bool,
    pub(crate) withdrawal: Duration,
    pub(crate) drain: Duration,
    pub(crate) release: Duration,
}

/// Why a registration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaveReason {
    /// The future given to [`Registration::shutdown`](crate::Registration::shutdown) resolved.
    Signal,
    /// [`Registration::leave`](crate::Registration::leave) was called.
    Called,
    /// The wrapped listener was dropped without a shutdown: the server was aborted.
    ServerDropped,
    /// The layer and every handle were dropped.
    HandlesDropped,
    /// [`Registration::finish`](crate::Registration::finish) was called before anything else ended it.
    Finished,
    /// The gateway refused the content, and [`OnRefusal::Stop`](crate::OnRefusal::Stop) is set.
    Refused,
    /// The tokio runtime on which the server ran has ended.
    RuntimeEnded,
    /// The registration's own task panicked again and again; please report it.
    Panicked,
}

/// What the gateway knows of the service now.
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

/// Whether anything of a service is left on a gateway when its registration has ended.
///
/// Where a gateway cannot tell whether it has replicas that nobody can remove
/// ([`LeaveReport::ghosts`] is `None`), that spoils nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cleanness {
    /// Every Deregister was answered, and no leftover is known.
    Clean,
    /// An answer is missing: something may be left, for as long as its TTL.
    Unknown,
    /// Something is left: calls may be sent to a service that is gone.
    NotClean,
}

/// What became of the hold, which keeps calls in flight alive when a gRPC service deregisters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HoldOutcome {
    /// The gateway had it until the drain was over.
    Held,
    /// The gateway had it when it last answered, and was out of reach when the hold was given back:
    /// nobody knows how long it kept connections open.
    Unknown,
    /// The gateway did not have it, or forgot it meanwhile: calls in flight may have been lost.
    Missing,
    /// Not needed: no gRPC service was registered.
    NotNeeded,
    /// Switched off with [`Options::hold`](crate::Options::hold).
    Off,
}

// === impl LeaveReport ===

impl LeaveReport {
    pub(crate) fn nothing(reason: LeaveReason, outcome: LeaveOutcome, in_flight: usize) -> Self {
        Self {
            reason,
            outcome,
            failure: None,
            hold: HoldOutcome::NotNeeded,
            hold_failure: None,
            in_flight,
            late: 0,
            cut: 0,
            unfinished: 0,
            severed: 0,
            counted: true,
            ghosts: None,
            abandoned: 0,
            pending: 0,
            unconfirmed: false,
            withdrawal: Duration::ZERO,
            drain: Duration::ZERO,
            release: Duration::ZERO,
        }
    }

    /// Why it ended.
    #[must_use]
    pub fn reason(&self) -> LeaveReason {
        self.reason
    }

    /// What the gateway knows of the service now.
    #[must_use]
    pub fn outcome(&self) -> LeaveOutcome {
        self.outcome
    }

    /// Whether anything of the service is left on a gateway.
    #[must_use]
    pub fn cleanness(&self) -> Cleanness {
        let is_known = self.outcome == LeaveOutcome::NotDeregistered
            || self.ghosts.unwrap_or(0) > 0
            || self.pending > 0;
        let is_open = self.outcome == LeaveOutcome::Unanswered || self.unconfirmed;
        match (is_known, is_open) {
            (true, _) => Cleanness::NotClean,
            (false, true) => Cleanness::Unknown,
            (false, false) => Cleanness::Clean,
        }
    }

    /// Whether it is known that nothing is left: [`Cleanness::Clean`].
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.cleanness() == Cleanness::Clean
    }

    /// Why the gateway could not be told.
    #[must_use]
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_deref()
    }

    /// What became of the hold.
    #[must_use]
    pub fn hold(&self) -> HoldOutcome {
        self.hold
    }

    /// Why the gateway did not have the hold.
    #[must_use]
    pub fn hold_failure(&self) -> Option<&Error> {
        self.hold_failure.as_deref()
    }

    /// Whether the layer counted requests at all. Where it is missing, or saw none of those that
    /// came, the numbers of calls say nothing.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// Requests in flight when leaving began, as far as the layer saw them.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Requests that arrived, and were served, after leaving had begun, as far as the layer saw
    /// them.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Calls that had not ended at [`drain_timeout`](crate::Options::drain_timeout), and were cut,
    /// because the server stops and would wait for them without end. Exempt ones are cut when the
    /// server stops.
    #[must_use]
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// Calls that had not ended when the wait for them was over, and go on: nothing was said of the
    /// server's end, or it had ended already.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Connections that were still busy at [`drain_timeout`](crate::Options::drain_timeout), and
    /// were ended: their callers do not read what is sent, or wait for calls that the layer does
    /// not count.
    #[must_use]
    pub fn severed(&self) -> usize {
        self.severed
    }

    /// Replicas of the service that the gateway routes to though no registration is behind them
    /// (contract, Ghosts); `None` where that cannot be known, as in a cluster of which not every node
    /// could be asked.
    #[must_use]
    pub fn ghosts(&self) -> Option<u32> {
        self.ghosts
    }

    /// Entries left on gateways that could not be reached any more, until their TTL was over or
    /// still.
    #[must_use]
    pub fn abandoned(&self) -> usize {
        self.abandoned
    }

    /// How long it took until the gateway knew: from then on it sent no new calls.
    #[must_use]
    pub fn withdrawal(&self) -> Duration {
        self.withdrawal
    }

    /// How long the calls in flight were waited for, the quiet time included; after a shutdown
    /// until the server's connections had ended.
    #[must_use]
    pub fn drain(&self) -> Duration {
        self.drain
    }

    /// How long it took to give the hold back.
    #[must_use]
    pub fn release(&self) -> Duration {
        self.release
    }

    /// How long leaving took as a whole.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.withdrawal + self.drain + self.release
    }
}

// === impl LeaveReason ===

/// As it goes on after "left".
impl fmt::Display for LeaveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Signal => "at the signal",
            Self::Called => "as asked",
            Self::ServerDropped => "because the server was dropped",
            Self::HandlesDropped => "because every handle was dropped",
            Self::Finished => "at the end",
            Self::Refused => "because the gateway refused",
            Self::RuntimeEnded => "because the runtime ended",
            Self::Panicked => "because its task panicked",
        })
    }
}

// === impl LeaveOutcome ===

impl fmt::Display for LeaveOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Deregistered => "deregistered",
            Self::NothingRegistered => "nothing was registered",
            Self::NotDeregistered => "NOT deregistered, the entry stays until its TTL ends",
            Self::Unanswered => "deregistration unconfirmed, the entry may stay its TTL",
            Self::Disabled => "registration is disabled",
        })
    }
}

// === impl Cleanness ===

impl fmt::Display for Cleanness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Clean => "clean",
            Self::Unknown => "unknown",
            Self::NotClean => "not clean",
        })
    }
}

// === impl HoldOutcome ===

impl fmt::Display for HoldOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Held => "held",
            Self::Unknown => "unknown",
            Self::Missing => "missing",
            Self::NotNeeded => "not needed",
            Self::Off => "off",
        })
    }
}

/// `main` may return the report: the exit code is 1 for [`Cleanness::NotClean`] alone.
impl Termination for LeaveReport {
    fn report(self) -> ExitCode {
        match self.cleanness() {
            Cleanness::NotClean => ExitCode::FAILURE,
            Cleanness::Clean | Cleanness::Unknown => ExitCode::SUCCESS,
        }
    }
}

impl fmt::Display for LeaveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "left {}: {}", self.reason, self.outcome)?;
        let nothing = matches!(
            self.outcome,
            LeaveOutcome::NothingRegistered | LeaveOutcome::Disabled
        );
        if !nothing {
            let hold = match self.hold {
                HoldOutcome::Held => ", held",
                HoldOutcome::Unknown => ", hold unknown",
                HoldOutcome::Missing => ", NOT held: calls in flight may be lost",
                HoldOutcome::Off => ", hold is off",
                HoldOutcome::NotNeeded => "",
            };
            write!(f, " (in {:.0?}{hold})", self.withdrawal)?;
        }
        if let Some(ghosts) = self.ghosts.filter(|ghosts| *ghosts > 0) {
            let replicas = match ghosts {
                1 => "replica stays",
                _ => "replicas stay",
            };
            write!(f, "; {ghosts} GHOST {replicas} on the gateway")?;
        }
        if self.abandoned > 0 {
            write!(f, "; {} entries left on other gateways", self.abandoned)?;
        }
        if self.counted {
            write!(
                f,
                "\ncalls: {} in flight when leaving began, {} came later, {} cut",
                self.in_flight, self.late, self.cut
            )?;
        } else {
            f.write_str("\ncalls: not counted")?;
        }
        if self.severed > 0 {
            write!(f, ", {} busy connections ended", self.severed)?;
        }
        if self.unfinished > 0 {
            write!(f, ", {} go on", self.unfinished)?;
        }
        write!(f, "; drained in {:.0?}", self.drain)?;
        match (&self.failure, &self.hold_failure) {
            (Some(why), _) => write!(f, "\nnot told because {why}"),
            (None, Some(why)) => write!(f, "\nnot held because {why}"),
            (None, None) => Ok(()),
        }
    }
}
