//! What a user reads: one line for each change of state, and a panic of the registration's own
//! task.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{
    Events, Running, eventually, gateway, greet, listed, lone_options, registered, tonic_greeter,
    until_state, within,
};
use tower_gwag::{Event, LeaveOutcome, LeaveReason, State};
use tower_gwag_gateway::Rpc;
use tracing::subscriber::DefaultGuard;

const BEAT: Duration = Duration::from_millis(50);

/// The log of this thread; it panics at some lines, as one does whose output is closed.
#[derive(Clone, Default)]
struct Log {
    text: Arc<Mutex<String>>,
    /// Part of a line, and how many such lines it panics at.
    panics: Arc<Mutex<(&'static str, usize)>>,
}

// === impl Log ===

impl Log {
    fn start(&self) -> DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish();
        crate::support::log_to(subscriber)
    }

    fn panic_at(&self, part: &'static str, times: usize) {
        *self.panics.lock().unwrap() = (part, times);
    }

    fn panics_left(&self) -> usize {
        self.panics.lock().unwrap().1
    }

    fn lines_with(&self, part: &str) -> Vec<String> {
        let text = self.text.lock().unwrap();
        let lines = text.lines().filter(|line| line.contains(part));
        lines.map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        // A line that was panicked at comes once more before the next.
        let text = text.lines().next_back().unwrap_or_default();
        let panics = {
            let mut panics = self.panics.lock().unwrap();
            let due = panics.1 > 0 && text.contains(panics.0);
            panics.1 -= usize::from(due);
            due
        };
        assert!(!panics, "the output is closed");
        self.text.lock().unwrap().push_str(&format!("{text}\n"));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn stopped(server: Running) -> tower_gwag::LeaveReport {
    within("the report", server.stop()).await
}

#[tokio::test]
async fn failures_of_one_kind_are_logged_once_and_counted() {
    let log = Log::default();
    let _guard = log.start();
    let gateway = gateway().await;
    gateway.kill().await;
    let server = tonic_greeter(lone_options(&gateway).heartbeat_interval(BEAT)).await;
    until_state(&server.registration, State::Unreachable).await;
    let status = server.registration.status();
    eventually("three failures", || status.borrow().failures() >= 3).await;
    assert_eq!(log.lines_with("Unreachable").len(), 1);
    gateway.revive().await.expect("the same ports");
    registered(&server.registration).await;
    let lines = log.lines_with("like the last were not logged");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(" INFO "), "{lines:?}");
    assert!(lines[0].contains("Registered 127"), "{lines:?}");
    assert_eq!(status.borrow().failures(), 0);
    // Beats that are answered are no news.
    let beats = gateway.wait_until(|now| now.rpc_counts.of(Rpc::Heartbeat).received >= 3);
    within("beats", beats).await;
    assert!(stopped(server).await.is_clean());
    assert_eq!(log.lines_with("like the last").len(), 1);
    assert_eq!(log.lines_with("Registered 127").len(), 1);
}

#[tokio::test]
async fn a_panic_of_the_task_is_reported_and_costs_nothing() {
    let log = Log::default();
    let _guard = log.start();
    let gateway = gateway().await;
    let (options, events) = Events::of(lone_options(&gateway).heartbeat_interval(BEAT));
    log.panic_at("Registered 127", 1);
    let server = tonic_greeter(options).await;
    let beats = gateway.wait_until(|now| now.rpc_counts.of(Rpc::Heartbeat).received >= 2);
    within("beats go on", beats).await;
    assert_eq!(log.panics_left(), 0);
    let told = log.lines_with("task panicked");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("ERROR") && told[0].contains("the output is closed"));
    assert!(told[0].contains("please report"), "{told:?}");
    let is_told = |event: &Event| matches!(event, Event::Panicked(_));
    assert_eq!(events.all().iter().filter(|it| is_told(it)).count(), 1);
    // The entry was taken over, not made again.
    assert_eq!(gateway.rpc_counts().of(Rpc::Register).received, 1);
    listed(&gateway, 1).await;
    // What the gateway makes of it is looked at all the same.
    until_state(&server.registration, State::Listed).await;
    assert!(server.registration.is_ready());
    assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    until_state(&server.registration, State::Routed).await;
    gateway.evict_all();
    listed(&gateway, 1).await;
    let report = stopped(server).await;
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered, "{report}");
    assert!(gateway.registrations().is_empty());
}

#[tokio::test]
async fn a_panic_while_leaving_does_not_keep_the_server() {
    let log = Log::default();
    let _guard = log.start();
    let gateway = gateway().await;
    let server = tonic_greeter(lone_options(&gateway)).await;
    registered(&server.registration).await;
    log.panic_at("Leaving", 1);
    let report = stopped(server).await;
    assert_eq!(log.panics_left(), 0);
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered, "{report}");
    assert!(gateway.registrations().is_empty());
}

#[tokio::test]
async fn a_log_that_panics_at_the_report_does_not_keep_it_back() {
    let log = Log::default();
    let _guard = log.start();
    let gateway = gateway().await;
    let server = tonic_greeter(lone_options(&gateway)).await;
    registered(&server.registration).await;
    log.panic_at("calls: 0 in flight", 1);
    let report = stopped(server).await;
    assert_eq!(log.panics_left(), 0);
    assert_eq!(report.reason(), LeaveReason::Signal);
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn panic_after_panic_ends_the_registration_and_not_the_server() {
    let log = Log::default();
    let _guard = log.start();
    let gateway = gateway().await;
    log.panic_at("Registered 127", usize::MAX);
    let server = tonic_greeter(lone_options(&gateway).heartbeat_interval(BEAT)).await;
    // Each beat that is refused is followed by a registration, and that by a panic.
    let evicting = gateway.wait_until(|now| {
        if !now.registrations.is_empty() {
            gateway.evict_all();
        }
        false
    });
    tokio::select! {
        _ = evicting => {}
        () = until_state(&server.registration, State::Left) => {}
    }
    assert_eq!(greet(server.address).await, "Hello, Ada!");
    assert!(!log.lines_with("too often").is_empty());
    let report = stopped(server).await;
    assert_eq!(report.reason(), LeaveReason::Panicked);
    assert!(gateway.registrations().is_empty());
}
