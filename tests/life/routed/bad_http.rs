//! Something else answers at the gateway's base URL: it is no evidence, and costs nothing.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tower_gwag::State;

use super::kinds::{Called, Kind, Place};
use super::{node, registrations};
use crate::support::Clock;
use crate::support::servers::bind;

/// A server that gives every request the same answer, and goes on for as long as it is read.
async fn web_server(head: &'static str, piece: &'static [u8], times: usize) -> String {
    let (listener, address) = bind("127.0.0.1:0").await;
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            connections.spawn(async move {
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(head.as_bytes()).await;
                for _ in 0..times {
                    if stream.write_all(piece).await.is_err() {
                        return;
                    }
                }
                let _ = stream.shutdown().await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    format!("http://{address}")
}

/// A schema that comes byte by byte and has no end.
async fn trickle() -> String {
    let (listener, address) = bind("127.0.0.1:0").await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            tokio::spawn(async move {
                let _ = stream.write_all(OK.as_bytes()).await;
                for byte in b"type Query { a: Int } type Other { "
                    .iter()
                    .chain([b' '].iter().cycle())
                {
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
        }
    });
    format!("http://{address}")
}

const OK: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn whatever_answers_at_gateway_http_causes_no_wrong_status() {
    let _clock = Clock::start();
    let gateway = node().await;
    let place = Place::of(&gateway);
    let elsewhere = node().await;
    let many: &[u8] = &[b' '; 65_536];
    let bases = [
        (
            "a login page",
            web_server(OK, b"<html>log in</html>", 1).await,
        ),
        (
            "GraphQL at every path",
            web_server(OK, br#"{"data":null,"errors":[{"message":"no"}]}"#, 1).await,
        ),
        (
            "another schema",
            web_server(OK, b"type Query { a: Int }", 1).await,
        ),
        ("no service at all", elsewhere.http_url()),
        (
            "500",
            web_server(
                "HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\n\r\n",
                b"graphql.NewSchema: no",
                1,
            )
            .await,
        ),
        (
            "a redirect",
            web_server(
                "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
                b"",
                0,
            )
            .await,
        ),
        ("16 GB", web_server(OK, many, 250_000).await),
        (
            "a circle of redirects",
            web_server(
                "HTTP/1.1 307 Temporary Redirect\r\nlocation: /api/schema/graphql\r\n\
                 content-length: 0\r\n\r\n",
                b"",
                0,
            )
            .await,
        ),
        (
            "gzip that nobody asked for",
            web_server(
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n",
                b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xed\xc1\x01\x0d\0\0\0\xc2\xa0",
                1_000,
            )
            .await,
        ),
        (
            "nonsense in chunks",
            web_server(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                b"fffffffff\r\ntype Query {\r\n-1\r\nzz\r\n",
                3,
            )
            .await,
        ),
        (
            "HTTP/2 alone",
            web_server("", b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0", 1).await,
        ),
        (
            "a head without an end",
            web_server("HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n", 100_000).await,
        ),
        ("a trickle", trickle().await),
        ("nothing", "http://127.0.0.1:9".to_owned()),
        ("silence", web_server("", b"", 0).await),
    ];
    let mut all = JoinSet::new();
    for kind in Kind::ALL {
        for (what, base) in bases.clone() {
            let place = place.clone();
            all.spawn(async move {
                let called = Called::start(kind, &place, Some(&base)).await;
                called.until(State::Routed, called.begun).await;
                tokio::time::sleep(Duration::from_secs(4)).await;
                let states = called.states();
                assert!(!states.contains(&State::Blocked), "{what}: {states:?}");
                assert_eq!(called.status().state(), State::Routed, "{what}");
                assert_eq!(registrations(&called.events), 1, "{what}");
                let report = called.stop().await;
                assert!(report.is_clean(), "{what}: {report}");
            });
        }
    }
    while let Some(end) = all.join_next().await {
        end.expect("as expected");
    }
}
