//! A gateway that is cut off from the service, while the service is not cut off from it.

use std::time::Duration;

use tower_gwag::Options;
use tower_gwag::State;
use tower_gwag_gateway::EmbeddedGateway;

use crate::fault_proxy::{FaultProxy, Mode};
use crate::support::{
    Running, gateway, greet, greeter_service, listed, registered, tonic_greeter, until_state,
    within,
};

/// A server that moved to the second gateway, because it cannot reach the first one any more.
async fn cut_off() -> (EmbeddedGateway, Running, (EmbeddedGateway, FaultProxy)) {
    let (first, second) = (gateway().await, gateway().await);
    let network = FaultProxy::before(first.address()).await.expect("bound");
    let options = Options::new([network.address(), second.address()]).service(greeter_service());
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    network.set(Mode::Refuse).await;
    listed(&second, 1).await;
    (second, server, (first, network))
}

/// Nobody else routes to what is left there, so that waiting for its end would be of no use.
#[tokio::test]
async fn leaving_does_not_wait_for_what_no_living_gateway_routes_to() {
    let (second, server, _cut) = cut_off().await;
    until_state(&server.registration, State::Registered).await;
    assert_eq!(greet(second.address()).await, "Hello, Ada!");
    let report = within("left", server.stop()).await;
    assert!(second.registrations().is_empty(), "{report}");
    // Far less than the TTL.
    assert!(report.total() < Duration::from_secs(4), "{report}");
    assert_eq!(report.cut(), 0, "{report}");
    assert_eq!(report.abandoned(), 2, "{report}");
}

/// With nothing to wait for but time, a second wish ends it.
#[tokio::test]
async fn a_hurried_leave_does_not_wait_for_abandoned_entries() {
    let (_second, server, _cut) = cut_off().await;
    let report = within("left", server.registration.leave_now()).await;
    assert!(report.total() < Duration::from_secs(2), "{report}");
    assert_eq!(report.abandoned(), 2, "{report}");
    server.stop().await;
}
