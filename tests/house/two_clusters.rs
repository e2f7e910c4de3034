//! Two registrations of one server, as docs/manual/gateways.md shows for two clusters.

use tokio::sync::oneshot;
use tonic::transport::Server;
use tower_gwag::{GwagRegistrationLayer, HoldOutcome, LeaveOutcome};

use super::support::greeter::greeter_server::GreeterServer;
use super::support::servers::{TestGreeter, bind};
use super::support::{
    gateway, greeter_client, greeter_options, hello, in_flight, registered, within,
};

#[tokio::test]
async fn a_server_of_two_clusters_loses_no_call_of_either() {
    let (first, second) = (gateway().await, gateway().await);
    let layer = GwagRegistrationLayer::new(greeter_options(&first));
    let registration = layer.registration();
    let other_layer = GwagRegistrationLayer::new(greeter_options(&second));
    let other = other_layer.registration();
    let greeter = TestGreeter::default();
    let hold = greeter.hold();

    let (listener, address) = bind("127.0.0.1:0").await;
    other.start(address).expect("started");
    let incoming = registration.incoming(listener).expect("wrapped");
    let leaving = other.clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let stop_both = async move {
        // It fails when the test has failed.
        let _ = stopped.await;
        leaving.leave().await;
    };
    let shutdown = registration.shutdown(stop_both);
    let served = tokio::spawn(async move {
        Server::builder()
            .layer(layer)
            .layer(other_layer)
            .add_service(GreeterServer::new(greeter))
            .serve_with_incoming_shutdown(incoming, shutdown)
            .await
    });
    registered(&registration).await;
    registered(&other).await;

    let calls: Vec<_> = [&first, &second]
        .map(|gateway| {
            let target = gateway.target();
            tokio::spawn(async move { greeter_client(target).await.hello(hello("hold")).await })
        })
        .into();
    in_flight(&registration, 2).await;
    in_flight(&other, 2).await;
    stop.send(()).expect("it waits");
    within("no longer listed", async {
        second
            .wait_until(|now| now.service("greeter", "v1").is_none())
            .await;
    })
    .await;
    hold.add_permits(2);

    for call in calls {
        let answer = within("an answer", call).await.expect("no panic");
        assert_eq!(
            answer.expect("not lost").into_inner().greeting,
            "Hello, hold!"
        );
    }
    within("the end of the server", served)
        .await
        .expect("no panic")
        .expect("served");
    for registration in [other, registration] {
        let report = within("a report", registration.finish()).await;
        assert_eq!(report.outcome(), LeaveOutcome::Deregistered, "{report}");
        assert_eq!(report.hold(), HoldOutcome::Held, "{report}");
        assert_eq!(report.cut(), 0, "{report}");
    }
}
