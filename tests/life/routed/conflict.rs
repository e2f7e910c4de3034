//! Another schema in the service's place.

use std::time::Duration;

use tonic::Code;
use tower_gwag::{ErrorKind, Options, State};
use tower_gwag_gateway::Rpc;

use super::{Stranger, greeter_v, node, registers, registrations, settled, told};
use crate::support::{
    Events, Forwarder, GREETER_PROTO, gateway, greeter_options, listed, tonic_greeter, until_state,
    within,
};

/// The greeter with a field more.
fn other_schema() -> String {
    GREETER_PROTO.replacen("string name = 1;", "string name = 1; string title = 77;", 1)
}

#[tokio::test]
async fn a_conflict_is_found_without_registering() {
    let gateway = node().await;
    let stranger = Stranger::register(&gateway, "greeter", "v1", &other_schema()).await;
    let network = Forwarder::to(gateway.address()).await;
    let options = Options::new(network.address).service(greeter_v("v1", "ours"));
    let (options, events) = Events::of(options);
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Refused).await;
    let status = server.registration.status().borrow().clone();
    assert_eq!(status.reason_kind(), Some(ErrorKind::SchemaConflict));
    assert!(status.to_string().contains("Use a new version"), "{status}");
    // The stranger's and our hold.
    assert_eq!((registers(&gateway), registrations(&events)), (2, 0));
    // Once the other is gone, there is nothing against it.
    stranger.leave().await;
    settled(&gateway).await;
    network.cut();
    until_state(&server.registration, State::Listed).await;
    assert_eq!(registrations(&events), 1);
    server.stop().await;
}

/// Two that register at one moment: the look comes too early.
#[tokio::test]
async fn what_lurks_behind_another_schema_gives_way() {
    let gateway = node().await;
    let stranger = Stranger::register(&gateway, "greeter", "v1", &other_schema()).await;
    gateway.refuse_next(Rpc::ListServices, 1, Code::Unavailable, "not now");
    let (options, events) = told(&gateway);
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Displaced).await;
    let status = server.registration.status().borrow().clone();
    assert_eq!(status.reason_kind(), Some(ErrorKind::SchemaConflict));
    let text = status.to_string();
    assert!(
        text.contains("title is only in theirs") && text.contains("hash"),
        "{text}"
    );
    let left = listed(&gateway, 1).await;
    assert_eq!(left[0].instance_id, "stranger");
    assert_eq!(registrations(&events), 1);
    drop(stranger);
    let report = server.stop().await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn only_comments_are_said_to_differ_where_only_they_do() {
    let gateway = node().await;
    let theirs = format!("{GREETER_PROTO}\n// another comment\nmessage A {{}}\n");
    let ours = theirs.replace("another", "one more");
    let _stranger = Stranger::register(&gateway, "greeter", "v1", &theirs).await;
    gateway.refuse_next(Rpc::ListServices, 1, Code::Unavailable, "not now");
    let service = tower_gwag::Service::proto(ours).namespace("greeter");
    let options = Options::new(gateway.target())
        .gateway_http(gateway.http_url())
        .service(service);
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Displaced).await;
    let text = server.registration.status().borrow().to_string();
    assert!(text.contains("only comments"), "{text}");
    server.stop().await;
}

/// A standalone gateway says so itself.
#[tokio::test]
async fn a_standalone_gateway_refuses_a_conflict() {
    let gateway = gateway().await;
    let first = tonic_greeter(greeter_options(&gateway)).await;
    until_state(&first.registration, State::Listed).await;
    let options = Options::new(gateway.target()).service(greeter_v("v1", "another"));
    let second = tonic_greeter(options).await;
    until_state(&second.registration, State::Refused).await;
    assert_eq!(
        second.registration.status().borrow().reason_kind(),
        Some(ErrorKind::SchemaConflict)
    );
    second.stop().await;
    first.stop().await;
}

#[tokio::test]
async fn the_older_build_notices_a_newer_unstable_one() {
    let gateway = gateway().await;
    let network = Forwarder::to(gateway.address()).await;
    let unstable = |comment| greeter_v("unstable", comment);
    let options = Options::new(network.address).service(unstable("old"));
    let (options, events) = Events::of(options);
    let old = tonic_greeter(options).await;
    until_state(&old.registration, State::Listed).await;
    let options = Options::new(gateway.target()).service(unstable("new"));
    let new = tonic_greeter(options).await;
    until_state(&new.registration, State::Listed).await;
    // A new connection is a reason to look.
    network.cut();
    until_state(&old.registration, State::Displaced).await;
    let text = old.registration.status().borrow().to_string();
    assert!(text.contains("replaced"), "{text}");
    assert_eq!(registrations(&events), 1, "the newest has the slot");
    assert_eq!(new.registration.status().borrow().state(), State::Listed);
    old.stop().await;
    new.stop().await;
}

#[tokio::test]
async fn a_slot_that_two_builds_take_in_turns_is_reported_as_flapping() {
    let gateway = node().await;
    let network = Forwarder::to(gateway.address()).await;
    let service = greeter_v("unstable", "ours");
    let options = Options::new(network.address)
        .service(service)
        .heartbeat_interval(Duration::from_millis(1_500));
    let (options, events) = Events::of(options);
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Listed).await;
    let mut stranger = Stranger::register(&gateway, "greeter", "unstable", &other_schema()).await;
    network.cut();
    let beats = tokio::spawn(async move {
        let mut pause = tokio::time::interval(Duration::from_millis(1_100));
        loop {
            pause.tick().await;
            stranger.beat().await;
        }
    });
    let mut status = server.registration.status();
    let flaps = |now: &tower_gwag::Status| now.reason_kind() == Some(ErrorKind::Flapping);
    within("told to flap", status.wait_for(flaps))
        .await
        .expect("alive");
    assert_eq!(registrations(&events), 1, "nobody is driven out");
    beats.abort();
    server.stop().await;
}
