//! Leaving: within its budget whatever the gateway does, with a report that says what happened,
//! and leaving nothing behind that could be taken back.

use std::time::{Duration, Instant};

use crate::support::servers::bind;
use crate::support::{
    Events, PROMPTLY, Running, assert_orderly, gateway, greeter_client, hello, in_flight, listed,
    lone_options, registered, tonic_greeter, until_state, within,
};
use tonic::Code;
use tower_gwag::{ErrorKind, GwagRegistrationLayer, LeaveOutcome, LeaveReason, Options, State};
use tower_gwag_gateway::{EmbeddedGateway, GatewayView, Rpc};

const BEAT: Duration = Duration::from_millis(50);
const BUDGET: Duration = Duration::from_millis(600);

/// Options that leave within [`BUDGET`].
fn hasty(options: Options) -> Options {
    options.leave_timeout(BUDGET).drain_timeout(BUDGET / 2)
}

async fn until_seen(
    gateway: &EmbeddedGateway,
    what: &str,
    condition: impl FnMut(&GatewayView) -> bool,
) {
    within(what, gateway.wait_until(condition)).await;
}

async fn greeter(options: Options) -> Running {
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    server
}

#[tokio::test]
async fn with_the_gateway_down_leaving_ends_at_once_and_says_so() {
    let gateway = gateway().await;
    let server = greeter(lone_options(&gateway)).await;
    gateway.kill().await;
    let start = Instant::now();
    let report = server.stop().await;
    assert!(start.elapsed() < PROMPTLY, "took {:?}", start.elapsed());
    assert_eq!(report.outcome(), LeaveOutcome::NotDeregistered);
    assert!(!report.is_clean());
    let failure = report.failure().expect("a failure");
    assert!(failure.to_string().contains(&gateway.target()), "{failure}");
    assert!(report.to_string().contains("TTL"), "{report}");
}

#[tokio::test]
async fn with_the_gateway_frozen_leaving_ends_within_its_budget_and_is_made_up_for_later() {
    let gateway = gateway().await;
    let server = greeter(hasty(lone_options(&gateway))).await;
    gateway.freeze();
    let start = Instant::now();
    let report = server.stop().await;
    let took = start.elapsed();
    assert!(took < BUDGET + PROMPTLY, "took {took:?}");
    assert_eq!(report.outcome(), LeaveOutcome::Unanswered);
    assert!(!report.is_clean());
    // The process lives on, and so does the call: nothing was cancelled.
    assert_eq!(gateway.registrations().len(), 1);
    gateway.thaw();
    listed(&gateway, 0).await;
    assert_orderly(&gateway);
}

#[tokio::test]
async fn the_budget_holds_with_a_call_in_flight_and_the_gateway_frozen() {
    let gateway = gateway().await;
    let mut server = greeter(hasty(lone_options(&gateway))).await;
    let mut client = greeter_client(server.address).await;
    let call = tokio::spawn(async move { client.hello(hello("hold")).await });
    in_flight(&server.registration, 1).await;
    gateway.freeze();
    let start = Instant::now();
    server.signal();
    until_state(&server.registration, State::Leaving).await;
    let report = within("the report", server.registration.finish()).await;
    let took = start.elapsed();
    assert!(took < BUDGET + PROMPTLY, "took {took:?}");
    assert_eq!((report.in_flight(), report.cut()), (1, 1));
    // The server stops now, and would wait for it without end.
    let end = within("an answer", call).await.unwrap();
    assert_eq!(end.expect_err("cut").code(), Code::Unavailable);
    server.stop().await;
    gateway.thaw();
    listed(&gateway, 0).await;
}

#[tokio::test]
async fn a_deregister_that_the_gateways_store_refuses_is_tried_again() {
    let gateway = gateway().await;
    let server = greeter(lone_options(&gateway)).await;
    let text = "controlplane: kv put: nats: timeout";
    gateway.refuse_next(Rpc::Deregister, 1, Code::Unknown, text);
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    assert_eq!(gateway.rpc_counts().of(Rpc::Deregister).received, 2);
    assert!(gateway.registrations().is_empty());
    assert_orderly(&gateway);
}

#[tokio::test]
async fn any_number_of_leaves_get_the_same_report() {
    let gateway = gateway().await;
    let server = greeter(lone_options(&gateway)).await;
    let registration = &server.registration;
    let (one, other) = tokio::join!(registration.leave(), registration.leave());
    let third = within("the report", registration.leave()).await;
    let after = within("the report", registration.finish()).await;
    assert_eq!(one.reason(), LeaveReason::Called);
    for report in [other, third, after] {
        assert_eq!(format!("{report:?}"), format!("{one:?}"));
    }
    assert_eq!(gateway.rpc_counts().of(Rpc::Deregister).received, 1);
    let at_the_signal = server.stop().await;
    assert_eq!(at_the_signal.reason(), LeaveReason::Called);
    assert_orderly(&gateway);
}

#[tokio::test]
async fn leave_does_not_stop_the_server() {
    let gateway = gateway().await;
    let server = greeter(lone_options(&gateway)).await;
    within("the report", server.registration.leave()).await;
    assert_eq!(crate::support::greet(server.address).await, "Hello, Ada!");
    server.stop().await;
}

#[tokio::test]
async fn leave_during_the_first_register_waits_and_deregisters() {
    let gateway = gateway().await;
    gateway.delay(Rpc::Register, Duration::from_millis(300));
    let server = tonic_greeter(lone_options(&gateway)).await;
    until_seen(&gateway, "a Register under way", |now| {
        now.rpc_counts.of(Rpc::Register).in_flight == 1
    })
    .await;
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    assert!(gateway.registrations().is_empty());
    assert_orderly(&gateway);
}

#[tokio::test]
async fn a_register_that_is_answered_after_the_report_is_still_deregistered() {
    let gateway = gateway().await;
    gateway.delay(Rpc::Register, 2 * BUDGET);
    let server = tonic_greeter(hasty(lone_options(&gateway))).await;
    until_seen(&gateway, "a Register under way", |now| {
        now.rpc_counts.of(Rpc::Register).in_flight == 1
    })
    .await;
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::Unanswered);
    until_seen(&gateway, "the late entry taken back", |now| {
        now.rpc_counts.of(Rpc::Deregister).answered == 1 && now.registrations.is_empty()
    })
    .await;
    assert_orderly(&gateway);
}

#[tokio::test]
async fn leave_during_a_beat_waits_for_its_answer() {
    let gateway = gateway().await;
    gateway.delay(Rpc::Heartbeat, Duration::from_millis(300));
    let options = lone_options(&gateway).heartbeat_interval(BEAT);
    let server = greeter(options).await;
    until_seen(&gateway, "a beat under way", |now| {
        now.rpc_counts.of(Rpc::Heartbeat).in_flight == 1
    })
    .await;
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    assert!(gateway.registrations().is_empty());
    let beats = gateway.rpc_counts().of(Rpc::Heartbeat);
    assert_eq!(beats.received, beats.answered);
    assert_orderly(&gateway);
}

#[tokio::test]
async fn leaving_what_the_gateway_never_took_is_clean_and_immediate() {
    let gateway = gateway().await;
    gateway.kill().await;
    let server = tonic_greeter(lone_options(&gateway)).await;
    until_state(&server.registration, State::Unreachable).await;
    let start = Instant::now();
    let report = server.stop().await;
    assert!(start.elapsed() < PROMPTLY, "took {:?}", start.elapsed());
    assert_eq!(report.outcome(), LeaveOutcome::NothingRegistered);
    assert!(report.is_clean());
}

#[tokio::test]
async fn leave_now_waits_for_no_call() {
    let gateway = gateway().await;
    let server = greeter(lone_options(&gateway)).await;
    let mut client = greeter_client(server.address).await;
    let call = tokio::spawn(async move { client.hello(hello("hold")).await });
    in_flight(&server.registration, 1).await;
    let start = Instant::now();
    let report = within("the report", server.registration.leave_now()).await;
    assert!(start.elapsed() < PROMPTLY, "took {:?}", start.elapsed());
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    assert_eq!(report.unfinished(), 1);
    server.hold.add_permits(1);
    within("an answer", call).await.unwrap().expect("answered");
    server.stop().await;
}

#[tokio::test]
async fn leave_now_ends_a_drain_that_is_under_way() {
    let gateway = gateway().await;
    let mut server = greeter(lone_options(&gateway)).await;
    let mut client = greeter_client(server.address).await;
    let call = tokio::spawn(async move { client.hello(hello("hold")).await });
    in_flight(&server.registration, 1).await;
    server.signal();
    listed(&gateway, 0).await;
    let report = within("the report", server.registration.leave_now()).await;
    assert_eq!(report.reason(), LeaveReason::Signal);
    assert_eq!(report.cut(), 1);
    let end = within("an answer", call).await.unwrap();
    assert_eq!(end.expect_err("cut").code(), Code::Unavailable);
    server.stop().await;
}

#[tokio::test]
async fn finish_ends_what_nothing_else_ended() {
    let gateway = gateway().await;
    let server = greeter(lone_options(&gateway)).await;
    let report = within("the report", server.registration.finish()).await;
    assert_eq!(report.reason(), LeaveReason::Finished);
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    server.stop().await;
}

#[tokio::test]
async fn what_was_left_before_its_start_never_registers() {
    let gateway = gateway().await;
    let (options, events) = Events::of(lone_options(&gateway));
    let registration = GwagRegistrationLayer::new(options).registration();
    let report = within("the report", registration.leave()).await;
    assert_eq!(report.outcome(), LeaveOutcome::NothingRegistered);
    let (_listener, address) = bind("127.0.0.1:0").await;
    let error = registration.start(address).expect_err("it has ended");
    assert_eq!(error.kind(), ErrorKind::Left);
    assert_eq!(registration.status().borrow().state(), State::Left);
    registration.registered().await.expect_err("it has ended");
    assert_eq!(events.states(), [State::Left]);
    assert!(gateway.rpc_counts().by_rpc.is_empty());
}
