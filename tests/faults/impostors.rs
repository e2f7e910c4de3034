//! Somebody else listens at the gateway's address.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tonic::service::Routes;
use tower_gwag::{ErrorKind, State};
use tower_gwag_gateway::{EmbeddedGateway, Rpc};

use crate::lone_options;
use crate::support::greeter::greeter_server::GreeterServer;
use crate::support::servers::{TestGreeter, bind};
use crate::support::{
    PROMPTLY, Running, assert_orderly, greet, listed, pets_app, registered, tonic_greeter,
    until_state,
};

/// A server that is no gateway, until the gateway takes its port over.
struct Impostor {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Impostor {
    async fn new<F>(answer: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (listener, address) = bind("127.0.0.1:0").await;
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("accepted");
                connections.spawn(answer(stream));
            }
        });
        Self { address, task }
    }

    /// The right answer comes at last: registered once, listed once.
    async fn replaced(self, server: Running, limit: Duration) {
        self.task.abort();
        assert!(self.task.await.expect_err("aborted").is_cancelled());
        let gateway = EmbeddedGateway::builder().listen(self.address.to_string());
        let gateway = gateway.start().await.expect("started");
        let start = Instant::now();
        registered(&server.registration).await;
        let took = start.elapsed();
        assert!(took < limit, "{took:?}");
        assert_eq!(listed(&gateway, 1).await.len(), 1);
        assert_eq!(gateway.rpc_counts().of(Rpc::Register).received, 1);
        assert!(server.stop().await.is_clean());
        assert_orderly(&gateway);
    }
}

/// Says so, serves, and registers once there is a gateway.
async fn assert_no_gateway(impostor: Impostor, state: State, kind: Option<ErrorKind>) {
    let server = tonic_greeter(lone_options(impostor.address)).await;
    until_state(&server.registration, state).await;
    let status = server.registration.status().borrow().clone();
    assert_eq!(status.reason_kind(), kind, "{status}");
    assert_eq!(greet(server.address).await, "Hello, Ada!");
    impostor.replaced(server, PROMPTLY).await;
}

#[tokio::test]
async fn a_server_that_closes_every_connection_is_a_gateway_out_of_reach() {
    let impostor = Impostor::new(|stream| async move { drop(stream) }).await;
    assert_no_gateway(impostor, State::Unreachable, Some(ErrorKind::Unavailable)).await;
}

#[tokio::test]
async fn garbage_is_not_an_answer() {
    let garbage = |mut stream: TcpStream| async move {
        let bytes: Vec<u8> = (0..4_096_u32).map(|n| (n * 167 + 13) as u8).collect();
        let _ = stream.write_all(&bytes).await;
        // Until the client has had enough.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    let impostor = Impostor::new(garbage).await;
    assert_no_gateway(impostor, State::Unreachable, Some(ErrorKind::Unavailable)).await;
}

#[tokio::test]
async fn an_http_1_server_is_not_taken_for_a_gateway() {
    let http_1 = |mut stream: TcpStream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let _ = stream.write_all(answer).await;
    };
    let impostor = Impostor::new(http_1).await;
    assert_no_gateway(impostor, State::Unreachable, Some(ErrorKind::Unavailable)).await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for() {
    let silent = |mut stream: TcpStream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    let impostor = Impostor::new(silent).await;
    assert_no_gateway(impostor, State::Registering, None).await;
}

/// On this task alone, so that the connection ends with it.
async fn serve(app: axum::Router, stream: TcpStream) {
    let server = auto::Builder::new(TokioExecutor::new());
    let service = TowerToHyperService::new(app);
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

#[tokio::test]
async fn another_grpc_server_is_not_taken_for_a_gateway() {
    let greeter = Routes::new(GreeterServer::new(TestGreeter::default()));
    let app = greeter.into_axum_router();
    let impostor = Impostor::new(move |stream| serve(app.clone(), stream)).await;
    assert_no_gateway(impostor, State::Unreachable, Some(ErrorKind::Unavailable)).await;
}

#[tokio::test]
async fn a_web_server_that_speaks_http_2_is_not_taken_for_a_gateway() {
    let impostor = Impostor::new(|stream| serve(pets_app(), stream)).await;
    assert_no_gateway(impostor, State::Unreachable, Some(ErrorKind::Unavailable)).await;
}
