//! Failover to the next gateway when the current one cannot be reached, or to the next node if one
//! gateway has several nodes behind its name. And the return to the first gateway, if that is
//! wanted.

use std::time::Instant;

use super::answers::SWEEP;
use super::entry::{Ending, Lease, LeaseState};
use super::{Action, Hold, LeaseKind, Machine, Note};

// === impl Machine ===

impl Machine {
    /// Registers with the next gateway at once; after a full round, and with a single gateway, at
    /// the pace of polling.
    pub(super) fn fail_over(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.abandon(now, actions);
        self.gateway = (self.gateway + 1) % self.gateways;
        self.unreached += 1;
        actions.push(Action::Turn { to: self.gateway });
        let at = if self.unreached.is_multiple_of(self.gateways) {
            now + self.pace.poll()
        } else {
            now
        };
        self.spelling += 1;
        // A withdrawn service stays withdrawn.
        if self.withdrawn.is_none() {
            // A service that waits for slots now waits for those of the next gateway: only a look
            // there can bring it forward.
            let pause = match self.waits {
                true => self.pace.refusal(0),
                false => std::time::Duration::ZERO,
            };
            self.service.want_elsewhere(at + pause);
            if self.hold_at == Hold::AtStart {
                self.hold.want_elsewhere(at);
            }
        }
        self.tell(LeaseKind::Service, Note::Unreachable, actions);
    }

    /// Entries that the gateway may still have are removed when it can be reached again: ids are
    /// valid on one node.
    fn abandon(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for which in LeaseKind::ALL {
            if let LeaseState::Held { entry, .. } = &self.lease(which).state {
                let (entry, until) = (entry.clone(), now + entry.ttl + SWEEP);
                if which == LeaseKind::Hold {
                    self.old_holds.push((entry, until));
                } else {
                    actions.push(Action::CleanUp { entry, until });
                }
            }
            self.lease_mut(which).end(Ending::NothingHeld);
        }
        // A gateway that is only cut off may have calls in flight.
        self.elsewhere.append(&mut self.old_holds);
    }

    /// Registers with the first gateway, and only then deregisters from the current one, so that
    /// the gateways of one cluster always have a replica. Waits for calls in flight.
    pub(super) fn return_if_due(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if !self.return_due || self.flight.is_some() {
            return;
        }
        self.return_due = false;
        let may_go = self.former.is_over() && self.withdrawn.is_none() && self.service.is_held();
        if self.gateway == 0 || !self.serves() || !may_go {
            return;
        }
        for which in [LeaseKind::Service, LeaseKind::Hold] {
            if let LeaseState::Held { entry, .. } = &self.lease(which).state {
                let until = now + entry.ttl + SWEEP;
                self.elsewhere.push((entry.clone(), until));
            }
            self.lease_mut(which).end(Ending::NothingHeld);
        }
        self.elsewhere.append(&mut self.old_holds);
        self.gateway = 0;
        actions.push(Action::Turn { to: 0 });
        self.spelling += 1;
        self.service = Lease::wanted(now);
        if self.hold_at == Hold::AtStart {
            self.hold = Lease::wanted(now);
        }
    }

    /// Called when the service is registered elsewhere, or leaves. While the server serves, the
    /// hold stays for the calls that are in flight there.
    pub(super) fn give_up_what_is_elsewhere(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let serves = self.serves();
        let all = std::mem::take(&mut self.elsewhere);
        for (entry, until) in all.into_iter().filter(|(_, until)| *until > now) {
            if serves && entry.kind == LeaseKind::Hold {
                self.elsewhere.push((entry, until));
                continue;
            }
            actions.push(Action::CleanUp { entry, until });
        }
    }

    /// The number of services on other gateways that are not given up yet.
    #[cfg(test)]
    pub(super) fn services_elsewhere(&self) -> usize {
        let is_service = |(entry, _): &&(super::Entry, Instant)| entry.kind == LeaseKind::Service;
        self.elsewhere.iter().filter(is_service).count()
    }
}
