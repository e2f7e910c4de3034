//! `unstable` builds that overlap.

use std::time::Duration;

use tokio::time::sleep;
use tower_gwag::{ErrorKind, Event, Options, State};

use super::place::Place;
use crate::control::proto::Registration;
use crate::support::{
    Events, Running, axum_app, pets_app, registered, tonic_greeter, until_state, within,
};

/// How long nobody may serve while builds change.
pub(super) const UNSERVED: Duration = Duration::from_millis(500);

async fn build(place: &Place, comment: &str) -> Running {
    let service = place.greeter("unstable", comment);
    let options = place.options().service(service);
    tonic_greeter(options.heartbeat_interval(Duration::from_secs(2))).await
}

/// Waits for the next beat of the one entry that the namespace has.
pub(super) async fn beaten(place: &Place) -> Registration {
    let before = place.entries().await.remove(0);
    within("a beat", async {
        loop {
            let entries = place.entries().await.into_iter();
            let mut same = entries.filter(|it| it.registration_id == before.registration_id);
            match same.next() {
                Some(now) if now.last_heartbeat_unix_ms != before.last_heartbeat_unix_ms => {
                    return now;
                }
                // It has stepped aside, and makes none.
                None => std::future::pending().await,
                Some(_) => sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await
}

/// More of them where somebody looks for rare ones.
pub(super) fn rounds() -> u64 {
    let wanted = std::env::var("SLOTS_ROUNDS").ok();
    wanted.and_then(|rounds| rounds.parse().ok()).unwrap_or(5)
}

/// The new build registers just before a beat of the old one, which is stopped right after it.
#[tokio::test]
async fn a_rollout_at_the_worst_moment_goes_unnoticed() {
    let place = Place::find().await;
    for round in 0..rounds() {
        let old = build(&place, &format!("old {round}")).await;
        until_state(&old.registration, State::Listed).await;
        let caller = place.caller().await;
        caller.answered().await;
        let swaps = place.swaps("unstable").await;
        beaten(&place).await;
        // The beat comes after 1.8 to 2.2 s.
        sleep(Duration::from_millis(1_750 + 90 * (round % 5))).await;
        let before = place.hash("unstable").await;
        let new = build(&place, &format!("new {round}")).await;
        place
            .until_hash("the new build has the slot", "unstable", |now| {
                now != before.as_deref()
            })
            .await;
        let entries = place.entries().await;
        entries.into_iter().for_each(|entry| swaps.note(entry));
        let report = old.stop().await;
        assert!(report.is_clean(), "{report}");
        until_state(&new.registration, State::Routed).await;
        sleep(Duration::from_millis(2_500)).await;
        let (unserved, failed, calls) = caller.unserved();
        let (swaps, most) = swaps.count_and_most();
        println!(
            "round {round}: {unserved:?} unserved, {failed} of {calls} failed, {swaps} swaps of {most}"
        );
        assert!(unserved < UNSERVED, "{unserved:?} unserved");
        assert!(swaps <= most, "{swaps} swaps, at most {most}");
        new.stop().await;
    }
}

#[tokio::test]
async fn the_older_build_steps_aside_and_is_back_when_the_newer_one_goes() {
    let place = Place::find().await;
    let old = build(&place, "old").await;
    until_state(&old.registration, State::Listed).await;
    let caller = place.caller().await;
    caller.answered().await;
    let swaps = place.swaps("unstable").await;
    let new = build(&place, "new").await;
    until_state(&old.registration, State::Displaced).await;
    let status = old.registration.status().borrow().clone();
    assert_eq!(status.reason_kind(), Some(ErrorKind::SchemaConflict));
    assert!(status.to_string().contains("stepped aside"), "{status}");
    place.until_entries(1).await;
    // Several beats of both.
    sleep(Duration::from_secs(5)).await;
    assert_eq!(old.registration.status().borrow().state(), State::Displaced);
    assert!(new.registration.status().borrow().is_registered());
    // A roll-back.
    new.stop().await;
    until_state(&old.registration, State::Routed).await;
    caller.answered().await;
    swaps.until(2).await;
    let (unserved, failed, calls) = caller.unserved();
    let swaps = swaps.count();
    println!("roll-back: {unserved:?} unserved, {failed} of {calls} failed, {swaps} swaps");
    assert!(unserved < UNSERVED, "{unserved:?} unserved");
    assert_eq!(swaps, 2);
    let report = old.stop().await;
    assert!(report.is_clean(), "{report}");
}

/// A roll-back by starting the old build once more: it is the newest then.
#[tokio::test]
async fn the_old_schema_started_anew_is_the_newest() {
    let place = Place::find().await;
    let old = build(&place, "old").await;
    until_state(&old.registration, State::Listed).await;
    let new = build(&place, "new").await;
    until_state(&old.registration, State::Displaced).await;
    until_state(&new.registration, State::Listed).await;
    sleep(Duration::from_secs(4)).await;
    let again = build(&place, "old").await;
    until_state(&new.registration, State::Displaced).await;
    until_state(&again.registration, State::Listed).await;
    until_state(&old.registration, State::Registered).await;
    for server in [old, new, again] {
        server.stop().await;
    }
}

/// Two that start together: one of them serves, and neither beats against the other.
#[tokio::test]
async fn of_two_builds_that_start_together_one_serves() {
    let place = Place::find().await;
    let (one, other) = tokio::join!(build(&place, "one"), build(&place, "other"));
    let swaps = place.swaps("unstable").await;
    registered(&one.registration).await;
    registered(&other.registration).await;
    place.until_entries(1).await;
    sleep(Duration::from_secs(5)).await;
    let swaps = swaps.count();
    assert!(swaps <= 1, "{swaps} swaps");
    let states = [&one, &other].map(|it| it.registration.status().borrow().state());
    let displaced = states.iter().filter(|it| **it == State::Displaced).count();
    assert_eq!(displaced, 1, "{states:?}");
    one.stop().await;
    other.stop().await;
}

/// What the new build does not have any more stays served by the old one.
#[tokio::test]
async fn only_the_services_that_were_replaced_step_aside() {
    let place = Place::find().await;
    let kept = tower_gwag::Service::proto(
        "syntax = \"proto3\"; package kept; message M {} service S { rpc X(M) returns (M); }",
    );
    let kept = kept
        .namespace(format!("{}_kept", place.namespace))
        .version("unstable");
    let options = place.options().service(place.greeter("unstable", "old"));
    let (options, events) = Events::of(options.service(kept));
    let old = tonic_greeter(options).await;
    until_state(&old.registration, State::Listed).await;
    let new = build(&place, "new").await;
    until_state(&old.registration, State::Displaced).await;
    events.until_registered(2).await;
    place.until_entries(1).await;
    let names = async || {
        let mut client = place.client.clone();
        let listed = client.list_services(crate::control::proto::ListServicesRequest {});
        let listed = listed.await.expect("listed").into_inner().services;
        let kept = format!("{}_kept", place.namespace);
        listed.iter().filter(|it| it.namespace == kept).count()
    };
    assert_eq!(names().await, 1);
    new.stop().await;
    events.until_registered(3).await;
    until_state(&old.registration, State::Listed).await;
    old.stop().await;
}

/// Without a hold, the instance id has the mark.
#[tokio::test]
async fn builds_without_a_hold_know_each_other_by_their_mark() {
    let place = Place::find().await;
    let pets = |title: &str| {
        let document = crate::support::PETS_OPENAPI.replace("Pet Store API!", title);
        let service = tower_gwag::Service::openapi(document);
        place
            .options()
            .service(service.namespace(&*place.namespace).version("unstable"))
    };
    let old = axum_app(pets("Old"), pets_app()).await;
    until_state(&old.registration, State::Listed).await;
    let new = axum_app(pets("New"), pets_app()).await;
    until_state(&old.registration, State::Displaced).await;
    place.until_entries(1).await;
    new.stop().await;
    until_state(&old.registration, State::Listed).await;
    let entries = place.entries().await;
    assert!(entries[0].instance_id.contains("tower-gwag"), "{entries:?}");
    old.stop().await;
}

/// A foreign client never yields: both take the slot in turns, and the status says so until it has gone.
#[tokio::test]
async fn a_foreign_client_is_beaten_against_and_its_end_is_reported() {
    let place = Place::find().await;
    let ours = build(&place, "ours").await;
    until_state(&ours.registration, State::Listed).await;
    let hash = place.hash("unstable").await;
    let mut stranger = place
        .stranger("unstable", &super::place::source("theirs"))
        .await;
    let flaps = |now: &tower_gwag::Status| now.reason_kind() == Some(ErrorKind::Flapping);
    let mut status = ours.registration.status();
    within("told to flap", status.wait_for(flaps))
        .await
        .expect("alive");
    place
        .until_hash("ours again", "unstable", |now| now == hash.as_deref())
        .await;
    sleep(Duration::from_secs(2)).await;
    stranger.beat().await;
    place
        .until_hash("ours again", "unstable", |now| now == hash.as_deref())
        .await;
    stranger.leave().await;
    let gone = std::time::Instant::now();
    until_state(&ours.registration, State::Listed).await;
    let told = gone.elapsed();
    println!("the end of a foreign client is reported after {told:?}");
    assert!(told < Duration::from_secs(4), "{told:?}");
    ours.stop().await;
}

/// Nothing of it shows where there is nobody else.
#[tokio::test]
async fn an_instance_id_is_as_it_was_given() {
    let place = Place::find().await;
    let options: Options = place.options().service(place.greeter("unstable", "alone"));
    let (options, events) = Events::of(options.instance_id("mine"));
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Listed).await;
    assert_eq!(place.entries().await[0].instance_id, "mine");
    sleep(Duration::from_secs(1)).await;
    let registered = |it: &&Event| matches!(it, Event::Registered { .. });
    assert_eq!(events.all().iter().filter(registered).count(), 1);
    server.stop().await;
}

/// What stepping aside relies on, and why builds must not beat against each other.
#[tokio::test]
async fn a_heartbeat_takes_the_slot_however_soon() {
    let place = Place::find().await;
    let mut one = place
        .stranger("unstable", &super::place::source("one"))
        .await;
    let hash = place.hash("unstable").await;
    let other = place
        .stranger("unstable", &super::place::source("other"))
        .await;
    place
        .until_hash("the other has it", "unstable", |now| now != hash.as_deref())
        .await;
    one.beat().await;
    let begun = std::time::Instant::now();
    place
        .until_hash("taken back", "unstable", |now| now == hash.as_deref())
        .await;
    println!("a heartbeat took the slot after {:?}", begun.elapsed());
    one.leave().await;
    other.leave().await;
}
