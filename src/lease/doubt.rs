//! An answer that is overdue: slow, or dead.

use std::time::Duration;

use tokio::time::Instant;

use super::entry::LeaseState;
use super::{Action, Flight, Machine, Note, Verb, Which};
use crate::control::Liveness;

/// Between two probes of a gateway that answers, but not the call.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

// === impl Machine ===

impl Machine {
    pub(super) fn doubt_the_flight(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let serves = self.serves();
        let Some(flight) = &mut self.flight else {
            return;
        };
        if flight.doubt_at.is_none_or(|at| at > now) {
            return;
        }
        if !flight.slow {
            flight.slow = true;
            // Whichever was asked: it is one gateway.
            if serves {
                actions.push(Action::Tell(Note::Slow));
            }
        }
        // Slow changes nothing yet: only silence for 2/3 of the lease is looked into.
        let lease = match flight.call.which {
            Which::Hold => &self.hold,
            Which::Service => &self.service,
            Which::Former => &self.former,
        };
        let probe_at = match (&flight.call.verb, &lease.state) {
            (Verb::Heartbeat(_), LeaseState::Held { ttl, confirmed, .. }) => {
                *confirmed + ttl.mul_f64(2.0 / 3.0)
            }
            _ => now,
        };
        if probe_at > now {
            flight.doubt_at = Some(probe_at);
        } else {
            flight.doubt_at = None;
            if !self.probing {
                self.probing = true;
                actions.push(Action::Probe);
            }
        }
    }

    pub(super) fn probed(&mut self, found: Liveness, now: Instant, actions: &mut Vec<Action>) {
        self.probing = false;
        let (several, serves) = (self.gateways > 1, self.serves());
        // The call that was in doubt may have been answered, and another be under way.
        let doubted = |flight: &&mut Flight| flight.doubt_at.is_none();
        let Some(flight) = self.flight.as_mut().filter(doubted) else {
            return;
        };
        match found {
            // The call never ends by itself.
            Liveness::Dead => actions.push(Action::Disconnect),
            // With nowhere else to go, silence proves nothing, and the call is waited for.
            Liveness::Silent | Liveness::NodeSilent
                if serves && (several || found == Liveness::NodeSilent) =>
            {
                flight.given_up = true;
                if found == Liveness::NodeSilent {
                    actions.push(Action::MoveOn);
                }
                actions.push(Action::Disconnect);
            }
            Liveness::Silent | Liveness::NodeSilent | Liveness::Slow => {}
        }
        let pause = match found {
            // As with any gateway that cannot be reached: it may be back in a moment.
            Liveness::Silent | Liveness::NodeSilent => self.pace.poll(),
            Liveness::Dead | Liveness::Slow => PROBE_INTERVAL,
        };
        flight.doubt_at = Some(now + pause);
    }
}
