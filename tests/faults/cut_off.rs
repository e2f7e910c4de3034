//! A gateway that is cut off from the service, while the service is not cut off from it.

use std::time::Duration;

use tower_gwag::Options;
use tower_gwag::State;

use crate::fault_proxy::{FaultProxy, Mode};
use crate::support::{
    gateway, greet, greeter_service, listed, registered, tonic_greeter, until_state, within,
};

/// What is left there goes on sending calls until it expires: they are served.
#[tokio::test]
async fn leaving_serves_what_an_abandoned_entry_still_sends() {
    let (first, second) = (gateway().await, gateway().await);
    let network = FaultProxy::before(first.address()).await.expect("bound");
    let options = Options::new([network.address(), second.address()])
        .ttl(Duration::from_secs(2))
        .service(greeter_service());
    let mut server = tonic_greeter(options).await;
    registered(&server.registration).await;
    network.set(Mode::Refuse).await;
    listed(&second, 1).await;
    until_state(&server.registration, State::Registered).await;
    server.signal();
    listed(&second, 0).await;
    assert_eq!(listed(&first, 1).await.len(), 1, "the abandoned entry");
    assert_eq!(greet(first.address()).await, "Hello, Ada!");
    assert!(!server.served.is_finished());
    let report = server.stop().await;
    assert!(first.registrations().is_empty(), "{report}");
    assert_eq!(report.cut(), 0, "{report}");
}

/// With nothing to wait for but time, a second wish ends it.
#[tokio::test]
async fn a_hurried_leave_does_not_wait_for_abandoned_entries() {
    let (first, second) = (gateway().await, gateway().await);
    let network = FaultProxy::before(first.address()).await.expect("bound");
    let options = Options::new([network.address(), second.address()]).service(greeter_service());
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    network.set(Mode::Refuse).await;
    listed(&second, 1).await;
    let report = within("left", server.registration.leave_now()).await;
    assert!(report.total() < Duration::from_secs(2), "{report}");
    assert_eq!(report.abandoned(), 2, "{report}");
    server.stop().await;
}
