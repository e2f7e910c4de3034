//! The service that is registered: in this process, or as a process of its own.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::Stream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tower_gwag::{
    Event, GatewayAddress, GwagRegistrationLayer, LeaveReport, Options, Registration, Service,
};
use tower_gwag_gateway::{EmbeddedGateway, GatewayView};

use crate::BoxError;
use crate::greeter::greeter_server::{Greeter, GreeterServer};
use crate::greeter::{GreetingsRequest, HelloReply, HelloRequest};

pub(crate) const PROTO: &str = include_str!("../greeter/proto/greeter.proto");
pub(crate) const NAMESPACE: &str = "greeter";

/// Above every bound: what takes longer does not happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(45);

pub(crate) fn options(gateway: impl Into<GatewayAddress>) -> Options {
    Options::new(gateway).service(Service::proto(PROTO).namespace(NAMESPACE))
}

/// A service in this process.
pub(crate) struct Served {
    pub(crate) registration: Registration,
    registered: Times,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

/// When a registration was taken by a gateway, each time.
pub(crate) struct Times(watch::Receiver<Vec<Instant>>);

struct Polite;

// === impl Served ===

impl Served {
    pub(crate) async fn start(options: Options) -> Result<Self, BoxError> {
        let (options, registered) = Times::of(options);
        let layer = GwagRegistrationLayer::new(options);
        let registration = layer.registration();
        let incoming = registration.incoming(TcpListener::bind("127.0.0.1:0").await?)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = registration.shutdown(stopped);
        let server = tokio::spawn(async move {
            Server::builder()
                .layer(layer)
                .add_service(GreeterServer::new(Polite))
                .serve_with_incoming_shutdown(incoming, shutdown)
                .await
        });
        Ok(Self {
            registration,
            registered,
            stop,
            server,
        })
    }

    /// When it was registered for the `count`th time; waits for it.
    pub(crate) async fn registered(&mut self, count: usize) -> Result<Instant, BoxError> {
        self.registered.nth(count).await
    }

    pub(crate) async fn stop(self) -> Result<LeaveReport, BoxError> {
        // The server may have ended by itself.
        let _ = self.stop.send(());
        timeout(DEADLINE, self.server).await???;
        Ok(self.registration.finish().await)
    }
}

// === impl Times ===

impl Times {
    pub(crate) fn of(options: Options) -> (Options, Self) {
        let (times, registered) = watch::channel(Vec::new());
        let options = options.on_event(move |event| {
            if let Event::Registered { .. } = event {
                times.send_modify(|times| times.push(Instant::now()));
            }
        });
        (options, Self(registered))
    }

    pub(crate) async fn nth(&mut self, count: usize) -> Result<Instant, BoxError> {
        let enough = self.0.wait_for(|times| times.len() >= count);
        let times = timeout(DEADLINE, enough)
            .await
            .map_err(|_| format!("not registered for time {count} within {DEADLINE:?}"))??;
        Ok(times[count - 1])
    }
}

/// Waits until the gateway shows what is asked for.
pub(crate) async fn until(
    gateway: &EmbeddedGateway,
    what: &str,
    condition: impl FnMut(&GatewayView) -> bool,
) -> Result<(), BoxError> {
    timeout(DEADLINE, gateway.wait_until(condition))
        .await
        .map_err(|_| format!("{what}: not within {DEADLINE:?}").into())
}

/// How many replicas of the service the gateway lists.
pub(crate) fn replicas(view: &GatewayView) -> usize {
    let service = view.service(NAMESPACE, "v1");
    service.map_or(0, |service| service.replicas.len())
}

#[tonic::async_trait]
impl Greeter for Polite {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let delay = request.into_inner().delay_ms;
        tokio::time::sleep(Duration::from_millis(delay.unsigned_abs().into())).await;
        Ok(Response::new(HelloReply::default()))
    }

    type GreetingsStream = Pin<Box<dyn Stream<Item = Result<HelloReply, Status>> + Send>>;

    async fn greetings(
        &self,
        _: Request<GreetingsRequest>,
    ) -> Result<Response<Self::GreetingsStream>, Status> {
        Err(Status::unimplemented("not needed here"))
    }
}

/// A process that serves on a port until its standard input ends, or it is killed.
pub(crate) async fn replica(arguments: &[String]) -> Result<(), BoxError> {
    let [gateway, identity, port] = arguments else {
        return Err("usage: replica GATEWAY IDENTITY PORT".into());
    };
    let address = SocketAddr::from(([127, 0, 0, 1], port.parse()?));
    let layer = GwagRegistrationLayer::new(options(gateway).exclusive_instance(identity));
    let registration = layer.registration();
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?.port());
    let shutdown = registration.shutdown(async {
        // An error ends it, too.
        let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
    });
    Server::builder()
        .layer(layer)
        .add_service(GreeterServer::new(Polite))
        .serve_with_incoming_shutdown(registration.incoming(listener)?, shutdown)
        .await?;
    registration.finish().await;
    Ok(())
}
