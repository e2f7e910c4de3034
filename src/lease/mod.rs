//! The life of a registration as a pure function: events and the time go in, actions come out.
//!
//! It keeps two leases: the service's and, so that leaving loses no call, the hold's (contract, The
//! hold). Invariants, tested with random sequences of events: at most one Register, Heartbeat or
//! Deregister is in flight; none is ever cancelled: a deadline ends the wait, and a late answer is
//! still an event; the service is never registered once leaving has begun.

mod answers;
mod cure;
mod entry;
mod failover;
mod phases;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::time::{Duration, Instant};

use crate::pace::Pace;
use cure::Withdrawn;
use entry::{Lease, LeaseState};
use phases::Phase;

pub(crate) use answers::{SWEEP, is_of_a_slot};
pub(crate) use entry::{Ending, Entry};
pub use vocabulary::Hold;
pub(crate) use vocabulary::{Action, Answer, Call, Input, LeaseKind, Note, Verb};

/// A heartbeat that takes longer is reported as slow, without further consequences; a Register as
/// awaited.
const SLOW_BEAT: Duration = Duration::from_secs(3);
/// The life of a registration as a pure function.
#[derive(Debug)]
pub(crate) struct Machine {
    hold: Lease,
    service: Lease,
    /// The entry that the service's new entry replaces.
    former: Lease,
    /// The service's entry is dead and must be replaced.
    cure_due: bool,
    /// The service must be withdrawn; the value is whether for good.
    withdraw_due: Option<bool>,
    withdrawn: Option<Withdrawn>,
    /// Withdrawals in a row because of a conflict.
    conflicts: u32,
    /// Another schema has a slot of the service: only [`Input::Slots`] reports when it is free.
    waits: bool,
    hold_at: Hold,
    /// The number of gateways, and the one that receives the calls.
    gateways: usize,
    gateway: usize,
    /// The number of unreachable gateways in a row.
    unreached: usize,
    /// The first gateway is back, and `prefer_first` is on.
    return_due: bool,
    /// Entries on other gateways that are not given up yet, and their deadlines.
    elsewhere: Vec<(Entry, Instant)>,
    /// Counts the registrations that the gateway lost.
    spelling: u32,
    /// Holds of earlier spellings, and how long the gateway may keep them.
    old_holds: Vec<(Entry, Instant)>,
    flight: Option<Flight>,
    /// A probe is under way.
    probing: bool,
    phase: Phase,
    /// Every wait is limited to the time of a prompt answer.
    hurried: bool,
    pace: Pace,
    register_wait: Duration,
    leave_timeout: Duration,
}

#[derive(Debug)]
struct Flight {
    call: Call,
    since: Instant,
    /// How long the answer may take.
    patience: Duration,
    /// When to doubt the connection next; `None` while waiting for a probe.
    doubt_at: Option<Instant>,
    slow: bool,
    /// The gateway was silent for so long that the next one is tried.
    given_up: bool,
    connection_ended: bool,
}

// === impl Machine ===

impl Machine {
    /// A machine whose first Register is due at `now`. The number of `bindings` determines the time
    /// that a Register may take.
    pub(crate) fn new(
        pace: Pace,
        bindings: u32,
        hold_at: Hold,
        gateways: usize,
        leave_timeout: Duration,
        now: Instant,
    ) -> Self {
        Self {
            hold: match hold_at {
                Hold::AtStart => Lease::wanted(now),
                Hold::AtLeave | Hold::Off => Lease::over(),
            },
            service: Lease::wanted(now),
            former: Lease::over(),
            cure_due: false,
            withdraw_due: None,
            withdrawn: None,
            conflicts: 0,
            waits: false,
            hold_at,
            gateways,
            gateway: 0,
            unreached: 0,
            return_due: false,
            elsewhere: Vec::new(),
            spelling: 0,
            old_holds: Vec::new(),
            flight: None,
            probing: false,
            phase: Phase::Serving,
            hurried: false,
            pace,
            // Above 5 s for a binding, a clustered gateway keeps a ghost (contract, Ghosts).
            register_wait: Duration::from_secs(15).max(Duration::from_secs(5) * bindings),
            leave_timeout,
        }
    }

    /// Processes one event; the actions must be done in order.
    pub(crate) fn on(&mut self, input: Input, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Answered(answer) => self.answered(answer, now, &mut actions),
            Input::Disconnected => self.disconnected(now),
            Input::Probed(found) => self.probed(found, now, &mut actions),
            Input::Listed { replicas } => {
                // Each replica also has a hold, as this one does.
                let entries = if self.hold_at == Hold::AtStart { 2 } else { 1 };
                self.pace.set_herd(replicas.div_ceil(entries));
            }
            Input::Leave { drain, in_doubt } => {
                self.leave(drain, &in_doubt, now);
                self.give_up_what_is_elsewhere(now, &mut actions);
            }
            Input::Drained => self.drained(),
            Input::Hurry => self.hurry(now),
            Input::Cure => self.cure_due = true,
            Input::Withdraw { for_good } => self.withdraw_due = Some(for_good),
            Input::Proved => self.proved(),
            Input::Slots { free } => self.slots_seen(free, now),
            Input::Beat => self.service.beat_by(now),
            Input::FirstIsBack => self.return_due = true,
            Input::Woken => {}
        }
        self.withdraw_if_due(now);
        self.want_again(now);
        self.cure_if_due(now);
        self.return_if_due(now, &mut actions);
        self.end_what_is_not_wanted(now);
        self.change_phase(now, &mut actions);
        self.call_what_is_due(now, &mut actions);
        self.doubt_the_flight(now, &mut actions);
        // A call may just have become unnecessary.
        self.change_phase(now, &mut actions);
        actions
    }

    /// When to call `on` with [`Input::Woken`]; `None` while only an answer can advance the machine.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let call = match &self.flight {
            Some(flight) => flight.doubt_at,
            None => self.next_call().map(|(due, _)| due),
        };
        let phase = match self.phase {
            Phase::Withdrawing { until, .. } | Phase::Releasing { until } => Some(until),
            Phase::Draining { end, .. } => Some(end),
            Phase::Serving | Phase::Finished => None,
        };
        [call, phase].into_iter().flatten().min()
    }

    /// The number of the gateway that receives the calls.
    pub(crate) fn gateway(&self) -> usize {
        self.gateway
    }

    /// Whether an answer is still outstanding, even after the end.
    pub(crate) fn is_busy(&self) -> bool {
        self.flight.is_some()
            || LeaseKind::ALL
                .iter()
                .map(|which| self.lease(*which))
                .any(|lease| lease.is_held() || lease.is_doubtful())
    }

    /// Whether the gateway has the hold, as far as is known.
    pub(crate) fn is_holding(&self) -> bool {
        self.hold.is_held()
    }

    /// Whether the gateway has the service, as far as is known.
    pub(crate) fn holds_the_service(&self) -> bool {
        self.service.is_held() || self.former.is_held()
    }

    /// Whether the last heartbeat of the service was refused: what the gateway still lists ends with
    /// the lease.
    pub(crate) fn is_refused(&self) -> bool {
        self.service.is_held() && (self.service.refusals > 0 || self.service.misroutes > 0)
    }

    /// The entries on the current gateway, as far as is known; the service first, because the hold
    /// exists for its last calls.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let leases = [&self.service, &self.former, &self.hold];
        leases.into_iter().filter_map(Lease::entry)
    }

    /// Like `entries`, with the hold that is being replaced.
    pub(crate) fn entries_to_the_last(&self) -> impl Iterator<Item = &Entry> {
        let replaced = self.old_holds.last().map(|(entry, _)| entry);
        let replaced = replaced.filter(|_| self.hold.entry().is_none());
        self.entries().chain(replaced)
    }

    /// How a lease ended, as far as is known now.
    pub(crate) fn ending(&self, which: LeaseKind) -> Ending {
        let lease = self.lease(which);
        match lease.ending {
            Some(ending) => ending,
            None if self.is_in_flight(which) || lease.is_doubtful() => Ending::Unanswered,
            None if lease.is_held() => Ending::Failed,
            None => Ending::NothingHeld,
        }
    }

    /// Continues at the gateway of `former`, with its spelling, which hold and service must share.
    pub(crate) fn succeed(&mut self, former: &Self) {
        self.gateway = former.gateway;
        self.spelling = former.spelling;
        self.waits = former.waits;
        self.conflicts = former.conflicts;
        self.elsewhere.clone_from(&former.elsewhere);
        self.old_holds.clone_from(&former.old_holds);
        self.withdrawn = former.withdrawn;
        self.withdraw_due = former.withdraw_due;
        if self.withdrawn.is_some() {
            self.service = Lease::over();
        }
        // What a Register that broke off has left is not known to this machine either.
        for (lease, former) in [
            (&mut self.hold, &former.hold),
            (&mut self.service, &former.service),
        ] {
            lease.is_in_doubt |= former.is_in_doubt || former.is_doubtful();
        }
        if former.hurried {
            self.hurried = true;
        }
    }

    /// Nothing is registered until a slot is free.
    pub(crate) fn waits_for_slots(&self) -> bool {
        self.waits && self.serves()
    }

    /// Adopts an entry that a former machine registered, and asks the gateway at once whether it
    /// exists.
    pub(crate) fn adopt(&mut self, entry: &Entry, now: Instant) {
        *self.lease_mut(entry.kind) = Lease::held(entry.clone(), now, now);
    }

    /// Only records what the answer says about an entry, without consequences.
    pub(crate) fn note(&mut self, call: &Call, answer: &Answer, now: Instant) {
        let kind = call.which;
        match (&call.verb, answer) {
            (Verb::Register { .. }, Answer::Registered { id, ttl, node }) => {
                let entry = self.granted(kind, id.clone(), *ttl, *node);
                self.adopt(&entry, now);
            }
            (Verb::Heartbeat(_), Answer::Beat { known: false }) => {
                self.lease_mut(kind).end(Ending::NothingHeld);
            }
            (Verb::Deregister(_), Answer::Deregistered) => {
                self.lease_mut(kind).end(Ending::Deregistered);
            }
            (Verb::Register { .. }, answer) if answers::leaves_doubt(answer) => {
                self.lease_mut(kind).is_in_doubt = true;
            }
            // A Recall is only made while leaving, which has no other call for this lease.
            _ => {}
        }
    }

    fn lease(&self, which: LeaseKind) -> &Lease {
        match which {
            LeaseKind::Hold => &self.hold,
            LeaseKind::Service => &self.service,
            LeaseKind::Former => &self.former,
        }
    }

    fn is_in_flight(&self, which: LeaseKind) -> bool {
        let flight = self.flight.as_ref();
        flight.is_some_and(|flight| flight.call.which == which)
    }

    fn lease_mut(&mut self, which: LeaseKind) -> &mut Lease {
        match which {
            LeaseKind::Hold => &mut self.hold,
            LeaseKind::Service => &mut self.service,
            LeaseKind::Former => &mut self.former,
        }
    }

    /// Calls due at the same time go in the order of [`LeaseKind::ALL`]; but a heartbeat of the
    /// hold must not come before a call that leaving waits for.
    fn next_call(&self) -> Option<(Instant, LeaseKind)> {
        let may_wait = |which| which == LeaseKind::Hold && !self.serves() && self.hold.is_held();
        let due = |which: &LeaseKind| self.lease(*which).due().map(|due| (due, *which));
        LeaseKind::ALL
            .iter()
            .filter_map(due)
            .min_by_key(|(due, which)| (*due, may_wait(*which)))
    }

    fn end_what_is_not_wanted(&mut self, now: Instant) {
        let busy_with = self.flight.as_ref().map(|flight| flight.call.which);
        // A hold that may exist keeps connections open, like one that does.
        let needs_hold = matches!(
            self.phase,
            Phase::Serving | Phase::Withdrawing { .. } | Phase::Draining { .. }
        );
        for which in LeaseKind::ALL {
            let wanted = matches!(self.lease(which).state, LeaseState::Wanted { .. });
            if wanted && busy_with != Some(which) && !self.registers(which) {
                let is_needed = which == LeaseKind::Hold && needs_hold;
                self.lease_mut(which).give_up((!is_needed).then_some(now));
            }
        }
    }

    fn call_what_is_due(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some((_, which)) = self.next_call().filter(|(due, _)| *due <= now) else {
            return;
        };
        if self.flight.is_some() {
            return;
        }
        let (verb, patience) = match &self.lease(which).state {
            LeaseState::Wanted { .. } => {
                let spelling = self.spelling;
                (Verb::Register { spelling }, self.register_wait)
            }
            LeaseState::Held { entry, .. } if self.keeps(which) => {
                let patience = SLOW_BEAT.min(entry.ttl / 3);
                (Verb::Heartbeat(entry.clone()), patience)
            }
            LeaseState::Held { entry, .. } => (Verb::Deregister(entry.clone()), SLOW_BEAT),
            LeaseState::Doubtful { .. } => (Verb::Recall, SLOW_BEAT),
            LeaseState::Over => return,
        };
        let call = Call { which, verb };
        self.flight = Some(Flight {
            call: call.clone(),
            since: now,
            patience,
            doubt_at: Some(now + patience.min(SLOW_BEAT)),
            slow: false,
            given_up: false,
            connection_ended: false,
        });
        actions.push(Action::Call(call));
    }

    /// If a call is in flight, its answer decides; it may have arrived before the end.
    fn disconnected(&mut self, now: Instant) {
        if let Some(flight) = &mut self.flight {
            flight.connection_ended = true;
            return;
        }
        if !self.serves() {
            return;
        }
        let soon = now + self.pace.soon();
        self.hold.beat_by(soon);
        self.service.beat_by(soon);
        self.former.beat_by(soon);
        // Another process behind the address may accept what was refused.
        for which in [LeaseKind::Hold, LeaseKind::Service] {
            let failures = self.lease(which).failures;
            let waits = self.waits && which == LeaseKind::Service;
            if failures > 0 && !waits {
                let retry = now + self.pace.backoff(failures);
                self.lease_mut(which).register_by(retry);
            }
        }
    }
}
