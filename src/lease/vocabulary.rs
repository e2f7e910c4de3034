//! The machine's inputs and outputs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::entry::Entry;
use crate::error::ErrorKind;
use crate::liveness::Liveness;

/// The input of the machine.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// The call in flight was answered.
    Answered(Answer),
    /// The connection ended without our doing.
    Disconnected,
    /// The result of [`Action::Probe`].
    Probed(Liveness),
    /// The gateway listed this many replicas.
    Listed { replicas: u32 },
    /// The process leaves; without a server there is nothing to drain. `in_doubt`: a gateway, also
    /// one that was left, may have an entry of such a lease from a Register that broke off.
    Leave {
        drain: bool,
        in_doubt: Vec<LeaseKind>,
    },
    /// Nothing is in flight, or the drain timed out.
    Drained,
    /// Leaving, now or later, must end at once.
    Hurry,
    /// The gateway has the service but does not route it.
    Cure,
    /// Another schema has the service's slot, or its own schema does harm.
    Withdraw { for_good: bool },
    /// The gateway lists the service correctly.
    Proved,
    /// Whether the slots that the service waits for are free.
    Slots { free: bool },
    /// Send a heartbeat of the service now.
    Beat,
    /// The first gateway answers, and `prefer_first` is on.
    FirstIsBack,
    /// The time of `wake_at` has come.
    Woken,
}

/// The actions that the machine asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make this call, and pass its answer back as [`Input::Answered`].
    Call(Call),
    /// Find out whether the gateway answers at all.
    Probe,
    /// The node is dead, others behind the gateway's name are not: connect to one of them next.
    MoveOn,
    /// End the connection, so that the call in flight fails.
    Disconnect,
    /// Wait until nothing is in flight.
    Drain,
    /// Leaving is over; late answers are still taken.
    Finish,
    /// Report a note.
    Tell(Note),
    /// Send the calls to this gateway from now on; if it is the same, to another node of it.
    Turn { to: usize },
    /// Deregister this entry when its gateway can be reached, at the latest at `until`.
    CleanUp { entry: Entry, until: Instant },
}

/// The kinds of leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LeaseKind {
    Service,
    /// An entry of the service that is being replaced.
    Former,
    /// Keeps the gateway's connections open while the service leaves.
    Hold,
}

impl LeaseKind {
    /// The hold first: it must exist before the service does. The former entry last: it is
    /// deregistered once the service is registered.
    pub(crate) const ALL: [Self; 3] = [Self::Hold, Self::Service, Self::Former];
}

/// A call that changes the gateway's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) which: LeaseKind,
    pub(crate) verb: Verb,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// `spelling` selects the spelling of the address: a new number for each new registration.
    Register {
        spelling: u32,
    },
    Heartbeat(Entry),
    Deregister(Entry),
    /// A Register broke off, and nothing is wanted: look for what it left, and deregister that.
    Recall,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Registered {
        id: String,
        ttl: Duration,
        /// The node that accepted it.
        node: Option<SocketAddr>,
    },
    Beat {
        known: bool,
    },
    /// Not sent, because it would have taken a slot from a newer build.
    HeldBack,
    Deregistered,
    /// So many entries were found and deregistered.
    Recalled {
        found: usize,
    },
    /// Which of the gateway's entries are ours cannot be known.
    Unknowable,
    /// It never left the process.
    NotSent,
    /// The connection ended; the call may have been carried out.
    Broken,
    /// The gateway refused.
    Refused(ErrorKind),
    /// The answer is not a gateway's: another server's, or a proxy's whose routes are not there yet.
    Misrouted,
    /// The peer speaks another protocol, so it has carried nothing out.
    Foreign,
}

/// What is reported to the user about the service's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// The gateway accepted the registration.
    Registered,
    /// The gateway answered a heartbeat with yes.
    Alive,
    /// The gateway no longer knows the registration.
    Forgotten,
    /// The gateway cannot be reached, or could not carry the call out; retried soon.
    Unreachable,
    /// The gateway has not answered a Register for some time, which it may take.
    Waiting,
    /// The gateway has not answered in the usual time.
    Slow,
    /// The gateway refused the content; retried slowly.
    Refused(ErrorKind),
    /// A younger process has the identity; this one stays out.
    Displaced,
}

/// When to register the hold. Without it, a gateway cancels gRPC calls in flight at the moment a
/// replica deregisters ([how calls survive the
/// deregistration](crate::manual::shutdown#how-calls-survive-the-deregistration)).
///
/// For [`Options::hold`](crate::Options::hold); see [the examples of
/// `Options`](crate::Options#examples).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hold {
    /// Before the service is registered: the only safe moment, and the default.
    #[default]
    AtStart,
    /// When leaving begins: halves the entries in the gateway's list, but costs a schema rebuild at
    /// the worst moment, and fails silently while another schema blocks the gateway.
    AtLeave,
    /// Never: gRPC calls in flight are lost at every restart.
    Off,
}
