//! A resolver that blocks: the process ends all the same.

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tower_gwag::{Options, State};

use crate::support::{greet, greeter_service, tonic_greeter, until_state};

const RESOLV_CONF: &str = "/etc/resolv.conf";
const CHILD: &str = "RESOLVER_CHILD";
const REPORTED: &str = "the report is here";
/// From the report to the end of the process.
const LIMIT: Duration = Duration::from_millis(200);
/// No busy machine takes as long.
const BLOCKED: Duration = Duration::from_secs(20);

/// A process with a file of its own in the place of another one, and with its own network: so nobody
/// else has them.
fn in_namespaces(file: &Path, place: &str) -> Command {
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$1\" \"$2\" && ip link set lo up && exec \"$3\" $4";
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
        .arg(file)
        .arg(place);
    command
}

/// A directory with a file that a process has in the place of another one; `None` where processes
/// cannot.
fn file_of_its_own(name: &str, text: &str, place: &str) -> Option<PathBuf> {
    let directory = std::env::temp_dir().join(format!("tower-gwag-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join(name);
    std::fs::write(&file, text).expect("written");
    let may = in_namespaces(&file, place).args(["true", ""]).output();
    if may.as_ref().is_ok_and(|may| may.status.success()) {
        return Some(file);
    }
    println!("skipped: no namespaces, for which privileges or tools are missing: {may:?}");
    None
}

#[test]
fn a_process_ends_though_getaddrinfo_is_blocked() {
    let text = "nameserver 127.0.0.1\noptions timeout:30 attempts:3\n";
    let Some(file) = file_of_its_own("resolv.conf", text, RESOLV_CONF) else {
        return;
    };
    // A blocked end takes a minute each time; a busy machine now and then longer than the limit.
    let mut took = end_of_a_child(&file);
    for _ in 1..10 {
        if took < LIMIT || took > BLOCKED {
            break;
        }
        took = end_of_a_child(&file);
    }
    std::fs::remove_dir_all(file.parent().expect("a directory")).expect("removed");
    assert!(took < LIMIT, "{took:?}");
}

/// How long a process takes to end after its report.
fn end_of_a_child(file: &Path) -> Duration {
    let mut child = in_namespaces(file, RESOLV_CONF)
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

/// Of ten thousand addresses the first is dialled, and memory stays as for one.
#[test]
fn a_name_may_have_any_number_of_addresses() {
    let mut hosts = String::from("127.0.0.1 localhost\n");
    for number in 1..=10_000_u16 {
        let [high, low] = number.to_be_bytes();
        hosts.push_str(&format!("127.1.{high}.{low} gateway.example\n"));
    }
    let Some(file) = file_of_its_own("hosts", &hosts, "/etc/hosts") else {
        return;
    };
    let output = in_namespaces(&file, "/etc/hosts")
        .arg(std::env::current_exe().expect("a path"))
        .arg("resolver::a_server_whose_gateway_has_many_addresses --exact --nocapture")
        .env(CHILD, "1")
        .output()
        .expect("spawned");
    std::fs::remove_dir_all(file.parent().expect("a directory")).expect("removed");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

#[test]
fn a_server_whose_gateway_has_many_addresses() {
    if std::env::var_os(CHILD).is_none() {
        println!("skipped: it is for a process that another test starts");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let used = allocation_counter::measure(|| {
        runtime.block_on(async {
            let gateway = ("gateway.example", 50_090);
            let found = tokio::net::lookup_host(gateway).await.expect("found");
            let found: Vec<_> = found.collect();
            println!("{} addresses, first {}", found.len(), found[0]);
            assert!(found.len() > 1_000, "{}", found.len());
            let listener = tokio::net::TcpListener::bind(found[0]).await;
            drop(found);
            // Accepts, and says nothing.
            let listener = listener.expect("an own network");
            let options = Options::new("gateway.example:50090").service(greeter_service());
            let server = tonic_greeter(options).await;
            let (connection, _) = listener.accept().await.expect("a connection");
            until_state(&server.registration, State::Unreachable).await;
            drop((connection, listener));
            assert_eq!(greet(server.address).await, "Hello, Ada!");
            println!("{}", server.stop().await);
        });
    });
    println!("at most {} KiB", used.bytes_max / 1024);
    assert!(used.bytes_max < 8 * 1024 * 1024, "{}", used.bytes_max);
}
