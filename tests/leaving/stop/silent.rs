//! Connections that nothing can be in flight on end a second after the stop.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower_gwag::LeaveReport;

use crate::support::{
    Running, axum_app, gateway, greeter_options, pets_app, pets_options, registered, tonic_greeter,
    within,
};

const SECOND: Duration = Duration::from_secs(1);

/// A peer that sends this, and then says and reads nothing more, keeps nobody.
async fn is_ended(server: Running, sent: &[u8], reads: bool) -> LeaveReport {
    registered(&server.registration).await;
    let mut peer = TcpStream::connect(server.address).await.expect("connected");
    peer.write_all(sent).await.expect("sent");
    if reads {
        // What the server said by now; the ping that comes with its stop is not answered.
        let mut settings = [0; 9];
        let read = peer.read_exact(&mut settings);
        within("its settings", read).await.expect("read");
    }
    let start = Instant::now();
    let report = server.stop().await;
    let took = start.elapsed();
    assert!(took >= SECOND && took < 4 * SECOND, "{took:?}: {report}");
    assert_eq!((report.severed(), report.cut()), (0, 0), "{report}");
    assert!(report.is_clean(), "{report}");
    report
}

#[tokio::test]
async fn a_connection_without_a_byte() {
    let gateway = gateway().await;
    let server = tonic_greeter(greeter_options(&gateway)).await;
    let report = is_ended(server, b"", false).await;
    assert!(
        report.to_string().contains("calls: 0 in flight"),
        "{report}"
    );
}

#[tokio::test]
async fn half_a_first_head() {
    let gateway = gateway().await;
    let heads: [&[u8]; 2] = [b"GET /pets HT", b"GET /pets HTTP/1.1\r\nhost: pets\r\n"];
    for head in heads {
        let server = axum_app(pets_options(&gateway), pets_app()).await;
        is_ended(server, head, false).await;
    }
}

#[tokio::test]
async fn a_dead_http_2_peer() {
    let gateway = gateway().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let server = tonic_greeter(greeter_options(&gateway)).await;
    is_ended(server, preface, true).await;
    let server = axum_app(pets_options(&gateway), pets_app()).await;
    is_ended(server, preface, true).await;
}

/// axum closes it by itself.
#[tokio::test]
async fn a_connection_without_a_byte_does_not_keep_axum() {
    let gateway = gateway().await;
    let server = axum_app(pets_options(&gateway), pets_app()).await;
    registered(&server.registration).await;
    let _silent = TcpStream::connect(server.address).await.expect("connected");
    let start = Instant::now();
    let report = server.stop().await;
    assert!(start.elapsed() < 4 * SECOND, "{report}");
}
