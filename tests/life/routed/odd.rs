//! What nobody plans: gateways of different kinds, another gateway in place of one, several services
//! that share a name.

use tower_gwag::{ErrorKind, LeaveOutcome, Options, Service, State};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use super::{POISON, Stranger, greeter_v, node};
use crate::support::{
    Events, GREETER_PROTO, axum_app, greet, greeter_options, greeter_service, lone_options,
    pets_app, pets_service, tonic_greeter, until_state,
};

#[tokio::test]
async fn of_three_gateways_of_different_kinds_the_next_one_takes_over() {
    let standalone = crate::support::gateway().await;
    let (one, other) = (node().await, node().await);
    let targets = [standalone.target(), one.target(), other.target()];
    let (options, events) = Events::of(Options::new(targets).service(greeter_service()));
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Listed).await;
    greet(standalone.address()).await;
    until_state(&server.registration, State::Routed).await;
    standalone.kill().await;
    events.until_registered(2).await;
    // A call of the one proves nothing of the other.
    until_state(&server.registration, State::Listed).await;
    assert!(one.services().iter().any(|it| it.namespace == "greeter"));
    greet(one.address()).await;
    until_state(&server.registration, State::Routed).await;
    assert!(other.registrations().is_empty());
    one.kill().await;
    events.until_registered(3).await;
    until_state(&server.registration, State::Listed).await;
    greet(other.address()).await;
    until_state(&server.registration, State::Routed).await;
    let report = server.stop().await;
    assert!(other.registrations().is_empty(), "{report}");
    // The report says that something is left on the two that are gone.
    assert!(!report.is_clean(), "{report}");
}

/// With a data directory and a name of its own, at the same address.
#[tokio::test]
async fn another_gateway_in_the_place_of_one_is_registered_with() {
    let gateway = node().await;
    let (control, http) = (gateway.target(), gateway.http_url().replace("http://", ""));
    let options = greeter_options(&gateway).gateway_http(gateway.http_url());
    let (options, events) = Events::of(options);
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Listed).await;
    greet(gateway.address()).await;
    until_state(&server.registration, State::Routed).await;
    gateway.shutdown().await;
    until_state(&server.registration, State::Unreachable).await;
    let another = EmbeddedGateway::builder().profile(Profile::Clustered);
    let another = another
        .listen(control)
        .http_listen(http)
        .node_name("another");
    let another = another.start().await.expect("the same ports");
    // Somebody else was faster, and blocks it.
    let stranger = Stranger::register(&another, "culprit", "v1", POISON).await;
    events.until_registered(2).await;
    until_state(&server.registration, State::Blocked).await;
    stranger.leave().await;
    until_state(&server.registration, State::Listed).await;
    greet(another.address()).await;
    until_state(&server.registration, State::Routed).await;
    let report = server.stop().await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn several_versions_of_one_namespace_are_one_registration() {
    let gateway = node().await;
    let options = Options::new(gateway.target())
        .gateway_http(gateway.http_url())
        .service(greeter_v("v1", "one"))
        .service(greeter_v("v2", "two"))
        .service(greeter_v("unstable", "three"));
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Listed).await;
    // Another schema in one of the three displaces them all, which says which one it is.
    let newer = Options::new(gateway.target()).service(greeter_v("unstable", "four"));
    let newer = tonic_greeter(newer).await;
    until_state(&server.registration, State::Displaced).await;
    let status = server.registration.status().borrow().clone();
    assert_eq!(status.reason_kind(), Some(ErrorKind::SchemaConflict));
    let text = status.to_string();
    assert!(text.contains("`greeter/unstable`"), "{text}");
    // The two others are served all the while.
    let left = |version: &str| gateway.view().service("greeter", version).is_some();
    assert!(left("v1") && left("v2"));
    // It goes while the entry without that service is perhaps still on its way.
    newer.stop().await;
    until_state(&server.registration, State::Listed).await;
    let shown = || gateway.view().service("greeter", "unstable").is_some();
    crate::support::eventually("it is back", shown).await;
    let report = server.stop().await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn two_kinds_in_one_namespace_are_reported_as_a_conflict() {
    let mixed = Options::new("gateway:50090")
        .service(Service::proto(GREETER_PROTO).namespace("shop"))
        .service(pets_service().namespace("shop"));
    let error = mixed.check().expect_err("one name, two schemas");
    assert!(error.to_string().contains("shop"), "{error}");
    for profile in [Profile::Standalone, Profile::Clustered] {
        let gateway = EmbeddedGateway::builder().profile(profile).start().await;
        let gateway = gateway.expect("started");
        let owner = tonic_greeter(lone_options(&gateway)).await;
        until_state(&owner.registration, State::Listed).await;
        let pets = pets_service().namespace("greeter");
        let options = Options::new(gateway.target()).service(pets);
        let server = axum_app(options, pets_app()).await;
        until_state(&server.registration, State::Refused).await;
        let status = server.registration.status().borrow().clone();
        assert!(status.to_string().contains(&gateway.target()), "{status}");
        assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
        server.stop().await;
        owner.stop().await;
    }
}

/// Our id is in a list that everybody can read.
#[tokio::test]
async fn a_stranger_who_takes_our_entry_away_or_our_name_is_noticed() {
    let gateway = node().await;
    let beat = std::time::Duration::from_millis(100);
    let options = greeter_options(&gateway).heartbeat_interval(beat);
    let (options, events) = Events::of(options.instance_id("greeter-0"));
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Listed).await;
    greet(gateway.address()).await;
    until_state(&server.registration, State::Routed).await;
    // The same instance id, and a dead address, beside us.
    let stranger = Stranger::named(&gateway, "greeter", "v1", GREETER_PROTO, "greeter-0").await;
    let entries = crate::support::listed(&gateway, 2).await;
    let ours = entries
        .iter()
        .find(|it| it.id != stranger.id)
        .expect("ours");
    Stranger::of(&gateway, &ours.id).await.leave().await;
    events.until_registered(2).await;
    stranger.leave().await;
    until_state(&server.registration, State::Listed).await;
    let report = server.stop().await;
    // The stranger's Deregister may have met a heartbeat of ours, which leaves a replica.
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered, "{report}");
}
