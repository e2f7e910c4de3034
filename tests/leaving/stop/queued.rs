//! Calls that wait behind a limit are answered, wherever the limit is.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::Server as Tonic;
use tower::ServiceBuilder;
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
use tower_gwag::{LeaveReport, Options, State};

use super::{Parts, Serve, Server, Serving};
use crate::support::greeter::greeter_server::GreeterServer;
use crate::support::servers::TestGreeter;
use crate::support::{gateway, greeter_options, pets_options, within};

const CALLS: usize = 20;
const LENGTH_MS: i32 = 300;

fn greeter() -> GreeterServer<TestGreeter> {
    GreeterServer::new(TestGreeter::default())
}

/// A tonic server around the parts.
macro_rules! tonic {
    ($parts:ident => $server:expr) => {
        |$parts: Parts| -> Serving {
            Box::pin(async move {
                let registration = $parts.layer.registration();
                let incoming = registration.incoming($parts.listener).expect("wrapped");
                $server
                    .add_service(greeter())
                    .serve_with_incoming_shutdown(incoming, $parts.shutdown)
                    .await
                    .expect("served");
            })
        }
    };
}

const LIMITS: [(&str, Serve); 6] = [
    (
        "inside",
        tonic!(parts => Tonic::builder().layer(parts.layer).layer(ConcurrencyLimitLayer::new(2))),
    ),
    (
        "outside",
        tonic!(parts => Tonic::builder().layer(ConcurrencyLimitLayer::new(2)).layer(parts.layer)),
    ),
    (
        "per connection",
        tonic!(parts => Tonic::builder().concurrency_limit_per_connection(2).layer(parts.layer)),
    ),
    (
        "behind a buffer",
        tonic!(parts => Tonic::builder().layer(
            ServiceBuilder::new().buffer(CALLS).concurrency_limit(2).layer(parts.layer),
        )),
    ),
    (
        // Between two calls nothing is in flight for longer than the quiet time.
        "by rate",
        tonic!(parts => Tonic::builder().layer(
            ServiceBuilder::new()
                .buffer(CALLS)
                .rate_limit(3, Duration::from_millis(600))
                .layer(parts.layer),
        )),
    ),
    (
        "before a buffer",
        tonic!(parts => Tonic::builder().layer(parts.layer).layer(
            ServiceBuilder::new().buffer(CALLS).concurrency_limit(2),
        )),
    ),
];

/// Makes all calls at once, gives the signal once one is answered, and returns which failed.
async fn amid_calls(server: Server) -> (Vec<tonic::Status>, LeaveReport) {
    let address = server.address;
    amid_calls_of(server, address).await
}

async fn amid_calls_of(server: Server, address: SocketAddr) -> (Vec<tonic::Status>, LeaveReport) {
    let client = crate::support::greeter_client(address).await;
    let (answered, mut answers) = mpsc::channel(CALLS);
    for _ in 0..CALLS {
        let (mut client, answered) = (client.clone(), answered.clone());
        tokio::spawn(async move {
            let mut request = crate::support::hello("Ada");
            request.delay_ms = LENGTH_MS;
            answered
                .send(client.hello(request).await)
                .await
                .expect("received");
        });
    }
    drop((answered, client));
    let first = within("an answer", answers.recv()).await.expect("one");
    let stopping = tokio::spawn(server.stop());
    let mut failed: Vec<_> = first.err().into_iter().collect();
    while let Some(answer) = within("an answer", answers.recv()).await {
        failed.extend(answer.err());
    }
    (
        failed,
        within("the report", stopping).await.expect("no panic"),
    )
}

/// None is lost behind any of the limits.
async fn loses_none(options: impl Fn() -> Options) {
    let mut runs = JoinSet::new();
    for (name, serve) in LIMITS {
        let options = options();
        runs.spawn(async move {
            let server = Server::start(options, serve).await;
            let (failed, report) = amid_calls(server).await;
            assert!(
                failed.is_empty(),
                "{name}: {} of {CALLS}: {failed:?}\n{report}",
                failed.len()
            );
            assert_eq!((report.cut(), report.severed()), (0, 0), "{name}: {report}");
        });
    }
    while let Some(run) = runs.join_next().await {
        run.expect("none is lost");
    }
}

#[tokio::test]
async fn behind_a_limit_of_tonic() {
    let gateway = gateway().await;
    loses_none(|| greeter_options(&gateway)).await;
}

#[tokio::test]
async fn behind_a_limit_of_a_server_that_registers_nothing() {
    loses_none(Options::disabled).await;
}

/// A call that is shed fails at once, and nothing else fails.
#[tokio::test]
async fn behind_a_limit_that_sheds() {
    let gateway = gateway().await;
    let serve = tonic!(parts => Tonic::builder()
        .load_shed(true)
        .concurrency_limit_per_connection(2)
        .layer(parts.layer));
    let server = Server::start(greeter_options(&gateway), serve).await;
    let (failed, report) = amid_calls(server).await;
    assert!(failed.len() < CALLS, "{failed:?}");
    let shed = |status: &tonic::Status| status.code() == Code::ResourceExhausted;
    assert!(failed.iter().all(shed), "{failed:?}\n{report}");
}

fn app() -> Router {
    let wait = |Path(ms): Path<u64>| async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        "waited"
    };
    Router::new().route("/wait/{ms}", get(wait))
}

fn axum_with(parts: Parts, is_outside: bool) -> Serving {
    Box::pin(async move {
        let registration = parts.layer.registration();
        let listener = registration.listener(parts.listener).expect("wrapped");
        let limit = GlobalConcurrencyLimitLayer::new(2);
        let app = match is_outside {
            true => app().layer(parts.layer).layer(limit),
            false => app().layer(limit).layer(parts.layer),
        };
        axum::serve(listener, app)
            .with_graceful_shutdown(parts.shutdown)
            .await
            .expect("served");
    })
}

#[tokio::test]
async fn behind_a_global_limit_of_axum() {
    let gateway = gateway().await;
    let serves: [Serve; 2] = [
        |parts| axum_with(parts, true),
        |parts| axum_with(parts, false),
    ];
    let mut runs = JoinSet::new();
    for serve in serves {
        for options in [pets_options(&gateway), Options::disabled()] {
            runs.spawn(amid_requests(options, serve));
        }
    }
    while let Some(run) = runs.join_next().await {
        run.expect("none is lost");
    }
}

async fn amid_requests(options: Options, serve: Serve) {
    let server = Server::start(options, serve).await;
    let url = format!("http://{}/wait/{LENGTH_MS}", server.address);
    let (answered, mut answers) = mpsc::channel(CALLS);
    for _ in 0..CALLS {
        let (url, answered) = (url.clone(), answered.clone());
        tokio::spawn(async move {
            let answer = crate::support::get(&url).await;
            answered.send(answer).await.expect("received");
        });
    }
    drop(answered);
    assert_eq!(
        within("an answer", answers.recv()).await.expect("one").0,
        200
    );
    let stopping = tokio::spawn(server.stop());
    let mut good = 1;
    while let Some((status, _)) = within("an answer", answers.recv()).await {
        assert_eq!(status, 200);
        good += 1;
    }
    assert_eq!(good, CALLS, "the others got no answer");
    within("the report", stopping).await.expect("no panic");
}

/// Through a standalone gateway, which cancels calls when the last registration goes: the hold has
/// to be there for as long as any call waits.
#[tokio::test]
async fn through_a_gateway() {
    let mut runs = JoinSet::new();
    for (name, serve) in LIMITS {
        let gateway = gateway().await;
        runs.spawn(async move {
            let server = Server::start(greeter_options(&gateway), serve).await;
            let calls = gateway.address();
            let (failed, report) = amid_calls_of(server, calls).await;
            assert!(failed.is_empty(), "{name}: {failed:?}\n{report}");
            assert!(gateway.registrations().is_empty(), "{name}");
        });
    }
    while let Some(run) = runs.join_next().await {
        run.expect("none is lost");
    }
}

/// Nobody calls `finish()`: the end of the runtime gives the hold back, after the last call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_finish() {
    let gateway = gateway().await;
    let options = greeter_options(&gateway);
    let (started, address) = tokio::sync::oneshot::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let life = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async move {
            let (_, serve) = LIMITS[1];
            let server = Server::start(options, serve).await;
            let Server {
                registration,
                address,
                served,
                stop,
            } = server;
            started.send(address).expect("awaited");
            stopped.await.expect("told");
            stop.send(()).expect("the server waits for it");
            served.await.expect("served");
            registration.status().borrow().state()
        })
    });
    within("the server", address).await.expect("started");
    let client = crate::support::greeter_client(gateway.address()).await;
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move {
                let mut request = crate::support::hello("Ada");
                request.delay_ms = LENGTH_MS;
                client.hello(request).await
            })
        })
        .collect();
    let mut calls = calls.into_iter();
    let first = calls.next().expect("one");
    within("an answer", first)
        .await
        .expect("no panic")
        .expect("good");
    stop.send(()).expect("awaited");
    for call in calls {
        within("an answer", call)
            .await
            .expect("no panic")
            .expect("good");
    }
    let life = tokio::task::spawn_blocking(move || life.join());
    let state = within("its end", life)
        .await
        .expect("joined")
        .expect("no panic");
    assert!(matches!(state, State::Leaving | State::Left), "{state:?}");
    assert!(gateway.registrations().is_empty());
}
