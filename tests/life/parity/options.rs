//! The fields of Go's `Options`.

use std::time::Duration;

use tonic::transport::Endpoint;
use tower_gwag::{ErrorKind, Event, Hold, Options, State};
use tower_gwag_gateway::Rpc;

use super::{NOWHERE, sent, start};
use crate::control::Recorder;
use crate::support::{
    Events, Log, PET_7, gateway, greeter_options, greeter_service, listed, pet_through, pets_app,
    pets_options, pets_service, plain, registered, tonic_greeter_on, until_state, within,
};

#[tokio::test]
async fn row_gateway_addr() {
    let gateway = gateway().await;
    let port = gateway.address().port();
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"));
    for options in [
        Options::new(gateway.address()),
        Options::new(format!("127.0.0.1:{port}")),
        Options::new(format!("localhost:{port}")),
        Options::new(format!("http://127.0.0.1:{port}")),
        Options::new(endpoint.expect("an address")),
        // Several: `tests/failover.rs`.
        Options::new([gateway.target(), "127.0.0.1:1".to_owned()]),
    ] {
        let what = format!("{options:?}");
        let registration = start(options.service(greeter_service()));
        within(&what, registration.registered()).await.expect(&what);
        registration.leave().await;
    }
    let error = Options::new("").service(greeter_service()).check();
    let error = error.expect_err("required");
    assert_eq!(error.kind(), ErrorKind::InvalidGatewayAddress);
}

#[tokio::test]
async fn row_service_addr() {
    // The default is the bound address.
    let (request, _) = sent(|options| options.service(greeter_service())).await;
    assert_eq!(plain(&request.addr), NOWHERE.to_string());
    // As the user spells it: another spelling is another connection of the gateway.
    let odd = "127.0.0.1:050051";
    let (request, _) = sent(|it| {
        let it = it.service(greeter_service()).advertise(odd);
        it.verbatim_address()
    })
    .await;
    assert_eq!(request.addr, odd);
    let (request, _) = sent(|it| {
        it.service(greeter_service())
            .advertise_host("greeter.svc.cluster.local")
    })
    .await;
    assert_eq!(plain(&request.addr), "greeter.svc.cluster.local:50051");
}

/// Port 0 and 0.0.0.0 are resolved by the listener.
#[tokio::test]
async fn row_service_addr_of_a_listener() {
    let gateway = gateway().await;
    let options = greeter_options(&gateway).advertise_host("localhost");
    let server = tonic_greeter_on("0.0.0.0:0", options).await;
    let port = server.address.port();
    let entry = listed(&gateway, 1).await.remove(0);
    assert_eq!(plain(&entry.addr), format!("localhost:{port}"));
    server.stop().await;
}

#[tokio::test]
async fn row_service_addr_is_a_base_url_for_openapi() {
    let gateway = gateway().await;
    let (listener, address) = crate::support::servers::bind("127.0.0.1:0").await;
    let base = format!("http://{address}/base");
    let app = axum::Router::new().nest("/base", pets_app());
    let options = pets_options(&gateway).advertise(&base);
    let server = crate::support::servers::serve_axum(options, listener, address, app);
    registered(&server.registration).await;
    assert_eq!(listed(&gateway, 1).await[0].addr, base);
    assert_eq!(pet_through(&gateway).await, PET_7);
    server.stop().await;
}

#[tokio::test]
async fn the_path_of_an_openapi_service_completes_the_bound_address() {
    let gateway = gateway().await;
    let (listener, address) = crate::support::servers::bind("127.0.0.1:0").await;
    let app = axum::Router::new().nest("/base", pets_app());
    let options = pets_options(&gateway).advertise_path("/base/");
    let server = crate::support::servers::serve_axum(options, listener, address, app);
    registered(&server.registration).await;
    let advertised = format!("http://{address}/base");
    assert_eq!(listed(&gateway, 1).await[0].addr, advertised);
    assert_eq!(pet_through(&gateway).await, PET_7);
    // It is the bound address, so a call proves the route.
    until_state(&server.registration, State::Routed).await;
    server.stop().await;
}

#[tokio::test]
async fn row_services() {
    let second = greeter_service().version("v2");
    let all = [greeter_service(), second, pets_service()];
    let (request, view) = sent(|options| options.services(all)).await;
    assert_eq!(request.services.len(), 3);
    let entry = &view.registrations[0];
    let names = ["greeter/v1", "greeter/v2", "Pet_Store_API/v1"];
    assert_eq!(entry.namespaces, names);
    let error = Options::new("g:1").check().expect_err("empty");
    assert_eq!(error.kind(), ErrorKind::NoServices);
}

#[tokio::test]
async fn row_instance_id() {
    let options = |it: Options| it.service(greeter_service());
    let (request, view) = sent(|it| options(it).instance_id("pod 7/blue")).await;
    assert_eq!(request.instance_id, "pod 7/blue");
    assert_eq!(view.registrations[0].instance_id, "pod 7/blue");
    let (request, _) = sent(options).await;
    let id = request.instance_id;
    let host = id.strip_prefix("greeter@").expect("the namespace first");
    let host = host.strip_suffix(":50051").expect("the port last");
    assert!(!host.is_empty(), "{id}");
}

#[tokio::test]
async fn row_ttl() {
    let options = |it: Options| it.service(greeter_service());
    let (request, view) = sent(options).await;
    assert_eq!(request.ttl_seconds, 0, "the gateway's own default");
    let default = Duration::from_secs(30);
    assert_eq!(view.registrations[0].ttl, default);
    let ttl = Duration::from_secs(7);
    let (request, view) = sent(|it| options(it).ttl(ttl)).await;
    assert_eq!(request.ttl_seconds, 7);
    assert_eq!(view.registrations[0].ttl, ttl);
    let truncated = Duration::from_millis(1_500);
    let error = options(Options::new("g:1")).ttl(truncated).check();
    let error = error.expect_err("never truncated");
    assert_eq!(error.kind(), ErrorKind::InvalidTtl);
}

/// The intervals between beats, from the first on.
async fn intervals(options: impl FnOnce(Options) -> Options) -> Vec<Duration> {
    let gateway = gateway().await;
    let recorder = Recorder::before(&gateway).await;
    let options = options(Options::new(recorder.address)).service(greeter_service());
    let options = options.hold(Hold::Off);
    let registration = start(options);
    let beats = gateway.wait_until(|now| now.rpc_counts.of(Rpc::Heartbeat).answered >= 5);
    within("beats", beats).await;
    registration.leave().await;
    let beats = recorder.calls("Heartbeat");
    let pairs = beats.windows(2);
    pairs.map(|pair| pair[1].at - pair[0].at).collect()
}

#[tokio::test]
async fn row_heartbeat_interval() {
    // On average, since a busy machine delays one and shortens the next; never twice as slow.
    let average = |all: &[Duration]| all.iter().sum::<Duration>().as_millis() / all.len() as u128;
    let given = intervals(|it| it.heartbeat_interval(Duration::from_millis(100))).await;
    assert!((80..200).contains(&average(&given)), "{given:?}");
    let third = intervals(|it| it.ttl(Duration::from_secs(1))).await;
    assert!((280..500).contains(&average(&third)), "{third:?}");
    let slow = Options::new("g:1").service(greeter_service());
    let slow = slow.heartbeat_interval(Duration::from_secs(16)).check();
    let error = slow.expect_err("half of the default 30 s is the most");
    assert_eq!(error.kind(), ErrorKind::InvalidHeartbeatInterval);
}

/// Plaintext by default (every other test); here an Endpoint of the user's own, and headers. TLS:
/// `tests/tls.rs`.
#[tokio::test]
async fn row_dial_options() {
    let gateway = gateway().await;
    let recorder = Recorder::before(&gateway).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", recorder.address));
    let endpoint = endpoint.expect("an address").user_agent("mine/1.0");
    let options = Options::new(endpoint.expect("a user agent"))
        .service(greeter_service())
        .metadata("x-team", "blue");
    let registration = start(options);
    registered(&registration).await;
    registration.leave().await;
    for method in ["Register", "Deregister"] {
        let headers = &recorder.calls(method)[0].headers;
        let agent = headers["user-agent"].to_str().expect("text");
        assert!(agent.starts_with("mine/1.0"), "{agent}");
        assert_eq!(headers["x-team"], "blue");
    }
}

/// `tracing` events, one per change of state, and the `on_event` callback.
#[tokio::test]
async fn row_logger() {
    // Of this thread, on which the whole test runs.
    let (log, _guard) = Log::of("info");
    let gateway = gateway().await;
    gateway.kill().await;
    let (options, events) = Events::of(greeter_options(&gateway));
    let registration = start(options);
    until_state(&registration, State::Unreachable).await;
    gateway.revive().await.expect("revived");
    registered(&registration).await;
    registration.leave().await;
    let text = log.text();
    let lines = |part: &str| {
        let ours = text.lines().filter(|line| line.contains("tower_gwag: "));
        ours.filter(|line| line.contains(part)).count()
    };
    assert_eq!(lines("tower_gwag: Registering"), 1, "{text}");
    assert_eq!(lines("tower_gwag: Unreachable"), 1, "{text}");
    assert_eq!(lines("tower_gwag: Registered"), 1, "{text}");
    assert_eq!(lines("tower_gwag: Leaving"), 1, "{text}");
    assert_eq!(lines("deregistered"), 1, "the report: {text}");
    let left = |event: &Event| matches!(event, Event::Left(_));
    assert!(events.all().last().is_some_and(left));
}

#[tokio::test]
async fn row_build_tag() {
    let options = |version: &str| {
        let options = Options::new("g:1").build_tag("release-42");
        options.service(greeter_service().version(version))
    };
    let error = options("unstable").check().expect_err("a release");
    assert_eq!(error.kind(), ErrorKind::UnstableInTaggedBuild);
    assert!(error.to_string().contains("release-42"), "{error}");
    options("v1").check().expect("vN is what a release has");
}
