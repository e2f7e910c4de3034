//! A tonic server registers itself, is called through the gateway, and leaves; whatever happens
//! to it.

use std::time::{Duration, Instant};

use crate::support::greeter::greeter_server::GreeterServer;
use crate::support::servers::{TestGreeter, bind};
use crate::support::{
    Forwarder, PROMPTLY, gateway, greet, greeter_client, greeter_options, greetings, hello,
    in_flight, listed, plain, registered, tonic_greeter, tonic_greeter_on, until_state, within,
};
use tokio_stream::StreamExt;
use tonic::transport::Server;
use tower_gwag::{GwagRegistrationLayer, LeaveOutcome, LeaveReason, State};

#[tokio::test]
async fn on_port_0_the_real_port_is_listed_and_called() {
    let gateway = gateway().await;
    let server = tonic_greeter(greeter_options(&gateway)).await;
    registered(&server.registration).await;
    let entries = listed(&gateway, 1).await;
    assert_eq!(plain(&entries[0].addr), server.address.to_string());
    assert_eq!(entries[0].namespaces, ["greeter/v1"]);
    assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    server.stop().await;
}

#[tokio::test]
async fn on_all_interfaces_an_address_that_can_be_dialled_is_listed() {
    let gateway = gateway().await;
    let server = tonic_greeter_on("0.0.0.0:0", greeter_options(&gateway)).await;
    registered(&server.registration).await;
    let port = server.address.port();
    let entries = listed(&gateway, 1).await;
    assert_eq!(plain(&entries[0].addr), format!("127.0.0.1:{port}"));
    assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    server.stop().await;
}

#[tokio::test]
async fn on_ipv6_the_address_is_listed_in_brackets() {
    let gateway = gateway().await;
    let server = tonic_greeter_on("[::1]:0", greeter_options(&gateway)).await;
    registered(&server.registration).await;
    let port = server.address.port();
    let entries = listed(&gateway, 1).await;
    assert_eq!(plain(&entries[0].addr), format!("[::1]:{port}"));
    assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    server.stop().await;
}

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
async fn at_the_signal_it_is_deregistered_and_the_server_ends() {
    let gateway = gateway().await;
    let server = tonic_greeter(greeter_options(&gateway)).await;
    registered(&server.registration).await;
    let start = Instant::now();
    let report = server.stop().await;
    assert!(start.elapsed() < PROMPTLY, "took {:?}", start.elapsed());
    assert_eq!(report.reason(), LeaveReason::Signal);
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    assert!(report.is_clean());
    assert!(report.to_string().contains("deregistered"), "{report}");
    assert!(gateway.registrations().is_empty());
}

#[tokio::test]
async fn a_call_in_flight_at_the_signal_is_answered() {
    let gateway = gateway().await;
    let mut server = tonic_greeter(greeter_options(&gateway)).await;
    registered(&server.registration).await;
    let mut client = greeter_client(server.address).await;
    let call = tokio::spawn(async move { client.hello(hello("hold")).await });
    in_flight(&server.registration, 1).await;
    server.signal();
    // First the gateway is told, so that it sends no more; then the call is waited for.
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

async fn leaves_at_a_signal_that_comes_first() {
    let gateway = gateway().await;
    let layer = GwagRegistrationLayer::new(greeter_options(&gateway));
    let registration = layer.registration();
    let (listener, _) = bind("127.0.0.1:0").await;
    let incoming = registration.incoming(listener).expect("wrapped");
    let served = Server::builder()
        .layer(layer)
        .add_service(GreeterServer::new(TestGreeter::default()))
        .serve_with_incoming_shutdown(incoming, registration.shutdown(std::future::ready(())));
    within("the server ends", served).await.expect("served");
    let report = within("the report", registration.finish()).await;
    assert_eq!(report.outcome(), LeaveOutcome::NothingRegistered);
    assert_eq!(report.reason(), LeaveReason::Signal);
    assert!(gateway.rpc_counts().by_rpc.is_empty(), "nobody was told");
}

#[tokio::test]
async fn a_signal_before_the_first_accept_registers_nothing() {
    leaves_at_a_signal_that_comes_first().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_before_the_first_accept_registers_nothing_on_threads() {
    leaves_at_a_signal_that_comes_first().await;
}

#[tokio::test]
async fn an_aborted_server_is_deregistered_at_once() {
    let gateway = gateway().await;
    let server = tonic_greeter(greeter_options(&gateway)).await;
    registered(&server.registration).await;
    let registration = server.registration.clone();
    let start = Instant::now();
    server.abort().await;
    listed(&gateway, 0).await;
    assert!(start.elapsed() < PROMPTLY, "took {:?}", start.elapsed());
    let report = within("the report", registration.finish()).await;
    assert_eq!(report.reason(), LeaveReason::ServerDropped);
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
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
