//! An entry that is not routed is replaced, or withdrawn.

use super::super::*;
use super::sim::*;

fn register(spelling: u32, looks: bool) -> Call {
    Call {
        which: Which::Service,
        verb: Verb::Register { spelling, looks },
    }
}

fn former(verb: Verb) -> Option<Call> {
    let which = Which::Former;
    Some(Call { which, verb })
}

#[test]
fn the_new_entry_is_there_before_the_old_one_goes() {
    let mut sim = Sim::registered();
    sim.on(Event::Cure);
    assert_eq!(sim.call, Some(register(1, false)), "at once");
    sim.answer(granted("b"));
    assert_eq!(sim.call, former(Verb::Deregister("a".into())));
    sim.answer(Answer::Deregistered);
    sim.wake_until_called();
    assert_eq!(sim.call, Some(beat("b")));
}

#[test]
fn the_hold_is_taken_in_the_new_spelling_first() {
    let mut sim = Sim::with_hold(HoldAt::Start, 1);
    sim.answer(granted("h"));
    sim.answer(granted("a"));
    sim.on(Event::Cure);
    let hold = sim.call.clone().map(|call| (call.which, call.verb));
    let (spelling, looks) = (1, false);
    let verb = Verb::Register { spelling, looks };
    assert_eq!(hold, Some((Which::Hold, verb)));
    sim.answer(granted("h2"));
    assert_eq!(sim.call, Some(register(1, false)));
}

#[test]
fn a_beat_in_flight_is_waited_for() {
    let mut sim = Sim::registered();
    sim.wake_until_called();
    assert_eq!(sim.call, Some(beat("a")));
    sim.on(Event::Cure);
    assert_eq!(sim.call, Some(beat("a")));
    sim.answer(Answer::Beat { known: true });
    assert_eq!(sim.call, Some(register(1, false)));
}

#[test]
fn the_old_entry_is_beaten_until_the_new_one_is_there() {
    let mut sim = Sim::registered();
    sim.on(Event::Cure);
    sim.answer(Answer::Refused(crate::error::ErrorKind::TierRefused));
    sim.wake_until_called();
    assert_eq!(sim.call, former(Verb::Heartbeat("a".into())));
}

#[test]
fn a_leave_amid_a_cure_deregisters_both() {
    let mut sim = Sim::registered();
    sim.on(Event::Cure);
    sim.leave();
    sim.answer(granted("b"));
    assert_eq!(sim.call, Some(deregister("b")));
    sim.answer(Answer::Deregistered);
    assert_eq!(sim.call, former(Verb::Deregister("a".into())));
    sim.answer(Answer::Deregistered);
    assert!(sim.draining);
    assert_eq!(sim.machine.ending(Which::Service), Ending::Deregistered);
}

#[test]
fn what_gives_way_looks_before_it_comes_back() {
    let mut sim = Sim::registered();
    sim.on(Event::Withdraw { for_good: false });
    assert_eq!(sim.call, Some(deregister("a")));
    sim.answer(Answer::Deregistered);
    let wait = sim.wake_until_called();
    assert!(wait >= Duration::from_secs(29), "{wait:?}");
    assert_eq!(sim.call, Some(register(0, true)));
}

#[test]
fn what_is_withdrawn_for_good_never_comes_back() {
    let mut sim = Sim::with_hold(HoldAt::Start, 1);
    sim.answer(granted("h"));
    sim.answer(granted("a"));
    sim.on(Event::Withdraw { for_good: true });
    assert_eq!(sim.call, Some(deregister("a")));
    sim.answer(Answer::Deregistered);
    for event in [Event::Disconnected, Event::Cure, Event::Woken] {
        sim.now += Duration::from_secs(3_600);
        sim.on(event);
        assert_eq!(sim.call, None);
    }
    sim.leave();
    assert_eq!(sim.machine.ending(Which::Service), Ending::NothingHeld);
}
