//! Requests that the layer does not see are answered, too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_stream::StreamExt;
use tonic::transport::{Endpoint, Server as Tonic};
use tower_gwag::{GwagRegistrationLayer, LeaveReport, Options};

use super::{Parts, Server, Serving, endless};
use crate::support::greeter::greeter_client::GreeterClient;
use crate::support::greeter::greeter_server::GreeterServer;
use crate::support::servers::TestGreeter;
use crate::support::{gateway, greeter_options, greetings, pets_app, pets_options, within};

/// Longer than any wait but the drain's: the late limit, and the second for what is idle.
const CALL: Duration = Duration::from_millis(3_500);

pub(super) fn axum(
    app: impl FnOnce(GwagRegistrationLayer) -> Router + Send + 'static,
) -> impl FnOnce(Parts) -> Serving {
    move |parts| {
        Box::pin(async move {
            let registration = parts.layer.registration();
            let listener = registration.listener(parts.listener).expect("wrapped");
            axum::serve(listener, app(parts.layer))
                .with_graceful_shutdown(parts.shutdown)
                .await
                .expect("served");
        })
    }
}

/// A greeter without the layer.
pub(super) fn tonic(parts: Parts) -> Serving {
    Box::pin(async move {
        let registration = parts.layer.registration();
        let incoming = registration.incoming(parts.listener).expect("wrapped");
        Tonic::builder()
            .add_service(GreeterServer::new(TestGreeter::default()))
            .serve_with_incoming_shutdown(incoming, parts.shutdown)
            .await
            .expect("served");
    })
}

/// Says on `begun` that a call is there.
fn late(begun: &Arc<Notify>) -> Router {
    let begun = Arc::clone(begun);
    let late = move || async move {
        begun.notify_one();
        tokio::time::sleep(CALL).await;
        "late"
    };
    Router::new().route("/late", get(late))
}

type Placement = fn(Router, GwagRegistrationLayer) -> Router;

/// Where the layer may stand; whether it sees the call.
const PLACEMENTS: [(&str, Placement, bool); 7] = [
    (
        "over everything",
        |late, layer| pets_app().merge(late).layer(layer),
        true,
    ),
    (
        "before the route",
        |late, layer| pets_app().layer(layer).merge(late),
        false,
    ),
    (
        "on the routes",
        |late, layer| pets_app().route_layer(layer).merge(late),
        false,
    ),
    (
        "beside what is nested",
        |late, layer| pets_app().layer(layer).nest("/nested", late),
        false,
    ),
    (
        "inside what is nested",
        |late, layer| late.nest("/pets_too", pets_app().layer(layer)),
        false,
    ),
    (
        "without the fallback",
        |late, layer| pets_app().layer(layer).fallback_service(late),
        false,
    ),
    ("nowhere", |late, _| pets_app().merge(late), false),
];

async fn get_over(http_2: bool, url: String) -> Result<String, String> {
    let client = Client::builder(TokioExecutor::new())
        .http2_only(http_2)
        .build_http();
    let request = hyper::Request::get(url)
        .body(Empty::<Bytes>::new())
        .expect("a request");
    let response = client
        .request(request)
        .await
        .map_err(|error| format!("{error:?}"))?;
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|error| format!("{error:?}"))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

async fn placed(
    options: Options,
    place: Placement,
    path: &str,
    http_2: bool,
) -> (Result<String, String>, LeaveReport) {
    let begun = Arc::new(Notify::new());
    let app = late(&begun);
    let server = Server::start(options, axum(move |layer| place(app, layer))).await;
    let call = tokio::spawn(get_over(http_2, format!("http://{}{path}", server.address)));
    within("the call arrives", begun.notified()).await;
    let report = server.stop().await;
    (within("an end", call).await.expect("no panic"), report)
}

#[tokio::test]
async fn wherever_the_layer_is_added_a_call_is_answered() {
    let gateway = gateway().await;
    let mut runs = tokio::task::JoinSet::new();
    for (name, place, is_seen) in PLACEMENTS {
        for http_2 in [false, true] {
            let options = pets_options(&gateway);
            let path = if name == "beside what is nested" {
                "/nested/late"
            } else {
                "/late"
            };
            runs.spawn(async move {
                (
                    name,
                    http_2,
                    is_seen,
                    placed(options, place, path, http_2).await,
                )
            });
        }
    }
    while let Some(run) = runs.join_next().await {
        let (name, http_2, is_seen, (answer, report)) = run.expect("no panic");
        let what = format!("{name}, HTTP/2: {http_2}: {report}");
        assert_eq!(answer.as_deref(), Ok("late"), "{what}");
        assert_eq!((report.cut(), report.severed()), (0, 0), "{what}");
        assert_eq!(report.is_counted(), is_seen, "{what}");
        assert_eq!(report.in_flight(), usize::from(is_seen), "{what}");
        let says_so = report.to_string().contains("not counted");
        assert_eq!(says_so, !is_seen, "{what}");
        assert!(report.is_clean(), "{what}");
    }
}

#[tokio::test]
async fn a_call_whose_caller_pings_is_not_taken_for_an_answered_one() {
    let gateway = gateway().await;
    let server = Server::start(greeter_options(&gateway), tonic).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).expect("an address");
    let endpoint = endpoint.http2_keep_alive_interval(Duration::from_millis(300));
    let channel = within("a connection", endpoint.connect())
        .await
        .expect("connected");
    let mut client = GreeterClient::new(channel);
    let mut request = crate::support::hello("Ada");
    request.delay_ms = 4_000;
    let call = tokio::spawn(async move { client.hello(request).await });
    crate::support::eventually("the call arrives", || server.registration.is_ready()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let report = server.stop().await;
    let answer = within("an answer", call).await.expect("no panic");
    assert_eq!(
        answer.expect("answered").into_inner().greeting,
        "Hello, Ada!"
    );
    assert!(report.drain() >= Duration::from_secs(3), "{report}");
    assert!(report.to_string().contains("not counted"), "{report}");
}

#[tokio::test]
async fn a_stream_that_pauses_is_not_cut() {
    let gateway = gateway().await;
    let server = Server::start(greeter_options(&gateway), tonic).await;
    let mut client = crate::support::greeter_client(server.address).await;
    let stream = client.greetings(greetings(3, 2_000)).await;
    let mut stream = stream.expect("answered").into_inner();
    assert!(
        within("a message", stream.next())
            .await
            .expect("one")
            .is_ok()
    );
    let stopping = tokio::spawn(server.stop());
    for _ in 0..2 {
        assert!(
            within("a message", stream.next())
                .await
                .expect("one")
                .is_ok()
        );
    }
    assert!(within("the end", stream.next()).await.is_none());
    let report = within("the report", stopping).await.expect("no panic");
    assert_eq!((report.cut(), report.severed()), (0, 0), "{report}");
}

#[tokio::test]
async fn a_slow_upload_is_not_cut() {
    let gateway = gateway().await;
    let upload = post(|body: Bytes| async move { format!("{} bytes", body.len()) });
    let app = Router::new().route("/upload", upload);
    let server = Server::start(pets_options(&gateway), axum(|_| app)).await;
    let mut caller = TcpStream::connect(server.address).await.expect("connected");
    let head = b"POST /upload HTTP/1.1\r\nhost: pets\r\ncontent-length: 6\r\n\r\n";
    caller.write_all(head).await.expect("sent");
    crate::support::eventually("it is connected", || server.registration.is_ready()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stopping = tokio::spawn(server.stop());
    for byte in b"upload" {
        tokio::time::sleep(Duration::from_millis(600)).await;
        caller.write_all(&[*byte]).await.expect("sent");
    }
    let mut answer = Vec::new();
    let read = within("an answer", caller.read_to_end(&mut answer)).await;
    read.expect("whole");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.ends_with("6 bytes"), "{answer}");
    let report = within("the report", stopping).await.expect("no panic");
    assert_eq!(report.severed(), 0, "{report}");
}

/// Asks for `/pets` over HTTP/2, with all the windows open, and reads nothing.
const DEAF: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff\
    \0\0\x04\x08\0\0\0\0\0\x7f\0\0\0\
    \0\0\x0d\x01\x05\0\0\0\x01\x82\x86\x04\x05/pets\x01\x02me";

#[tokio::test]
async fn a_caller_that_does_not_read_is_ended_at_the_drain_timeout() {
    let gateway = gateway().await;
    let http_1 = b"GET /pets HTTP/1.1\r\nhost: pets\r\n\r\n";
    let options = || pets_options(&gateway);
    tokio::join!(is_ended(options(), http_1), is_ended(options(), DEAF));
}

async fn is_ended(options: Options, request: &[u8]) {
    let budget = Duration::from_secs(3);
    let server = Server::start(options.drain_timeout(budget), axum(|_| endless())).await;
    let mut caller = TcpStream::connect(server.address).await.expect("connected");
    caller.write_all(request).await.expect("sent");
    // As soon as something came back, more is on its way.
    within("an answer", caller.readable())
        .await
        .expect("readable");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let start = Instant::now();
    let report = server.stop().await;
    let took = start.elapsed();
    assert!(
        took >= budget && took < budget + Duration::from_secs(2),
        "{took:?}: {report}"
    );
    assert_eq!(report.severed(), 1, "{report}");
    assert!(
        report.to_string().contains("1 busy connection ended"),
        "{report}"
    );
}
