//! `doctor`: each fault is named, and a clean gateway has none. Against a real gateway where the
//! environment names one.

use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tower_gwag::control::proto::ServiceBinding;

use crate::support::{Done, Gateway, call, data, folder, proto, register};
use crate::tls_proxy::{Authority, TlsProxy};

const ITEM: &str = "message Item { string name = 1; }";

fn service(package: &str, item: &str) -> String {
    format!(
        "syntax = \"proto3\"; package {package}; {item} service Shop {{ rpc Get(Item) returns (Item); }}"
    )
}

async fn doctor(gateway: &Gateway, more: &[&str]) -> Done {
    let mut arguments = vec!["doctor", "--json", "--gateway", &gateway.target];
    arguments.extend(["--http", &gateway.http]);
    if !more.contains(&"--observe") {
        arguments.extend(["--observe", "300ms"]);
    }
    arguments.extend(more);
    call(&folder(""), &arguments).await
}

/// Finding ids and subjects.
fn ids(done: &Done) -> Vec<(String, String)> {
    let json = done.json();
    let findings = json["findings"].as_array().expect("findings");
    let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
    findings
        .iter()
        .map(|it| (text(it, "id"), text(it, "subject")))
        .collect()
}

#[track_caller]
fn is(done: &Done, wanted: &[(&str, &str)]) {
    let found = ids(done);
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(id, subject)| (id.as_str(), subject.as_str()))
        .collect();
    assert_eq!(found, wanted, "{done:#?}");
    assert_eq!(done.code, i32::from(!wanted.is_empty()));
}

/// Somebody who accepts, so that no address is dead.
async fn alive() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

struct Case {
    gateway: Gateway,
    ids: Vec<String>,
}

impl Case {
    async fn new() -> Self {
        Self {
            gateway: Gateway::any().await,
            ids: Vec::new(),
        }
    }

    async fn register(&mut self, addr: &str, services: Vec<ServiceBinding>) {
        let id = register(&self.gateway.client(), addr, services).await;
        self.ids.push(id);
        // A gateway mounts one after the other.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    async fn end(self) {
        for id in self.ids {
            self.gateway.client().deregister(id).await.unwrap();
        }
        // For a real gateway, which the next case uses.
        if self.gateway.embedded.is_none() {
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_gateway_has_no_fault() {
    let mut case = Case::new().await;
    is(&doctor(&case.gateway, &[]).await, &[]);
    let (_open, addr) = alive().await;
    let mut pets = proto("pets", "v1", "");
    pets.openapi_spec = std::fs::read(data("good/pets.yaml")).unwrap();
    case.register(
        &addr,
        vec![proto("shop", "v1", &service("shop.v1", ITEM)), pets],
    )
    .await;
    case.register(
        &addr,
        vec![proto("shop", "unstable", &service("shop.unstable", ITEM))],
    )
    .await;
    is(&doctor(&case.gateway, &[]).await, &[]);
    // What cannot be known is not judged.
    let folder = folder("");
    let done = call(
        &folder,
        &["doctor", "-g", &case.gateway.target, "--observe", "0s"],
    )
    .await
    .ends_with(0);
    done.says("not checked: whether services are served")
        .says("give --http");
    case.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_blocks_is_named() {
    for (namespace, item) in [
        (
            "culprit",
            "message Item { string name = 1; Other other = 2; } message Other { map<string, string> tags = 1; }",
        ),
        ("my-svc", ITEM),
    ] {
        let mut case = Case::new().await;
        let (_open, addr) = alive().await;
        case.register(
            &addr,
            vec![proto("before", "v1", &service("before.v1", ITEM))],
        )
        .await;
        case.register(
            &addr,
            vec![proto(namespace, "v1", &service("culprit.v1", item))],
        )
        .await;
        case.register(
            &addr,
            vec![proto("victim", "v1", &service("victim.v1", ITEM))],
        )
        .await;
        let done = doctor(&case.gateway, &[]).await;
        let culprit = format!("{namespace}/v1");
        is(&done, &[("blocked", "victim/v1"), ("blocks", &culprit)]);
        case.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lurker_is_named() {
    let mut case = Case::new().await;
    let (_open, addr) = alive().await;
    case.register(&addr, vec![proto("shop", "v1", &service("shop.v1", ITEM))])
        .await;
    let other = service("shop.v1", "message Item { int32 name = 1; }");
    case.register(&addr, vec![proto("shop", "v1", &other)])
        .await;
    let done = doctor(&case.gateway, &[]).await;
    assert!(done.out.contains("hash"), "{done:?}");
    is(&done, &[("lurker", "shop/v1")]);
    // Once it has left, nothing is wrong any more.
    let lurker = case.ids.pop().unwrap();
    case.gateway.client().deregister(lurker).await.unwrap();
    is(&doctor(&case.gateway, &[]).await, &[]);
    case.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_builds_that_want_unstable_are_named() {
    let mut case = Case::new().await;
    let (_open, addr) = alive().await;
    case.register(
        &addr,
        vec![proto("shop", "unstable", &service("shop.v1", ITEM))],
    )
    .await;
    let other = service("shop.v1", "message Item { int32 name = 1; }");
    case.register(&addr, vec![proto("shop", "unstable", &other)])
        .await;
    let (client, ids) = (case.gateway.client(), case.ids.clone());
    let beats = tokio::spawn(async move {
        loop {
            for id in &ids {
                let _ = client.heartbeat(id.clone()).await;
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
        }
    });
    let done = doctor(&case.gateway, &["--observe", "1500ms"]).await;
    beats.abort();
    is(&done, &[("flapping", "shop/unstable")]);
    case.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_judged() {
    let mut case = Case::new().await;
    let dead = format!("127.0.0.1:0{}", crate::support::free_port());
    case.register(&dead, vec![proto("shop", "v1", &service("shop.v1", ITEM))])
        .await;
    is(
        &doctor(&case.gateway, &[]).await,
        &[("dead-address", &dead)],
    );
    is(&doctor(&case.gateway, &["--no-dial"]).await, &[]);
    case.end().await;

    let mut case = Case::new().await;
    let (_open, addr) = alive().await;
    let url = format!("http://{addr}");
    case.register(&url, vec![proto("shop", "v1", &service("shop.v1", ITEM))])
        .await;
    is(
        &doctor(&case.gateway, &[]).await,
        &[("address-scheme", &url)],
    );
    case.end().await;

    let mut case = Case::new().await;
    let own = case.gateway.target.clone();
    case.register(&own, vec![proto("shop", "v1", &service("shop.v1", ITEM))])
        .await;
    is(&doctor(&case.gateway, &[]).await, &[("own-address", &own)]);
    case.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_with_several_owners_are_named() {
    let mut case = Case::new().await;
    let (_open, addr) = alive().await;
    for namespace in ["pets", "cars"] {
        let mut document = proto(namespace, "v1", "");
        let operation = "{ operationId: OP, parameters: [{ name: id, in: path, required: true, schema: { type: string } }], responses: { '200': { description: ok } } }";
        let text = format!(
            "openapi: 3.0.3\ninfo: {{ title: {namespace}, version: '1' }}\npaths:\n  /health: {{ get: {{ operationId: health, responses: {{ '200': {{ description: ok }} }} }} }}\n  /{namespace}/{{id}}: {{ get: {operation} }}\n"
        );
        document.openapi_spec = text.into_bytes();
        case.register(&addr, vec![document]).await;
    }
    for version in ["v1", "v2"] {
        let name = if version == "v1" {
            ITEM
        } else {
            "message Item { string name = 1; string more = 2; }"
        };
        case.register(
            &addr,
            vec![proto("shop", version, &service("shop.all", name))],
        )
        .await;
    }
    is(
        &doctor(&case.gateway, &[]).await,
        &[
            ("shared-path", "GET /health"),
            ("shared-path", "gRPC /shop.all.Shop/Get"),
        ],
    );
    case.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_that_end_the_gateway_are_named() {
    let mut case = Case::new().await;
    let (_open, addr) = alive().await;
    let source = "syntax = \"proto3\"; package s.v1; import \"more.proto\";
        message Deep { Big big = 1; } message Big { fixed64 n = 1; } message Ok { int64 n = 1; }
        message Tags { Ok ok = 1; Inner inner = 2; } message Inner { map<string, string> tags = 1; }
        service S {
            rpc Answer(Ok) returns (stream Deep);
            rpc Unary(Ok) returns (Big);
            rpc Fine(Ok) returns (stream Ok);
            rpc Imported(Ok) returns (stream more.More);
        }";
    let mut streams = proto("s", "v1", source);
    let more = "syntax = \"proto3\"; package more; message More { string name = 1; }";
    streams
        .proto_imports
        .insert("more.proto".to_owned(), more.as_bytes().to_vec());
    case.register(&addr, vec![streams]).await;
    let done = doctor(&case.gateway, &[]).await;
    let json = done.json();
    let unjudged = json["not_judged"].to_string();
    is(&done, &[("fatal-method", "/s.v1.S/Answer")]);
    assert_eq!(
        unjudged.contains("/s.v1.S/Imported"),
        case.gateway.embedded.is_none(),
        "{unjudged}"
    );
    case.end().await;
}

/// Ports and TLS mixed up on the way to the gateway: each is said with what to give instead.
#[tokio::test(flavor = "multi_thread")]
async fn mistakes_about_ports_and_tls_are_named() {
    let gateway = Gateway::embedded().await;
    let folder = folder("");
    let authority = Authority::new("private");
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    let target = gateway.embedded.as_ref().unwrap().address();
    let proxy = TlsProxy::before(target, authority.server("localhost", None)).await;
    let (behind_tls, https) = (proxy.localhost(), format!("https://{}", gateway.target));
    let http_port = gateway.http.trim_start_matches("http://");
    let control_port = format!("http://{}", gateway.target);
    for (arguments, id, subject, parts) in [
        // The HTTP port instead of the control plane's, and the other way round.
        (
            vec!["-g", http_port],
            "gateway-away",
            http_port,
            vec!["does not speak gRPC", "control plane's, usually 50090"],
        ),
        (
            vec!["-g", &gateway.target, "--http", &control_port],
            "http-port",
            "--http",
            vec!["HTTP port, usually 8080, not of the control plane"],
        ),
        // TLS towards plaintext, plaintext towards TLS, and a CA that is not known.
        (
            vec!["-g", &https, "--tls-ca", "ca.pem"],
            "gateway-away",
            &https,
            vec!["TLS"],
        ),
        (
            vec!["-g", &behind_tls],
            "gateway-away",
            &behind_tls,
            vec!["TLS"],
        ),
    ] {
        let more = ["--observe", "0s", "--json"];
        let done = call(&folder, &[&["doctor"], &arguments[..], &more[..]].concat()).await;
        let json = done.json();
        let found = json["findings"].as_array().expect("findings");
        assert_eq!(found.len(), 1, "{done:#?}");
        assert_eq!(found[0]["id"], id, "{done:#?}");
        assert_eq!(found[0]["subject"], subject, "{done:#?}");
        let text = found[0].to_string();
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_ne!(done.code, 0);
    }
    let trusted = ["doctor", "-g", &behind_tls, "--tls-ca", "ca.pem"];
    let done = call(&folder, &[&trusted[..], &["--observe", "0s"]].concat()).await;
    done.ends_with(0).says("nothing wrong was found");
}

/// What is spoken at the addresses of replicas, against what the gateway speaks there.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_speak_another_protocol_are_named() {
    let authority = Authority::new("private");
    let (_open, nobody) = alive().await;
    let target = nobody.parse().unwrap();
    let proxy = TlsProxy::before(target, authority.server("localhost", None)).await;
    let tls = proxy.address.to_string();
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = web.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        while let Ok((mut stream, _)) = web.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        }
    });
    let shop = || proto("shop", "v1", &service("shop.v1", ITEM));
    let pets = || {
        let mut pets = proto("pets", "v1", "");
        pets.openapi_spec = std::fs::read(data("good/pets.yaml")).unwrap();
        pets
    };
    let https = format!("https://{plain}");
    for (addr, of, id) in [
        (&tls, shop(), "tls"),
        (&tls, pets(), "tls"),
        (&https, pets(), "tls"),
        (&plain, shop(), "wrong-port"),
    ] {
        let mut case = Case::new().await;
        case.register(addr, vec![of]).await;
        is(&doctor(&case.gateway, &[]).await, &[(id, addr)]);
        case.end().await;
    }
}

/// A gateway of ours restarts by a call; a real one is not this test's to kill.
#[tokio::test(flavor = "multi_thread")]
async fn ghosts_are_counted() {
    let gateway = Gateway::embedded().await;
    let embedded = gateway.embedded.clone().unwrap();
    let (_open, addr) = alive().await;
    let shop = || vec![proto("shop", "v1", &service("shop.v1", ITEM))];
    register(&gateway.client(), &addr, shop()).await;
    embedded
        .wait_until(|now| now.service("shop", "v1").is_some())
        .await;
    embedded.restart().await.unwrap();
    // A call on the connection of before may still fail.
    let client = gateway.client();
    let answers = async {
        while client.services().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let answers = tokio::time::timeout(crate::support::PATIENCE, answers);
    answers.await.expect("it is back");
    register(&client, &addr, shop()).await;
    embedded
        .wait_until(|now| {
            now.service("shop", "v1")
                .is_some_and(|it| it.replicas.len() == 2)
        })
        .await;
    let done = doctor(&gateway, &[]).await;
    is(&done, &[("ghosts", "shop/v1")]);
}

/// Of a cluster every node is to be given.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_judged_as_a_whole() {
    let one = Gateway::embedded().await;
    let first = one.embedded.clone().unwrap();
    let second = tower_gwag_gateway::EmbeddedGateway::builder()
        .join(&first)
        .start()
        .await
        .unwrap();
    let third = tower_gwag_gateway::EmbeddedGateway::builder()
        .join(&first)
        .start()
        .await
        .unwrap();
    let (_open, addr) = alive().await;
    for node in [&first, &second, &third] {
        let client = tower_gwag::control::Client::new(&*node.target()).unwrap();
        register(
            &client,
            &addr,
            vec![proto("shop", "v1", &service("shop.v1", ITEM))],
        )
        .await;
    }
    for node in [&first, &second, &third] {
        node.wait_until(|now| {
            now.service("shop", "v1")
                .is_some_and(|it| it.replicas.len() == 3)
        })
        .await;
    }
    let all = format!("{},{}", second.target(), third.target());
    is(&doctor(&one, &["--gateway", &all]).await, &[]);
    let done = doctor(&one, &["--gateway", &second.target()]).await;
    let unjudged = done.json()["not_judged"].to_string();
    assert!(
        unjudged.contains("ghosts") && unjudged.contains("2 of 3 live nodes"),
        "{unjudged}"
    );
    is(&done, &[]);
    // Another gateway is none of its peers.
    let other = Gateway::embedded().await;
    is(
        &doctor(&one, &["--gateway", &other.target]).await,
        &[("not-a-peer", &other.target)],
    );
}
