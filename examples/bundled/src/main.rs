//! A tonic service whose proto files its build script checked and bundled. It registers, is called
//! through the gateway, leaves and ends.
//!
//! `cargo run` here. With `GWAG_GATEWAY=host:port` it registers with that gateway; otherwise with
//! an embedded one in this process.

/// Made by build.rs.
mod greeter {
    tonic::include_proto!("greeter.v1");
}

use greeter::greeter_client::GreeterClient;
use greeter::greeter_server::{Greeter, GreeterServer};
use greeter::{HelloReply, HelloRequest, Person};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tower_gwag::{GwagRegistrationLayer, Options, Registration, Service, stop_signal};
use tower_gwag_gateway::EmbeddedGateway;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

struct Polite;

#[tonic::async_trait]
impl Greeter for Polite {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let person = request.into_inner().person;
        let person = person.ok_or_else(|| Status::invalid_argument("nobody to greet"))?;
        let greeting = format!("Hello, {}!", person.name);
        Ok(Response::new(HelloReply { greeting }))
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let embedded = match std::env::var("GWAG_GATEWAY") {
        Ok(_) => None,
        Err(_) => Some(EmbeddedGateway::builder().start().await?),
    };
    let gateway = match &embedded {
        Some(embedded) => embedded.target(),
        None => std::env::var("GWAG_GATEWAY")?,
    };

    // Nothing of the proto files is read here: they are in the program.
    let service = Service::proto_bundle(tower_gwag::include_bundle!("greeter"));
    let layer = GwagRegistrationLayer::new(Options::new(&gateway).service(service));
    let registration = layer.registration();

    let (called, end) = oneshot::channel::<()>();
    let stopped = async {
        // A call that failed drops its end, which ends this as well.
        tokio::select! { _ = end => {} () = stop_signal() => {} }
    };
    let incoming = registration.incoming(TcpListener::bind("127.0.0.1:0").await?)?;
    let server = Server::builder()
        .layer(layer)
        .add_service(GreeterServer::new(Polite))
        .serve_with_incoming_shutdown(incoming, registration.shutdown(stopped));
    let calls = async {
        let answered = call_myself(&registration, &gateway).await;
        for service in embedded.iter().flat_map(EmbeddedGateway::services) {
            println!("listed {} {}", service.namespace, service.hash);
        }
        drop(called);
        answered
    };
    let (served, answered) = tokio::join!(server, calls);
    served?;
    println!("{}", registration.finish().await);
    answered
}

/// Calls this very service, but through the gateway.
async fn call_myself(registration: &Registration, gateway: &str) -> Result<(), BoxError> {
    registration.registered().await?;
    let mut client = GreeterClient::connect(format!("http://{gateway}")).await?;
    let name = "gateway".to_owned();
    let person = Some(Person { name });
    let reply = client.hello(HelloRequest { person }).await?.into_inner();
    println!("RESULT called kind=grpc answer={:?}", reply.greeting);
    Ok(())
}
