//! An entry that is not routed is replaced, or withdrawn.

use super::super::*;
use super::sim::*;

fn register(spelling: u32) -> Call {
    Call {
        which: LeaseKind::Service,
        verb: Verb::Register { spelling },
    }
}

fn former(verb: fn(Entry) -> Verb) -> Option<Call> {
    let which = LeaseKind::Former;
    let verb = verb(entry("a", which));
    Some(Call { which, verb })
}

#[test]
fn the_new_entry_is_there_before_the_old_one_goes() {
    let mut sim = Sim::registered();
    sim.on(Input::Cure);
    assert_eq!(sim.call, Some(register(1)), "at once");
    sim.answer(granted("b"));
    assert_eq!(sim.call, former(Verb::Deregister));
    sim.answer(Answer::Deregistered);
    sim.wake_until_called();
    assert_eq!(sim.call, Some(beat("b")));
}

#[test]
fn the_hold_is_taken_in_the_new_spelling_first() {
    let mut sim = Sim::with_hold(Hold::AtStart, 1);
    sim.answer(granted("h"));
    sim.answer(granted("a"));
    sim.on(Input::Cure);
    let hold = sim.call.clone().map(|call| (call.which, call.verb));
    let verb = Verb::Register { spelling: 1 };
    assert_eq!(hold, Some((LeaseKind::Hold, verb)));
    sim.answer(granted("h2"));
    assert_eq!(sim.call, Some(register(1)));
}

#[test]
fn a_beat_in_flight_is_waited_for() {
    let mut sim = Sim::registered();
    sim.wake_until_called();
    assert_eq!(sim.call, Some(beat("a")));
    sim.on(Input::Cure);
    assert_eq!(sim.call, Some(beat("a")));
    sim.answer(Answer::Beat { known: true });
    assert_eq!(sim.call, Some(register(1)));
}

#[test]
fn the_old_entry_is_beaten_until_the_new_one_is_there() {
    let mut sim = Sim::registered();
    sim.on(Input::Cure);
    sim.answer(Answer::Refused(crate::error::ErrorKind::TierRefused));
    sim.wake_until_called();
    assert_eq!(sim.call, former(Verb::Heartbeat));
}

#[test]
fn a_leave_amid_a_cure_deregisters_both() {
    let mut sim = Sim::registered();
    sim.on(Input::Cure);
    sim.leave();
    sim.answer(granted("b"));
    assert_eq!(sim.call, Some(deregister("b")));
    sim.answer(Answer::Deregistered);
    assert_eq!(sim.call, former(Verb::Deregister));
    sim.answer(Answer::Deregistered);
    assert!(sim.draining);
    assert_eq!(sim.machine.ending(LeaseKind::Service), Ending::Deregistered);
}

fn given_way() -> Sim {
    let mut sim = Sim::with_hold(Hold::AtStart, 1);
    sim.answer(granted("h"));
    sim.answer(granted("a"));
    sim.on(Input::Withdraw { for_good: false });
    assert_eq!(sim.call, Some(deregister("a")));
    sim.answer(Answer::Deregistered);
    sim
}

/// Runs for `span`, and answers the hold's heartbeats.
fn pass(sim: &mut Sim, span: Duration) {
    let end = sim.now + span;
    while sim.machine.wake_at().is_some_and(|at| at <= end) && sim.now < end {
        sim.wake();
        if sim.call == Some(beat("h")) {
            sim.answer(Answer::Beat { known: true });
        } else if sim.call.is_some() {
            return;
        }
    }
    sim.now = sim.now.max(end);
}

#[test]
fn what_gives_way_comes_back_when_its_slot_is_free_and_keeps_the_hold_meanwhile() {
    let mut sim = given_way();
    for _ in 0..200 {
        sim.on(Input::Slots { free: false });
        pass(&mut sim, Duration::from_secs(1));
        assert_eq!(sim.call, None);
    }
    // A restarted gateway is not a reason.
    sim.on(Input::Disconnected);
    sim.on(Input::Slots { free: true });
    while sim.call != Some(register(0)) {
        assert_eq!(sim.call, Some(beat("h")));
        sim.answer(Answer::Beat { known: true });
    }
    sim.answer(granted("b"));
    assert_eq!(sim.notes, [Note::Registered; 2]);
}

#[test]
fn without_any_look_what_gives_way_comes_back_slowly() {
    let mut sim = given_way();
    pass(&mut sim, Duration::from_secs(29));
    assert_eq!(sim.call, None);
    pass(&mut sim, Duration::from_secs(300));
    assert_eq!(sim.call, Some(register(0)));
}

#[test]
fn a_gateway_that_refuses_what_looks_free_is_asked_ever_more_slowly() {
    let mut sim = Sim::new(1);
    let start = sim.now;
    let mut registers = 0;
    while sim.now - start < Duration::from_secs(600) {
        if sim.call.is_some() {
            registers += 1;
            sim.answer(Answer::Refused(crate::error::ErrorKind::SchemaConflict));
        }
        sim.now += Duration::from_millis(300);
        sim.on(Input::Slots { free: true });
    }
    assert!((8..30).contains(&registers), "{registers} in 10 min");
}

#[test]
fn a_beat_that_is_held_back_is_asked_for_again_soon() {
    let mut sim = Sim::registered();
    sim.on(Input::Beat);
    assert_eq!(sim.call, Some(beat("a")), "at once");
    sim.answer(Answer::HeldBack);
    let wait = sim.wake_until_called();
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
    assert_eq!(sim.call, Some(beat("a")));
    sim.leave();
    sim.answer(Answer::HeldBack);
    assert_eq!(sim.call, Some(deregister("a")));
}

#[test]
fn what_is_withdrawn_for_good_never_comes_back() {
    let mut sim = Sim::with_hold(Hold::AtStart, 1);
    sim.answer(granted("h"));
    sim.answer(granted("a"));
    sim.on(Input::Withdraw { for_good: true });
    assert_eq!(sim.call, Some(deregister("a")));
    sim.answer(Answer::Deregistered);
    for event in [Input::Disconnected, Input::Cure, Input::Woken] {
        sim.now += Duration::from_secs(3_600);
        sim.on(event);
        assert_eq!(sim.call, None);
    }
    sim.leave();
    assert_eq!(sim.machine.ending(LeaseKind::Service), Ending::NothingHeld);
}

/// A withdrawal that a look orders during a cure is not forgotten.
#[test]
fn a_withdrawal_amid_a_cure_is_made_when_the_cure_is() {
    for for_good in [false, true] {
        let mut sim = Sim::registered();
        sim.on(Input::Cure);
        assert_eq!(sim.call, Some(register(1)));
        sim.on(Input::Withdraw { for_good });
        assert_eq!(sim.call, Some(register(1)), "its answer is waited for");
        sim.answer(granted("b"));
        assert!(sim.machine.is_withdrawn());
        let mut gone = Vec::new();
        while let Some(Call {
            verb: Verb::Deregister(entry),
            ..
        }) = sim.call.clone()
        {
            gone.push(entry.id);
            sim.answer(Answer::Deregistered);
        }
        gone.sort();
        assert_eq!(gone, ["a", "b"]);
    }
}

/// The gateway refuses the new entry, so the existing one is removed.
#[test]
fn a_withdrawal_amid_a_cure_that_fails_removes_the_former_entry() {
    let mut sim = Sim::registered();
    sim.on(Input::Cure);
    sim.on(Input::Withdraw { for_good: true });
    sim.answer(Answer::Refused(crate::error::ErrorKind::TierRefused));
    assert_eq!(sim.call, Some(deregister("a")));
    sim.answer(Answer::Deregistered);
    sim.now += Duration::from_secs(3_600);
    sim.on(Input::Woken);
    assert_eq!(sim.call, None);
}

/// A younger process may be found while this one waits to register again.
#[test]
fn what_is_withdrawn_for_good_while_nothing_is_held_is_not_registered() {
    let mut sim = Sim::with_hold(Hold::Off, 1);
    sim.answer(Answer::NotSent);
    sim.on(Input::Withdraw { for_good: true });
    for event in [
        Input::Disconnected,
        Input::Slots { free: true },
        Input::Woken,
    ] {
        sim.now += Duration::from_secs(3_600);
        sim.on(event);
        assert_eq!(sim.call, None);
    }
    sim.leave();
    assert_eq!(sim.machine.ending(LeaseKind::Service), Ending::NothingHeld);
}
