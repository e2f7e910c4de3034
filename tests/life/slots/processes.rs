//! `unstable` builds that overlap, each a process of its own that is stopped by SIGTERM.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{sleep, timeout};
use tower_gwag::{GwagRegistrationLayer, Options, Service, State, Status, stop_signal};

use super::overlap::{UNSERVED, beaten, rounds};
use super::place::{Place, source};
use crate::support::greeter::greeter_server::GreeterServer;
use crate::support::servers::{TestGreeter, bind};
use crate::support::{waited_of, within};

/// The child: it says when it can be started, is started by a line, and ends by a signal.
#[tokio::test]
#[ignore = "run by the tests of this file"]
async fn a_build_in_a_process_of_its_own() {
    let read = |name| std::env::var(name).expect("set by the parent");
    let service = Service::proto(source(&read("BUILD_COMMENT")))
        .namespace(read("BUILD_NAMESPACE"))
        .version("unstable");
    let options = Options::new(read("BUILD_GATEWAY")).service(service);
    let options = options.heartbeat_interval(Duration::from_secs(2));
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let (listener, _) = bind("127.0.0.1:0").await;
    eprintln!("BUILD ready");
    let mut line = String::new();
    let mut input = BufReader::new(tokio::io::stdin());
    input.read_line(&mut line).await.expect("a line");
    let incoming = registration.incoming(listener).expect("wrapped");
    let server = tonic::transport::Server::builder()
        .layer(layer)
        .add_service(GreeterServer::new(TestGreeter::default()))
        .serve_with_incoming_shutdown(incoming, registration.shutdown(stop_signal()));
    let listed = async {
        let mut status = registration.status();
        let is_there = |now: &Status| matches!(now.state(), State::Listed | State::Routed);
        let there = within("listed", status.wait_for(is_there)).await;
        drop(there.expect("alive"));
        eprintln!("BUILD listed");
    };
    let (served, ()) = tokio::join!(server, listed);
    served.expect("served");
    eprintln!("BUILD clean {}", registration.finish().await.is_clean());
}

struct Build {
    child: Child,
    input: ChildStdin,
    said: tokio::io::Lines<BufReader<tokio::process::ChildStderr>>,
}

impl Build {
    async fn ready(place: &Place, comment: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args([
                "slots::processes::a_build_in_a_process_of_its_own",
                "--exact",
            ])
            .args(["--ignored", "--nocapture"])
            .env("BUILD_COMMENT", comment)
            .env("BUILD_NAMESPACE", &place.namespace)
            .env("BUILD_GATEWAY", &place.control)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("started");
        let said = BufReader::new(child.stderr.take().expect("piped")).lines();
        let input = child.stdin.take().expect("piped");
        let mut build = Self { child, input, said };
        build.says("ready").await;
        build
    }

    /// For how long its threads had no processor.
    fn waited(&self) -> impl Fn() -> Duration + Send + use<> {
        let tasks = format!("/proc/{}/task", self.child.id().expect("it runs"));
        move || {
            let tasks = std::fs::read_dir(&tasks).into_iter().flatten().flatten();
            tasks
                .map(|task| waited_of(task.path().join("schedstat")))
                .sum()
        }
    }

    async fn says(&mut self, what: &str) {
        let line = format!("BUILD {what}");
        within(what, async {
            while let Some(said) = self.said.next_line().await.expect("text") {
                if said == line {
                    return;
                }
            }
            panic!("the process has ended without `{line}`");
        })
        .await;
    }

    async fn start(&mut self) {
        self.input.write_all(b"go\n").await.expect("told");
    }

    fn terminate(&self) {
        let id = self.child.id().expect("it runs").to_string();
        let told = std::process::Command::new("kill")
            .args(["-TERM", &id])
            .status();
        assert!(told.expect("run").success());
    }

    async fn ended(mut self) {
        self.says("clean true").await;
        let end = within("the end", self.child.wait()).await;
        assert!(end.expect("waited").success());
    }
}

/// What a process had waited for, also after its end.
fn lasting(most: &AtomicU64, waited: Duration) -> Duration {
    let waited = u64::try_from(waited.as_nanos()).expect("no centuries");
    Duration::from_nanos(most.fetch_max(waited, Ordering::Relaxed).max(waited))
}

/// SIGTERM right after a beat that the old build makes while the new one registers.
#[tokio::test]
async fn a_rollout_of_processes_at_the_worst_moment_goes_unnoticed() {
    let place = Place::find().await;
    let mut old = Build::ready(&place, "first").await;
    old.start().await;
    old.says("listed").await;
    for round in 0..rounds() {
        let mut new = Build::ready(&place, &format!("new {round}")).await;
        let both = || {
            let (older, newer) = (old.waited(), new.waited());
            let most = AtomicU64::new(0);
            move || newer() + lasting(&most, older())
        };
        let caller = place.caller_beside(both()).await;
        caller.answered().await;
        let swaps = place.swaps_beside("unstable", both()).await;
        beaten(&place).await;
        // The beat comes after 1.8 to 2.2 s.
        sleep(Duration::from_millis(1_700 + 70 * (round % 5))).await;
        new.start().await;
        // Or it has stepped aside, and makes none.
        let beat = timeout(Duration::from_millis(600), beaten(&place)).await;
        old.terminate();
        if let Ok(beat) = &beat {
            swaps.note(beat.clone());
        }
        new.says("listed").await;
        old.ended().await;
        sleep(Duration::from_millis(2_500)).await;
        let (unserved, failed, calls) = caller.unserved();
        let (swaps, most) = swaps.count_and_most();
        println!(
            "round {round}: stopped after a beat: {}, {unserved:?} unserved, {failed} of {calls} \
             failed, {swaps} swaps",
            beat.is_ok()
        );
        assert!(unserved < UNSERVED, "{unserved:?} unserved");
        assert!(swaps <= most, "{swaps} swaps, at most {most}");
        old = new;
    }
    old.terminate();
    old.ended().await;
}

/// The new build is taken back: the old one, which has stepped aside, serves again.
#[tokio::test]
async fn a_roll_back_of_processes_goes_unnoticed() {
    let place = Place::find().await;
    let mut old = Build::ready(&place, "old").await;
    old.start().await;
    old.says("listed").await;
    let hash = place.hash("unstable").await;
    for round in 0..rounds() {
        let mut new = Build::ready(&place, &format!("new {round}")).await;
        let (older, newer) = (old.waited(), new.waited());
        let most = AtomicU64::new(0);
        let caller = place
            .caller_beside(move || older() + lasting(&most, newer()))
            .await;
        caller.answered().await;
        new.start().await;
        new.says("listed").await;
        place.until_entries(1).await;
        // Right after a beat of the new build.
        beaten(&place).await;
        new.terminate();
        new.ended().await;
        place
            .until_hash("the old build has it", "unstable", |now| {
                now == hash.as_deref()
            })
            .await;
        caller.answered().await;
        let (unserved, failed, calls) = caller.unserved();
        println!("roll-back {round}: {unserved:?} unserved, {failed} of {calls} failed");
        assert!(unserved < UNSERVED, "{unserved:?} unserved");
    }
    old.terminate();
    old.ended().await;
}
