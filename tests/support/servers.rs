//! Servers under test: tonic and axum, on real sockets, stopped by the test.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status};
use tower_gwag::server::{IntoIncoming, IntoListener};
use tower_gwag::{GwagRegistrationLayer, LeaveReport, Options, Registration};

use super::greeter::greeter_server::{Greeter, GreeterServer};
use super::greeter::{GreetingsRequest, HelloReply, HelloRequest};
use super::within;

/// A server that a test stops, and its registration.
pub struct Running {
    pub registration: Registration,
    pub address: SocketAddr,
    pub served: JoinHandle<()>,
    /// Lets greetings of `hold` go on.
    pub hold: Arc<Semaphore>,
    stop: Option<oneshot::Sender<()>>,
}

impl Running {
    /// Gives the signal and waits for the server and the report.
    pub async fn stop(mut self) -> LeaveReport {
        self.signal();
        within("the server ends", self.served)
            .await
            .expect("served");
        within("the report", self.registration.finish()).await
    }

    pub fn signal(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Ends the server's future without a signal, and drops the handle.
    pub async fn abort(self) {
        self.served.abort();
        let end = within("the abort", self.served).await;
        assert!(end.expect_err("aborted").is_cancelled());
    }
}

pub async fn bind(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).await.expect("bound");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// A tonic greeter on any listener.
pub fn serve_tonic<I, M>(options: Options, listener: I, address: SocketAddr) -> Running
where
    I: IntoIncoming<M>,
    I::Io: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let incoming = registration.incoming(listener).expect("wrapped");
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = registration.shutdown(stopped);
    let greeter = TestGreeter::default();
    let hold = greeter.hold();
    let served = tokio::spawn(async move {
        Server::builder()
            .layer(layer)
            .add_service(GreeterServer::new(greeter))
            .serve_with_incoming_shutdown(incoming, shutdown)
            .await
            .expect("served");
    });
    Running {
        registration,
        address,
        served,
        hold,
        stop: Some(stop),
    }
}

/// Any gRPC services on tonic's server.
pub fn serve_tonic_routes(
    options: Options,
    listener: TcpListener,
    address: SocketAddr,
    routes: tonic::service::Routes,
) -> Running {
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let incoming = registration.incoming(listener).expect("wrapped");
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = registration.shutdown(stopped);
    let served = tokio::spawn(async move {
        Server::builder()
            .layer(layer)
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming, shutdown)
            .await
            .expect("served");
    });
    Running {
        registration,
        address,
        served,
        hold: Arc::new(Semaphore::new(0)),
        stop: Some(stop),
    }
}

/// A tonic greeter on `bind`.
pub async fn tonic_greeter_on(address: &str, options: Options) -> Running {
    let (listener, address) = bind(address).await;
    serve_tonic(options, listener, address)
}

pub async fn tonic_greeter(options: Options) -> Running {
    tonic_greeter_on("127.0.0.1:0", options).await
}

/// An axum server on any listener; the layer goes around `app`.
pub fn serve_axum<I, M>(options: Options, listener: I, address: SocketAddr, app: Router) -> Running
where
    I: IntoListener<M>,
    I::Listener: Listener<Addr = SocketAddr>,
    <I::Listener as Listener>::Addr: Debug + 'static,
{
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
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
        hold: Arc::new(Semaphore::new(0)),
        stop: Some(stop),
    }
}

/// An axum server on `bind`.
pub async fn axum_app_on(address: &str, options: Options, app: Router) -> Running {
    let (listener, address) = bind(address).await;
    serve_axum(options, listener, address, app)
}

pub async fn axum_app(options: Options, app: Router) -> Running {
    axum_app_on("127.0.0.1:0", options, app).await
}

/// What a GraphQL endpoint answers to an introspection query: one query, `hello`.
pub const INTROSPECTION: &str = r#"{"data":{"__schema":{
  "queryType":{"name":"Query"},"mutationType":null,"subscriptionType":null,"directives":[],
  "types":[
    {"kind":"OBJECT","name":"Query","description":null,"inputFields":null,"interfaces":[],
     "enumValues":null,"possibleTypes":null,"fields":[
       {"name":"hello","description":null,"args":[],"isDeprecated":false,"deprecationReason":null,
        "type":{"kind":"SCALAR","name":"String","ofType":null}}]},
    {"kind":"SCALAR","name":"String","description":null,"fields":null,"inputFields":null,
     "interfaces":null,"enumValues":null,"possibleTypes":null}]}}}"#;

pub fn pets_app() -> Router {
    Router::new()
        .route("/pets", get(|| async { "Rex, Tom" }))
        .route(
            "/pets/{id}",
            get(|Path(id): Path<String>| async move { axum::Json(format!("pet {id}")) }),
        )
}

/// Greets; panics when asked to greet `panic`, and waits when asked to greet `hold`, or `after 300`,
/// which is that many milliseconds.
pub struct TestGreeter {
    hold: Arc<Semaphore>,
}

impl Default for TestGreeter {
    fn default() -> Self {
        let hold = Arc::new(Semaphore::new(0));
        Self { hold }
    }
}

impl TestGreeter {
    /// What greetings of `hold` wait for.
    pub fn hold(&self) -> Arc<Semaphore> {
        Arc::clone(&self.hold)
    }
}

#[tonic::async_trait]
impl Greeter for TestGreeter {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let request = request.into_inner();
        assert!(request.name != "panic", "asked to panic");
        if request.name == "hold" {
            let held = self.hold.acquire().await;
            held.expect("never closed").forget();
        }
        // Gateways do not send fields with an underscore to services.
        let named = request.name.strip_prefix("after ");
        let delay = named.and_then(|ms| ms.parse().ok());
        let delay = delay.unwrap_or_else(|| request.delay_ms.unsigned_abs().into());
        tokio::time::sleep(Duration::from_millis(delay)).await;
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
                tokio::time::sleep(Duration::from_millis(
                    request.interval_ms.unsigned_abs().into(),
                ))
                .await;
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
