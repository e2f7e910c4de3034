//! Gateways that are away, or none.

use tokio::time::timeout;

use super::{Running, command, get, registered};
use crate::support::{Gateway, PATIENCE, free_port, signal};

/// It runs the program all the same, says so, and leaves in time.
#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_are_none_keep_no_program_from_running() {
    let page: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi";
    tokio::join!(
        runs_beside(page, "does not speak gRPC"),
        runs_beside(b"\x15\x03\x01\x00\x02\x02\x28", "TLS"),
        runs_beside(b"", "sends nothing"),
    );
    // Switched off.
    let port = free_port();
    let mut off = command("127.0.0.1:1", port, "", &["--grace", "9s"]);
    off.env("GWAG_ENABLED", "0");
    let running = Running::start(off);
    running.says("Disabled").await;
    signal(&running.child, "TERM");
    let said = running.says("registration is disabled").await;
    assert!(!said.contains("9s"), "{said}");
    assert_eq!(running.code().await, 0);
}

/// A program runs and ends, whoever answers so at the gateway's address.
async fn runs_beside(answer: &'static [u8], text: &str) {
    let target = crate::bad_input::nonsense(answer).await;
    let port = free_port();
    let running = Running::start(command(&target, port, "", &["--leave-timeout", "2s"]));
    let said = running.says(text).await;
    assert!(said.contains("tower-gwag: Unreachable"), "{said}");
    assert!(
        !said.contains("Tls::") && !said.contains("Options::"),
        "{said}"
    );
    let address = format!("127.0.0.1:{port}");
    let answer = timeout(PATIENCE, get(&address, "/pets"));
    assert!(answer.await.expect("an answer").unwrap().contains("Rex"));
    signal(&running.child, "TERM");
    assert_eq!(running.code().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_away_keeps_no_program_from_running() {
    let gateway = Gateway::embedded().await;
    let embedded = gateway.embedded.clone().unwrap();
    timeout(PATIENCE, embedded.kill()).await.expect("killed");
    let port = free_port();
    let running = Running::start(command(&gateway.target, port, "", &[]));
    running.says("Unreachable").await;
    let address = format!("127.0.0.1:{port}");
    let answer = timeout(PATIENCE, get(&address, "/pets"))
        .await
        .expect("an answer")
        .unwrap();
    assert!(answer.contains("Rex"), "{answer}");
    timeout(PATIENCE, embedded.revive())
        .await
        .expect("revived")
        .unwrap();
    registered(&embedded).await;
    timeout(PATIENCE, embedded.kill()).await.expect("killed");
    signal(&running.child, "TERM");
    // The gateway's state never stops it, nor holds it up without end.
    assert_eq!(running.code().await, 0);
}
