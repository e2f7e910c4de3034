//! The servers, each with the layer that the program is built with.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Server;
use tonic::transport::server::TcpConnectInfo;
#[cfg(not(layer = "none"))]
use tower_layer::Layer;
use tower_service::Service;

use self::greeter::greeter_server::{Greeter, GreeterServer};
use self::greeter::{GreetingsRequest, HelloReply, HelloRequest};
use super::{Run, http2};

/// Included, not a file of its own: rustfmt must leave it as it was generated.
#[allow(clippy::all, clippy::pedantic, unreachable_pub, missing_docs)]
mod greeter {
    include!("../../examples/greeter/generated.rs");
}

/// A server and its client, which makes calls of one sort.
type Prepare = fn(&str) -> Run;

pub(crate) const SERVERS: &[Prepare] = &[
    #[cfg(any(not(one_server), server = "ready"))]
    ready_service,
    #[cfg(any(not(one_server), server = "tonic"))]
    tonic,
    #[cfg(any(not(one_server), server = "router"))]
    router,
    #[cfg(any(not(one_server), server = "http1"))]
    axum_http1,
    #[cfg(any(not(one_server), server = "http2"))]
    axum_http2,
    #[cfg(any(not(one_server), server = "socket"))]
    axum_socket,
];

#[cfg(not(any(layer = "none", layer = "identity", layer = "in-flight-requests")))]
fn layer() -> tower_gwag::GwagRegistrationLayer {
    tower_gwag::GwagRegistrationLayer::new(tower_gwag::Options::disabled())
}

#[cfg(layer = "in-flight-requests")]
fn layer() -> tower_http::metrics::InFlightRequestsLayer {
    use tower_http::metrics::in_flight_requests::{InFlightRequestsCounter, InFlightRequestsLayer};
    InFlightRequestsLayer::new(InFlightRequestsCounter::new())
}

#[cfg(layer = "identity")]
fn layer() -> Sized<tower_layer::Identity> {
    Sized(tower_layer::Identity::new(), std::sync::Arc::default())
}

/// A layer of a size, as layers of use have: axum boxes the layer per call, and boxing nothing
/// costs nothing.
#[cfg(layer = "identity")]
#[derive(Clone)]
struct Sized<L>(
    L,
    #[allow(dead_code, reason = "for its size")] std::sync::Arc<std::sync::atomic::AtomicUsize>,
);

#[cfg(layer = "identity")]
impl<S, L: Layer<S>> Layer<S> for Sized<L> {
    type Service = L::Service;

    fn layer(&self, inner: S) -> Self::Service {
        self.0.layer(inner)
    }
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

fn peer() -> SocketAddr {
    ([127, 0, 0, 1], 4711).into()
}

fn plain_request() -> Request<Full<Bytes>> {
    Request::get("/pets/7")
        .header(header::HOST, "pets.example")
        .header(header::USER_AGENT, "Go-http-client/1.1")
        .header(header::ACCEPT, "application/json")
        .extension(ConnectInfo(peer()))
        .body(Full::default())
        .expect("a request")
}

fn grpc_request() -> Request<Full<Bytes>> {
    Request::post("http://greeter.example/greeter.v1.Greeter/Hello")
        .version(http::Version::HTTP_2)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::USER_AGENT, "grpc-go/1.75.0")
        .header(header::TE, "trailers")
        .extension(TcpConnectInfo {
            local_addr: None,
            remote_addr: Some(peer()),
        })
        .body(Full::default())
        .expect("a request")
}

/// Answers at once, with a copy: what the compiler makes of building a response differs by more than the
/// layer costs.
#[derive(Clone)]
struct Echo(Response<Full<Bytes>>);

impl Service<Request<Full<Bytes>>> for Echo {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let mut response = self.0.clone();
        *response.body_mut() = request.into_body();
        ready(Ok(response))
    }
}

fn ready_service(call: &str) -> Run {
    let (request, content_type) = match call {
        "get" => (plain_request(), "application/json"),
        _ => (grpc_request(), "application/grpc"),
    };
    let response = Response::builder().header(header::CONTENT_TYPE, content_type);
    let echo = Echo(response.body(Full::default()).expect("a response"));
    #[cfg(layer = "none")]
    return calls_of(echo, request);
    #[cfg(not(layer = "none"))]
    calls_of(layer().layer(echo), request)
}

/// The body is polled to its end where it is, on the stack.
fn calls_of<S, B>(mut service: S, request: Request<Full<Bytes>>) -> Run
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + 'static,
    B: Body,
{
    Box::new(move |calls| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..calls {
            assert!(service.poll_ready(&mut cx).is_ready());
            let future = pin!(service.call(request.clone()));
            let Poll::Ready(Ok(response)) = future.poll(&mut cx) else {
                panic!("not ready");
            };
            let mut body = pin!(response.into_body());
            while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
                assert!(frame.is_ok());
            }
        }
    })
}

struct Hello;

#[tonic::async_trait]
impl Greeter for Hello {
    async fn hello(
        &self,
        request: tonic::Request<HelloRequest>,
    ) -> Result<tonic::Response<HelloReply>, tonic::Status> {
        Ok(tonic::Response::new(reply(request.into_inner().name)))
    }

    type GreetingsStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<HelloReply, tonic::Status>> + Send>>;

    async fn greetings(
        &self,
        request: tonic::Request<GreetingsRequest>,
    ) -> Result<tonic::Response<Self::GreetingsStream>, tonic::Status> {
        let request = request.into_inner();
        let all = (0..request.count).map(move |_| Ok(reply(request.name.clone())));
        Ok(tonic::Response::new(Box::pin(tokio_stream::iter(all))))
    }
}

fn reply(greeting: String) -> HelloReply {
    HelloReply {
        greeting,
        replica: String::new(),
    }
}

/// Over memory instead of a socket, on one thread: what is counted is the same each time.
fn tonic(call: &str) -> Run {
    let runtime = runtime();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let incoming = tokio_stream::once(Ok::<_, std::io::Error>(far));
    let server = Server::builder();
    #[cfg(not(layer = "none"))]
    let server = server.layer(layer());
    let mut server = server;
    let server = server.add_service(GreeterServer::new(Hello));
    runtime.spawn(server.serve_with_incoming(incoming));
    let name = "Ada".to_owned();
    let (method, message) = match call {
        "unary" => ("Hello", HelloRequest { name, delay_ms: 0 }.encode_to_vec()),
        _ => {
            let (count, interval_ms) = (10, 0);
            let request = GreetingsRequest {
                name,
                count,
                interval_ms,
            };
            ("Greetings", request.encode_to_vec())
        }
    };
    http2::calls(runtime, near, http2::grpc(method, &message))
}

fn app() -> Router {
    let app = Router::new().route("/", get(|| async { "Hello!" }));
    #[cfg(not(layer = "none"))]
    let app = app.layer(layer());
    app
}

fn router(_: &str) -> Run {
    let mut app = app();
    let runtime = runtime();
    Box::new(move |calls| {
        runtime.block_on(async {
            for _ in 0..calls {
                let mut request = Request::new(axum::body::Body::empty());
                request.extensions_mut().insert(ConnectInfo(peer()));
                let Ok(response) = app.call(request).await;
                let body = response.into_body().collect().await.expect("a body");
                assert_eq!(body.to_bytes(), "Hello!");
            }
        });
    })
}

fn axum_http1(_: &str) -> Run {
    let runtime = runtime();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let app = TowerToHyperService::new(app());
    runtime
        .spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), app));
    exchanges(runtime, near)
}

/// As a gateway asks.
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nuser-agent: Go-http-client/1.1\r\n\
    accept: application/json\r\naccept-encoding: gzip\r\n\r\n";

/// A client of HTTP/1 that does next to nothing.
fn exchanges(runtime: Runtime, mut io: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Run {
    let mut answer = vec![0; 4_096];
    Box::new(move |calls| {
        runtime.block_on(async {
            for _ in 0..calls {
                io.write_all(GET).await.expect("sent");
                let mut read = 0;
                while !answer[..read].ends_with(b"Hello!") {
                    read += io.read(&mut answer[read..]).await.expect("answered");
                }
            }
        });
    })
}

fn axum_http2(_: &str) -> Run {
    let runtime = runtime();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let app = TowerToHyperService::new(app());
    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    runtime.spawn(builder.serve_connection(TokioIo::new(far), app));
    http2::calls(runtime, near, http2::get())
}

fn axum_socket(_: &str) -> Run {
    let runtime = runtime();
    let io = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().route("/", get(|| async { "Hello!" }));
        #[cfg(not(any(layer = "none", layer = "identity", layer = "in-flight-requests")))]
        let (listener, app) = {
            let layer = layer();
            let wrapped = layer.registration().listener(listener);
            (wrapped.expect("wrapped"), app.layer(layer))
        };
        tokio::spawn(async { axum::serve(listener, app).await });
        TcpStream::connect(address).await.expect("connected")
    });
    exchanges(runtime, io)
}

/// What other programs have besides: a client of tonic's, and an axum server of its own.
#[cfg(more_code)]
pub(crate) fn more_code() {
    use self::greeter::greeter_client::GreeterClient;
    use axum::routing::post;
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let app = Router::new()
            .route("/ready", get(|| async { "ready" }))
            .route(
                "/names",
                post(async |names: axum::Json<Vec<String>>| names.0.join(" ")),
            );
        tokio::spawn(async { axum::serve(listener, app).await });
        let client = GreeterClient::connect("http://127.0.0.1:1").await;
        let request = HelloRequest {
            name: "Ada".to_owned(),
            delay_ms: 0,
        };
        let _ = client.expect("a connection").hello(request).await;
    });
}
