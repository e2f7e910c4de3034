//! A machine that goes on where another one ended.

use std::time::Duration;

use tokio::time::Instant;

use super::entry::{Lease, LeaseState};
use super::{Machine, Which};

// === impl Machine ===

impl Machine {
    /// Goes on at the gateway of `former`, in its spelling: hold and service must have the same.
    pub(crate) fn succeed(&mut self, former: &Self) {
        self.gateway = former.gateway;
        self.spelling = former.spelling;
        self.waits = former.waits;
        self.conflicts = former.conflicts;
        self.left.clone_from(&former.left);
        self.old_holds.clone_from(&former.old_holds);
        self.withdrawn = former.withdrawn;
        self.withdraw_due = former.withdraw_due;
        if self.withdrawn.is_some() {
            self.service = Lease::over();
        }
        if former.hurried {
            self.hurried = true;
        }
    }

    /// Nothing is registered until a slot is free.
    pub(crate) fn waits_for_slots(&self) -> bool {
        self.waits && self.serves()
    }

    /// Takes an entry over that a former machine registered, and asks the gateway at once whether
    /// it is there.
    pub(crate) fn adopt(&mut self, which: Which, id: String, ttl: Duration, now: Instant) {
        let mut lease = Lease::wanted(now);
        lease.state = LeaseState::Held {
            id,
            ttl,
            due: now,
            confirmed: now,
        };
        *self.lease_mut(which) = lease;
    }
}
