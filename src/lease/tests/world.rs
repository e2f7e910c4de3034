//! Gateways as a machine may meet them: their lists persist, answers are true or get lost.

use super::super::*;
use super::sim::{Sim, TTL, granted, is_register};
use crate::error::ErrorKind;

/// From the end of a lease to the eviction (contract § 3).
const SWEEP: Duration = Duration::from_secs(5);

/// What happens to a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// It is carried out, and the answer arrives.
    Answered,
    /// It is carried out, but the answer is lost.
    AnswerLost,
    /// It is lost on its way.
    CallLost,
    /// The gateway cannot be reached.
    NotSent,
    /// A heartbeat that would have taken a slot from a newer build.
    HeldBack,
    Refused(ErrorKind),
}

/// A machine among its gateways.
pub(super) struct World {
    pub(super) sim: Sim,
    lists: Vec<Vec<Listed>>,
    /// Where the call in flight went.
    called: usize,
    ids: usize,
    last_answer: Option<Answer>,
    /// How many entries of `sim.abandoned` and `sim.calls` were checked.
    seen: (usize, usize),
}

#[derive(Debug)]
struct Listed {
    id: String,
    which: LeaseKind,
    until: Instant,
    /// The machine cannot know it: the answer was lost.
    unknown: bool,
    /// The machine has asked for its removal.
    abandoned: bool,
}

// === impl World ===

impl World {
    pub(super) fn new(gateways: usize, hold_at: Hold, seed: u64) -> Self {
        Self {
            sim: Sim::with_gateways(gateways, hold_at, seed),
            lists: (0..gateways).map(|_| Vec::new()).collect(),
            called: 0,
            ids: 0,
            last_answer: None,
            seen: (0, 0),
        }
    }

    /// The fate of the call in flight, if there is one.
    pub(super) fn answer(&mut self, fate: Fate) {
        let Some(call) = self.sim.call.clone() else {
            return;
        };
        let answer = match fate {
            Fate::Answered => self.carry_out(&call, false),
            Fate::AnswerLost => {
                self.carry_out(&call, true);
                Answer::Broken
            }
            Fate::CallLost => Answer::Broken,
            Fate::HeldBack if matches!(call.verb, Verb::Heartbeat(_)) => Answer::HeldBack,
            Fate::NotSent | Fate::HeldBack => Answer::NotSent,
            Fate::Refused(kind) => Answer::Refused(kind),
        };
        self.last_answer = Some(answer.clone());
        self.sim.answer(answer);
    }

    /// Repeats the last answer, which nothing waits for.
    pub(super) fn answer_again(&mut self) {
        if let (None, Some(answer)) = (&self.sim.call, self.last_answer.clone()) {
            self.sim.on(Input::Answered(answer));
        }
    }

    fn carry_out(&mut self, call: &Call, unknown: bool) -> Answer {
        let until = self.sim.now + TTL + SWEEP;
        let list = &mut self.lists[self.called];
        match &call.verb {
            Verb::Register { .. } => {
                self.ids += 1;
                let id = format!("id-{}", self.ids);
                list.push(Listed {
                    id: id.clone(),
                    which: call.which,
                    until,
                    unknown,
                    abandoned: false,
                });
                granted(&id)
            }
            Verb::Heartbeat(asked) => {
                let entry = list.iter_mut().find(|entry| entry.id == asked.id);
                let known = entry.map(|entry| entry.until = until).is_some();
                Answer::Beat { known }
            }
            Verb::Deregister(asked) => {
                list.retain(|entry| entry.id != asked.id);
                Answer::Deregistered
            }
            // Whatever the gateway: the driver knows where each Register broke off.
            Verb::Recall => {
                let mut found = 0;
                for list in &mut self.lists {
                    let before = list.len();
                    list.retain(|entry| !(entry.unknown && entry.which == call.which));
                    found += before - list.len();
                }
                Answer::Recalled { found }
            }
        }
    }

    /// The driver knows which Registers broke off.
    pub(super) fn leave(&mut self) {
        let entries = self.lists.iter().flatten();
        let unknown = entries.filter(|entry| entry.unknown);
        let in_doubt = unknown.map(|entry| entry.which).collect();
        self.sim.leave_in_doubt(in_doubt);
    }

    /// An operator removes an entry.
    pub(super) fn evict(&mut self, choice: usize) {
        let gateways = self.lists.len();
        let list = &mut self.lists[choice % gateways];
        if !list.is_empty() {
            let at = choice / gateways % list.len();
            list.remove(at);
        }
    }

    /// A gateway restarts and has lost everything.
    pub(super) fn restart(&mut self, choice: usize) {
        let gateways = self.lists.len();
        self.lists[choice % gateways].clear();
    }

    /// Removes what was left on reachable gateways.
    pub(super) fn clean_up(&mut self) {
        for list in &mut self.lists {
            list.retain(|entry| !entry.abandoned);
        }
    }

    /// Applies what the machine did, and checks the invariants.
    pub(super) fn check(&mut self) {
        for call in &self.sim.calls[self.seen.1..] {
            self.called = self.sim.machine.gateway();
            // `Sim` checks the service itself.
            let may = is_register(call) || self.sim.left_at.is_none();
            let is_new = matches!(call.verb, Verb::Register { .. });
            assert!(
                may || !is_new || self.sim.hold_at == Hold::AtLeave,
                "{call:?}"
            );
        }
        for id in &self.sim.abandoned[self.seen.0..] {
            for entry in self.lists.iter_mut().flatten() {
                entry.abandoned |= entry.id == *id;
            }
        }
        self.seen = (self.sim.abandoned.len(), self.sim.calls.len());
        let now = self.sim.now;
        for list in &mut self.lists {
            list.retain(|entry| entry.until > now);
            let live = list
                .iter()
                .filter(|it| it.which == LeaseKind::Service && it.is_ours());
            // During a cure, the new entry is registered before the old one is removed.
            let replaced = usize::from(self.sim.machine.replaces());
            let most = 1 + replaced + self.sim.machine.services_elsewhere();
            assert!(live.count() <= most, "registered twice: {list:?}");
        }
        // Progress: something is due, or a probe with a deadline is out, or all is over.
        let due = self.sim.machine.wake_at();
        let over = self.sim.finished_at.is_some() || self.sim.machine.is_withdrawn_for_good();
        assert!(due.is_some() || self.sim.probing || over, "stuck");
        let longest = now + Duration::from_secs(300);
        assert!(due.is_none_or(|at| at <= longest), "waits for ever");
    }

    /// Whether the current gateway has the service, and the machine knows it.
    pub(super) fn is_registered(&self) -> bool {
        let list = &self.lists[self.sim.machine.gateway()];
        list.iter()
            .any(|it| it.which == LeaseKind::Service && it.is_ours())
    }

    /// The number of entries that the machine knows and has not asked to be removed.
    pub(super) fn known_entries(&self) -> usize {
        let all = self.lists.iter().flatten();
        all.filter(|entry| entry.is_ours()).count()
    }
}

// === impl Listed ===

impl Listed {
    fn is_ours(&self) -> bool {
        !self.unknown && !self.abandoned
    }
}
