//! What a report says where the gateway is silent, or gone, at the very end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tower_gwag::{HoldOutcome, LeaveOutcome, Options};

use crate::answers::{good, never};
use crate::peer::Peer;
use crate::support::{
    eventually, greeter_client, greeter_service, hello, in_flight, registered, tonic_greeter,
    within,
};

fn options(peer: &Peer) -> Options {
    Options::new(peer.address)
        .seed(7)
        .service(greeter_service())
}

/// Answers everything except lists once it is switched to that, and counts Deregisters.
fn silent_about_lists(is_silent: &Arc<AtomicBool>, gone: &Arc<AtomicU64>) -> Peer {
    let (is_silent, gone) = (Arc::clone(is_silent), Arc::clone(gone));
    let peer = Peer::http(Arc::new(move |method, number, _| {
        if method == "Deregister" {
            gone.fetch_add(1, Ordering::SeqCst);
        }
        match method.starts_with("List") && is_silent.load(Ordering::SeqCst) {
            true => never(),
            false => good(method, number),
        }
    }));
    peer.begin();
    peer
}

/// What is looked at after the last Deregister says nothing about that.
#[tokio::test]
async fn an_answered_deregister_counts_though_the_look_after_it_is_not_answered() {
    let (is_silent, gone) = (Arc::default(), Arc::default());
    let peer = silent_about_lists(&is_silent, &gone);
    for in_a_hurry in [false, true] {
        is_silent.store(false, Ordering::SeqCst);
        let server = tonic_greeter(options(&peer)).await;
        registered(&server.registration).await;
        is_silent.store(true, Ordering::SeqCst);
        let report = match in_a_hurry {
            true => within("the report", server.registration.leave_now()).await,
            false => within("the report", server.registration.leave()).await,
        };
        assert_eq!(report.outcome(), LeaveOutcome::Deregistered, "{report}");
        assert_eq!(report.hold(), HoldOutcome::Held, "{report}");
        assert!(report.is_clean(), "in a hurry: {in_a_hurry}: {report}");
        assert_eq!(report.ghosts(), None, "{report}");
    }
    assert_eq!(gone.load(Ordering::SeqCst), 4, "two entries each time");
}

/// The gateway goes while a call is waited for: whether it kept the hold until then nobody knows.
#[tokio::test]
async fn of_a_gateway_that_went_meanwhile_nobody_knows_how_long_it_had_the_hold() {
    let (is_gone, gone) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let (goes, counts) = (Arc::clone(&is_gone), Arc::clone(&gone));
    let peer = Peer::http(Arc::new(move |method, number, _| {
        if goes.load(Ordering::SeqCst) {
            return never();
        }
        if method == "Deregister" {
            counts.fetch_add(1, Ordering::SeqCst);
        }
        good(method, number)
    }));
    peer.begin();
    let limit = Duration::from_secs(5);
    let server = tonic_greeter(options(&peer).leave_timeout(limit).drain_timeout(limit / 2)).await;
    registered(&server.registration).await;
    let mut client = greeter_client(server.address).await;
    let held = tokio::spawn(async move { client.hello(hello("hold")).await });
    in_flight(&server.registration, 1).await;
    let (registration, hold) = (server.registration.clone(), Arc::clone(&server.hold));
    let stopping = tokio::spawn(server.stop());
    eventually("the service is deregistered", || {
        gone.load(Ordering::SeqCst) == 1
    })
    .await;
    within("the drain", registration.leaving()).await;
    is_gone.store(true, Ordering::SeqCst);
    peer.orders().restart();
    hold.add_permits(1);
    let answer = within("the answer", held).await.expect("no panic");
    answer.expect("answered");
    let report = within("the report", stopping).await.expect("no panic");
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered, "{report}");
    assert_eq!(report.hold(), HoldOutcome::Unknown, "{report}");
    assert!(report.to_string().contains("hold unknown"), "{report}");
}
