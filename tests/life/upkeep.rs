//! A registration stays registered: through heartbeats, evictions, restarts, frozen gateways and
//! refusals; and the server serves whatever the gateway does.

use std::time::{Duration, Instant};

use crate::support::{
    Events, Forwarder, GREETER_PROTO, assert_orderly, gateway, greet, greeter_service, listed,
    lone_options, pets_service, registered, tonic_greeter, until_state, within,
};
use tonic::Code;
use tower_gwag::{ErrorKind, Hold, LeaveOutcome, Options, Registration, Service, State, Status};
use tower_gwag_gateway::{EmbeddedGateway, Rpc, Tier};

/// Beats so often that no test waits for one.
const BEAT: Duration = Duration::from_millis(50);

fn status(registration: &Registration) -> Status {
    registration.status().borrow().clone()
}

async fn until_received(gateway: &EmbeddedGateway, rpc: Rpc, count: u64) {
    let received = gateway.wait_until(|now| now.rpc_counts.of(rpc).received >= count);
    within(&format!("{count} calls of {rpc}"), received).await;
}

#[tokio::test]
async fn beats_keep_a_short_registration_alive_past_several_ttls() {
    let gateway = EmbeddedGateway::builder().sweep_interval(BEAT);
    let gateway = gateway.start().await.expect("started");
    let ttl = Duration::from_secs(1);
    let server = tonic_greeter(lone_options(&gateway).ttl(ttl)).await;
    registered(&server.registration).await;
    let first = listed(&gateway, 1).await.remove(0);
    assert_eq!(first.ttl, ttl);
    let start = Instant::now();
    until_received(&gateway, Rpc::Heartbeat, 10).await;
    assert!(start.elapsed() > 2 * ttl, "{:?}", start.elapsed());
    assert_eq!(listed(&gateway, 1).await[0].id, first.id);
    assert_eq!(gateway.rpc_counts().of(Rpc::Register).received, 1);
    assert!(server.stop().await.is_clean());
    assert_orderly(&gateway);
}

#[tokio::test]
async fn an_evicted_registration_is_made_again() {
    let gateway = gateway().await;
    let (options, events) = Events::of(lone_options(&gateway).heartbeat_interval(BEAT));
    let server = tonic_greeter(options).await;
    events.until_registered(1).await;
    let first = listed(&gateway, 1).await.remove(0);
    assert!(gateway.evict(&first.id));
    events.until_registered(2).await;
    let second = listed(&gateway, 1).await.remove(0);
    assert_ne!(first.id, second.id);
    assert_eq!(first.instance_id, second.instance_id);
    assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    assert!(server.stop().await.is_clean());
    listed(&gateway, 0).await;
    assert_orderly(&gateway);
}

#[tokio::test]
async fn the_states_are_reported_in_their_order() {
    let gateway = gateway().await;
    let (options, events) = Events::of(lone_options(&gateway));
    let server = tonic_greeter(options).await;
    assert_eq!(status(&server.registration).state(), State::Idle);
    registered(&server.registration).await;
    let registration = server.registration.clone();
    server.stop().await;
    let usual = [
        State::Registering,
        State::Registered,
        State::Leaving,
        State::Left,
    ];
    assert_eq!(events.states(), usual);
    assert_eq!(status(&registration).state(), State::Left);
}

#[tokio::test]
async fn with_the_gateway_down_it_serves_and_registers_once_the_gateway_comes_up() {
    let gateway = gateway().await;
    gateway.kill().await;
    let server = tonic_greeter(lone_options(&gateway)).await;
    until_state(&server.registration, State::Unreachable).await;
    let first = status(&server.registration);
    assert_eq!(first.reason_kind(), Some(ErrorKind::Unavailable));
    assert!(first.to_string().contains(&gateway.target()), "{first}");
    assert_eq!(greet(server.address).await, "Hello, Ada!");
    // Tried more than once by then, which does not count as news.
    crate::support::eventually("a second without a gateway", || {
        first.elapsed() > Duration::from_secs(1)
    })
    .await;
    assert_eq!(status(&server.registration).since(), first.since());
    gateway.revive().await.expect("revived");
    registered(&server.registration).await;
    assert!(status(&server.registration).reason().is_none());
    assert_eq!(listed(&gateway, 1).await.len(), 1);
    assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    assert!(server.stop().await.is_clean());
    assert_orderly(&gateway);
}

#[tokio::test]
async fn a_restarted_gateway_is_registered_with_again_once() {
    let gateway = gateway().await;
    // The next heartbeat is 10 s away: the end of the connection reveals it.
    let (options, events) = Events::of(lone_options(&gateway));
    let server = tonic_greeter(options).await;
    events.until_registered(1).await;
    gateway.restart().await.expect("restarted");
    events.until_registered(2).await;
    assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    assert_eq!(gateway.registrations().len(), 1);
    assert_eq!(gateway.rpc_counts().of(Rpc::Register).received, 2);
    assert!(server.stop().await.is_clean());
    assert_orderly(&gateway);
}

#[tokio::test]
async fn a_lost_connection_costs_no_second_registration() {
    let gateway = gateway().await;
    let network = Forwarder::to(gateway.address()).await;
    let options = Options::new(network.address).service(greeter_service());
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    network.cut();
    // Looked into at once, though the next beat was 10 s away.
    until_received(&gateway, Rpc::Heartbeat, 1).await;
    assert_eq!(network.connections(), 2);
    until_state(&server.registration, State::Registered).await;
    assert_eq!(
        gateway.rpc_counts().of(Rpc::Register).received,
        2,
        "one is the hold's"
    );
    assert!(server.stop().await.is_clean());
}

#[tokio::test]
async fn a_frozen_gateway_is_waited_for_and_not_registered_with_twice() {
    let gateway = gateway().await;
    let (options, events) = Events::of(lone_options(&gateway).heartbeat_interval(BEAT));
    let server = tonic_greeter(options).await;
    events.until_registered(1).await;
    gateway.freeze();
    until_state(&server.registration, State::Unreachable).await;
    let slow = status(&server.registration);
    assert_eq!(slow.reason_kind(), Some(ErrorKind::TimedOut), "{slow}");
    assert_eq!(greet(server.address).await, "Hello, Ada!");
    gateway.thaw();
    until_state(&server.registration, State::Registered).await;
    let beats = gateway.rpc_counts().of(Rpc::Heartbeat).received;
    until_received(&gateway, Rpc::Heartbeat, beats + 2).await;
    assert_eq!(gateway.registrations().len(), 1);
    assert_eq!(gateway.rpc_counts().of(Rpc::Register).received, 1);
    assert!(server.stop().await.is_clean());
    assert_orderly(&gateway);
}

#[tokio::test]
async fn a_gateway_that_is_frozen_at_the_start_gets_one_registration() {
    let gateway = gateway().await;
    gateway.freeze();
    let server = tonic_greeter(lone_options(&gateway)).await;
    assert_eq!(greet(server.address).await, "Hello, Ada!");
    // The kernel took the connection; or nothing, and it is tried again.
    gateway.thaw();
    registered(&server.registration).await;
    assert_eq!(listed(&gateway, 1).await.len(), 1);
    assert!(server.stop().await.is_clean());
    assert_orderly(&gateway);
}

#[tokio::test]
async fn a_slow_gateway_gets_one_beat_at_a_time() {
    let gateway = gateway().await;
    gateway.delay(Rpc::Heartbeat, 4 * BEAT);
    let options = lone_options(&gateway).heartbeat_interval(BEAT);
    let server = tonic_greeter(options).await;
    until_received(&gateway, Rpc::Heartbeat, 4).await;
    assert!(server.stop().await.is_clean());
    assert_orderly(&gateway);
}

/// Refused: the status has the kind, the next attempt is not soon, and the server serves.
async fn assert_refused(gateway: &EmbeddedGateway, options: Options, kind: ErrorKind) {
    let before = gateway.rpc_counts().of(Rpc::Register).received;
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Refused).await;
    let refused = status(&server.registration);
    assert_eq!(refused.reason_kind(), Some(kind), "{refused}");
    assert_eq!(greet(server.address).await, "Hello, Ada!");
    let tried = gateway.rpc_counts().of(Rpc::Register).received - before;
    assert_eq!(tried, 1, "{refused}");
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::NothingRegistered);
}

#[tokio::test]
async fn real_conflicts_are_refusals_and_leave_the_first_alone() {
    let gateway = gateway().await;
    let first = tonic_greeter(lone_options(&gateway)).await;
    registered(&first.registration).await;
    let with = |service: Service| {
        let options = Options::new(gateway.target()).hold(Hold::Off);
        options.service(service.namespace("greeter"))
    };
    let other = format!("{GREETER_PROTO}\nmessage Another {{}}\n");
    let schema = with(Service::proto(other));
    assert_refused(&gateway, schema, ErrorKind::SchemaConflict).await;
    let caps = with(greeter_service().max_concurrency(3));
    assert_refused(&gateway, caps, ErrorKind::CapsConflict).await;
    let kind = with(pets_service());
    assert_refused(&gateway, kind, ErrorKind::KindConflict).await;
    assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    assert_eq!(gateway.registrations().len(), 1);
    assert!(first.stop().await.is_clean());
    assert_orderly(&gateway);
}

#[tokio::test]
async fn a_refusal_by_the_tier_policy_is_reported() {
    let gateway = EmbeddedGateway::builder().allow_tiers([Tier::Numbered]);
    let gateway = gateway.start().await.expect("started");
    let service = greeter_service().version("unstable");
    let options = Options::new(gateway.target()).service(service);
    let options = options.hold(Hold::Off);
    assert_refused(&gateway, options, ErrorKind::TierRefused).await;
}

#[tokio::test]
async fn a_refusal_that_a_gateway_wraps_in_other_words_is_reported_with_its_text() {
    let gateway = gateway().await;
    let text = "rpc: greeter/v1 already registered with different schema hash (node b)";
    gateway.refuse_next(Rpc::Register, 1, Code::Unknown, text);
    let (options, events) = Events::of(lone_options(&gateway));
    assert_refused(&gateway, options, ErrorKind::SchemaConflict).await;
    let told = |event: &tower_gwag::Event| event.to_string().contains("different schema hash");
    // The report says once more why nothing was registered.
    let is_report = |event: &tower_gwag::Event| matches!(event, tower_gwag::Event::Left(_));
    let all = events.all();
    let (reports, events): (Vec<_>, Vec<_>) = all.iter().partition(|event| is_report(event));
    assert_eq!(events.into_iter().filter(|event| told(event)).count(), 1);
    assert_eq!(reports.into_iter().filter(|event| told(event)).count(), 1);
}

#[tokio::test]
async fn a_refusal_by_the_gateways_store_is_tried_again_soon() {
    let gateway = gateway().await;
    let text = "controlplane: kv put: nats: timeout";
    gateway.refuse_next(Rpc::Register, 2, Code::Unknown, text);
    let (options, events) = Events::of(lone_options(&gateway));
    let start = Instant::now();
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    // Content that is refused rests for 30 s at the least.
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(events.states().contains(&State::Unreachable));
    assert!(!events.states().contains(&State::Refused));
    assert_eq!(gateway.rpc_counts().of(Rpc::Register).received, 3);
    assert!(server.stop().await.is_clean());
    assert_orderly(&gateway);
}

#[tokio::test]
async fn the_reason_is_the_latest_one_though_the_state_is_the_same() {
    let gateway = gateway().await;
    let text = "controlplane: kv put: nats: timeout";
    gateway.refuse_next(Rpc::Register, usize::MAX, Code::Unknown, text);
    let (options, events) = Events::of(lone_options(&gateway));
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Unreachable).await;
    let first = status(&server.registration);
    assert!(first.to_string().contains("kv put"), "{first}");
    gateway.kill().await;
    crate::support::eventually("the closed port is the reason", || {
        let now = status(&server.registration).to_string();
        now.contains("cannot be reached")
    })
    .await;
    assert_eq!(status(&server.registration).since(), first.since());
    assert_eq!(events.states(), [State::Registering, State::Unreachable]);
    server.stop().await;
}

#[tokio::test]
async fn a_refused_beat_is_asked_again_and_does_not_register_again() {
    let gateway = gateway().await;
    let options = lone_options(&gateway).heartbeat_interval(BEAT);
    let (options, events) = Events::of(options);
    let server = tonic_greeter(options).await;
    events.until_registered(1).await;
    gateway.refuse_next(Rpc::Heartbeat, 1, Code::Unavailable, "going down");
    let usual = [State::Registering, State::Registered];
    let told = [usual.as_slice(), &[State::Unreachable, State::Registered]].concat();
    events
        .until("told of both", |_| events.states() == told)
        .await;
    assert_eq!(gateway.rpc_counts().of(Rpc::Register).received, 1);
    assert!(server.stop().await.is_clean());
    assert_orderly(&gateway);
}

/// A gateway lists an entry until its lease ends, whoever it refuses.
#[tokio::test]
async fn what_the_gateway_lists_does_not_hide_that_it_refuses_beats() {
    let gateway = gateway().await;
    let options = lone_options(&gateway).heartbeat_interval(BEAT);
    let (options, events) = Events::of(options);
    let server = tonic_greeter(options).await;
    events.until_registered(1).await;
    let refuses = (Code::Unauthenticated, "the token has expired");
    gateway.refuse_next(Rpc::Heartbeat, usize::MAX, refuses.0, refuses.1);
    until_state(&server.registration, State::Refused).await;
    // By the second look, what the first one found is known.
    let looks = gateway.rpc_counts().of(Rpc::ListServices).received;
    until_received(&gateway, Rpc::ListServices, looks + 2).await;
    let told = [State::Registering, State::Registered, State::Refused];
    assert_eq!(events.states(), told);
    gateway.refuse_next(Rpc::Heartbeat, 0, refuses.0, refuses.1);
    until_state(&server.registration, State::Registered).await;
    assert_eq!(gateway.rpc_counts().of(Rpc::Register).received, 1);
    assert!(server.stop().await.is_clean());
}

#[tokio::test]
async fn a_panic_in_the_event_callback_harms_nothing() {
    let gateway = gateway().await;
    let options = lone_options(&gateway).on_event(|event| panic!("on {event}"));
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    assert!(server.stop().await.is_clean());
    listed(&gateway, 0).await;
}
