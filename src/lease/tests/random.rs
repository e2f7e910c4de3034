//! Random sequences of events keep the invariants.
//!
//! A million of them: `PROPTEST_CASES=1000000 cargo test --release --lib random`.

use proptest::prelude::*;

use super::super::*;
use super::sim::*;
use super::world::{Fate, World};
use crate::error::ErrorKind;
use crate::liveness::Liveness;

#[derive(Clone, Copy, Debug)]
enum Step {
    Wake,
    Elapse(u64),
    Answer(Fate),
    AnswerAgain,
    Evict(usize),
    Restart(usize),
    CleanUp,
    Disconnected,
    Probed(Liveness),
    Listed(u32),
    Cure,
    FirstIsBack,
    Withdraw(bool),
    Proved,
    Slots(bool),
    Beat,
    Leave,
    Drained,
    Hurry,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        8 => Just(Fate::Answered),
        2 => Just(Fate::AnswerLost),
        2 => Just(Fate::CallLost),
        2 => Just(Fate::NotSent),
        1 => Just(Fate::HeldBack),
        1 => Just(Fate::Refused(ErrorKind::Unavailable)),
        1 => Just(Fate::Refused(ErrorKind::SchemaConflict)),
        1 => Just(Fate::Refused(ErrorKind::TierRefused)),
    ];
    let liveness = prop_oneof![
        Just(Liveness::Slow),
        Just(Liveness::Dead),
        Just(Liveness::Silent),
        Just(Liveness::NodeSilent)
    ];
    prop_oneof![
        16 => Just(Step::Wake),
        6 => (0_u64..40_000).prop_map(Step::Elapse),
        18 => fate.prop_map(Step::Answer),
        2 => Just(Step::AnswerAgain),
        2 => any::<u8>().prop_map(|choice| Step::Evict(choice.into())),
        1 => any::<u8>().prop_map(|choice| Step::Restart(choice.into())),
        2 => Just(Step::CleanUp),
        4 => Just(Step::Disconnected),
        6 => liveness.prop_map(Step::Probed),
        1 => any::<u32>().prop_map(Step::Listed),
        2 => Just(Step::Cure),
        1 => Just(Step::FirstIsBack),
        1 => any::<u8>().prop_map(|choice| Step::Withdraw(choice > 250)),
        1 => Just(Step::Proved),
        3 => any::<bool>().prop_map(Step::Slots),
        2 => Just(Step::Beat),
        1 => Just(Step::Leave),
        2 => Just(Step::Drained),
        1 => Just(Step::Hurry),
    ]
}

/// proptest's own variable takes precedence.
fn config() -> ProptestConfig {
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return ProptestConfig::default();
    }
    ProptestConfig::with_cases(if cfg!(debug_assertions) {
        2_000
    } else {
        20_000
    })
}

fn take(step: Step, world: &mut World) {
    let sim = &mut world.sim;
    match step {
        Step::Wake => {
            sim.wake();
        }
        Step::Elapse(ms) => {
            sim.now += Duration::from_millis(ms);
            sim.on(Input::Woken);
        }
        Step::Answer(fate) => world.answer(fate),
        Step::AnswerAgain => world.answer_again(),
        Step::Evict(choice) => world.evict(choice),
        Step::Restart(choice) => world.restart(choice),
        Step::CleanUp => world.clean_up(),
        Step::Disconnected => sim.on(Input::Disconnected),
        Step::Probed(found) if sim.probing => sim.probed(found),
        Step::Listed(replicas) => sim.on(Input::Listed { replicas }),
        Step::Cure => sim.on(Input::Cure),
        Step::FirstIsBack => sim.on(Input::FirstIsBack),
        Step::Withdraw(for_good) => sim.on(Input::Withdraw { for_good }),
        Step::Proved => sim.on(Input::Proved),
        Step::Slots(free) => sim.on(Input::Slots { free }),
        Step::Beat => sim.on(Input::Beat),
        Step::Leave => world.leave(),
        Step::Hurry => sim.on(Input::Hurry),
        Step::Drained if sim.draining => sim.drained(),
        Step::Probed(_) | Step::Drained => {}
    }
    world.check();
}

/// From now on every call is answered: how long until the service is registered?
fn recover(world: &mut World) -> Duration {
    let start = world.sim.now;
    for _ in 0..100 {
        // A heartbeat may be needed first, to learn that the entry was lost.
        if world.sim.call.is_some() {
            world.answer(Fate::Answered);
        } else if world.is_registered() || world.sim.machine.is_withdrawn_for_good() {
            return world.sim.now - start;
        } else if world.sim.probing {
            world.sim.probed(Liveness::Slow);
        } else {
            world.sim.wake();
        }
        world.check();
    }
    panic!("does not come back");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_sequence_of_events_keeps_the_invariants(
        seed: u64,
        gateways in 1_usize..4,
        hold_at in prop_oneof![Just(Hold::AtStart), Just(Hold::AtLeave), Just(Hold::Off)],
        steps in prop::collection::vec(step(), 1..200),
        answers: bool,
    ) {
        let mut world = World::new(gateways, hold_at, seed);
        world.check();
        for step in steps {
            take(step, &mut world);
        }
        let was_serving = world.sim.left_at.is_none();
        if was_serving {
            // Refused content is retried after 5 min at the latest.
            prop_assert!(recover(&mut world) <= Duration::from_secs(330));
        }
        // Whatever happened, leaving ends within its limit, even without any further answer.
        world.sim.leave();
        let left_at = world.sim.left_at.unwrap();
        for _ in 0..200 {
            if world.sim.finished_at.is_some() { break; }
            if world.sim.call.is_some() && answers {
                world.answer(Fate::Answered);
            } else if world.sim.draining && answers {
                world.sim.drained();
            } else if world.sim.probing {
                world.sim.probed(Liveness::Silent);
            } else {
                world.sim.wake();
            }
            world.check();
        }
        let finished = world.sim.finished_at.expect("leaving ends");
        // One `Elapse` may overshoot the moment at which the end is noticed.
        prop_assert!(finished - left_at <= LEAVE + Duration::from_secs(40));
        // Entries from late answers are still deregistered.
        for _ in 0..40 {
            if world.sim.call.is_some() {
                world.answer(Fate::Answered);
            } else {
                world.sim.wake();
            }
            world.check();
        }
        prop_assert!(!world.sim.machine.is_busy());
        if was_serving && answers {
            prop_assert_eq!(world.known_entries(), 0);
        }
    }
}
