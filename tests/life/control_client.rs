//! The typed client of a control plane, for tools.

use std::time::Duration;

use tower_gwag::control::proto::{RegisterRequest, ServiceBinding};
use tower_gwag::control::{Client, RouteProbe};
use tower_gwag::{ErrorKind, Options};
use tower_gwag_gateway::{Profile, Rpc};

use crate::support::{GREETER_PROTO, assert_orderly, gateway, within};

fn greeter(address: &str) -> RegisterRequest {
    RegisterRequest {
        addr: address.to_owned(),
        services: vec![ServiceBinding {
            namespace: "greeter".to_owned(),
            proto_source: GREETER_PROTO.as_bytes().to_vec(),
            ..ServiceBinding::default()
        }],
        ttl_seconds: 60,
        instance_id: "by hand".to_owned(),
    }
}

#[tokio::test]
async fn it_registers_looks_and_operates() {
    let gateway = tower_gwag_gateway::EmbeddedGateway::builder()
        .profile(Profile::Clustered)
        .start()
        .await
        .expect("a gateway");
    let client = Client::new(gateway.target()).expect("a client");
    assert_eq!(client.target(), gateway.target());
    let granted = client.register(greeter("127.0.0.1:1")).await;
    let granted = granted.expect("registered");
    assert_eq!(granted.ttl_seconds, 60);
    assert!(
        client
            .heartbeat(&granted.registration_id)
            .await
            .expect("an answer")
    );
    assert!(!client.heartbeat("unknown").await.expect("an answer"));
    let registrations = client.registrations().await.expect("a list");
    assert_eq!(registrations[0].instance_id, "by hand");
    // A clustered gateway mounts what it took a moment later.
    gateway
        .wait_until(|view| view.services.iter().any(|it| it.namespace == "greeter"))
        .await;
    let listed = client.services().await.expect("a list");
    assert!(listed.services.iter().any(|it| it.namespace == "greeter"));
    assert_eq!(listed.stable_vn.get("greeter"), Some(&1));
    assert_eq!(client.peers().await.expect("a list").len(), 1);
    let route = client.probe_route("/greeter.v1.Greeter/Nothing").await;
    assert_eq!(route, RouteProbe::NoRoute);
    let deprecated = client.deprecate("greeter", "v1", "v2 is better").await;
    deprecated.expect("deprecated");
    let reason = client
        .undeprecate("greeter", "v1")
        .await
        .expect("taken back");
    assert_eq!(reason, "v2 is better");
    let refused = client.retract_stable("greeter", 7).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest, "{refused}");
    let refused = client.register(greeter("")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest, "{refused}");
    let deregistered = client.deregister(granted.registration_id).await;
    deregistered.expect("deregistered");
    assert!(client.registrations().await.expect("a list").is_empty());
    assert_orderly(&gateway);
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_taken_back() {
    let gateway = gateway().await;
    let client = Client::new(gateway.target()).expect("a client");
    gateway.delay(Rpc::Register, Duration::from_millis(300));
    let register = client.register(greeter("127.0.0.1:1"));
    assert!(
        tokio::time::timeout(Duration::from_millis(50), register)
            .await
            .is_err()
    );
    let taken_back = gateway.wait_until(|_| {
        let counts = gateway.rpc_counts();
        counts.of(Rpc::Register).answered == 1 && counts.of(Rpc::Deregister).answered == 1
    });
    within("registered and taken back", taken_back).await;
    assert!(gateway.registrations().is_empty());
    assert_orderly(&gateway);
}

#[tokio::test]
async fn wrong_options_and_a_gateway_that_is_away_are_reported() {
    let wrong = Client::new("gateway").unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::InvalidGatewayAddress, "{wrong}");
    let wrong = Options::new("gateway:1")
        .metadata("a b", "c")
        .control_clients();
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::InvalidMetadata);
    let several = Options::new(["gateway:1", "other:2"]).control_clients();
    assert_eq!(several.expect("clients").len(), 2);
    let away = Client::new("127.0.0.1:1").expect("a client");
    let error = away.services().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    let outside = std::thread::spawn(|| Client::new("127.0.0.1:1").map(|_| ()));
    let outside = outside.join().expect("no panic").unwrap_err();
    assert_eq!(outside.kind(), ErrorKind::Misuse, "{outside}");
}
