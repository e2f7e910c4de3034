use proptest::prelude::*;

use super::*;

const TTL: Duration = Duration::from_secs(30);
const LEAVE: Duration = Duration::from_secs(25);

const REGISTER: Call = Call {
    which: Which::Service,
    verb: Verb::Register { spelling: 0 },
};
const REGISTER_HOLD: Call = Call {
    which: Which::Hold,
    verb: Verb::Register { spelling: 0 },
};

/// A machine, its clock, and what it has out.
struct Sim {
    machine: Machine,
    now: Instant,
    call: Option<Call>,
    probing: bool,
    draining: bool,
    left_at: Option<Instant>,
    finished_at: Option<Instant>,
    calls: Vec<Call>,
    notes: Vec<Note>,
    disconnects: usize,
}

impl Sim {
    fn new(seed: u64) -> Self {
        Self::with_hold(HoldAt::Never, seed)
    }

    fn with_hold(hold_at: HoldAt, seed: u64) -> Self {
        let now = Instant::now();
        let mut sim = Self {
            machine: Machine::new(Pace::new(None, seed), 1, hold_at, LEAVE, now),
            now,
            call: None,
            probing: false,
            draining: false,
            left_at: None,
            finished_at: None,
            calls: Vec::new(),
            notes: Vec::new(),
            disconnects: 0,
        };
        sim.on(Event::Woken);
        sim
    }

    fn registered() -> Self {
        let mut sim = Self::new(1);
        sim.answer(granted("a"));
        sim
    }

    fn on(&mut self, event: Event) {
        for action in self.machine.on(event, self.now) {
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
                Action::Drain => self.draining = true,
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

    fn answer(&mut self, answer: Answer) {
        self.call = None;
        self.on(Event::Answered(answer));
    }

    fn probed(&mut self, found: Liveness) {
        self.probing = false;
        self.on(Event::Probed(found));
    }

    fn leave(&mut self) {
        self.left_at.get_or_insert(self.now);
        self.on(Event::Leave { drain: true });
    }

    fn drained(&mut self) {
        self.draining = false;
        self.on(Event::Drained);
    }

    /// Goes to the next moment at which something is due; returns how far that was.
    fn wake(&mut self) -> Duration {
        let Some(at) = self.machine.wake_at() else {
            return Duration::ZERO;
        };
        let wait = at.saturating_duration_since(self.now);
        self.now = self.now.max(at);
        self.on(Event::Woken);
        wait
    }

    fn wake_until_called(&mut self) -> Duration {
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

/// Of the service, in any spelling.
fn is_register(call: &Call) -> bool {
    call.which == Which::Service && matches!(call.verb, Verb::Register { .. })
}

fn granted(id: &str) -> Answer {
    Answer::Registered {
        id: id.to_owned(),
        ttl: TTL,
    }
}

fn beat(id: &str) -> Call {
    call(id, Verb::Heartbeat(id.to_owned()))
}

fn deregister(id: &str) -> Call {
    call(id, Verb::Deregister(id.to_owned()))
}

/// Ids of holds begin with an h in these tests.
fn call(id: &str, verb: Verb) -> Call {
    let which = if id.starts_with('h') {
        Which::Hold
    } else {
        Which::Service
    };
    Call { which, verb }
}

#[test]
fn registers_at_once_and_beats_at_a_third_of_the_granted_ttl() {
    let mut sim = Sim::new(1);
    assert_eq!(sim.call, Some(REGISTER));
    sim.answer(granted("a"));
    assert_eq!(sim.notes, [Note::Registered]);
    for _ in 0..100 {
        let wait = sim.wake_until_called();
        assert_eq!(sim.call, Some(beat("a")));
        assert!((9_000..=11_000).contains(&wait.as_millis()), "{wait:?}");
        sim.answer(Answer::Beat { known: true });
    }
}

#[test]
fn a_gateway_that_cannot_be_reached_is_polled_until_it_can() {
    let mut sim = Sim::new(1);
    for _ in 0..1_000 {
        assert_eq!(sim.call, Some(REGISTER));
        sim.answer(Answer::NotSent);
        let wait = sim.wake_until_called();
        assert!((250..=500).contains(&wait.as_millis()), "{wait:?}");
    }
    sim.answer(granted("a"));
    assert_eq!(sim.notes.last(), Some(&Note::Registered));
}

#[test]
fn a_forgotten_registration_is_made_again_at_once() {
    let mut sim = Sim::registered();
    sim.wake_until_called();
    sim.answer(Answer::Beat { known: false });
    let wait = sim.wake_until_called();
    let verb = Verb::Register { spelling: 1 };
    let which = Which::Service;
    assert_eq!(sim.call, Some(Call { which, verb }), "in a fresh spelling");
    assert!(wait <= Duration::from_millis(100), "{wait:?}");
    assert_eq!(sim.notes, [Note::Registered, Note::Forgotten]);
}

#[test]
fn a_lost_connection_is_looked_into_at_once_and_keeps_the_registration() {
    let mut sim = Sim::registered();
    sim.on(Event::Disconnected);
    let wait = sim.wake_until_called();
    assert!(wait <= Duration::from_millis(100), "{wait:?}");
    assert_eq!(sim.call, Some(beat("a")));
    sim.answer(Answer::NotSent);
    assert_eq!(sim.notes.last(), Some(&Note::Unreachable));
    let wait = sim.wake_until_called();
    assert!(wait <= Duration::from_millis(500), "{wait:?}");
    sim.answer(Answer::Beat { known: true });
    assert_eq!(sim.notes.last(), Some(&Note::Alive));
}

#[test]
fn refused_content_is_tried_again_slowly_and_other_refusals_soon() {
    let mut sim = Sim::new(1);
    sim.answer(Answer::Refused(ErrorKind::SchemaConflict));
    assert_eq!(sim.notes, [Note::Refused(ErrorKind::SchemaConflict)]);
    assert!(sim.wake_until_called() >= Duration::from_secs(30));
    sim.answer(Answer::Refused(ErrorKind::Unavailable));
    assert_eq!(sim.notes.last(), Some(&Note::Unreachable));
    assert!(sim.wake_until_called() <= Duration::from_secs(5));
}

#[test]
fn a_slow_beat_is_only_called_slow_until_two_thirds_of_the_ttl_are_over() {
    let mut sim = Sim::registered();
    sim.wake_until_called();
    let sent = sim.now;
    sim.wake();
    assert_eq!(sim.notes.last(), Some(&Note::Slow));
    assert_eq!(sim.now - sent, Duration::from_secs(3));
    assert!(!sim.probing);
    sim.wake();
    assert!(sim.probing);
    assert_eq!(sim.now - sent, Duration::from_secs(20));
    // Frozen: neither an answer nor a refusal. The beat stays out.
    sim.probed(Liveness::Silent);
    assert_eq!(sim.disconnects, 0);
    sim.wake();
    assert!(sim.probing);
    // The thaw: the one beat is answered, nothing was registered twice.
    sim.answer(Answer::Beat { known: true });
    sim.probed(Liveness::Answers);
    assert_eq!(sim.disconnects, 0);
    assert!(!sim.calls[1..].iter().any(is_register));
}

#[test]
fn a_dead_connection_to_a_living_gateway_is_ended() {
    let mut sim = Sim::registered();
    sim.wake_until_called();
    while !sim.probing {
        sim.wake();
    }
    sim.probed(Liveness::Answers);
    assert_eq!(sim.disconnects, 1);
    sim.answer(Answer::Broken);
    sim.wake_until_called();
    assert_eq!(sim.call, Some(beat("a")));
}

#[test]
fn leaving_deregisters_drains_and_finishes() {
    let mut sim = Sim::registered();
    sim.leave();
    assert_eq!(sim.call, Some(deregister("a")));
    assert!(!sim.draining);
    sim.answer(Answer::Deregistered);
    assert!(sim.draining);
    sim.drained();
    assert!(sim.finished_at.is_some());
    assert_eq!(sim.machine.ending(Which::Service), Ending::Deregistered);
    assert!(!sim.machine.is_busy());
}

#[test]
fn leaving_waits_for_the_beat_in_flight() {
    let mut sim = Sim::registered();
    sim.wake_until_called();
    sim.leave();
    assert_eq!(sim.call, Some(beat("a")));
    sim.answer(Answer::Beat { known: true });
    assert_eq!(sim.call, Some(deregister("a")));
}

#[test]
fn leaving_during_the_first_register_deregisters_its_late_answer() {
    let mut sim = Sim::new(1);
    sim.leave();
    while !sim.draining {
        sim.wake();
    }
    sim.drained();
    assert!(sim.finished_at.is_some());
    assert_eq!(sim.machine.ending(Which::Service), Ending::Unanswered);
    sim.answer(granted("late"));
    assert_eq!(sim.call, Some(deregister("late")));
    sim.answer(Answer::Deregistered);
    assert!(!sim.machine.is_busy());
}

#[test]
fn leaving_before_anything_was_registered_tells_nobody() {
    let mut sim = Sim::new(1);
    sim.answer(Answer::NotSent);
    sim.leave();
    assert!(sim.draining);
    assert_eq!(sim.machine.ending(Which::Service), Ending::NothingHeld);
    sim.drained();
    assert!(sim.finished_at.is_some());
}

#[test]
fn a_gateway_that_is_down_does_not_hold_leaving_up() {
    let mut sim = Sim::registered();
    sim.leave();
    let start = sim.now;
    while !sim.draining {
        sim.wake_until_called();
        sim.answer(Answer::NotSent);
    }
    assert!(sim.now - start <= Duration::from_millis(300));
    assert_eq!(sim.machine.ending(Which::Service), Ending::Failed);
}

/// Holds as `h`, serves as `a`.
fn held_and_registered() -> Sim {
    let mut sim = Sim::with_hold(HoldAt::Start, 1);
    assert_eq!(sim.call, Some(REGISTER_HOLD));
    sim.answer(granted("h"));
    assert_eq!(sim.call, Some(REGISTER));
    sim.answer(granted("a"));
    sim
}

#[test]
fn the_hold_is_taken_before_the_service_and_given_back_after_the_drain() {
    let mut sim = held_and_registered();
    sim.leave();
    assert_eq!(sim.call, Some(deregister("a")));
    sim.answer(Answer::Deregistered);
    assert!(sim.draining);
    assert_eq!(sim.call, None, "the hold stays during the drain");
    sim.drained();
    assert_eq!(sim.call, Some(deregister("h")));
    assert_eq!(sim.finished_at, None);
    sim.answer(Answer::Deregistered);
    assert!(sim.finished_at.is_some());
    assert!(!sim.machine.is_busy());
}

#[test]
fn the_hold_is_beaten_during_a_long_drain() {
    let mut sim = held_and_registered();
    sim.leave();
    sim.answer(Answer::Deregistered);
    sim.wake_until_called();
    assert_eq!(sim.call, Some(beat("h")));
    sim.answer(Answer::Beat { known: true });
    assert!(sim.draining);
}

#[test]
fn a_refused_hold_does_not_keep_the_service_from_registering() {
    let mut sim = Sim::with_hold(HoldAt::Start, 1);
    // A tier policy may take `unstable` only: tried again at once.
    sim.answer(Answer::Refused(ErrorKind::TierRefused));
    assert_eq!(sim.call, Some(REGISTER_HOLD));
    sim.answer(Answer::Refused(ErrorKind::TierRefused));
    assert_eq!(sim.call, Some(REGISTER));
    sim.answer(granted("a"));
    assert_eq!(sim.notes, [Note::Registered]);
    sim.leave();
    sim.answer(Answer::Deregistered);
    sim.drained();
    assert!(sim.finished_at.is_some());
}

#[test]
fn a_forgotten_service_gets_a_hold_of_its_new_spelling_first_and_the_old_one_goes_at_the_end() {
    let mut sim = held_and_registered();
    while sim.call != Some(beat("a")) {
        sim.wake_until_called();
        if sim.call == Some(beat("h")) {
            sim.answer(Answer::Beat { known: true });
        }
    }
    sim.answer(Answer::Beat { known: false });
    let register = |which| {
        let verb = Verb::Register { spelling: 1 };
        Some(Call { which, verb })
    };
    sim.wake_until_called();
    assert_eq!(sim.call, register(Which::Hold));
    sim.answer(granted("h2"));
    sim.wake_until_called();
    assert_eq!(sim.call, register(Which::Service));
    sim.answer(granted("a2"));
    sim.leave();
    sim.answer(Answer::Deregistered);
    sim.drained();
    assert_eq!(sim.call, Some(deregister("h2")));
    sim.answer(Answer::Deregistered);
    assert_eq!(sim.call, Some(deregister("h")));
    sim.answer(Answer::Deregistered);
    assert!(sim.finished_at.is_some());
}

#[test]
fn a_hold_at_leave_is_taken_before_the_service_is_deregistered() {
    let mut sim = Sim::with_hold(HoldAt::Leave, 1);
    assert_eq!(sim.call, Some(REGISTER));
    sim.answer(granted("a"));
    sim.leave();
    assert_eq!(sim.call, Some(REGISTER_HOLD));
    sim.answer(granted("h"));
    assert_eq!(sim.call, Some(deregister("a")));
}

#[derive(Clone, Debug)]
enum Step {
    Wake,
    Elapse(u64),
    Answer(u8),
    Disconnected,
    Probed(u8),
    Leave,
    Drained,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Wake),
        3 => (0_u64..40_000).prop_map(Step::Elapse),
        8 => (0_u8..6).prop_map(Step::Answer),
        2 => Just(Step::Disconnected),
        3 => (0_u8..3).prop_map(Step::Probed),
        1 => Just(Step::Leave),
        1 => Just(Step::Drained),
    ]
}

/// The possible answers to a call; the gateway's own list is kept beside.
fn answer_to(call: &Call, choice: u8, listed: &mut Vec<String>) -> Answer {
    let id = format!("id-{}", listed.len());
    match (choice, &call.verb) {
        (0, _) => Answer::NotSent,
        (1, _) => Answer::Broken,
        (2, _) => Answer::Refused(ErrorKind::Unavailable),
        (3, _) => Answer::Refused(ErrorKind::SchemaConflict),
        (_, Verb::Register { .. }) => {
            listed.push(id.clone());
            Answer::Registered { id, ttl: TTL }
        }
        (4, Verb::Heartbeat(_)) => Answer::Beat { known: false },
        (_, Verb::Heartbeat(_)) => Answer::Beat { known: true },
        (_, Verb::Deregister(_)) => Answer::Deregistered,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 2_000 } else { 20_000 }))]

    #[test]
    fn any_sequence_of_events_keeps_the_invariants(
        seed: u64,
        hold_at in prop_oneof![Just(HoldAt::Start), Just(HoldAt::Leave), Just(HoldAt::Never)],
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut sim = Sim::with_hold(hold_at, seed);
        let mut listed = Vec::new();
        for step in steps {
            match step {
                Step::Wake => { sim.wake(); }
                Step::Elapse(ms) => {
                    sim.now += Duration::from_millis(ms);
                    sim.on(Event::Woken);
                }
                Step::Answer(choice) => if let Some(call) = sim.call.clone() {
                    let answer = answer_to(&call, choice, &mut listed);
                    sim.answer(answer);
                },
                Step::Disconnected => sim.on(Event::Disconnected),
                Step::Probed(choice) => if sim.probing {
                    sim.probed([Liveness::Answers, Liveness::Gone, Liveness::Silent][usize::from(choice)]);
                },
                Step::Leave => sim.leave(),
                Step::Drained => if sim.draining { sim.drained() },
            }
            // Progress: something is due, or out, or all is over.
            let waits = sim.machine.wake_at();
            prop_assert!(
                waits.is_some() || sim.probing || sim.call.is_some() || sim.finished_at.is_some()
            );
            if let Some(at) = waits {
                prop_assert!(at <= sim.now + Duration::from_secs(300), "waits for ever");
            }
        }
        // Whatever happened, leaving ends within its budget, without any further answer.
        sim.leave();
        let left_at = sim.left_at.unwrap();
        for _ in 0..200 {
            if sim.finished_at.is_some() { break; }
            if sim.probing { sim.probed(Liveness::Silent) } else { sim.wake(); }
        }
        let finished = sim.finished_at.expect("leaving ends");
        // One `Elapse` may overshoot the moment at which the end is noticed.
        prop_assert!(finished - left_at <= LEAVE + Duration::from_secs(40));
        // And a late answer is still taken back.
        for _ in 0..40 {
            if let Some(call) = sim.call.clone() {
                let answer = answer_to(&call, 5, &mut listed);
                sim.answer(answer);
            } else {
                sim.wake();
            }
        }
        prop_assert!(!sim.machine.is_busy());
    }
}
