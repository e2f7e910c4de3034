//! The report of how a registration ended.

use std::fmt;
use std::process::{ExitCode, Termination};
use std::sync::Arc;
use std::time::Duration;

use super::counted;
use crate::error::Error;

/// How a registration ended. `Display` prints it in at most three lines.
///
/// A `main` may return it: the process then exits with a failure code if something of the service
/// remains on a gateway.
///
/// # Examples
///
/// ```no_run
/// # async fn run(registration: tower_gwag::Registration) {
/// use tower_gwag::{Cleanness, HoldOutcome, LeaveOutcome, LeaveReason};
///
/// let report = registration.finish().await;
/// println!("{report}");
///
/// // Why it left, and whether the gateway confirmed it.
/// if report.reason() == LeaveReason::Refused {
///     println!("stopped because the gateway refused the service");
/// }
/// if report.outcome() != LeaveOutcome::Deregistered
///     && let Some(error) = report.failure()
/// {
///     println!("{}: {error}", report.outcome());
/// }
///
/// // Whether something of the service remains on a gateway.
/// if report.cleanness() == Cleanness::NotClean {
///     println!("{} entries, {:?} ghosts", report.abandoned(), report.ghosts());
/// }
/// assert_eq!(report.is_clean(), report.cleanness() == Cleanness::Clean);
///
/// // What happened to the calls.
/// if report.is_counted() {
///     println!("{} in flight, {} came later, {} cut", report.in_flight(), report.late(), report.cut());
///     println!("{} never ended, {} connections severed", report.unfinished(), report.severed());
/// }
/// if report.hold() == HoldOutcome::Missing
///     && let Some(error) = report.hold_failure()
/// {
///     println!("calls may have been lost: {error}");
/// }
///
/// // Where the time went.
/// assert_eq!(report.total(), report.withdrawal() + report.drain() + report.release());
/// # }
/// ```
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
    /// The number of abandoned entries whose TTL has not expired.
    pub(crate) pending: usize,
    /// Another Deregister than that of the service was not answered.
    pub(crate) unconfirmed: bool,
    pub(crate) withdrawal: Duration,
    pub(crate) drain: Duration,
    pub(crate) release: Duration,
}

/// Why a registration ended.
///
/// From [`LeaveReport::reason`]; for an example see [`LeaveReport`].
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
    /// The registration's own task panicked repeatedly; please report it.
    Panicked,
}

/// What became of the service's entry at the gateway.
///
/// From [`LeaveReport::outcome`]; for an example see [`LeaveReport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaveOutcome {
    /// It was deregistered.
    Deregistered,
    /// Nothing was registered when leaving began.
    NothingRegistered,
    /// The gateway could not be reached; the entry stays until its TTL expires.
    NotDeregistered,
    /// A call to the gateway was not answered in time; the entry may stay until its TTL expires.
    Unanswered,
    /// The registration was disabled.
    Disabled,
}

/// Whether anything of a service remains on a gateway after its registration has ended.
///
/// Ghosts count only if the gateway can report them: an unknown number ([`LeaveReport::ghosts`] is
/// `None`) does not change the value.
///
/// From [`LeaveReport::cleanness`]; for an example see [`LeaveReport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cleanness {
    /// Every Deregister was answered, and nothing is known to remain.
    Clean,
    /// An answer is missing: an entry may remain until its TTL expires.
    Unknown,
    /// Something remains: the gateway may route calls to a service that is gone.
    NotClean,
}

/// What became of the hold, which keeps calls in flight alive while a gRPC service deregisters.
///
/// From [`LeaveReport::hold`]; for an example see [`LeaveReport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HoldOutcome {
    /// The gateway had the hold until the drain was over.
    Held,
    /// The gateway had the hold at its last answer, but could not be reached when the hold was
    /// deregistered: how long it kept connections open is unknown.
    Unknown,
    /// The gateway never had the hold, or lost it: calls in flight may have been lost.
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

    /// Why the registration ended.
    #[must_use]
    pub fn reason(&self) -> LeaveReason {
        self.reason
    }

    /// What became of the service's entry at the gateway.
    #[must_use]
    pub fn outcome(&self) -> LeaveOutcome {
        self.outcome
    }

    /// Whether anything of the service remains on a gateway.
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

    /// Whether it is certain that nothing remains: [`Cleanness::Clean`].
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.cleanness() == Cleanness::Clean
    }

    /// Why the deregistration failed, or why nothing was registered.
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

    /// Whether the layer counted requests at all. If the layer is missing, or saw none of the
    /// requests, the numbers of calls mean nothing.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// The number of requests in flight when leaving began, as far as the layer saw them.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The number of requests that arrived and were served after leaving had begun, as far as the
    /// layer saw them.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// The number of calls that had not ended at [`drain_timeout`](crate::Options::drain_timeout)
    /// and were cut, because a stopping server would wait for them forever. Exempt calls are cut
    /// when the server stops.
    #[must_use]
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// The number of calls that were still running when the wait for them ended, and were not cut:
    /// either the registration does not know when the server stops, or the server had already
    /// stopped.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// The number of connections that were still busy at
    /// [`drain_timeout`](crate::Options::drain_timeout) and were severed: their callers do not
    /// read, or wait for calls that the layer does not count.
    #[must_use]
    pub fn severed(&self) -> usize {
        self.severed
    }

    /// The number of ghosts: replicas that the gateway still routes to, without an entry (contract,
    /// Ghosts). `None` if it cannot be known, as in a cluster in which not every node could be
    /// asked.
    #[must_use]
    pub fn ghosts(&self) -> Option<u32> {
        self.ghosts
    }

    /// The number of entries left on gateways that could no longer be reached; each stays, or
    /// stayed, until its TTL expires.
    #[must_use]
    pub fn abandoned(&self) -> usize {
        self.abandoned
    }

    /// The time until the gateway had deregistered the service; from then on it sent no new calls.
    #[must_use]
    pub fn withdrawal(&self) -> Duration {
        self.withdrawal
    }

    /// The time spent waiting for calls in flight, quiet time included; after a shutdown, the time
    /// until the server's connections had ended.
    #[must_use]
    pub fn drain(&self) -> Duration {
        self.drain
    }

    /// The time taken to deregister the hold.
    #[must_use]
    pub fn release(&self) -> Duration {
        self.release
    }

    /// The time that leaving took as a whole.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.withdrawal + self.drain + self.release
    }
}

// === impl LeaveReason ===

/// Continues the sentence after "left".
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
            Self::Unanswered => "deregistration unconfirmed, an entry may stay until its TTL ends",
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

/// `main` may return the report: the exit code is 1 only for [`Cleanness::NotClean`].
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
            let entries = counted(self.abandoned, "entry", "entries");
            write!(f, "; {entries} left on other gateways")?;
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
            let severed = counted(self.severed, "busy connection", "busy connections");
            write!(f, ", {severed} ended")?;
        }
        if self.unfinished > 0 {
            write!(f, ", {} still running", self.unfinished)?;
        }
        write!(f, "; drained in {:.0?}", self.drain)?;
        match (&self.failure, &self.hold_failure) {
            (Some(why), _) if nothing => write!(f, "\nnot registered because {why}"),
            (Some(why), _) => write!(f, "\nnot deregistered because {why}"),
            (None, Some(why)) => write!(f, "\nno hold because {why}"),
            (None, None) => Ok(()),
        }
    }
}
