//! The server's own future ends, whatever its callers do: tonic and axum wait without end for
//! connections that are silent, half-sent requests, callers that do not read.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use super::endless;
use crate::drain::{events, reader_of_events};
use crate::support::{
    Running, axum_app, gateway, greeter_options, pets_app, pets_options, registered, tonic_greeter,
    until_state, within,
};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::StreamExt;
use tower_gwag::{LeaveReport, Options, State};

/// The longest drain of these tests, the second before connections are severed, and slack.
const LIMIT: Duration = Duration::from_secs(4);

fn hasty(options: Options) -> Options {
    options.drain_timeout(Duration::from_millis(300))
}

async fn connect(server: &Running, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    stream.write_all(sent).await.expect("sent");
    stream
}

async fn ends(server: Running) -> LeaveReport {
    let start = Instant::now();
    let report = server.stop().await;
    let took = start.elapsed();
    assert!(took < LIMIT, "{took:?}: {report}");
    report
}

#[tokio::test]
async fn a_silent_connection_does_not_keep_tonic() {
    let gateway = gateway().await;
    let server = tonic_greeter(greeter_options(&gateway)).await;
    registered(&server.registration).await;
    let _silent = connect(&server, b"").await;
    assert!(ends(server).await.is_clean());
}

#[tokio::test]
async fn a_half_sent_request_does_not_keep_axum() {
    let gateway = gateway().await;
    let server = axum_app(pets_options(&gateway), pets_app()).await;
    registered(&server.registration).await;
    let _half = connect(&server, b"GET /pets HT").await;
    assert!(ends(server).await.is_clean());
}

#[tokio::test]
async fn a_caller_that_does_not_read_does_not_keep_axum() {
    let gateway = gateway().await;
    let server = axum_app(hasty(pets_options(&gateway)), endless()).await;
    registered(&server.registration).await;
    let _deaf = connect(&server, b"GET /pets HTTP/1.1\r\nhost: pets\r\n\r\n").await;
    crate::support::in_flight(&server.registration, 1).await;
    assert_eq!(ends(server).await.cut(), 1);
}

#[tokio::test]
async fn an_event_stream_does_not_keep_a_server_that_registers_nothing() {
    let server = axum_app(hasty(Options::disabled()), events()).await;
    let reader = reader_of_events(&server).await;
    ends(server).await;
    let (status, body) = within("the stream ends", reader).await.expect("read");
    assert_eq!((status, body.trim()), (200, "data: first"));
}

#[tokio::test]
async fn what_was_left_by_hand_before_the_signal_is_drained_at_the_signal() {
    let gateway = gateway().await;
    let server = tonic_greeter(hasty(greeter_options(&gateway))).await;
    registered(&server.registration).await;
    let report = within("left", server.registration.leave()).await;
    assert!(report.is_clean());
    let _silent = connect(&server, b"").await;
    let mut client = crate::support::greeter_client(server.address).await;
    let call = tokio::spawn(async move { client.hello(crate::support::hello("hold")).await });
    crate::support::in_flight(&server.registration, 1).await;
    server.hold.add_permits(1);
    ends(server).await;
    let reply = within("the call ends", call).await.expect("no panic");
    assert_eq!(reply.expect("served").into_inner().greeting, "Hello, hold!");
}

#[tokio::test]
async fn an_answer_that_is_cut_does_not_look_whole() {
    let gateway = gateway().await;
    let pets = get(|| async {
        let half = tokio_stream::once(Ok::<_, Infallible>("half of the document"));
        Body::from_stream(half.chain(tokio_stream::pending()))
    });
    let app = Router::new().route("/pets", pets);
    let mut server = axum_app(hasty(pets_options(&gateway)), app).await;
    registered(&server.registration).await;
    let mut caller = connect(&server, b"GET /pets HTTP/1.1\r\nhost: pets\r\n\r\n").await;
    crate::support::in_flight(&server.registration, 1).await;
    server.signal();
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = within("the end", caller.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("half of the document"), "{answer}");
    assert!(!answer.ends_with("0\r\n\r\n"), "looks complete: {answer}");
    ends(server).await;
}

#[tokio::test]
async fn an_upgrade_while_leaving_keeps_its_header() {
    let gateway = gateway().await;
    let upgrade = get(|| async {
        let response = axum::http::Response::builder().status(101);
        let response = response.header("connection", "upgrade");
        response
            .header("upgrade", "test")
            .body(Body::empty())
            .expect("valid")
    });
    let app = pets_app().route("/upgrade", upgrade);
    let options = pets_options(&gateway).quiet(Duration::from_secs(1));
    let mut server = axum_app(options, app).await;
    registered(&server.registration).await;
    let mut caller = connect(&server, b"").await;
    server.signal();
    until_state(&server.registration, State::Leaving).await;
    let request =
        b"GET /upgrade HTTP/1.1\r\nhost: pets\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n";
    caller.write_all(request).await.expect("sent");
    let mut answer = vec![0; 4096];
    let length = within("an answer", caller.read(&mut answer))
        .await
        .expect("answered");
    let answer = String::from_utf8_lossy(&answer[..length]).to_lowercase();
    assert!(
        answer.contains("101 switching") && answer.contains("connection: upgrade"),
        "{answer}"
    );
    drop(caller);
    ends(server).await;
}
