use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tower_gwag::{GwagRegistrationLayer, Options, Service, stop_signal};

mod proto {
    tonic::include_proto!("greeter.v1"); // the `package` of greeter.proto
}

use proto::greeter_server::{Greeter, GreeterServer};
use proto::{HelloReply, HelloRequest};

struct MyGreeter;

#[tonic::async_trait]
impl Greeter for MyGreeter {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let name = request.into_inner().person.unwrap_or_default().name;
        let greeting = format!("Hello, {name}!");
        Ok(Response::new(HelloReply { greeting }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = Service::proto_bundle(tower_gwag::include_bundle!("greeter"));
    let options = Options::new("localhost:50090").service(service);
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let incoming = registration.incoming(TcpListener::bind("0.0.0.0:50051").await?)?;

    let serving = Server::builder()
        .layer(layer)
        .add_service(GreeterServer::new(MyGreeter))
        .serve_with_incoming_shutdown(incoming, registration.shutdown(stop_signal()));
    println!("serving; Ctrl-C ends it");
    serving.await?;
    println!("{}", registration.finish().await);
    Ok(())
}
