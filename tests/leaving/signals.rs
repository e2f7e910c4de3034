//! Real processes and real signals: the greeter and the petstore examples, and servers of their own.

#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(20);

/// The variable that makes a process the child of another test.
const CHILD: &str = "SIGNALS_CHILD";

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
        Self::run(Command::new(&path).env_remove("GWAG_GATEWAY"))
    }

    /// A process of one of the tests here.
    fn of_a_test(test: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command
            .args([test, "--exact", "--nocapture"])
            .env(CHILD, "1");
        Self::run(&mut command)
    }

    fn run(command: &mut Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; `cargo test` builds it"));
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

    /// Signals until it has ended: the first may come before anybody listens.
    fn signal_to_the_end(&mut self, signal: &str) -> Duration {
        let start = Instant::now();
        while self.process.try_wait().expect("waited").is_none() {
            assert!(start.elapsed() < DEADLINE, "it does not end");
            self.signal(signal);
            std::thread::sleep(Duration::from_millis(100));
        }
        self.ended();
        start.elapsed()
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
        let status = crate::support::end_of(&mut self.process);
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

/// The layer has seen nothing, so that the server stops at once, and waits for its connections.
#[test]
fn a_second_signal_ends_the_wait_for_connections() {
    ends_at_the_second_signal("signals::a_server_with_a_call_that_it_does_not_count");
}

#[test]
fn a_second_signal_ends_the_stop_after_the_registration_has_ended() {
    ends_at_the_second_signal("signals::a_server_that_has_left_before_it_stops");
}

fn ends_at_the_second_signal(test: &str) {
    let mut child = Example::of_a_test(test);
    child.line_with("CHILD serves");
    child.signal("-TERM");
    child.line_with("CHILD stops");
    let took = child.signal_to_the_end("-TERM");
    assert!(took < DEADLINE / 2, "{took:?}");
    let report = child.line_with("CHILD left");
    println!("{took:?}: {report}");
}

#[test]
fn a_server_with_a_call_that_it_does_not_count() {
    if std::env::var_os(CHILD).is_some() {
        be_a_server(false);
    }
}

#[test]
fn a_server_that_has_left_before_it_stops() {
    if std::env::var_os(CHILD).is_some() {
        be_a_server(true);
    }
}

/// Has a call in flight for an hour.
#[tokio::main]
async fn be_a_server(leaves_before: bool) {
    use axum::routing::get;

    let gateway = crate::support::gateway().await;
    let hour = Duration::from_secs(3_600);
    let options = crate::support::pets_options(&gateway)
        .drain_timeout(hour)
        .leave_timeout(2 * hour);
    let layer = tower_gwag::GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let (listener, address) = crate::support::servers::bind("127.0.0.1:0").await;
    let listener = registration.listener(listener).expect("wrapped");
    let begun = std::sync::Arc::new(tokio::sync::Notify::new());
    let begins = std::sync::Arc::clone(&begun);
    let late = get(move || async move {
        begins.notify_one();
        tokio::time::sleep(hour).await;
    });
    // The layer is not around it.
    let app = crate::support::pets_app().layer(layer).route("/late", late);
    let stops = registration.shutdown(async {
        tower_gwag::stop_signal().await;
        println!("CHILD signalled");
    });
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        stops.await;
        println!("CHILD stops");
    });
    let served = tokio::spawn(async move { server.await });
    crate::support::registered(&registration).await;
    let call = tokio::spawn(async move {
        let mut caller = tokio::net::TcpStream::connect(address).await?;
        tokio::io::AsyncWriteExt::write_all(
            &mut caller,
            b"GET /late HTTP/1.1\r\nhost: pets\r\n\r\n",
        )
        .await?;
        tokio::io::AsyncReadExt::read_to_end(&mut caller, &mut Vec::new()).await
    });
    crate::support::within("the call arrives", begun.notified()).await;
    if leaves_before {
        registration.leave().await;
    }
    println!("CHILD serves");
    served.await.expect("no panic").expect("served");
    println!("CHILD left: {}", registration.finish().await);
    // It was cut.
    assert_eq!(call.await.expect("no panic").unwrap_or(0), 0);
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
