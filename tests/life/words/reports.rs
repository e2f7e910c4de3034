//! How states and endings are named, reports of endings that went wrong, and calls in the wrong order.

use std::time::Duration;

use tower_gwag::{
    Cleanness, GwagRegistrationLayer, Hold, HoldOutcome, LeaveOutcome, LeaveReason, LeaveReport,
    Options, State,
};
use tower_gwag_gateway::{EmbeddedGateway, Rpc};

use super::{reads, start};
use crate::support::{
    Running, gateway, greeter_client, greeter_options, greeter_service, hello, in_flight,
    registered, tonic_greeter, until_state,
};

/// The names of all values of a type.
#[track_caller]
fn are_named<T: std::fmt::Display>(name: &str, all: &[T]) {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    reads(name, &all.join("\n"), &[]);
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
    are_named("states", &states);
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
    are_named("leave reasons", &reasons);
    let outcomes = [
        LeaveOutcome::Deregistered,
        LeaveOutcome::NothingRegistered,
        LeaveOutcome::NotDeregistered,
        LeaveOutcome::Unanswered,
        LeaveOutcome::Disabled,
    ];
    are_named("leave outcomes", &outcomes);
    let holds = [
        HoldOutcome::Held,
        HoldOutcome::Unknown,
        HoldOutcome::Missing,
        HoldOutcome::NotNeeded,
        HoldOutcome::Off,
    ];
    are_named("holds", &holds);
    let all = [Cleanness::Clean, Cleanness::Unknown, Cleanness::NotClean];
    are_named("cleanness", &all);
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

/// The report of a server that stops after `mishap`.
async fn assert_ending(
    name: &str,
    gateway: &EmbeddedGateway,
    options: Options,
    mishap: impl AsyncFnOnce(&Running),
) {
    let server = serving(options).await;
    mishap(&server).await;
    let report = server.stop().await;
    ends(name, &report, &gateway.target());
}

#[tokio::test]
async fn reports_of_a_gateway_that_is_gone() {
    let gateway = gateway().await;
    let is_gone = async |server: &Running| {
        gateway.kill().await;
        until_state(&server.registration, State::Unreachable).await;
    };
    let options = greeter_options(&gateway);
    assert_ending("not deregistered", &gateway, options, is_gone).await;
}

/// For what a gateway is not to hold up longer.
fn soon(gateway: &EmbeddedGateway) -> Options {
    let options = greeter_options(gateway).hold(Hold::Off);
    options.leave_timeout(Duration::from_millis(1_500))
}

#[tokio::test]
async fn a_report_of_a_gateway_that_does_not_answer() {
    let gateway = gateway().await;
    let freezes = async |_: &Running| gateway.freeze();
    assert_ending("unanswered", &gateway, soon(&gateway), freezes).await;
    gateway.thaw();
}

#[tokio::test]
async fn a_report_of_calls_that_were_cut_without_a_hold() {
    let gateway = gateway().await;
    let mut client = greeter_client(gateway.address()).await;
    let calls = async |server: &Running| {
        tokio::spawn(async move { client.hello(hello("hold")).await });
        in_flight(&server.registration, 1).await;
    };
    assert_ending("cut", &gateway, soon(&gateway), calls).await;
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
