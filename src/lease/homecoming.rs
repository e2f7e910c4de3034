//! Back to the first gateway, where that is wanted.

use tokio::time::Instant;

use super::answers::SWEEP;
use super::entry::{Ending, Lease, LeaseState};
use super::{Action, Hold, Machine, Which};

/// An entry on a gateway that was left for another one.
#[derive(Clone, Debug)]
pub(super) struct Left {
    gateway: usize,
    which: Which,
    id: String,
    until: Instant,
}

// === impl Left ===

impl Left {
    pub(super) fn hold(gateway: usize, id: String, until: Instant) -> Self {
        let which = Which::Hold;
        Self {
            gateway,
            which,
            id,
            until,
        }
    }
}

// === impl Machine ===

impl Machine {
    /// Registers with the first gateway; what is held here is deregistered once that is done, so
    /// that the gateways of one cluster always have one. Calls in flight are waited for.
    pub(super) fn return_if_due(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if !self.return_due || self.flight.is_some() {
            return;
        }
        self.return_due = false;
        let may_go = self.former.is_over() && self.withdrawn.is_none() && self.service.is_held();
        if self.gateway == 0 || !self.serves() || !may_go {
            return;
        }
        for which in [Which::Service, Which::Hold] {
            if let LeaseState::Held { id, ttl, .. } = &self.lease(which).state {
                self.left.push(Left {
                    gateway: self.gateway,
                    which,
                    id: id.clone(),
                    until: now + *ttl + SWEEP,
                });
            }
            self.lease_mut(which).end(Ending::NothingHeld);
        }
        for (id, until) in self.old_holds.drain(..) {
            self.left.push(Left::hold(self.gateway, id, until));
        }
        self.gateway = 0;
        actions.push(Action::Turn { to: 0 });
        self.spelling += 1;
        self.service = Lease::wanted(now);
        if self.hold_at == Hold::AtStart {
            self.hold = Lease::wanted(now);
        }
    }

    /// The service is registered elsewhere, or leaves. While it serves, the hold stays for the
    /// calls that are in flight there.
    pub(super) fn give_up_what_was_left(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let serves = self.serves();
        let all = std::mem::take(&mut self.left);
        for left in all.into_iter().filter(|left| left.until > now) {
            if serves && left.which == Which::Hold {
                self.left.push(left);
                continue;
            }
            let Left {
                gateway, id, until, ..
            } = left;
            actions.push(Action::CleanUp { gateway, id, until });
        }
    }

    /// Services that are not given up yet.
    #[cfg(test)]
    pub(super) fn services_left(&self) -> usize {
        let is_service = |left: &&Left| left.which == Which::Service;
        self.left.iter().filter(is_service).count()
    }
}
