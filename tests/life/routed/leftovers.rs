//! What is left on gateways: clean is only what is known to be.

use std::process::{ExitCode, Termination};

use tower_gwag::{Cleanness, LeaveReport, Options, State};
use tower_gwag_gateway::EmbeddedGateway;

use super::{pair, settled};
use crate::support::{greeter_options, greeter_service, tonic_greeter, until_state};

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
