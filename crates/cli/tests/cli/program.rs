//! The program that `run` supervises: this test binary itself, called as one test.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// As it is called: the binary, and what it does by these variables.
pub(crate) fn line() -> Vec<String> {
    let me = std::env::current_exe().expect("a path");
    let me = me.to_str().expect("text").to_owned();
    [&me, "--exact", "program::serve", "--ignored", "--nocapture"]
        .map(str::to_owned)
        .into()
}

/// Not a test: answers JSON at `PROGRAM_PORT` until SIGTERM, in the way that `PROGRAM_MODE` says.
#[tokio::test]
#[ignore = "a program for other tests"]
async fn serve() {
    let Ok(port) = std::env::var("PROGRAM_PORT") else {
        return;
    };
    let mode = std::env::var("PROGRAM_MODE").unwrap_or_default();
    let mut terminate = signal(SignalKind::terminate()).expect("signals");
    match mode.as_str() {
        "exits" => std::process::exit(7),
        "forks" => {
            let line = line();
            let child = std::process::Command::new(&line[0])
                .args(&line[1..])
                .env("PROGRAM_MODE", "")
                .stdin(Stdio::null())
                .spawn();
            drop(child.expect("a child"));
            std::process::exit(0);
        }
        "gigabyte" => {
            let line = [b'x'; 64 * 1024];
            let mut out = std::io::stdout().lock();
            for _ in 0..16 * 1024 {
                std::io::Write::write_all(&mut out, &line).expect("written");
            }
        }
        _ => {}
    }
    let mut listener = Some(
        TcpListener::bind(("127.0.0.1", port.parse().expect("a port")))
            .await
            .expect("bound"),
    );
    let mut calls = tokio::task::JoinSet::new();
    let mut hangup = signal(SignalKind::hangup()).expect("signals");
    loop {
        tokio::select! {
            accepted = async { listener.as_ref().expect("a listener").accept().await }, if listener.is_some() => {
                let (stream, _) = accepted.expect("accepted");
                calls.spawn(answer(stream));
            }
            _ = terminate.recv() => {
                if mode != "ignores" {
                    break;
                }
            }
            // Closes the port, or opens it again.
            _ = hangup.recv() => match listener.take() {
                Some(open) => drop(open),
                None => listener = Some(TcpListener::bind(("127.0.0.1", port.parse().expect("a port"))).await.expect("bound")),
            },
        }
    }
    std::process::exit(if mode == "fails" { 3 } else { 0 });
}

async fn answer(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut path = String::new();
        let mut line = String::new();
        let mut is_last = false;
        while stream.read_line(&mut line).await.unwrap_or(0) > 0 && line.trim() != "" {
            if path.is_empty() {
                path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            }
            is_last |= line.to_ascii_lowercase().starts_with("connection: close");
            line.clear();
        }
        if path.is_empty() {
            return;
        }
        if path.starts_with("/slow") {
            sleep(Duration::from_millis(400)).await;
        }
        let body = format!("{{\"name\":\"Rex\",\"pid\":{}}}", std::process::id());
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.get_mut().write_all(answer.as_bytes()).await.is_err() || is_last {
            return;
        }
    }
}
