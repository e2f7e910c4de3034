//! What the tests share: servers on real sockets, and waiting with a deadline.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part, as a module of its own"
)]

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tower_gwag::embedded::{EmbeddedGateway, RegistrationView};
use tower_gwag::{GwagRegistrationLayer, LeaveReport, Options, Registration, Service, State};

#[allow(clippy::all, clippy::pedantic)]
#[path = "../../examples/greeter/generated.rs"]
pub mod greeter;

use greeter::greeter_client::GreeterClient;
use greeter::greeter_server::{Greeter, GreeterServer};
use greeter::{GreetingsRequest, HelloReply, HelloRequest};

pub const GREETER_PROTO: &str = include_str!("../../examples/greeter/proto/greeter.proto");

pub const PETS_OPENAPI: &str = r#"{
  "openapi": "3.0.3",
  "info": {"title": "Pet Store API!", "version": "1"},
  "paths": {
    "/pets": {"get": {"operationId": "listPets", "responses": {"200": {"description": "ok"}}}},
    "/pets/{id}": {"get": {"operationId": "getPet",
      "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
      "responses": {"200": {"description": "ok"}}}}
  }
}"#;

/// Far above what anything takes here, so that only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits with a deadline; names what did not happen.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("did not happen within {DEADLINE:?}: {what}"),
    }
}

pub async fn gateway() -> EmbeddedGateway {
    EmbeddedGateway::builder()
        .start()
        .await
        .expect("the embedded gateway starts")
}

/// The options of a greeter, repeatable.
pub fn greeter_options(gateway: &EmbeddedGateway) -> Options {
    Options::new(gateway.target())
        .seed(7)
        .service(Service::proto(GREETER_PROTO).namespace("greeter"))
}

pub fn pets_options(gateway: &EmbeddedGateway) -> Options {
    Options::new(gateway.target())
        .seed(7)
        .service(Service::openapi(PETS_OPENAPI))
}

pub async fn until_state(registration: &Registration, state: State) {
    let mut status = registration.status();
    within(
        &format!("status {state:?}"),
        status.wait_for(|now| now.state() == state),
    )
    .await
    .expect("the registration is alive");
}

pub async fn registered(registration: &Registration) {
    within("registered", registration.registered())
        .await
        .expect("registered");
}

/// Waits until the gateway lists exactly `count` registrations, and returns them.
pub async fn listed(gateway: &EmbeddedGateway, count: usize) -> Vec<RegistrationView> {
    within(
        &format!("{count} registrations listed"),
        gateway.wait_until(|now| now.registrations.len() == count),
    )
    .await;
    gateway.registrations()
}

/// A server that a test stops, and its registration.
pub struct Running {
    pub registration: Registration,
    pub address: SocketAddr,
    pub served: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
}

impl Running {
    /// Gives the signal and waits for the server and the report.
    pub async fn stop(mut self) -> LeaveReport {
        self.signal();
        within("the server ends", self.served).await.expect("served");
        within("the report", self.registration.finish()).await
    }

    pub fn signal(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

/// A tonic greeter on `bind`.
pub async fn tonic_greeter_on(bind: &str, options: Options) -> Running {
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let listener = TcpListener::bind(bind).await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let incoming = registration.incoming(listener).expect("wrapped");
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = registration.shutdown(stopped);
    let served = tokio::spawn(async move {
        Server::builder()
            .layer(layer)
            .add_service(GreeterServer::new(TestGreeter))
            .serve_with_incoming_shutdown(incoming, shutdown)
            .await
            .expect("served");
    });
    Running {
        registration,
        address,
        served,
        stop: Some(stop),
    }
}

pub async fn tonic_greeter(options: Options) -> Running {
    tonic_greeter_on("127.0.0.1:0", options).await
}

/// An axum server on `bind`; the layer goes around `app`.
pub async fn axum_app_on(bind: &str, options: Options, app: axum::Router) -> Running {
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let listener = TcpListener::bind(bind).await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let listener = registration.listener(listener).expect("wrapped");
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = registration.shutdown(stopped);
    let app = app
        .layer(layer)
        .into_make_service_with_connect_info::<SocketAddr>();
    let served = tokio::spawn(async move {
        axum::serve(listener, app)
            .with_graceful_shutdown(shutdown)
            .await
            .expect("served");
    });
    Running {
        registration,
        address,
        served,
        stop: Some(stop),
    }
}

pub async fn axum_app(options: Options, app: axum::Router) -> Running {
    axum_app_on("127.0.0.1:0", options, app).await
}

pub fn pets_app() -> axum::Router {
    use axum::extract::Path;
    use axum::routing::get;

    axum::Router::new()
        .route("/pets", get(|| async { "Rex, Tom" }))
        .route(
            "/pets/{id}",
            get(|Path(id): Path<String>| async move { format!("pet {id}") }),
        )
}

pub async fn greeter_client(address: impl std::fmt::Display) -> GreeterClient<tonic::transport::Channel> {
    within(
        "a connection",
        GreeterClient::connect(format!("http://{address}")),
    )
    .await
    .expect("connected")
}

pub fn hello(name: &str, delay_ms: u32) -> HelloRequest {
    HelloRequest {
        name: name.into(),
        delay_ms,
    }
}

pub fn greetings(count: u32, interval_ms: u32) -> GreetingsRequest {
    GreetingsRequest {
        name: "stream".into(),
        count,
        interval_ms,
    }
}

/// Greets; panics when asked to greet `panic`.
pub struct TestGreeter;

#[tonic::async_trait]
impl Greeter for TestGreeter {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let request = request.into_inner();
        assert!(request.name != "panic", "asked to panic");
        tokio::time::sleep(Duration::from_millis(request.delay_ms.into())).await;
        Ok(Response::new(reply(&request.name)))
    }

    type GreetingsStream = Pin<Box<dyn Stream<Item = Result<HelloReply, Status>> + Send>>;

    async fn greetings(
        &self,
        request: Request<GreetingsRequest>,
    ) -> Result<Response<Self::GreetingsStream>, Status> {
        let request = request.into_inner();
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            let mut sent = 0;
            while request.count == 0 || sent < request.count {
                if sender.send(Ok(reply(&request.name))).await.is_err() {
                    return;
                }
                sent += 1;
                tokio::time::sleep(Duration::from_millis(request.interval_ms.into())).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

fn reply(name: &str) -> HelloReply {
    HelloReply {
        greeting: format!("Hello, {name}!"),
        replica: String::new(),
    }
}

/// An HTTP GET; status and body.
pub async fn get(url: &str) -> (u16, String) {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;

    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<hyper::body::Bytes>>();
    let response = within("an answer", client.get(url.parse().expect("a URL")))
        .await
        .expect("answered");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body");
    (
        status,
        String::from_utf8_lossy(&body.to_bytes()).into_owned(),
    )
}

/// Resolves when `condition` holds; for values that nobody announces. Polls, with a deadline.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    within(what, async {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        while !condition() {
            tick.tick().await;
        }
    })
    .await;
}
