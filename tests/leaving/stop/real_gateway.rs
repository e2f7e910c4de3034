//! The same through a real gateway, where `GWAG_GATEWAY` (its control plane) and
//! `GWAG_GATEWAY_HTTP` name one; the latter may be that of another node of its cluster.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::transport::Server as Tonic;
use tower::limit::ConcurrencyLimitLayer;
use tower_gwag::{LeaveReport, Options, Service};

use super::{Parts, Serve, Server, Serving};
use crate::support::greeter::greeter_server::GreeterServer;
use crate::support::servers::TestGreeter;
use crate::support::{GREETER_PROTO, net, within};

const CALLS: usize = 30;

/// A gateway, and a name of one's own on it.
#[derive(Clone)]
struct Real {
    target: String,
    graphql: String,
    namespace: String,
}

impl Real {
    fn of_the_environment(name: &str) -> Option<Self> {
        let (Ok(target), Ok(http)) = (
            std::env::var("GWAG_GATEWAY"),
            std::env::var("GWAG_GATEWAY_HTTP"),
        ) else {
            println!("skipped: GWAG_GATEWAY and GWAG_GATEWAY_HTTP name no gateway");
            return None;
        };
        Some(Self {
            target,
            graphql: format!("{}/api/graphql", http.trim_end_matches('/')),
            namespace: format!("stop_{name}_{}", std::process::id()),
        })
    }

    fn options(&self) -> Options {
        let service = Service::proto(GREETER_PROTO).namespace(&self.namespace);
        Options::new(self.target.as_str()).service(service)
    }

    /// Whether a greeting that takes this long is answered.
    async fn greet(&self, delay_ms: u32) -> Result<(), String> {
        let namespace = &self.namespace;
        let query = format!(
            r#"{{"query":"{{ {namespace} {{ hello(name: \"after {delay_ms}\") {{ greeting }} }} }}"}}"#
        );
        let (status, body) = net::request("POST", &self.graphql, &query).await;
        match status == 200 && body.contains("Hello, after") {
            true => Ok(()),
            false => Err(format!("{status}: {body}")),
        }
    }

    async fn is_routed(&self) {
        within("routed", async {
            while self.greet(0).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }

    /// All calls at once, the signal after the first answer; those that failed.
    async fn lost(&self, serve: Serve, delay_ms: u32) -> (Vec<String>, LeaveReport) {
        let server = Server::start(self.options(), serve).await;
        self.is_routed().await;
        let (answered, mut answers) = mpsc::channel(CALLS);
        for call in 0..CALLS {
            let (real, answered) = (self.clone(), answered.clone());
            tokio::spawn(async move {
                let delay_ms = if call == 0 { 300 } else { delay_ms };
                let answer = real.greet(delay_ms).await;
                answered.send(answer).await.expect("received");
            });
        }
        drop(answered);
        let first = within("an answer", answers.recv()).await.expect("one");
        let stopping = tokio::spawn(server.stop());
        let mut lost: Vec<_> = first.err().into_iter().collect();
        while let Some(answer) = within("an answer", answers.recv()).await {
            lost.extend(answer.err());
        }
        (
            lost,
            within("the report", stopping).await.expect("no panic"),
        )
    }
}

fn inside(parts: Parts) -> Serving {
    serve(parts, false)
}

fn outside(parts: Parts) -> Serving {
    serve(parts, true)
}

fn unseen(parts: Parts) -> Serving {
    Box::pin(async move {
        let incoming = parts.layer.registration().incoming(parts.listener);
        Tonic::builder()
            .add_service(GreeterServer::new(TestGreeter::default()))
            .serve_with_incoming_shutdown(incoming.expect("wrapped"), parts.shutdown)
            .await
            .expect("served");
    })
}

fn serve(parts: Parts, is_outside: bool) -> Serving {
    Box::pin(async move {
        let incoming = parts.layer.registration().incoming(parts.listener);
        let incoming = incoming.expect("wrapped");
        let greeter = GreeterServer::new(TestGreeter::default());
        let limit = ConcurrencyLimitLayer::new(2);
        let served = if is_outside {
            let server = Tonic::builder().layer(limit).layer(parts.layer);
            let mut server = server;
            let router = server.add_service(greeter);
            router
                .serve_with_incoming_shutdown(incoming, parts.shutdown)
                .await
        } else {
            let mut server = Tonic::builder().layer(parts.layer).layer(limit);
            let router = server.add_service(greeter);
            router
                .serve_with_incoming_shutdown(incoming, parts.shutdown)
                .await
        };
        served.expect("served");
    })
}

#[tokio::test]
async fn no_call_that_waits_behind_a_limit_is_lost() {
    let mut runs = JoinSet::new();
    let serves: [(&str, Serve, u32); 3] = [
        ("inside", inside, 300),
        ("outside", outside, 300),
        // All at once, and longer than any wait but the drain's.
        ("unseen", unseen, 3_500),
    ];
    for (name, serve, delay_ms) in serves {
        let Some(real) = Real::of_the_environment(name) else {
            return;
        };
        runs.spawn(async move { (name, real.lost(serve, delay_ms).await) });
    }
    while let Some(run) = runs.join_next().await {
        let (name, (lost, report)) = run.expect("no panic");
        println!("{name}: {} of {CALLS} lost; {report}", lost.len());
        assert!(lost.is_empty(), "{name}: {lost:?}\n{report}");
        assert!(report.is_clean(), "{name}: {report}");
    }
}

/// The gateway is frozen while the server leaves, or, with `GWAG_GATEWAY_FAULT=KILL`, gone;
/// `GWAG_GATEWAY_PID` is its process. Calls that do not run through it are answered, and the server
/// ends in its budget.
#[tokio::test]
async fn calls_beside_a_frozen_gateway_are_answered() {
    let Some(real) = Real::of_the_environment("frozen") else {
        return;
    };
    let Ok(process) = std::env::var("GWAG_GATEWAY_PID") else {
        println!("skipped: GWAG_GATEWAY_PID names no process");
        return;
    };
    let is_gone = std::env::var("GWAG_GATEWAY_FAULT").is_ok_and(|fault| fault == "KILL");
    let signal = |name: &str| {
        let mut kill = std::process::Command::new("kill");
        let done = kill.args([name, &process]).status();
        assert!(done.expect("kill").success());
    };
    let server = Server::start(real.options(), outside).await;
    real.is_routed().await;
    let mut direct = JoinSet::new();
    let address = server.address;
    for _ in 0..10 {
        direct.spawn(async move {
            let mut client = crate::support::greeter_client(address).await;
            let mut request = crate::support::hello("Ada");
            request.delay_ms = 500;
            client.hello(request).await.map(|_| ())
        });
    }
    let through = real.clone();
    let through = (!is_gone).then(|| tokio::spawn(async move { through.greet(800).await }));
    tokio::time::sleep(Duration::from_millis(300)).await;
    signal(if is_gone { "-KILL" } else { "-STOP" });
    let start = Instant::now();
    let stopping = tokio::spawn(server.stop());
    let mut lost = 0;
    while let Some(answer) = direct.join_next().await {
        lost += usize::from(answer.expect("no panic").is_err());
    }
    let report = within("the report", stopping).await;
    let took = start.elapsed();
    if !is_gone {
        signal("-CONT");
    }
    let report = report.expect("no panic");
    println!("{lost} of 10 lost, in {took:?}; {report}");
    assert_eq!(lost, 0, "{report}");
    assert!(took < Duration::from_secs(25), "{took:?}: {report}");
    if let Some(through) = through {
        let answer = within("an answer", through).await.expect("no panic");
        assert_eq!(answer, Ok(()), "{report}");
    }
}
