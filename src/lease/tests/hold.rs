//! The hold beside the service.

use super::super::*;
use super::sim::*;
use crate::error::ErrorKind;

/// Holds as `h`, serves as `a`.
fn held_and_registered() -> Sim {
    let mut sim = Sim::with_hold(Hold::AtStart, 1);
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
    let mut sim = Sim::with_hold(Hold::AtStart, 1);
    // A tier policy may accept `unstable` only: retried at once.
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
    assert_eq!(sim.call, register(LeaseKind::Hold));
    sim.answer(granted("h2"));
    sim.wake_until_called();
    assert_eq!(sim.call, register(LeaseKind::Service));
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
    let mut sim = Sim::with_hold(Hold::AtLeave, 1);
    assert_eq!(sim.call, Some(REGISTER));
    sim.answer(granted("a"));
    sim.leave();
    assert_eq!(sim.call, Some(REGISTER_HOLD));
    sim.answer(granted("h"));
    assert_eq!(sim.call, Some(deregister("a")));
}

#[test]
fn a_gateway_that_cannot_be_reached_is_not_polled_twice_as_often_for_two_leases() {
    let mut sim = held_and_registered();
    sim.on(Input::Disconnected);
    let start = sim.now;
    for _ in 0..100 {
        sim.wake_until_called();
        sim.answer(Answer::NotSent);
    }
    assert!(sim.now - start >= 99 * Duration::from_millis(250));
    assert_eq!(
        sim.notes.last(),
        Some(&Note::Unreachable),
        "told, whichever was tried"
    );
}
