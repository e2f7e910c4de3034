//! Real processes and real signals: the greeter and the petstore examples.

#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(20);

struct Example {
    process: Child,
    lines: Receiver<String>,
}

impl Example {
    fn start(name: &str) -> Self {
        // Examples are built beside the tests.
        let mut path: PathBuf = std::env::current_exe().expect("this test");
        path.pop();
        path.pop();
        path.extend(["examples", name]);
        let mut process = Command::new(&path)
            .env_remove("GWAG_GATEWAY")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; `cargo test` builds it", path.display()));
        let output = process.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // The test may have ended.
                let _ = sender.send(line);
            }
        });
        Self { process, lines }
    }

    fn line_with(&self, part: &str) -> String {
        let start = Instant::now();
        while let Ok(line) = self
            .lines
            .recv_timeout(DEADLINE.saturating_sub(start.elapsed()))
        {
            if line.contains(part) {
                return line;
            }
        }
        panic!("no line with `{part}`")
    }

    fn signal(&self, signal: &str) {
        let killed = Command::new("kill")
            .args([signal, &self.process.id().to_string()])
            .status();
        assert!(killed.expect("kill").success());
    }

    /// Waits for the end; how long that took.
    fn ended(&mut self) -> Duration {
        let start = Instant::now();
        let status = self.process.wait().expect("waited");
        assert!(status.success(), "{status}");
        start.elapsed()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Ended already, if all went well.
        let _ = self.process.kill();
    }
}

#[test]
fn sigint_and_sigterm_end_a_server_in_under_a_second_with_a_report() {
    for (example, signal) in [
        ("greeter", "-INT"),
        ("greeter", "-TERM"),
        ("petstore", "-INT"),
        ("petstore", "-TERM"),
    ] {
        let mut example = Example::start(example);
        example.line_with("RESULT called");
        example.signal(signal);
        let took = example.ended();
        assert!(took < Duration::from_secs(1), "{took:?}");
        example.line_with("deregistered");
        assert!(example.line_with("RESULT left").ends_with("exit=0"));
    }
}

#[test]
fn a_second_signal_ends_the_drain() {
    let mut example = Example::start("greeter");
    let address = example
        .line_with("listening")
        .split_whitespace()
        .last()
        .map(str::to_owned);
    let address = address.expect("an address");
    example.line_with("RESULT called");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let call = runtime.spawn(call_for_an_hour(address));
    let started = example.line_with("greeting");
    assert!(started.contains("hour"), "{started}");
    example.signal("-TERM");
    example.line_with("Leaving");
    example.signal("-TERM");
    let took = example.ended();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(example.line_with("cut").contains("1 cut"));
    assert!(runtime.block_on(call).expect("no panic").is_err());
}

#[allow(clippy::all, clippy::pedantic, dead_code, unreachable_pub)]
mod greeter {
    include!("../../examples/greeter/generated.rs");
}

async fn call_for_an_hour(address: String) -> Result<(), tonic::Status> {
    let client = greeter::greeter_client::GreeterClient::connect(format!("http://{address}")).await;
    let request = greeter::HelloRequest {
        name: "hour".into(),
        delay_ms: 3_600_000,
    };
    client.expect("connected").hello(request).await.map(drop)
}
