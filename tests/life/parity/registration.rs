//! SelfRegister, Close, and what goes on in between.

use std::time::{Duration, Instant};

use tower_gwag::{LeaveOutcome, LeaveReason, Options, State};
use tower_gwag_gateway::Rpc;

use super::start;
use crate::support::{
    Events, Forwarder, PROMPTLY, gateway, greeter_options, greeter_service, listed, registered,
    until_state, within,
};

/// `start` for any server; `registered` blocks, with retries, until the gateway has it.
#[tokio::test]
async fn row_self_register() {
    let gateway = gateway().await;
    gateway.kill().await;
    let registration = start(greeter_options(&gateway));
    tokio::select! {
        biased;
        _ = registration.registered() => panic!("the gateway is down"),
        () = until_state(&registration, State::Unreachable) => {}
    }
    gateway.revive().await.expect("revived");
    registered(&registration).await;
    assert_eq!(listed(&gateway, 1).await[0].namespaces, ["greeter/v1"]);
    registration.leave().await;
}

/// Stops the beat, deregisters, is bounded as a whole, and reports.
#[tokio::test]
async fn row_registration_close() {
    let gateway = gateway().await;
    let registration = start(greeter_options(&gateway));
    registered(&registration).await;
    let report = within("the report", registration.leave()).await;
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    assert_eq!(report.reason(), LeaveReason::Called);
    assert!(gateway.registrations().is_empty());

    let budget = Duration::from_millis(200);
    let options = greeter_options(&gateway).leave_timeout(budget);
    let registration = start(options.drain_timeout(budget));
    registered(&registration).await;
    gateway.freeze();
    let start = Instant::now();
    let report = within("the report", registration.leave()).await;
    assert!(start.elapsed() < budget + PROMPTLY);
    assert!(!report.is_clean(), "{report}");
    gateway.thaw();
    listed(&gateway, 0).await;
}

/// When a beat answers not-ok. Connection loss and restarts: `tests/life.rs`.
#[tokio::test]
async fn row_automatic_re_register() {
    let gateway = gateway().await;
    let beat = Duration::from_millis(50);
    let (options, events) = Events::of(greeter_options(&gateway).heartbeat_interval(beat));
    let registration = start(options);
    events.until_registered(1).await;
    gateway.evict_all();
    events.until_registered(2).await;
    listed(&gateway, 1).await;
    registration.leave().await;
}

/// One per gateway and process, whatever registers, beats and leaves over it.
#[tokio::test]
async fn row_one_connection_held() {
    let gateway = gateway().await;
    let network = Forwarder::to(gateway.address()).await;
    let registrations: Vec<_> = (1..=3)
        .map(|version| {
            let service = greeter_service().version(format!("v{version}"));
            let options = Options::new(network.address).service(service);
            start(options.heartbeat_interval(Duration::from_millis(20)))
        })
        .collect();
    for registration in &registrations {
        registered(registration).await;
    }
    let beats = gateway.wait_until(|now| now.rpc_counts.of(Rpc::Heartbeat).answered > 9);
    within("beats", beats).await;
    for registration in &registrations {
        registration.leave().await;
    }
    assert_eq!(network.connections(), 1);
}
