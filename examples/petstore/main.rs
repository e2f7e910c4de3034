//! An axum service, described by utoipa, that registers itself, is called through the gateway,
//! and leaves cleanly. Routes and document are of one make: utoipa-axum's `OpenApiRouter`.
//!
//! `cargo run --example petstore`, then Ctrl-C. With `GWAG_GATEWAY=host:port` and
//! `GWAG_GATEWAY_HTTP=http://host:port` it registers with that gateway; otherwise with an
//! embedded one in this process.

#[path = "../support/mod.rs"]
mod support;

use std::time::Instant;

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use serde::Serialize;
use support::{
    BoxError, Gateway, graphql, print_report, print_status, until_answered, until_routed,
};
use tokio::net::TcpListener;
use tower_gwag::{GwagRegistrationLayer, Options, Registration, Service, stop_signal};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(Clone, Serialize, ToSchema)]
struct Pet {
    id: i32,
    name: String,
}

/// Paths and schemas are added by the router.
#[derive(OpenApi)]
#[openapi(info(title = "Petstore", version = "1.0.0"))]
struct ApiDoc;

fn pets() -> Vec<Pet> {
    ["Rex", "Tom"]
        .into_iter()
        .zip(1..)
        .map(|(name, id)| Pet {
            id,
            name: name.to_owned(),
        })
        .collect()
}

/// All pets.
#[utoipa::path(get, path = "/pets", operation_id = "listPets",
    responses((status = 200, description = "All pets", body = Vec<Pet>)))]
async fn list_pets() -> Json<Vec<Pet>> {
    Json(pets())
}

/// One pet.
#[utoipa::path(get, path = "/pets/{id}", operation_id = "getPet",
    params(("id" = i32, Path, description = "The pet's number")),
    responses((status = 200, description = "The pet", body = Pet),
              (status = 404, description = "There is no such pet")))]
async fn get_pet(Path(id): Path<i32>) -> Result<Json<Pet>, StatusCode> {
    let pet = pets().into_iter().find(|pet| pet.id == id);
    pet.map(Json).ok_or(StatusCode::NOT_FOUND)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let start = Instant::now();
    let gateway = Gateway::find().await?;

    let (app, document) = OpenApiRouter::with_openapi(ApiDoc::openapi())
        .routes(routes!(list_pets))
        .routes(routes!(get_pet))
        .split_for_parts();

    // What to register, and with whom. The namespace is the document's title: `Petstore`.
    let layer = GwagRegistrationLayer::new(
        Options::new(&gateway.control_plane).service(Service::openapi(document)),
    );
    let registration = layer.registration();
    let statuses = print_status(&registration, start);
    let caller = tokio::spawn(call_myself(registration.clone(), gateway.clone(), start));

    // The server: three lines know of the registration.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let served = axum::serve(registration.listener(listener)?, app.layer(layer))
        .with_graceful_shutdown(registration.shutdown(stop_signal()))
        .await;

    let report = registration.finish().await;
    statuses.await?;
    caller.abort();
    print_report(&report, served.is_ok());
    Ok(served?)
}

/// Calls this very service, but through the gateway: by GraphQL and HTTP.
async fn call_myself(registration: Registration, gateway: Gateway, start: Instant) {
    let called = async {
        registration.registered().await?;
        println!("RESULT registered ms={}", start.elapsed().as_millis());
        if gateway.http.is_empty() {
            return Ok(());
        }
        let query = "{ Petstore { getPet(id: 1) { id name } } }";
        let answer = until_answered(|| graphql(&gateway.http, query)).await?;
        until_routed(&registration, start).await?;
        println!("GraphQL    {answer}");
        let answer = gateway.ingress("GET", "/pets/1", "").await?;
        let answer = answer.unwrap_or("no ingress: the gateway is standalone".to_owned());
        println!("HTTP       {answer}");
        println!("RESULT called answer={answer:?}");
        println!("\nserving; Ctrl-C ends it");
        Ok::<_, BoxError>(())
    };
    if let Err(error) = called.await {
        println!("the call through the gateway failed: {error}");
    }
}
