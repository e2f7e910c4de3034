//! What is peculiar to an axum server; its life is in `life.rs`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::support::servers::bind;
use crate::support::{
    PET_7, axum_app, gateway, get, in_flight, listed, pet_through, pets_app, pets_options,
    registered, until_state, within,
};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::routing::get as on_get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tower_gwag::{GwagRegistrationLayer, State};
use tower_gwag_gateway::EmbeddedGateway;

async fn assert_called_through(gateway: &EmbeddedGateway) {
    assert_eq!(pet_through(gateway).await, PET_7);
}

/// The pets, and a handler that waits for a permit.
fn app_with_hold() -> (Router, Arc<Semaphore>) {
    let hold = Arc::new(Semaphore::new(0));
    let permits = Arc::clone(&hold);
    let handler = move || {
        let permits = Arc::clone(&permits);
        async move {
            permits.acquire().await.expect("never closed").forget();
            "held"
        }
    };
    (pets_app().route("/hold", on_get(handler)), hold)
}

/// The pets, and an answer that never ends.
fn app_with_stream() -> Router {
    let endless = || async {
        let ticks = tokio::time::interval(std::time::Duration::from_millis(1));
        let ticks = tokio_stream::wrappers::IntervalStream::new(ticks);
        let chunk = |_| Ok::<_, Infallible>(Bytes::from_static(b"tick\n"));
        Body::from_stream(tokio_stream::StreamExt::map(ticks, chunk))
    };
    pets_app().route("/endless", on_get(endless))
}

/// A client with bare hands: it can disappear. It has read the first bytes of the answer.
async fn bare_client(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut first = [0; 64];
    let read = within("an answer", stream.read(&mut first)).await;
    assert!(first.starts_with(b"HTTP/1.1 200"), "{read:?}");
    stream
}

#[tokio::test]
async fn a_request_in_flight_at_the_signal_is_answered() {
    let gateway = gateway().await;
    let (app, hold) = app_with_hold();
    let mut server = axum_app(pets_options(&gateway), app).await;
    registered(&server.registration).await;
    let url = format!("http://{}/hold", server.address);
    let call = tokio::spawn(async move { get(&url).await });
    in_flight(&server.registration, 1).await;
    server.signal();
    // First the service is deregistered, so that the gateway sends no more; then it waits for the request.
    listed(&gateway, 0).await;
    until_state(&server.registration, State::Leaving).await;
    assert!(!server.served.is_finished());
    hold.add_permits(1);
    let answer = within("the answer", call).await.expect("no panic");
    assert_eq!(answer, (200, "held".to_owned()));
    let report = server.stop().await;
    assert_eq!((report.in_flight(), report.cut()), (1, 0));
}

#[tokio::test]
async fn a_panic_in_a_handler_leaves_nothing_in_flight_and_serving_goes_on() {
    async fn panics() {
        panic!("asked to panic");
    }
    let gateway = gateway().await;
    let app = pets_app().route("/panic", on_get(panics));
    let server = axum_app(pets_options(&gateway), app).await;
    registered(&server.registration).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let request = b"GET /panic HTTP/1.1\r\nhost: test\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let mut answer = Vec::new();
    // The panic ends its connection; whether as an end or a reset is the kernel's choice.
    let _ = within("the end", stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty(), "a panic is no answer: {answer:?}");
    in_flight(&server.registration, 0).await;
    assert_called_through(&gateway).await;
    let report = server.stop().await;
    assert_eq!(report.cut(), 0);
}

#[tokio::test]
async fn a_client_that_disappears_in_a_stream_is_not_in_flight_any_more() {
    let gateway = gateway().await;
    let server = axum_app(pets_options(&gateway), app_with_stream()).await;
    registered(&server.registration).await;
    let client = bare_client(server.address, "/endless").await;
    assert_eq!(server.registration.in_flight(), 1);
    drop(client);
    in_flight(&server.registration, 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_body_is_in_flight_until_it_has_ended() {
    let gateway = gateway().await;
    let server = axum_app(pets_options(&gateway), app_with_stream()).await;
    registered(&server.registration).await;
    let url = format!("http://{}/pets", server.address);
    assert_eq!(get(&url).await.0, 200);
    in_flight(&server.registration, 0).await;
    let one = bare_client(server.address, "/endless").await;
    let two = bare_client(server.address, "/endless").await;
    assert_eq!(server.registration.in_flight(), 2);
    drop((one, two));
    in_flight(&server.registration, 0).await;
    let report = server.stop().await;
    assert_eq!(report.in_flight(), 0);
}

#[tokio::test]
async fn handlers_and_middleware_learn_the_address_of_their_client() {
    use axum::middleware::{Next, from_fn};

    async fn add_header(
        ConnectInfo(client): ConnectInfo<SocketAddr>,
        request: axum::extract::Request,
        next: Next,
    ) -> axum::response::Response {
        let mut response = next.run(request).await;
        let value = client.ip().to_string().parse().expect("a header");
        response.headers_mut().insert("client", value);
        response
    }
    let gateway = gateway().await;
    let handler = |ConnectInfo(client): ConnectInfo<SocketAddr>| async move { client.to_string() };
    let app = pets_app()
        .route("/me", on_get(handler))
        .layer(from_fn(add_header));
    let server = axum_app(pets_options(&gateway), app).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let request = b"GET /me HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let mut answer = String::new();
    let read = within("the end", stream.read_to_string(&mut answer)).await;
    read.expect("read");
    let me = stream.local_addr().expect("an address");
    assert!(answer.ends_with(&me.to_string()), "{answer}");
    assert!(answer.contains("client: 127.0.0.1\r\n"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn requests_of_any_route_are_counted() {
    let gateway = gateway().await;
    let (app, hold) = app_with_hold();
    let app = Router::new().nest("/nested", app);
    let server = axum_app(pets_options(&gateway), app).await;
    let call = |path: &str| {
        let url = format!("http://{}{path}", server.address);
        tokio::spawn(async move { get(&url).await })
    };
    let held = [call("/nested/hold"), call("/nested/hold")];
    in_flight(&server.registration, 2).await;
    let missing = call("/no/such/route").await.expect("no panic");
    assert_eq!(missing.0, 404);
    assert_eq!(server.registration.in_flight(), 2);
    hold.add_permits(2);
    for call in held {
        assert_eq!(call.await.expect("no panic").0, 200);
    }
    in_flight(&server.registration, 0).await;
    server.stop().await;
}

/// Clones of the layer are around the router, a nested one, and one of its routes.
#[tokio::test]
async fn a_request_through_nested_layers_is_one() {
    let gateway = gateway().await;
    let layer = GwagRegistrationLayer::new(pets_options(&gateway));
    let registration = layer.registration();
    let (listener, address) = bind("127.0.0.1:0").await;
    let listener = registration.listener(listener).expect("wrapped");
    let count = {
        let registration = registration.clone();
        move || async move { registration.in_flight().to_string() }
    };
    let inner = Router::new()
        .route("/count", on_get(count).layer(layer.clone()))
        .layer(layer.clone());
    let app = Router::new()
        .nest("/nested", inner)
        .merge(pets_app().layer(layer.clone()))
        .layer(layer);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = registration.shutdown(stopped);
    let served = tokio::spawn(async {
        let serve = axum::serve(listener, app).with_graceful_shutdown(shutdown);
        serve.await.expect("served");
    });
    registered(&registration).await;
    let answer = get(&format!("http://{address}/nested/count")).await;
    assert_eq!(answer, (200, "1".to_owned()));
    in_flight(&registration, 0).await;
    stop.send(()).expect("alive");
    within("the server ends", served).await.expect("served");
    assert_eq!(registration.finish().await.in_flight(), 0);
}
