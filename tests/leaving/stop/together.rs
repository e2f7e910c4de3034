//! Several ends at once: two servers with one registration, `leave()` beside the shutdown, no time at
//! all.

use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower_gwag::{GwagRegistrationLayer, HoldOutcome, Options};

use crate::support::{
    axum_app, gateway, greeter_client, greeter_options, hello, in_flight, listed, pets_app,
    pets_options, registered, tonic_greeter, within,
};

const LONG: Duration = Duration::from_millis(3_500);

fn slow() -> Router {
    let slow = get(|| async {
        tokio::time::sleep(LONG).await;
        "slow"
    });
    pets_app().route("/slow", slow)
}

/// One is on the wrapped listener, and the other, with the same layer, on one of its own.
#[tokio::test]
async fn a_call_to_the_second_server_is_waited_for_with_the_hold() {
    let gateway = gateway().await;
    let layer = GwagRegistrationLayer::new(greeter_options(&gateway));
    let registration = layer.registration();
    let (first, second) = (bind().await, bind().await);
    let address = second.local_addr().expect("an address");
    let listener = registration.listener(first).expect("wrapped");
    let mut stops = Vec::new();
    let mut shutdown = || {
        let (stop, stopped) = oneshot::channel::<()>();
        stops.push(stop);
        registration.shutdown(stopped)
    };
    let (one, other) = (shutdown(), shutdown());
    let app = slow().layer(layer);
    let one = axum::serve(listener, app.clone()).with_graceful_shutdown(one);
    let other = axum::serve(second, app).with_graceful_shutdown(other);
    let served = tokio::spawn(async move { tokio::try_join!(one, other) });
    registered(&registration).await;
    let call = tokio::spawn(get_owned(format!("http://{address}/slow")));
    in_flight(&registration, 1).await;
    for stop in stops {
        stop.send(()).expect("the server waits for it");
    }
    listed(&gateway, 0).await;
    assert_eq!(gateway.registrations().len(), 1, "the hold");
    let (status, body) = within("an answer", call).await.expect("no panic");
    assert_eq!((status, &*body), (200, "slow"));
    let served = within("the servers end", served).await.expect("no panic");
    served.expect("served");
    let report = within("the report", registration.finish()).await;
    assert_eq!(report.hold(), HoldOutcome::Held, "{report}");
    assert_eq!((report.in_flight(), report.cut()), (1, 0), "{report}");
    assert!(gateway.registrations().is_empty());
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("bound")
}

/// Whichever comes first, and at the same moment.
#[tokio::test]
async fn a_leave_beside_the_shutdown_cuts_nothing() {
    let gateway = gateway().await;
    for leaves_first in [true, false] {
        let mut server = axum_app(pets_options(&gateway), slow()).await;
        registered(&server.registration).await;
        let url = format!("http://{}/slow", server.address);
        let call = tokio::spawn(get_owned(url));
        in_flight(&server.registration, 1).await;
        let registration = server.registration.clone();
        let leave = async move { registration.leave().await };
        let leaving = match leaves_first {
            true => {
                let leaving = tokio::spawn(leave);
                listed(&gateway, 0).await;
                server.signal();
                leaving
            }
            false => {
                server.signal();
                tokio::spawn(leave)
            }
        };
        let report = server.stop().await;
        let (status, body) = within("an answer", call).await.expect("no panic");
        assert_eq!((status, &*body), (200, "slow"), "{report}");
        assert_eq!((report.cut(), report.severed()), (0, 0), "{report}");
        let told = within("the same report", leaving).await.expect("no panic");
        assert_eq!(told.to_string(), report.to_string());
    }
}

/// No time for calls: they are cut at once, and the report says so.
#[tokio::test]
async fn without_any_time_to_drain_a_call_is_cut_at_once() {
    let gateway = gateway().await;
    let options = greeter_options(&gateway).drain_timeout(Duration::ZERO);
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    let mut client = greeter_client(server.address).await;
    let call = tokio::spawn(async move { client.hello(hello("hold")).await });
    in_flight(&server.registration, 1).await;
    let begun = Instant::now();
    let report = server.stop().await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}: {report}");
    assert_eq!(report.cut(), 1, "{report}");
    assert!(report.is_clean(), "{report}");
    let answer = within("an answer", call).await.expect("no panic");
    let status = answer.expect_err("cut");
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
}

/// Such as nobody checks where nothing is registered.
#[tokio::test]
async fn a_server_that_registers_nothing_ends_whatever_time_it_has() {
    let server = axum_app(Options::disabled().drain_timeout(Duration::MAX), pets_app()).await;
    let answer = crate::support::get(&format!("http://{}/pets", server.address)).await;
    assert_eq!(answer.0, 200);
    let report = server.stop().await;
    assert!(report.drain() < Duration::from_secs(5), "{report}");
}

async fn get_owned(url: String) -> (u16, String) {
    crate::support::get(&url).await
}
