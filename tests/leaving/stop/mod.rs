//! A server stops: what its callers have begun is answered, whatever the layer saw of it, and
//! nobody keeps it for longer than it said.

mod conversations;
mod dead_node;
mod queued;
mod real_gateway;
mod server_end;
mod silent;
mod tls;
mod together;
mod unseen;
mod upgraded;
mod waiters;

use std::convert::Infallible;
use std::pin::Pin;

use crate::support::within;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tower_gwag::{GwagRegistrationLayer, LeaveReport, Options, Registration};

/// What a server is made of; each test wires it in its own way.
struct Parts {
    layer: GwagRegistrationLayer,
    listener: TcpListener,
    shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
}

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

type Serve = fn(Parts) -> Serving;

struct Server {
    registration: Registration,
    address: std::net::SocketAddr,
    served: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Server {
    async fn start(options: Options, serve: impl FnOnce(Parts) -> Serving) -> Self {
        let layer = GwagRegistrationLayer::new(options);
        let registration = layer.registration();
        let (listener, address) = crate::support::servers::bind("127.0.0.1:0").await;
        let (stop, stopped) = oneshot::channel();
        let shutdown = Box::pin(registration.shutdown(stopped));
        let parts = Parts {
            layer,
            listener,
            shutdown,
        };
        let served = tokio::spawn(serve(parts));
        crate::support::registered(&registration).await;
        Self {
            registration,
            address,
            served,
            stop,
        }
    }

    /// Gives the signal, and waits for the server's own end and the report.
    async fn stop(self) -> LeaveReport {
        self.stop.send(()).expect("the server waits for it");
        within("the server ends", self.served)
            .await
            .expect("served");
        within("the report", self.registration.finish()).await
    }
}

/// Its answers are larger than any buffer between it and its callers.
fn endless() -> Router {
    let pets = get(|| async {
        let chunk = Bytes::from(vec![b'x'; 1 << 20]);
        let chunks = tokio_stream::iter(0..4096).map(move |_| Ok::<_, Infallible>(chunk.clone()));
        Body::from_stream(chunks)
    });
    Router::new().route("/pets", pets)
}
