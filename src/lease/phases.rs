//! The phases of leaving: the service's entry is withdrawn, the server drains, the hold is
//! released; and how long each may take.

use std::time::{Duration, Instant};

use super::entry::{Ending, Lease};
use super::{Action, Hold, LeaseKind, Machine};

/// How long leaving waits for calls to the gateway before the drain; at most a quarter of the
/// leave timeout.
const WITHDRAW_TIMEOUT: Duration = Duration::from_secs(5);
/// How long leaving waits for the hold's Deregister after the drain, within the leave timeout.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// The limit for each of these when leaving must end at once.
pub(super) const HURRIED_TIMEOUT: Duration = Duration::from_millis(200);

/// `end` is the deadline for leaving as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// Deregistering the service.
    Withdrawing {
        until: Instant,
        end: Instant,
        drain: bool,
    },
    Draining {
        end: Instant,
        over: bool,
    },
    /// Deregistering the hold.
    Releasing {
        until: Instant,
    },
    Finished,
}

// === impl Machine ===

impl Machine {
    pub(super) fn serves(&self) -> bool {
        self.phase == Phase::Serving
    }

    /// Whether a held lease gets heartbeats; otherwise it is deregistered.
    pub(super) fn keeps(&self, which: LeaseKind) -> bool {
        match self.phase {
            Phase::Serving => match which {
                LeaseKind::Hold => true,
                LeaseKind::Service => self.withdrawn.is_none(),
                LeaseKind::Former => self.withdrawn.is_none() && !self.service.is_held(),
            },
            Phase::Withdrawing { .. } | Phase::Draining { .. } => which == LeaseKind::Hold,
            Phase::Releasing { .. } | Phase::Finished => false,
        }
    }

    /// Whether a lease that is not held is to be registered.
    pub(super) fn registers(&self, which: LeaseKind) -> bool {
        match self.phase {
            Phase::Serving => which != LeaseKind::Former,
            Phase::Withdrawing { .. } => which == LeaseKind::Hold && self.hold_at == Hold::AtLeave,
            Phase::Draining { .. } | Phase::Releasing { .. } | Phase::Finished => false,
        }
    }

    pub(super) fn leave(&mut self, drain: bool, in_doubt: &[LeaseKind], now: Instant) {
        if !self.serves() {
            return;
        }
        let end = now + self.leave_timeout;
        self.phase = Phase::Withdrawing {
            // The drain needs the remaining time.
            until: now + WITHDRAW_TIMEOUT.min(self.leave_timeout / 4),
            end,
            drain,
        };
        if self.hurried {
            self.hurry(now);
        }
        // Without an entry the gateway has no connection to keep open.
        let may_be_registered = !self.service.is_over() || !self.former.is_over();
        if drain && may_be_registered && self.hold_at == Hold::AtLeave {
            self.hold = Lease::wanted(now);
        }
        for which in in_doubt {
            self.lease_mut(*which).doubt();
        }
        self.leave_with_the_former();
        for lease in [&mut self.service, &mut self.former] {
            lease.withdrawals = 0;
            lease.set_due(now);
        }
    }

    pub(super) fn hurry(&mut self, now: Instant) {
        self.hurried = true;
        if let Phase::Withdrawing { until, .. } | Phase::Releasing { until } = &mut self.phase {
            *until = (*until).min(now + HURRIED_TIMEOUT);
        }
    }

    pub(super) fn drained(&mut self) {
        if let Phase::Draining { over, .. } = &mut self.phase {
            *over = true;
        }
    }

    pub(super) fn change_phase(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let Phase::Withdrawing { until, end, drain } = self.phase
            && (self.service.is_over() && self.former.is_over() || now >= until)
        {
            self.phase = Phase::Draining { end, over: !drain };
            if drain && now < end {
                actions.push(Action::Drain);
            }
        }
        if let Phase::Draining { end, over } = self.phase
            && (over || now >= end)
        {
            let patience = if self.hurried {
                HURRIED_TIMEOUT
            } else {
                RELEASE_TIMEOUT
            };
            self.phase = Phase::Releasing {
                until: end.min(now + patience),
            };
            self.hold.set_due(now);
            self.end_what_is_not_wanted(now);
        }
        if let Phase::Releasing { until } = self.phase {
            if self.hold.is_over() {
                self.release_an_old_hold(now);
            }
            if self.hold.is_over() || now >= until {
                self.phase = Phase::Finished;
                // The report is made, and another process may have the address from now on.
                for which in LeaseKind::ALL {
                    if self.lease(which).is_doubtful() {
                        self.lease_mut(which).end(Ending::Unanswered);
                    }
                }
                actions.push(Action::Finish);
            }
        }
    }

    /// The gateway has already evicted the expired ones.
    fn release_an_old_hold(&mut self, now: Instant) {
        self.old_holds.retain(|(_, until)| *until > now);
        if let Some((entry, _)) = self.old_holds.pop() {
            self.hold = Lease::held(entry, now, now);
        }
    }
}
