//! The life of a registration as a pure function: events and the time go in, actions come out.
//!
//! Invariants, tested with random sequences of events: at most one Register, Heartbeat
//! or Deregister is in flight; none is ever taken back: a deadline ends the waiting, and a late
//! answer is still an event; nothing is registered once leaving has begun.

use std::time::Duration;

use tokio::time::Instant;

use super::lease::{Ending, Lease, LeaseState};
use super::pace::Pace;
use crate::control::Liveness;
use crate::error::ErrorKind;

/// A beat that takes longer is called slow; nothing else follows from it.
const SLOW_BEAT: Duration = Duration::from_secs(3);
/// Between two probes of a gateway that stays silent.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// How long leaving waits for calls to the gateway before the drain, within the leave timeout.
const WITHDRAW_TIMEOUT: Duration = Duration::from_secs(5);
/// A Deregister that failed is tried again this often: the connection may just have ended.
const WITHDRAWALS: u32 = 3;

/// What the machine wants to be told.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The call in flight has its answer.
    Answered(Answer),
    /// A connection that nobody ended has ended.
    Disconnected,
    /// The answer to [`Action::Probe`].
    Probed(Liveness),
    /// The process leaves; without a server there is nothing to drain.
    Leave { drain: bool },
    /// Nothing is in flight any more, or the drain timed out.
    Drained,
    /// `wake_at` has come.
    Woken,
}

/// What the machine wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make this call; its answer must come back as [`Event::Answered`].
    Call(Call),
    /// Find out whether the gateway answers at all.
    Probe,
    /// End the connection, so that the call in flight fails.
    Disconnect,
    /// Wait until nothing is in flight.
    Drain,
    /// Leaving is over; late answers are still taken.
    Finish,
    /// Something worth telling.
    Tell(Note),
}

/// A call that changes the gateway's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Register,
    Heartbeat(String),
    Deregister(String),
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Registered {
        id: String,
        ttl: Duration,
    },
    Beat {
        known: bool,
    },
    Deregistered,
    /// It never left the process.
    NotSent,
    /// The connection ended; it may have been carried out.
    Broken,
    /// The gateway said no.
    Refused(ErrorKind),
}

/// What the user is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// The gateway took the registration.
    Registered,
    /// The gateway answered a beat with yes.
    Alive,
    /// The gateway does not know the registration any more.
    Forgotten,
    /// The gateway cannot be reached, or could not do it; tried again soon.
    Unreachable,
    /// The gateway has not answered in the usual time.
    Slow,
    /// The gateway refused the content; tried again slowly.
    Refused(ErrorKind),
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Machine {
    lease: Lease,
    flight: Option<Flight>,
    /// A probe is under way.
    probing: bool,
    phase: Phase,
    pace: Pace,
    register_wait: Duration,
    leave_timeout: Duration,
}

#[derive(Debug)]
struct Flight {
    call: Call,
    since: Instant,
    /// When the next doubt about the connection is due; `None` while a probe is waited for.
    doubt_at: Option<Instant>,
    slow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Telling the gateway; then the drain.
    Withdrawing {
        until: Instant,
        end: Instant,
        drain: bool,
    },
    Draining {
        end: Instant,
    },
    Finished,
}

// === impl Machine ===

impl Machine {
    /// A machine whose first Register is due at `now`. `bindings` are counted for the time that
    /// a Register may take.
    pub(crate) fn new(pace: Pace, bindings: u32, leave_timeout: Duration, now: Instant) -> Self {
        Self {
            lease: Lease::wanted(now),
            flight: None,
            probing: false,
            phase: Phase::Serving,
            pace,
            // Above 5 s a binding, or a clustered gateway keeps a ghost (contract, Ghosts).
            register_wait: Duration::from_secs(15).max(Duration::from_secs(5) * bindings),
            leave_timeout,
        }
    }

    /// Takes one event; the actions are to be done in their order.
    pub(crate) fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Answered(answer) => self.answered(answer, now, &mut actions),
            Event::Disconnected => self.disconnected(now),
            Event::Probed(found) => self.probed(found, now, &mut actions),
            Event::Leave { drain } => self.leave(drain, now),
            Event::Drained => self.drained(now),
            Event::Woken => {}
        }
        self.advance(now, &mut actions);
        actions
    }

    /// When to call `on` with [`Event::Woken`]; `None` while only an answer can bring it on.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let call = match &self.flight {
            Some(flight) => flight.doubt_at,
            None => self.lease.due().filter(|_| self.wants_a_call()),
        };
        let phase = match self.phase {
            Phase::Withdrawing { until, .. } => Some(until),
            Phase::Draining { end } => Some(end),
            Phase::Serving | Phase::Finished => None,
        };
        [call, phase].into_iter().flatten().min()
    }

    /// Whether an answer is still awaited or owed, after the end too.
    pub(crate) fn is_busy(&self) -> bool {
        self.flight.is_some() || self.lease.is_held()
    }

    /// How the entry ended, as far as is known now.
    pub(crate) fn ending(&self) -> Ending {
        match (&self.lease.ending, &self.flight) {
            (Some(ending), _) => *ending,
            (None, Some(_)) => Ending::Unanswered,
            (None, None) if self.lease.is_held() => Ending::Failed,
            (None, None) => Ending::NothingHeld,
        }
    }

    fn serves(&self) -> bool {
        self.phase == Phase::Serving
    }

    /// Once leaving has begun, only a Deregister is called.
    fn wants_a_call(&self) -> bool {
        self.serves() || self.lease.is_held()
    }

    fn advance(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.flight.is_none() && !self.serves() && !self.lease.is_held() && !self.lease.is_over()
        {
            self.lease.end(Ending::NothingHeld);
        }
        self.call_what_is_due(now, actions);
        self.doubt_the_flight(now, actions);
        if let Phase::Withdrawing { until, end, drain } = self.phase
            && (self.lease.is_over() || now >= until)
        {
            self.phase = Phase::Draining { end };
            if drain && now < end {
                actions.push(Action::Drain);
            } else {
                self.phase = Phase::Finished;
                actions.push(Action::Finish);
            }
        }
        if let Phase::Draining { end } = self.phase
            && now >= end
        {
            self.phase = Phase::Finished;
            actions.push(Action::Finish);
        }
    }

    fn call_what_is_due(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let due = self.lease.due().is_some_and(|due| due <= now);
        if self.flight.is_some() || !due || !self.wants_a_call() {
            return;
        }
        let (call, patience) = match &self.lease.state {
            LeaseState::Wanted { .. } => (Call::Register, self.register_wait),
            LeaseState::Held { id, .. } if self.serves() => {
                (Call::Heartbeat(id.clone()), SLOW_BEAT)
            }
            LeaseState::Held { id, .. } => (Call::Deregister(id.clone()), SLOW_BEAT),
            LeaseState::Over => return,
        };
        self.flight = Some(Flight {
            call: call.clone(),
            since: now,
            doubt_at: Some(now + patience),
            slow: false,
        });
        actions.push(Action::Call(call));
    }

    fn doubt_the_flight(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let serves = self.serves();
        let Some(flight) = &mut self.flight else {
            return;
        };
        if flight.doubt_at.is_none_or(|at| at > now) {
            return;
        }
        if !flight.slow {
            flight.slow = true;
            if serves {
                actions.push(Action::Tell(Note::Slow));
            }
        }
        // Slow changes nothing yet: only silence beyond 2/3 of the lease is looked into.
        let probe_at = match (&flight.call, &self.lease.state) {
            (Call::Heartbeat(_), LeaseState::Held { ttl, .. }) => flight.since + *ttl * 2 / 3,
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

    fn probed(&mut self, found: Liveness, now: Instant, actions: &mut Vec<Action>) {
        self.probing = false;
        // The call that was in doubt may have been answered, and another be under way.
        let Some(flight) = self
            .flight
            .as_mut()
            .filter(|flight| flight.doubt_at.is_none())
        else {
            return;
        };
        match found {
            // It answers others, or is gone: our connection is dead, so the call never ends.
            Liveness::Answers | Liveness::Gone => actions.push(Action::Disconnect),
            Liveness::Silent => {}
        }
        flight.doubt_at = Some(now + PROBE_INTERVAL);
    }

    fn disconnected(&mut self, now: Instant) {
        // With a call in flight the answer tells; a refused content is not made true by it.
        if self.flight.is_none() && self.serves() && self.lease.is_held() {
            let soon = now + self.pace.soon();
            if self.lease.due().is_some_and(|due| due > soon) {
                self.lease.set_due(soon);
            }
        }
    }

    fn leave(&mut self, drain: bool, now: Instant) {
        if !self.serves() {
            return;
        }
        let end = now + self.leave_timeout;
        self.phase = Phase::Withdrawing {
            until: end.min(now + WITHDRAW_TIMEOUT),
            end,
            drain,
        };
        self.lease.set_due(now);
    }

    fn drained(&mut self, now: Instant) {
        if let Phase::Draining { end } = &mut self.phase {
            *end = now;
        }
    }

    fn answered(&mut self, answer: Answer, now: Instant, actions: &mut Vec<Action>) {
        let Some(flight) = self.flight.take() else {
            return;
        };
        match (flight.call, answer) {
            (Call::Register, Answer::Registered { id, ttl }) => {
                self.registered(id, ttl, flight.since, now, actions);
            }
            (Call::Heartbeat(_), Answer::Beat { known: true }) => {
                self.beat_confirmed(flight.since, now, actions);
            }
            (Call::Heartbeat(_), Answer::Beat { known: false }) => {
                self.lease.state = LeaseState::Wanted {
                    until: now + self.pace.soon(),
                };
                self.lease.failures = 0;
                self.tell(Note::Forgotten, actions);
            }
            (Call::Deregister(_), Answer::Deregistered) => self.lease.end(Ending::Deregistered),
            (Call::Deregister(_), _) => {
                self.lease.withdrawals += 1;
                if self.lease.withdrawals < WITHDRAWALS {
                    self.lease.set_due(now + self.pace.soon());
                } else {
                    self.lease.end(Ending::Failed);
                }
            }
            (call, answer) => self.failed(&call, &answer, now, actions),
        }
    }

    fn registered(
        &mut self,
        id: String,
        ttl: Duration,
        sent: Instant,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        // Leaving: the late answer is deregistered at once.
        let due = if self.serves() {
            (sent + self.pace.beat(ttl)).max(now)
        } else {
            now
        };
        self.lease = Lease::wanted(now);
        self.lease.state = LeaseState::Held { id, ttl, due };
        self.tell(Note::Registered, actions);
    }

    fn beat_confirmed(&mut self, sent: Instant, now: Instant, actions: &mut Vec<Action>) {
        self.lease.failures = 0;
        let serves = self.serves();
        if let LeaseState::Held { ttl, due, .. } = &mut self.lease.state {
            *due = if serves {
                (sent + self.pace.beat(*ttl)).max(now)
            } else {
                now
            };
        }
        self.tell(Note::Alive, actions);
    }

    /// A Register or a Heartbeat without the answer that was asked for.
    fn failed(&mut self, call: &Call, answer: &Answer, now: Instant, actions: &mut Vec<Action>) {
        if !self.serves() {
            if *call == Call::Register {
                // Broken: the gateway may have taken it, under an id that nobody knows.
                let ending = match answer {
                    Answer::Broken => Ending::Unanswered,
                    _ => Ending::NothingHeld,
                };
                self.lease.end(ending);
            } else {
                self.lease.set_due(now);
            }
            return;
        }
        let failures = self.lease.failures;
        let (delay, note) = match answer {
            Answer::NotSent => (self.pace.poll(), Note::Unreachable),
            Answer::Refused(kind) if !crate::control::is_transient(*kind) => {
                (self.pace.refusal(failures), Note::Refused(*kind))
            }
            _ => (self.pace.backoff(failures), Note::Unreachable),
        };
        if *answer != Answer::NotSent {
            self.lease.failures = failures.saturating_add(1);
        }
        // A beat is only a question: it is asked again well before the lease is over.
        let delay = match &self.lease.state {
            LeaseState::Held { ttl, .. } => delay.min(*ttl / 3),
            _ => delay,
        };
        self.lease.set_due(now + delay);
        self.tell(note, actions);
    }

    fn tell(&self, note: Note, actions: &mut Vec<Action>) {
        if self.serves() {
            actions.push(Action::Tell(note));
        }
    }
}

#[cfg(test)]
mod tests;
