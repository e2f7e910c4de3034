//! A resolver that blocks: the process ends all the same.

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tower_gwag::{Options, State};

use crate::support::{greet, greeter_service, tonic_greeter, until_state};

const CHILD: &str = "RESOLVER_CHILD";
const REPORTED: &str = "the report is here";
/// From the report to the end of the process.
const LIMIT: Duration = Duration::from_millis(200);

/// A process with a name server of its own, which is silent; in namespaces of its own, so that
/// nobody else has it.
fn in_namespaces(resolv_conf: &Path) -> Command {
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$1\" /etc/resolv.conf && ip link set lo up && exec \"$2\" $3";
    command
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "--net",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .arg(resolv_conf);
    command
}

#[test]
fn a_process_ends_though_getaddrinfo_is_blocked() {
    let directory = std::env::temp_dir().join(format!("tower-gwag-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let resolv_conf = directory.join("resolv.conf");
    let text = "nameserver 127.0.0.1\noptions timeout:30 attempts:3\n";
    std::fs::write(&resolv_conf, text).expect("written");
    let may = in_namespaces(&resolv_conf).args(["true", ""]).output();
    if !may.as_ref().is_ok_and(|may| may.status.success()) {
        println!("skipped: no namespaces, for which privileges or tools are missing: {may:?}");
        return;
    }
    // A blocked end takes a minute each time; the machine may be busy once.
    let took = (0..3).map(|_| end_of_a_child(&resolv_conf)).min();
    std::fs::remove_dir_all(&directory).expect("removed");
    assert!(took.is_some_and(|took| took < LIMIT), "{took:?}");
}

/// How long a process takes to end after its report.
fn end_of_a_child(resolv_conf: &Path) -> Duration {
    let mut child = in_namespaces(resolv_conf)
        .arg(std::env::current_exe().expect("a path"))
        .arg("resolver::a_server_whose_name_server_is_silent --exact --nocapture")
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawned");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut reported = None;
    for line in lines.map_while(Result::ok) {
        println!("  {line}");
        if line.contains(REPORTED) {
            reported = Some(Instant::now());
        }
    }
    assert!(child.wait().expect("ended").success());
    let took = reported.expect("a report").elapsed();
    println!("ended {took:.1?} after the report");
    took
}

/// As a `main` is, on a runtime of its own, which waits at its end for what blocks.
#[test]
fn a_server_whose_name_server_is_silent() {
    if std::env::var_os(CHILD).is_none() {
        println!("skipped: it is for a process that another test starts");
        return;
    }
    let name_server = UdpSocket::bind("127.0.0.1:53").expect("port 53 of an own network");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let options = Options::new("gateway.example:50090").service(greeter_service());
        let server = tonic_greeter(options).await;
        until_state(&server.registration, State::Unreachable).await;
        assert_eq!(greet(server.address).await, "Hello, Ada!");
        // Somebody asked, and is not answered.
        name_server.recv(&mut [0; 512]).expect("a question");
        let report = server.stop().await;
        println!("{report}");
    });
    println!("{REPORTED}");
    std::io::stdout().flush().expect("written");
    drop(runtime);
}
