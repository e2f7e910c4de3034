//! An exclusive identity: what a former life left behind is removed at the start, and the former
//! life, if it still lives, stays out.

use std::time::Duration;

use crate::support::{
    Events, assert_orderly_of, gateway, greet, greeter_options, listed, registered, tonic_greeter,
    until_state, within,
};
use tower_gwag::{ErrorKind, LeaveOutcome, Options, State};

const BEAT: Duration = Duration::from_millis(50);

fn exclusive(options: Options) -> Options {
    options
        .exclusive_instance("greeter-0")
        .heartbeat_interval(BEAT)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entries_of_a_former_life_are_removed_before_the_new_one_registers() {
    let gateway = gateway().await;
    // A process that dies without a word: its only thread stops for good, nothing is dropped.
    let options = exclusive(greeter_options(&gateway));
    let former = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let server = tonic_greeter(options).await;
            registered(&server.registration).await;
            std::mem::forget(server);
        });
        std::mem::forget(runtime);
    });
    let joined = tokio::task::spawn_blocking(|| former.join());
    let joined = within("the former life", joined).await.expect("joined");
    joined.expect("no panic");
    let other = tonic_greeter(greeter_options(&gateway)).await;
    registered(&other.registration).await;
    let before = listed(&gateway, 2).await;

    let (options, events) = Events::of(exclusive(greeter_options(&gateway)));
    let server = tonic_greeter(options).await;
    events.until_registered(1).await;
    let after = listed(&gateway, 2).await;
    let former = before
        .iter()
        .find(|it| it.instance_id.starts_with("greeter-0#"));
    let former = former.expect("the former life");
    assert!(after.iter().all(|it| it.id != former.id), "removed");
    assert!(
        after
            .iter()
            .any(|it| before.iter().any(|old| old.id == it.id)),
        "others are left alone"
    );
    assert_eq!(greet(gateway.address()).await, "Hello, Ada!");

    server.stop().await;
    other.stop().await;
    listed(&gateway, 0).await;
}

#[tokio::test]
async fn a_process_that_was_taken_over_stays_out_and_says_so() {
    let gateway = gateway().await;
    let (options, events) = Events::of(exclusive(greeter_options(&gateway)));
    let older = tonic_greeter(options).await;
    events.until_registered(1).await;
    let younger = tonic_greeter(exclusive(greeter_options(&gateway))).await;
    registered(&younger.registration).await;

    until_state(&older.registration, State::Displaced).await;
    let status = older.registration.status().borrow().clone();
    assert_eq!(status.reason_kind(), Some(ErrorKind::Displaced));
    assert!(status.to_string().contains("greeter-0"), "{status}");
    assert_eq!(greet(older.address).await, "Hello, Ada!", "it serves on");
    let entries = listed(&gateway, 1).await;
    let (id, instance) = (entries[0].id.clone(), entries[0].instance_id.clone());
    let report = older.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::NothingRegistered);
    assert_eq!(
        listed(&gateway, 1).await[0].id,
        id,
        "the younger one's stays"
    );
    assert!(younger.stop().await.is_clean());
    // The younger one removes the older one's entry while the older one may be beating.
    assert_orderly_of(&gateway, &instance);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_processes_that_start_at_one_moment_the_youngest_stays() {
    let gateway = gateway().await;
    let start = || tonic_greeter(exclusive(greeter_options(&gateway)));
    let (first, second) = tokio::join!(start(), start());
    let mut states = [first.registration.status(), second.registration.status()];
    let [one, other] = &mut states;
    within("one of them stays out", async {
        tokio::select! {
            _ = one.wait_for(|now| now.state() == State::Displaced) => {}
            _ = other.wait_for(|now| now.state() == State::Displaced) => {}
        }
    })
    .await;
    listed(&gateway, 1).await;
    let is_out = |it: &tokio::sync::watch::Receiver<tower_gwag::Status>| {
        it.borrow().state() == State::Displaced
    };
    assert!(states.iter().any(|it| !is_out(it)), "one of them stays");
    assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    first.stop().await;
    second.stop().await;
    listed(&gateway, 0).await;
}

#[test]
fn an_identity_that_cannot_go_over_the_wire_is_refused() {
    for identity in ["", "a#b"] {
        let service = crate::support::greeter_service();
        let options = Options::new("gateway:1").service(service);
        let error = options.exclusive_instance(identity).check();
        let error = error.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidInstance, "{error}");
    }
}

#[tokio::test]
async fn a_gateway_that_forgot_it_is_registered_with_again() {
    let gateway = gateway().await;
    let server = tonic_greeter(exclusive(greeter_options(&gateway))).await;
    registered(&server.registration).await;
    gateway.restart().await.expect("restarted");
    let back = gateway.wait_until(|now| now.registrations.len() == 2);
    within("hold and service are back", back).await;
    assert!(server.stop().await.is_clean());
}
