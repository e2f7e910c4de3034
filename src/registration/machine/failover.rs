//! To the next gateway, when the one that was registered with cannot be reached.

use tokio::time::Instant;

use super::answers::SWEEP;
use super::{Action, HoldAt, Machine, Note, Which};
use crate::registration::lease::{Ending, Lease, LeaseState};

// === impl Machine ===

impl Machine {
    /// Registers with the next gateway at once; after a round of all of them, as with a single
    /// one, at the pace of polling.
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
        self.looks = true;
        // What was withdrawn stays so.
        if self.withdrawn.is_none() {
            self.service = Lease::wanted(at);
            if self.hold_at == HoldAt::Start {
                self.hold = Lease::wanted(at);
            }
        }
        self.tell(Which::Service, Note::Unreachable, actions);
    }

    /// The entries that the gateway may still have are removed when it can be reached again: ids
    /// live on one node.
    fn abandon(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let gateway = self.gateway;
        for which in Which::ALL {
            if let LeaseState::Held { id, ttl, .. } = &self.lease(which).state {
                actions.push(Action::CleanUp {
                    gateway,
                    id: id.clone(),
                    until: now + *ttl + SWEEP,
                });
            }
            self.lease_mut(which).end(Ending::NothingHeld);
        }
        for (id, until) in self.old_holds.drain(..).filter(|(_, until)| *until > now) {
            actions.push(Action::CleanUp { gateway, id, until });
        }
    }
}
