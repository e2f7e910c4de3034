//! Services whose every name is of one run alone: what they are called, their schemas, and
//! servers for them without generated code.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};

use axum::body::Body;
use axum::extract::Path;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::uri::PathAndQuery;
use tokio_stream::Stream;
use tonic::server::Grpc;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_gwag::Service;

use crate::support::servers::INTROSPECTION;

/// What the HTTP service answers.
pub(crate) fn thing(id: &str) -> serde_json::Value {
    serde_json::json!({"name": format!("thing {id}")})
}

pub(crate) struct Names {
    suffix: String,
    /// Of the gRPC and GraphQL services; the proto package, too.
    pub(crate) namespace: String,
}

impl Names {
    pub(crate) fn of_this_run() -> Self {
        let suffix = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        let namespace = format!("gwagtest_{suffix}");
        Self { suffix, namespace }
    }

    /// As a gateway folds the title of the OpenAPI document.
    pub(crate) fn title_as_namespace(&self) -> String {
        format!("Gwag_test_{}", self.suffix)
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/gwagtest/{}/{rest}", self.suffix)
    }

    pub(crate) fn method(&self, method: &str) -> PathAndQuery {
        let path = format!("/{}.Greeter/{method}", self.namespace);
        path.parse().expect("a path")
    }

    fn head(&self) -> String {
        format!("syntax = \"proto3\";\npackage {};\n", self.namespace)
    }

    /// Both messages are a `string` under number 1, which is how prost encodes a `String`.
    const SERVICE: &str = "
service Greeter {
  rpc Hello(Ask) returns (Answer);
  rpc Count(Ask) returns (stream Answer);
}
";
    const MESSAGES: &str = "
message Ask { string name = 1; }
message Answer { string text = 1; }
";

    pub(crate) fn proto(&self) -> Service {
        let source = [&self.head(), Self::SERVICE, Self::MESSAGES].concat();
        Service::proto(source).namespace(&self.namespace)
    }

    /// The same in two files, with an import that is built into gateways.
    pub(crate) fn proto_tree(&self) -> Service {
        let import = "import \"tree/messages.proto\";\n";
        let entry = [&self.head(), import, Self::SERVICE].concat();
        let import = "import \"google/protobuf/timestamp.proto\";\n";
        let dated = "message Dated { google.protobuf.Timestamp at = 1; }\n";
        let messages = [&self.head(), import, Self::MESSAGES, dated].concat();
        let name = format!("{}.proto", self.namespace);
        let unused = ("unused.proto".to_owned(), "no proto at all".to_owned());
        let messages = ("tree/messages.proto".to_owned(), messages);
        Service::proto_dir([(name.clone(), entry), messages, unused], name)
    }

    pub(crate) fn openapi(&self) -> Service {
        let schema = serde_json::json!({
            "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}},
        });
        let content = serde_json::json!({"application/json": {"schema": schema}});
        let response = serde_json::json!({"200": {"description": "ok", "content": content}});
        let id = serde_json::json!({
            "name": "id", "in": "path", "required": true, "schema": {"type": "string"},
        });
        Service::openapi(serde_json::json!({
            "openapi": "3.0.3",
            "info": {"title": format!("Gwag-test {}!", self.suffix), "version": "1"},
            "paths": {
                self.path("things/{id}"): {
                    "get": {"operationId": "getThing", "parameters": [id], "responses": response},
                },
            },
        }))
    }

    pub(crate) fn http_app(&self) -> Router {
        // Gateways answer with 500 for what is no JSON.
        let thing = |Path(id): Path<String>| async move { Json(thing(&id)) };
        Router::new().route(&self.path("things/{id}"), get(thing))
    }

    pub(crate) fn graphql_app(&self) -> Router {
        Router::new().route("/graphql", post(async || INTROSPECTION))
    }

    pub(crate) fn grpc_app(&self) -> Router {
        let hello = tower::service_fn(|request: http::Request<Body>| async move {
            let mut grpc = Grpc::new(ProstCodec::<String, String>::default());
            Ok::<_, Infallible>(grpc.unary(tower::service_fn(hello), request).await)
        });
        let count = tower::service_fn(|request: http::Request<Body>| async move {
            let mut grpc = Grpc::new(ProstCodec::<String, String>::default());
            Ok::<_, Infallible>(
                grpc.server_streaming(tower::service_fn(count), request)
                    .await,
            )
        });
        Router::new()
            .route_service(self.method("Hello").path(), hello)
            .route_service(self.method("Count").path(), count)
    }
}

async fn hello(request: Request<String>) -> Result<Response<String>, Status> {
    Ok(Response::new(format!("Hello, {}!", request.into_inner())))
}

type Messages = std::pin::Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

async fn count(request: Request<String>) -> Result<Response<Messages>, Status> {
    let name = request.into_inner();
    let messages = (1..=3).map(move |n| Ok(format!("{n} {name}")));
    Ok(Response::new(Box::pin(tokio_stream::iter(messages))))
}
