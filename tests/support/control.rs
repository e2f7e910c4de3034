//! The control plane as the wire has it: a typed client, and a recorder in front of a gateway.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part, as a module of its own"
)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::Request;
use http_body_util::{BodyExt, Full};
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tower_gwag_gateway::EmbeddedGateway;
use tower_service::Service;

use crate::support::{HOLD_NAMESPACE, within};

pub use tower_gwag::control::proto;

use proto::control_plane_client::ControlPlaneClient;

pub async fn client(target: &str) -> ControlPlaneClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{target}")).expect("an address");
    let connection = within("a connection", endpoint.connect()).await;
    ControlPlaneClient::new(connection.expect("connected"))
}

/// A call as it came over the wire.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub at: Instant,
    /// `Register`, `Heartbeat`, …
    pub method: String,
    pub headers: http::HeaderMap,
    message: Bytes,
}

/// Stands between a registration and its gateway, and writes down what goes by.
pub struct Recorder {
    pub address: SocketAddr,
    calls: Arc<Mutex<Vec<Recorded>>>,
    hides_routes: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Recorder {
    pub async fn before(gateway: &EmbeddedGateway) -> Self {
        Self::before_target(&gateway.target()).await
    }

    /// Before the control plane at `host:port`.
    pub async fn before_target(target: &str) -> Self {
        let target = format!("http://{target}");
        let gateway = Endpoint::from_shared(target).expect("an address");
        let channel = gateway.connect_lazy();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&calls);
        let hides_routes = Arc::new(AtomicBool::new(false));
        let hides = Arc::clone(&hides_routes);
        let app = axum::Router::new().fallback(move |request: Request| {
            let (channel, record) = (channel.clone(), Arc::clone(&record));
            let path = request.uri().path();
            let is_hidden = hides.load(Ordering::SeqCst) && !path.starts_with("/gateway.");
            async move {
                match is_hidden {
                    true => no_route(request.uri().path()),
                    false => pass_on(channel, record, request).await,
                }
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("served");
        });
        Self {
            address,
            calls,
            hides_routes,
            task,
        }
    }

    /// From now on the gateway says of every call of a service that it has no route.
    pub fn hide_routes(&self, hides: bool) {
        self.hides_routes.store(hides, Ordering::SeqCst);
    }

    /// The calls of one method.
    pub fn calls(&self, method: &str) -> Vec<Recorded> {
        let calls = self.calls.lock().expect("no panic");
        let of_method = calls.iter().filter(|call| call.method == method);
        of_method.cloned().collect()
    }

    /// The Register calls of services; those of holds are left out.
    pub fn registers(&self) -> Vec<proto::RegisterRequest> {
        let decode = |call: Recorded| {
            // Behind the flag and the length.
            proto::RegisterRequest::decode(&call.message[5..]).expect("a RegisterRequest")
        };
        let all = self.calls("Register").into_iter().map(decode);
        all.filter(|it| it.services.iter().all(|it| it.namespace != HOLD_NAMESPACE))
            .collect()
    }

    /// The one Register that came.
    #[track_caller]
    pub fn register(&self) -> proto::RegisterRequest {
        let mut all = self.registers();
        assert_eq!(all.len(), 1, "Register calls");
        all.remove(0)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// As a gateway says so.
fn no_route(path: &str) -> http::Response<tonic::body::Body> {
    tonic::Status::unimplemented(format!("ingress: no route for {path}")).into_http()
}

async fn pass_on(
    mut channel: Channel,
    record: Arc<Mutex<Vec<Recorded>>>,
    request: Request,
) -> http::Response<tonic::body::Body> {
    let (parts, body) = request.into_parts();
    let message = body.collect().await.expect("a whole request").to_bytes();
    let method = parts.uri.path().rsplit('/').next().unwrap_or_default();
    record.lock().expect("no panic").push(Recorded {
        at: Instant::now(),
        method: method.to_owned(),
        headers: parts.headers.clone(),
        message: message.clone(),
    });
    let body = tonic::body::Body::new(Full::new(message));
    std::future::poll_fn(|cx| channel.poll_ready(cx))
        .await
        .expect("the gateway is up");
    let answer = channel.call(http::Request::from_parts(parts, body)).await;
    answer.expect("the gateway answers")
}
