//! What the recordings of `tests/data_plane` do not show: fatal calls, lots, and who may ask.

use tonic::Code;
use tower_gwag_gateway::{EmbeddedGateway, Ingress, Profile};

use crate::backend::{Backend, OPENAPI, PROTO};
use crate::caller::{Caller, http, proto, soon};

const FATAL: &str = "syntax = \"proto3\"; package fatal.v1; message Req { uint64 n = 1; } \
    message Resp { string b = 1; } service Fatal { rpc Watch(Req) returns (stream Resp); }";
const WATCH: &str = "/fatal.v1.Fatal/Watch";
/// `n: 5`
const FIVE: &[u8] = b"\x08\x05";

#[tokio::test]
async fn a_call_that_ends_a_real_gateway_fails_and_is_recorded() {
    let gateway = EmbeddedGateway::builder().start().await.unwrap();
    let caller = Caller::connect(&gateway.target()).await;
    caller.register("127.0.0.1:1", "fatal", FATAL).await;
    let status = soon(caller.call(WATCH, FIVE)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(
        status
            .message()
            .contains("a real gateway would have died here"),
        "{status:?}"
    );
    let calls = gateway.fatal_calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(
        (calls[0].ingress, calls[0].method.as_str()),
        (Ingress::Grpc, WATCH)
    );
    assert!(calls[0].reason.contains("fatal.v1.Req.n"), "{calls:?}");
    assert!(gateway.view().alive);
    // Unset, it is harmless: the call goes on to the service, which is away.
    let status = soon(caller.call(WATCH, b"")).await.unwrap_err();
    assert!(
        status.message().contains("connection refused"),
        "{status:?}"
    );
    assert_eq!(gateway.fatal_calls().len(), 1);
}

/// No error reveals these losses.
#[tokio::test]
async fn what_calls_lose_on_their_way_is_listed() {
    let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
    let gateway = builder.start().await.unwrap();
    let caller = Caller::connect(&gateway.target()).await;
    let backend = Backend::start("one").await;
    let address = backend.address.to_string();
    caller.register(&address, "demo", PROTO).await;
    // The service does not know this one, and ends its stream with an error.
    let away = PROTO.replace("demo.v1", "away.v1");
    caller.register(&address, "away", &away).await;
    let pets = proto::ServiceBinding {
        namespace: "pets".to_owned(),
        openapi_spec: OPENAPI.as_bytes().to_vec(),
        ..Default::default()
    };
    let base = format!("http://{address}/base");
    caller.register_binding(&base, pets).await.unwrap();
    soon(gateway.wait_until(|now| now.pending_mounts == 0)).await;
    soon(caller.call("/demo.v1.Demo/Ping", b"")).await.unwrap();
    assert_eq!(gateway.changed_calls(), [], "nothing is lost");

    for _ in 0..2 {
        let mut stream = soon(caller.stream("/away.v1.Demo/Watch")).await.unwrap();
        assert!(soon(stream.message()).await.unwrap().is_none());
        let path = "/api/ingress/pets?page=2";
        soon(http(&gateway.http_url(), "POST", path, "{}")).await;
        let path = "/api/ingress/demo.v1.Demo/Ping";
        soon(http(&gateway.http_url(), "POST", path, r#"{"a_b": 1}"#)).await;
    }
    let changed: Vec<String> = gateway
        .changed_calls()
        .iter()
        .map(|it| format!("{} {it}", it.times))
        .collect();
    for (method, what) in [
        (
            "/away.v1.Demo/Watch",
            "ends with OK for the caller, though it ended with Unimplemented",
        ),
        ("POST /pets", "does not receive `page`"),
        ("POST /pets", "does not receive the body"),
        ("/demo.v1.Demo/Ping", "does not receive `a_b`"),
    ] {
        let is_it = |it: &String| it.starts_with(&format!("2 {method}: ")) && it.contains(what);
        assert!(changed.iter().any(is_it), "{what}: {changed:#?}");
    }
    assert_eq!(changed.len(), 4, "{changed:#?}");
}

#[tokio::test]
async fn a_strict_gateway_dies_of_it() {
    let builder = EmbeddedGateway::builder().strict(true);
    let gateway = builder.start().await.unwrap();
    let caller = Caller::connect(&gateway.target()).await;
    caller.register("127.0.0.1:1", "fatal", FATAL).await;
    assert!(soon(caller.call(WATCH, FIVE)).await.is_err());
    soon(gateway.wait_until(|now| !now.alive)).await;
    assert_eq!(gateway.fatal_calls().len(), 1);
    soon(gateway.revive()).await.unwrap();
    assert!(gateway.view().alive && gateway.services().is_empty());
}

/// Who of three services with one path is called after each of twelve rebuilds.
async fn owners(seed: u64) -> Vec<String> {
    let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
    let builder = builder.seed(seed);
    let gateway = builder.start().await.unwrap();
    let caller = Caller::connect(&gateway.target()).await;
    let mut backends = Vec::new();
    for namespace in ["a", "b", "c"] {
        let backend = Backend::start("one").await;
        let binding = proto::ServiceBinding {
            namespace: namespace.to_owned(),
            openapi_spec: OPENAPI.as_bytes().to_vec(),
            ..Default::default()
        };
        // An address that nobody answers at tells by the error whose it is.
        let base = format!("http://127.0.0.1:1/{namespace}");
        caller.register_binding(&base, binding).await.unwrap();
        soon(gateway.wait_until(|now| now.pending_mounts == 0)).await;
        backends.push(backend);
    }
    let mut owners = Vec::new();
    for _ in 0..12 {
        let id = caller.register("127.0.0.1:1", "demo", PROTO).await;
        soon(gateway.wait_until(|now| now.pending_mounts == 0)).await;
        let (_, text) = soon(http(&gateway.http_url(), "GET", "/api/ingress/pets/7", "")).await;
        let text = String::from_utf8(text).unwrap();
        let at = text.find("127.0.0.1:1/").expect("an address");
        owners.push(text[at..].chars().nth(12).into_iter().collect());
        caller.deregister(&id).await.unwrap();
        soon(gateway.wait_until(|now| now.pending_mounts == 0)).await;
    }
    owners
}

#[tokio::test]
async fn who_has_a_path_that_several_declare_is_drawn_at_each_rebuild() {
    let drawn = owners(1).await;
    assert_eq!(drawn, owners(1).await);
    let mut all = drawn.clone();
    all.sort();
    all.dedup();
    assert!(all.len() > 1, "{drawn:?}");
}

#[tokio::test]
async fn pages_of_other_sites_may_not_call() {
    let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
    let gateway = builder.start().await.unwrap();
    let client = |host: &'static str, origin: Option<&'static str>| {
        let address = gateway.http_url().trim_start_matches("http://").to_owned();
        async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
            let origin = origin
                .map(|it| format!("origin: {it}\r\n"))
                .unwrap_or_default();
            let request =
                format!("GET / HTTP/1.1\r\nhost: {host}\r\n{origin}connection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        }
    };
    for (host, origin) in [
        ("127.0.0.1", Some("http://evil.example")),
        ("evil.example", None),
    ] {
        let answer = soon(client(host, origin)).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    let page = soon(client("localhost", Some("http://localhost:3000"))).await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("content-security-policy: default-src 'none'"));
    // Nothing is loaded from elsewhere.
    for outside in ["src=\"http", "href=\"http", "//cdn", "import "] {
        assert!(!page.contains(outside), "{outside}");
    }
}
