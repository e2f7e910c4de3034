//! What follows from the answer to a call.

use std::time::Duration;

use tokio::time::Instant;

use super::cure::Withdrawn;
use super::entry::{Ending, Lease, LeaseState};
use super::{Action, Answer, Hold, Machine, Note, Verb, Which};
use crate::control::is_transient;
use crate::error::ErrorKind;

/// A Deregister that failed is tried again this often: the connection may just have ended.
const WITHDRAWALS: u32 = 3;
/// The most holds of earlier spellings that are remembered.
const OLD_HOLDS: usize = 8;
/// The longest time from the end of a TTL to the eviction (contract § 3), and some more.
pub(crate) const SWEEP: Duration = Duration::from_secs(6);

/// To the next attempt at a heartbeat that was held back.
const HELD_BACK: Duration = Duration::from_millis(500);

/// What the gateway takes again once whoever has the slot has left it.
pub(crate) fn is_of_a_slot(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::SchemaConflict | ErrorKind::KindConflict)
}

// === impl Machine ===

impl Machine {
    pub(super) fn answered(&mut self, answer: Answer, now: Instant, actions: &mut Vec<Action>) {
        let Some(flight) = self.flight.take() else {
            return;
        };
        let which = flight.call.which;
        let arrived = !matches!(answer, Answer::NotSent | Answer::Broken);
        if arrived {
            self.unreached = 0;
        }
        let is_dead = answer == Answer::NotSent && self.gateways > 1 || flight.given_up;
        match (flight.call.verb, answer) {
            (Verb::Register { .. }, Answer::Registered { id, ttl }) => {
                self.registered(which, id, ttl, flight.since, now, actions);
            }
            (Verb::Heartbeat(_), Answer::Beat { known: true }) => {
                self.beat_confirmed(which, flight.since, now, actions);
            }
            (Verb::Heartbeat(_), Answer::HeldBack) => self.held_back(which, now),
            (Verb::Heartbeat(_), Answer::Beat { known: false }) => {
                self.forgotten(which, now, actions);
            }
            (Verb::Deregister(_), Answer::Deregistered) => {
                self.lease_mut(which).end(Ending::Deregistered);
            }
            (Verb::Deregister(_), answer) => self.not_deregistered(which, &answer, now),
            (Verb::Register { .. }, answer) if !self.registers(which) => {
                // Broken: the gateway may have taken it, under an id that nobody knows.
                let ending = match answer {
                    Answer::Broken => Ending::Unanswered,
                    _ => Ending::NothingHeld,
                };
                self.lease_mut(which).end(ending);
            }
            // The question has become idle; the Deregister is due.
            (Verb::Heartbeat(_), _) if !self.keeps(which) => self.lease_mut(which).set_due(now),
            (_, Answer::Refused(ErrorKind::Displaced)) => {
                self.withdrawn = Some(Withdrawn::ForGood);
                self.service.end(Ending::NothingHeld);
                self.former.set_due(now);
                self.tell(Which::Service, Note::Displaced, actions);
            }
            (_, Answer::NotSent | Answer::Broken) if is_dead && self.serves() => {
                self.fail_over(now, actions);
            }
            (Verb::Register { .. }, answer @ Answer::Refused(kind)) => {
                self.waits |= which == Which::Service && is_of_a_slot(kind);
                self.failed(which, &answer, now, actions);
            }
            (_, answer) => self.failed(which, &answer, now, actions),
        }
        // It was the last thing that the connection brought.
        if arrived && flight.connection_ended {
            self.disconnected(now);
        }
    }

    /// A gateway that restarts is there again in a moment. While the server serves there is time.
    fn not_deregistered(&mut self, which: Which, answer: &Answer, now: Instant) {
        let tried = self.lease(which).withdrawals;
        let pause = match answer {
            Answer::NotSent => self.pace.poll(),
            _ if self.serves() => self.pace.backoff(tried),
            _ => self.pace.soon(),
        };
        let may_wait = self.serves();
        let lease = self.lease_mut(which);
        lease.withdrawals = tried.saturating_add(1);
        if may_wait || lease.withdrawals < WITHDRAWALS {
            lease.set_due(now + pause);
        } else {
            lease.end(Ending::Failed);
        }
    }

    fn registered(
        &mut self,
        which: Which,
        id: String,
        ttl: Duration,
        sent: Instant,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let due = self.next_beat(which, ttl, sent, now);
        let lease = self.lease_mut(which);
        *lease = Lease::wanted(now);
        lease.state = LeaseState::Held {
            id,
            ttl,
            due,
            confirmed: sent,
        };
        if which == Which::Service {
            self.waits = false;
            self.give_up_what_was_left(now, actions);
            // It has been replaced.
            self.former.set_due(now);
        }
        self.tell(which, Note::Registered, actions);
    }

    fn beat_confirmed(
        &mut self,
        which: Which,
        sent: Instant,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        if let LeaseState::Held { ttl, .. } = self.lease(which).state {
            let due = self.next_beat(which, ttl, sent, now);
            let lease = self.lease_mut(which);
            (lease.failures, lease.refusals, lease.misroutes) = (0, 0, 0);
            lease.set_due(due);
            if let LeaseState::Held { confirmed, .. } = &mut lease.state {
                *confirmed = sent;
            }
        }
        self.tell(which, Note::Alive, actions);
    }

    /// What to do about the slot comes from a look, which follows at once.
    fn held_back(&mut self, which: Which, now: Instant) {
        let pause = match self.keeps(which) {
            true => HELD_BACK,
            false => Duration::ZERO,
        };
        self.lease_mut(which).set_due(now + pause);
    }

    /// A lease that is not kept any more is deregistered at once.
    fn next_beat(&mut self, which: Which, ttl: Duration, sent: Instant, now: Instant) -> Instant {
        if self.keeps(which) {
            (sent + self.pace.beat(ttl)).max(now)
        } else {
            now
        }
    }

    fn forgotten(&mut self, which: Which, now: Instant, actions: &mut Vec<Action>) {
        if !self.serves() {
            // Too late for a new one.
            self.lease_mut(which).end(Ending::NothingHeld);
            return;
        }
        match which {
            Which::Former => self.former.end(Ending::NothingHeld),
            Which::Hold => {
                self.hold = Lease::wanted(now + self.pace.again());
                // A gateway that forgot one has most often forgotten both.
                self.service.beat_by(now);
            }
            // It was to be removed: nothing changes for whoever waits for its slots.
            Which::Service if self.withdrawn.is_some() => {
                self.service.end(Ending::NothingHeld);
                return;
            }
            Which::Service => {
                let again = now + self.pace.again();
                self.service = Lease::wanted(again);
                self.spelling += 1;
                self.renew_hold(again);
            }
        }
        self.tell(which, Note::Forgotten, actions);
    }

    /// The hold must have the service's new spelling, and be there before the service is: where
    /// both are due, it goes first.
    pub(super) fn renew_hold(&mut self, at: Instant) {
        self.retire_hold(at);
        if self.hold_at == Hold::AtStart {
            self.hold = Lease::wanted(at);
        }
    }

    /// The old one, if the gateway still has it, keeps calls in flight alive until its TTL is
    /// over.
    pub(super) fn retire_hold(&mut self, now: Instant) {
        self.old_holds.retain(|(_, until)| *until > now);
        if let LeaseState::Held { id, ttl, .. } = &self.hold.state {
            self.old_holds.push((id.clone(), now + *ttl + SWEEP));
        }
        // A gateway may forget as often as it likes, and grant TTLs of days.
        if self.old_holds.len() > OLD_HOLDS {
            self.old_holds.remove(0);
        }
        self.hold.end(Ending::NothingHeld);
    }

    /// A Register or a Heartbeat without the answer that was asked for; it is made again.
    fn failed(&mut self, which: Which, answer: &Answer, now: Instant, actions: &mut Vec<Action>) {
        let lease = self.lease(which);
        let (failures, refusals, misroutes) = (lease.failures, lease.refusals, lease.misroutes);
        let (delay, note) = match answer {
            Answer::NotSent => (self.pace.poll(), Note::Unreachable),
            // Tried again as `unstable`.
            Answer::Refused(ErrorKind::TierRefused) if which == Which::Hold && refusals == 0 => {
                (Duration::ZERO, Note::Refused(ErrorKind::TierRefused))
            }
            Answer::Refused(kind) if !is_transient(*kind) => {
                (self.pace.refusal(refusals), Note::Refused(*kind))
            }
            // As every proxy says in the middle of a rollout.
            Answer::Misrouted(_) if misroutes == 0 => (self.pace.moment(), Note::Unreachable),
            Answer::Misrouted(kind) => {
                let note = match is_transient(*kind) {
                    true => Note::Unreachable,
                    false => Note::Refused(*kind),
                };
                (self.pace.refusal(misroutes - 1), note)
            }
            _ => (self.pace.backoff(failures), Note::Unreachable),
        };
        let lease = self.lease_mut(which);
        if *answer != Answer::NotSent {
            lease.failures = failures.saturating_add(1);
            match answer {
                Answer::Refused(kind) if !is_transient(*kind) => {
                    lease.refusals = refusals.saturating_add(1);
                }
                Answer::Misrouted(_) => lease.misroutes = misroutes.saturating_add(1),
                _ => {}
            }
        }
        let timed_out = *answer == Answer::Refused(ErrorKind::TimedOut);
        if !lease.is_held() && (*answer == Answer::Broken || timed_out) {
            lease.is_in_doubt = true;
        }
        // A beat is only a question: it is asked again well before the lease is over.
        let delay = match &lease.state {
            LeaseState::Held { ttl, .. } => delay.min(*ttl / 3),
            _ => delay,
        };
        lease.set_due(now + delay);
        if *answer == Answer::NotSent {
            // One attempt is made, and tells, for all; the tries of a Deregister are counted.
            if self.serves() {
                for which in Which::ALL {
                    self.lease_mut(which).not_before(now + delay);
                }
            }
            self.tell(Which::Service, note, actions);
        } else {
            self.tell(which, note, actions);
        }
    }

    /// Only the service's lease, and only while it serves, is the user's concern.
    pub(super) fn tell(&self, which: Which, note: Note, actions: &mut Vec<Action>) {
        if which == Which::Service && self.serves() {
            actions.push(Action::Tell(note));
        }
    }
}
