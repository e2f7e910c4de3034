//! How states and endings are named, reports of endings that went wrong, and calls in the wrong order.

use std::time::Duration;

use tower_gwag::{
    Cleanness, GwagRegistrationLayer, Hold, HoldOutcome, LeaveOutcome, LeaveReason, LeaveReport,
    Options, State,
};
use tower_gwag_gateway::Rpc;

use super::{reads, start};
use crate::support::{
    Running, gateway, greeter_client, greeter_options, greeter_service, hello, in_flight,
    registered, tonic_greeter, until_state,
};

fn names<T: std::fmt::Display>(all: &[T]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join("\n")
}

#[test]
fn names_of_states_and_endings() {
    let states = [
        State::Idle,
        State::Registering,
        State::Registered,
        State::Listed,
        State::Routed,
        State::Blocked,
        State::Unreachable,
        State::Refused,
        State::Displaced,
        State::Leaving,
        State::Left,
        State::Disabled,
    ];
    reads("states", &names(&states), &[]);
    let reasons = [
        LeaveReason::Signal,
        LeaveReason::Called,
        LeaveReason::ServerDropped,
        LeaveReason::HandlesDropped,
        LeaveReason::Finished,
        LeaveReason::Refused,
        LeaveReason::RuntimeEnded,
        LeaveReason::Panicked,
    ];
    reads("leave reasons", &names(&reasons), &[]);
    let outcomes = [
        LeaveOutcome::Deregistered,
        LeaveOutcome::NothingRegistered,
        LeaveOutcome::NotDeregistered,
        LeaveOutcome::Unanswered,
        LeaveOutcome::Disabled,
    ];
    reads("leave outcomes", &names(&outcomes), &[]);
    let holds = [
        HoldOutcome::Held,
        HoldOutcome::Unknown,
        HoldOutcome::Missing,
        HoldOutcome::NotNeeded,
        HoldOutcome::Off,
    ];
    reads("holds", &names(&holds), &[]);
    let all = [Cleanness::Clean, Cleanness::Unknown, Cleanness::NotClean];
    reads("cleanness", &names(&all), &[]);
}

/// With the times that it took replaced.
#[track_caller]
fn ends(name: &str, report: &LeaveReport, gateway: &str) {
    let took = format!("in {:.0?}", report.withdrawal());
    let drained = format!("drained in {:.0?}", report.drain());
    let words = [
        (&*took, "in TOOK"),
        (&*drained, "drained in DRAIN"),
        (gateway, "GATEWAY"),
    ];
    reads(name, &report.to_string(), &words);
}

async fn serving(options: Options) -> Running {
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    server
}

#[tokio::test]
async fn reports_of_a_gateway_that_is_gone() {
    let gateway = gateway().await;
    let server = serving(greeter_options(&gateway)).await;
    gateway.kill().await;
    until_state(&server.registration, State::Unreachable).await;
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::NotDeregistered, "{report}");
    ends("not deregistered", &report, &gateway.target());
}

#[tokio::test]
async fn a_report_of_a_gateway_that_does_not_answer() {
    let gateway = gateway().await;
    let limit = Duration::from_millis(1_500);
    let options = greeter_options(&gateway).hold(Hold::Off);
    let server = serving(options.leave_timeout(limit)).await;
    gateway.freeze();
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::Unanswered, "{report}");
    ends("unanswered", &report, &gateway.target());
    gateway.thaw();
}

#[tokio::test]
async fn a_report_of_calls_that_were_cut_without_a_hold() {
    let gateway = gateway().await;
    let options = greeter_options(&gateway).hold(Hold::Off);
    let options = options.leave_timeout(Duration::from_millis(1_500));
    let server = serving(options).await;
    let mut client = greeter_client(gateway.address()).await;
    let call = tokio::spawn(async move { client.hello(hello("hold")).await });
    in_flight(&server.registration, 1).await;
    let report = server.stop().await;
    ends("cut", &report, &gateway.target());
    call.abort();
}

#[tokio::test]
async fn gateways_that_are_slow_and_calls_in_the_wrong_order() {
    let gateway = gateway().await;
    gateway.delay(Rpc::Heartbeat, Duration::from_secs(10));
    let beat = Duration::from_millis(50);
    let registration = start(Options::new(gateway.target()).heartbeat_interval(beat));
    until_state(&registration, State::Unreachable).await;
    let status = registration.status().borrow().to_string();
    reads("slow", &status, &[(&gateway.target(), "GATEWAY")]);

    let address = ([127, 0, 0, 1], 1).into();
    let twice = registration.start(address).expect_err("started before");
    reads("started twice", &twice.to_string(), &[]);
    registration.leave_now().await;
    let left = registration.start(address).expect_err("it has left");
    reads("started after the end", &left.to_string(), &[]);
    let never = start(Options::new("127.0.0.1:1"));
    never.leave_now().await;
    let left = never.registered().await.expect_err("it has left");
    reads("awaited after the end", &left.to_string(), &[]);

    let options = Options::new("gateway:50090").service(greeter_service());
    let error = std::thread::spawn(move || {
        let registration = GwagRegistrationLayer::new(options).registration();
        registration.start(address).expect_err("no runtime")
    });
    let error = error.join().expect("no panic");
    reads("no runtime", &error.to_string(), &[]);
}

#[tokio::test]
async fn a_younger_process_has_the_identity() {
    let gateway = gateway().await;
    let exclusive = || {
        let beat = Duration::from_millis(50);
        let options = greeter_options(&gateway).heartbeat_interval(beat);
        options.exclusive_instance("greeter-0")
    };
    let older = serving(exclusive()).await;
    let younger = serving(exclusive()).await;
    until_state(&older.registration, State::Displaced).await;
    let status = older.registration.status().borrow().to_string();
    reads("younger process", &status, &[]);
    older.stop().await;
    younger.stop().await;
}
