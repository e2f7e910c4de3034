//! The layer allocates nothing per call.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::support::greeter::greeter_client::GreeterClient;
use crate::support::greeter::greeter_server::GreeterServer;
use crate::support::hello;
use crate::support::servers::TestGreeter;
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint, Server};
use tower_gwag::{GwagRegistrationLayer, Options};
use tower_layer::Layer;
use tower_service::Service;

/// Calls in one measurement.
const CALLS: usize = 100;
/// Measurements, of which the smallest counts: buffers grow now and then.
const ROUNDS: usize = 5;

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

/// The fewest allocations that [`CALLS`] calls made, on both sides together.
fn fewest(runtime: &Runtime, mut call: impl AsyncFnMut()) -> u64 {
    let mut round = || {
        let calls = async {
            for _ in 0..CALLS {
                call().await;
            }
        };
        allocation_counter::measure(|| runtime.block_on(calls)).count_total
    };
    // Warm: connections, buffers and caches are made.
    round();
    (0..ROUNDS).map(|_| round()).min().expect("rounds")
}

/// Rounded: a timer or the clock of the date header makes one now and then.
fn per_call(allocations: u64) -> u64 {
    let calls = CALLS as u64;
    (allocations + calls / 2) / calls
}

async fn connect(near: DuplexStream) -> GreeterClient<Channel> {
    let mut near = Some(near);
    let connector = tower::service_fn(move |_: http::Uri| {
        let near = near.take().expect("one connection");
        std::future::ready(Ok::<_, Infallible>(TokioIo::new(near)))
    });
    let endpoint = Endpoint::from_static("http://in.memory");
    let channel = endpoint.connect_with_connector(connector).await;
    GreeterClient::new(channel.expect("connected"))
}

/// Over memory instead of a socket, on one thread: what is counted is the same each time.
fn allocations_of_tonic(layer: Option<GwagRegistrationLayer>) -> u64 {
    let runtime = runtime();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let incoming = tokio_stream::once(Ok::<_, std::io::Error>(far));
    let greeter = GreeterServer::new(TestGreeter::default());
    runtime.spawn(async move {
        match layer {
            Some(layer) => {
                let server = Server::builder().layer(layer).add_service(greeter);
                server.serve_with_incoming(incoming).await
            }
            None => {
                let server = Server::builder().add_service(greeter);
                server.serve_with_incoming(incoming).await
            }
        }
    });
    let mut client = runtime.block_on(connect(near));
    fewest(&runtime, async || {
        // The handler waits once, so that the layer's future does, too.
        let reply = client.hello(hello("Ada")).await.expect("answered");
        assert_eq!(reply.get_ref().greeting, "Hello, Ada!");
    })
}

#[test]
fn a_tonic_call_allocates_as_much_with_the_layer_as_without() {
    let without = allocations_of_tonic(None);
    let with = allocations_of_tonic(Some(GwagRegistrationLayer::new(Options::disabled())));
    println!("{CALLS} calls: {without} allocations without the layer, {with} with it");
    assert!(without > 0, "nothing was counted");
    assert_eq!(per_call(with), per_call(without), "{with}, {without}");
}

/// Wraps services and bodies as any layer does that looks at bodies, and does nothing. It has a
/// size, as layers of use have: axum boxes the layer per call.
#[derive(Clone)]
struct NoOp(#[allow(dead_code, reason = "for its size")] Arc<()>);

#[derive(Clone)]
struct NoOpService<S>(S);

struct NoOpBody<B>(B);

pin_project_lite::pin_project! {
    struct NoOpFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<S> Layer<S> for NoOp {
    type Service = NoOpService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        NoOpService(inner)
    }
}

impl<S, R, B> Service<R> for NoOpService<S>
where
    S: Service<R, Response = http::Response<B>>,
{
    type Response = http::Response<NoOpBody<B>>;
    type Error = S::Error;
    type Future = NoOpFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let inner = self.0.call(request);
        NoOpFuture { inner }
    }
}

impl<F, B, E> Future for NoOpFuture<F>
where
    F: Future<Output = Result<http::Response<B>, E>>,
{
    type Output = Result<http::Response<NoOpBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.project().inner.poll(cx);
        polled.map_ok(|response| response.map(NoOpBody))
    }
}

impl<B: http_body::Body + Unpin> http_body::Body for NoOpBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}

fn allocations_of_axum(layered: impl FnOnce(Router) -> Router) -> u64 {
    let runtime = runtime();
    let mut app = layered(Router::new().route("/", get(|| async { "Hello!" })));
    fewest(&runtime, async || {
        let request = http::Request::new(Body::empty());
        let Ok(response) = app.call(request).await;
        let body = response.into_body().collect().await.expect("a body");
        assert_eq!(body.to_bytes(), "Hello!");
    })
}

/// `Router::layer` has a price of its own, whatever the layer is.
#[test]
fn an_axum_call_allocates_as_much_as_with_a_layer_that_does_nothing() {
    let none = allocations_of_axum(|app| app);
    let no_op = allocations_of_axum(|app| app.layer(NoOp(Arc::default())));
    let layer = GwagRegistrationLayer::new(Options::disabled());
    let ours = allocations_of_axum(|app| app.layer(layer));
    println!("{CALLS} calls: {none} allocations without a layer, {no_op} with a no-op, {ours}");
    assert!(none < no_op, "nothing was counted");
    assert_eq!(per_call(ours), per_call(no_op), "{ours}, {no_op}");
}
