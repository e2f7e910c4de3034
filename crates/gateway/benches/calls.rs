//! What a call through the embedded gateway costs against a direct one, by gRPC, HTTP and GraphQL, and
//! how much memory the gateway takes. `GWAG_GATEWAY` and `GWAG_GATEWAY_HTTP` add a real one, called by
//! the same client.
//!
//! `cargo bench -p tower-gwag-gateway --bench calls`. Only the ratios within one run mean something: the
//! service, the client and the embedded gateway share a process, and the ways take turns.

#[path = "../tests/embedded/backend.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod backend;
#[path = "../tests/embedded/caller.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod caller;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use crate::backend::{Backend, OPENAPI, PROTO};
use crate::caller::{Caller, proto};

const CALLERS: usize = 16;
const ROUNDS: usize = 5;
const TURN: Duration = Duration::from_millis(400);
const WARMING: Duration = Duration::from_millis(100);
/// Services that are registered to see how much memory they take.
const SERVICES: usize = 100;

const PING: &str = "/demo.v1.Demo/Ping";

/// One way to make a call.
#[derive(Clone)]
enum Way {
    Grpc(Caller),
    Http(Client<HttpConnector, Full<Bytes>>, String),
    GraphQl(Client<HttpConnector, Full<Bytes>>, String),
}

impl Way {
    fn http(url: String) -> Self {
        Self::Http(Client::builder(TokioExecutor::new()).build_http(), url)
    }

    fn graphql(url: String) -> Self {
        Self::GraphQl(Client::builder(TokioExecutor::new()).build_http(), url)
    }

    async fn call(&self) -> Result<(), String> {
        let (client, request) = match self {
            Self::Grpc(caller) => {
                let answer = caller.call(PING, b"\x0a\x01x").await;
                return answer.map(drop).map_err(|status| status.to_string());
            }
            Self::Http(client, url) => (client, http::Request::get(url).body(Full::default())),
            Self::GraphQl(client, url) => {
                let query = r#"{"query":"{ pets { getPet(id: \"7\") } }"}"#;
                let request = http::Request::post(url).header("content-type", "application/json");
                (client, request.body(Full::from(query)))
            }
        };
        let answer = client.request(request.unwrap()).await;
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        let body = answer.into_body().collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        match body.windows(5).any(|it| it == b"pet 7") {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&body).into_owned()),
        }
    }

    /// Calls per second, by a few callers at once.
    async fn measured(&self) -> f64 {
        let done = Arc::new(AtomicU64::new(0));
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (way, done) = (self.clone(), Arc::clone(&done));
                tokio::spawn(async move {
                    loop {
                        way.call().await.unwrap();
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        tokio::time::sleep(WARMING).await;
        let (before, begun) = (done.load(Ordering::Relaxed), Instant::now());
        tokio::time::sleep(TURN).await;
        let calls = done.load(Ordering::Relaxed) - before;
        let took = begun.elapsed().as_secs_f64();
        for caller in &callers {
            assert!(!caller.is_finished(), "a call failed");
            caller.abort();
        }
        calls as f64 / took
    }
}

/// A gateway that has both services.
async fn registered(target: &str, http: &str, address: &str) -> Vec<Way> {
    let caller = Caller::connect(target).await;
    let demo = proto::ServiceBinding {
        namespace: "demo".to_owned(),
        proto_source: PROTO.as_bytes().to_vec(),
        ..Default::default()
    };
    let base = format!("http://{address}/base");
    for (addr, service) in [(address.to_owned(), demo), (base, binding("pets", OPENAPI))] {
        let request = proto::RegisterRequest {
            addr,
            services: vec![service],
            instance_id: "bench".to_owned(),
            // Longer than the bench: nothing sends heartbeats.
            ttl_seconds: 600,
        };
        caller.control().register(request).await.unwrap();
    }
    let ways = vec![
        Way::Grpc(caller),
        Way::http(format!("{http}/api/ingress/pets/7")),
        Way::graphql(format!("{http}/api/graphql")),
    ];
    let deadline = Instant::now() + Duration::from_secs(30);
    for way in &ways {
        while let Err(why) = way.call().await {
            assert!(Instant::now() < deadline, "it is not routed: {why}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    ways
}

fn binding(namespace: &str, document: &str) -> proto::ServiceBinding {
    proto::ServiceBinding {
        namespace: namespace.to_owned(),
        openapi_spec: document.as_bytes().to_vec(),
        ..Default::default()
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

async fn speed() {
    let mut backend = Backend::start("one").await;
    // Nobody reads what callers say of themselves.
    backend.agents.close();
    let address = backend.address.to_string();
    let names = ["gRPC", "HTTP", "GraphQL"];
    let direct = [
        Way::Grpc(Caller::connect(&address).await),
        Way::http(format!("http://{address}/base/pets/7")),
    ];
    let gateway = EmbeddedGateway::builder().profile(Profile::Clustered);
    let gateway = gateway.start().await.unwrap();
    let embedded = registered(&gateway.target(), &gateway.http_url(), &address).await;
    let real = match ["GWAG_GATEWAY", "GWAG_GATEWAY_HTTP"].map(std::env::var) {
        [Ok(target), Ok(http)] => registered(&target, http.trim_end_matches('/'), &address).await,
        _ => Vec::new(),
    };
    if real.is_empty() {
        println!("a real gateway is not measured: GWAG_GATEWAY and GWAG_GATEWAY_HTTP are not set");
    }
    let ways: Vec<&Way> = direct.iter().chain(&embedded).chain(&real).collect();
    let mut seen = vec![Vec::new(); ways.len()];
    for _ in 0..ROUNDS {
        for (way, seen) in ways.iter().zip(&mut seen) {
            seen.push(way.measured().await);
        }
    }
    let seen: Vec<f64> = seen.into_iter().map(median).collect();
    println!(
        "calls per second, {CALLERS} callers, the median of {ROUNDS} turns; and of a direct call"
    );
    println!("| | direct | embedded | | real | |\n|---|---|---|---|---|---|");
    for (n, name) in names.iter().enumerate() {
        // GraphQL is compared with the HTTP call that it becomes.
        let direct = seen[n.min(1)];
        let share = |calls: Option<&f64>| {
            let share = calls.map(|it| format!("{it:.0} | {:.0} %", 100.0 * it / direct));
            share.unwrap_or("- | -".to_owned())
        };
        let (embedded, real) = (share(seen.get(2 + n)), share(seen.get(5 + n)));
        println!("| {name} | {direct:.0} | {embedded} | {real} |");
    }
}

/// Resident memory in MiB, where the kernel tells it.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}

async fn memory() {
    let Some(before) = resident() else {
        println!("memory is not measured: there is no /proc/self/status");
        return;
    };
    let shown = |what: &str| {
        let now = resident().unwrap_or_default();
        println!("| {what} | {:.1} MiB |", now - before);
    };
    println!("\nmemory above the {before:.1} MiB of the process\n| | |\n|---|---|");
    let gateway = EmbeddedGateway::builder().profile(Profile::Clustered);
    let gateway = gateway.start().await.unwrap();
    shown("idle");
    let caller = Caller::connect(&gateway.target()).await;
    for n in 0..SERVICES {
        let (namespace, address) = (format!("s{n}"), "127.0.0.1:1");
        match n % 2 {
            0 => {
                let source = PROTO.replace("demo", &namespace);
                caller.register(address, &namespace, &source).await;
            }
            _ => {
                let document = OPENAPI.replace("/pets", &format!("/{namespace}"));
                let pets = binding(&namespace, &document);
                let base = format!("http://{address}");
                caller.register_binding(&base, pets).await.unwrap();
            }
        }
    }
    gateway.wait_until(|now| now.pending_mounts == 0).await;
    shown(&format!("{SERVICES} services"));
    let url = format!("{}/api/graphql?query=%7B__typename%7D", gateway.http_url());
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let answer = client.get(url.parse().unwrap()).await.unwrap();
    assert!(answer.status().is_success());
    drop(answer.into_body().collect().await);
    shown("and their GraphQL schema");
    gateway.shutdown().await;
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        // First, while nothing else has used memory.
        memory().await;
        speed().await;
    });
}
