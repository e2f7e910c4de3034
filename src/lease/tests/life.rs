//! A single lease: registering, heartbeats, re-registering, leaving.

use super::super::*;
use super::sim::*;
use crate::error::ErrorKind;
use crate::liveness::Liveness;

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

/// Earlier failures of another kind do not count as refusals.
#[test]
fn a_first_no_has_its_own_pace_whatever_failed_before() {
    let misrouted = Answer::Misrouted;
    let refused = Answer::Refused(ErrorKind::SchemaConflict);
    for (no, [least, most]) in [(misrouted, [0, 3_000]), (refused, [30_000, 45_000])] {
        let mut sim = Sim::new(1);
        for _ in 0..9 {
            sim.answer(Answer::Refused(ErrorKind::Unavailable));
            sim.wake_until_called();
        }
        sim.answer(no);
        let wait = sim.wake_until_called();
        assert!((least..=most).contains(&wait.as_millis()), "{wait:?}");
    }
}

#[test]
fn a_forgotten_registration_is_made_again_at_once() {
    let mut sim = Sim::registered();
    sim.on(Input::Listed { replicas: 1 });
    sim.wake_until_called();
    sim.answer(Answer::Beat { known: false });
    let wait = sim.wake_until_called();
    let verb = Verb::Register { spelling: 1 };
    let which = LeaseKind::Service;
    assert_eq!(sim.call, Some(Call { which, verb }), "in a fresh spelling");
    assert!(wait <= Duration::from_millis(100), "{wait:?}");
    assert_eq!(sim.notes, [Note::Registered, Note::Forgotten]);
}

#[test]
fn a_lost_connection_is_looked_into_at_once_and_keeps_the_registration() {
    let mut sim = Sim::registered();
    sim.on(Input::Disconnected);
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
fn a_connection_that_ends_as_it_brings_an_answer_is_looked_into_at_once() {
    let mut sim = Sim::registered();
    sim.wake_until_called();
    sim.on(Input::Disconnected);
    sim.answer(Answer::Beat { known: true });
    let wait = sim.wake_until_called();
    assert!(wait <= Duration::from_millis(100), "{wait:?}");
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
fn refused_content_is_offered_again_soon_when_the_connection_ends() {
    let mut sim = Sim::new(1);
    let refused = || Answer::Refused(ErrorKind::Unrenderable);
    sim.answer(refused());
    sim.on(Input::Disconnected);
    assert!(sim.wake_until_called() <= Duration::from_millis(500));
    // But with a pause if each refusal ends the connection.
    let start = sim.now;
    for _ in 0..20 {
        sim.answer(refused());
        sim.on(Input::Disconnected);
        sim.wake_until_called();
    }
    assert!(sim.now - start > Duration::from_secs(20));
}

/// A Register that takes long is awaited; what follows comes after the time that it may take.
#[test]
fn a_slow_register_is_told_of_long_before_it_is_doubted() {
    let mut sim = Sim::new(1);
    sim.wake();
    assert_eq!(sim.notes, [Note::Waiting]);
    assert_eq!(sim.now - sim.start, Duration::from_secs(3));
    assert!(!sim.probing);
    sim.wake();
    assert_eq!(sim.notes, [Note::Waiting, Note::Slow]);
    assert_eq!(sim.now - sim.start, Duration::from_secs(15));
    assert!(sim.probing);
}

/// Nothing is left of a Register that a peer of another protocol got, and it is retried soon.
#[test]
fn a_peer_of_another_protocol_has_carried_nothing_out() {
    let mut sim = Sim::new(1);
    for _ in 0..20 {
        sim.answer(Answer::Foreign);
        assert!(sim.wake_until_called() <= Duration::from_secs(5));
    }
    sim.answer(Answer::Foreign);
    sim.leave();
    assert_eq!(sim.machine.ending(LeaseKind::Service), Ending::NothingHeld);
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
    assert_eq!(sim.now - sim.start, Duration::from_secs(20));
    // Frozen: neither an answer nor a refusal. The heartbeat stays in flight.
    sim.probed(Liveness::Silent);
    assert_eq!(sim.disconnects, 0);
    sim.wake();
    assert!(sim.probing);
    // The gateway thaws: it answers the one heartbeat, and nothing was registered twice.
    sim.answer(Answer::Beat { known: true });
    sim.probed(Liveness::Dead);
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
    sim.probed(Liveness::Dead);
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
    assert_eq!(sim.machine.ending(LeaseKind::Service), Ending::Deregistered);
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
    assert_eq!(sim.machine.ending(LeaseKind::Service), Ending::Unanswered);
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
    assert_eq!(sim.machine.ending(LeaseKind::Service), Ending::NothingHeld);
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
    assert!(sim.now - start <= Duration::from_secs(1));
    assert_eq!(sim.machine.ending(LeaseKind::Service), Ending::Failed);
}

#[test]
fn a_slow_answer_on_a_living_connection_is_waited_for() {
    let mut sim = Sim::registered();
    sim.wake_until_called();
    for _ in 0..5 {
        while !sim.probing {
            sim.wake();
        }
        sim.probed(Liveness::Slow);
    }
    assert_eq!(sim.disconnects, 0);
    sim.answer(Answer::Beat { known: true });
    assert_eq!(sim.notes.last(), Some(&Note::Alive));
}

#[test]
fn what_a_register_that_broke_off_has_left_is_looked_for() {
    for (answer, ending) in [
        (Answer::Recalled { found: 1 }, Ending::Deregistered),
        (Answer::Recalled { found: 0 }, Ending::NothingHeld),
        (Answer::Unknowable, Ending::Unanswered),
    ] {
        let mut sim = Sim::new(1);
        sim.answer(Answer::Broken);
        sim.leave();
        assert_eq!(sim.call, Some(RECALL));
        assert_eq!(sim.machine.ending(LeaseKind::Service), Ending::Unanswered);
        assert!(!sim.draining, "the gateway may still send calls");
        sim.answer(answer);
        assert_eq!(sim.machine.ending(LeaseKind::Service), ending);
        assert!(sim.draining);
    }
}

#[test]
fn what_is_in_doubt_and_cannot_be_looked_for_stays_so() {
    let mut sim = Sim::new(1);
    sim.answer(Answer::Broken);
    sim.leave();
    for _ in 0..3 {
        sim.wake_until_called();
        assert_eq!(sim.call, Some(RECALL));
        sim.answer(Answer::NotSent);
    }
    assert!(sim.draining);
    assert_eq!(sim.machine.ending(LeaseKind::Service), Ending::Unanswered);
    sim.drained();
    assert!(sim.finished_at.is_some());
    assert!(!sim.machine.is_busy());
}

/// The Register was in flight when leaving began.
#[test]
fn a_register_that_breaks_off_while_leaving_is_looked_for() {
    let mut sim = Sim::new(1);
    sim.leave();
    sim.answer(Answer::Broken);
    assert_eq!(sim.call, Some(RECALL));
    sim.answer(Answer::Recalled { found: 1 });
    assert_eq!(sim.machine.ending(LeaseKind::Service), Ending::Deregistered);
}

#[test]
fn doubt_survives_the_turn_to_another_gateway() {
    let mut sim = Sim::with_gateways(2, Hold::Off, 1);
    // Silent, and given up.
    while !sim.probing {
        sim.wake();
    }
    sim.probed(Liveness::Silent);
    sim.answer(Answer::Broken);
    assert_eq!(sim.turns, 1);
    assert!(is_register(sim.call.as_ref().expect("at once")));
    sim.answer(Answer::NotSent);
    sim.leave();
    sim.wake_until_called();
    assert_eq!(sim.call, Some(RECALL));
}

/// The gateway that took over has lost its entry, or the service was withdrawn there: nothing is
/// left to be deregistered.
#[test]
fn doubt_about_a_gateway_that_was_left_survives_a_registration_elsewhere() {
    let mut forgotten = Sim::registered();
    forgotten.wake_until_called();
    forgotten.answer(Answer::Beat { known: false });
    forgotten.leave_in_doubt(vec![LeaseKind::Service]);

    let mut forgotten_while_leaving = Sim::registered();
    forgotten_while_leaving.wake_until_called();
    forgotten_while_leaving.leave_in_doubt(vec![LeaseKind::Service]);
    forgotten_while_leaving.answer(Answer::Beat { known: false });

    let mut withdrawn = Sim::registered();
    withdrawn.on(Input::Withdraw { for_good: true });
    withdrawn.answer(Answer::Deregistered);
    withdrawn.leave_in_doubt(vec![LeaseKind::Service]);

    for mut sim in [forgotten, forgotten_while_leaving, withdrawn] {
        assert_eq!(sim.call, Some(RECALL));
        assert!(!sim.draining, "the gateway may still send calls");
        sim.answer(Answer::Recalled { found: 1 });
        assert_eq!(sim.machine.ending(LeaseKind::Service), Ending::Deregistered);
        assert!(sim.draining);
    }
}

#[test]
fn doubt_survives_a_panic_of_the_task() {
    let mut sim = Sim::with_hold(Hold::Off, 1);
    sim.answer(Answer::Broken);
    let mut next = Sim::with_hold(Hold::Off, 2);
    next.machine.succeed(&sim.machine);
    next.answer(Answer::NotSent);
    next.leave();
    next.wake_until_called();
    assert_eq!(next.call, Some(RECALL));
}

/// The gateway has no connection that a hold could keep open.
#[test]
fn a_service_that_was_never_registered_gets_no_hold_at_the_end() {
    let mut sim = Sim::with_hold(Hold::AtLeave, 2);
    sim.on(Input::Withdraw { for_good: true });
    sim.answer(Answer::NotSent);
    sim.leave();
    assert_eq!(sim.call, None);
}

#[test]
fn a_hurry_ends_every_wait_for_the_gateway() {
    let mut sim = Sim::registered();
    sim.wake_until_called();
    let start = sim.now;
    sim.leave();
    sim.on(Input::Hurry);
    while !sim.draining {
        sim.wake();
    }
    sim.drained();
    while sim.finished_at.is_none() {
        sim.wake();
    }
    assert!(sim.now - start <= 2 * crate::lease::phases::HURRIED_TIMEOUT);
}
