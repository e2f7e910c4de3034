//! What the tests share: a gateway, servers on real sockets, and waiting with a deadline.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test binary uses a part, as a module of its own"
)]

pub mod clock;
pub mod events;
pub mod log;
pub mod net;
pub mod servers;

use std::time::Duration;

use tower_gwag::{Hold, Options, Registration, Service, State};
use tower_gwag_gateway::{EmbeddedGateway, RegistrationView};

pub use clock::Clock;
pub use events::Events;
pub use log::{Log, log_to};
pub use net::{Forwarder, get};
pub use servers::{Running, axum_app, axum_app_on, pets_app, tonic_greeter, tonic_greeter_on};

/// Included, not a file of its own: rustfmt must leave it as it was generated.
#[allow(clippy::all, clippy::pedantic)]
pub mod greeter {
    include!("../../examples/greeter/generated.rs");
}

use greeter::greeter_client::GreeterClient;
use greeter::{GreetingsRequest, HelloRequest};

pub const GREETER_PROTO: &str = include_str!("../../examples/greeter/proto/greeter.proto");

pub const PETS_OPENAPI: &str = r#"{
  "openapi": "3.0.3",
  "info": {"title": "Pet Store API!", "version": "1"},
  "paths": {
    "/pets": {"get": {"operationId": "listPets", "responses": {"200": {"description": "ok"}}}},
    "/pets/{id}": {"get": {"operationId": "getPet",
      "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
      "responses": {"200": {"description": "ok"}}}}
  }
}"#;

/// Far above what anything takes here, so that only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(20);

/// What must not take long is done in this time, on a busy machine too.
pub const PROMPTLY: Duration = Duration::from_secs(2);

/// Waits for the end of a process, which is killed at the deadline.
pub fn end_of(process: &mut std::process::Child) -> std::process::ExitStatus {
    let begun = std::time::Instant::now();
    loop {
        if let Some(status) = process.try_wait().expect("a process") {
            return status;
        }
        if begun.elapsed() > DEADLINE {
            process.kill().expect("killed");
            // Killed, it ends at once.
            process.wait().expect("ended");
            panic!("the process did not end within {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits with a deadline; names what did not happen.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("did not happen within {DEADLINE:?}: {what}"),
    }
}

/// Resolves when `condition` holds; for values that nobody announces. Polls, with a deadline.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    within(what, async {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        while !condition() {
            tick.tick().await;
        }
    })
    .await;
}

pub async fn gateway() -> EmbeddedGateway {
    EmbeddedGateway::builder()
        .start()
        .await
        .expect("the embedded gateway starts")
}

pub fn greeter_service() -> Service {
    let service = Service::proto(GREETER_PROTO).namespace("greeter");
    service.allow(tower_gwag::Rule::CallsStreamStatus)
}

pub fn pets_service() -> Service {
    Service::openapi(PETS_OPENAPI)
}

/// For how long this thread was ready to run and had no processor: on a busy machine, what a bound
/// on a time does not count. Zero where the system does not tell, and by a [`Clock`].
pub fn waited_for_a_processor() -> Duration {
    if Clock::runs() {
        return Duration::ZERO;
    }
    waited_of("/proc/thread-self/schedstat")
}

/// The same of a file of `/proc`.
pub fn waited_of(schedstat: impl AsRef<std::path::Path>) -> Duration {
    let text = std::fs::read_to_string(schedstat).unwrap_or_default();
    let waited = text.split(' ').nth(1).and_then(|it| it.parse().ok());
    Duration::from_nanos(waited.unwrap_or(0))
}

/// The options of a greeter, repeatable.
pub fn greeter_options(gateway: &EmbeddedGateway) -> Options {
    Options::new(gateway.target())
        .seed(7)
        .service(greeter_service())
}

/// A greeter without a hold: what a test counts are the calls of one lease.
pub fn lone_options(gateway: &EmbeddedGateway) -> Options {
    greeter_options(gateway).hold(Hold::Off)
}

pub fn pets_options(gateway: &EmbeddedGateway) -> Options {
    Options::new(gateway.target())
        .seed(7)
        .service(pets_service())
}

/// What pet 7 is through a gateway.
pub const PET_7: &str = r#"{"data":{"Pet_Store_API":{"getPet":"pet 7"}}}"#;

/// Asks for pet 7 through the gateway, by GraphQL: a standalone one has no HTTP ingress.
pub async fn pet_through(gateway: &EmbeddedGateway) -> String {
    let query = "%7BPet_Store_API%7BgetPet(id:%227%22)%7D%7D";
    let url = format!("{}/api/graphql?query={query}", gateway.http_url());
    get(&url).await.1
}

/// Whatever is known beyond `Registered` is registered, too.
pub async fn until_state(registration: &Registration, state: State) {
    let mut status = registration.status();
    let is_there = |now: &tower_gwag::Status| {
        now.state() == state || state == State::Registered && now.is_registered()
    };
    within(&format!("status {state:?}"), status.wait_for(is_there))
        .await
        .expect("the registration is alive");
}

pub async fn registered(registration: &Registration) {
    within("registered", registration.registered())
        .await
        .expect("registered");
}

/// Waits until the gateway lists exactly `count` registrations of services, and returns them;
/// holds are left out.
pub async fn listed(gateway: &EmbeddedGateway, count: usize) -> Vec<RegistrationView> {
    within(
        &format!("{count} registrations listed"),
        gateway.wait_until(|now| services_of(&now.registrations).count() == count),
    )
    .await;
    services_of(&gateway.registrations()).cloned().collect()
}

pub const HOLD_NAMESPACE: &str = "_tower_gwag_hold";

/// Not a hold.
pub fn is_of_a_service(registration: &RegistrationView) -> bool {
    let is_hold = |name: &String| name.split('/').next() == Some(HOLD_NAMESPACE);
    !registration.namespaces.iter().any(is_hold)
}

/// The registrations that are not holds.
pub fn services_of(registrations: &[RegistrationView]) -> impl Iterator<Item = &RegistrationView> {
    registrations.iter().filter(|it| is_of_a_service(it))
}

/// An address without what a fresh spelling has: leading zeros of its port, or a scheme.
pub fn plain(address: &str) -> String {
    let target = address.strip_prefix("dns:///").unwrap_or(address);
    let (host, port) = target.rsplit_once(':').expect("a port");
    format!("{host}:{}", port.trim_start_matches('0'))
}

pub async fn in_flight(registration: &Registration, count: usize) {
    eventually(&format!("{count} in flight"), || {
        registration.in_flight() == count
    })
    .await;
}

/// Never two calls that change something at one time, and none given up on the wire.
#[track_caller]
pub fn assert_orderly(gateway: &EmbeddedGateway) {
    let counts = gateway.rpc_counts();
    assert_eq!(counts.mutating_cancelled, 0, "{counts:#?}");
    let most = counts
        .most_mutating_by_registration
        .values()
        .chain(counts.most_mutating_by_instance.values())
        .max();
    assert!(
        most.is_none_or(|most| *most == 1),
        "calls overlap: {counts:#?}"
    );
}

/// The same of one process, while others may call about its entries at any time.
#[track_caller]
pub fn assert_orderly_of(gateway: &EmbeddedGateway, instance_id: &str) {
    let counts = gateway.rpc_counts();
    assert_eq!(counts.mutating_cancelled, 0, "{counts:#?}");
    let most = counts.most_mutating_by_instance.get(instance_id);
    assert_eq!(most, Some(&1), "calls of {instance_id}: {counts:#?}");
}

pub async fn greeter_client(
    address: impl std::fmt::Display,
) -> GreeterClient<tonic::transport::Channel> {
    within(
        "a connection",
        GreeterClient::connect(format!("http://{address}")),
    )
    .await
    .expect("connected")
}

/// Greets through `address`: a server's own, or a gateway's.
pub async fn greet(address: impl std::fmt::Display) -> String {
    let mut client = greeter_client(address).await;
    let reply = within("an answer", client.hello(hello("Ada"))).await;
    reply.expect("answered").into_inner().greeting
}

pub fn hello(name: &str) -> HelloRequest {
    HelloRequest {
        name: name.into(),
        delay_ms: 0,
    }
}

pub fn greetings(count: i32, interval_ms: i32) -> GreetingsRequest {
    GreetingsRequest {
        name: "stream".into(),
        count,
        interval_ms,
    }
}
