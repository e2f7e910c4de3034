//! To the next gateway, when the one that was registered with cannot be reached; where there is one
//! with several nodes behind its name, to the next node.

use tokio::time::Instant;

use super::answers::SWEEP;
use super::entry::{Ending, Lease, LeaseState};
use super::homecoming::Left;
use super::{Action, Hold, Machine, Note, Which};

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
        // What was withdrawn stays so.
        if self.withdrawn.is_none() {
            // Whoever waits for slots waits for those of the next gateway: at most a look there
            // brings it on.
            let pause = match self.waits {
                true => self.pace.refusal(0),
                false => std::time::Duration::ZERO,
            };
            self.service = Lease::wanted(at + pause);
            if self.hold_at == Hold::AtStart {
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
                let (id, until) = (id.clone(), now + *ttl + SWEEP);
                if which == Which::Hold {
                    self.old_holds.push((id, until));
                } else {
                    actions.push(Action::CleanUp { gateway, id, until });
                }
            }
            self.lease_mut(which).end(Ending::NothingHeld);
        }
        // A gateway that is only cut off may have calls in flight.
        for (id, until) in self.old_holds.drain(..) {
            self.left.push(Left::hold(gateway, id, until));
        }
    }
}
