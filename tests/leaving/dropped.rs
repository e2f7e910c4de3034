//! Without a shutdown: when everything is dropped, or the runtime goes away, the gateway learns of it
//! all the same.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::servers::bind;
use crate::support::{
    Events, assert_orderly, axum_app, gateway, greet, listed, lone_options, pets_app, pets_options,
    registered, tonic_greeter, within,
};
use tokio::runtime::{Builder, Runtime};
use tower_gwag::{
    Event, GwagRegistrationLayer, LeaveOutcome, LeaveReason, LeaveReport, Options, Registration,
};
use tower_gwag_gateway::{EmbeddedGateway, Rpc};

/// Where no server listens; the gateway does not dial at Register.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

fn start(options: Options) -> Registration {
    let registration = GwagRegistrationLayer::new(options).registration();
    registration.start(NOWHERE).expect("started");
    registration
}

async fn until_left(events: &Events) -> LeaveReport {
    let left = |event: &Event| match event {
        Event::Left(report) => Some(report.clone()),
        _ => None,
    };
    events
        .until("the end is reported", |all| {
            all.iter().any(|it| left(it).is_some())
        })
        .await;
    events.all().iter().find_map(left).expect("just seen")
}

#[tokio::test]
async fn dropping_every_handle_deregisters() {
    let gateway = gateway().await;
    let (options, events) = Events::of(lone_options(&gateway));
    let registration = start(options);
    registered(&registration).await;
    let other = registration.clone();
    drop(registration);
    registered(&other).await;
    assert_eq!(gateway.registrations().len(), 1, "one handle is left");
    drop(other);
    listed(&gateway, 0).await;
    let report = until_left(&events).await;
    assert_eq!(report.reason(), LeaveReason::HandlesDropped);
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    assert_orderly(&gateway);
}

#[tokio::test]
async fn dropping_the_layer_and_the_wrapped_listener_deregisters() {
    let gateway = gateway().await;
    let layer = GwagRegistrationLayer::new(lone_options(&gateway));
    let (listener, _) = bind("127.0.0.1:0").await;
    let mut incoming = layer.registration().incoming(listener).expect("wrapped");
    // What a server does first, and then it is gone.
    let poll = tokio_stream::StreamExt::next(&mut incoming);
    let listing = listed(&gateway, 1);
    tokio::select! {
        _ = poll => panic!("nobody connects"),
        _ = listing => {}
    }
    drop((layer, incoming));
    listed(&gateway, 0).await;
    assert_orderly(&gateway);
}

#[tokio::test]
async fn servers_that_are_aborted_with_every_handle_dropped_deregister() {
    let gateway = gateway().await;
    let tonic = tonic_greeter(lone_options(&gateway)).await;
    let axum = axum_app(pets_options(&gateway), pets_app()).await;
    listed(&gateway, 2).await;
    tonic.abort().await;
    listed(&gateway, 1).await;
    axum.abort().await;
    listed(&gateway, 0).await;
    assert_orderly(&gateway);
}

fn current_thread() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

fn multi_thread() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let builder = builder.worker_threads(2).enable_all();
    builder.build().expect("a runtime")
}

/// Runs the whole life of a server on a runtime of its own, in a thread of its own.
async fn lives_on(gateway: &EmbeddedGateway, runtime: fn() -> Runtime) {
    let options = lone_options(gateway).heartbeat_interval(Duration::from_millis(20));
    let beaten = gateway.clone();
    let life = std::thread::spawn(move || {
        runtime().block_on(async move {
            let server = tonic_greeter(options).await;
            registered(&server.registration).await;
            let beats = beaten.wait_until(|now| now.rpc_counts.of(Rpc::Heartbeat).answered > 2);
            within("beats", beats).await;
            assert_eq!(greet(beaten.address()).await, "Hello, Ada!");
            server.stop().await
        })
    });
    let life = tokio::task::spawn_blocking(move || life.join());
    let report = within("a life", life).await.expect("joined");
    let report = report.expect("no panic");
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    listed(gateway, 0).await;
    assert_orderly(gateway);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_lives_on_a_current_thread_runtime() {
    lives_on(&gateway().await, current_thread).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_lives_on_a_multi_thread_runtime() {
    lives_on(&gateway().await, multi_thread).await;
}

/// Registers on a runtime of its own, which then goes away under the registration; returns the
/// handle that outlived it, if it is to.
async fn runtime_goes_away(
    gateway: &EmbeddedGateway,
    runtime: fn() -> Runtime,
    keep: bool,
) -> Option<Registration> {
    let options = lone_options(gateway);
    let thread = std::thread::spawn(move || {
        let runtime = runtime();
        let registration = {
            let _runtime = runtime.enter();
            start(options)
        };
        runtime.block_on(registered(&registration));
        let kept = keep.then(|| registration.clone());
        drop(runtime);
        kept
    });
    let thread = tokio::task::spawn_blocking(move || thread.join());
    let kept = within("the runtime ends", thread).await.expect("joined");
    // What ends a runtime waits for the call: a process may end right after.
    assert!(gateway.registrations().is_empty());
    kept.expect("no panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_current_thread_runtime_that_ends_deregisters() {
    let gateway = gateway().await;
    runtime_goes_away(&gateway, current_thread, false).await;
    assert_orderly(&gateway);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_multi_thread_runtime_that_ends_deregisters() {
    let gateway = gateway().await;
    runtime_goes_away(&gateway, multi_thread, false).await;
    assert_orderly(&gateway);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_that_outlives_its_runtime_gets_a_report() {
    let gateway = gateway().await;
    for runtime in [current_thread, multi_thread] {
        let registration = runtime_goes_away(&gateway, runtime, true).await;
        let registration = registration.expect("kept");
        let report = within("a report", registration.finish()).await;
        assert_eq!(report.reason(), LeaveReason::RuntimeEnded);
        assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    }
}

/// A runtime that ends with the gateway frozen; before or after the registration was answered.
async fn runtime_goes_away_from_a_frozen_gateway(answered: bool) -> LeaveReport {
    let gateway = gateway().await;
    let (options, frozen) = (lone_options(&gateway), gateway.clone());
    let thread = std::thread::spawn(move || {
        let runtime = multi_thread();
        if !answered {
            frozen.freeze();
        }
        let registration = {
            let _runtime = runtime.enter();
            start(options)
        };
        if answered {
            runtime.block_on(registered(&registration));
            frozen.freeze();
        }
        drop(runtime);
        registration
    });
    let thread = tokio::task::spawn_blocking(move || thread.join());
    let registration = within("the runtime ends", thread).await.expect("joined");
    within("a report", registration.expect("no panic").finish()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_gateway_does_not_hold_up_the_end_of_a_runtime() {
    let report = runtime_goes_away_from_a_frozen_gateway(true).await;
    assert_eq!(report.outcome(), LeaveOutcome::NotDeregistered);
    let report = runtime_goes_away_from_a_frozen_gateway(false).await;
    assert_eq!(report.reason(), LeaveReason::RuntimeEnded);
}

/// The runtime ends with `count` registrations on it; how long that took.
async fn many_lose_their_runtime(
    gateway: &EmbeddedGateway,
    count: usize,
    freeze: bool,
) -> Duration {
    let (options, frozen) = ((0..count).map(|_| lone_options(gateway)), gateway.clone());
    let options: Vec<_> = options.collect();
    let thread = std::thread::spawn(move || {
        let runtime = multi_thread();
        let registrations: Vec<_> = {
            let _runtime = runtime.enter();
            options.into_iter().map(start).collect()
        };
        for registration in &registrations {
            runtime.block_on(registered(registration));
        }
        if freeze {
            frozen.freeze();
        }
        let start = std::time::Instant::now();
        drop(runtime);
        start.elapsed()
    });
    let thread = tokio::task::spawn_blocking(move || thread.join());
    let took = within("the runtime ends", thread).await.expect("joined");
    took.expect("no panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_registrations_of_a_runtime_that_ends_are_deregistered_at_once() {
    let gateway = gateway().await;
    many_lose_their_runtime(&gateway, 20, false).await;
    assert!(gateway.registrations().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_gateway_holds_the_end_of_a_runtime_up_once_for_all_registrations() {
    let gateway = gateway().await;
    let took = many_lose_their_runtime(&gateway, 8, true).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_whose_runtime_ends_at_once_gets_a_report() {
    let gateway = gateway().await;
    for _ in 0..20 {
        let runtime = current_thread();
        let registration = {
            let _runtime = runtime.enter();
            start(lone_options(&gateway))
        };
        // Its task was never polled.
        runtime.shutdown_background();
        let report = within("a report", registration.finish()).await;
        assert_eq!(report.outcome(), LeaveOutcome::NothingRegistered);
    }
    assert!(gateway.rpc_counts().by_rpc.is_empty());
}
