//! Programs that end, hang, fork, or close their port.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use tower_gwag_gateway::Rpc;

use super::{Running, command, deregistered, lives, registered};
use crate::support::{Done, Gateway, PATIENCE, data, finish, free_port, send, signal, tool};

/// The later of the program's death and the outstanding beat's answer, to the entry's end.
#[tokio::test(flavor = "multi_thread")]
async fn what_dies_is_deregistered_at_once() {
    let gateway = Gateway::embedded().await;
    let embedded = gateway.embedded.clone().unwrap();
    for restart in [false, true] {
        let more: &[&str] = if restart { &["--restart"] } else { &[] };
        let running = Running::of(&gateway, "", more);
        registered(&embedded).await;
        let program = running.pid().await;
        let begun = Instant::now();
        send(program, "KILL");
        deregistered(&embedded).await;
        let took = begun.elapsed();
        println!("killed: gone after {took:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert_eq!(embedded.rpc_counts().mutating_cancelled, 0);
        if restart {
            running.says_times("tower-gwag: started", 2).await;
            registered(&embedded).await;
            signal(&running.child, "TERM");
            assert_eq!(running.code().await, 0);
        } else {
            assert_eq!(running.code().await, 137);
        }
        deregistered(&embedded).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beat_that_is_out_is_waited_for() {
    let gateway = Gateway::embedded().await;
    let embedded = gateway.embedded.clone().unwrap();
    let more = ["--heartbeat-interval", "50ms"];
    let running = Running::of(&gateway, "", &more);
    registered(&embedded).await;
    embedded.delay(Rpc::Heartbeat, Duration::from_millis(700));
    let out = embedded.wait_until(|now| now.rpc_counts.of(Rpc::Heartbeat).in_flight > 0);
    timeout(PATIENCE, out).await.expect("a beat");
    send(running.pid().await, "KILL");
    deregistered(&embedded).await;
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
        .says("already accepts connections on port");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ignores_sigterm_is_killed() {
    let gateway = Gateway::embedded().await;
    let embedded = gateway.embedded.clone().unwrap();
    let running = Running::of(&gateway, "ignores", &["--stop-timeout", "300ms"]);
    registered(&embedded).await;
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
    let running = Running::of(&gateway, "", &["--port-check", "50ms"]);
    registered(&embedded).await;
    let program = running.pid().await;
    // What is not for the supervisor goes to the program, which closes its port then.
    signal(&running.child, "HUP");
    deregistered(&embedded).await;
    running.says("no longer accepts connections").await;
    assert!(lives(program));
    send(program, "HUP");
    registered(&embedded).await;
    signal(&running.child, "TERM");
    assert_eq!(running.code().await, 0);
    assert!(embedded.registrations().is_empty());
}
