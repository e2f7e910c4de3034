//! Between a service and its gateway everything goes wrong: it says so, comes back by itself, and
//! leaves one entry behind.

#[path = "../examples/support/fault_proxy.rs"]
mod fault_proxy;
mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fault_proxy::{FaultProxy, Mode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use support::greeter::greeter_server::GreeterServer;
use support::servers::TestGreeter;
use support::{
    Events, PROMPTLY, Running, assert_orderly, greet, greeter_service, listed, registered,
    tonic_greeter, until_state, within,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tonic::transport::Server;
use tower_gwag::embedded::{EmbeddedGateway, Rpc};
use tower_gwag::{ErrorKind, Hold, Options, State, Status};

/// Beats so often that no test waits for one.
const BEAT: Duration = Duration::from_millis(50);

/// A greeter whose way to the gateway leads through the proxy.
struct Scene {
    gateway: EmbeddedGateway,
    proxy: FaultProxy,
    server: Running,
    events: Events,
}

impl Scene {
    /// Begins in `mode`; `adjust` changes the usual options.
    async fn new(mode: Mode, adjust: impl FnOnce(Options) -> Options) -> Self {
        let gateway = EmbeddedGateway::builder().sweep_interval(BEAT);
        let gateway = gateway.start().await.expect("started");
        let proxy = FaultProxy::before(gateway.address()).await.expect("bound");
        proxy.set(mode).await;
        let (options, events) = Events::of(adjust(lone_options(proxy.address())));
        let server = tonic_greeter(options).await;
        Self {
            gateway,
            proxy,
            server,
            events,
        }
    }

    async fn registered(adjust: impl FnOnce(Options) -> Options) -> Self {
        let scene = Self::new(Mode::Pass, adjust).await;
        registered(&scene.server.registration).await;
        scene
    }

    fn status(&self) -> Status {
        self.server.registration.status().borrow().clone()
    }

    fn received(&self, rpc: Rpc) -> u64 {
        self.gateway.rpc_counts().of(rpc).received
    }

    /// Unreachable for this reason, in words that name the gateway; and the server serves.
    async fn assert_unreachable(&self, kind: ErrorKind) -> Status {
        until_state(&self.server.registration, State::Unreachable).await;
        let status = self.status();
        assert_eq!(status.reason_kind(), Some(kind), "{status}");
        assert_eq!(greet(self.server.address).await, "Hello, Ada!");
        status
    }

    /// Registered again and listed once, within `limit` from now; then it leaves well.
    async fn assert_back(self, limit: Duration) {
        let start = Instant::now();
        until_state(&self.server.registration, State::Registered).await;
        assert_eq!(listed(&self.gateway, 1).await.len(), 1);
        let took = start.elapsed();
        assert!(took < limit, "{took:?}");
        assert_eq!(greet(self.gateway.address()).await, "Hello, Ada!");
        assert!(self.server.stop().await.is_clean());
        listed(&self.gateway, 0).await;
        assert_orderly(&self.gateway);
    }
}

fn lone_options(gateway: SocketAddr) -> Options {
    let options = Options::new(gateway).seed(7).hold(Hold::Off);
    options.service(greeter_service())
}

/// The shortest that there is.
fn short_lived(options: Options) -> Options {
    options.ttl(Duration::from_secs(1))
}

fn beating(options: Options) -> Options {
    options.heartbeat_interval(BEAT)
}

#[tokio::test]
async fn refused_it_polls_and_registers_as_soon_as_it_may() {
    let scene = Scene::new(Mode::Refuse, |it| it).await;
    let status = scene.assert_unreachable(ErrorKind::Unavailable).await;
    let text = status.to_string();
    assert!(text.contains(&scene.proxy.address().to_string()), "{text}");
    assert!(text.contains("refused"), "{text}");
    scene.proxy.set(Mode::Pass).await;
    scene.assert_back(PROMPTLY).await;
}

#[tokio::test]
async fn a_connection_that_is_reset_costs_no_second_registration() {
    let scene = Scene::registered(|it| it).await;
    scene.proxy.set(Mode::Reset).await;
    // The beat was seconds away: the reset tells.
    scene.assert_unreachable(ErrorKind::Unavailable).await;
    scene.proxy.set(Mode::Pass).await;
    assert_eq!(scene.received(Rpc::Register), 1);
    scene.assert_back(PROMPTLY).await;
}

#[tokio::test]
async fn connections_that_are_reset_as_soon_as_they_are_up_are_a_gateway_out_of_reach() {
    let scene = Scene::new(Mode::Reset, |it| it).await;
    scene.assert_unreachable(ErrorKind::Unavailable).await;
    scene.proxy.set(Mode::Pass).await;
    scene.assert_back(PROMPTLY).await;
}

#[tokio::test]
async fn dropped_packets_cost_the_lease_and_it_comes_back_once() {
    let scene = Scene::registered(short_lived).await;
    let first = scene.gateway.registrations().remove(0);
    scene.proxy.set(Mode::Drop).await;
    listed(&scene.gateway, 0).await;
    scene.proxy.set(Mode::Pass).await;
    let again = scene.gateway.clone();
    scene.events.until_registered(2).await;
    assert_ne!(again.registrations()[0].id, first.id);
    scene.assert_back(PROMPTLY).await;
}

#[tokio::test]
async fn a_stalled_connection_is_found_dead_and_another_is_made() {
    let scene = Scene::registered(short_lived).await;
    scene.proxy.set(Mode::Stall).await;
    scene.assert_unreachable(ErrorKind::TimedOut).await;
    scene.assert_back(PROMPTLY).await;
}

#[tokio::test]
async fn a_half_open_connection_is_found_dead_and_another_is_made() {
    let scene = Scene::registered(short_lived).await;
    scene.proxy.set(Mode::HalfOpen).await;
    scene.assert_unreachable(ErrorKind::TimedOut).await;
    scene.assert_back(PROMPTLY).await;
}

#[tokio::test]
async fn a_slow_network_is_no_fault() {
    let delay = Mode::Delay(Duration::from_millis(100));
    let scene = Scene::new(delay, beating).await;
    let beaten =
        |now: &tower_gwag::embedded::GatewayView| now.rpc_counts.of(Rpc::Heartbeat).answered >= 4;
    within("beats", scene.gateway.wait_until(beaten)).await;
    assert_eq!(
        scene.events.states(),
        [State::Registering, State::Registered]
    );
    assert_eq!(scene.received(Rpc::Register), 1);
    scene.assert_back(PROMPTLY).await;
}

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
        let (listener, address) = support::servers::bind("127.0.0.1:0").await;
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
async fn assert_no_gateway(impostor: Impostor, state: State, kind: ErrorKind) {
    let server = tonic_greeter(lone_options(impostor.address)).await;
    until_state(&server.registration, state).await;
    let status = server.registration.status().borrow().clone();
    assert_eq!(status.reason_kind(), Some(kind), "{status}");
    println!("{status}");
    assert_eq!(greet(server.address).await, "Hello, Ada!");
    impostor.replaced(server, PROMPTLY).await;
}

#[tokio::test]
async fn a_server_that_closes_every_connection_is_a_gateway_out_of_reach() {
    let impostor = Impostor::new(|stream| async move { drop(stream) }).await;
    assert_no_gateway(impostor, State::Unreachable, ErrorKind::Unavailable).await;
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let garbage = |mut stream: TcpStream| async move {
        let bytes: Vec<u8> = (0..4_096_u32).map(|n| (n * 167 + 13) as u8).collect();
        let _ = stream.write_all(&bytes).await;
        // Until the client has had enough.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    let impostor = Impostor::new(garbage).await;
    assert_no_gateway(impostor, State::Unreachable, ErrorKind::Unavailable).await;
}

#[tokio::test]
async fn an_http_1_server_is_no_gateway() {
    let http_1 = |mut stream: TcpStream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let _ = stream.write_all(answer).await;
    };
    let impostor = Impostor::new(http_1).await;
    assert_no_gateway(impostor, State::Unreachable, ErrorKind::Unavailable).await;
}

#[tokio::test]
async fn a_silent_server_is_a_slow_gateway() {
    let silent = |mut stream: TcpStream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    let impostor = Impostor::new(silent).await;
    assert_no_gateway(impostor, State::Unreachable, ErrorKind::TimedOut).await;
}

#[tokio::test]
async fn another_grpc_server_is_no_gateway() {
    let other = |stream: TcpStream| async move {
        let greeter = GreeterServer::new(TestGreeter::default());
        let incoming = tokio_stream::once(Ok::<_, std::io::Error>(stream));
        let server = Server::builder().add_service(greeter);
        let _ = server.serve_with_incoming(incoming).await;
    };
    let impostor = Impostor::new(other).await;
    assert_no_gateway(impostor, State::Refused, ErrorKind::InvalidRequest).await;
}

#[tokio::test]
async fn a_web_server_that_speaks_http_2_is_no_gateway() {
    let pets = |stream: TcpStream| async move {
        let service = TowerToHyperService::new(support::pets_app());
        let server = auto::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(TokioIo::new(stream), service).await;
    };
    let impostor = Impostor::new(pets).await;
    assert_no_gateway(impostor, State::Refused, ErrorKind::InvalidRequest).await;
}
