//! What is left on gateways: clean is only what is known to be.

use std::process::{ExitCode, Termination};
use std::time::Duration;

use tower_gwag::{Cleanness, LeaveReport, Options, State};
use tower_gwag_gateway::{EmbeddedGateway, Profile, Rpc};

use super::{Stranger, pair, settled};
use crate::support::{
    Clock, GREETER_PROTO, greeter_options, greeter_service, tonic_greeter, until_state,
};

async fn one_of_two(options: Options, gateways: &[EmbeddedGateway; 2]) -> LeaveReport {
    let other = tonic_greeter(greeter_options(&gateways[1])).await;
    until_state(&other.registration, State::Listed).await;
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Listed).await;
    for gateway in gateways {
        settled(gateway).await;
    }
    let report = server.stop().await;
    other.stop().await;
    report
}

/// The other node's replica is no ghost.
#[tokio::test]
async fn two_healthy_nodes_one_or_both_given_are_clean() {
    let gateways = pair().await;
    let report = one_of_two(greeter_options(&gateways[0]), &gateways).await;
    assert_eq!(report.cleanness(), Cleanness::Clean, "{report}");
    assert_eq!(report.ghosts(), None, "{report}");
    let both = Options::new([gateways[0].target(), gateways[1].target()]);
    let report = one_of_two(both.seed(7).service(greeter_service()), &gateways).await;
    assert_eq!(report.cleanness(), Cleanness::Clean, "{report}");
    assert_eq!(report.ghosts(), Some(0), "{report}");
    assert_eq!(format!("{:?}", report.report()), success());
}

fn success() -> String {
    format!("{:?}", ExitCode::SUCCESS)
}

/// What is left on a gateway that cannot be reached is known to be there.
#[tokio::test]
async fn an_entry_that_could_not_be_removed_is_not_clean() {
    let gateways = pair().await;
    let server = tonic_greeter(greeter_options(&gateways[0])).await;
    until_state(&server.registration, State::Listed).await;
    gateways[0].kill().await;
    let report = server.stop().await;
    assert_eq!(report.cleanness(), Cleanness::NotClean, "{report}");
    assert!(!report.is_clean());
    assert_ne!(format!("{:?}", report.report()), success());
}

/// A list may show a replica for some seconds after its Deregister.
#[tokio::test]
async fn a_list_that_lags_is_not_a_leftover() {
    let _clock = Clock::start();
    let lagging = EmbeddedGateway::builder().profile(Profile::Clustered);
    let lagging = lagging.mount_delay(Duration::from_millis(2_300));
    let gateway = lagging.start().await.expect("started");
    let server = tonic_greeter(greeter_options(&gateway)).await;
    until_state(&server.registration, State::Listed).await;
    let report = server.stop().await;
    assert_eq!(report.ghosts(), Some(0), "{report}");
    assert_eq!(report.cleanness(), Cleanness::Clean, "{report}");
    // There is no time to wait for it: nobody knows.
    let options = greeter_options(&gateway).leave_timeout(Duration::from_millis(1_500));
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Listed).await;
    let report = server.stop().await;
    assert_eq!(report.cleanness(), Cleanness::Unknown, "{report}");
    assert_eq!(report.ghosts(), None, "{report}");
}

/// One that stays longer is one, though nobody has seen a restart.
#[tokio::test]
async fn a_replica_that_stays_in_the_list_is_a_leftover() {
    let gateway = super::node().await;
    let server = tonic_greeter(greeter_options(&gateway)).await;
    until_state(&server.registration, State::Listed).await;
    let stranger = Stranger::register(&gateway, "greeter", "v1", GREETER_PROTO).await;
    // A heartbeat that overlaps the Deregister leaves one (contract, Ghosts).
    gateway.delay(Rpc::Heartbeat, Duration::from_millis(500));
    let mut beating = stranger.again();
    let beats = gateway.rpc_counts().of(Rpc::Heartbeat).received;
    let beat = tokio::spawn(async move { beating.beat().await });
    let heard = gateway.wait_until(|now| now.rpc_counts.of(Rpc::Heartbeat).received > beats);
    crate::support::within("the beat is under way", heard).await;
    stranger.leave().await;
    beat.await.expect("answered");
    gateway.delay(Rpc::Heartbeat, Duration::ZERO);
    let report = server.stop().await;
    assert_eq!(report.ghosts(), Some(1), "{report}");
    assert_eq!(report.cleanness(), Cleanness::NotClean, "{report}");
}
