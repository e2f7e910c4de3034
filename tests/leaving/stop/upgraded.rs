//! Connections that were handed over to a handler: nobody waits for them, and nobody ends them.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use axum::routing::any;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower_gwag::Options;

use super::Server;
use super::unseen::axum;
use crate::support::within;

/// Says everything twice.
async fn echo(mut request: Request<Body>) -> Response<Body> {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let upgraded = upgrade.await.expect("upgraded");
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
        // The peer may be gone.
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let mut response = Response::new(Body::empty());
    if request.method() != Method::CONNECT {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, "upgrade".parse().expect("a value"));
        headers.insert(header::UPGRADE, "echo".parse().expect("a value"));
    }
    response
}

async fn says(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.expect("sent");
    let mut said = vec![0; text.len()];
    let read = within("an echo", stream.read_exact(&mut said)).await;
    read.expect("read");
    assert_eq!(said, text);
}

/// Opens one, stops the server, and speaks on.
async fn outlives(request: &[u8], is_layered: bool) {
    let app = Router::new().route("/echo", any(echo)).fallback(echo);
    let place = move |layer| match is_layered {
        true => app.layer(layer),
        false => app,
    };
    let limit = Duration::from_secs(6);
    let server = Server::start(Options::disabled().drain_timeout(limit), axum(place)).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    stream.write_all(request).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("a head", stream.read_u8()).await.expect("a byte"));
    }
    says(&mut stream, b"before").await;
    let begun = Instant::now();
    let report = server.stop().await;
    let took = begun.elapsed();
    assert!(took < limit - Duration::from_secs(1), "{took:?}: {report}");
    assert_eq!((report.cut(), report.severed()), (0, 0), "{report}");
    says(&mut stream, b"after the report").await;
    // And after the moment at which everything else is ended.
    tokio::time::sleep_until((begun + limit + Duration::from_millis(500)).into()).await;
    says(&mut stream, b"after the deadline").await;
}

const WEB_SOCKET: &[u8] =
    b"GET /echo HTTP/1.1\r\nhost: pets\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
const TUNNEL: &[u8] = b"CONNECT pets:80 HTTP/1.1\r\nhost: pets:80\r\n\r\n";

#[tokio::test]
async fn an_upgraded_connection_outlives_the_server() {
    tokio::join!(outlives(WEB_SOCKET, true), outlives(WEB_SOCKET, false));
}

#[tokio::test]
async fn a_tunnel_outlives_the_server() {
    tokio::join!(outlives(TUNNEL, true), outlives(TUNNEL, false));
}
