//! Several gateways.

use super::super::*;
use super::sim::*;
use crate::error::ErrorKind;
use crate::liveness::Liveness;

#[test]
fn a_gateway_that_cannot_be_reached_is_left_for_the_next_at_once() {
    let mut sim = Sim::with_gateways(2, Hold::Off, 1);
    sim.answer(granted("a"));
    sim.on(Input::Disconnected);
    sim.wake_until_called();
    sim.answer(Answer::NotSent);
    assert_eq!((sim.turns, sim.machine.gateway()), (1, 1));
    assert_eq!(sim.abandoned, ["a"]);
    let verb = Verb::Register { spelling: 1 };
    let which = LeaseKind::Service;
    assert_eq!(sim.call, Some(Call { which, verb }), "at once");
    sim.answer(granted("a2"));
    sim.leave();
    let verb = Verb::Deregister(Entry {
        gateway: 1,
        ..entry("a2", which)
    });
    assert_eq!(sim.call, Some(Call { which, verb }));
}

/// An answer that may be a proxy's in the middle of a rollout gets a second chance.
#[test]
fn a_peer_that_is_no_gateway_is_left_for_the_next() {
    let mut sim = Sim::with_gateways(2, Hold::Off, 1);
    sim.answer(Answer::Foreign);
    assert_eq!((sim.turns, sim.machine.gateway()), (1, 1));
    assert!(sim.call.is_some(), "at once");
    sim.answer(Answer::Misrouted);
    assert_eq!((sim.turns, sim.machine.gateway()), (1, 1));
    let wait = sim.wake_until_called();
    assert!(wait <= Duration::from_secs(3), "{wait:?}");
    sim.answer(Answer::Misrouted);
    assert_eq!((sim.turns, sim.machine.gateway()), (2, 0));
    // After a full round there is a pause, so that nothing spins.
    for _ in 0..10 {
        let wait = sim.wake_until_called();
        let pauses = sim.machine.gateway() == 0;
        assert_eq!(wait >= Duration::from_millis(250), pauses, "{wait:?}");
        sim.answer(Answer::Foreign);
    }
    assert!(sim.notes.iter().all(|note| *note == Note::Unreachable));
}

/// A gateway without its store, or a proxy before a gateway that is gone, may stay so.
#[test]
fn a_gateway_that_is_unavailable_twice_in_a_row_is_left_for_the_next() {
    let unavailable = || Answer::Refused(ErrorKind::Unavailable);
    let mut sim = Sim::with_gateways(2, Hold::Off, 1);
    sim.answer(unavailable());
    assert_eq!(sim.turns, 0);
    sim.wake_until_called();
    sim.answer(unavailable());
    assert_eq!((sim.turns, sim.machine.gateway()), (1, 1));
    sim.answer(granted("a"));
    // Heartbeats: the entry would expire unnoticed.
    for answer in [unavailable(), Answer::Beat { known: true }, unavailable()] {
        sim.wake_until_called();
        sim.answer(answer);
        assert_eq!(sim.turns, 1);
    }
    sim.wake_until_called();
    sim.answer(unavailable());
    assert_eq!((sim.turns, sim.machine.gateway()), (2, 0));
    assert_eq!(sim.abandoned, ["a"]);
    assert!(sim.call.as_ref().is_some_and(is_register));
    // None is available: each is tried twice, never without a pause.
    for _ in 0..10 {
        sim.answer(unavailable());
        assert!(sim.wake_until_called() >= Duration::from_millis(100));
        sim.answer(unavailable());
    }
    assert_eq!(sim.turns, 12);
    // A single gateway is never left.
    let mut sim = Sim::with_gateways(1, Hold::Off, 1);
    for _ in 0..3 {
        sim.answer(unavailable());
        sim.wake_until_called();
    }
    assert_eq!(sim.turns, 0);
}

#[test]
fn the_first_gateway_has_the_service_before_the_other_one_loses_it() {
    let mut sim = Sim::with_gateways(2, Hold::Off, 1);
    sim.answer(Answer::NotSent);
    sim.answer(granted("a"));
    assert_eq!(sim.machine.gateway(), 1);
    sim.on(Input::FirstIsBack);
    assert_eq!((sim.turns, sim.machine.gateway()), (2, 0));
    assert!(sim.call.as_ref().is_some_and(is_register));
    assert_eq!(sim.abandoned, Vec::<String>::new(), "not yet");
    sim.answer(granted("b"));
    assert_eq!(sim.abandoned, ["a"]);
    // There is nothing better.
    sim.on(Input::FirstIsBack);
    assert_eq!((sim.turns, sim.call.clone()), (2, None));
}

#[test]
fn gateways_none_of_which_can_be_reached_are_polled_in_turn() {
    let mut sim = Sim::with_gateways(3, Hold::Off, 1);
    for round in 0..100 {
        for gateway in 0..3 {
            let wait = sim.wake_until_called();
            assert_eq!(sim.machine.gateway(), gateway);
            let pauses = gateway == 0 && round > 0;
            assert_eq!(wait > Duration::ZERO, pauses, "{wait:?}");
            sim.answer(Answer::NotSent);
        }
    }
    assert!(sim.abandoned.is_empty());
}

#[test]
fn a_silent_gateway_is_left_when_there_is_another_and_not_before_the_probe() {
    let mut sim = Sim::with_gateways(2, Hold::Off, 1);
    sim.answer(granted("a"));
    sim.wake_until_called();
    while !sim.probing {
        sim.wake();
    }
    assert_eq!(sim.now - sim.start, Duration::from_secs(20));
    sim.probed(Liveness::Silent);
    assert_eq!((sim.disconnects, sim.turns), (1, 0));
    sim.answer(Answer::Broken);
    assert_eq!((sim.turns, sim.machine.gateway()), (1, 1));
    assert_eq!(sim.abandoned, ["a"]);
}

#[test]
fn whoever_waits_for_slots_waits_for_those_of_the_next_gateway() {
    let mut sim = Sim::with_gateways(2, Hold::AtStart, 1);
    sim.answer(granted("h"));
    sim.answer(granted("a"));
    sim.on(Input::Withdraw { for_good: false });
    assert_eq!(sim.call, Some(deregister("a")));
    sim.answer(Answer::Deregistered);
    sim.on(Input::Slots { free: false });
    sim.on(Input::Disconnected);
    sim.wake_until_called();
    sim.answer(Answer::NotSent);
    assert_eq!((sim.turns, sim.machine.gateway()), (1, 1));
    assert!(sim.machine.waits_for_slots());
    let which = sim.call.as_ref().map(|call| call.which);
    assert_eq!(which, Some(LeaseKind::Hold), "at once");
    sim.answer(granted("h2"));
    assert_eq!(sim.call, None, "whose the slot is, is not known yet");
    sim.on(Input::Slots { free: true });
    assert!(sim.call.as_ref().is_some_and(is_register));
}
