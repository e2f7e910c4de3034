//! A machine, its clock, and a check of the invariants at every step.

use super::super::*;
use crate::liveness::Liveness;

pub(super) const TTL: Duration = Duration::from_secs(30);
pub(super) const LEAVE: Duration = Duration::from_secs(25);

pub(super) const REGISTER: Call = Call {
    which: LeaseKind::Service,
    verb: Verb::Register { spelling: 0 },
};
pub(super) const REGISTER_HOLD: Call = Call {
    which: LeaseKind::Hold,
    verb: Verb::Register { spelling: 0 },
};

pub(super) const RECALL: Call = Call {
    which: LeaseKind::Service,
    verb: Verb::Recall,
};

/// A machine, its clock, and its outstanding call.
pub(super) struct Sim {
    pub(super) machine: Machine,
    pub(super) hold_at: Hold,
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) call: Option<Call>,
    pub(super) probing: bool,
    pub(super) draining: bool,
    pub(super) left_at: Option<Instant>,
    pub(super) finished_at: Option<Instant>,
    pub(super) calls: Vec<Call>,
    pub(super) notes: Vec<Note>,
    pub(super) disconnects: usize,
    pub(super) turns: usize,
    pub(super) abandoned: Vec<String>,
}

impl Sim {
    pub(super) fn new(seed: u64) -> Self {
        Self::with_hold(Hold::Off, seed)
    }

    pub(super) fn with_hold(hold_at: Hold, seed: u64) -> Self {
        Self::with_gateways(1, hold_at, seed)
    }

    pub(super) fn with_gateways(gateways: usize, hold_at: Hold, seed: u64) -> Self {
        let now = Instant::now();
        let mut sim = Self {
            machine: Machine::new(Pace::new(None, seed), 1, hold_at, gateways, LEAVE, now),
            hold_at,
            start: now,
            now,
            call: None,
            probing: false,
            draining: false,
            left_at: None,
            finished_at: None,
            calls: Vec::new(),
            notes: Vec::new(),
            disconnects: 0,
            turns: 0,
            abandoned: Vec::new(),
        };
        sim.on(Input::Woken);
        sim
    }

    pub(super) fn registered() -> Self {
        let mut sim = Self::new(1);
        sim.answer(granted("a"));
        sim
    }

    pub(super) fn on(&mut self, input: Input) {
        for action in self.machine.on(input, self.now) {
            match action {
                Action::Call(call) => {
                    assert_eq!(self.call, None, "two calls in flight");
                    assert!(
                        !is_register(&call) || self.left_at.is_none(),
                        "registers while leaving"
                    );
                    self.calls.push(call.clone());
                    self.call = Some(call);
                }
                Action::Probe => {
                    assert!(!self.probing, "two probes");
                    self.probing = true;
                }
                Action::Disconnect => self.disconnects += 1,
                Action::MoveOn => {}
                Action::Drain => self.draining = true,
                Action::Turn { to } => {
                    assert_eq!(to, self.machine.gateway());
                    self.turns += 1;
                }
                Action::CleanUp { entry, until } => {
                    assert!(entry.gateway < 3, "there are at most three");
                    assert!(until > self.now);
                    self.abandoned.push(entry.id);
                }
                Action::Finish => {
                    assert_eq!(self.finished_at, None, "finishes twice");
                    self.draining = false;
                    self.finished_at = Some(self.now);
                }
                Action::Tell(note) => {
                    assert_eq!(self.left_at, None, "tells {note:?} while leaving");
                    self.notes.push(note);
                }
            }
        }
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        self.call = None;
        self.on(Input::Answered(answer));
    }

    pub(super) fn probed(&mut self, found: Liveness) {
        self.probing = false;
        self.on(Input::Probed(found));
    }

    pub(super) fn leave(&mut self) {
        self.leave_in_doubt(Vec::new());
    }

    /// A gateway may have an unknown entry of these kinds.
    pub(super) fn leave_in_doubt(&mut self, in_doubt: Vec<LeaseKind>) {
        self.left_at.get_or_insert(self.now);
        let drain = true;
        self.on(Input::Leave { drain, in_doubt });
    }

    pub(super) fn drained(&mut self) {
        self.draining = false;
        self.on(Input::Drained);
    }

    /// Advances to the next moment at which something is due; returns how far that was.
    pub(super) fn wake(&mut self) -> Duration {
        let Some(at) = self.machine.wake_at() else {
            return Duration::ZERO;
        };
        let wait = at.saturating_duration_since(self.now);
        self.now = self.now.max(at);
        self.on(Input::Woken);
        wait
    }

    pub(super) fn wake_until_called(&mut self) -> Duration {
        let start = self.now;
        for _ in 0..10 {
            if self.call.is_some() {
                return self.now - start;
            }
            self.wake();
        }
        panic!("no call is due");
    }
}

/// Whether the call registers the service, in any spelling.
pub(super) fn is_register(call: &Call) -> bool {
    call.which == LeaseKind::Service && matches!(call.verb, Verb::Register { .. })
}

pub(super) fn granted(id: &str) -> Answer {
    Answer::Registered {
        id: id.to_owned(),
        ttl: TTL,
        node: None,
    }
}

/// The entry that [`granted`] returns, on the first gateway.
pub(super) fn entry(id: &str, kind: LeaseKind) -> Entry {
    Entry {
        id: id.to_owned(),
        ttl: TTL,
        gateway: 0,
        node: None,
        kind,
    }
}

pub(super) fn beat(id: &str) -> Call {
    call(id, Verb::Heartbeat)
}

pub(super) fn deregister(id: &str) -> Call {
    call(id, Verb::Deregister)
}

/// Ids of holds begin with an h in these tests.
pub(super) fn call(id: &str, verb: fn(Entry) -> Verb) -> Call {
    let which = if id.starts_with('h') {
        LeaseKind::Hold
    } else {
        LeaseKind::Service
    };
    let verb = verb(entry(id, which));
    Call { which, verb }
}
