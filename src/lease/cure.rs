//! What follows from evidence that the gateway has the service but does not route it.

use std::time::{Duration, Instant};

use super::entry::{Ending, Lease, LeaseState};
use super::{Hold, LeaseKind, Machine};

/// The service is to be deregistered while the server keeps serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Withdrawn {
    /// Registered again at this time, or when its slot is free.
    Until(Instant),
    /// Its schema harms the gateway.
    ForGood,
}

// === impl Machine ===

impl Machine {
    /// Registers again in a fresh spelling, then deregisters the dead entry: in this order every
    /// node of a cluster routes again, even if a block ends only later (contract, A blocked
    /// gateway). Waits for a call in flight.
    pub(super) fn cure_if_due(&mut self, now: Instant) {
        if !self.cure_due || self.flight.is_some() {
            return;
        }
        self.cure_due = false;
        let free = self.former.is_over() && self.withdrawn.is_none();
        if !self.serves() || !self.service.is_held() || !free {
            return;
        }
        // Gets heartbeats like the service, until the service is registered.
        let former = std::mem::replace(&mut self.service, Lease::wanted(now));
        self.former = former.into_kind(LeaseKind::Former);
        self.spelling += 1;
        self.renew_hold(now);
    }

    /// Deregisters the service: another schema has its slot, or its own schema is at fault. During
    /// a cure, the answer to the Register is awaited; the former entry is deregistered if there is
    /// nothing else.
    pub(super) fn withdraw_if_due(&mut self, now: Instant) {
        let Some(for_good) = self.withdraw_due else {
            return;
        };
        let is_open = self.is_in_flight(LeaseKind::Service) || self.is_in_flight(LeaseKind::Former);
        if is_open && !self.service.is_held() && self.serves() {
            return;
        }
        self.withdraw_due = None;
        if !self.service.is_held() && self.former.is_held() && self.serves() {
            let former = std::mem::replace(&mut self.former, Lease::over());
            self.service = former.into_kind(LeaseKind::Service);
        }
        self.withdraw(for_good, now);
    }

    fn withdraw(&mut self, for_good: bool, now: Instant) {
        let is_moot = !self.service.is_held() || self.withdrawn.is_some();
        if !self.serves() || is_moot && !for_good {
            return;
        }
        if matches!(self.service.state, LeaseState::Wanted { .. }) {
            self.service.give_up(Some(now));
        }
        self.waits = !for_good;
        self.withdrawn = Some(if for_good {
            Withdrawn::ForGood
        } else {
            let again = now + self.pace.refusal(self.conflicts);
            self.conflicts = self.conflicts.saturating_add(1);
            Withdrawn::Until(again)
        });
        self.service.set_due(now);
        self.former.set_due(now);
    }

    /// While looks report a slot as taken, nothing is registered; without looks, the machine
    /// retries slowly. If a gateway refuses although the slot looks free, retries become ever
    /// slower.
    pub(super) fn slots_seen(&mut self, free: bool, now: Instant) {
        if !self.waits {
            return;
        }
        let vain = self.service.failures.max(self.conflicts);
        let pause = match (free, vain) {
            (false, _) => self.pace.refusal(0),
            (true, 0 | 1) => Duration::ZERO,
            (true, 2..=5) => self.pace.backoff(vain),
            (true, _) => self.pace.refusal(vain - 6),
        };
        let at = now + pause;
        if let Some(Withdrawn::Until(again)) = &mut self.withdrawn {
            *again = at;
        } else if free {
            self.service.register_by(at);
        } else if !self.service.is_held() && self.flight.is_none() {
            self.service.not_before(at);
        }
    }

    /// The service's entry is, or is being, removed although the server keeps serving.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.withdrawn.is_some()
    }

    #[cfg(test)]
    pub(super) fn is_withdrawn_for_good(&self) -> bool {
        self.withdrawn == Some(Withdrawn::ForGood)
    }

    /// A new entry exists or is being registered, and the old one is not removed yet or, at the
    /// end, could not be.
    #[cfg(test)]
    pub(super) fn replaces(&self) -> bool {
        self.former.is_held() || self.former.ending == Some(Ending::Failed)
    }

    /// As far as is known, the gateway routes the service.
    pub(super) fn proved(&mut self) {
        self.conflicts = 0;
    }

    /// Once the entry is gone, the service may be wanted again.
    pub(super) fn want_again(&mut self, now: Instant) {
        if !self.serves() || !self.service.is_over() || self.flight.is_some() {
            return;
        }
        if self.withdrawn.is_some() && !self.former.is_over() {
            // The Deregister goes first.
            return;
        }
        match self.withdrawn {
            Some(Withdrawn::Until(again)) => {
                self.withdrawn = None;
                self.service = Lease::wanted(again.max(now));
                if self.hold_at == Hold::AtStart && self.hold.is_over() {
                    self.hold = Lease::wanted(again.max(now));
                }
            }
            Some(Withdrawn::ForGood) => {
                self.service.end(Ending::NothingHeld);
                if !self.hold.is_over() {
                    self.retire_hold(now);
                }
            }
            None => {}
        }
    }

    /// At the end, the entry that was to be replaced may be the only one.
    pub(super) fn leave_with_the_former(&mut self) {
        let has_none = !self.service.is_held() && !self.is_in_flight(LeaseKind::Service);
        if has_none && self.former.is_held() && !self.is_in_flight(LeaseKind::Former) {
            let former = std::mem::replace(&mut self.former, Lease::over());
            self.service = former.into_kind(LeaseKind::Service);
        }
    }
}
