//! One replica: a process that serves, registers, and leaves when its standard input ends.

use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tower_gwag::{GwagRegistrationLayer, Hold, Options, Registration, Service};

use crate::BoxError;
use crate::greeter::greeter_server::{Greeter, GreeterServer};
use crate::greeter::{GreetingsRequest, HelloReply, HelloRequest};
use crate::scenario::{Kind, Order};

const PROTO: &str = include_str!("../greeter/proto/greeter.proto");

/// The path is part of the document, so that several runs on one gateway keep apart.
fn openapi(namespace: &str) -> String {
    format!(
        r#"{{"openapi":"3.0.3","info":{{"title":"{namespace}","version":"1"}},"paths":{{
        "/{namespace}/{{ms}}":{{"get":{{"operationId":"wait","parameters":[{{"name":"ms","in":"path",
        "required":true,"schema":{{"type":"integer"}}}}],"responses":{{"200":{{"description":"ok","content":{{
        "application/json":{{"schema":{{"type":"object","properties":{{"ok":{{"type":"boolean"}}}}}}}}}}}}}}}}}}}}}}"#
    )
}

struct Waiter;

#[tonic::async_trait]
impl Greeter for Waiter {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let request = request.into_inner();
        // By GraphQL gateways do not send fields with an underscore to services.
        let delay = request.name.parse().unwrap_or(request.delay_ms);
        tokio::time::sleep(Duration::from_millis(i32::unsigned_abs(delay).into())).await;
        Ok(Response::new(HelloReply::default()))
    }

    type GreetingsStream = Pin<Box<dyn Stream<Item = Result<HelloReply, Status>> + Send>>;

    async fn greetings(
        &self,
        request: Request<GreetingsRequest>,
    ) -> Result<Response<Self::GreetingsStream>, Status> {
        let request = request.into_inner();
        let replies = tokio_stream::iter(0..request.count).then(move |_| async move {
            tokio::time::sleep(Duration::from_millis(
                request.interval_ms.unsigned_abs().into(),
            ))
            .await;
            Ok(HelloReply::default())
        });
        Ok(Response::new(Box::pin(replies)))
    }
}

pub(crate) async fn run(arguments: &[String]) -> Result<(), BoxError> {
    let [gateway, namespace, kind, order] = arguments else {
        return Err("usage: replica GATEWAY NAMESPACE KIND ORDER".into());
    };
    let (kind, order) = (Kind::parse(kind)?, Order::parse(order)?);
    let service = match kind {
        Kind::Http => Service::openapi(openapi(namespace)),
        Kind::Unary | Kind::Stream => Service::proto(PROTO),
    };
    let mut options = Options::new(gateway).service(service.namespace(namespace));
    if order != Order::Ours {
        options = options.hold(Hold::Off);
    }
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    tokio::spawn(tell_when_registered(registration.clone()));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    match order {
        Order::Ours => serve_with_layer(listener, layer, kind).await?,
        Order::Naive | Order::StopFirst => {
            // By hand, as with a client that knows nothing of the server.
            registration.start(listener.local_addr()?)?;
            let leave_first = registration.clone();
            serve_plain(listener, kind, async move {
                input_ended().await;
                if order == Order::Naive {
                    leave_first.leave_now().await;
                }
            })
            .await?;
        }
    }
    registration.finish().await;
    Ok(())
}

async fn serve_with_layer(
    listener: TcpListener,
    layer: GwagRegistrationLayer,
    kind: Kind,
) -> Result<(), BoxError> {
    let registration = layer.registration();
    let shutdown = registration.shutdown(input_ended());
    match kind {
        Kind::Http => {
            axum::serve(registration.listener(listener)?, app().layer(layer))
                .with_graceful_shutdown(shutdown)
                .await?;
        }
        Kind::Unary | Kind::Stream => {
            Server::builder()
                .layer(layer)
                .add_service(GreeterServer::new(Waiter))
                .serve_with_incoming_shutdown(registration.incoming(listener)?, shutdown)
                .await?;
        }
    }
    Ok(())
}

async fn serve_plain(
    listener: TcpListener,
    kind: Kind,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), BoxError> {
    match kind {
        Kind::Http => {
            axum::serve(listener, app())
                .with_graceful_shutdown(shutdown)
                .await?;
        }
        Kind::Unary | Kind::Stream => {
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            Server::builder()
                .add_service(GreeterServer::new(Waiter))
                .serve_with_incoming_shutdown(incoming.with_nodelay(Some(true)), shutdown)
                .await?;
        }
    }
    Ok(())
}

fn app() -> Router {
    Router::new().route(
        "/{namespace}/{ms}",
        get(|Path((_, ms)): Path<(String, u64)>| async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            // Gateways take JSON only.
            ([(CONTENT_TYPE, "application/json")], r#"{"ok":true}"#)
        }),
    )
}

async fn tell_when_registered(registration: Registration) {
    if registration.registered().await.is_ok() {
        println!("registered");
    }
}

/// The parent closes our standard input when we are to leave.
async fn input_ended() {
    let mut nothing = Vec::new();
    // An error ends it, too.
    let _ = tokio::io::stdin().read_to_end(&mut nothing).await;
}
