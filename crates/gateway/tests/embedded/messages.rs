//! Every error, refusal and note of an embedded gateway that its user may meet, in one file, to be read in one
//! go. With `UPDATE_GOLDEN=1` the test writes it. Texts of a real gateway stay as recorded
//! (`tests/conformance`, `tests/data_plane`).

use std::path::Path;

use tonic::Status;
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use crate::backend::{Backend, OPENAPI, PROTO};
use crate::caller::{Caller, http, proto, soon};
use crate::golden::is_golden;

const FATAL: &str = "syntax = \"proto3\"; package fatal.v1; message Req { uint64 n = 1; } message \
                     Resp { string b = 1; } service Fatal { rpc Watch(Req) returns (stream Resp); }";
/// Two services in one file: a cluster accepts it, and cannot make a schema of it.
const TWO: &str = "syntax = \"proto3\"; package p; message M {} service A { rpc X(M) returns (M); \
                   } service B { rpc Y(M) returns (M); }";
const TORN: &str = "syntax = \"proto3\"; message {";

/// What was shown, with words in place of what differs from run to run.
#[derive(Default)]
struct Shown {
    text: String,
    words: Vec<(String, &'static str)>,
}

impl Shown {
    fn heading(&mut self, heading: &str) {
        self.text += &format!("# {heading}\n\n");
    }

    fn add(&mut self, situation: &str, message: &str) {
        assert!(!message.is_empty(), "{situation}: no message");
        let mut message = message.trim_end().to_owned();
        for (value, word) in &self.words {
            message = message.replace(value, word);
        }
        self.text += &format!("== {situation}\n{message}\n\n");
    }

    #[track_caller]
    fn refused<T>(&mut self, situation: &str, answer: Result<T, Status>) {
        let status = answer.err().expect(situation);
        self.add(
            situation,
            &format!("{:?}: {}", status.code(), status.message()),
        );
    }
}

fn binding(namespace: &str, source: &str) -> proto::ServiceBinding {
    proto::ServiceBinding {
        namespace: namespace.to_owned(),
        proto_source: source.as_bytes().to_vec(),
        ..Default::default()
    }
}

fn versioned(namespace: &str, version: &str) -> proto::ServiceBinding {
    proto::ServiceBinding {
        version: version.to_owned(),
        ..binding(namespace, PROTO)
    }
}

fn openapi(namespace: &str, document: &str) -> proto::ServiceBinding {
    proto::ServiceBinding {
        namespace: namespace.to_owned(),
        openapi_spec: document.as_bytes().to_vec(),
        ..Default::default()
    }
}

/// Starting, joining, reviving.
async fn starting(shown: &mut Shown) {
    shown.heading("Starting");
    let builder = EmbeddedGateway::builder;
    let error = builder().listen("nowhere").start().await.unwrap_err();
    shown.add("an address that is none", &error.to_string());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    shown.words.push((address.clone(), "ADDRESS"));
    let error = builder().http_listen(&address).start().await.unwrap_err();
    shown.add("a taken port", &error.to_string());
    let alone = builder().start().await.unwrap();
    let error = builder().join(&alone).start().await.unwrap_err();
    shown.add("joining a standalone gateway", &error.to_string());
    alone.shutdown().await;
    let error = alone.revive().await.unwrap_err();
    shown.add("reviving after the shutdown", &error.to_string());

    let first = builder().profile(Profile::Clustered).start().await.unwrap();
    let caller = Caller::connect(&first.target()).await;
    caller.register("127.0.0.1:1", "two", TWO).await;
    let error = builder().join(&first).start().await.unwrap_err();
    shown.add(
        "joining a cluster that cannot be rendered",
        &error.to_string(),
    );
}

/// Refusals of Register.
async fn registering(shown: &mut Shown) {
    shown.heading("Registering");
    let gateway = EmbeddedGateway::builder()
        .allow_tiers([tower_gwag_gateway::Tier::Numbered])
        .start()
        .await
        .unwrap();
    let caller = Caller::connect(&gateway.target()).await;
    let addr = "127.0.0.1:1";
    caller.register(addr, "demo", PROTO).await;
    let both = proto::ServiceBinding {
        openapi_spec: OPENAPI.as_bytes().to_vec(),
        ..binding("both", PROTO)
    };
    let capped = proto::ServiceBinding {
        max_concurrency: 7,
        ..binding("demo", PROTO)
    };
    let graphql = |namespace: &str, url: &str| proto::ServiceBinding {
        namespace: namespace.to_owned(),
        graphql_endpoint: url.to_owned(),
        ..Default::default()
    };
    let other = PROTO.replace("Ping", "Pong");
    let external = OPENAPI.replace("\"description\":\"ok\"", "\"$ref\":\"other.yaml\"");
    for (situation, binding) in [
        ("nothing to register", proto::ServiceBinding::default()),
        ("two schemas in one service", both),
        ("a namespace with a dot", binding("a.b", PROTO)),
        ("a version that is none", versioned("demo", "1.0")),
        ("the version `stable`", versioned("demo", "stable")),
        ("a tier that is not allowed", versioned("demo", "unstable")),
        ("a proto that does not compile", binding("torn", TORN)),
        ("two services in one file", binding("two", TWO)),
        ("a document that is torn", openapi("torn", "{\"openapi\":")),
        (
            "a reference to another file",
            openapi("external", &external),
        ),
        ("another schema under a vN", binding("demo", &other)),
        ("other concurrency caps", capped),
        ("another kind under a name", openapi("demo", OPENAPI)),
        (
            "GraphQL without a namespace",
            graphql("", "http://127.0.0.1:1/"),
        ),
        (
            "a GraphQL endpoint that is away",
            graphql("away", "http://127.0.0.1:1/"),
        ),
        (
            "a GraphQL endpoint with TLS",
            graphql("tls", "https://127.0.0.1:1/"),
        ),
    ] {
        let answer = caller.register_binding(addr, binding).await;
        shown.refused(situation, answer);
    }
    let no_address = caller.register_binding("", binding("demo", PROTO)).await;
    shown.refused("no address", no_address);
    let empty = proto::RegisterRequest {
        addr: addr.to_owned(),
        ..Default::default()
    };
    let answer = caller.control().register(empty).await;
    shown.refused("no service", answer);
    let twice = proto::RegisterRequest {
        addr: addr.to_owned(),
        services: vec![binding("a", PROTO), binding("a", PROTO)],
        ..Default::default()
    };
    shown.refused("a service twice", caller.control().register(twice).await);
    let large = "x".repeat(5 << 20);
    let answer = caller
        .register_binding(addr, binding("large", &large))
        .await;
    shown.refused("more than 4 MiB", answer);

    let clustered = EmbeddedGateway::builder().profile(Profile::Clustered);
    let clustered = clustered.start().await.unwrap();
    let caller = Caller::connect(&clustered.target()).await;
    let large = format!("// {}\n{PROTO}", "x".repeat(1_000_000));
    let answer = caller
        .register_binding(addr, binding("large", &large))
        .await;
    shown.refused("too large for a cluster", answer);
}

/// Refusals of the operator's calls.
async fn operating(shown: &mut Shown) {
    shown.heading("Operating");
    let gateway = EmbeddedGateway::builder().start().await.unwrap();
    let caller = Caller::connect(&gateway.target()).await;
    caller.register("127.0.0.1:1", "demo", PROTO).await;
    let mut control = caller.control();
    let (namespace, version) = ("demo".to_owned(), "v7".to_owned());
    let request = proto::DeprecateRequest {
        namespace: namespace.clone(),
        version: version.clone(),
        reason: String::new(),
    };
    let answer = control.deprecate(request.clone()).await;
    shown.refused("a deprecation without a reason", answer);
    let request = proto::DeprecateRequest {
        reason: "old".to_owned(),
        ..request
    };
    shown.refused("a deprecation of nothing", control.deprecate(request).await);
    let request = proto::UndeprecateRequest { namespace, version };
    shown.refused(
        "taking a deprecation of nothing back",
        control.undeprecate(request).await,
    );
    for (situation, namespace, target_v_n) in [
        ("lowering `stable` of nothing", "nobody", 1),
        ("lowering `stable` to v0", "demo", 0),
        ("raising `stable`", "demo", 2),
    ] {
        let request = proto::RetractStableRequest {
            namespace: namespace.to_owned(),
            target_v_n,
        };
        shown.refused(situation, control.retract_stable(request).await);
    }
    let request = proto::ForgetPeerRequest {
        node_id: "NODE".to_owned(),
    };
    shown.refused(
        "forgetting a node without a cluster",
        control.forget_peer(request).await,
    );
}

/// What calls through the gateway meet.
async fn calling(shown: &mut Shown) {
    shown.heading("Calling");
    let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
    let gateway = builder.start().await.unwrap();
    let caller = Caller::connect(&gateway.target()).await;
    let backend = Backend::start("one").await;
    let address = backend.address.to_string();
    shown.words.push((address.clone(), "ADDRESS"));
    caller.register(&address, "demo", PROTO).await;
    // The service does not know this one, and ends its stream with an error.
    let away = PROTO.replace("demo.v1", "away.v1");
    caller.register(&address, "away", &away).await;
    caller.register("127.0.0.1:1", "fatal", FATAL).await;
    let base = format!("http://{address}/base");
    let pets = openapi("pets", OPENAPI);
    caller.register_binding(&base, pets).await.unwrap();
    soon(gateway.wait_until(|now| now.pending_mounts == 0)).await;

    let nowhere = soon(caller.call("/no.v1.Such/Method", b"")).await;
    shown.refused("a gRPC method without a route", nowhere);
    let streamed = soon(caller.call("/demo.v1.Demo/Upload", b"")).await;
    shown.refused("a client-streaming method", streamed);
    let dead = soon(caller.call("/fatal.v1.Fatal/Watch", b"")).await;
    shown.refused("a service that is away", dead);
    let fatal = soon(caller.call("/fatal.v1.Fatal/Watch", b"\x08\x05")).await;
    shown.refused("a call that ends a real gateway", fatal);

    let mut stream = soon(caller.stream("/away.v1.Demo/Watch")).await.unwrap();
    assert!(soon(stream.message()).await.unwrap().is_none());
    let url = gateway.http_url();
    for (situation, method, path, body) in [
        (
            "an HTTP path without a route",
            "GET",
            "/api/ingress/none",
            "",
        ),
        (
            "a body that is not JSON",
            "POST",
            "/api/ingress/demo.v1.Demo/Ping",
            "{",
        ),
        (
            "a GraphQL document that is torn",
            "POST",
            "/api/graphql",
            "{\"query\": \"{\"}",
        ),
        ("a page that does not exist", "GET", "/api/none", ""),
        ("a path that does not exist", "GET", "/none", ""),
        (
            "a schema that does not exist",
            "GET",
            "/api/schema/none",
            "",
        ),
        (
            "a proto that is not registered",
            "GET",
            "/api/schema/proto?service=none",
            "",
        ),
    ] {
        let (status, body) = soon(http(&url, method, path, body)).await;
        let text = String::from_utf8_lossy(&body).into_owned();
        shown.add(situation, &format!("{status}: {text}"));
    }
    soon(http(&url, "POST", "/api/ingress/pets?page=2", "{}")).await;
    let path = "/api/ingress/demo.v1.Demo/Ping";
    soon(http(&url, "POST", path, r#"{"a_b": 1}"#)).await;

    let changed: Vec<_> = gateway
        .changed_calls()
        .iter()
        .map(ToString::to_string)
        .collect();
    shown.add("what calls lost (`changed_calls`)", &changed.join("\n"));
    let fatal: Vec<_> = gateway
        .fatal_calls()
        .iter()
        .map(ToString::to_string)
        .collect();
    shown.add(
        "calls that end a real gateway (`fatal_calls`)",
        &fatal.join("\n"),
    );
}

#[tokio::test]
async fn messages_are_those_of_the_golden_file() {
    let mut shown = Shown::default();
    starting(&mut shown).await;
    registering(&mut shown).await;
    operating(&mut shown).await;
    calling(&mut shown).await;

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/messages.txt");
    is_golden(Path::new(path), &shown.text);
}
