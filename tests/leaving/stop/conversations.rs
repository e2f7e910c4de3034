//! Conversations of the shapes that HTTP allows go on to their end when a server stops, without the
//! layer, which could tell.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server as Tonic;
use tower_gwag::{LeaveReport, Options};

use super::unseen::axum;
use super::{Parts, Server, Serving};
use crate::support::greeter::greeter_server::GreeterServer;
use crate::support::servers::TestGreeter;
use crate::support::within;

/// Longer than any wait but the drain's.
const LONG: Duration = Duration::from_millis(3_500);

/// Waits for it in `/late`, counts the bytes in `/upload`, gives 4 MiB in `/large`.
fn app(begun: &mpsc::Sender<()>) -> Router {
    let (late, upload, large) = (begun.clone(), begun.clone(), begun.clone());
    let late = get(|| async move {
        late.send(()).await.expect("the test waits");
        tokio::time::sleep(LONG).await;
        "late"
    });
    let upload = post(|body: Body| async move {
        upload.send(()).await.expect("the test waits");
        let body = body.collect().await.expect("whole");
        format!("{} bytes", body.to_bytes().len())
    });
    let large = get(|| async move {
        large.send(()).await.expect("the test waits");
        let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
        let chunks = tokio_stream::iter((0..64).map(move |_| Ok::<_, Infallible>(chunk.clone())));
        Body::from_stream(chunks)
    });
    Router::new()
        .route("/late", late)
        .route("/upload", upload)
        .route("/large", large)
}

async fn server() -> (Server, mpsc::Receiver<()>) {
    let (begun, begins) = mpsc::channel(8);
    let app = app(&begun);
    let server = Server::start(Options::disabled(), axum(move |_| app)).await;
    (server, begins)
}

/// Gives the signal once a handler runs.
async fn stop_amid(server: Server, mut begins: mpsc::Receiver<()>) -> LeaveReport {
    within("a handler runs", begins.recv()).await.expect("one");
    let report = server.stop().await;
    assert_eq!((report.cut(), report.severed()), (0, 0), "{report}");
    report
}

/// Prior knowledge.
async fn http_2(server: &Server, pings: bool) -> http2::SendRequest<BoxBody> {
    let stream = TcpStream::connect(server.address).await.expect("connected");
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new());
    if pings {
        builder
            .keep_alive_interval(Duration::from_millis(200))
            .keep_alive_while_idle(true);
    }
    let handshake = builder.handshake(TokioIo::new(stream));
    let (client, connection) = within("a connection", handshake).await.expect("HTTP/2");
    tokio::spawn(connection);
    client
}

type BoxBody = UnsyncBoxBody<Bytes, Infallible>;

fn request(method: &str, path: &str, body: BoxBody) -> hyper::Request<BoxBody> {
    let request = hyper::Request::builder().method(method);
    let request = request.uri(format!("http://pets{path}"));
    request.body(body).expect("a request")
}

#[tokio::test]
async fn a_call_over_http_2_between_keep_alive_pings() {
    for pings in [true, false] {
        let (server, begins) = server().await;
        let mut client = http_2(&server, pings).await;
        let call = client.send_request(request("GET", "/late", Empty::new().boxed_unsync()));
        let call = tokio::spawn(call);
        stop_amid(server, begins).await;
        let answer = within("an answer", call).await.expect("no panic");
        let body = answer.expect("answered").into_body().collect().await;
        assert_eq!(body.expect("whole").to_bytes(), "late", "pings: {pings}");
    }
}

#[tokio::test]
async fn an_upload_over_http_2_that_takes_its_time() {
    let (server, begins) = server().await;
    let mut client = http_2(&server, false).await;
    let (pieces, body) = mpsc::channel(1);
    let frames = ReceiverStream::new(body).map(|bytes| Ok(Frame::data(bytes)));
    let body = StreamBody::new(frames).boxed_unsync();
    let call = tokio::spawn(client.send_request(request("POST", "/upload", body)));
    let stopping = tokio::spawn(stop_amid(server, begins));
    for _ in 0..6 {
        tokio::time::sleep(LONG / 6).await;
        let piece = Bytes::from_static(b"piece");
        pieces.send(piece).await.expect("somebody reads");
    }
    drop(pieces);
    let answer = within("an answer", call).await.expect("no panic");
    let body = answer.expect("answered").into_body().collect().await;
    assert_eq!(body.expect("whole").to_bytes(), "30 bytes");
    within("the report", stopping).await.expect("no panic");
}

/// The windows are full, and stay so for a while: nothing comes, and nothing can be sent.
#[tokio::test]
async fn a_large_answer_that_waits_for_room() {
    let (server, begins) = server().await;
    let mut client = http_2(&server, false).await;
    let call = client.send_request(request("GET", "/large", Empty::new().boxed_unsync()));
    let answer = within("a head", call).await.expect("answered");
    let stopping = tokio::spawn(stop_amid(server, begins));
    tokio::time::sleep(LONG).await;
    let body = within("a body", answer.into_body().collect()).await;
    assert_eq!(body.expect("whole").to_bytes().len(), 4 << 20);
    within("the report", stopping).await.expect("no panic");
}

async fn until(caller: &mut TcpStream, said: &mut String, part: &str) {
    let mut bytes = [0; 1024];
    while !said.contains(part) {
        let read = within(part, caller.read(&mut bytes)).await.expect("read");
        assert!(read > 0, "the end, without `{part}`: {said}");
        said.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
}

/// The body follows when the server has said that it wants it.
#[tokio::test]
async fn an_upload_that_waits_to_be_asked_for() {
    let (server, begins) = server().await;
    let mut caller = TcpStream::connect(server.address).await.expect("connected");
    let head =
        b"POST /upload HTTP/1.1\r\nhost: pets\r\ncontent-length: 6\r\nexpect: 100-continue\r\n\r\n";
    caller.write_all(head).await.expect("sent");
    let mut said = String::new();
    until(&mut caller, &mut said, "100 Continue\r\n\r\n").await;
    let stopping = tokio::spawn(stop_amid(server, begins));
    tokio::time::sleep(LONG).await;
    caller.write_all(b"upload").await.expect("sent");
    until(&mut caller, &mut said, "6 bytes").await;
    within("the report", stopping).await.expect("no panic");
}

/// What the server closes with a request in its buffer it says before.
#[tokio::test]
async fn the_last_answer_to_pipelined_requests_says_that_it_is_the_last() {
    let (server, begins) = server().await;
    let mut caller = TcpStream::connect(server.address).await.expect("connected");
    let two = b"GET /late HTTP/1.1\r\nhost: pets\r\n\r\n".repeat(2);
    caller.write_all(&two).await.expect("sent");
    stop_amid(server, begins).await;
    let mut said = String::new();
    let read = within("the end", caller.read_to_string(&mut said)).await;
    read.expect("whole");
    let answers = said.matches("HTTP/1.1 200").count();
    assert!(answers == 2 || said.contains("connection: close"), "{said}");
    assert!(said.ends_with("late"), "{said}");
}

/// A connection on which the server has already sent GOAWAY: no ping goes with its stop.
#[tokio::test]
async fn a_call_on_a_connection_that_is_too_old_for_more() {
    let serve = |parts: Parts| -> Serving {
        Box::pin(async move {
            let incoming = parts.layer.registration().incoming(parts.listener);
            Tonic::builder()
                .max_connection_age(Duration::from_millis(300))
                .add_service(GreeterServer::new(TestGreeter::default()))
                .serve_with_incoming_shutdown(incoming.expect("wrapped"), parts.shutdown)
                .await
                .expect("served");
        })
    };
    let server = Server::start(Options::disabled(), serve).await;
    let mut client = crate::support::greeter_client(server.address).await;
    let call = tokio::spawn(async move {
        let mut request = crate::support::hello("Ada");
        request.delay_ms = 4_500;
        client.hello(request).await
    });
    // For the connection to grow old.
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let report = server.stop().await;
    let answer = within("an answer", call).await.expect("no panic");
    assert!(answer.is_ok(), "{answer:?} {report}");
    assert_eq!(report.severed(), 0, "{report}");
}

/// The server's own future goes on after the shutdown future: nobody was asked whether they live.
#[tokio::test]
async fn a_call_to_a_server_that_takes_its_time_to_stop() {
    let (begun, begins) = mpsc::channel(8);
    let app = app(&begun);
    let serve = move |parts: Parts| -> Serving {
        Box::pin(async move {
            let registration = parts.layer.registration();
            let listener = registration.listener(parts.listener).expect("wrapped");
            axum::serve(listener, app)
                .with_graceful_shutdown(async move {
                    parts.shutdown.await;
                    tokio::time::sleep(Duration::from_secs(3)).await;
                })
                .await
                .expect("served");
        })
    };
    let server = Server::start(Options::disabled(), serve).await;
    let mut client = http_2(&server, false).await;
    let call = client.send_request(request("GET", "/late", Empty::new().boxed_unsync()));
    let call = tokio::spawn(call);
    stop_amid(server, begins).await;
    let answer = within("an answer", call).await.expect("no panic");
    assert!(answer.is_ok(), "{answer:?}");
}

/// An HTTP/2 request for `/late`, and nothing more.
const ASKS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
    \0\0\x0d\x01\x05\0\0\0\x01\x82\x86\x04\x05/late\x01\x02me";
const DATA: u8 = 0;
const PING: u8 = 6;
const ACK: u8 = 1;

/// Kind, flags and payload.
async fn frame(caller: &mut TcpStream) -> std::io::Result<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    caller.read_exact(&mut head).await?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    caller.read_exact(&mut payload).await?;
    Ok((head[3], head[4], payload))
}

/// The answer to the ping of the stop comes while every thread of the runtime is blocked: nobody
/// reads it for longer than a peer has time for it.
#[tokio::test]
async fn a_call_to_a_server_whose_handlers_block() {
    let (begun, mut begins) = mpsc::channel(8);
    let (blocks, blocked) = (Arc::new(Notify::new()), begun.clone());
    let block = Arc::clone(&blocks);
    let block = get(|| async move {
        block.notified().await;
        // The test waits, or has ended.
        let _ = blocked.try_send(());
        std::thread::sleep(Duration::from_millis(1_500));
    });
    let app = app(&begun).route("/block", block);
    let (started, server) = tokio::sync::oneshot::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let life = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let server = Server::start(Options::disabled(), axum(move |_| app)).await;
            started.send(server.address).expect("awaited");
            stopped.await.expect("told");
            server.stop().await
        })
    });
    let address = within("the server", server).await.expect("started");
    let mut caller = TcpStream::connect(address).await.expect("connected");
    caller.write_all(ASKS).await.expect("sent");
    within("a handler runs", begins.recv()).await.expect("one");
    let mut blocker = TcpStream::connect(address).await.expect("connected");
    let request = b"GET /block HTTP/1.1\r\nhost: pets\r\n\r\n";
    blocker.write_all(request).await.expect("sent");
    stop.send(()).expect("awaited");
    let mut said = Vec::new();
    while said != b"late" {
        match within("a frame", frame(&mut caller)).await {
            Ok((PING, 0, payload)) => {
                blocks.notify_one();
                within("it blocks", begins.recv()).await.expect("one");
                let pong = [&[0, 0, 8, PING, ACK, 0, 0, 0, 0], &payload[..]].concat();
                caller.write_all(&pong).await.expect("sent");
            }
            Ok((DATA, _, payload)) => said.extend(payload),
            Ok(_) => {}
            Err(error) => panic!("lost: {error}"),
        }
    }
    drop(caller);
    let life = tokio::task::spawn_blocking(|| life.join());
    let report = within("its end", life).await.expect("joined");
    let report = report.expect("no panic");
    assert_eq!(report.severed(), 0, "{report}");
}
