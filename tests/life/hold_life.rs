//! Service and hold together, as they are by default, through what `life.rs`, `leave.rs` and
//! `dropped.rs` put one entry through: never one without the other for long, neither ever twice,
//! and in the end none.

use std::time::{Duration, Instant};

use crate::support::{
    Events, Forwarder, PROMPTLY, assert_orderly, gateway, greet, greeter_options, greeter_service,
    registered, services_of, tonic_greeter, until_state, within,
};
use tower_gwag::{HoldOutcome, LeaveOutcome, Options, State};
use tower_gwag_gateway::{EmbeddedGateway, Rpc};

const BEAT: Duration = Duration::from_millis(50);
const BUDGET: Duration = Duration::from_millis(600);

/// One service and one hold, with one address.
async fn both(gateway: &EmbeddedGateway) {
    let complete = gateway.wait_until(|now| {
        now.registrations.len() == 2 && services_of(&now.registrations).count() == 1
    });
    within("a service and a hold", complete).await;
    let all = gateway.registrations();
    assert_eq!(all[0].addr, all[1].addr);
}

async fn neither(gateway: &EmbeddedGateway) {
    let empty = gateway.wait_until(|now| now.registrations.is_empty());
    within("nothing is listed", empty).await;
    assert!(gateway.services().is_empty());
}

async fn until_received(gateway: &EmbeddedGateway, rpc: Rpc, count: u64) {
    let received = gateway.wait_until(|now| now.rpc_counts.of(rpc).received >= count);
    within(&format!("{count} calls of {rpc}"), received).await;
}

fn registers(gateway: &EmbeddedGateway) -> u64 {
    gateway.rpc_counts().of(Rpc::Register).received
}

#[tokio::test]
async fn with_the_gateway_down_at_the_start() {
    let gateway = gateway().await;
    gateway.kill().await;
    let server = tonic_greeter(greeter_options(&gateway)).await;
    until_state(&server.registration, State::Unreachable).await;
    gateway.revive().await.expect("revived");
    registered(&server.registration).await;
    both(&gateway).await;
    assert_eq!(server.stop().await.hold(), HoldOutcome::Held);
    neither(&gateway).await;
    assert_orderly(&gateway);
}

#[tokio::test]
async fn past_several_ttls() {
    let gateway = EmbeddedGateway::builder().sweep_interval(BEAT);
    let gateway = gateway.start().await.expect("started");
    let ttl = Duration::from_secs(1);
    let server = tonic_greeter(greeter_options(&gateway).ttl(ttl)).await;
    registered(&server.registration).await;
    let start = Instant::now();
    // Two entries beat.
    until_received(&gateway, Rpc::Heartbeat, 20).await;
    assert!(start.elapsed() > 2 * ttl, "{:?}", start.elapsed());
    both(&gateway).await;
    assert_eq!(registers(&gateway), 2);
    assert_eq!(server.stop().await.hold(), HoldOutcome::Held);
    assert_orderly(&gateway);
}

#[tokio::test]
async fn evicted_together() {
    let gateway = gateway().await;
    let options = greeter_options(&gateway).heartbeat_interval(BEAT);
    let (options, events) = Events::of(options);
    let server = tonic_greeter(options).await;
    events.until_registered(1).await;
    gateway.evict_all();
    events.until_registered(2).await;
    both(&gateway).await;
    assert_eq!(registers(&gateway), 4);
    assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    assert_eq!(server.stop().await.hold(), HoldOutcome::Held);
    neither(&gateway).await;
    assert_orderly(&gateway);
}

#[tokio::test]
async fn over_a_lost_connection() {
    let gateway = gateway().await;
    let network = Forwarder::to(gateway.address()).await;
    let options = Options::new(network.address).service(greeter_service());
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    both(&gateway).await;
    network.cut();
    // Both are looked into at once.
    until_received(&gateway, Rpc::Heartbeat, 2).await;
    until_state(&server.registration, State::Registered).await;
    assert_eq!(registers(&gateway), 2);
    assert_eq!(network.connections(), 2);
    assert_eq!(server.stop().await.hold(), HoldOutcome::Held);
    neither(&gateway).await;
}

#[tokio::test]
async fn over_a_frozen_gateway() {
    let gateway = gateway().await;
    let options = greeter_options(&gateway).heartbeat_interval(BEAT);
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    both(&gateway).await;
    gateway.freeze();
    until_state(&server.registration, State::Unreachable).await;
    gateway.thaw();
    until_state(&server.registration, State::Registered).await;
    let beats = gateway.rpc_counts().of(Rpc::Heartbeat).received;
    until_received(&gateway, Rpc::Heartbeat, beats + 4).await;
    both(&gateway).await;
    assert_eq!(registers(&gateway), 2);
    assert_eq!(server.stop().await.hold(), HoldOutcome::Held);
    assert_orderly(&gateway);
}

#[tokio::test]
async fn leaving_a_gateway_that_is_down() {
    let gateway = gateway().await;
    let server = tonic_greeter(greeter_options(&gateway)).await;
    registered(&server.registration).await;
    gateway.kill().await;
    let start = Instant::now();
    let report = server.stop().await;
    assert!(start.elapsed() < PROMPTLY, "{report}");
    assert_eq!(report.outcome(), LeaveOutcome::NotDeregistered);
    assert!(!report.is_clean(), "{report}");
}

#[tokio::test]
async fn leaving_a_frozen_gateway_is_made_up_for_later() {
    let gateway = gateway().await;
    let options = greeter_options(&gateway).leave_timeout(BUDGET);
    let server = tonic_greeter(options.drain_timeout(BUDGET / 2)).await;
    registered(&server.registration).await;
    gateway.freeze();
    let start = Instant::now();
    let report = server.stop().await;
    let took = start.elapsed();
    assert!(took < BUDGET + PROMPTLY, "took {took:?}: {report}");
    assert!(!report.is_clean(), "{report}");
    gateway.thaw();
    neither(&gateway).await;
    assert_orderly(&gateway);
}

#[tokio::test]
async fn leaving_while_the_hold_is_being_registered() {
    let gateway = gateway().await;
    gateway.delay(Rpc::Register, Duration::from_millis(300));
    let server = tonic_greeter(greeter_options(&gateway)).await;
    until_received(&gateway, Rpc::Register, 1).await;
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::NothingRegistered);
    neither(&gateway).await;
    // The late hold was taken back, the service never sent.
    assert_eq!(registers(&gateway), 1);
    assert_orderly(&gateway);
}

#[tokio::test]
async fn leaving_while_the_service_is_being_registered() {
    let gateway = gateway().await;
    gateway.delay(Rpc::Register, Duration::from_millis(300));
    let server = tonic_greeter(greeter_options(&gateway)).await;
    until_received(&gateway, Rpc::Register, 2).await;
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered, "{report}");
    neither(&gateway).await;
    assert_orderly(&gateway);
}

#[tokio::test]
async fn an_aborted_server() {
    let gateway = gateway().await;
    let server = tonic_greeter(greeter_options(&gateway)).await;
    registered(&server.registration).await;
    server.abort().await;
    neither(&gateway).await;
    assert_orderly(&gateway);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_that_ends() {
    let gateway = gateway().await;
    let options = greeter_options(&gateway);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let server = tonic_greeter(options).await;
            registered(&server.registration).await;
        });
    });
    let thread = tokio::task::spawn_blocking(move || thread.join());
    within("the runtime ends", thread).await.unwrap().unwrap();
    neither(&gateway).await;
    assert_orderly(&gateway);
}
