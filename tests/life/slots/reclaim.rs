//! A vN that another schema has.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tower_gwag::{ErrorKind, Options, Service, State};

use super::place::{Place, Stranger, source};
use crate::support::{
    GREETER_PROTO, Running, gateway, lone_options, tonic_greeter, until_state,
    waited_for_a_processor, within,
};

async fn newcomer(place: &Place, comment: &str) -> Running {
    let options = place.options().service(place.greeter("v1", comment));
    // What lurks would be rejected with each beat.
    let options = options.heartbeat_interval(Duration::from_millis(1_500));
    let server = tonic_greeter(options.gateway_http(&*place.http)).await;
    until_state(&server.registration, State::Refused).await;
    let status = server.registration.status().borrow().clone();
    assert_eq!(status.reason_kind(), Some(ErrorKind::SchemaConflict));
    server
}

/// Leaves, and waits until ListServices shows the slot free.
async fn freed(place: &Place, stranger: Stranger) -> Instant {
    stranger.leave().await;
    place.until_hash("free", "v1", |hash| hash.is_none()).await;
    Instant::now()
}

#[tokio::test]
async fn newcomers_of_one_schema_are_all_routed_soon_after_the_slot_is_free() {
    let place = Place::find().await;
    let _clock = place.clock();
    for round in 0..5 {
        let stranger = place.stranger("v1", &source("theirs")).await;
        let schema = format!("ours {round}");
        let all = [0; 4].map(|_| newcomer(&place, &schema));
        let [a, b, c, d] = all;
        let all: [Running; 4] = tokio::join!(a, b, c, d).into();
        assert_eq!(place.entries().await.len(), 1, "nobody lurks");
        let free = freed(&place, stranger).await;
        let waited = waited_for_a_processor();
        let crowd = place.crowd().await;
        place.until_hash("taken", "v1", |hash| hash.is_some()).await;
        let served = free.elapsed();
        for server in &all {
            until_state(&server.registration, State::Routed).await;
        }
        let waited = waited_for_a_processor() - waited;
        let routed = free.elapsed().saturating_sub(waited);
        println!("round {round}: it is listed after {served:?}, all routed after {routed:?}");
        assert!(routed < Duration::from_secs(4), "{routed:?}");
        // Not before it was free for 2 s.
        assert!(served > Duration::from_millis(1_900), "{served:?}");
        crowd.iter().for_each(tokio::task::JoinHandle::abort);
        for server in all {
            server.stop().await;
        }
        place.until_entries(0).await;
        place.until_hash("free", "v1", |hash| hash.is_none()).await;
    }
}

#[tokio::test]
async fn of_newcomers_with_different_schemas_one_is_routed_and_none_lurks() {
    let place = Place::find().await;
    let _clock = place.clock();
    for round in 0..5 {
        let stranger = place.stranger("v1", &source("theirs")).await;
        let mut all = Vec::new();
        for n in 0..4 {
            all.push(newcomer(&place, &format!("{round} {n}")).await);
        }
        freed(&place, stranger).await;
        place.until_hash("taken", "v1", |hash| hash.is_some()).await;
        let (taken, waited) = (Instant::now(), waited_for_a_processor());
        within("one entry", async {
            let mut alone_since = Instant::now();
            while alone_since.elapsed() < Duration::from_millis(300) {
                if place.entries().await.len() != 1 {
                    alone_since = Instant::now();
                }
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        let waited = waited_for_a_processor() - waited;
        let withdrawn = taken.elapsed() - Duration::from_millis(300);
        let withdrawn = withdrawn.saturating_sub(waited);
        assert!(withdrawn < Duration::from_secs(2), "{withdrawn:?}");
        sleep(Duration::from_secs(1)).await;
        // On a busy machine one may come late, and is withdrawn like the others.
        let mut rejected = place.rejected("v1").await;
        for window in 0.. {
            sleep(Duration::from_secs(3)).await;
            let later = place.rejected("v1").await;
            println!("round {round}: rejected {rejected}, {later} two beats later");
            if later == rejected {
                break;
            }
            assert!(window < 2, "it lurks");
            rejected = later;
        }
        println!("round {round}: one entry after {withdrawn:?}");
        assert_eq!(place.entries().await.len(), 1, "none lurks");
        let listed = |it: &&Running| it.registration.status().borrow().is_registered();
        assert_eq!(all.iter().filter(listed).count(), 1);
        for server in all {
            server.stop().await;
        }
        place.until_hash("free", "v1", |hash| hash.is_none()).await;
    }
}

/// An owner that is away for less than `reclaim_after` keeps its name.
#[tokio::test]
async fn an_owner_that_restarts_keeps_its_name() {
    let place = Place::find().await;
    let _clock = place.clock();
    let stranger = place.stranger("v1", &source("theirs")).await;
    let server = newcomer(&place, "ours").await;
    freed(&place, stranger).await;
    sleep(Duration::from_millis(1_000)).await;
    let stranger = place.stranger("v1", &source("theirs")).await;
    sleep(Duration::from_secs(4)).await;
    assert_eq!(place.entries().await.len(), 1);
    assert_eq!(
        server.registration.status().borrow().state(),
        State::Refused
    );
    server.stop().await;
    stranger.leave().await;
}

/// The reason says what differs, though nothing was registered.
#[tokio::test]
async fn a_conflict_shows_what_differs() {
    let place = Place::find().await;
    let _clock = place.clock();
    let theirs =
        source("theirs").replacen("string name = 1;", "string name = 1; string title = 77;", 1);
    let stranger = place.stranger("v1", &theirs).await;
    let server = newcomer(&place, "ours").await;
    let text = server.registration.status().borrow().to_string();
    assert!(text.contains("title is only in theirs"), "{text}");
    server.stop().await;
    stranger.leave().await;
}

/// Only the hold beats meanwhile.
#[tokio::test]
async fn a_gateway_that_answers_again_leaves_the_reason_of_the_wait() {
    let gateway = gateway().await;
    let owner = tonic_greeter(lone_options(&gateway)).await;
    crate::support::registered(&owner.registration).await;
    let other = Service::proto(format!("{GREETER_PROTO}\nmessage Extra {{}}\n"));
    let options = Options::new(gateway.target())
        .seed(7)
        .reclaim_after(Duration::from_secs(30))
        .heartbeat_interval(Duration::from_millis(50))
        .service(other.namespace("greeter"));
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Refused).await;
    gateway.kill().await;
    until_state(&server.registration, State::Unreachable).await;
    gateway.revive().await.expect("the same ports");
    until_state(&server.registration, State::Refused).await;
    let status = server.registration.status().borrow().clone();
    assert_eq!(status.reason_kind(), Some(ErrorKind::SchemaConflict));
    server.stop().await;
    owner.stop().await;
}

/// Only a look that was answered says that a slot is free.
#[tokio::test]
async fn while_the_gateway_does_not_say_who_has_the_slot_nothing_is_registered() {
    let gateway = crate::routed::node().await;
    let stranger =
        crate::routed::Stranger::register(&gateway, "greeter", "v1", &source("theirs")).await;
    let options = Options::new(gateway.target())
        .reclaim_after(Duration::from_millis(100))
        .service(crate::support::greeter_service());
    let (options, events) = crate::support::Events::of(options);
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Refused).await;
    let no = tonic::Code::Unavailable;
    gateway.refuse_next(tower_gwag_gateway::Rpc::ListPeers, 2, no, "not now");
    stranger.leave().await;
    until_state(&server.registration, State::Unreachable).await;
    let text = server.registration.status().borrow().to_string();
    assert!(text.contains(&gateway.target()), "{text}");
    assert!(
        text.contains("nothing is registered until it does"),
        "{text}"
    );
    until_state(&server.registration, State::Listed).await;
    let states = events.all_states();
    assert!(!states.contains(&State::Displaced), "{states:?}");
    server.stop().await;
}
