//! What the process serves on its one port: greetings over gRPC, pets over HTTP, books over
//! GraphQL.

use std::pin::Pin;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use include_dir::{Dir, include_dir};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_stream::Stream;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tower_gwag::{Rule, Service};
use utoipa::{OpenApi, ToSchema};

use super::greeter::greeter_server::{Greeter, GreeterServer};
use super::greeter::{GreetingsRequest, HelloReply, HelloRequest};

static PROTO: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/greeter/proto");

/// The `data` of the answer to an introspection query. A GraphQL library makes it by itself.
const INTROSPECTION: &str = include_str!("introspection.json");

/// The three services, for one registration: namespaces `greeter`, `Petstore` and `shop`.
pub(crate) fn services() -> [Service; 3] {
    [
        // Callers through a gateway do not see how a stream ended; this one has nothing to tell.
        Service::proto_dir(&PROTO, "greeter.proto").allow(Rule::CallsStreamStatus),
        Service::openapi(ApiDoc::openapi()),
        // A path on this server: it is completed with the address that is advertised.
        // With its schema, so that it is checked before it runs.
        Service::graphql("/graphql")
            .namespace("shop")
            .schema(introspection()),
    ]
}

/// What answers them, on one port.
pub(crate) fn router() -> Router {
    let http = Router::new()
        .route("/pets/{id}", get(get_pet))
        .route("/graphql", post(graphql));
    Routes::from(http)
        .add_service(GreeterServer::new(Polite))
        .into_axum_router()
}

/// The bytes whose SHA-256 is the hash of the GraphQL service: `data`, exactly as it is sent.
pub(crate) fn introspection() -> &'static str {
    INTROSPECTION.trim_end()
}

// === gRPC ===

struct Polite;

#[tonic::async_trait]
impl Greeter for Polite {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        Ok(Response::new(reply(&request.into_inner().name)))
    }

    type GreetingsStream = Pin<Box<dyn Stream<Item = Result<HelloReply, Status>> + Send>>;

    async fn greetings(
        &self,
        request: Request<GreetingsRequest>,
    ) -> Result<Response<Self::GreetingsStream>, Status> {
        let one = Ok(reply(&request.into_inner().name));
        Ok(Response::new(Box::pin(tokio_stream::once(one))))
    }
}

fn reply(name: &str) -> HelloReply {
    HelloReply {
        greeting: format!("Hello, {name}!"),
        replica: format!("process {}", std::process::id()),
    }
}

// === HTTP ===

#[derive(Serialize, ToSchema)]
struct Pet {
    id: i32,
    name: String,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Petstore", version = "1.0.0"),
    paths(get_pet),
    components(schemas(Pet))
)]
struct ApiDoc;

/// One pet.
#[utoipa::path(get, path = "/pets/{id}", operation_id = "getPet",
    params(("id" = i32, Path, description = "The pet's number")),
    responses((status = 200, description = "The pet", body = Pet),
              (status = 404, description = "There is no such pet")))]
async fn get_pet(Path(id): Path<i32>) -> Result<Json<Pet>, StatusCode> {
    let name = match id {
        1 => "Rex".to_owned(),
        2 => "Tom".to_owned(),
        _ => return Err(StatusCode::NOT_FOUND),
    };
    Ok(Json(Pet { id, name }))
}

// === GraphQL ===

/// Served by hand: the one query there is, and introspection.
async fn graphql(Json(request): Json<Value>) -> String {
    let query = request["query"].as_str().unwrap_or_default();
    let words: String = query.split_whitespace().collect();
    if query.contains("__schema") {
        // As text: the hash is over these bytes.
        return format!(r#"{{"data":{}}}"#, introspection());
    }
    let answer = match &*words {
        "{books}" => json!({ "data": { "books": ["Emma", "Ulysses"] } }),
        _ => json!({ "errors": [{ "message": "the only query is { books }" }] }),
    };
    answer.to_string()
}
