//! A tonic service that registers itself, is called through the gateway, and leaves cleanly.
//!
//! `cargo run --example greeter`, then Ctrl-C. With `GWAG_GATEWAY=host:port` it registers with
//! that gateway; otherwise with an embedded one in this process.

#[path = "../support/mod.rs"]
mod support;

/// Made from `proto/greeter.proto`; `tests/codegen.rs` keeps the two equal.
#[allow(clippy::all, clippy::pedantic, unreachable_pub)]
mod greeter {
    include!("generated.rs");
}

use std::pin::Pin;
use std::time::{Duration, Instant};

use greeter::greeter_client::GreeterClient;
use greeter::greeter_server::{Greeter, GreeterServer};
use greeter::{GreetingsRequest, HelloReply, HelloRequest};
use support::{
    BoxError, Gateway, graphql, print_report, print_status, until_answered, until_routed,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tower_gwag::{GwagRegistrationLayer, Options, Registration, Rule, Service, stop_signal};

const PROTO: &str = include_str!("proto/greeter.proto");

struct Polite {
    /// Cancelled when the gateway sends no new calls: time for streams to end well.
    leaving: CancellationToken,
}

#[tonic::async_trait]
impl Greeter for Polite {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let request = request.into_inner();
        println!("greeting   {}", request.name);
        tokio::time::sleep(Duration::from_millis(
            request.delay_ms.unsigned_abs().into(),
        ))
        .await;
        Ok(Response::new(reply(&request.name)))
    }

    type GreetingsStream = Pin<Box<dyn Stream<Item = Result<HelloReply, Status>> + Send>>;

    async fn greetings(
        &self,
        request: Request<GreetingsRequest>,
    ) -> Result<Response<Self::GreetingsStream>, Status> {
        let request = request.into_inner();
        let leaving = self.leaving.clone();
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            let interval = Duration::from_millis(request.interval_ms.unsigned_abs().into());
            let mut sent = 0;
            while request.count == 0 || sent < request.count {
                // Fails once the caller is gone.
                if sender.send(Ok(reply(&request.name))).await.is_err() {
                    return;
                }
                sent += 1;
                tokio::select! {
                    () = tokio::time::sleep(interval) => {}
                    () = leaving.cancelled() => {
                        let goodbye = HelloReply {
                            greeting: format!("Goodbye, {}!", request.name),
                            ..reply(&request.name)
                        };
                        // The caller may be gone.
                        let _ = sender.send(Ok(goodbye)).await;
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

fn reply(name: &str) -> HelloReply {
    HelloReply {
        greeting: format!("Hello, {name}!"),
        replica: format!("process {}", std::process::id()),
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let start = Instant::now();
    let gateway = Gateway::find().await?;

    // What to register, and with whom. Callers through a gateway see a stream end with OK, also one
    // that was cut: ours says goodbye.
    let service = Service::proto(PROTO).namespace("greeter");
    let service = service.allow(Rule::CallsStreamStatus);
    let layer = GwagRegistrationLayer::new(Options::new(&gateway.control_plane).service(service));
    let registration = layer.registration();
    let statuses = print_status(&registration, start);
    let caller = tokio::spawn(call_myself(registration.clone(), gateway.clone(), start));

    // The server: three lines know of the registration, and a fourth tells long streams to end.
    let polite = Polite {
        leaving: registration.leaving_token(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening  {}", listener.local_addr()?);
    let incoming = registration.incoming(listener)?;
    let served = Server::builder()
        .layer(layer)
        .add_service(GreeterServer::new(polite))
        .serve_with_incoming_shutdown(incoming, registration.shutdown(stop_signal()))
        .await;

    let report = registration.finish().await;
    statuses.await?;
    caller.abort();
    print_report(&report, served.is_ok());
    Ok(served?)
}

/// Calls this very service, but through the gateway: by gRPC, GraphQL and HTTP.
async fn call_myself(registration: Registration, gateway: Gateway, start: Instant) {
    let called = async {
        registration.registered().await?;
        println!("RESULT registered ms={}", start.elapsed().as_millis());
        let hello = until_answered(|| async {
            let url = format!("http://{}", gateway.control_plane);
            let mut client = GreeterClient::connect(url).await?;
            let request = HelloRequest {
                name: "gateway".into(),
                delay_ms: 0,
            };
            Ok((client.hello(request).await?.into_inner(), client))
        });
        let (hello, mut client) = hello.await?;
        println!("answer     {} from {}", hello.greeting, hello.replica);
        until_routed(&registration, start).await?;
        let request = GreetingsRequest {
            name: "stream".into(),
            count: 3,
            interval_ms: 10,
        };
        let greetings = client.greetings(request).await?.into_inner();
        let greetings: Vec<_> = greetings.collect::<Result<_, _>>().await?;
        println!("stream     {} greetings", greetings.len());
        if !gateway.http.is_empty() {
            let query = r#"{ greeter { hello(name: "GraphQL") { greeting } } }"#;
            let answer = until_answered(|| graphql(&gateway.http, query)).await?;
            println!("GraphQL    {answer}");
            let path = "/greeter.v1.Greeter/Hello";
            let answer = gateway.ingress("POST", path, r#"{"name":"HTTP"}"#).await?;
            let answer = answer.unwrap_or("no ingress: the gateway is standalone".to_owned());
            println!("HTTP       {answer}");
        }
        println!("RESULT called answer={:?}", hello.greeting);
        println!("\nserving; Ctrl-C ends it");
        Ok::<_, BoxError>(())
    };
    if let Err(error) = called.await {
        println!("the call through the gateway failed: {error}");
    }
}
