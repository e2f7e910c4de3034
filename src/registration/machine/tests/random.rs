//! Random sequences of events keep the invariants.

use proptest::prelude::*;

use super::super::*;
use super::sim::*;
use crate::error::ErrorKind;

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
        gateways in 1_usize..4,
        hold_at in prop_oneof![Just(HoldAt::Start), Just(HoldAt::Leave), Just(HoldAt::Never)],
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut sim = Sim::with_gateways(gateways, hold_at, seed);
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
