//! What follows from the answer to a call, and from an overdue one: slow, or dead.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::cure::Withdrawn;
use super::entry::{Ending, Entry, Lease, LeaseState};
use super::{Action, Answer, Flight, Hold, LeaseKind, Machine, Note, Verb};
use crate::error::ErrorKind;
use crate::liveness::Liveness;

/// How often a failed Deregister is retried: the connection may just have ended.
const WITHDRAWALS: u32 = 3;
/// The most holds of earlier spellings that are remembered.
const OLD_HOLDS: usize = 8;
/// The longest time from the end of a TTL to the eviction (contract § 3), plus a margin.
pub(crate) const SWEEP: Duration = Duration::from_secs(6);

/// The pause before the next attempt at a heartbeat that was held back.
const HELD_BACK: Duration = Duration::from_millis(500);

/// The interval between probes of a gateway that answers, but not the call.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// Refusals that end once the other schema has left the slot.
pub(crate) fn is_of_a_slot(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::SchemaConflict | ErrorKind::KindConflict)
}

/// Whether the gateway may have carried out a call, under an id that nobody knows.
pub(super) fn leaves_doubt(answer: &Answer) -> bool {
    matches!(
        answer,
        Answer::Broken | Answer::Refused(ErrorKind::TimedOut)
    )
}

// === impl Machine ===

impl Machine {
    pub(super) fn answered(&mut self, answer: Answer, now: Instant, actions: &mut Vec<Action>) {
        let Some(flight) = self.flight.take() else {
            return;
        };
        let which = flight.call.which;
        let arrived = !matches!(answer, Answer::NotSent | Answer::Broken | Answer::Foreign);
        if arrived && answer != Answer::Misrouted {
            self.unreached = 0;
        }
        let several = self.gateways > 1;
        let is_elsewhere = match answer {
            Answer::NotSent | Answer::Foreign => several || flight.given_up,
            Answer::Broken => flight.given_up,
            // The first such answer may be a proxy's in the middle of a rollout.
            Answer::Misrouted => several && self.lease(which).misroutes > 0,
            // A gateway without its store, or a proxy without its gateway, may stay so.
            Answer::Refused(ErrorKind::Unavailable) => several && self.lease(which).failures > 0,
            _ => false,
        };
        match (flight.call.verb, answer) {
            (Verb::Register { .. }, Answer::Registered { id, ttl, node }) => {
                let entry = self.granted(which, id, ttl, node);
                self.registered(entry, flight.since, now, actions);
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
            (Verb::Deregister(_), answer) => {
                self.not_deregistered(which, &answer, Ending::Failed, now);
            }
            (Verb::Recall, Answer::Recalled { found: 0 }) => {
                self.lease_mut(which).end(Ending::NothingHeld);
            }
            (Verb::Recall, Answer::Recalled { .. }) => {
                self.lease_mut(which).end(Ending::Deregistered);
            }
            (Verb::Recall, Answer::Unknowable) => self.lease_mut(which).end(Ending::Unanswered),
            (Verb::Recall, answer) => {
                self.not_deregistered(which, &answer, Ending::Unanswered, now);
            }
            (Verb::Register { .. }, answer) if !self.registers(which) => {
                self.lease_mut(which).is_in_doubt |= leaves_doubt(&answer);
            }
            // The heartbeat no longer matters; the Deregister is due.
            (Verb::Heartbeat(_), _) if !self.keeps(which) => self.lease_mut(which).set_due(now),
            (_, Answer::Refused(ErrorKind::Displaced)) => {
                self.withdrawn = Some(Withdrawn::ForGood);
                self.service.end(Ending::NothingHeld);
                self.former.set_due(now);
                self.tell(LeaseKind::Service, Note::Displaced, actions);
            }
            (verb, answer) if is_elsewhere && self.serves() => {
                let is_register = matches!(verb, Verb::Register { .. });
                self.lease_mut(which).is_in_doubt |= is_register && leaves_doubt(&answer);
                self.fail_over(now, actions);
            }
            (Verb::Register { .. }, answer @ Answer::Refused(kind)) => {
                self.waits |= which == LeaseKind::Service && is_of_a_slot(kind);
                self.failed(which, &answer, now, actions);
            }
            (_, answer) => self.failed(which, &answer, now, actions),
        }
        // This answer was the last thing that the connection delivered.
        if arrived && flight.connection_ended {
            self.disconnected(now);
        }
    }

    /// A restarted gateway is back in a moment. While the server serves, there is time.
    fn not_deregistered(
        &mut self,
        which: LeaseKind,
        answer: &Answer,
        at_last: Ending,
        now: Instant,
    ) {
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
            lease.end(at_last);
        }
    }

    pub(super) fn granted(
        &self,
        kind: LeaseKind,
        id: String,
        ttl: Duration,
        node: Option<SocketAddr>,
    ) -> Entry {
        Entry {
            id,
            ttl,
            gateway: self.gateway,
            node,
            kind,
        }
    }

    fn registered(&mut self, entry: Entry, sent: Instant, now: Instant, actions: &mut Vec<Action>) {
        let which = entry.kind;
        let due = self.next_beat(which, entry.ttl, sent, now);
        *self.lease_mut(which) = Lease::held(entry, due, sent);
        if which == LeaseKind::Service {
            self.waits = false;
            self.give_up_what_is_elsewhere(now, actions);
            // It has been replaced.
            self.former.set_due(now);
        }
        self.tell(which, Note::Registered, actions);
    }

    fn beat_confirmed(
        &mut self,
        which: LeaseKind,
        sent: Instant,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        if let LeaseState::Held { entry, .. } = &self.lease(which).state {
            let ttl = entry.ttl;
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

    /// A look follows at once, and decides about the slot.
    fn held_back(&mut self, which: LeaseKind, now: Instant) {
        let pause = match self.keeps(which) {
            true => HELD_BACK,
            false => Duration::ZERO,
        };
        self.lease_mut(which).set_due(now + pause);
    }

    /// Schedules the next heartbeat; a lease that is no longer kept is deregistered at once.
    fn next_beat(
        &mut self,
        which: LeaseKind,
        ttl: Duration,
        sent: Instant,
        now: Instant,
    ) -> Instant {
        if self.keeps(which) {
            (sent + self.pace.beat(ttl)).max(now)
        } else {
            now
        }
    }

    fn forgotten(&mut self, which: LeaseKind, now: Instant, actions: &mut Vec<Action>) {
        if !self.serves() {
            // Too late for a new entry. What is in doubt may serve as a hold until the release.
            let due = (!self.keeps(which)).then_some(now);
            self.lease_mut(which).give_up(due);
            return;
        }
        match which {
            LeaseKind::Former => self.former.end(Ending::NothingHeld),
            LeaseKind::Hold => {
                self.hold = Lease::wanted(now + self.pace.again());
                // A gateway that lost one entry has usually lost both.
                self.service.beat_by(now);
            }
            // It was to be removed anyway: nothing changes for a service that waits for its slots.
            LeaseKind::Service if self.withdrawn.is_some() => {
                self.service.end(Ending::NothingHeld);
                return;
            }
            LeaseKind::Service => {
                let again = now + self.pace.again();
                self.service = Lease::wanted(again);
                self.spelling += 1;
                self.renew_hold(again);
            }
        }
        self.tell(which, Note::Forgotten, actions);
    }

    /// The hold must have the service's new spelling, and be registered before the service: if both
    /// are due, it goes first.
    pub(super) fn renew_hold(&mut self, at: Instant) {
        self.retire_hold(at);
        if self.hold_at == Hold::AtStart {
            self.hold = Lease::wanted(at);
        }
    }

    /// If the gateway still has the old hold, it keeps calls in flight alive until its TTL expires.
    pub(super) fn retire_hold(&mut self, now: Instant) {
        self.old_holds.retain(|(_, until)| *until > now);
        if let LeaseState::Held { entry, .. } = &self.hold.state {
            self.old_holds
                .push((entry.clone(), now + entry.ttl + SWEEP));
        }
        // A gateway may forget any number of times, and grant TTLs of days.
        if self.old_holds.len() > OLD_HOLDS {
            self.old_holds.remove(0);
        }
        self.hold.end(Ending::NothingHeld);
    }

    /// A Register or Heartbeat without a positive answer; it is repeated.
    fn failed(
        &mut self,
        which: LeaseKind,
        answer: &Answer,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let lease = self.lease(which);
        let (failures, refusals, misroutes) = (lease.failures, lease.refusals, lease.misroutes);
        let (delay, note) = match answer {
            Answer::NotSent => (self.pace.poll(), Note::Unreachable),
            // Retried as `unstable`.
            Answer::Refused(ErrorKind::TierRefused)
                if which == LeaseKind::Hold && refusals == 0 =>
            {
                (Duration::ZERO, Note::Refused(ErrorKind::TierRefused))
            }
            Answer::Refused(kind) if !kind.is_transient() => {
                (self.pace.refusal(refusals), Note::Refused(*kind))
            }
            // A proxy may say so in the middle of a rollout.
            Answer::Misrouted if misroutes == 0 => (self.pace.moment(), Note::Unreachable),
            Answer::Misrouted => (self.pace.refusal(misroutes - 1), Note::Unreachable),
            _ => (self.pace.backoff(failures), Note::Unreachable),
        };
        let lease = self.lease_mut(which);
        if *answer != Answer::NotSent {
            lease.failures = failures.saturating_add(1);
            match answer {
                Answer::Refused(kind) if !kind.is_transient() => {
                    lease.refusals = refusals.saturating_add(1);
                }
                Answer::Misrouted => lease.misroutes = misroutes.saturating_add(1),
                _ => {}
            }
        }
        if !lease.is_held() {
            lease.is_in_doubt |= leaves_doubt(answer);
        }
        // A heartbeat is only a question: it is repeated well before the lease expires.
        let delay = match &lease.state {
            LeaseState::Held { entry, .. } => delay.min(entry.ttl / 3),
            _ => delay,
        };
        lease.set_due(now + delay);
        if matches!(answer, Answer::NotSent | Answer::Foreign) {
            // One attempt counts, and is reported, for all; only Deregister has counted retries.
            if self.serves() {
                for which in LeaseKind::ALL {
                    self.lease_mut(which).not_before(now + delay);
                }
            }
            self.tell(LeaseKind::Service, note, actions);
        } else {
            self.tell(which, note, actions);
        }
    }

    /// Reports to the user, who only cares about the service's lease while it serves.
    pub(super) fn tell(&self, which: LeaseKind, note: Note, actions: &mut Vec<Action>) {
        if which == LeaseKind::Service && self.serves() {
            actions.push(Action::Tell(note));
        }
    }

    pub(super) fn doubt_the_flight(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let serves = self.serves();
        let Some(flight) = &mut self.flight else {
            return;
        };
        if flight.doubt_at.is_none_or(|at| at > now) {
            return;
        }
        let patient_until = flight.since + flight.patience;
        if patient_until > now {
            flight.doubt_at = Some(patient_until);
            if serves {
                actions.push(Action::Tell(Note::Waiting));
            }
            return;
        }
        if !flight.slow {
            flight.slow = true;
            // Either lease will do: it is the same gateway.
            if serves {
                actions.push(Action::Tell(Note::Slow));
            }
        }
        // Slow changes nothing yet: only silence for 2/3 of the lease is probed.
        let lease = match flight.call.which {
            LeaseKind::Hold => &self.hold,
            LeaseKind::Service => &self.service,
            LeaseKind::Former => &self.former,
        };
        let probe_at = match (&flight.call.verb, &lease.state) {
            (
                Verb::Heartbeat(_),
                LeaseState::Held {
                    entry, confirmed, ..
                },
            ) => *confirmed + entry.ttl.mul_f64(2.0 / 3.0),
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
        // The doubtful call may have been answered meanwhile, and another be in flight.
        let doubted = |flight: &&mut Flight| flight.doubt_at.is_none();
        let Some(flight) = self.flight.as_mut().filter(doubted) else {
            return;
        };
        match found {
            // The call would never end by itself.
            Liveness::Dead => actions.push(Action::Disconnect),
            // Without an alternative, silence proves nothing, and the call is awaited.
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
            // As for any unreachable gateway: it may be back in a moment.
            Liveness::Silent | Liveness::NodeSilent => self.pace.poll(),
            Liveness::Dead | Liveness::Slow => PROBE_INTERVAL,
        };
        flight.doubt_at = Some(now + pause);
    }
}
