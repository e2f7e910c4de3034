//! What an init does: it reaps orphans and forwards signals.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::{Running, deregistered, registered};
use crate::program;
use crate::support::{Gateway, PATIENCE, data, free_port, send, signal, tool};

/// A gigabyte goes its own way, and every orphan is reaped.
#[tokio::test(flavor = "multi_thread")]
async fn output_passes_by_and_orphans_are_reaped() {
    let gateway = Gateway::embedded().await;
    let embedded = gateway.embedded.clone().unwrap();
    let running = Running::of(&gateway, "gigabyte", &[]);
    registered(&embedded).await;
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
    deregistered(&embedded).await;
}
