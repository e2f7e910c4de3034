//! A node died, and the service went on with another: leaving waits for what the dead one took
//! only where that is of use.

use std::time::{Duration, Instant};

use tower_gwag::{Options, State};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use crate::support::{
    PROMPTLY, Running, gateway, greet, greeter_service, listed, registered, tonic_greeter,
    until_state, within,
};

/// Registered with the second of the two, because the first has died.
async fn went_on(first: &EmbeddedGateway, second: &EmbeddedGateway, drain: Duration) -> Running {
    let options = Options::new([first.target(), second.target()])
        .seed(7)
        .service(greeter_service())
        .heartbeat_interval(Duration::from_millis(50))
        .drain_timeout(drain)
        .leave_timeout(drain + Duration::from_secs(5));
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    first.kill().await;
    listed(second, 1).await;
    server
}

async fn cluster() -> (EmbeddedGateway, EmbeddedGateway) {
    let node = || EmbeddedGateway::builder().profile(Profile::Clustered);
    let first = node().start().await.expect("started");
    let second = node().join(&first).start().await.expect("started");
    (first, second)
}

#[tokio::test]
async fn an_entry_that_expires_too_late_is_not_waited_for() {
    let (first, second) = cluster().await;
    let server = went_on(&first, &second, Duration::from_secs(20)).await;
    let start = Instant::now();
    let report = server.stop().await;
    assert!(
        start.elapsed() < PROMPTLY,
        "{:?}: {report}",
        start.elapsed()
    );
    assert_eq!(report.abandoned(), 2, "{report}");
}

#[tokio::test]
async fn an_entry_of_another_cluster_is_not_waited_for() {
    let (first, second) = (gateway().await, gateway().await);
    let server = went_on(&first, &second, Duration::from_secs(50)).await;
    let start = Instant::now();
    let report = server.stop().await;
    assert!(
        start.elapsed() < PROMPTLY,
        "{:?}: {report}",
        start.elapsed()
    );
}

#[tokio::test]
async fn without_a_gateway_that_lives_nothing_is_waited_for() {
    let (first, second) = cluster().await;
    let server = went_on(&first, &second, Duration::from_secs(50)).await;
    second.kill().await;
    let start = Instant::now();
    let report = server.stop().await;
    assert!(
        start.elapsed() < 2 * PROMPTLY,
        "{:?}: {report}",
        start.elapsed()
    );
}

#[tokio::test]
async fn calls_by_the_entry_of_a_dead_node_are_served_while_other_nodes_route_to_it() {
    let (first, second) = cluster().await;
    let mut server = went_on(&first, &second, Duration::from_secs(50)).await;
    server.signal();
    until_state(&server.registration, State::Leaving).await;
    let start = Instant::now();
    while start.elapsed() < PROMPTLY {
        assert_eq!(greet(second.address()).await, "Hello, Ada!");
    }
    // It is deregistered there as soon as the node is back.
    first.revive().await.expect("the same ports");
    let report = within("the report", server.registration.finish()).await;
    assert_eq!(report.cut(), 0, "{report}");
}
