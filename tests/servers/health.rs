//! Probes through a whole life: `/readyz` by HTTP, and gRPC health checking.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get as route;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::Code;
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower_gwag::{ErrorKind, GwagRegistrationLayer, Options, Readiness, Registration, State};
use tower_gwag_gateway::EmbeddedGateway;

use crate::support::greeter::greeter_server::GreeterServer;
use crate::support::servers::{TestGreeter, bind};
use crate::support::{
    Events, eventually, gateway, get, greet, greeter_client, greeter_options, greeter_service,
    hello, in_flight, listed, registered, until_state, within,
};

/// A greeter with its health service, and its probes on a server of their own.
struct Probed {
    registration: Registration,
    address: SocketAddr,
    probes: String,
    seen: Arc<Mutex<Vec<ServingStatus>>>,
    hold: Arc<tokio::sync::Semaphore>,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
}

impl Probed {
    async fn serve(options: Options) -> Self {
        let layer = GwagRegistrationLayer::new(options);
        let registration = layer.registration();
        let app = Router::new()
            .route("/readyz", route(registration.readyz()))
            .route("/livez", route(registration.livez()));
        let (probes, at) = bind("127.0.0.1:0").await;
        tokio::spawn(async move { axum::serve(probes, app).await });
        let probes = format!("http://{at}");
        let (code, report) = Self::probe(&probes, "readyz").await;
        assert_eq!((code, &report["ready"]), (503, &Value::Bool(false)));
        assert_eq!(report["why"], "the server does not accept connections yet");

        let (listener, address) = bind("127.0.0.1:0").await;
        let incoming = registration.incoming(listener).expect("wrapped");
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = registration.shutdown(stopped);
        let greeter = TestGreeter::default();
        let hold = greeter.hold();
        let health = registration.health_service([GreeterServer::<TestGreeter>::NAME]);
        let served = tokio::spawn(async move {
            let server = Server::builder()
                .layer(layer)
                .add_service(health)
                .add_service(GreeterServer::new(greeter));
            let served = server
                .serve_with_incoming_shutdown(incoming, shutdown)
                .await;
            served.expect("served");
        });
        let seen = Arc::<Mutex<Vec<ServingStatus>>>::default();
        let list = Arc::clone(&seen);
        let mut watch = health_client(address).await;
        let request = HealthCheckRequest::default();
        let mut stream = watch.watch(request).await.expect("watched").into_inner();
        tokio::spawn(async move {
            while let Ok(Some(status)) = stream.message().await {
                list.lock().unwrap().push(status.status());
            }
        });
        Self {
            registration,
            address,
            probes,
            seen,
            hold,
            stop,
            served,
        }
    }

    async fn probe(probes: &str, path: &str) -> (u16, Value) {
        let (code, body) = get(&format!("{probes}/{path}")).await;
        (code, serde_json::from_str(&body).expect("JSON"))
    }

    async fn readyz(&self) -> (u16, Value) {
        Self::probe(&self.probes, "readyz").await
    }

    #[track_caller]
    fn saw(&self, expected: &[ServingStatus]) {
        assert_eq!(*self.seen.lock().unwrap(), expected);
    }
}

async fn health_client(address: SocketAddr) -> HealthClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let channel = within("a connection", endpoint.connect()).await;
    HealthClient::new(channel.expect("connected"))
}

async fn revived(gateway: &EmbeddedGateway, server: &Probed) {
    gateway.revive().await.expect("the same ports");
    until_state(&server.registration, State::Registered).await;
}

use ServingStatus::{NotServing, ServiceUnknown, Serving};

#[tokio::test]
async fn a_gateway_that_is_away_takes_nothing_out_of_rotation() {
    let gateway = gateway().await;
    gateway.kill().await;
    let server = Probed::serve(greeter_options(&gateway)).await;
    until_state(&server.registration, State::Unreachable).await;
    let (code, report) = server.readyz().await;
    assert_eq!(
        (code, &report["state"]),
        (200, &"Unreachable".into()),
        "{report}"
    );
    let reason = report["reason"].as_str().expect("a reason");
    assert!(reason.contains("cannot be reached"), "{report}");
    revived(&gateway, &server).await;
    // An eviction, and a restart.
    gateway.evict_all();
    gateway.kill().await;
    until_state(&server.registration, State::Unreachable).await;
    assert_eq!(server.readyz().await.0, 200);
    revived(&gateway, &server).await;
    let (code, report) = server.readyz().await;
    assert_eq!(
        (code, &report["mode"]),
        (200, &"serving".into()),
        "{report}"
    );
    server.saw(&[Serving]);

    // A call is in flight: the server serves on, and is not ready from the first moment on.
    let mut client = greeter_client(server.address).await;
    let held = tokio::spawn(async move { client.hello(hello("hold")).await });
    in_flight(&server.registration, 1).await;
    server.stop.send(()).expect("served");
    eventually("not serving", || server.seen.lock().unwrap().len() == 2).await;
    let (code, report) = Probed::probe(&server.probes, "readyz").await;
    assert_eq!(
        (code, &report["why"]),
        (503, &"the server is leaving".into()),
        "{report}"
    );
    assert_eq!(Probed::probe(&server.probes, "livez").await.0, 200);
    assert_eq!(greet(server.address).await, "Hello, Ada!");
    server.hold.add_permits(1);
    held.await.expect("no panic").expect("answered");
    within("the end", server.served).await.expect("served");
    let report = server.registration.finish().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(*server.seen.lock().unwrap(), [Serving, NotServing]);
    let (code, report) = Probed::probe(&server.probes, "readyz").await;
    assert_eq!((code, &report["state"]), (503, &"Left".into()), "{report}");
}

/// The command that `GWAG_GATEWAY_RESTART` holds ends the gateway that `GWAG_GATEWAY` names, and starts it again
/// some seconds later.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_a_real_gateway_takes_nothing_out_of_rotation() {
    let read = |name| {
        std::env::var(name)
            .ok()
            .filter(|it: &String| !it.is_empty())
    };
    let (Some(target), Some(restart)) = (read("GWAG_GATEWAY"), read("GWAG_GATEWAY_RESTART")) else {
        println!("skipped: GWAG_GATEWAY and GWAG_GATEWAY_RESTART are not set");
        return;
    };
    for mode in [Readiness::Serving, Readiness::Registered] {
        let options = Options::new(&target)
            .service(greeter_service().namespace("probed"))
            .heartbeat_interval(std::time::Duration::from_millis(500))
            .readiness(mode);
        let (options, events) = Events::of(options);
        let server = Probed::serve(options).await;
        // At most one answer of each kind in a row, from the first moment on.
        let answers = Arc::<Mutex<Vec<(u16, String)>>>::default();
        let (list, probes) = (Arc::clone(&answers), server.probes.clone());
        let asking = tokio::spawn(async move {
            loop {
                let (code, report) = Probed::probe(&probes, "readyz").await;
                let answer = (code, report["why"].as_str().unwrap_or_default().to_owned());
                {
                    let mut list = list.lock().unwrap();
                    if list.last() != Some(&answer) {
                        list.push(answer);
                    }
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        });
        registered(&server.registration).await;
        let done = tokio::process::Command::new("sh")
            .args(["-c", &restart])
            .status();
        assert!(done.await.expect("sh").success());
        let patience = std::time::Duration::from_secs(90);
        let back = events.until_registered(2);
        tokio::time::timeout(patience, back)
            .await
            .expect("registered again");
        assert!(
            events.states().contains(&State::Unreachable),
            "{:?}",
            events.states()
        );
        server.stop.send(()).expect("served");
        within("the end", server.served).await.expect("served");
        eventually("not ready", || {
            answers.lock().unwrap().last().is_some_and(|it| it.0 == 503)
        })
        .await;
        asking.abort();
        let codes: Vec<u16> = answers.lock().unwrap().iter().map(|it| it.0).collect();
        println!(
            "RESULT mode={mode:?} states={:?} readyz={:?} grpc={:?}",
            events.states(),
            answers.lock().unwrap(),
            server.seen.lock().unwrap()
        );
        let mut codes_in_turn = codes.clone();
        codes_in_turn.dedup();
        let seen = server.seen.lock().unwrap().clone();
        match mode {
            Readiness::Serving => {
                assert_eq!(codes_in_turn, [200, 503]);
                assert_eq!(seen, [Serving, NotServing]);
            }
            _ => {
                assert_eq!(codes_in_turn.iter().filter(|it| **it == 200).count(), 1);
                assert_eq!(seen, [NotServing, Serving, NotServing]);
            }
        }
    }
}

#[tokio::test]
async fn a_strict_server_is_ready_once_it_is_registered_and_stays_so() {
    let gateway = gateway().await;
    gateway.kill().await;
    let options = greeter_options(&gateway).readiness(Readiness::Registered);
    let server = Probed::serve(options).await;
    until_state(&server.registration, State::Unreachable).await;
    let (code, report) = server.readyz().await;
    assert_eq!(code, 503, "{report}");
    assert_eq!(
        report["why"],
        "the gateway has not accepted the registration yet"
    );
    revived(&gateway, &server).await;
    eventually("serving", || server.seen.lock().unwrap().len() == 2).await;
    assert_eq!(server.readyz().await.0, 200);
    gateway.kill().await;
    until_state(&server.registration, State::Unreachable).await;
    assert_eq!(server.readyz().await.0, 200, "it is latched");
    let mut client = health_client(server.address).await;
    let named = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    let answer = client
        .check(named(GreeterServer::<TestGreeter>::NAME))
        .await;
    assert_eq!(answer.expect("known").into_inner().status(), Serving);
    let answer = client.check(named("nobody")).await;
    assert_eq!(answer.expect_err("unknown").code(), Code::NotFound);
    let unknown = client.watch(named("nobody")).await.expect("a stream");
    let first = unknown.into_inner().message().await.expect("open");
    assert_eq!(first.expect("a status").status(), ServiceUnknown);
    server.saw(&[NotServing, Serving]);
    server.stop.send(()).expect("served");
    within("the end", server.served).await.expect("served");
    assert_eq!(
        *server.seen.lock().unwrap(),
        [NotServing, Serving, NotServing]
    );
}

#[tokio::test]
async fn routed_is_proved_by_a_call_and_refused_where_nothing_can_prove_it() {
    let gateway = gateway().await;
    let options = greeter_options(&gateway).readiness(Readiness::Routed);
    let server = Probed::serve(options.clone()).await;
    listed(&gateway, 1).await;
    registered(&server.registration).await;
    assert_eq!(server.readyz().await.0, 503);
    within("a call through the gateway", async {
        while server.readyz().await.0 != 200 {
            greet(gateway.address()).await;
        }
    })
    .await;
    assert_eq!(server.readyz().await.1["why"], "the gateway has called it");
    server.stop.send(()).expect("served");
    within("the end", server.served).await.expect("served");

    let refused = async |options: Options| {
        let registration = GwagRegistrationLayer::new(options).registration();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        registration.incoming(listener).map(drop)
    };
    for elsewhere in [
        "127.0.0.1:1",
        "192.0.2.1:80",
        "pets.example:80",
        "unix:///run/pets",
    ] {
        let error = refused(options.clone().advertise(elsewhere)).await;
        let error = error.expect_err(elsewhere);
        assert_eq!(error.kind(), ErrorKind::InvalidAdvertisedAddress);
        assert!(
            error.to_string().contains("`Routed` cannot be proved"),
            "{error}"
        );
    }
    refused(options.clone().advertise_host("127.0.0.1"))
        .await
        .expect("the bound address");
    let other = options.clone().advertise_host("192.0.2.1");
    assert!(refused(other.clone()).await.is_err());
    refused(other.readiness(Readiness::Registered))
        .await
        .expect("needs no proof");
}

#[tokio::test]
async fn a_server_that_is_switched_off_is_ready() {
    let options = Options::disabled().readiness(Readiness::Registered);
    let registration = GwagRegistrationLayer::new(options).registration();
    let app = Router::new().route("/readyz", route(registration.readyz()));
    let (listener, address) = bind("127.0.0.1:0").await;
    tokio::spawn(async move { axum::serve(listener, app).await });
    let (code, report) = Probed::probe(&format!("http://{address}"), "readyz").await;
    assert_eq!(
        (code, &report["state"]),
        (200, &"Disabled".into()),
        "{report}"
    );
}
