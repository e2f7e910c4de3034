//! gRPC and HTTP on one port: one server, one registration with a proto and an OpenAPI service.

use std::sync::Arc;

use crate::support::greeter::greeter_server::GreeterServer;
use crate::support::servers::TestGreeter;
use crate::support::{
    PET_7, axum_app, gateway, get, greet, greeter_client, greeter_options, greetings, hello,
    in_flight, listed, pet_through, pets_app, pets_service, plain, registered, within,
};
use axum::Router;
use tokio::sync::Semaphore;
use tokio_stream::StreamExt;
use tonic::service::Routes;
use tower_gwag::LeaveOutcome;

/// Pets over HTTP, greetings over gRPC; and what lets held greetings go on.
fn both() -> (Router, Arc<Semaphore>) {
    let greeter = TestGreeter::default();
    let hold = greeter.hold();
    let app = Routes::from(pets_app())
        .add_service(GreeterServer::new(greeter))
        .into_axum_router();
    (app, hold)
}

#[tokio::test]
async fn both_kinds_are_one_registration_and_called_through_the_gateway() {
    let gateway = gateway().await;
    let options = greeter_options(&gateway).service(pets_service());
    let server = axum_app(options, both().0).await;
    registered(&server.registration).await;
    let entries = listed(&gateway, 1).await;
    assert_eq!(plain(&entries[0].addr), server.address.to_string());
    assert_eq!(entries[0].namespaces, ["greeter/v1", "Pet_Store_API/v1"]);

    assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    let mut client = greeter_client(gateway.address()).await;
    let stream = within("a stream", client.greetings(greetings(3, 0))).await;
    let stream = stream.expect("answered").into_inner();
    assert_eq!(within("its end", stream.collect::<Vec<_>>()).await.len(), 3);
    assert_eq!(pet_through(&gateway).await, PET_7);

    in_flight(&server.registration, 0).await;
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    assert!(gateway.services().is_empty(), "both are gone");
}

#[tokio::test]
async fn calls_of_both_kinds_are_in_flight_and_finished_at_the_signal() {
    let gateway = gateway().await;
    let options = greeter_options(&gateway).service(pets_service());
    let (app, hold) = both();
    let slow = Arc::clone(&hold);
    let wait = move || async move {
        slow.acquire().await.expect("never closed").forget();
        "waited"
    };
    let app = app.route("/wait", axum::routing::get(wait));
    let mut server = axum_app(options, app).await;
    registered(&server.registration).await;
    let mut client = greeter_client(server.address).await;
    let grpc = tokio::spawn(async move { client.hello(hello("hold")).await });
    let url = format!("http://{}/wait", server.address);
    let http = tokio::spawn(async move { get(&url).await });
    in_flight(&server.registration, 2).await;
    server.signal();
    listed(&gateway, 0).await;
    hold.add_permits(2);
    let reply = within("an answer", grpc).await.expect("no panic");
    assert_eq!(reply.expect("served").into_inner().greeting, "Hello, hold!");
    let answer = within("an answer", http).await.expect("no panic");
    assert_eq!(answer, (200, "waited".to_owned()));
    let report = server.stop().await;
    assert_eq!((report.in_flight(), report.cut()), (2, 0));
}
