//! What leaving waits for, and what it does not: budgets, callers without end, calls without end.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{
    PROMPTLY, Running, assert_orderly, axum_app, gateway, greeter_client, greeter_options,
    greetings, hello, in_flight, pets_app, pets_options, registered, tonic_greeter, within,
};
use axum::Router;
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tower_gwag::{LeaveOutcome, Options, State};

async fn greeter(options: Options) -> Running {
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    server
}

#[tokio::test]
async fn a_stream_without_end_is_cut_when_the_drain_has_timed_out() {
    let gateway = gateway().await;
    let budget = Duration::from_millis(300);
    let server = greeter(greeter_options(&gateway).drain_timeout(budget)).await;
    let mut streams = Vec::new();
    for address in [gateway.address(), server.address] {
        let mut client = greeter_client(address).await;
        // One message, and the next in an hour.
        let stream = client.greetings(greetings(0, 3_600_000)).await;
        let mut stream = stream.expect("answered").into_inner();
        assert!(stream.next().await.expect("a message").is_ok());
        streams.push(stream);
    }
    let start = Instant::now();
    let report = server.stop().await;
    assert!(start.elapsed() < PROMPTLY, "{:?}", start.elapsed());
    assert!(report.drain() >= budget);
    assert_eq!((report.in_flight(), report.cut()), (2, 2));
    let end = streams[1].next().await.expect("an end that says why");
    assert_eq!(end.expect_err("cut").code(), Code::Unavailable);
    // Gateways lose the status of a stream's end: it looks complete.
    assert!(streams[0].next().await.is_none());
    assert!(gateway.registrations().is_empty());
}

#[tokio::test]
async fn a_handler_without_end_is_cut_when_the_drain_has_timed_out() {
    let gateway = gateway().await;
    let budget = Duration::from_millis(100);
    let server = greeter(greeter_options(&gateway).drain_timeout(budget)).await;
    let mut client = greeter_client(server.address).await;
    let call = tokio::spawn(async move { client.hello(hello("hold")).await });
    in_flight(&server.registration, 1).await;
    let report = server.stop().await;
    assert_eq!(report.cut(), 1);
    let end = within("the call ends", call).await.expect("no panic");
    assert_eq!(end.expect_err("cut").code(), Code::Unavailable);
}

#[tokio::test]
async fn exempt_calls_are_not_waited_for() {
    let gateway = gateway().await;
    let options = greeter_options(&gateway).exempt_from_drain("/greeter.v1.Greeter/Greetings");
    let server = greeter(options).await;
    let mut client = greeter_client(server.address).await;
    let stream = client.greetings(greetings(0, 3_600_000)).await;
    let mut stream = stream.expect("answered").into_inner();
    assert!(stream.next().await.expect("a message").is_ok());
    assert_eq!(server.registration.in_flight(), 0);
    let start = Instant::now();
    let report = server.stop().await;
    assert!(start.elapsed() < PROMPTLY, "{:?}", start.elapsed());
    assert_eq!((report.in_flight(), report.cut()), (0, 1));
}

/// A stream of events that ends only with its connection.
pub(crate) fn events() -> Router {
    let events = get(|| async {
        let first = tokio_stream::once(Ok::<_, Infallible>(Event::default().data("first")));
        Sse::new(first.chain(tokio_stream::pending()))
    });
    Router::new().route("/events", events)
}

/// A caller who reads the events to their end; the server has accepted the call.
pub(crate) async fn reader_of_events(server: &Running) -> JoinHandle<(u16, String)> {
    let url = format!("http://{}/events", server.address);
    let reader = tokio::spawn(async move { crate::support::get(&url).await });
    let registration = &server.registration;
    crate::support::eventually("the stream is open", || {
        registration.exempt_in_flight() == 1
    })
    .await;
    reader
}

#[tokio::test]
async fn event_streams_are_exempt_by_their_content_type() {
    let gateway = gateway().await;
    let server = axum_app(pets_options(&gateway), events()).await;
    registered(&server.registration).await;
    let reader = reader_of_events(&server).await;
    let start = Instant::now();
    let report = server.stop().await;
    assert!(start.elapsed() < PROMPTLY, "{:?}", start.elapsed());
    assert_eq!(report.cut(), 1);
    let (status, body) = within("the stream ends", reader).await.expect("read");
    assert_eq!((status, body.trim()), (200, "data: first"));
}

#[tokio::test]
async fn event_streams_that_end_are_waited_for_on_request() {
    let gateway = gateway().await;
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let receive = Arc::new(Mutex::new(Some(receive)));
    let events = get(move || {
        let receive = receive.lock().expect("not poisoned").take();
        let events = ReceiverStream::new(receive.expect("one call"));
        async {
            Sse::new(events.map(|text: &str| Ok::<_, Infallible>(Event::default().data(text))))
        }
    });
    let app = Router::new().route("/events", events);
    let server = axum_app(pets_options(&gateway).drain_event_streams(), app).await;
    registered(&server.registration).await;
    let url = format!("http://{}/events", server.address);
    let reader = tokio::spawn(async move { crate::support::get(&url).await });
    send.send("first").await.expect("the stream is open");
    in_flight(&server.registration, 1).await;
    let registration = server.registration.clone();
    let finishing = tokio::spawn(async move {
        registration.leaving().await;
        send.send("last").await.expect("the stream is open");
    });
    let report = server.stop().await;
    assert_eq!((report.in_flight(), report.cut()), (1, 0));
    within("finished", finishing).await.expect("no panic");
    let (status, body) = within("the stream ends", reader).await.expect("read");
    assert_eq!((status, body.trim()), (200, "data: first\n\ndata: last"));
}

#[tokio::test]
async fn a_handler_that_waits_for_leaving_sends_its_last_message() {
    let gateway = gateway().await;
    let layer = tower_gwag::GwagRegistrationLayer::new(pets_options(&gateway));
    let leaving = layer.registration().leaving_token();
    let app = Router::new().route(
        "/pets",
        get(move || async move {
            leaving.cancelled().await;
            axum::Json("goodbye")
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("bound");
    let registration = layer.registration();
    let (stop, stopped) = watch::channel(false);
    let mut stopped = stopped;
    let shutdown = registration.shutdown(async move { stopped.changed().await.is_ok() });
    let listener = registration.listener(listener).expect("wrapped");
    let serve = axum::serve(listener, app.layer(layer)).with_graceful_shutdown(shutdown);
    let served = tokio::spawn(serve.into_future());
    registered(&registration).await;
    let query = "%7BPet_Store_API%7BlistPets%7D%7D";
    let url = format!("{}/api/graphql?query={query}", gateway.http_url());
    let call = tokio::spawn(async move { crate::support::get(&url).await });
    in_flight(&registration, 1).await;
    stop.send(true).expect("served");
    within("served", served)
        .await
        .expect("no panic")
        .expect("served");
    assert_eq!(
        within("answered", call).await.expect("no panic").1.trim(),
        r#"{"data":{"Pet_Store_API":{"listPets":"goodbye"}}}"#
    );
    let report = registration.finish().await;
    assert_eq!((report.in_flight(), report.cut()), (1, 0));
}

#[tokio::test]
async fn direct_callers_do_not_hold_it_up_and_are_served() {
    let gateway = gateway().await;
    let mut server = greeter(greeter_options(&gateway)).await;
    let (stop, stopped) = watch::channel(());
    let callers: Vec<_> = (0..5)
        .map(|_| {
            let (address, mut stopped) = (server.address, stopped.clone());
            tokio::spawn(async move {
                let mut client = greeter_client(address).await;
                // More often than the quiet time, or the drain ends between two calls.
                let mut tick = tokio::time::interval(Duration::from_millis(20));
                let mut failed = Vec::new();
                while !stopped.has_changed().unwrap_or(true) {
                    tokio::select! {
                        _ = tick.tick() => {}
                        _ = stopped.changed() => break,
                    }
                    if let Err(status) = client.hello(hello("Ada")).await {
                        failed.push(status);
                        break;
                    }
                }
                failed
            })
        })
        .collect();
    server.signal();
    let report = within("the report", server.registration.finish()).await;
    // They never stop: 2 s, and what comes around it.
    assert!(report.drain() < Duration::from_secs(3), "{report}");
    assert!(report.late() > 20, "{report}");
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    stop.send(()).expect("callers");
    for caller in callers {
        let failed = within("a caller", caller).await.expect("no panic");
        // Until the server was let go, every call was answered; then its port is closed.
        assert!(failed.len() <= 1, "{failed:?}");
    }
    within("the server ends", server.served)
        .await
        .expect("served");
    assert_orderly(&gateway);
}

#[tokio::test]
async fn http_1_connections_are_closed_while_leaving() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let gateway = gateway().await;
    let mut server = axum_app(pets_options(&gateway), pets_app()).await;
    registered(&server.registration).await;
    assert!(server.registration.is_ready());
    let mut caller = tokio::net::TcpStream::connect(server.address)
        .await
        .expect("connected");
    let mut answer = vec![0; 4096];
    let request = b"GET /pets HTTP/1.1\r\nhost: pets\r\n\r\n";
    caller.write_all(request).await.expect("sent");
    let length = caller.read(&mut answer).await.expect("answered");
    let first = String::from_utf8_lossy(&answer[..length]).to_lowercase();
    assert!(!first.contains("connection: close"), "{first}");
    server.signal();
    crate::support::until_state(&server.registration, State::Leaving).await;
    assert!(!server.registration.is_ready());
    caller.write_all(request).await.expect("sent");
    let mut rest = String::new();
    within("the end", caller.read_to_string(&mut rest))
        .await
        .expect("closed");
    let rest = rest.to_lowercase();
    assert!(
        rest.contains("rex, tom") && rest.contains("connection: close"),
        "{rest}"
    );
    assert!(server.stop().await.is_clean());
}
