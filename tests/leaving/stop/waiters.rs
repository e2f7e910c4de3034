//! Any number of servers may wait for one registration.

use tokio::sync::oneshot;
use tower_gwag::{GwagRegistrationLayer, LeaveOutcome, Options};

use crate::support::{gateway, greeter_options, within};

#[tokio::test]
async fn every_shutdown_future_resolves() {
    let gateway = gateway().await;
    for options in [Options::disabled(), greeter_options(&gateway)] {
        let registration = GwagRegistrationLayer::new(options).registration();
        let (stop, stopped) = oneshot::channel::<()>();
        let first = tokio::spawn(registration.shutdown(stopped));
        let second = tokio::spawn(registration.shutdown(std::future::ready(())));
        within("the second", second).await.expect("no panic");
        stop.send(()).expect("awaited");
        within("the first", first).await.expect("no panic");
        let third = registration.shutdown(std::future::ready(()));
        within("a third", third).await;
        let report = within("the report", registration.finish()).await;
        assert!(
            matches!(
                report.outcome(),
                LeaveOutcome::Disabled | LeaveOutcome::NothingRegistered
            ),
            "{report}"
        );
    }
}

#[tokio::test]
async fn after_a_leave_every_shutdown_future_resolves() {
    let gateway = gateway().await;
    let registration = GwagRegistrationLayer::new(greeter_options(&gateway)).registration();
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    registration.start(nowhere).expect("started");
    within("the report", registration.leave()).await;
    let futures = (0..3).map(|_| tokio::spawn(registration.shutdown(std::future::ready(()))));
    for future in futures.collect::<Vec<_>>() {
        within("each", future).await.expect("no panic");
    }
}
