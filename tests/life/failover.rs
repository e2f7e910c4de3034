//! Several gateways: registered with one, and with the next when that one cannot be reached.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use crate::support::servers::bind;
use crate::support::{
    PROMPTLY, assert_orderly, gateway, greet, greeter_service, listed, registered, tonic_greeter,
    until_state, within,
};
use tower_gwag::{Options, State};
use tower_gwag_gateway::EmbeddedGateway;

const BEAT: Duration = Duration::from_millis(50);

fn options(gateways: &[&EmbeddedGateway]) -> Options {
    let addresses: Vec<String> = gateways.iter().map(|it| it.target()).collect();
    Options::new(addresses)
        .seed(7)
        .service(greeter_service())
        .heartbeat_interval(BEAT)
}

#[tokio::test]
async fn it_stays_with_the_first_that_answers() {
    let (first, second) = (gateway().await, gateway().await);
    let server = tonic_greeter(options(&[&first, &second])).await;
    registered(&server.registration).await;
    listed(&first, 1).await;
    assert!(second.registrations().is_empty());
    let report = server.stop().await;
    assert!(report.is_clean());
    assert_eq!(report.abandoned(), 0);
}

#[tokio::test]
async fn one_that_is_down_at_the_start_is_passed_over_at_once() {
    let (first, second) = (gateway().await, gateway().await);
    first.kill().await;
    let start = Instant::now();
    let server = tonic_greeter(options(&[&first, &second])).await;
    registered(&server.registration).await;
    assert!(start.elapsed() < PROMPTLY, "{:?}", start.elapsed());
    listed(&second, 1).await;
    assert!(server.stop().await.is_clean());
}

/// Another server, or a proxy without a route, in the place of the first gateway.
#[tokio::test]
async fn one_that_is_no_gateway_is_passed_over() {
    let (listener, page) = bind("127.0.0.1:0").await;
    tokio::spawn(axum::serve(listener, axum::Router::new()).into_future());
    let (listener, closed) = bind("127.0.0.1:0").await;
    drop(listener);
    let (listener, nats) = bind("127.0.0.1:0").await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Whoever hangs up meanwhile is done.
            let _ = stream.write_all(b"INFO {}\r\n").await;
        }
    });
    for others in [vec![page], vec![nats], vec![nats, closed, page]] {
        let gateway = gateway().await;
        let mut addresses: Vec<String> = others.iter().map(ToString::to_string).collect();
        addresses.push(gateway.target());
        let options = Options::new(addresses).seed(7).service(greeter_service());
        let server = tonic_greeter(options).await;
        registered(&server.registration).await;
        listed(&gateway, 1).await;
        let report = server.stop().await;
        assert!(report.is_clean(), "{report}");
    }
}

#[tokio::test]
async fn one_that_dies_is_left_for_the_next_at_once() {
    let (first, second) = (gateway().await, gateway().await);
    let server = tonic_greeter(options(&[&first, &second])).await;
    registered(&server.registration).await;
    first.kill().await;
    let start = Instant::now();
    listed(&second, 1).await;
    assert!(start.elapsed() < PROMPTLY, "{:?}", start.elapsed());
    assert_eq!(greet(second.address()).await, "Hello, Ada!");
    // It does not come back by itself: what serves is left alone.
    first.revive().await.expect("the same ports");
    assert_eq!(listed(&second, 1).await.len(), 1);
    assert!(first.registrations().is_empty());
    assert!(server.stop().await.is_clean());
    assert!(second.registrations().is_empty());
    assert_orderly(&second);
}

#[tokio::test]
async fn the_first_is_returned_to_where_that_is_wanted() {
    let (first, second) = (gateway().await, gateway().await);
    let server = tonic_greeter(options(&[&first, &second]).prefer_first()).await;
    registered(&server.registration).await;
    first.kill().await;
    listed(&second, 1).await;
    first.revive().await.expect("the same ports");
    listed(&first, 1).await;
    listed(&second, 0).await;
    assert_eq!(greet(first.address()).await, "Hello, Ada!");
    let report = server.stop().await;
    assert!(report.is_clean(), "{report}");
    assert_orderly(&second);
}

#[tokio::test]
async fn one_that_falls_silent_is_left_after_two_thirds_of_the_ttl_and_cleaned_up_later() {
    let (first, second) = (gateway().await, gateway().await);
    let ttl = Duration::from_secs(3);
    let server = tonic_greeter(options(&[&first, &second]).ttl(ttl)).await;
    registered(&server.registration).await;
    first.freeze();
    let start = Instant::now();
    until_state(&server.registration, State::Unreachable).await;
    listed(&second, 1).await;
    let took = start.elapsed();
    assert!(took < ttl * 2 / 3 + 2 * PROMPTLY, "{took:?}");
    assert_eq!(first.registrations().len(), 2, "what is left there");
    first.thaw();
    let cleaned = first.wait_until(|now| now.registrations.is_empty());
    within("the first is cleaned up", cleaned).await;
    assert_eq!(listed(&second, 1).await.len(), 1);
    let report = server.stop().await;
    assert_eq!(report.abandoned(), 0, "{report}");
}

#[tokio::test]
async fn what_is_left_on_a_gateway_that_stays_silent_is_reported() {
    let (first, second) = (gateway().await, gateway().await);
    let ttl = Duration::from_secs(3);
    let server = tonic_greeter(options(&[&first, &second]).ttl(ttl)).await;
    registered(&server.registration).await;
    first.freeze();
    listed(&second, 1).await;
    let report = server.stop().await;
    assert_eq!(report.abandoned(), 2, "{report}");
    assert!(report.to_string().contains("other gateways"), "{report}");
    first.thaw();
}
