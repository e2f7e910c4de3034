//! Leaving while something else is under way: a restart of the gateway, a registration that is
//! made again, a hold that is refused.

use std::time::{Duration, Instant};

use crate::support::{
    PROMPTLY, Running, assert_orderly, gateway, greeter_options, lone_options, registered,
    tonic_greeter, within,
};
use tonic::Code;
use tower_gwag::{Hold, HoldOutcome, LeaveOutcome, Options};
use tower_gwag_gateway::{EmbeddedGateway, Rpc};

const BEAT: Duration = Duration::from_millis(50);

async fn greeter(options: Options) -> Running {
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    server
}

async fn until_received(gateway: &EmbeddedGateway, rpc: Rpc, count: u64) {
    let received = gateway.wait_until(|now| now.rpc_counts.of(rpc).received >= count);
    within(&format!("{count} calls of {rpc}"), received).await;
}

#[tokio::test]
async fn while_the_gateway_restarts_nothing_is_left_behind() {
    let gateway = gateway().await;
    let server = greeter(greeter_options(&gateway)).await;
    gateway.kill().await;
    let start = Instant::now();
    let stopping = tokio::spawn(server.stop());
    gateway.revive().await.expect("the same ports");
    let report = within("the report", stopping).await.expect("no panic");
    assert!(start.elapsed() < PROMPTLY, "{report}");
    // Told too early, or the new one knows nothing of it: either way nothing is listed.
    assert!(
        matches!(
            report.outcome(),
            LeaveOutcome::NotDeregistered | LeaveOutcome::Deregistered
        ),
        "{report}"
    );
    assert!(gateway.registrations().is_empty());
    assert_orderly(&gateway);
}

#[tokio::test]
async fn during_a_registration_that_is_made_again_its_late_answer_is_taken_back() {
    let gateway = gateway().await;
    let server = greeter(lone_options(&gateway).heartbeat_interval(BEAT)).await;
    let delay = Duration::from_millis(300);
    gateway.delay(Rpc::Register, delay);
    gateway.evict_all();
    until_received(&gateway, Rpc::Register, 2).await;
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered, "{report}");
    assert!(report.withdrawal() < delay + PROMPTLY, "{report}");
    assert!(gateway.registrations().is_empty());
    assert_eq!(gateway.rpc_counts().of(Rpc::Register).received, 2);
    assert_orderly(&gateway);
}

#[tokio::test]
async fn a_hold_that_is_refused_at_leave_does_not_hold_leaving_up() {
    let gateway = gateway().await;
    let server = greeter(greeter_options(&gateway).hold(Hold::AtLeave)).await;
    let text = "controlplane: kv put: nats: timeout";
    gateway.refuse_next(Rpc::Register, usize::MAX, Code::Unknown, text);
    let start = Instant::now();
    let report = server.stop().await;
    assert!(start.elapsed() < PROMPTLY, "{report}");
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    assert_eq!(report.hold(), HoldOutcome::Missing);
    assert!(report.to_string().contains("kv put"), "{report}");
    assert!(gateway.registrations().is_empty());
}
