//! `run`.

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
use tower_gwag_gateway::Rpc;

use crate::program;
use crate::support::{Done, Gateway, PATIENCE, data, finish, send, signal, tool};

pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

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

/// The later of the program's death and the outstanding beat's answer, to the entry's end.
#[tokio::test(flavor = "multi_thread")]
async fn what_dies_is_deregistered_at_once() {
    let gateway = Gateway::embedded().await;
    let embedded = gateway.embedded.clone().unwrap();
    for restart in [false, true] {
        let more: &[&str] = if restart { &["--restart"] } else { &[] };
        let running = Running::start(command(&gateway.target, free_port(), "", more));
        embedded
            .wait_until(|now| now.service("Pets", "v1").is_some())
            .await;
        let program = running.pid().await;
        let begun = Instant::now();
        send(program, "KILL");
        let gone = embedded.wait_until(|now| now.registrations.is_empty());
        timeout(PATIENCE, gone).await.expect("gone");
        let took = begun.elapsed();
        println!("killed: gone after {took:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert_eq!(embedded.rpc_counts().mutating_cancelled, 0);
        if restart {
            running.says_times("tower-gwag: started", 2).await;
            embedded
                .wait_until(|now| now.service("Pets", "v1").is_some())
                .await;
            signal(&running.child, "TERM");
            assert_eq!(running.code().await, 0);
        } else {
            assert_eq!(running.code().await, 137);
        }
        embedded
            .wait_until(|now| now.registrations.is_empty())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beat_that_is_out_is_waited_for() {
    let gateway = Gateway::embedded().await;
    let embedded = gateway.embedded.clone().unwrap();
    let more = ["--heartbeat-interval", "50ms"];
    let running = Running::start(command(&gateway.target, free_port(), "", &more));
    embedded
        .wait_until(|now| now.service("Pets", "v1").is_some())
        .await;
    embedded.delay(Rpc::Heartbeat, Duration::from_millis(700));
    let out = embedded.wait_until(|now| now.rpc_counts.of(Rpc::Heartbeat).in_flight > 0);
    timeout(PATIENCE, out).await.expect("a beat");
    send(running.pid().await, "KILL");
    embedded
        .wait_until(|now| now.registrations.is_empty())
        .await;
    let counts = embedded.rpc_counts();
    assert_eq!(counts.mutating_cancelled, 0);
    let most = counts.most_mutating_by_registration.values().max().copied();
    assert_eq!(most, Some(1), "one call at a time");
    assert_eq!(running.code().await, 137);
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_do_not_behave() {
    let gateway = Gateway::embedded().await;
    let embedded = gateway.embedded.clone().unwrap();
    let target = gateway.target.as_str();
    let ends = async |mode: &str, more: &[&str]| -> Done {
        finish(command(target, free_port(), mode, more)).await
    };
    // It does not exist, or cannot be executed.
    let program = async |name: &str| {
        let mut tool = tool(&data("good"));
        let port = free_port().to_string();
        tool.args([
            "run",
            "-g",
            target,
            "--openapi",
            "pets.yaml",
            "--port",
            &port,
            "--",
            name,
        ]);
        finish(tool).await
    };
    program("no-such-program")
        .await
        .ends_with(127)
        .says("does not exist");
    program("./pets.yaml").await.ends_with(126).says("chmod +x");
    program("/").await.ends_with(126).says("cannot be executed");
    // It ends at once, or forks.
    ends("exits", &[])
        .await
        .ends_with(7)
        .says("ended with 7 before port");
    let done = ends("forks", &[]).await;
    assert_eq!(done.code, 125, "{done:?}");
    assert!(done.err.contains("foreground"), "{done:?}");
    // Its port never accepts.
    let mut late = tool(&data("good"));
    let port = free_port().to_string();
    late.args([
        "run",
        "-g",
        target,
        "--openapi",
        "pets.yaml",
        "--port",
        &port,
        "--start-timeout",
        "300ms",
        "--",
        "sleep",
        "60",
    ]);
    finish(late)
        .await
        .ends_with(125)
        .says("accepts no connections");
    // Somebody else listens there.
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    finish(command(target, port, "", &[]))
        .await
        .ends_with(125)
        .says("accepts at port");
    // There is nothing to register, or nothing that can be.
    let mut nothing = tool(&data("good"));
    nothing.args(["run", "-g", target, "--port", "1", "--", "true"]);
    finish(nothing)
        .await
        .ends_with(2)
        .says("nothing to register");
    let mut bad = tool(&data("bad"));
    bad.args([
        "run",
        "-g",
        target,
        "--proto",
        "shop.proto",
        "--port",
        "1",
        "--",
        "true",
    ]);
    finish(bad).await.ends_with(125).says("proto-two-services");
    ends("", &["--ttl", "1500ms"])
        .await
        .ends_with(125)
        .says("TTL");
    ends("", &["--grace", "9s", "--leave-timeout", "5s"])
        .await
        .ends_with(2)
        .says("does not fit");
    // What forks may have accepted before its end was seen.
    let received = embedded.rpc_counts().of(Rpc::Register).received;
    assert!(received <= 1, "{received}");
    assert!(embedded.registrations().is_empty());
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
    embedded
        .wait_until(|now| now.service("Pets", "v1").is_some())
        .await;
    let id = &embedded.registrations()[0].instance_id;
    assert_eq!(id, "of the environment");
    signal(&running.child, "TERM");
    let said = running.says("left as asked").await;
    assert!(
        said.contains("`GWAG_TTTL`, which is not known; the nearest is `GWAG_TTL`"),
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

/// It runs the program all the same, says so, and leaves in time.
#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_are_none_keep_no_program_from_running() {
    let page = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi";
    for (answer, text) in [
        (&page[..], "does not speak gRPC"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "TLS"),
        (b"", "is slow to answer"),
    ] {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ignores_sigterm_is_killed() {
    let gateway = Gateway::embedded().await;
    let embedded = gateway.embedded.clone().unwrap();
    let running = Running::start(command(
        &gateway.target,
        free_port(),
        "ignores",
        &["--stop-timeout", "300ms"],
    ));
    embedded
        .wait_until(|now| now.service("Pets", "v1").is_some())
        .await;
    signal(&running.child, "TERM");
    let said = running.says("--stop-timeout").await;
    assert!(said.contains("SIGKILL"), "{said}");
    assert_eq!(running.code().await, 137);
    assert!(embedded.registrations().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_closes_is_deregistered_until_it_is_back() {
    let gateway = Gateway::embedded().await;
    let embedded = gateway.embedded.clone().unwrap();
    let running = Running::start(command(
        &gateway.target,
        free_port(),
        "",
        &["--port-check", "50ms"],
    ));
    embedded
        .wait_until(|now| now.service("Pets", "v1").is_some())
        .await;
    let program = running.pid().await;
    // What is not for the supervisor goes to the program, which closes its port then.
    signal(&running.child, "HUP");
    timeout(
        PATIENCE,
        embedded.wait_until(|now| now.registrations.is_empty()),
    )
    .await
    .expect("gone");
    running.says("accepts no connections any more").await;
    assert!(lives(program));
    send(program, "HUP");
    timeout(
        PATIENCE,
        embedded.wait_until(|now| now.service("Pets", "v1").is_some()),
    )
    .await
    .expect("back");
    signal(&running.child, "TERM");
    assert_eq!(running.code().await, 0);
    assert!(embedded.registrations().is_empty());
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
    timeout(
        PATIENCE,
        embedded.wait_until(|now| now.service("Pets", "v1").is_some()),
    )
    .await
    .expect("registered");
    timeout(PATIENCE, embedded.kill()).await.expect("killed");
    signal(&running.child, "TERM");
    // The gateway's state never stops it, nor holds it up without end.
    assert_eq!(running.code().await, 0);
}

/// A gigabyte goes its own way, and every orphan is reaped.
#[tokio::test(flavor = "multi_thread")]
async fn output_passes_by_and_orphans_are_reaped() {
    let gateway = Gateway::embedded().await;
    let embedded = gateway.embedded.clone().unwrap();
    let running = Running::start(command(&gateway.target, free_port(), "gigabyte", &[]));
    timeout(
        PATIENCE,
        embedded.wait_until(|now| now.service("Pets", "v1").is_some()),
    )
    .await
    .expect("registered");
    let id = running.child.id().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let memory = status.lines().find_map(|it| {
        it.strip_prefix("VmHWM:")?
            .trim()
            .strip_suffix(" kB")?
            .parse::<u64>()
            .ok()
    });
    assert!(memory.is_some_and(|it| it < 100 * 1024), "{memory:?} kB");
    // A daemon of a daemon, left to whoever is the nearest init.
    let port = free_port();
    let mut shell = tool(&data("good"));
    let line = program::line()
        .iter()
        .map(|it| format!("'{it}'"))
        .collect::<Vec<_>>()
        .join(" ");
    let script = format!("(sleep 0.05 & sleep 0.1 &) ; exec {line}");
    shell.args([
        "run",
        "-g",
        &gateway.target,
        "--openapi",
        "pets.yaml",
        "--port",
        &port.to_string(),
        "--grace",
        "0s",
        "--namespace",
        "other",
    ]);
    shell
        .args(["--", "sh", "-c", &script])
        .env("PROGRAM_PORT", port.to_string())
        .stdout(Stdio::null());
    let other = Running::start(shell);
    timeout(
        PATIENCE,
        embedded.wait_until(|now| now.service("other", "v1").is_some()),
    )
    .await
    .expect("registered");
    let supervisor = other.child.id().unwrap();
    let zombies = || {
        let children =
            std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"))
                .unwrap_or_default();
        let is_zombie = |id: &&str| {
            std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|it| it.contains(") Z "))
        };
        children.split_whitespace().filter(is_zombie).count()
            + usize::from(children.split_whitespace().count() > 1)
    };
    let reaped = async {
        while zombies() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, reaped).await.expect("reaped");
    for it in [running, other] {
        signal(&it.child, "TERM");
        assert_eq!(it.code().await, 0);
    }
}

/// As the first process of a container: the kernel ignores signals that it does not handle, and every
/// orphan becomes its child.
#[tokio::test(flavor = "multi_thread")]
async fn as_the_first_process_it_reaps_and_forwards() {
    let with_namespaces: [&[&str]; 2] = [
        &["--pid", "--fork", "--kill-child", "--mount-proc"],
        // For those who are not root.
        &[
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ],
    ];
    let mut unshare = None;
    for options in with_namespaces {
        let mut tried = Command::new("unshare");
        tried.args(options).arg("true").stderr(Stdio::null());
        if tried.status().await.is_ok_and(|it| it.success()) {
            unshare = Some(options);
            break;
        }
    }
    let Some(options) = unshare else {
        println!("skipped: `unshare --pid` is not permitted here");
        return;
    };
    let gateway = Gateway::embedded().await;
    let embedded = gateway.embedded.clone().unwrap();
    let is_registered = embedded.wait_until(|now| now.service("Pets", "v1").is_some());
    let line: Vec<String> = program::line().iter().map(|it| format!("'{it}'")).collect();
    // Daemons of a daemon, before the program itself.
    let script = format!("(sleep 0.05 & sleep 0.1 &) ; exec {}", line.join(" "));
    let port = free_port();
    let mut inner = tool(&data("good"));
    inner.args([
        "run",
        "--gateway",
        &gateway.target,
        "--openapi",
        "pets.yaml",
    ]);
    inner.args([
        "--port",
        &port.to_string(),
        "--grace=0s",
        "--port-check=50ms",
    ]);
    inner.args(["--", "sh", "-c", &script]);
    let mut outer = Command::new("unshare");
    outer.args(options).arg(inner.as_std().get_program());
    outer
        .args(inner.as_std().get_args())
        .current_dir(data("good"));
    outer.env("PROGRAM_PORT", port.to_string());
    outer.env("PROGRAM_MODE", "fails").stdout(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GWAG_")) {
        outer.env_remove(name);
    }
    outer.stdin(Stdio::null()).kill_on_drop(true);
    let running = Running::start(outer);
    timeout(PATIENCE, is_registered).await.expect("registered");
    let children = |id: u32| -> Vec<u32> {
        let list = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let list = list.unwrap_or_default();
        list.split_whitespace()
            .filter_map(|it| it.parse().ok())
            .collect()
    };
    let first = children(running.child.id().expect("it runs"))[0];
    let status = std::fs::read_to_string(format!("/proc/{first}/status")).expect("a status");
    let ids = status.lines().find(|it| it.starts_with("NSpid:"));
    assert_eq!(
        ids.and_then(|it| it.split_whitespace().last()),
        Some("1"),
        "{status}"
    );
    let reaped = async {
        // The program, and neither orphans nor zombies.
        while children(first).len() != 1 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, reaped).await.expect("reaped");
    let first = i32::try_from(first).expect("an id");
    // The program closes its port, and opens it again.
    for is_there in [false, true] {
        send(first, "HUP");
        let seen = embedded.wait_until(|now| now.service("Pets", "v1").is_some() == is_there);
        timeout(PATIENCE, seen).await.expect("forwarded");
    }
    send(first, "TERM");
    assert_eq!(running.code().await, 3, "the program's own code");
    let gone = embedded.wait_until(|now| now.registrations.is_empty());
    timeout(PATIENCE, gone).await.expect("deregistered");
}

/// Calls as long as half of the grace, while one of two replicas leaves.
#[tokio::test(flavor = "multi_thread")]
async fn no_call_is_lost_when_a_replica_leaves() {
    let gateway = Gateway::any().await;
    let grace = ["--grace", "800ms"];
    let stays = Running::start(command(&gateway.target, free_port(), "", &grace));
    called(&gateway).await;
    let rounds = if gateway.embedded.is_some() { 2 } else { 10 };
    // Calls may go by another node, too.
    let by = std::env::var("GWAG_PEER_HTTP").unwrap_or_else(|_| gateway.http.clone());
    let (mut good, mut lost) = (0, 0);
    for _ in 0..rounds {
        let leaves = Running::start(command(&gateway.target, free_port(), "", &grace));
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
