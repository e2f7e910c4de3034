//! What is called, and with which layer.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
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
use tower_gwag::{GwagRegistrationLayer, Options};
use tower_http::metrics::InFlightRequestsLayer;
use tower_http::metrics::in_flight_requests::InFlightRequestsCounter;
use tower_layer::{Identity, Layer};
use tower_service::Service;

use self::greeter::greeter_server::{Greeter, GreeterServer};
use self::greeter::{GreetingsRequest, HelloReply, HelloRequest};
use super::http2;

/// Included, not a file of its own: rustfmt must leave it as it was generated.
#[allow(clippy::all, clippy::pedantic, unreachable_pub, missing_docs)]
mod greeter {
    include!("../../examples/greeter/generated.rs");
}

/// Makes calls, as many as it is given.
pub(crate) type Run = Box<dyn FnMut(usize)>;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) variants: &'static [Variant],
    pub(crate) prepare: fn(Variant) -> Run,
    pub(crate) limit: Limit,
}

/// The bounds of ours.
pub(crate) struct Limit {
    pub(crate) instructions_over_none: Option<f64>,
    pub(crate) times_identity: Option<f64>,
    /// No more than those of the variant that follows.
    pub(crate) allocations: bool,
    pub(crate) allocations_of: Variant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    None,
    Identity,
    InFlightRequests,
    Ours,
}

const READY: Limit = Limit {
    instructions_over_none: Some(350.0),
    times_identity: None,
    allocations: true,
    allocations_of: Variant::None,
};
const TONIC: Limit = Limit {
    instructions_over_none: Some(500.0),
    times_identity: None,
    allocations: true,
    allocations_of: Variant::None,
};
const AXUM: Limit = Limit {
    instructions_over_none: None,
    times_identity: Some(1.04),
    allocations: true,
    allocations_of: Variant::InFlightRequests,
};
/// Only shown.
const SHOWN: Limit = Limit {
    instructions_over_none: None,
    times_identity: None,
    allocations: false,
    allocations_of: Variant::None,
};

const ALL: &[Variant] = &[
    Variant::None,
    Variant::Identity,
    Variant::InFlightRequests,
    Variant::Ours,
];

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a ready service, GET over HTTP/1",
        variants: ALL,
        prepare: |variant| ready_service(variant, plain_request),
        limit: READY,
    },
    Case {
        name: "a ready service, gRPC",
        variants: ALL,
        prepare: |variant| ready_service(variant, grpc_request),
        limit: READY,
    },
    Case {
        name: "tonic, unary",
        variants: ALL,
        prepare: |variant| tonic(variant, 0),
        limit: TONIC,
    },
    Case {
        name: "tonic, a stream of ten",
        variants: ALL,
        prepare: |variant| tonic(variant, 10),
        limit: TONIC,
    },
    Case {
        name: "axum's router, without a server",
        variants: ALL,
        prepare: router,
        limit: SHOWN,
    },
    Case {
        name: "axum, HTTP/1",
        variants: ALL,
        prepare: axum_http1,
        limit: AXUM,
    },
    Case {
        name: "axum, HTTP/2",
        variants: ALL,
        prepare: axum_http2,
        limit: AXUM,
    },
    Case {
        name: "axum::serve over a socket, HTTP/1; ours with the wrapped listener",
        variants: &[Variant::None, Variant::Ours],
        prepare: axum_socket,
        limit: SHOWN,
    },
];

// === impl Variant ===

impl Variant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Identity => "identity",
            Self::InFlightRequests => "in-flight-requests",
            Self::Ours => "ours",
        }
    }
}

fn theirs() -> InFlightRequestsLayer {
    InFlightRequestsLayer::new(InFlightRequestsCounter::new())
}

fn ours() -> GwagRegistrationLayer {
    GwagRegistrationLayer::new(Options::disabled())
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

/// Answers at once.
#[derive(Clone)]
struct Echo;

impl Service<Request<Full<Bytes>>> for Echo {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let kind = match request.method() == http::Method::POST {
            true => "application/grpc",
            false => "application/json",
        };
        let response = Response::builder().header(header::CONTENT_TYPE, kind);
        ready(Ok(response.body(request.into_body()).expect("a response")))
    }
}

type MakeRequest = fn() -> Request<Full<Bytes>>;

fn ready_service(variant: Variant, request: MakeRequest) -> Run {
    match variant {
        Variant::None => calls_of(Echo, request),
        Variant::Identity => calls_of(Identity::new().layer(Echo), request),
        Variant::InFlightRequests => calls_of(theirs().layer(Echo), request),
        Variant::Ours => calls_of(ours().layer(Echo), request),
    }
}

/// The body is polled to its end where it is, on the stack.
fn calls_of<S, B>(mut service: S, request: MakeRequest) -> Run
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + 'static,
    B: Body,
{
    Box::new(move |calls| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..calls {
            assert!(service.poll_ready(&mut cx).is_ready());
            let future = pin!(service.call(request()));
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
fn tonic(variant: Variant, streamed: i32) -> Run {
    let runtime = runtime();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let incoming = tokio_stream::once(Ok::<_, std::io::Error>(far));
    let greeter = GreeterServer::new(Hello);
    macro_rules! serve {
        ($layer:expr) => {
            runtime.spawn(
                Server::builder()
                    .layer($layer)
                    .add_service(greeter)
                    .serve_with_incoming(incoming),
            )
        };
    }
    match variant {
        Variant::None => runtime.spawn(
            Server::builder()
                .add_service(greeter)
                .serve_with_incoming(incoming),
        ),
        Variant::Identity => serve!(Identity::new()),
        Variant::InFlightRequests => serve!(theirs()),
        Variant::Ours => serve!(ours()),
    };
    let name = "Ada".to_owned();
    let (method, message) = match streamed {
        0 => ("Hello", HelloRequest { name, delay_ms: 0 }.encode_to_vec()),
        count => {
            let interval_ms = 0;
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

/// A layer of a size, as layers of use have: axum boxes the layer per call, and boxing nothing
/// costs nothing.
#[derive(Clone)]
struct Sized<L>(
    L,
    #[allow(dead_code, reason = "for its size")] Arc<AtomicUsize>,
);

impl<S, L: Layer<S>> Layer<S> for Sized<L> {
    type Service = L::Service;

    fn layer(&self, inner: S) -> Self::Service {
        self.0.layer(inner)
    }
}

fn app(variant: Variant) -> Router {
    let app = Router::new().route("/", get(|| async { "Hello!" }));
    match variant {
        Variant::None => app,
        Variant::Identity => app.layer(Sized(Identity::new(), Arc::default())),
        Variant::InFlightRequests => app.layer(theirs()),
        Variant::Ours => app.layer(ours()),
    }
}

fn router(variant: Variant) -> Run {
    let mut app = app(variant);
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

fn axum_http1(variant: Variant) -> Run {
    let runtime = runtime();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let app = TowerToHyperService::new(app(variant));
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

fn axum_http2(variant: Variant) -> Run {
    let runtime = runtime();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let app = TowerToHyperService::new(app(variant));
    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    runtime.spawn(builder.serve_connection(TokioIo::new(far), app));
    http2::calls(runtime, near, http2::get())
}

fn axum_socket(variant: Variant) -> Run {
    let runtime = runtime();
    let io = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().route("/", get(|| async { "Hello!" }));
        if variant == Variant::Ours {
            let layer = ours();
            let listener = layer.registration().listener(listener).expect("wrapped");
            tokio::spawn(async { axum::serve(listener, app.layer(layer)).await });
        } else {
            tokio::spawn(async { axum::serve(listener, app).await });
        }
        TcpStream::connect(address).await.expect("connected")
    });
    exchanges(runtime, io)
}
