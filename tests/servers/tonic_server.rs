//! What is peculiar to a tonic server; its life is in `life.rs`.

use std::time::Duration;

use crate::support::{
    Forwarder, PROMPTLY, gateway, greet, greeter_client, greeter_options, greetings, hello,
    in_flight, listed, registered, tonic_greeter, until_state, within,
};
use tokio_stream::StreamExt;
use tower_gwag::State;

#[tokio::test]
async fn a_stream_comes_through_the_gateway() {
    let gateway = gateway().await;
    let server = tonic_greeter(greeter_options(&gateway)).await;
    registered(&server.registration).await;
    let mut client = greeter_client(gateway.address()).await;
    let stream = within("a stream", client.greetings(greetings(3, 0))).await;
    let stream = stream.expect("answered").into_inner();
    let all: Result<Vec<_>, _> = within("the end", stream.collect()).await;
    assert_eq!(all.expect("no error").len(), 3);
    in_flight(&server.registration, 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_request_in_flight_at_the_signal_is_answered() {
    let gateway = gateway().await;
    let mut server = tonic_greeter(greeter_options(&gateway)).await;
    registered(&server.registration).await;
    let mut client = greeter_client(server.address).await;
    let call = tokio::spawn(async move { client.hello(hello("hold")).await });
    in_flight(&server.registration, 1).await;
    server.signal();
    // First the service is deregistered, so that the gateway sends no more; then it waits for the call.
    listed(&gateway, 0).await;
    until_state(&server.registration, State::Leaving).await;
    assert!(!server.served.is_finished());
    server.hold.add_permits(1);
    let reply = within("the answer", call).await.expect("no panic");
    let reply = reply.expect("answered").into_inner();
    assert_eq!(reply.greeting, "Hello, hold!");
    let report = server.stop().await;
    assert_eq!((report.in_flight(), report.cut()), (1, 0));
}

#[tokio::test]
async fn a_call_that_comes_while_leaving_is_served_and_counted() {
    let gateway = gateway().await;
    let mut server = tonic_greeter(greeter_options(&gateway)).await;
    registered(&server.registration).await;
    let mut client = greeter_client(server.address).await;
    let held = tokio::spawn({
        let mut client = client.clone();
        async move { client.hello(hello("hold")).await }
    });
    in_flight(&server.registration, 1).await;
    server.signal();
    listed(&gateway, 0).await;
    let late = within("an answer", client.hello(hello("late"))).await;
    assert_eq!(late.expect("served").into_inner().greeting, "Hello, late!");
    server.hold.add_permits(1);
    within("the answer", held).await.unwrap().expect("answered");
    let report = server.stop().await;
    assert_eq!(report.late(), 1);
}

#[tokio::test]
async fn a_panic_in_a_handler_leaves_nothing_in_flight_and_serving_goes_on() {
    let gateway = gateway().await;
    let server = tonic_greeter(greeter_options(&gateway)).await;
    registered(&server.registration).await;
    let mut client = greeter_client(gateway.address()).await;
    let failed = within("an end", client.hello(hello("panic"))).await;
    failed.expect_err("a panic is no answer");
    in_flight(&server.registration, 0).await;
    assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    let report = server.stop().await;
    assert_eq!(report.cut(), 0);
}

#[tokio::test]
async fn a_stream_that_its_client_drops_is_not_in_flight_any_more() {
    let gateway = gateway().await;
    let server = tonic_greeter(greeter_options(&gateway)).await;
    registered(&server.registration).await;
    let mut client = greeter_client(server.address).await;
    let stream = within("a stream", client.greetings(greetings(0, 1))).await;
    let mut stream = stream.expect("answered").into_inner();
    let _ = within("a message", stream.next()).await.expect("one");
    assert_eq!(server.registration.in_flight(), 1);
    drop(stream);
    in_flight(&server.registration, 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_disappears_in_a_stream_is_not_in_flight_any_more() {
    let gateway = gateway().await;
    let server = tonic_greeter(greeter_options(&gateway)).await;
    registered(&server.registration).await;
    let network = Forwarder::to(server.address).await;
    let mut client = greeter_client(network.address).await;
    let stream = within("a stream", client.greetings(greetings(0, 1))).await;
    let mut stream = stream.expect("answered").into_inner();
    let _ = within("a message", stream.next()).await.expect("one");
    assert_eq!(server.registration.in_flight(), 1);
    network.cut();
    in_flight(&server.registration, 0).await;
    server.stop().await;
}

/// tonic itself waits for open streams without end; only the drain's own bound ends here.
#[tokio::test]
async fn an_endless_stream_holds_leaving_up_no_longer_than_the_drain_timeout() {
    let gateway = gateway().await;
    let options = greeter_options(&gateway).drain_timeout(Duration::from_millis(200));
    let mut server = tonic_greeter(options).await;
    registered(&server.registration).await;
    let mut client = greeter_client(server.address).await;
    let stream = within("a stream", client.greetings(greetings(0, 1))).await;
    let stream = stream.expect("answered").into_inner();
    server.signal();
    until_state(&server.registration, State::Leaving).await;
    let report = within("the report", server.registration.finish()).await;
    assert_eq!(report.cut(), 1);
    assert!(report.drain() < PROMPTLY, "{report}");
    drop(stream);
    server.stop().await;
}
