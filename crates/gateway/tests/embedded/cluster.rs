//! A gateway that is a node of a cluster: accepts first, mounts later, and shares what it knows.

use std::sync::atomic::Ordering;
use std::time::Duration;

use prost::Message;
use protox::prost_reflect::prost_types;
use tonic::Code;
use tower_gwag_gateway::ErrorKind;
use tower_gwag_gateway::{EmbeddedGateway, GatewayView, Profile, Rpc};

use crate::backend::{Backend, PROTO};
use crate::caller::{Caller, http, proto, soon};

const PING: &str = "/demo.v1.Demo/Ping";
const HOLD: &str = "/demo.v1.Demo/Hold";
const HOLD_PROTO: &str = "syntax = \"proto3\"; package hold;";
/// Two services in one file: taken, and no schema can be made of it.
const POISON: &str = "syntax = \"proto3\"; package p; message M {} \
    service A { rpc X(M) returns (M); } service B { rpc Y(M) returns (M); }";

async fn node() -> (EmbeddedGateway, Caller) {
    let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
    let gateway = builder.start().await.unwrap();
    let caller = Caller::connect(&gateway.target()).await;
    (gateway, caller)
}

async fn pair() -> [(EmbeddedGateway, Caller); 2] {
    let (first, caller) = node().await;
    let second = EmbeddedGateway::builder()
        .join(&first)
        .start()
        .await
        .unwrap();
    let other = Caller::connect(&second.target()).await;
    [(first, caller), (second, other)]
}

async fn settled(gateway: &EmbeddedGateway) {
    soon(gateway.wait_until(|now| now.pending_mounts == 0)).await;
}

fn replicas(view: &GatewayView, namespace: &str) -> usize {
    let service = view.service(namespace, "v1");
    service.map_or(0, |service| service.replicas.len())
}

#[tokio::test]
async fn services_are_shared_and_registrations_are_not() {
    let [(first, one), (second, two)] = pair().await;
    let backend = Backend::start("one").await;
    let id = one
        .register(&backend.address.to_string(), "demo", PROTO)
        .await;
    for gateway in [&first, &second] {
        soon(gateway.wait_until(|now| replicas(now, "demo") == 1)).await;
    }
    for caller in [&one, &two] {
        assert_eq!(soon(caller.call(PING, b"")).await.unwrap(), "one");
    }
    assert!(second.registrations().is_empty());
    assert!(!two.beat(&id).await.unwrap());
    two.deregister(&id).await.unwrap();
    settled(&first).await;
    assert_eq!(replicas(&first.view(), "demo"), 1);
    one.deregister(&id).await.unwrap();
    for gateway in [&first, &second] {
        soon(gateway.wait_until(|now| replicas(now, "demo") == 0)).await;
    }
}

#[tokio::test]
async fn the_owner_loses_no_call_at_deregister_and_its_peer_does() {
    let [(first, one), (second, two)] = pair().await;
    let backend = Backend::start("one").await;
    let addr = backend.address.to_string();
    let id = one.register(&addr, "demo", PROTO).await;
    settled(&first).await;
    settled(&second).await;
    let calls: Vec<_> = [one.clone(), two.clone()]
        .into_iter()
        .map(|caller| tokio::spawn(async move { caller.call(HOLD, b"").await }))
        .collect();
    soon(async {
        while backend.calls.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    one.deregister(&id).await.unwrap();
    soon(second.wait_until(|now| replicas(now, "demo") == 0)).await;
    backend.release.add_permits(2);
    let mut ends = Vec::new();
    for call in calls {
        ends.push(soon(call).await.unwrap());
    }
    assert_eq!(ends[0].as_deref().unwrap(), "one");
    let status = ends[1].as_ref().unwrap_err();
    assert!(
        status
            .message()
            .contains("the client connection is closing"),
        "{status:?}"
    );
}

#[tokio::test]
async fn a_hold_keeps_the_connections_of_every_node() {
    let [(_first, one), (second, two)] = pair().await;
    let backend = Backend::start("one").await;
    let addr = backend.address.to_string();
    one.register(&addr, "_hold", HOLD_PROTO).await;
    let id = one.register(&addr, "demo", PROTO).await;
    settled(&second).await;
    let call = tokio::spawn(async move { two.call(HOLD, b"").await });
    soon(async {
        while backend.calls.load(Ordering::SeqCst) < 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    one.deregister(&id).await.unwrap();
    soon(second.wait_until(|now| replicas(now, "demo") == 0)).await;
    backend.release.add_permits(1);
    assert_eq!(soon(call).await.unwrap().unwrap(), "one");
}

#[tokio::test]
async fn what_comes_while_a_schema_blocks_is_dead_and_a_fresh_spelling_cures_it() {
    let [(first, one), (second, two)] = pair().await;
    let (before, backend) = (Backend::start("before").await, Backend::start("late").await);
    one.register(
        &before.address.to_string(),
        "before",
        &PROTO.replace("demo.v1", "before.v1"),
    )
    .await;
    let poison = one.register("127.0.0.1:1", "poison", POISON).await;
    let port = backend.address.port();
    let dead = one
        .register(&format!("127.0.0.1:{port}"), "demo", PROTO)
        .await;
    settled(&first).await;
    settled(&second).await;

    // Blocked: listed, its beats are fine, no route; what was there before works.
    for (gateway, caller) in [(&first, &one), (&second, &two)] {
        let view = gateway.view();
        let service = view.service("demo", "v1").unwrap();
        assert!(!service.routed && view.service("before", "v1").unwrap().routed);
        let status = caller.call(PING, b"").await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
        assert_eq!(
            soon(caller.call("/before.v1.Demo/Ping", b""))
                .await
                .unwrap(),
            "before"
        );
    }
    assert!(one.beat(&dead).await.unwrap());

    one.deregister(&poison).await.unwrap();
    for (gateway, caller) in [(&first, &one), (&second, &two)] {
        soon(gateway.wait_until(|now| now.service("demo", "v1").is_some_and(|it| it.routed))).await;
        let status = caller.call(PING, b"").await.unwrap_err();
        assert_eq!(status.code(), Code::Cancelled, "{status:?}");
    }

    one.register(&format!("127.0.0.1:0{port}"), "demo", PROTO)
        .await;
    one.deregister(&dead).await.unwrap();
    for (gateway, caller) in [(&first, &one), (&second, &two)] {
        settled(gateway).await;
        for _ in 0..3 {
            assert_eq!(soon(caller.call(PING, b"")).await.unwrap(), "late");
        }
    }
}

#[tokio::test]
async fn the_schema_endpoints_answer_per_namespace_also_while_blocked() {
    let (gateway, caller) = node().await;
    caller.register("127.0.0.1:1", "poison", POISON).await;
    caller.register("127.0.0.1:1", "demo", PROTO).await;
    settled(&gateway).await;
    let url = gateway.http_url();
    for (path, status, part) in [
        ("graphql?service=demo", 200, "type Demo_V1_Resp"),
        ("graphql?service=poison", 500, "collides with op"),
        ("graphql?service=demo:v1,admin", 200, "type Demo_V1_Resp"),
        ("graphql?service=demo,poison:v1", 500, "collides with op"),
        (
            "graphql?service=demo:v2",
            200,
            "type Query {\n  _status: String\n}",
        ),
        (
            "graphql?service=nobody",
            200,
            "type Query {\n  _status: String\n}",
        ),
        ("proto?service=nobody", 404, ""),
    ] {
        let (found, text) = soon(http(&url, "GET", &format!("/api/schema/{path}"), "")).await;
        assert_eq!(found, status, "{path}: {}", String::from_utf8_lossy(&text));
        assert!(String::from_utf8_lossy(&text).contains(part), "{path}");
    }
    // What is being served is older than the block.
    let (_, whole) = soon(http(&url, "GET", "/api/schema/graphql", "")).await;
    assert!(!String::from_utf8_lossy(&whole).contains("demo"));
    let (_, set) = soon(http(&url, "GET", "/api/schema/proto?service=demo", "")).await;
    let set = prost_types::FileDescriptorSet::decode(set.as_slice()).unwrap();
    assert!(set.file[0].source_code_info.is_some());
}

#[tokio::test]
async fn the_same_spelling_cures_the_owner_only() {
    let [(first, one), (second, two)] = pair().await;
    let backend = Backend::start("late").await;
    let addr = backend.address.to_string();
    let poison = one.register("127.0.0.1:1", "poison", POISON).await;
    let dead = one.register(&addr, "demo", PROTO).await;
    one.register(&addr, "demo", PROTO).await;
    one.deregister(&dead).await.unwrap();
    one.deregister(&poison).await.unwrap();
    settled(&first).await;
    settled(&second).await;
    assert_eq!(soon(one.call(PING, b"")).await.unwrap(), "late");
    let status = soon(two.call(PING, b"")).await.unwrap_err();
    assert_eq!(status.code(), Code::Cancelled, "{status:?}");
}

#[tokio::test]
async fn a_hold_that_was_there_before_survives_a_block() {
    let (gateway, caller) = node().await;
    let backend = Backend::start("one").await;
    let addr = backend.address.to_string();
    caller.register("127.0.0.1:1", "_hold", HOLD_PROTO).await;
    caller.register("127.0.0.1:1", "poison", POISON).await;
    // Its slot was mounted before the block: joining is safe, and keeps the connection alive.
    caller.register(&addr, "_hold", HOLD_PROTO).await;
    let demo = caller.register(&addr, "demo", PROTO).await;
    settled(&gateway).await;
    assert!(!gateway.view().service("demo", "v1").unwrap().routed);
    assert_eq!(gateway.services().len(), 3);
    caller.deregister(&demo).await.unwrap();
}

#[tokio::test]
async fn a_conflict_lurks_until_the_slot_is_free_and_its_next_beat() {
    let (gateway, caller) = node().await;
    let rightful = caller.register("127.0.0.1:1", "demo", PROTO).await;
    let other = caller
        .register("127.0.0.1:2", "demo", &PROTO.replace("Ping", "Pong"))
        .await;
    settled(&gateway).await;
    let hash = gateway.services()[0].hash.clone();
    assert_eq!(replicas(&gateway.view(), "demo"), 1);
    caller.deregister(&rightful).await.unwrap();
    soon(gateway.wait_until(|now| now.services.is_empty())).await;
    // A beat puts an entry again once the last put is a second old.
    gateway.delay(Rpc::Heartbeat, Duration::from_millis(1100));
    assert!(caller.beat(&other).await.unwrap());
    soon(gateway.wait_until(|now| replicas(now, "demo") == 1)).await;
    assert_ne!(gateway.services()[0].hash, hash);
}

#[tokio::test]
async fn two_unstable_schemas_flap_with_their_beats() {
    let (gateway, caller) = node().await;
    let register = async |source: String| {
        let binding = proto::ServiceBinding {
            namespace: "demo".to_owned(),
            version: "unstable".to_owned(),
            proto_source: source.into_bytes(),
            ..Default::default()
        };
        caller
            .register_binding("127.0.0.1:1", binding)
            .await
            .unwrap()
    };
    let one = register(PROTO.to_owned()).await;
    settled(&gateway).await;
    let hash = gateway.services()[0].hash.clone();
    register(PROTO.replace("Ping", "Pong")).await;
    soon(gateway.wait_until(|now| now.services[0].hash != hash)).await;
    gateway.delay(Rpc::Heartbeat, Duration::from_millis(1100));
    assert!(caller.beat(&one).await.unwrap());
    soon(gateway.wait_until(|now| now.services[0].hash == hash)).await;
}

#[tokio::test]
async fn a_beat_that_overlaps_deregister_leaves_a_ghost() {
    let (gateway, caller) = node().await;
    let id = caller.register("127.0.0.1:1", "demo", PROTO).await;
    gateway.delay(Rpc::Heartbeat, Duration::from_millis(300));
    let beating = {
        let (caller, id) = (caller.clone(), id.clone());
        tokio::spawn(async move { caller.beat(&id).await })
    };
    soon(gateway.wait_until(|now| now.rpc_counts.of(Rpc::Heartbeat).in_flight == 1)).await;
    caller.deregister(&id).await.unwrap();
    soon(beating).await.unwrap().unwrap();
    settled(&gateway).await;
    assert_eq!(replicas(&gateway.view(), "demo"), 1);
    assert!(gateway.registrations().is_empty());
}

#[tokio::test]
async fn a_killed_node_leaves_its_replicas_in_its_peers_and_finds_them_again() {
    let [(first, one), (second, _two)] = pair().await;
    let id = one.register("127.0.0.1:1", "demo", PROTO).await;
    settled(&second).await;
    first.kill().await;
    assert_eq!(replicas(&second.view(), "demo"), 1);
    first.revive().await.unwrap();
    soon(first.wait_until(|now| replicas(now, "demo") == 1)).await;
    assert!(first.registrations().is_empty());
    let one = Caller::connect(&first.target()).await;
    assert!(!one.beat(&id).await.unwrap());
    one.register("127.0.0.1:1", "demo", PROTO).await;
    for gateway in [&first, &second] {
        // The zombie stays next to the new replica, on every node.
        soon(gateway.wait_until(|now| replicas(now, "demo") == 2)).await;
    }
}

#[tokio::test]
async fn a_poisoned_cluster_keeps_nodes_from_starting() {
    let (gateway, caller) = node().await;
    caller.register("127.0.0.1:1", "my-svc", PROTO).await;
    settled(&gateway).await;
    let error = EmbeddedGateway::builder()
        .join(&gateway)
        .start()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned);
    assert!(error.to_string().contains("my-svc/v1"), "{error}");
    assert_eq!(
        gateway.restart().await.unwrap_err().kind(),
        ErrorKind::Poisoned
    );
    assert!(!gateway.view().alive);
}

#[tokio::test]
async fn the_store_refuses_what_does_not_fit() {
    let (_gateway, caller) = node().await;
    let binding = |namespace: &str, size: usize| proto::ServiceBinding {
        namespace: namespace.to_owned(),
        proto_source: format!("// {}\n{PROTO}", "x".repeat(size)).into_bytes(),
        ..Default::default()
    };
    for (namespace, size, refusal) in [
        ("demo", 770_000, None),
        (
            "demo",
            1_000_000,
            Some("kv put: nats: maximum payload exceeded"),
        ),
        ("a b", 1, Some("kv put: nats: invalid key")),
        (
            &"n".repeat(4500),
            1,
            Some("kv put: nats: connection closed"),
        ),
        ("later", 1, Some("kv put: nats: connection closed")),
    ] {
        let answer = caller
            .register_binding("127.0.0.1:1", binding(namespace, size))
            .await;
        match (answer, refusal) {
            (Ok(_), None) => {}
            (Err(status), Some(text)) if status.message().contains(text) => {}
            (answer, _) => panic!("{size}: {answer:?}, not {refusal:?}"),
        }
    }
}

#[tokio::test]
async fn a_standalone_gateway_cannot_be_joined() {
    let gateway = EmbeddedGateway::builder().start().await.unwrap();
    let error = EmbeddedGateway::builder()
        .join(&gateway)
        .start()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
}
