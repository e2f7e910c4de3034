//! A gateway that somebody else's schema blocks, and one that is only slow.

use tower_gwag::{ErrorKind, State};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use super::{A_WHILE, POISON, Stranger, pair, registers, registrations, replicas, settled, told};
use crate::support::{
    Events, assert_orderly, greet, greeter_client, greeter_options, hello, in_flight, listed,
    registered, tonic_greeter, until_state, within,
};

#[tokio::test]
async fn a_block_is_reported_with_the_schema_that_causes_it_and_cured_once() {
    let [first, second] = pair().await;
    let stranger = Stranger::register(&first, "culprit", "v1", POISON).await;
    let (options, events) = told(&first);
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Blocked).await;
    let status = server.registration.status().borrow().clone();
    assert_eq!(status.reason_kind(), Some(ErrorKind::Blocked));
    let text = status.to_string();
    assert!(text.contains("`culprit`"), "{text}");
    // The cure, while the block lasts: a second registration, then the first one goes.
    events.until_registered(2).await;
    within(
        "the dead entry is gone",
        first.wait_until(|now| replicas(now, "greeter", "v1") == 1),
    )
    .await;
    listed(&first, 2).await;
    stranger.leave().await;
    until_state(&server.registration, State::Registered).await;
    for gateway in [&first, &second] {
        settled(gateway).await;
        assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    }
    until_state(&server.registration, State::Routed).await;
    assert_eq!(registrations(&events), 2);
    assert!(server.stop().await.is_clean());
    assert_orderly(&first);
}

/// Without the gateway's HTTP port the culprit is not known, and the rest is the same.
#[tokio::test]
async fn a_block_is_cured_by_the_route_probe_alone() {
    let [first, second] = pair().await;
    let stranger = Stranger::register(&first, "culprit", "v1", POISON).await;
    let (options, events) = Events::of(greeter_options(&first));
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Blocked).await;
    events.until_registered(2).await;
    stranger.leave().await;
    until_state(&server.registration, State::Registered).await;
    for gateway in [&first, &second] {
        settled(gateway).await;
        assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_hold_that_was_taken_before_a_block_survives_it() {
    let [first, second] = pair().await;
    let (options, events) = told(&first);
    let mut server = tonic_greeter(options).await;
    until_state(&server.registration, State::Listed).await;
    let _stranger = Stranger::register(&first, "culprit", "v1", POISON).await;
    let mut client = greeter_client(second.address()).await;
    let call = tokio::spawn(async move { client.hello(hello("hold")).await });
    in_flight(&server.registration, 1).await;
    server.signal();
    until_state(&server.registration, State::Leaving).await;
    within(
        "no replica is left",
        second.wait_until(|now| replicas(now, "greeter", "v1") == 0),
    )
    .await;
    server.hold.add_permits(1);
    let answer = within("an answer", call).await.expect("no panic");
    assert_eq!(
        answer.expect("not lost").into_inner().greeting,
        "Hello, hold!"
    );
    let report = server.stop().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(registrations(&events), 1);
}

/// Absence is "not yet".
#[tokio::test]
async fn a_gateway_that_lists_late_is_waited_for() {
    let gateway = EmbeddedGateway::builder()
        .profile(Profile::Clustered)
        .mount_delay(A_WHILE)
        .start()
        .await
        .expect("a node starts");
    let (options, events) = told(&gateway);
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    assert_eq!(
        server.registration.status().borrow().state(),
        State::Registered
    );
    until_state(&server.registration, State::Listed).await;
    // The hold and the service, once each.
    assert_eq!((registers(&gateway), registrations(&events)), (2, 1));
    server.stop().await;
}
