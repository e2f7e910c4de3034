//! Calls through the gateway.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tonic::Code;
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use crate::backend::{Backend, OPENAPI, PROTO};
use crate::caller::{Caller, http, proto, soon, text};

const PING: &str = "/demo.v1.Demo/Ping";
const HOLD: &str = "/demo.v1.Demo/Hold";

async fn gateway() -> (EmbeddedGateway, Caller) {
    let gateway = EmbeddedGateway::builder().start().await.unwrap();
    let caller = Caller::connect(&gateway.target()).await;
    (gateway, caller)
}

const NO_OPERATION: &str =
    "{\"data\":null,\"errors\":[{\"message\":\"Must provide an operation.\"}]}\n";

#[tokio::test]
async fn unary_and_server_streaming_calls_pass() {
    let (_gateway, caller) = gateway().await;
    let mut backend = Backend::start("one").await;
    caller
        .register(&backend.address.to_string(), "demo", PROTO)
        .await;
    assert_eq!(caller.call(PING, b"\x0a\x01x").await.unwrap(), "one");
    let agent = soon(backend.agents.recv()).await.unwrap();
    assert!(agent.starts_with("grpc-go/"), "{agent}");

    let mut stream = caller.stream("/demo.v1.Demo/Watch").await.unwrap();
    let mut seen = Vec::new();
    while let Some(message) = soon(stream.message()).await.unwrap() {
        seen.push(text(&message));
    }
    assert_eq!(seen, ["1", "2", "3"]);
}

#[tokio::test]
async fn what_has_no_route_is_unimplemented() {
    let (_gateway, caller) = gateway().await;
    let backend = Backend::start("one").await;
    caller
        .register(&backend.address.to_string(), "demo", PROTO)
        .await;
    caller
        .register(
            &backend.address.to_string(),
            "_hidden",
            &PROTO.replace("demo.v1", "hidden.v1"),
        )
        .await;
    for path in [
        "/demo.v1.Demo/Upload",
        "/demo.v1.Demo/Nope",
        "/hidden.v1.Demo/Ping",
        "/grpc.health.v1.Health/Check",
        "/gateway.controlplane.v1.ControlPlane/Nope",
    ] {
        let status = caller.call(path, b"").await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
        assert_eq!(status.message(), format!("ingress: no route for {path}"));
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_decoded_reaches_no_replica() {
    let (_gateway, caller) = gateway().await;
    let backend = Backend::start("one").await;
    caller
        .register(&backend.address.to_string(), "demo", PROTO)
        .await;
    let status = caller.call(PING, b"\xff\xff\xff").await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status:?}");
    assert_eq!(backend.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_dead_replica_draws_calls_and_fails_them() {
    let (_gateway, caller) = gateway().await;
    let alive = Backend::start("alive").await;
    caller
        .register(&alive.address.to_string(), "demo", PROTO)
        .await;
    // A port that nobody listens on.
    let dead = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    caller.register(&dead.to_string(), "demo", PROTO).await;
    let (mut good, mut bad) = (0, 0);
    for _ in 0..20 {
        match soon(caller.call(PING, b"")).await {
            Ok(_) => good += 1,
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable);
                assert!(
                    status.message().starts_with("connection error: desc = "),
                    "{status:?}"
                );
                bad += 1;
            }
        }
    }
    assert_eq!((good, bad), (10, 10));
}

#[tokio::test]
async fn the_last_deregister_of_an_address_cancels_its_calls() {
    let (_gateway, caller) = gateway().await;
    let backend = Backend::start("one").await;
    let addr = backend.address.to_string();
    let held = caller
        .register(&addr, "_hold", "syntax = \"proto3\"; package hold;")
        .await;
    let id = caller.register(&addr, "demo", PROTO).await;
    let spawn_call = || {
        let caller = caller.clone();
        tokio::spawn(async move { caller.call(HOLD, b"").await })
    };

    let first = spawn_call();
    wait_for_calls(&backend, 1).await;
    caller.deregister(&id).await.unwrap();
    // The hold keeps the connection, so the call ends well.
    backend.release.add_permits(1);
    assert_eq!(soon(first).await.unwrap().unwrap(), "one");

    let id = caller.register(&addr, "demo", PROTO).await;
    caller.deregister(&held).await.unwrap();
    let second = spawn_call();
    wait_for_calls(&backend, 2).await;
    caller.deregister(&id).await.unwrap();
    let status = soon(second).await.unwrap().unwrap_err();
    assert!(matches!(status.code(), Code::Cancelled | Code::Unavailable));
    assert!(
        status
            .message()
            .contains("the client connection is closing"),
        "{status:?}"
    );
}

async fn wait_for_calls(backend: &Backend, count: usize) {
    soon(async {
        while backend.calls.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn another_spelling_of_an_address_is_another_connection() {
    let (_gateway, caller) = gateway().await;
    let backend = Backend::start("one").await;
    let port = backend.address.port();
    let plain = caller
        .register(&format!("127.0.0.1:{port}"), "demo", PROTO)
        .await;
    caller
        .register(&format!("127.0.0.1:0{port}"), "demo", PROTO)
        .await;
    caller
        .register(&format!("dns:///127.0.0.1:{port}"), "demo", PROTO)
        .await;
    for _ in 0..3 {
        assert_eq!(soon(caller.call(PING, b"")).await.unwrap(), "one");
    }
    caller.deregister(&plain).await.unwrap();
    for _ in 0..4 {
        assert_eq!(soon(caller.call(PING, b"")).await.unwrap(), "one");
    }
}

#[tokio::test]
async fn a_connection_that_failed_backs_off_and_a_fresh_spelling_does_not() {
    let (_gateway, caller) = gateway().await;
    let down = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = down.local_addr().unwrap().port();
    drop(down);
    let addr = format!("127.0.0.1:{port}");
    let id = caller.register(&addr, "demo", PROTO).await;
    let status = soon(caller.call(PING, b"")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);

    // It is up again, but the connection of this spelling rests for about a second.
    let _backend = Backend::start_at("back", &addr).await;
    let status = soon(caller.call(PING, b"")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let fresh = caller
        .register(&format!("127.0.0.1:0{port}"), "demo", PROTO)
        .await;
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(soon(caller.call(PING, b"")).await.is_ok());
    }
    answers.sort_unstable();
    assert_eq!(answers, [false, true]);
    caller.deregister(&fresh).await.unwrap();

    let begun = std::time::Instant::now();
    soon(async { while caller.call(PING, b"").await.is_err() {} }).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    caller.deregister(&id).await.unwrap();
}

#[tokio::test]
async fn calls_above_a_cap_queue_in_the_gateway() {
    let (_gateway, caller) = gateway().await;
    let backend = Backend::start("one").await;
    let binding = proto::ServiceBinding {
        namespace: "demo".to_owned(),
        proto_source: PROTO.as_bytes().to_vec(),
        max_concurrency_per_instance: 1,
        ..Default::default()
    };
    let addr = backend.address.to_string();
    caller.register_binding(&addr, binding).await.unwrap();
    let calls: Vec<_> = (0..2)
        .map(|_| {
            let caller = caller.clone();
            tokio::spawn(async move { caller.call(HOLD, b"").await })
        })
        .collect();
    wait_for_calls(&backend, 1).await;
    let second = wait_for_calls(&backend, 2);
    let early = tokio::time::timeout(Duration::from_millis(200), second).await;
    assert!(early.is_err(), "both calls reached the replica");
    backend.release.add_permits(2);
    for call in calls {
        assert_eq!(soon(call).await.unwrap().unwrap(), "one");
    }
}

#[tokio::test]
async fn an_address_with_a_scheme_is_taken_and_never_works() {
    let (_gateway, caller) = gateway().await;
    let backend = Backend::start("one").await;
    caller
        .register(&format!("http://{}", backend.address), "demo", PROTO)
        .await;
    let status = soon(caller.call(PING, b"")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test]
async fn messages_above_the_limit_are_refused() {
    let (_gateway, caller) = gateway().await;
    let comment = format!("// {}\n{PROTO}", "x".repeat(5 << 20));
    let binding = proto::ServiceBinding {
        namespace: "demo".to_owned(),
        proto_source: comment.into_bytes(),
        ..Default::default()
    };
    let status = caller
        .register_binding("127.0.0.1:1", binding)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("larger than max"), "{status:?}");
}

#[tokio::test]
async fn a_malformed_request_is_an_internal_error() {
    let (_gateway, caller) = gateway().await;
    let path = "/gateway.controlplane.v1.ControlPlane/Register";
    for bad in [b"\xff\xff\xff".as_slice(), b"\x0a\x01\xff"] {
        let status = caller.call(path, bad).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal, "{status:?}");
    }
}

fn pets() -> proto::ServiceBinding {
    proto::ServiceBinding {
        namespace: "pets".to_owned(),
        openapi_spec: OPENAPI.as_bytes().to_vec(),
        ..Default::default()
    }
}

#[tokio::test]
async fn http_goes_by_the_paths_of_the_document() {
    let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
    let gateway = builder.start().await.unwrap();
    let caller = Caller::connect(&gateway.target()).await;
    let backend = Backend::start("one").await;
    let base = format!("http://{}/base", backend.address);
    caller.register_binding(&base, pets()).await.unwrap();
    soon(gateway.wait_until(|now| now.pending_mounts == 0)).await;
    let url = gateway.http_url();
    for (method, path, status, answer) in [
        ("GET", "/api/ingress/pets/7?x=1", 200, "\"pet 7\"\n"),
        ("POST", "/api/ingress/pets", 200, "\"added \"\n"),
        (
            "DELETE",
            "/api/ingress/pets",
            404,
            "{\"error\":\"no route for DELETE /pets\"}\n",
        ),
        (
            "GET",
            "/api/ingress/cats",
            404,
            "{\"error\":\"no route for GET /cats\"}\n",
        ),
    ] {
        let (found, text) = soon(http(&url, method, path, "Rex")).await;
        let text = String::from_utf8(text).unwrap();
        assert_eq!((found, text.as_str()), (status, answer), "{method} {path}");
    }
    let (_, services) = soon(http(&url, "GET", "/api/services", "")).await;
    let services: serde_json::Value = serde_json::from_slice(&services).unwrap();
    assert_eq!(services["services"][0]["replicas"][0], base);
    let (_, page) = soon(http(&url, "GET", "/", "")).await;
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("pets/v1"), "{page}");
}

/// It has no HTTP ingress; a page or two of our own are there beside it, by GET and without a query.
#[tokio::test]
async fn a_standalone_gateway_answers_every_path_with_graphql() {
    let (gateway, caller) = gateway().await;
    let backend = Backend::start("one").await;
    let base = format!("http://{}/base", backend.address);
    caller.register_binding(&base, pets()).await.unwrap();
    let url = gateway.http_url();
    for path in [
        "/api/ingress/pets/7",
        "/api/ingress",
        "/api/health",
        "/api/schema/graphql",
        "/api/graphql",
        "/nothing",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let (status, text) = soon(http(&url, method, path, "Rex")).await;
            let text = String::from_utf8(text).unwrap();
            assert_eq!((status, &*text), (200, NO_OPERATION), "{method} {path}");
        }
    }
    let query = r#"{"query":"{ __typename }"}"#;
    for path in [
        "/",
        "/schema.graphql",
        "/api/services",
        "/api/ingress/pets/7",
    ] {
        let (_, text) = soon(http(&url, "POST", path, query)).await;
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, r#"{"data":{"__typename":"Query"}}"#, "{path}");
    }
    let called = soon(http(&url, "GET", "/?query=%7B__typename%7D", ""))
        .await
        .1;
    assert_eq!(called, br#"{"data":{"__typename":"Query"}}"#);
}

/// A document of a few kilobytes may stand for more fields than anybody can compare or visit.
#[tokio::test(flavor = "multi_thread")]
async fn no_document_keeps_the_gateway_busy() {
    let (gateway, _caller) = gateway().await;
    let url = gateway.http_url();
    let fragments = |length: usize, of: fn(usize) -> String| {
        let all: Vec<String> = (0..length).map(of).collect();
        format!("{{__schema{{...F0}}}} {}", all.join(" "))
    };
    let doubled = |n| format!("fragment F{n} on __Schema {{...F{0} ...F{0}}}", n + 1);
    let chained = |n| format!("fragment F{n} on __Schema {{...F{}}}", n + 1);
    let end = |n| format!(" fragment F{n} on __Schema {{types{{name}}}}");
    let wide = format!(
        "{{{}}} fragment F on __Schema {{{}}}",
        "__schema{...F} ".repeat(440),
        "types{name} ".repeat(300_000)
    );
    let size = "with its fragments expanded";
    for (what, document, expected) in [
        ("twice each", fragments(60, doubled) + &end(60), size),
        ("a chain", fragments(100_000, chained) + &end(100_000), size),
        ("many with many", wide, size),
        (
            "one a thousand times",
            format!("{{{}}}", "__schema{types{name}} ".repeat(3_000)),
            "too many fields of one name",
        ),
        (
            "arguments",
            format!("{{__type({}){{name}}}}", "name:\"Query\" ".repeat(200_000)),
            size,
        ),
        (
            "one a hundred times",
            format!("{{{}}}", "__schema{queryType{name}} ".repeat(100)),
            r#"{"data":{"__schema":{"queryType":{"name":"Query"}}}}"#,
        ),
    ] {
        let body = serde_json::json!({ "query": document }).to_string();
        let (_, text) = soon(http(&url, "POST", "/api/graphql", &body)).await;
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(expected), "{what}: {text}");
    }
}
