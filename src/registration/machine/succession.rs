//! A machine that goes on where another one ended.

use std::time::Duration;

use tokio::time::Instant;

use super::{Machine, Which};
use crate::registration::lease::{Lease, LeaseState};

// === impl Machine ===

impl Machine {
    /// Goes on at the gateway of `former`, in its spelling: hold and service must have the same.
    pub(crate) fn succeed(&mut self, former: &Self) {
        self.gateway = former.gateway;
        self.spelling = former.spelling;
        self.looks = former.looks;
        self.conflicts = former.conflicts;
        self.withdrawn = former.withdrawn;
        if self.withdrawn.is_some() {
            self.service = Lease::over();
        }
        if former.hurried {
            self.hurried = true;
        }
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
