//! An entry on a gateway, and the lease that keeps it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::LeaseKind;

/// An entry on a gateway: the only record of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The id that the gateway gave it.
    pub(crate) id: String,
    /// The granted TTL.
    pub(crate) ttl: Duration,
    /// The number of the gateway that has it.
    pub(crate) gateway: usize,
    /// The node behind the gateway's name that has it: ids are valid on one node.
    pub(crate) node: Option<SocketAddr>,
    pub(crate) kind: LeaseKind,
}

/// A registration that is wanted, held or over.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) state: LeaseState,
    /// Failed Register calls in a row.
    pub(crate) failures: u32,
    /// Those of them whose content was refused, by the gateway or perhaps by a proxy.
    pub(crate) refusals: u32,
    pub(crate) misroutes: u32,
    /// A Register broke off: the gateway may have an entry with an unknown id.
    pub(crate) is_in_doubt: bool,
    /// Failed Deregister and Recall calls.
    pub(crate) withdrawals: u32,
    /// How it ended; `None` until it is over.
    pub(crate) ending: Option<Ending>,
    /// The entry that could not be deregistered, and stays.
    abandoned: Option<Entry>,
}

#[derive(Clone, Debug)]
pub(crate) enum LeaseState {
    /// Not registered; the next Register is due at `until`.
    Wanted { until: Instant },
    /// Registered; the next heartbeat, or the Deregister, is due at `due`.
    Held {
        entry: Entry,
        due: Instant,
        /// When the last call that got a positive answer was sent.
        confirmed: Instant,
    },
    /// Nothing is wanted, but a Register broke off: at `due`, look for what it may have left;
    /// `None` while the server may need it.
    Doubtful { due: Option<Instant> },
    /// Nothing is registered, and nothing will be.
    Over,
}

/// How an entry of ours ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Never registered, or unknown to the gateway now.
    NothingHeld,
    /// Deregistered.
    Deregistered,
    /// The gateway could not be reached; the entry stays until its TTL expires.
    Failed,
    /// A call was not answered in time; the entry may stay until its TTL expires.
    Unanswered,
}

// === impl Lease ===

impl Lease {
    pub(crate) fn wanted(until: Instant) -> Self {
        Self {
            state: LeaseState::Wanted { until },
            failures: 0,
            refusals: 0,
            misroutes: 0,
            is_in_doubt: false,
            withdrawals: 0,
            ending: None,
            abandoned: None,
        }
    }

    /// Wanted on another gateway; what a Register left on this one stays in doubt.
    pub(crate) fn want_elsewhere(&mut self, until: Instant) {
        *self = Self {
            is_in_doubt: self.is_in_doubt,
            ..Self::wanted(until)
        };
    }

    /// Nothing is held, and nothing is wanted.
    pub(crate) fn over() -> Self {
        Self {
            state: LeaseState::Over,
            failures: 0,
            refusals: 0,
            misroutes: 0,
            is_in_doubt: false,
            withdrawals: 0,
            ending: Some(Ending::NothingHeld),
            abandoned: None,
        }
    }

    /// Held, and last confirmed at `confirmed`.
    pub(crate) fn held(entry: Entry, due: Instant, confirmed: Instant) -> Self {
        let mut lease = Self::wanted(due);
        lease.state = LeaseState::Held {
            entry,
            due,
            confirmed,
        };
        lease
    }

    /// The same lease, as another kind.
    pub(crate) fn into_kind(mut self, kind: LeaseKind) -> Self {
        if let LeaseState::Held { entry, .. } = &mut self.state {
            entry.kind = kind;
        }
        self
    }

    /// The entry that the gateway has, as far as is known.
    pub(crate) fn entry(&self) -> Option<&Entry> {
        match &self.state {
            LeaseState::Held { entry, .. } => Some(entry),
            LeaseState::Wanted { .. } | LeaseState::Doubtful { .. } | LeaseState::Over => {
                self.abandoned.as_ref()
            }
        }
    }

    /// A gateway may have an entry that this lease does not know, whatever has become of it since.
    pub(crate) fn doubt(&mut self) {
        self.is_in_doubt = true;
        if self.is_over() {
            self.give_up(None);
        }
    }

    /// Nothing is wanted; at `due`, what a Register may have left is looked for, if that is to be
    /// removed.
    pub(crate) fn give_up(&mut self, due: Option<Instant>) {
        if self.is_in_doubt {
            self.state = LeaseState::Doubtful { due };
            self.withdrawals = 0;
        } else {
            self.end(Ending::NothingHeld);
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        matches!(self.state, LeaseState::Held { .. })
    }

    pub(crate) fn is_doubtful(&self) -> bool {
        matches!(self.state, LeaseState::Doubtful { .. })
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, LeaseState::Over)
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        match &self.state {
            LeaseState::Wanted { until } => Some(*until),
            LeaseState::Held { due, .. } => Some(*due),
            LeaseState::Doubtful { due } => *due,
            LeaseState::Over => None,
        }
    }

    pub(crate) fn set_due(&mut self, at: Instant) {
        match &mut self.state {
            LeaseState::Wanted { until } => *until = at,
            LeaseState::Held { due, .. } => *due = at,
            LeaseState::Doubtful { due } => *due = Some(at),
            LeaseState::Over => {}
        }
    }

    /// Brings the next heartbeat forward; a Register that is due keeps its pace.
    pub(crate) fn beat_by(&mut self, at: Instant) {
        if let LeaseState::Held { due, .. } = &mut self.state {
            *due = at.min(*due);
        }
    }

    /// Brings the next Register forward.
    pub(crate) fn register_by(&mut self, at: Instant) {
        if let LeaseState::Wanted { until } = &mut self.state {
            *until = at.min(*until);
        }
    }

    pub(crate) fn not_before(&mut self, at: Instant) {
        if self.due().is_some_and(|due| due < at) {
            self.set_due(at);
        }
    }

    pub(crate) fn end(&mut self, ending: Ending) {
        let state = std::mem::replace(&mut self.state, LeaseState::Over);
        if let (LeaseState::Held { entry, .. }, Ending::Failed) = (state, ending) {
            self.abandoned = Some(entry);
        }
        self.ending = Some(ending);
    }
}
