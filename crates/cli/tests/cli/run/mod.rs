//! `run`: a program with a gateway, from its start to its end.

mod gateways;
mod init;
mod programs;

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use tower_gwag_gateway::EmbeddedGateway;

use crate::program;
use crate::support::{Gateway, PATIENCE, data, finish, free_port, signal, tool};

/// `run` around the program of these tests.
fn command(gateway: &str, port: u16, mode: &str, more: &[&str]) -> Command {
    let mut command = tool(&data("good"));
    let port = port.to_string();
    command.args(["run", "--gateway", gateway, "--openapi", "pets.yaml"]);
    command.args(["--port", &port]);
    if !more.contains(&"--grace") {
        command.arg("--grace=0s");
    }
    command.args(more).arg("--").args(program::line());
    command.env("PROGRAM_PORT", &port).env("PROGRAM_MODE", mode);
    command.stdout(Stdio::null());
    command
}

/// A running one, and what it says.
struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    /// The program in this mode, at a free port.
    fn of(gateway: &Gateway, mode: &str, more: &[&str]) -> Self {
        Self::start(command(&gateway.target, free_port(), mode, more))
    }

    fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
        let said = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&said);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut said = into.lock().await;
                said.push_str(&line);
                said.push('\n');
            }
        });
        Self { child, said }
    }

    async fn says(&self, text: &str) -> String {
        self.says_times(text, 1).await
    }

    async fn says_times(&self, text: &str, times: usize) -> String {
        let wait = async {
            loop {
                let said = self.said.lock().await.clone();
                if said.matches(text).count() >= times {
                    return said;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        match timeout(PATIENCE, wait).await {
            Ok(said) => said,
            Err(_) => panic!("{text:?} is not said: {}", self.said.lock().await),
        }
    }

    async fn pid(&self) -> i32 {
        let said = self.says("(pid ").await;
        let last = said.rsplit("(pid ").next().expect("an id");
        last.split(')')
            .next()
            .and_then(|it| it.parse().ok())
            .expect("an id")
    }

    async fn code(mut self) -> i32 {
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .expect("in time")
            .expect("a status");
        status.code().expect("a code")
    }
}

fn lives(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

async fn registered(embedded: &EmbeddedGateway) {
    let seen = embedded.wait_until(|now| now.service("Pets", "v1").is_some());
    timeout(PATIENCE, seen).await.expect("registered");
}

async fn deregistered(embedded: &EmbeddedGateway) {
    let seen = embedded.wait_until(|now| now.registrations.is_empty());
    timeout(PATIENCE, seen).await.expect("deregistered");
}

async fn get(host: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(host).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn host(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

/// Called through the gateway, until it is routed.
async fn called(gateway: &Gateway) {
    let host = host(&gateway.http);
    let wait = async {
        loop {
            let answer = get(&host, "/api/ingress/pets").await.unwrap_or_default();
            if answer.starts_with("HTTP/1.1 200") && answer.contains("Rex") {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("routed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_registered_and_its_own_code_respected() {
    let gateway = Gateway::any().await;
    let port = free_port();
    let running = Running::start(command(
        &gateway.target,
        port,
        "fails",
        &["--grace", "300ms"],
    ));
    running.says("tower-gwag: Listed").await;
    called(&gateway).await;
    let program = running.pid().await;
    let begun = Instant::now();
    signal(&running.child, "TERM");
    // While the grace lasts the program serves.
    gateway
        .until("deregistered", |all| !all.contains(&"Pets/v1".to_owned()))
        .await;
    let said = running.says("(--grace)").await;
    assert!(said.contains("left as asked: deregistered"), "{said}");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(running.code().await, 3);
    assert!(!lives(program));
}

/// As a container has it: some empty, a slip, what Kubernetes sets for a service called `gwag`, and what only
/// Rust programs use.
#[tokio::test(flavor = "multi_thread")]
async fn variables_are_read_as_the_library_reads_them() {
    let gateway = Gateway::embedded().await;
    let embedded = gateway.embedded.clone().unwrap();
    let port = free_port();
    let mut run = tool(&data("good"));
    run.args(["run", "--openapi", "pets.yaml", "--port", &port.to_string()]);
    run.arg("--").args(program::line());
    run.env("PROGRAM_PORT", port.to_string())
        .stdout(Stdio::null());
    for (name, value) in [
        ("GWAG_GATEWAY", gateway.target.as_str()),
        ("GWAG_GRACE", "0"),
        ("GWAG_INSTANCE", "of the environment"),
        ("GWAG_TTL", ""),
        ("GWAG_ADVERTISE", ""),
        ("GWAG_TTTL", "15s"),
        ("GWAG_QUIET", "1s"),
        ("GWAG_PORT", "tcp://10.0.0.1:50090"),
        ("GWAG_SERVICE_HOST", "10.0.0.1"),
        ("GWAG_PORT_50090_TCP_ADDR", "10.0.0.1"),
    ] {
        run.env(name, value);
    }
    let running = Running::start(run);
    registered(&embedded).await;
    let id = &embedded.registrations()[0].instance_id;
    assert_eq!(id, "of the environment");
    signal(&running.child, "TERM");
    let said = running.says("left as asked").await;
    assert!(
        said.contains("`GWAG_TTTL`, which is not known; the most similar name is `GWAG_TTL`"),
        "{said}"
    );
    assert!(said.contains("GWAG_QUIET is not used"), "{said}");
    assert_eq!(said.matches("GWAG_").count(), 4, "{said}");
    assert_eq!(running.code().await, 0);

    // Without --port the link is no port, and a number is one.
    let without = async |value: &str| {
        let mut run = tool(&data("good"));
        run.args([
            "run",
            "-g",
            &gateway.target,
            "--openapi",
            "pets.yaml",
            "--",
            "true",
        ]);
        run.env("GWAG_PORT", value);
        finish(run).await
    };
    let done = without("tcp://10.0.0.1:50090").await;
    done.ends_with(2).says("--port <PORT>");
    let done = without(&free_port().to_string()).await;
    done.ends_with(125).says("before port");
}

/// Calls as long as half of the grace, while one of two replicas leaves.
#[tokio::test(flavor = "multi_thread")]
async fn no_call_is_lost_when_a_replica_leaves() {
    let gateway = Gateway::any().await;
    let grace = ["--grace", "800ms"];
    let stays = Running::of(&gateway, "", &grace);
    called(&gateway).await;
    let rounds = if gateway.embedded.is_some() { 2 } else { 10 };
    // Calls may go by another node, too.
    let by = std::env::var("GWAG_PEER_HTTP").unwrap_or_else(|_| gateway.http.clone());
    let (mut good, mut lost) = (0, 0);
    for _ in 0..rounds {
        let leaves = Running::of(&gateway, "", &grace);
        leaves.says("tower-gwag: Listed").await;
        let is_over = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let (host, is_over) = (host(&by), Arc::clone(&is_over));
                tokio::spawn(async move {
                    let (mut good, mut lost) = (0, Vec::new());
                    while is_over.load(Ordering::Relaxed) == 0 {
                        match get(&host, "/api/ingress/slow").await {
                            Ok(answer) if answer.starts_with("HTTP/1.1 200") => good += 1,
                            other => lost.push(format!("{other:?}")),
                        }
                    }
                    (good, lost)
                })
            })
            .collect();
        sleep(Duration::from_millis(500)).await;
        signal(&leaves.child, "TERM");
        assert_eq!(leaves.code().await, 0);
        is_over.store(1, Ordering::Relaxed);
        for it in callers {
            let (more, failed) = it.await.unwrap();
            good += more;
            lost += failed.len();
            if let Some(first) = failed.first() {
                println!("lost: {first}");
            }
        }
    }
    println!("{rounds} rounds: {good} calls answered, {lost} lost");
    assert!(good > rounds * 16, "{good}");
    assert_eq!(lost, 0);
    signal(&stays.child, "TERM");
    assert_eq!(stays.code().await, 0);
}
