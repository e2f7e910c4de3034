//! What goes into the machine and what comes out of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::entry::Entry;
use crate::error::ErrorKind;
use crate::liveness::Liveness;

/// What the machine wants to be told.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// The call in flight has its answer.
    Answered(Answer),
    /// A connection that nobody ended has ended.
    Disconnected,
    /// The answer to [`Action::Probe`].
    Probed(Liveness),
    /// So many replicas were listed by the gateway.
    Listed { replicas: u32 },
    /// The process leaves; without a server there is nothing to drain.
    Leave { drain: bool },
    /// Nothing is in flight any more, or the drain timed out.
    Drained,
    /// Leaving, begun or to begin, is to end at once.
    Hurry,
    /// The gateway has the service and does not route it.
    Cure,
    /// Another schema has the service's place, or its own does harm.
    Withdraw { for_good: bool },
    /// The gateway lists the service as it is.
    Proved,
    /// The slots that were waited for are free now, or are not.
    Slots { free: bool },
    /// A heartbeat of the service is to be made now.
    Beat,
    /// The first gateway answers, and is to be returned to.
    FirstIsBack,
    /// `wake_at` has come.
    Woken,
}

/// What the machine wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make this call; its answer must come back as [`Input::Answered`].
    Call(Call),
    /// Find out whether the gateway answers at all.
    Probe,
    /// The node is dead, and others behind the gateway's name are not: connect to one of them next.
    MoveOn,
    /// End the connection, so that the call in flight fails.
    Disconnect,
    /// Wait until nothing is in flight.
    Drain,
    /// Leaving is over; late answers are still taken.
    Finish,
    /// Something worth telling.
    Tell(Note),
    /// From now on the calls go to this gateway; if it is the same, to another node of it.
    Turn { to: usize },
    /// Deregister this entry when its gateway can be reached, at the latest at `until`.
    CleanUp { entry: Entry, until: Instant },
}

/// Which of the leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LeaseKind {
    Service,
    /// An entry of the service that is being replaced.
    Former,
    /// Keeps the gateway's connections open while the service leaves.
    Hold,
}

impl LeaseKind {
    /// The hold first: it must be there before the service is. The former last: it goes once the
    /// service is there.
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
    /// The spelling of the address: a new number for each life of the registration.
    Register {
        spelling: u32,
    },
    Heartbeat(Entry),
    Deregister(Entry),
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Registered {
        id: String,
        ttl: Duration,
        /// The node that took it.
        node: Option<SocketAddr>,
    },
    Beat {
        known: bool,
    },
    /// It was not sent, because it would have taken a slot from a newer build.
    HeldBack,
    Deregistered,
    /// It never left the process.
    NotSent,
    /// The connection ended; it may have been carried out.
    Broken,
    /// The gateway said no.
    Refused(ErrorKind),
    /// The same, but it may be the word of a proxy whose routes are not there yet.
    Misrouted(ErrorKind),
}

/// What the user is told of the service's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// The gateway took the registration.
    Registered,
    /// The gateway answered a beat with yes.
    Alive,
    /// The gateway does not know the registration any more.
    Forgotten,
    /// The gateway cannot be reached, or could not do it; tried again soon.
    Unreachable,
    /// The gateway has not answered in the usual time.
    Slow,
    /// The gateway refused the content; tried again slowly.
    Refused(ErrorKind),
    /// A younger process has the identity; this one stays out.
    Displaced,
}

/// When the hold is taken, without which a gateway cancels gRPC calls in flight at the moment a
/// replica deregisters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hold {
    /// Before the service is registered: the only safe moment, and the default.
    #[default]
    AtStart,
    /// When leaving begins: half the entries in the gateway's list, but it costs a schema rebuild
    /// at the worst moment and fails silently while somebody's schema blocks the gateway.
    AtLeave,
    /// Never: gRPC calls in flight are lost at every restart.
    Off,
}
