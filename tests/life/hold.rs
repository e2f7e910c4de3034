//! The hold: a second entry at the gateway that keeps calls in flight alive while a gRPC service
//! leaves. Taken before the service, given back after the drain.

use std::time::Duration;

use crate::support::{
    Running, assert_orderly, axum_app, gateway, greeter_client, greeter_options, hello, in_flight,
    listed, pets_app, pets_options, plain, registered, services_of, tonic_greeter, within,
};
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use tower_gwag::{ErrorKind, Hold, HoldOutcome, Options};
use tower_gwag_gateway::{EmbeddedGateway, RegistrationView, Rpc, Tier};

const BEAT: Duration = Duration::from_millis(50);

fn holds(registrations: &[RegistrationView]) -> Vec<&RegistrationView> {
    let is_hold = |it: &&RegistrationView| it.namespaces[0].starts_with("_tower_gwag_hold/");
    registrations.iter().filter(is_hold).collect()
}

async fn until_held(gateway: &EmbeddedGateway, count: usize) {
    let held = gateway.wait_until(|now| holds(&now.registrations).len() == count);
    within(&format!("{count} holds"), held).await;
}

async fn greeter(options: Options) -> Running {
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    server
}

/// A call through the gateway that waits in the handler until the test lets it go.
async fn call_in_flight(
    gateway: &EmbeddedGateway,
    server: &Running,
) -> JoinHandle<Result<String, Status>> {
    let mut client = greeter_client(gateway.address()).await;
    let call = tokio::spawn(async move {
        let reply = client.hello(hello("hold")).await?;
        Ok(reply.into_inner().greeting)
    });
    in_flight(&server.registration, 1).await;
    call
}

#[tokio::test]
async fn it_is_taken_at_the_start_with_the_same_address() {
    let gateway = gateway().await;
    let server = greeter(greeter_options(&gateway)).await;
    let all = gateway.registrations();
    assert_eq!(all.len(), 2);
    assert_eq!(
        all[0].namespaces,
        ["_tower_gwag_hold/v1"],
        "before the service"
    );
    assert_eq!(all[0].addr, all[1].addr);
    assert_eq!(all[0].instance_id, all[1].instance_id);
    let report = server.stop().await;
    assert_eq!(report.hold(), HoldOutcome::Held);
    assert_eq!(report.ghosts(), Some(0));
    assert!(report.is_clean());
    assert!(gateway.registrations().is_empty());
    assert_orderly(&gateway);
}

#[tokio::test]
async fn a_call_in_flight_survives_the_deregistration() {
    let gateway = gateway().await;
    let mut server = greeter(greeter_options(&gateway)).await;
    let call = call_in_flight(&gateway, &server).await;
    server.signal();
    listed(&gateway, 0).await;
    assert_eq!(
        holds(&gateway.registrations()).len(),
        1,
        "held while a call is in flight"
    );
    server.hold.add_permits(1);
    let greeting = within("the call ends", call).await.expect("no panic");
    assert_eq!(greeting.expect("not lost"), "Hello, hold!");
    let report = server.stop().await;
    assert_eq!((report.in_flight(), report.cut()), (1, 0));
    assert!(gateway.registrations().is_empty());
}

#[tokio::test]
async fn without_it_the_gateway_cancels_the_call() {
    let gateway = gateway().await;
    let mut server = greeter(greeter_options(&gateway).hold(Hold::Off)).await;
    let call = call_in_flight(&gateway, &server).await;
    server.signal();
    let lost = within("the call ends", call).await.expect("no panic");
    let status = lost.expect_err("this is what the hold is for");
    assert!(status.message().contains("closing"), "{status}");
    server.hold.add_permits(1);
    assert_eq!(server.stop().await.hold(), HoldOutcome::Off);
}

#[tokio::test]
async fn taken_at_leave_it_is_there_before_the_service_goes() {
    let gateway = gateway().await;
    let mut server = greeter(greeter_options(&gateway).hold(Hold::AtLeave)).await;
    assert!(holds(&gateway.registrations()).is_empty());
    let call = call_in_flight(&gateway, &server).await;
    server.signal();
    listed(&gateway, 0).await;
    until_held(&gateway, 1).await;
    server.hold.add_permits(1);
    let greeting = within("the call ends", call).await.expect("no panic");
    assert!(greeting.is_ok());
    assert_eq!(server.stop().await.hold(), HoldOutcome::Held);
    assert!(gateway.registrations().is_empty());
}

#[tokio::test]
async fn http_services_have_none() {
    let gateway = gateway().await;
    let server = axum_app(pets_options(&gateway), pets_app()).await;
    registered(&server.registration).await;
    assert_eq!(gateway.registrations().len(), 1);
    assert_eq!(server.stop().await.hold(), HoldOutcome::NotNeeded);
}

#[tokio::test]
async fn refused_it_keeps_nothing_from_registering_and_the_report_says_why() {
    let gateway = gateway().await;
    let text = "gateway: _tower_gwag_hold/v1 already registered with different schema hash";
    gateway.refuse_next(Rpc::Register, 1, Code::Unknown, text);
    let server = greeter(greeter_options(&gateway)).await;
    let report = server.stop().await;
    assert_eq!(report.hold(), HoldOutcome::Missing);
    let why = report.hold_failure().expect("a reason");
    assert_eq!(why.kind(), ErrorKind::SchemaConflict);
    assert!(report.to_string().contains("NOT held"), "{report}");
    assert!(gateway.registrations().is_empty());
}

#[tokio::test]
async fn where_no_vn_is_taken_it_is_unstable() {
    let gateway = EmbeddedGateway::builder().allow_tiers([Tier::Unstable]);
    let gateway = gateway.start().await.expect("started");
    let service = crate::support::greeter_service().version("unstable");
    let server = greeter(Options::new(gateway.target()).service(service)).await;
    until_held(&gateway, 1).await;
    let all = gateway.registrations();
    assert_eq!(holds(&all)[0].namespaces, ["_tower_gwag_hold/unstable"]);
    assert_eq!(server.stop().await.hold(), HoldOutcome::Held);
}

#[tokio::test]
async fn forgotten_by_the_gateway_both_come_back() {
    let gateway = gateway().await;
    let server = greeter(greeter_options(&gateway).heartbeat_interval(BEAT)).await;
    gateway.restart().await.expect("restarted");
    listed(&gateway, 1).await;
    until_held(&gateway, 1).await;
    let all = gateway.registrations();
    assert_eq!(
        holds(&all)[0].addr,
        services_of(&all).next().expect("one").addr
    );
    let hold = holds(&all)[0].id.clone();
    assert!(gateway.evict(&hold));
    until_held(&gateway, 1).await;
    assert_eq!(listed(&gateway, 1).await.len(), 1);
    assert_eq!(server.stop().await.hold(), HoldOutcome::Held);
    assert_orderly(&gateway);
}

#[tokio::test]
async fn a_service_that_was_forgotten_comes_back_in_a_fresh_spelling_with_its_hold() {
    let gateway = gateway().await;
    let server = greeter(greeter_options(&gateway).heartbeat_interval(BEAT)).await;
    let first = listed(&gateway, 1).await.remove(0);
    assert!(gateway.evict(&first.id));
    let renewed =
        gateway.wait_until(|now| services_of(&now.registrations).any(|it| it.id != first.id));
    within("registered again", renewed).await;
    let second = listed(&gateway, 1).await.remove(0);
    assert_ne!(first.addr, second.addr);
    assert_eq!(plain(&first.addr), plain(&second.addr));
    let all = gateway.registrations();
    assert!(holds(&all).iter().any(|hold| hold.addr == second.addr));
    // The old hold stays for calls in flight, until its TTL is over or all ends.
    assert_eq!(holds(&all).len(), 2);
    assert_eq!(
        crate::support::greet(gateway.address()).await,
        "Hello, Ada!"
    );
    assert!(server.stop().await.is_clean());
    assert!(gateway.registrations().is_empty());
    assert_orderly(&gateway);
}
