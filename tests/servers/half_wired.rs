//! A server that is wired only in part: a warning for each missing part, once, with its line of code.

use std::time::Duration;

use crate::support::greeter::greeter_server::GreeterServer;
use crate::support::servers::{TestGreeter, bind};
use crate::support::{
    Events, axum_app, gateway, get, greet, greeter_options, listed, pets_app, pets_options,
    registered, tonic_greeter, within,
};
use tokio::sync::oneshot;
use tonic::transport::Server;
use tower_gwag::{Event, GwagRegistrationLayer, LeaveOutcome, Options};
use tower_gwag_gateway::EmbeddedGateway;

const BEAT: Duration = Duration::from_millis(20);

fn watched(options: Options) -> (GwagRegistrationLayer, Events) {
    let (options, events) = Events::of(options.heartbeat_interval(BEAT));
    (GwagRegistrationLayer::new(options), events)
}

/// Registers once more, so that every warning of a registration has had its chance twice.
async fn registers_again(gateway: &EmbeddedGateway, events: &Events) {
    events.until_registered(1).await;
    gateway.evict_all();
    events.until_registered(2).await;
    listed(gateway, 1).await;
}

/// Said exactly once, with the missing line.
#[track_caller]
fn assert_said_once(events: &Events, line: &str) {
    let said = events.half_wired();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(line), "{said:?}");
}

async fn until_said(events: &Events, count: usize) {
    let said = |event: &&Event| matches!(event, Event::HalfWired(_));
    events
        .until("told what is missing", |all| {
            all.iter().filter(said).count() >= count
        })
        .await;
}

#[tokio::test]
async fn tonic_without_the_layer() {
    let gateway = gateway().await;
    let (layer, events) = watched(greeter_options(&gateway));
    let registration = layer.registration();
    let (listener, address) = bind("127.0.0.1:0").await;
    let incoming = registration.incoming(listener).expect("wrapped");
    let (stop, stopped) = oneshot::channel::<()>();
    let served = Server::builder()
        .add_service(GreeterServer::new(TestGreeter::default()))
        .serve_with_incoming_shutdown(incoming, registration.shutdown(stopped));
    let served = tokio::spawn(served);
    registers_again(&gateway, &events).await;
    assert_eq!(greet(address).await, "Hello, Ada!");
    assert_said_once(&events, "`.layer(layer)`");
    stop.send(()).expect("the server waits for it");
    within("the server ends", served).await.unwrap().unwrap();
}

#[tokio::test]
async fn axum_without_the_layer() {
    let gateway = gateway().await;
    let (layer, events) = watched(pets_options(&gateway));
    let registration = layer.registration();
    let (listener, _) = bind("127.0.0.1:0").await;
    let listener = registration.listener(listener).expect("wrapped");
    let (stop, stopped) = oneshot::channel::<()>();
    let served =
        axum::serve(listener, pets_app()).with_graceful_shutdown(registration.shutdown(stopped));
    let served = tokio::spawn(served.into_future());
    registers_again(&gateway, &events).await;
    assert_said_once(&events, "`.layer(layer)`");
    stop.send(()).expect("the server waits for it");
    within("the server ends", served).await.unwrap().unwrap();
}

#[tokio::test]
async fn tonic_without_the_wrapped_listener() {
    let gateway = gateway().await;
    let (layer, events) = watched(greeter_options(&gateway));
    let registration = layer.registration();
    let (listener, address) = bind("127.0.0.1:0").await;
    let (stop, stopped) = oneshot::channel::<()>();
    let served = Server::builder()
        .layer(layer)
        .add_service(GreeterServer::new(TestGreeter::default()))
        .serve_with_incoming_shutdown(
            tokio_stream::wrappers::TcpListenerStream::new(listener),
            registration.shutdown(stopped),
        );
    let served = tokio::spawn(served);
    for _ in 0..3 {
        assert_eq!(greet(address).await, "Hello, Ada!");
    }
    assert_said_once(&events, "registration.incoming(listener)?");
    stop.send(()).expect("the server waits for it");
    within("the server ends", served).await.unwrap().unwrap();
    let report = within("the report", registration.finish()).await;
    assert_eq!(report.outcome(), LeaveOutcome::NothingRegistered);
    assert_said_once(&events, "registration.incoming(listener)?");
}

/// Nothing is registered, so no request may ever come that would tell.
#[tokio::test]
async fn axum_without_the_wrapped_listener_and_without_any_request() {
    let gateway = gateway().await;
    let (layer, events) = watched(pets_options(&gateway));
    let registration = layer.registration();
    let (listener, address) = bind("127.0.0.1:0").await;
    let served = axum::serve(listener, pets_app().layer(layer))
        .with_graceful_shutdown(registration.shutdown(std::future::pending::<()>()));
    let served = tokio::spawn(served.into_future());
    until_said(&events, 1).await;
    assert_eq!(get(&format!("http://{address}/pets")).await.0, 200);
    assert_said_once(&events, "registration.listener(listener)?");
    served.abort();
}

/// A listener that was wrapped and dropped unused is none: the next request says so again.
#[tokio::test]
async fn a_listener_that_was_dropped_is_missed_again() {
    let gateway = gateway().await;
    let (layer, events) = watched(pets_options(&gateway));
    let registration = layer.registration();
    let (listener, address) = bind("127.0.0.1:0").await;
    let served = axum::serve(listener, pets_app().layer(layer));
    let served = tokio::spawn(served.into_future());
    let asked = async || assert_eq!(get(&format!("http://{address}/pets")).await.0, 200);
    asked().await;
    asked().await;
    assert_said_once(&events, "registration.listener(listener)?");
    let (unused, _) = bind("127.0.0.1:0").await;
    let unused = registration.listener(unused).expect("wrapped");
    asked().await;
    assert_said_once(&events, "registration.listener(listener)?");
    drop(unused);
    asked().await;
    asked().await;
    assert_eq!(events.half_wired().len(), 2);
    served.abort();
}

#[tokio::test]
async fn tonic_without_the_shutdown() {
    let gateway = gateway().await;
    let (layer, events) = watched(greeter_options(&gateway));
    let registration = layer.registration();
    let (listener, _) = bind("127.0.0.1:0").await;
    let incoming = registration.incoming(listener).expect("wrapped");
    let served = Server::builder()
        .layer(layer)
        .add_service(GreeterServer::new(TestGreeter::default()))
        .serve_with_incoming(incoming);
    let served = tokio::spawn(served);
    registers_again(&gateway, &events).await;
    assert_said_once(&events, "registration.shutdown(stop_signal())");
    served.abort();
    listed(&gateway, 0).await;
}

#[tokio::test]
async fn axum_without_the_layer_and_the_shutdown_gets_both_warnings() {
    let gateway = gateway().await;
    let (layer, events) = watched(pets_options(&gateway));
    let (listener, _) = bind("127.0.0.1:0").await;
    let listener = layer.registration().listener(listener).expect("wrapped");
    let served = tokio::spawn(axum::serve(listener, pets_app()).into_future());
    registers_again(&gateway, &events).await;
    let said = events.half_wired();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("`.layer(layer)`"), "{said:?}");
    assert!(said[1].contains("registration.shutdown("), "{said:?}");
    served.abort();
    listed(&gateway, 0).await;
}

#[tokio::test]
async fn a_server_with_everything_wired_gets_no_warning() {
    let gateway = gateway().await;
    let (options, tonic_events) = Events::of(greeter_options(&gateway));
    let tonic = tonic_greeter(options).await;
    let (options, axum_events) = Events::of(pets_options(&gateway));
    let axum = axum_app(options, pets_app()).await;
    registered(&tonic.registration).await;
    registered(&axum.registration).await;
    assert_eq!(greet(tonic.address).await, "Hello, Ada!");
    tonic.stop().await;
    axum.stop().await;
    assert!(tonic_events.half_wired().is_empty());
    assert!(axum_events.half_wired().is_empty());
}

/// Other servers have no place for the layer, the listener or the shutdown.
#[tokio::test]
async fn a_server_started_by_hand_gets_no_warning() {
    let gateway = gateway().await;
    let (layer, events) = watched(greeter_options(&gateway));
    let registration = layer.registration();
    let (_listener, address) = bind("127.0.0.1:0").await;
    registration.start(address).expect("started");
    registers_again(&gateway, &events).await;
    within("the report", registration.leave()).await;
    assert!(events.half_wired().is_empty());
}

#[tokio::test]
async fn a_disabled_registration_gets_no_warning() {
    let (layer, events) = watched(Options::disabled());
    let registration = layer.registration();
    let (listener, address) = bind("127.0.0.1:0").await;
    let served = axum::serve(listener, pets_app().layer(layer));
    let served = tokio::spawn(served.into_future());
    assert_eq!(get(&format!("http://{address}/pets")).await.0, 200);
    assert!(events.half_wired().is_empty());
    registered(&registration).await;
    served.abort();
}
